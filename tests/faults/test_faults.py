"""Every fault of the torture in bounded form, a group of them to one recorder."""

from collections.abc import Sequence
from random import Random

import pytest

from tests.faults import database_faults, exchange_faults, process_faults, spool_faults
from tests.faults.disk import compiler
from tests.faults.fault import Fault, provoke
from tests.faults.ground import Ground

GROUPS = {
    "database": database_faults.FAULTS,
    "process": process_faults.FAULTS,
    "spool": spool_faults.FAULTS,
    "exchange": exchange_faults.FAULTS,
}


@pytest.mark.skipif(not compiler(), reason="a disk that fails on request takes a C compiler")
@pytest.mark.parametrize("faults", [pytest.param(group, id=name) for name, group in GROUPS.items()])
async def test_whatever_fails_nothing_is_lost_doubled_or_invented(ground: Ground, faults: Sequence[Fault]) -> None:
    await ground.begin(faults)
    for fault in faults:
        await provoke(ground, fault, fault.times[0], Random(1))  # noqa: S311 - not secret
    verdict = await ground.verdict()
    assert verdict.judged > 100
    assert str(verdict) == "nothing is wrong"
