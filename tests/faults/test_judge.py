"""The judge sees what is wrong: a proof that anything passes is none."""

import asyncio
import re
from datetime import timedelta

from tests.faults.fault import UNTIL_IT_SHOWS
from tests.faults.ground import Ground
from tests.faults.judge import judge

MAIN = "(SELECT id FROM recorder.account WHERE name = 'main')"
ONE = "account_id = 1 AND ctid = (SELECT ctid FROM {table} WHERE account_id = 1 AND time > $1 ORDER BY time LIMIT 1)"
TAMPERINGS = {
    "DELETE FROM recorder.fill WHERE " + ONE.format(table="recorder.fill"): "lost: main: fill",
    "DELETE FROM recorder.balance_change WHERE " + ONE.format(table="recorder.balance_change"): "lost: main: balance",
    "DELETE FROM recorder.change WHERE account_id = 1 AND update_time > $1 AND source = 'stream'": "lost: main: state",
    "DELETE FROM recorder.snapshot WHERE "
    + ONE.format(table="recorder.snapshot"): "lost: main: nothing is said of slot",
    "UPDATE recorder.snapshot SET outcome = 'malformed', position_count = 0 WHERE "
    + ONE.format(table="recorder.snapshot"): "lost: main: answer of",
    "UPDATE recorder.fill SET price = price * 1.0 WHERE " + ONE.format(table="recorder.fill"): "invented: main: fill",
    "UPDATE recorder.sample SET mark_price = mark_price * 1.0 WHERE account_id = 1 AND time > $1 + interval '1 s'": (
        "invented: main: snapshot of"
    ),
    "UPDATE recorder.balance_change SET wallet_balance = wallet_balance + 1 WHERE "
    + ONE.format(table="recorder.balance_change"): "invented: main: balance",
    """
    WITH one AS (
      INSERT INTO recorder.snapshot (account_id, time, kind, taken_at, outcome, position_count, duration_ms)
      SELECT account_id, time + interval '1 ms', kind, taken_at, outcome, position_count, duration_ms
      FROM recorder.snapshot WHERE account_id = 1 AND time > $1 LIMIT 1 RETURNING account_id, time)
    INSERT INTO recorder.sample
    SELECT (jsonb_populate_record(s, jsonb_build_object('time', one.time))).*
    FROM one JOIN recorder.sample s ON s.account_id = one.account_id AND s.time = one.time - interval '1 ms'
    """: "doubled: main: snapshot of",
    "INSERT INTO recorder.gap VALUES (1, 'stream', $1, $1 + interval '1 s', 'silent')": "could see then",
    "INSERT INTO recorder.gap VALUES (1, 'stream', $1, NULL, 'silent')": "has no end",
    "INSERT INTO recorder.gap VALUES (1, 'snapshot', $1, $1 + interval '2 s', 'not_running')": "and in a gap",
}


async def test_whatever_is_tampered_with_is_seen(ground: Ground) -> None:
    await ground.begin()
    await asyncio.sleep(2 * UNTIL_IT_SHOWS)
    assert str(await ground.verdict()) == "nothing is wrong"
    until = await ground.fresh() - timedelta(milliseconds=500)
    await ground.stop()
    for sql, wanted in TAMPERINGS.items():
        transaction = ground.tables.transaction()
        await transaction.start()
        await _tamper(ground, sql)
        verdict = str(await judge(ground.tables, ground.exchange, since=ground.since, until=until))
        assert re.search(re.escape(wanted), verdict), f"{sql}\n{verdict}"
        await transaction.rollback()


async def _tamper(ground: Ground, sql: str) -> None:
    sql = sql.replace("account_id = 1", f"account_id = {MAIN}").replace("(1, '", f"({MAIN}, '")
    tag = await ground.tables.execute(sql.replace("$1", "CAST($1 AS timestamptz)"), ground.since)
    assert not tag.endswith(" 0"), f"nothing was done: {sql}"
