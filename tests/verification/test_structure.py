"""A database that is not built as it must be is found out."""

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.verification.damage import do, one, violated


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("ALTER TABLE recorder.gap DROP CONSTRAINT gap_pkey", "recorder.gap: no primary key of account_id, source"),
        (
            "CREATE INDEX half_made ON ONLY recorder.sample (update_time)",
            "recorder.half_made: this index is not valid",
        ),
        ("ALTER TABLE recorder.change ADD CONSTRAINT later CHECK (symbol <> 'X') NOT VALID", "constraint later"),
    ],
)
async def test_keys_that_guard_nothing_are_found(month: AsyncConnection, damage: str, words: str) -> None:
    await do(month, damage)
    found = await violated(month)
    assert list(found) == ["keys"]
    assert words in found["keys"][0].what


@pytest.mark.parametrize("parent", ["sample", "balance"])
async def test_a_missing_partition_is_found(month: AsyncConnection, parent: str) -> None:
    (name,) = await one(month, f"SELECT '{parent}_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')")
    await do(month, f"DROP TABLE recorder.{name}")
    found = await violated(month)
    assert list(found) == ["partitions"]
    assert [each.what for each in found["partitions"]] == [f"recorder.{parent}: no partition of this month"]


async def test_rows_in_a_default_partition_are_found_and_so_is_its_absence(month: AsyncConnection) -> None:
    await do(
        month,
        "ALTER TABLE recorder.sample DETACH PARTITION recorder.sample_2026_03",
        "INSERT INTO recorder.sample SELECT * FROM recorder.sample_2026_03",
        "DROP TABLE recorder.balance_default",
        "CREATE TABLE recorder.balance_default (LIKE recorder.balance, PRIMARY KEY (account_id, time, asset))",
    )
    found = await violated(month)
    assert list(found) == ["partitions"]
    assert [each.account for each in found["partitions"]] == ["bnb", "hedge", "isolated", "main", None]


async def test_a_reader_with_more_rights_than_schema_bi_is_found(month: AsyncConnection) -> None:
    await do(month, "GRANT SELECT ON recorder.income TO recorder_reader")
    found = await violated(month)
    assert list(found) == ["rights"]
    assert [each.what for each in found["rights"]] == ["recorder_reader may read recorder.income"]
