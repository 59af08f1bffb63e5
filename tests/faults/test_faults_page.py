"""docs/faults.md names, for each fault of the catalogue, what holds it, and nothing that is not there."""

import re
from pathlib import Path

from tests.faults.torture import FAULTS

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "faults.md").read_text(encoding="utf-8")
ROWS = {
    int(number): held_by for number, held_by in re.findall(r"^\| (\d+) \| [^|]+ \| (.+) \|$", PAGE, flags=re.MULTILINE)
}
CATALOGUE = range(1, 58)


def test_every_fault_of_the_catalogue_has_a_test_or_a_reason() -> None:
    assert list(ROWS) == list(CATALOGUE)
    assert {number for number, held_by in ROWS.items() if not re.search(r"`test_|\*\*", held_by)} == {57}
    assert "not a test" in ROWS[57]


def test_every_test_that_is_named_exists() -> None:
    there = {
        name
        for file in (REPOSITORY / "tests").rglob("test_*.py")
        for name in re.findall(r"^ *(?:async )?def (test_\w+)", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }
    assert set(re.findall(r"`(test_\w+)`", PAGE)) - there == set()


def test_every_fault_of_the_torture_is_named_where_it_belongs() -> None:
    named = {(number, name) for number, held_by in ROWS.items() for name in re.findall(r"\*\*([^*]+)\*\*", held_by)}
    assert {name for _, name in named} == {fault.name for fault in FAULTS}
    assert {(number, fault.name) for fault in FAULTS for number in fault.rows} == named
