"""Logs: every library's lines through one handler on stderr, and no secret in any of them.

The last step works on the rendered text, tracebacks and all, and knows the secrets by value: libraries log what they
were handed under names that nobody can list.
"""

import base64
import json as jsonlib
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from types import TracebackType
from typing import TextIO
from urllib.parse import quote, quote_plus

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger
from typing_extensions import override

MASK = "••••"
_WORD_LIMIT = 8  # a shorter secret is masked as a whole word only: "db" must not tear every other word apart
# where such a word begins: also after an escaped line break (\n in JSON) and after a terminal's colour code
_WORD_BEGINS = r"(?:(?<!\w)|(?<=\\[nrt])|(?<=\x1b\[[0-9]m)|(?<=\x1b\[[0-9]{2}m))"
_FRAGMENT_LIMIT = 8  # shorter pieces of base64 occur by chance
_REPEATS_KEPT = 1000
_LEARNED_KEPT = 1000  # a listenKey is no good after a day or so

# What these say below the level tells nothing about the recorder, and DEBUG lines cut frames short in mid-secret,
# where a search by value cannot find it.
_QUIETER = {
    logging.WARNING: (
        "websockets",
        "httpx",
        "httpcore",
        "apscheduler",
        "sqlalchemy",
        "uvicorn.access",
        "alembic.runtime.plugins",
    ),
    logging.INFO: ("asyncio", "alembic", "uvicorn", "uvicorn.error"),
}


