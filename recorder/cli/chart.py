"""Curves of profit drawn with characters, for a terminal."""

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from shutil import get_terminal_size

import plotext
from rich.text import Text

from recorder.cli.curve import Curve, Line
from recorder.cli.output import stdout

POINTS = 140
"""As many steps as a terminal of 80 columns can show, with two dots in a character."""

_WITHOUT_TERMINAL = (80, 24)
_NARROWEST = 40
_HEIGHT = 18
_NET_PROFIT = ("braille", "cyan")
_UNREALIZED = ("·", "orange")
_TICKS = tuple(
    [timedelta(minutes=each) for each in (1, 5, 15, 30)]
    + [timedelta(hours=each) for each in (1, 2, 3, 6, 12)]
    + [timedelta(days=each) for each in (1, 2, 5, 10)]
)
_TICK_WIDTH = 16


def print_curves(curves: Sequence[Curve]) -> None:
    """Draw each curve as wide as the terminal is; without colours where nobody wants or can see them."""
    console = stdout()
    coloured = console.is_terminal and not console.no_color
    width = max(_NARROWEST, get_terminal_size(_WITHOUT_TERMINAL).columns)
    for number, curve in enumerate(curves):
        if number:
            console.print()
        for words in _heading(curve):
            console.print(words if coloured else words.plain, markup=False)
        sys.stdout.write(draw(curve, width, coloured=coloured) + "\n")


def _heading(curve: Curve) -> Iterator[Text]:
    """Say what is drawn, and in which colours."""
    last = curve.steps[-1]
    yield Text.assemble((curve.title, "bold"), f"  {curve.range}")
    yield Text.assemble(("⠒⠒ ", "cyan"), f"net profit since the first snapshot: {last.net_profit:,f}")
    if curve.was_held:
        yield Text.assemble(("·· ", "yellow"), f"of it unrealised: {last.unrealized_profit:,f}")


def draw(curve: Curve, width: int, *, coloured: bool) -> str:
    """Return the drawing as lines of text, *width* characters wide."""
    plotext.terminal.limit(width=False, height=False)
    figure = plotext.figure
    figure.clear()  # there is one for the whole process
    figure.plot_size(width, _HEIGHT)
    figure.theme("simple")
    figure.canvas("default")

    # Floats are good enough for dots: nothing is computed from them.
    def position(time: datetime) -> float:
        return (time - curve.since).total_seconds()

    def add(line: Line, look: tuple[str, str]) -> None:
        marker = plotext.marker(look[0], plotext.pixel(foreground=look[1]))
        signal = figure.signal([position(time) for time, _ in line], [float(value) for _, value in line], marker=marker)
        figure.draw(signal.lines())

    if curve.was_held:
        for line in curve.unrealized_profit():
            add(line, _UNREALIZED)
    for line in curve.net_profit():
        add(line, _NET_PROFIT)

    levels = _levels(*curve.extremes)
    figure.ruler("y").lim(float(levels[0]), float(levels[-1]))
    figure.ruler("y").ticks([float(level) for level in levels], [f"{level:,f}" for level in levels])
    times = list(_times(curve.since, curve.until, width // _TICK_WIDTH))
    figure.ruler("x").lim(0, position(curve.until))
    figure.ruler("x").ticks([position(time) for time, _ in times], [label for _, label in times])
    drawing: str = figure.build().string(not coloured)
    return drawing.rstrip("\n")


def _levels(low: Decimal, high: Decimal) -> list[Decimal]:
    """Return round values about *low* and *high*: some five of them, at least two."""
    rough = ((high - low) or Decimal(1)) / 5
    magnitude = Decimal(1).scaleb(rough.adjusted())
    step = next(magnitude * factor for factor in (1, 2, 5, 10) if magnitude * factor >= rough)
    first, last = (low / step).to_integral_value(ROUND_FLOOR), (high / step).to_integral_value(ROUND_CEILING)
    return [step * number for number in range(int(first), max(int(last), int(first) + 1) + 1)]


def _times(since: datetime, until: datetime, most: int) -> Iterator[tuple[datetime, str]]:
    """Yield round times in UTC with their labels, *most* of them at most."""
    span = until - since
    step = next((each for each in _TICKS if span / each <= most), None)
    if step is None:
        yield from _months(since, until, most)
        return
    form = "%d %b" if step >= timedelta(days=1) else "%d %b %H:%M"
    midnight = since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    time = midnight + step * -(-(since - midnight) // step)
    while time <= until:
        yield time, time.strftime(form)
        time += step


def _months(since: datetime, until: datetime, most: int) -> Iterator[tuple[datetime, str]]:
    first, last = (time.year * 12 + time.month for time in (since.astimezone(UTC), until.astimezone(UTC)))
    for number in range(first, last, -(-(last - first) // most) or 1):
        month = datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)
        yield month, f"{month:%b %Y}"
