"""A Python that has imported the libraries which take long to import, and forks: commands that start at once.

The recorder's own modules are not among them: each command imports those itself, in its own environment, as one that
starts anew does. Nor is anything that looks at the environment when it is imported.
"""

import asyncio
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from typing import Any

SERVER = "from tests.cli.forking import serve; program = serve(); del serve; exec(compile(program, '<string>', 'exec'))"
_LIBRARIES = (
    "alembic",
    "apscheduler.schedulers.asyncio",
    "asyncpg",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.serialization",
    "httpx",
    "msgspec",
    "prometheus_client",
    "pydantic_settings",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.ext.asyncio",
    "starlette.applications",
    "structlog",
    "typer",
    "uvicorn",
    "websockets.asyncio.client",
    "websockets.asyncio.server",
)


class Forked:
    """A process that somebody else forked for us, with what tests use of ``asyncio.subprocess.Process``."""

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.create_task(self._note_the_end(reader, writer))

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):  # it ended a moment ago
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    async def _note_the_end(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        code = int(await reader.readline())
        self.returncode = code
        writer.close()
        await writer.wait_closed()
        return code


async def fork(
    server: str,
    program: str,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    stdout: Path,
    stderr: Path,
) -> Forked:
    """Have *program* run with *arguments*, its output going to the files *stdout* and *stderr*."""
    for file in (stdout, stderr):
        file.touch()  # who looks at once finds them
    reader, writer = await asyncio.open_unix_connection(server)
    request = {
        "program": program,
        "arguments": list(arguments),
        "environment": dict(environment),
        "folder": str(folder),
        "outputs": [str(stdout), str(stderr)],
    }
    writer.write(json.dumps(request).encode() + b"\n")
    return Forked(int(await reader.readline()), reader, writer)


@contextmanager
def forking_server(repository: Path) -> Iterator[str]:
    """Run one, and yield its address; it ends with us, however we end."""
    with tempfile.TemporaryDirectory(prefix="forking-") as folder:
        address = f"{folder}/socket"
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(repository), "PYTHONWARNINGS": "error"}
        command = [sys.executable, "-c", SERVER, address]
        with subprocess.Popen(  # noqa: S603 - our own command
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder, env=environment
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield address
            process.stdin.close()


def serve() -> str:
    """Fork on request until stdin ends; return in each fork, with the program that it is to run."""
    for library in _LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # what is not looked at need not be copied
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait for the commands
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(sys.argv[1])
        server.listen(64)
        os.write(1, b"ready\n")
        while True:
            watched: list[Any] = [server, 0]
            ready, _, _ = select(watched, [], [])
            if 0 in ready:
                raise SystemExit
            connection, _ = server.accept()
            with connection:
                if os.fork() == 0:
                    server.close()
                    return _fork_and_wait(connection)


def _fork_and_wait(connection: socket.socket) -> str:
    """Return in the process that is to run the program; the other one tells how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with connection.makefile("r") as lines:
        request = json.loads(lines.readline())
    pid = os.fork()
    if pid == 0:
        connection.close()
        return _become(request)
    connection.sendall(f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):  # nobody wants to know any more
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(request: Mapping[str, Any]) -> str:
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    for number, file in enumerate([os.devnull, *request["outputs"]]):
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(descriptor, number)
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv[1:] = request["arguments"]
    program: str = request["program"]
    return program
