"""The addresses of user data streams: of one listenKey, and of several that share a connection."""

from collections.abc import Sequence
from urllib.parse import quote

from recorder.binance.handshake import require_websocket

LIVE = "wss://fstream.binance.com"
PLACE = "{listen_key}"
"""Where the key goes in an address that is a template for one."""
PLACES = "{listen_keys}"
"""Where the keys go, with a slash between them, in an address that is a template for several."""

_EVENTS = "ACCOUNT_UPDATE/ORDER_TRADE_UPDATE/ACCOUNT_CONFIG_UPDATE/MARGIN_CALL/listenKeyExpired"


class StreamAddress:
    """Fills keys into the exchange's own form of address, or into the one that the operator wrote.

    Attributes:
        shared: Whether several keys can be in one.
    """

    def __init__(self, url: str) -> None:
        """*url* is the exchange's address, or a whole one with a place for keys in it. Raises ConfigurationError."""
        self._url = url.rstrip("/")
        self.shared = PLACE not in url
        require_websocket(self.of(["key"]), setting="stream_url", example=LIVE)

    def of(self, listen_keys: Sequence[str]) -> str:
        """Return the address of these keys: more than one where it is ``shared``."""
        keys = [quote(key, safe="") for key in listen_keys]
        if PLACE in self._url:
            return self._url.replace(PLACE, keys[0])
        if PLACES in self._url:
            return self._url.replace(PLACES, "/".join(keys))
        form = "ws" if len(keys) == 1 else "stream"
        return f"{self._url}/private/{form}?{'&'.join(f'listenKey={key}&events={_EVENTS}' for key in keys)}"
