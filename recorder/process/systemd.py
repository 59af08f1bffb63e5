"""systemd: tells the service manager when recording has begun, that it goes on, and when it ends.

The protocol is a datagram of ``NAME=value`` lines to a socket (sd_notify(3)); started by anything else than systemd,
nothing is told to anybody.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, MutableMapping
from typing import Self

_log = logging.getLogger(__name__)


class Systemd:
    """The service manager that started this process, if one did.

    Attributes:
        watchdog: Seconds within which it wants to hear that all is well, ``None`` when it does not.
    """

    def __init__(self, address: str = "", watchdog: float | None = None) -> None:
        """*address* is a path, or ``@name`` in Linux's abstract namespace; empty: tell nobody."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog = watchdog if address else None

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> Self:
        """Take the variables that systemd set out of *environ*: what this process starts is not the service."""
        address = environ.pop("NOTIFY_SOCKET", "")
        microseconds = environ.pop("WATCHDOG_USEC", "")
        meant = environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watched = meant and microseconds.isdecimal() and int(microseconds) > 0
        return cls(address, int(microseconds) / 1e6 if watched else None)

    def ready(self, status: str) -> None:
        self._tell("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        self._tell(f"STATUS={status}")

    def stopping(self) -> None:
        self._tell("STOPPING=1", "STATUS=finishing what is in hand")

    async def feed_watchdog(self, well: Callable[[], bool]) -> None:
        """Say at half of the wanted interval that all is well, as long as it is: from inside the event loop.

        So a loop that is blocked says nothing, and neither does one whose works keep breaking.
        """
        if self.watchdog is None:
            raise ValueError("nobody wants to hear it")
        while True:
            if well():
                self._tell("WATCHDOG=1")
            await asyncio.sleep(self.watchdog / 2)

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0)  # a manager that does not read must not stop the recording
            try:
                sock.connect(self._address)
                sock.send("\n".join(lines).encode())
            except OSError as error:
                _log.warning("systemd was not told %s: %s", lines[0], error.strerror)
