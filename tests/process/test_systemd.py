"""What systemd is told, over a real socket."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from recorder.process.systemd import Systemd


def listening(address: str) -> socket.socket:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(address)
    manager.settimeout(5)
    return manager


@pytest.mark.parametrize("abstract", [False, True])
def test_it_is_told_when_recording_has_begun_and_when_it_ends(tmp_path: Path, abstract: bool) -> None:
    name = f"{tmp_path}/notify"
    environ = {"NOTIFY_SOCKET": f"@{name}" if abstract else name, "WATCHDOG_USEC": "30000000", "HOME": "/"}
    with listening(f"\0{name}" if abstract else name) as manager:
        systemd = Systemd.from_environment(environ)
        systemd.ready("watching 2 account(s)")
        assert manager.recv(1000) == b"READY=1\nSTATUS=watching 2 account(s)"
        systemd.stopping()
        assert manager.recv(1000).startswith(b"STOPPING=1\n")
    assert systemd.watchdog == 30
    assert environ == {"HOME": "/"}  # a PostgreSQL that is started must not speak for the service


@pytest.mark.parametrize(
    "watchdog",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}],
    ids=str,
)
def test_nobody_wants_to_hear_the_watchdog_who_did_not_say_so(watchdog: dict[str, str]) -> None:
    assert Systemd.from_environment({"NOTIFY_SOCKET": "/run/notify", **watchdog}).watchdog is None


def test_this_process_may_be_named() -> None:
    environ = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}
    assert Systemd.from_environment(environ).watchdog == 1


async def test_the_watchdog_hears_nothing_while_not_all_is_well(tmp_path: Path) -> None:
    well = False
    with listening(f"{tmp_path}/notify") as manager:
        manager.settimeout(0)
        systemd = Systemd(f"{tmp_path}/notify", watchdog=0.1)
        feeding = asyncio.create_task(systemd.feed_watchdog(lambda: well))
        await asyncio.sleep(0.3)
        with pytest.raises(BlockingIOError):
            manager.recv(1000)
        well = True
        async with asyncio.timeout(5):
            assert await asyncio.get_running_loop().sock_recv(manager, 1000) == b"WATCHDOG=1"
        feeding.cancel()


def test_without_systemd_nobody_is_told_and_a_manager_that_is_gone_does_no_harm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Systemd().ready("")
    assert not caplog.text
    Systemd(f"{tmp_path}/nobody").ready("")
    assert "systemd was not told READY=1" in caplog.text
