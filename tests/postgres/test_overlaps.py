"""Gaps of one account and source never overlap, whoever tells of them in whatever order; nothing of them is lost."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise, permutations
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.beginning import Beginning
from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.postgres.beginnings import own_up_for_earlier
from recorder.postgres.engine import create_engine
from recorder.postgres.gaps import open_gaps
from recorder.postgres.schema import upgrade
from recorder.postgres.verification.check import put
from recorder.postgres.verification.gaps import GAPS
from recorder.recording import write
from tests.conftest import Server
from tests.postgres.logins import MINUTE, NOON

Told = tuple[datetime, datetime | None, str]
EVER = NOON + timedelta(days=365)
VIEW = """
    SELECT account, source, started_at, ended_at, reason FROM bi.gap WHERE symbol IS NULL
    ORDER BY account, source, started_at
"""


def gap(
    begin: float,
    end: float | None = None,
    reason: GapReason = GapReason.TOOK_OVER,
    *,
    account: str = "main",
    source: GapSource = GapSource.STREAM,
) -> Gap:
    return Gap(
        account=account,
        source=source,
        started_at=NOON + begin * MINUTE,
        ended_at=None if end is None else NOON + end * MINUTE,
        reason=reason,
    )


async def seen(engine: AsyncEngine, account: str = "main", source: str = "stream") -> list[Told]:
    async with engine.connect() as connection:
        rows = (await connection.execute(text(VIEW))).all()
    return [row[2:] for row in rows if row[:2] == (account, source)]


def told(*gaps: Gap) -> list[Told]:
    return [(each.started_at, each.ended_at, str(each.reason)) for each in gaps]


def union(gaps: Iterable[tuple[datetime, datetime | None]]) -> list[tuple[datetime, datetime]]:
    """What is covered by any of *gaps*, as intervals that do not touch."""
    joined: list[tuple[datetime, datetime]] = []
    for begin, end in sorted((begin, end or EVER) for begin, end in gaps):
        if begin == end:
            continue
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((begin, end))
    return joined


async def violations(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return (await put(connection, GAPS, account=None, since=None, until=None, examples=5)).found


@pytest.mark.every_postgres
async def test_the_gaps_of_two_take_overs_within_seconds_are_one(engine: AsyncEngine) -> None:
    for given_ in (gap(0), gap(8), gap(8, 9), gap(0, 9)):
        await write(engine, [given_])
    assert await seen(engine) == told(gap(0, 9))


async def test_the_order_in_which_gaps_are_told_of_does_not_matter(engine: AsyncEngine) -> None:
    lost = GapReason.CONNECTION_LOST
    one, two, three = gap(0, 4, lost), gap(2, 6), gap(3, 5, lost)
    for number, order in enumerate(permutations((one, two, three))):
        account = f"a{number}"
        for each in order:
            await write(engine, [replace(each, account=account)])
        assert await seen(engine, account) == told(gap(0, 2, lost), gap(2, 6))


async def test_a_gap_that_another_one_covered_is_there_again_when_that_was_shorter(engine: AsyncEngine) -> None:
    await write(engine, [gap(5, reason=GapReason.CONNECTION_LOST)])
    await write(engine, [gap(0, reason=GapReason.NOT_RUNNING)])
    assert await seen(engine) == told(gap(0, reason=GapReason.NOT_RUNNING))
    await write(engine, [gap(0, 2, GapReason.NOT_RUNNING)])
    assert await seen(engine) == told(gap(0, 2, GapReason.NOT_RUNNING), gap(5, reason=GapReason.CONNECTION_LOST))


async def test_whoever_takes_over_takes_over_also_what_another_gap_covers(engine: AsyncEngine) -> None:
    await write(engine, [gap(0), gap(1), gap(2), gap(3, 4)])
    async with engine.connect() as connection:
        assert [each.started_at for each in await open_gaps(connection, ["main"])] == [
            NOON, NOON + MINUTE, NOON + 2 * MINUTE,
        ]  # fmt: skip
    assert await seen(engine) == told(gap(0))


async def test_gaps_of_other_accounts_and_sources_stay_as_they_are(engine: AsyncEngine) -> None:
    other, sampled = gap(1, 3, account="other"), gap(1, 3, source=GapSource.SNAPSHOT)
    await write(engine, [gap(0, 9), other, sampled])
    assert await seen(engine, "other") == told(other)
    assert await seen(engine, source="snapshot") == told(sampled)


async def test_what_the_ledgers_filled_is_not_filled_any_more_when_it_grows(engine: AsyncEngine) -> None:
    await write(engine, [gap(0, 5), gap(3, 9)])
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE recorder.gap SET repaired_by = 'ledgers'"))
    await write(engine, [gap(3, 3)])
    async with engine.connect() as connection:
        rows = (
            await connection.execute(text("SELECT ended_at, repaired_by FROM recorder.gap ORDER BY started_at"))
        ).all()
    assert rows == [(NOON + 5 * MINUTE, None), (NOON + 3 * MINUTE, "ledgers")]


MINUTES = st.integers(0, 12)
STATEMENTS = st.lists(
    st.tuples(
        MINUTES,
        st.none() | MINUTES,
        st.sampled_from([GapReason.TOOK_OVER, GapReason.KEY_REJECTED, GapReason.SPOOL_DAMAGED]),
        st.sampled_from(GapSource),
    ),
    min_size=2,
    max_size=9,
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(statements=STATEMENTS, data=st.data())
def test_no_interleaving_of_what_several_recorders_tell_leaves_an_overlap_or_loses_anything(
    database: str, statements: Sequence[tuple[int, int | None, GapReason, GapSource]], data: st.DataObject
) -> None:
    """Each statement is written alone or together with the next ones, and in another order for a second account."""
    gaps = [
        gap(begin, None if length is None else begin + length, reason, source=source)
        for begin, length, reason, source in statements
    ]
    again = data.draw(st.permutations(gaps))
    sizes = data.draw(st.lists(st.integers(1, 3), min_size=len(gaps), max_size=len(gaps)))
    asyncio.run(_hold(database, gaps, again, sizes))


async def _hold(database: str, gaps: Sequence[Gap], again: Sequence[Gap], sizes: Sequence[int]) -> None:
    engine = create_engine(database)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM recorder.gap"))
        left, so_far = list(gaps), list[Gap]()
        for size in sizes:
            part, left = left[:size], left[size:]
            so_far += part
            await write(engine, part)
            for source in GapSource:
                await _assert_apart_and_whole(engine, [each for each in so_far if each.source is source], source)
        for each in again:
            await write(engine, [replace(each, account="other")])
        for source in GapSource:
            spans = [row[:2] for row in await seen(engine, "other", source)]
            assert spans == [row[:2] for row in await seen(engine, "main", source)]
        assert await violations(engine) == 0
    finally:
        await engine.dispose()


async def _assert_apart_and_whole(engine: AsyncEngine, gaps: Sequence[Gap], source: GapSource) -> None:
    found = await seen(engine, "main", source)
    assert all(one[1] is not None and one[1] <= two[0] for one, two in pairwise(found)), found
    shortest: dict[datetime, datetime | None] = {}
    for each in gaps:
        ends = [end for end in (shortest.get(each.started_at), each.ended_at) if end]
        shortest[each.started_at] = min(ends) if ends else None
    assert union(row[:2] for row in found) == union(shortest.items())


@pytest.mark.every_postgres
async def test_owning_up_for_an_earlier_process_leaves_no_overlap(engine: AsyncEngine) -> None:
    await write(engine, [gap(0), gap(2)])
    async with engine.begin() as connection:  # as it was before gaps were set apart
        await connection.execute(text("UPDATE recorder.gap SET ended_at = NULL, told_until = NULL"))
    async with engine.begin() as connection:
        now = NOON + 9 * MINUTE
        await own_up_for_earlier(connection, [Beginning(account="main", since=now, began=now)], MINUTE)
    assert await seen(engine) == told(gap(0))
    assert await violations(engine) == 0


@pytest.mark.every_postgres
async def test_overlaps_of_an_older_schema_are_gone_after_its_upgrade(database: str) -> None:
    server, older = Server(database), f"test_{uuid4().hex}"
    await server.command(f"CREATE DATABASE {older}")
    engine = create_engine(server.database(older))
    try:
        await upgrade(engine, "0001")
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO recorder.account (name) VALUES ('main')"))
            told_of = """
                INSERT INTO recorder.gap (account_id, source, started_at, ended_at, reason)
                VALUES (1, 'stream', :started, :ended, 'took_over')
            """
            for begin, end in ((0, None), (2, 4), (3, None)):
                each = gap(begin, end)
                await connection.execute(text(told_of), {"started": each.started_at, "ended": each.ended_at})
        await upgrade(engine)
        assert await seen(engine) == told(gap(0))
        await write(engine, [gap(0, 1)])  # what the others said is not forgotten
        assert await seen(engine) == told(gap(0, 1), gap(2, 3), gap(3))
        assert await violations(engine) == 0
    finally:
        await engine.dispose()
        await server.drop(older, owner="recorder")
