"""The real command, as a process of its own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli.forking import Forked, fork

MAIN = "import sys; sys.argv[0] = 'recorder'; from recorder.cli.main import main; main()"
REPOSITORY = Path(__file__).parents[2]
Rows = Callable[[str], Awaitable[list[dict[str, Any]]]]
"""Asks the database, and returns one mapping a row."""

FORKING = "TESTS_FORKING_SERVER"
"""The variable that says where commands are forked; without it each is a Python that starts anew."""

PLENTY = 60.0  # seconds; a command that takes longer hangs


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command left: its exit code and what it printed.

    Attributes:
        name: Of the file that keeps what it printed to stdout.
    """

    name: str
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document and nothing else."""
        return json.loads(self.stdout)


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for what another process does."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - no event comes from another process
            await asyncio.sleep(0.05)


class Running:
    """A command that goes on until it is told to stop."""

    def __init__(self, process: asyncio.subprocess.Process | Forked, stdout: Path, stderr: Path) -> None:
        self.pid = process.pid
        self._process = process
        self._stdout = stdout
        self._stderr = stderr

    @property
    def stdout(self) -> str:
        return self._stdout.read_text()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    async def says(self, words: str) -> None:
        """Wait until it has said so on stderr; fail if it ends before."""
        await until(lambda: words in self.stderr or self.ended)
        assert words in self.stderr, self.stderr

    @property
    def title(self) -> str:
        """Its command line, as everybody on the machine sees it."""
        return Path(f"/proc/{self.pid}/cmdline").read_text()

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> Finished:
        if not self.ended:
            self._process.send_signal(number)
        return await self.finished()

    async def finished(self) -> Finished:
        async with asyncio.timeout(PLENTY):
            code = await self._process.wait()
        return Finished(self._stdout.name, code, self.stdout, self.stderr)


class Recorder:
    """Starts commands in *folder*, with nothing in their environment but what is given."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONWARNINGS": "error",
            "RECORDER_STORAGE__DATA_DIR": str(folder / "data"),
            **variables,
        }
        self._started = 0

    async def __call__(self, *arguments: str, program: str = MAIN, anew: bool = False, **variables: str) -> Finished:
        """Run a command to its end; *program* is other Python that runs it, *variables* are set for it alone."""
        async with self.started(*arguments, program=program, anew=anew, **variables) as running:
            return await running.finished()

    @asynccontextmanager
    async def started(
        self, *arguments: str, program: str = MAIN, anew: bool = False, **variables: str
    ) -> AsyncIterator[Running]:
        """Run a command meanwhile; with a *program* of its own, or *anew*, in a Python that has imported nothing."""
        self._started += 1
        outputs = self.folder / "outputs"
        outputs.mkdir(exist_ok=True)
        stdout, stderr = (outputs / f"{self._started}.{name}" for name in ("stdout", "stderr"))
        start = self._fork if FORKING in os.environ and program == MAIN and not anew else self._start
        process = await start(program, arguments, {**self.variables, **variables}, stdout, stderr)
        try:
            yield Running(process, stdout, stderr)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _fork(
        self, program: str, arguments: Sequence[str], environment: dict[str, str], stdout: Path, stderr: Path
    ) -> Forked:
        return await fork(
            os.environ[FORKING],
            program,
            arguments,
            environment=environment,
            folder=self.folder,
            stdout=stdout,
            stderr=stderr,
        )

    async def _start(
        self, program: str, arguments: Sequence[str], environment: dict[str, str], stdout: Path, stderr: Path
    ) -> asyncio.subprocess.Process:
        with stdout.open("w") as out, stderr.open("w") as err:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                program,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=self.folder,
                env=environment,
            )
