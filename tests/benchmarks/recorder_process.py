"""What benchmarks need around a real ``recorder run``: a folder, settings, the process, and what it uses."""

import asyncio
import os
import signal
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

COMMAND = (sys.executable, "-c", "from recorder.cli.main import main; main()")
_GRACE = 20.0  # seconds; the recorder itself promises 10


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process uses: resident memory in MB, now and at most so far, processor seconds so far, and open files."""

    resident_mb: float
    peak_mb: float
    cpu_seconds: float
    open_files: int

    @classmethod
    def of(cls, pid: int) -> "Usage":
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        files = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        return cls(_mb(status["VmRSS"]), _mb(status["VmHWM"]), ticks / os.sysconf("SC_CLK_TCK"), files)


def _mb(kilobytes: str) -> float:
    return int(kilobytes.split(maxsplit=1)[0]) / 1024


@contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"recorder-{purpose}-") as name:
        Path(name).chmod(0o711)  # started as root, PostgreSQL runs as another user
        yield Path(name)


def write_config(folder: Path, exchange: str, *, every: str, weight_budget: int, more: str = "") -> Path:
    """Write a recorder.toml with the *exchange* and accounts that the simulator names, and its data in *folder*."""
    exchange = exchange.replace("[exchange]\n", f"[exchange]\nweight_budget = {weight_budget}\n", 1)
    config = folder / "recorder.toml"
    config.touch(mode=0o600)
    config.write_text(
        f'[storage]\ndata_dir = "{folder / "data"}"\n[snapshot]\nevery = "{every}"\n[http]\nlisten = ""\n'
        f"{more}{exchange}",
        encoding="utf-8",
    )
    return config


@asynccontextmanager
async def recorder_run(config: Path, *, ends_by: signal.Signals = signal.SIGTERM) -> AsyncIterator[Process]:
    """Run the service, and end it as an operator does, without an error, or by SIGKILL."""
    recorder = await asyncio.create_subprocess_exec(*COMMAND, "run", "--config", str(config))
    try:
        yield recorder
        if recorder.returncode is None:
            recorder.send_signal(ends_by)
        async with asyncio.timeout(_GRACE):
            code = await recorder.wait()
        if code != (-signal.SIGKILL if ends_by is signal.SIGKILL else 0):
            raise RuntimeError(f"recorder run ended with exit code {code}")
    finally:
        if recorder.returncode is None:
            recorder.kill()
            await recorder.wait()


async def output(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    text, _ = await process.communicate()
    return text.decode()