class Redactor:
    """The secrets that no output may hold, and the text without them.

    One lives as long as the process and is handed on: who learns a new secret, such as a listenKey, tells it.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._given = {form for secret in secrets for form in _forms_of(secret)}
        self._learned: dict[str, frozenset[str]] = {}
        self._sort()

    def learn(self, secret: str) -> None:
        """Know *secret* too from now on, in each form in which a program prints it; the oldest of many is forgotten."""
        known = self._learned.pop(secret, None)
        self._learned[secret] = known or frozenset(_forms_of(secret))
        if known is None:
            while len(self._learned) > _LEARNED_KEPT:
                del self._learned[next(iter(self._learned))]
            self._sort()

    def redact(self, text: str) -> str:
        """Return *text* with ``••••`` for each secret."""
        for form in self._long:
            if form in text:
                text = text.replace(form, MASK)
        return text if self._short is None else self._short.sub(MASK, text)

    def _sort(self) -> None:
        """Make ready for ``redact``. One expression of all forms would take seconds to compile, each time."""
        forms = sorted(self._given.union(*self._learned.values()), key=len, reverse=True)
        self._long = [form for form in forms if len(form) >= _WORD_LIMIT]
        words = [rf"{_WORD_BEGINS}{re.escape(form)}(?!\w)" for form in forms if len(form) < _WORD_LIMIT]
        self._short = re.compile("|".join(words)) if words else None


def _forms_of(secret: str) -> Iterator[str]:
    if not secret.strip():
        return
    once = {secret, *_escaped(secret)}
    yield from once
    for form in once:
        yield from _escaped(form)  # JSON that holds the repr of a frame that is JSON
    yield from (quote(secret), quote(secret, safe=""), quote_plus(secret))
    yield from _base64_of(secret.encode())


def _escaped(text: str) -> Iterator[str]:
    yield jsonlib.dumps(text)[1:-1]
    yield jsonlib.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]


def _base64_of(secret: bytes) -> Iterator[str]:
    # Six bits make a letter, so the letters depend on how many bytes stand in front ("user:" in basic authentication);
    # those at both ends also depend on the neighbours and are left out.
    for before, first in enumerate((0, 2, 3)):
        last = (before + len(secret)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            fragment = encode(bytes(before) + secret)[first:last].decode()
            if len(fragment) >= _FRAGMENT_LIMIT:
                yield fragment


class RepeatLimit:
    """A structlog processor: says an event with ``limit_by=…`` once per *interval*, the next time with ``repeated=N``.

    Events are the same when logger, event and ``limit_by`` are; one without ``limit_by`` always passes. N counts what
    was held back since the event was last said.
    """

    def __init__(
        self, interval: timedelta = timedelta(minutes=1), *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval = interval.total_seconds()
        self._clock = clock
        self._said: dict[tuple[object, ...], tuple[float, int]] = {}

    def __call__(self, logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        if "limit_by" not in event:
            return event
        key = (getattr(logger, "name", ""), event.get("event"), str(event.pop("limit_by")))
        now = self._clock()
        said_at, held_back = self._said.get(key, (-self._interval, 0))
        if key in self._said and now - said_at < self._interval:
            self._said[key] = (said_at, held_back + 1)
            raise structlog.DropEvent
        if len(self._said) >= _REPEATS_KEPT:
            self._said = {kept: when for kept, when in self._said.items() if now - when[0] < self._interval}
        self._said[key] = (now, 0)
        if held_back:
            event["repeated"] = held_back
        return event


class _RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    def __init__(self, redactor: Redactor, *, processors: list[Processor], foreign: list[Processor]) -> None:
        super().__init__(processors=processors, foreign_pre_chain=foreign)
        self._redactor = redactor

    @override
    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.redact(super().format(record))


class _Handler(logging.StreamHandler[TextIO]):
    @override
    def handleError(self, record: logging.LogRecord) -> None:
        # the standard one prints the record's arguments past the formatter, and so past the redactor
        kind = getattr(sys.exc_info()[0], "__name__", "error")
        try:
            self.stream.write(f"A log record of {record.name} could not be rendered: {kind}\n")
        except (OSError, ValueError):  # stderr is closed: there is nowhere left to say it
            return


def configure_logging(
    level: str, json: bool | None, secrets: Iterable[str], *, stream: TextIO | None = None
) -> Redactor:
    """Send every log line of the process, the last traceback and Python's warnings too, to *stream*, else stderr.

    *level* is a name such as ``"info"``. *json* ``None`` means lines for people on a terminal and JSON elsewhere.
    Replaces what was configured before. Libraries must not configure logging again afterwards: uvicorn wants
    ``log_config=None``, Alembic no ``fileConfig``, Typer ``pretty_exceptions_enable=False``.
    """
    out = sys.stderr if stream is None else stream
    redactor = Redactor(secrets)
    stamp: list[Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            RepeatLimit(),
            *stamp,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = _Handler(out)
    handler.setFormatter(
        _RedactingFormatter(
            redactor, processors=_renderers(json=not out.isatty() if json is None else json, out=out), foreign=stamp
        )
    )
    _take_over(handler, logging.getLevelNamesMapping()[level.upper()])
    _take_over_last_words()
    return redactor


def _renderers(*, json: bool, out: TextIO) -> list[Processor]:
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if json:
        # a plain text, because structured tracebacks carry locals
        return [
            strip,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    colors = out.isatty() and not os.environ.get("NO_COLOR")
    # the default exception formatter shows locals where rich is installed
    return [
        strip,
        structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback),
    ]


def _take_over(handler: logging.Handler, level: int) -> None:
    for name in list(logging.root.manager.loggerDict):
        known = logging.getLogger(name)
        known.handlers.clear()
        known.propagate = True
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for least, names in _QUIETER.items():
        for name in names:
            logging.getLogger(name).setLevel(max(least, level))
    logging.captureWarnings(capture=True)


def _take_over_last_words() -> None:
    log = structlog.stdlib.get_logger("recorder")

    def last_words(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, traceback)
            return
        log.critical("unhandled exception", exc_info=(kind, error, traceback))

    def last_words_of_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            log.critical(
                "unhandled exception in a thread", exc_info=(args.exc_type, args.exc_value, args.exc_traceback)
            )

    def unraisable(args: "sys.UnraisableHookArgs") -> None:
        if args.exc_value is not None:
            log.error("exception ignored", exc_info=(args.exc_type, args.exc_value, args.exc_traceback))

    sys.excepthook = last_words
    threading.excepthook = last_words_of_thread
    sys.unraisablehook = unraisable
