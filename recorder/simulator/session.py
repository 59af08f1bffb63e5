"""What the exchange remembers about one connection."""

from dataclasses import dataclass
from datetime import datetime

from recorder.simulator.account import Account
from recorder.simulator.clock import epoch_ms
from recorder.simulator.frames import Row


@dataclass(slots=True, kw_only=True)
class Session:
    """A connection, and the account that logged on to it.

    Attributes:
        return_rate_limits: Whether answers carry the counters, unless a request says otherwise.
    """

    connected_at: datetime
    return_rate_limits: bool = True
    account: Account | None = None
    authorized_at: datetime | None = None

    def log_on(self, account: Account, now: datetime) -> None:
        """Let requests without a key act for *account*, in the place of one that logged on before."""
        self.account, self.authorized_at = account, now

    def log_out(self) -> None:
        self.account = self.authorized_at = None

    def describe(self, now: datetime) -> Row:
        """Return the result of ``session.status``."""
        return {
            "apiKey": self.account.key.api_key if self.account else None,
            "authorizedSince": epoch_ms(self.authorized_at) if self.authorized_at else None,
            "connectedSince": epoch_ms(self.connected_at),
            "returnRateLimits": self.return_rate_limits,
            "serverTime": epoch_ms(now),
        }
