"""Two accounts whose every secret says so."""

from datetime import timedelta

from recorder.binance.signing import Credentials, hmac_signer

SECRET = "canary-secret"
MAIN = Credentials("main", "canary-key-main", hmac_signer(SECRET, account="main"))
HEDGE = Credentials("hedge", "canary-key-hedge", hmac_signer(SECRET, account="hedge"))
TIMEOUT = timedelta(seconds=2)
