import json
import logging
import os
import pty
import subprocess
import sys
import textwrap
from datetime import datetime, timedelta
from urllib.parse import quote

import pytest
import structlog

from recorder.logs import MASK, RepeatLimit

CANARY = 'c4nary/"se+cret"\\7Yq'
SHORT = "hunter2"

Line = dict[str, object]


def run(program: str, *, level: str = "debug", json_lines: bool | None = None) -> subprocess.CompletedProcess[str]:
    """Run *program* in a process of its own, logging configured with the canaries as secrets.

    The program says in its standard output that it came to the point where it used a canary.
    """
    head = f"""
        import asyncio, logging, sys, threading, warnings
        import structlog
        from recorder.logs import configure_logging
        CANARY, SHORT = {CANARY!r}, {SHORT!r}
        redactor = configure_logging({level!r}, {json_lines!r}, [CANARY, SHORT])
        log = structlog.stdlib.get_logger("recorder.test")
        def use(secret):
            print("used", len(secret), flush=True)
            return secret
    """
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert "used" in done.stdout, f"the canary was never used: {done.stderr}"
    return done


def lines(done: subprocess.CompletedProcess[str]) -> list[Line]:
    return [json.loads(line) for line in done.stderr.splitlines()]


def assert_clean(text: str) -> None:
    for form in (CANARY, json.dumps(CANARY)[1:-1], repr(CANARY)[1:-1], quote(CANARY, safe=""), "c4nary", "7Yq", SHORT):
        assert form not in text
    assert MASK in text


