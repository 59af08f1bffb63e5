"""The pause that the exchange imposed, kept over a restart: a ban grows when it is not respected."""

import json
import logging
import os
import tempfile
from datetime import datetime
from pathlib import Path

_log = logging.getLogger(__name__)


class PauseFile:
    """A small file that holds the end of the latest pause, in this machine's time: the exchange's clock is not known
    when it is read, and must not be asked for.

    Losing it costs at most one refused request, so no fault of the file stops anything.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> datetime | None:
        """Return the end of the pause, also when it is over; ``None`` when none is on record."""
        try:
            until = datetime.fromisoformat(json.loads(self.path.read_text())["paused_until"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as exc:
            _log.warning("The pause file %s cannot be read and is ignored: %s", self.path, exc)
            return None
        return until if until.tzinfo else None

    def write(self, until: datetime) -> None:
        """Replace the file as a whole, readable for its owner only."""
        content = json.dumps({"paused_until": until.isoformat()})
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)  # mkstemp gives 0600
            with os.fdopen(handle, "w") as file:
                file.write(content)
            Path(name).replace(self.path)
        except OSError as exc:
            _log.warning("The pause until %s will not outlast a restart: %s", until, exc)
