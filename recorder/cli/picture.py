"""Curves of profit drawn into a picture, PNG or SVG, with matplotlib, which is installed on demand."""

import os
import tempfile
from collections.abc import Sequence
from datetime import UTC
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import typer

from recorder.cli.curve import Curve, Line
from recorder.exceptions import ConfigurationError, RecorderError

POINTS = 800
"""As many steps as a picture shows one by one."""

_MOST_CURVES = 24
_SIZE = (11.0, 3.4)  # of a panel, in inches
_DOTS_PER_INCH = 150
_NET_PROFIT = "#0f6e84"
_UNREALIZED = "#d98e2b"
_FAINT = "#8a8f94"
_PALE = "#e6e8ea"


def require_matplotlib() -> None:
    """Raise ``ConfigurationError`` unless pictures can be drawn."""
    if find_spec("matplotlib") is None:
        raise ConfigurationError(
            "pictures cannot be drawn here",
            why="matplotlib is not installed; only pictures need it",
            fix='pip install "position-recorder[chart]", or draw in the terminal: recorder pnl --plot',
        )


def save_curves(curves: Sequence[Curve], file: Path) -> None:
    """Draw *curves* one below the other and replace *file* as a whole: SVG if its name ends so, else PNG."""
    if len(curves) > _MOST_CURVES:
        raise typer.BadParameter(
            f"{len(curves)} curves are too many for a picture; choose an --account", param_hint="--png"
        )
    content = draw(curves, "svg" if file.suffix.lower() == ".svg" else "png")
    try:
        _replace(file, content)
    except OSError as error:
        raise RecorderError(
            f"{file} cannot be written",
            why=error.strerror or str(error),
            fix="name a file in a folder you may write to",
        ) from error


def draw(curves: Sequence[Curve], form: str) -> bytes:
    """Return the picture in the format *form*, without a display."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "position-recorder", "font.size": 9.5, "axes.titlesize": 11}):
        figure = Figure(figsize=(_SIZE[0], _SIZE[1] * len(curves)), dpi=_DOTS_PER_INCH, layout="constrained")
        panels = figure.subplots(len(curves), squeeze=False)[:, 0]
        for panel, curve in zip(panels, curves, strict=True):
            _draw_panel(panel, curve)
        picture = BytesIO()
        # Without its date, equal curves give equal files.
        figure.savefig(picture, format=form, metadata={"Date": None} if form == "svg" else None)
    return picture.getvalue()


def _draw_panel(panel: Any, curve: Curve) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import FuncFormatter

    last = curve.steps[-1]
    panel.axhline(0, color=_FAINT, linewidth=0.8)
    for number, line in enumerate(curve.net_profit()):
        times, values = _floats(line)
        panel.fill_between(times, values, color=_NET_PROFIT, alpha=0.10, linewidth=0)
        label = None if number else f"net profit since the first snapshot: {last.net_profit:,f}"
        panel.plot(times, values, color=_NET_PROFIT, linewidth=1.5, solid_joinstyle="miter", label=label)
    if curve.was_held:
        for number, line in enumerate(curve.unrealized_profit()):
            label = None if number else f"of it unrealised: {last.unrealized_profit:,f}"
            panel.plot(*_floats(line), color=_UNREALIZED, linewidth=1.0, solid_joinstyle="miter", label=label)
    # Names may have dollar signs, which are no mathematics.
    panel.set_title(curve.title, loc="left", fontweight="bold", parse_math=False)
    panel.set_title(curve.range, loc="right", color=_FAINT, fontsize=9)
    panel.set_ylabel(curve.asset, parse_math=False)
    panel.set_xlabel("time in UTC", color=_FAINT, fontsize=9)
    panel.set_xlim(curve.since, curve.until)
    panel.margins(y=0.08)
    panel.legend(loc="best", frameon=True, framealpha=0.85, edgecolor="none", fontsize=9)
    panel.grid(color=_PALE, linewidth=0.7)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(_FAINT)
    panel.tick_params(color=_FAINT)
    locator = AutoDateLocator(tz=UTC)
    panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def _floats(line: Line) -> tuple[list[Any], list[float]]:
    """Floats are good enough for dots: nothing is computed from them."""
    return [time for time, _ in line], [float(value) for _, value in line]


def _replace(file: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as temporary:
            temporary.write(content)
            os.fchmod(temporary.fileno(), 0o644)
        Path(name).replace(file)
    finally:
        Path(name).unlink(missing_ok=True)
