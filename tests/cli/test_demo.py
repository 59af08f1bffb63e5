from pathlib import Path

from tests.cli.command import Recorder


def processes_in(folder: Path) -> list[str]:
    """The command lines of all processes that name *folder* or work in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in command or (process / "cwd").readlink().is_relative_to(folder):
                found.append(command)
        except OSError:  # it ended meanwhile
            continue
    return found


async def test_the_demo_records_shows_it_and_leaves_nothing_behind(open_folder: Path) -> None:
    temporary = open_folder / "temporary"
    temporary.mkdir(mode=0o711)
    recorder = Recorder(open_folder)

    finished = await recorder("demo", "--days", "1", "--for", "5s", TMPDIR=str(temporary))

    assert finished.code == 0, finished.stderr
    sections = finished.stdout.split("\n\n")
    assert [section.splitlines()[0] for section in sections] == [
        "Recorded",
        "Held now: bi.position_latest",
        "The newest changes: bi.position_history",
        "What it earned: bi.pnl_series",
        "Is it whole? recorder verify",
    ]
    assert sections[-1].endswith("checks of slots, samples, history, gaps and books: no violation\n")
    for section in sections[:-1]:
        assert len(section.splitlines()) > 2, section
    _, header, hedge, main = sections[0].splitlines()
    assert header.split()[:4] == ["account", "ok", "snapshots", "failed"]
    for line in (hedge, main):
        account, ok, failed, samples, changes, closes = line.split()[:6]
        assert account in {"hedge", "main"}
        assert int(ok) > 24 * 60  # a day of minutes, and then live
        assert failed == "0"
        assert int(samples) > int(changes) > int(closes) > 0
    assert "\x1b" not in finished.stdout + finished.stderr
    assert "error" not in finished.stderr
    assert list(temporary.iterdir()) == []
    assert not (open_folder / "data").exists()
    assert processes_in(open_folder) == []


async def test_a_demo_that_is_stopped_early_leaves_nothing_behind_either(open_folder: Path) -> None:
    temporary = open_folder / "temporary"
    temporary.mkdir(mode=0o711)
    recorder = Recorder(open_folder, TMPDIR=str(temporary))

    async with recorder.started("demo", "--days", "0", "--for", "5m") as running:
        await running.says("Recording live")
        assert processes_in(temporary)
        finished = await running.stop()

    assert finished.code == 0, finished.stderr
    assert list(temporary.iterdir()) == []
    assert processes_in(open_folder) == []