PROGRAMS = {
    "structlog": 'log.debug("signed", payload=use(CANARY), nested={"deep": [CANARY, SHORT]})',
    "structlog with positional arguments": 'log.info("signed %s", use(CANARY))',
    "a foreign logger with arguments": 'logging.getLogger("some.library").debug("sent %r to %s", use(CANARY), SHORT)',
    "a foreign logger with its own handler": """
        foreign = logging.getLogger("uvicorn.error")
        foreign.addHandler(logging.StreamHandler(sys.stderr))
        foreign.propagate = False
        configure_logging("debug", None, [CANARY, SHORT])
        foreign.warning("token %s", use(CANARY))
    """,
    "a warning": "warnings.warn(use(CANARY))",
    "a record that cannot be rendered": """
        logging.getLogger("bad").error("%d", use(CANARY))
        log.info("then", key=CANARY)
    """,
    "an exception": """
        try:
            raise ValueError(use(CANARY))
        except ValueError:
            log.exception("failed", account="main")
    """,
    "a cause, a note and locals": """
        def connect(password):
            raise OSError(f"invalid literal for int(): {password!r}")
        try:
            try:
                connect(use(CANARY))
            except OSError as exc:
                exc.add_note(SHORT)
                raise RuntimeError("database") from exc
        except RuntimeError:
            logging.getLogger("some.library").exception("failed")
    """,
    "the end of the process": "raise ValueError(use(CANARY))",
    "the end of a thread": """
        def fail(secret): raise ValueError(secret)
        thread = threading.Thread(target=fail, args=(use(CANARY),)); thread.start(); thread.join()
    """,
    "a finalizer": """
        class Holder:
            def __del__(self): raise ValueError(use(CANARY))
        Holder()
    """,
    "a forgotten task": """
        async def fail(): raise ValueError(use(CANARY))
        async def main():
            task = asyncio.create_task(fail())
            await asyncio.wait([task])
            del task
        asyncio.run(main())
    """,
    "a callback of the event loop": """
        def fail(secret): raise ValueError(secret)
        async def main():
            asyncio.get_running_loop().call_soon(fail, use(CANARY))
            await asyncio.sleep(0)
        asyncio.run(main())
    """,
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
@pytest.mark.parametrize("json_lines", [True, False], ids=["json", "console"])
def test_no_secret_is_in_what_is_logged(program: str, json_lines: bool) -> None:
    assert_clean(run(program, json_lines=json_lines).stderr)


def test_without_a_terminal_each_line_is_json_with_utc_time_level_and_logger() -> None:
    done = run('log.info("slot", account="main"); logging.getLogger("lib").warning("hm %s", use(SHORT))')
    ours, foreign = lines(done)
    assert (ours["event"], ours["level"], ours["logger"]) == ("slot", "info", "recorder.test")
    assert (foreign["event"], foreign["level"], foreign["logger"]) == (f"hm {MASK}", "warning", "lib")
    for line in (ours, foreign):
        assert datetime.fromisoformat(str(line["timestamp"])).utcoffset() == timedelta(0)


def test_the_last_traceback_is_a_log_line_and_the_exit_code_stays() -> None:
    done = run("raise ValueError(use(CANARY))")
    (line,) = lines(done)
    assert done.returncode == 1
    assert line["level"] == "critical"
    assert "Traceback" in str(line["exception"])


def test_an_interrupt_is_no_log_line() -> None:
    done = run('use(CANARY)\nlog.info("x", key=CANARY)\nraise KeyboardInterrupt')
    assert len([line for line in done.stderr.splitlines() if line.startswith("{")]) == 1
    assert "KeyboardInterrupt" in done.stderr


def test_a_record_that_cannot_be_rendered_is_named_without_its_arguments() -> None:
    done = run('logging.getLogger("bad").error("%d", use(CANARY))')
    assert done.stderr == "A log record of bad could not be rendered: TypeError\n"


def test_libraries_that_cut_frames_short_stay_quiet_at_debug() -> None:
    done = run("""
        logging.getLogger("websockets.client").debug("> TEXT %s...", use(CANARY)[:8])
        logging.getLogger("apscheduler.scheduler").info("added job")
        logging.getLogger("sqlalchemy.engine.Engine").info("[generated in 1s] %s", CANARY[:8])
        logging.getLogger("websockets.client").warning("closed")
    """)
    assert [line["event"] for line in lines(done)] == ["closed"]


def test_the_level_holds_for_everybody() -> None:
    done = run('use(CANARY); log.info("no"); logging.getLogger("lib").info("no"); log.error("yes")', level="error")
    assert [line["event"] for line in lines(done)] == ["yes"]


def test_a_secret_that_is_learnt_later_is_redacted_from_then_on() -> None:
    done = run("""
        redactor.learn("l1stenKey-0123456789")
        log.info("stream", key=use("l1stenKey-0123456789"), other=CANARY)
    """)
    assert lines(done)[0]["key"] == MASK


@pytest.mark.parametrize(("no_color", "colored"), [("", True), ("1", False)])
def test_a_terminal_gets_lines_for_people_and_colours_unless_no_color(
    no_color: str,
    colored: bool,
) -> None:
    main, terminal = pty.openpty()
    program = f"""
from recorder.logs import configure_logging
import structlog
configure_logging("info", None, [{SHORT!r}])
structlog.stdlib.get_logger("recorder").info("slot", password={SHORT!r})
"""
    subprocess.run(  # noqa: S603
        [sys.executable, "-c", program],
        stderr=terminal,
        check=True,
        timeout=30,
        env={**os.environ, "NO_COLOR": no_color, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    os.close(terminal)
    said = os.read(main, 10_000).decode()
    os.close(main)
    assert "slot" in said
    assert ("\x1b[" in said) is colored
    assert SHORT not in said
    assert MASK in said
    assert not said.startswith("{")


def said_by(limit: RepeatLimit, event: str, limit_by: str | None = "main") -> dict[str, object] | None:
    event_dict: dict[str, object] = {"event": event}
    if limit_by is not None:
        event_dict["limit_by"] = limit_by
    try:
        return dict(limit(logging.getLogger("recorder"), "info", event_dict))
    except structlog.DropEvent:
        return None


def test_a_repeated_event_is_said_once_a_minute_with_the_number_held_back() -> None:
    now = 0.0
    limit = RepeatLimit(clock=lambda: now)
    assert said_by(limit, "database is away") == {"event": "database is away"}
    now = 30.0
    assert said_by(limit, "database is away") is None
    assert said_by(limit, "database is away") is None
    now = 60.0
    assert said_by(limit, "database is away") == {"event": "database is away", "repeated": 2}
    now = 120.0
    assert said_by(limit, "database is away") == {"event": "database is away"}


def test_other_events_and_those_without_a_limit_are_not_held_back() -> None:
    limit = RepeatLimit(clock=lambda: 0.0)
    assert said_by(limit, "away", "main")
    assert said_by(limit, "away", "other")
    assert said_by(limit, "back", "main")
    assert said_by(limit, "slot", None)
    assert said_by(limit, "slot", None)
