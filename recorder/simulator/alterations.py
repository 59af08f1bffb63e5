"""Ways to falsify rows. Each takes the rows of one answer and returns those to send instead."""

from collections.abc import Callable

from recorder.simulator.frames import Row

Alteration = Callable[[list[Row]], list[Row]]


def emptied(_rows: list[Row]) -> list[Row]:
    """Say that nothing is held."""
    return []


def with_unknown_fields(rows: list[Row]) -> list[Row]:
    """Add what no documentation names: a text, a number and an object."""
    news = {"marginTier": "T2", "riskScore": 17, "hints": {"source": "engine-b", "levels": [1, 2]}}
    return [{**row, **news} for row in rows]


def with_extreme_numbers(rows: list[Row]) -> list[Row]:
    """Use every legal way to write a number: an exponent, thirty digits, a signed zero."""
    extremes = {
        "breakEvenPrice": "1E-8",
        "liquidationPrice": "123456789012345678901.234567891",
        "isolatedMargin": "-0.0",
        "isolatedWallet": "1.50E+3",
    }
    return [{**row, **extremes} for row in rows]


def with_value(field: str, value: object) -> Alteration:
    """Give one field another value, for instance ``"NaN"`` or a list."""
    return lambda rows: [{**row, field: value} for row in rows]


def without_field(field: str) -> Alteration:
    return lambda rows: [{name: value for name, value in row.items() if name != field} for row in rows]


def restated(which: Row, **fields: object) -> Alteration:
    """Tell the rows that have all of *which* with other *fields*; a ledger is altered like positions are."""
    return lambda rows: [{**row, **fields} if which.items() <= row.items() else row for row in rows]


def with_other_spelling(rows: list[Row]) -> list[Row]:
    """Spell the profit as the English documentation does."""
    return without_field("unRealizedProfit")(with_both_spellings(rows))


def with_both_spellings(rows: list[Row]) -> list[Row]:
    return [{**row, "unrealizedProfit": row["unRealizedProfit"]} for row in rows]
