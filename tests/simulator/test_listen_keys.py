from datetime import UTC, datetime, timedelta

import pytest

from recorder.simulator.errors import ApiError
from recorder.simulator.listen_keys import ListenKeys, Standing

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_starting_again_gives_the_same_key_and_prolongs_it() -> None:
    keys = ListenKeys()
    key = keys.start("main", NOON)
    assert keys.start("main", NOON + 0.9 * HOUR) == key
    assert keys.start("main", NOON + 1.8 * HOUR) == key
    assert keys.start("hedge", NOON) != key


def test_an_hour_after_it_was_last_asked_for_a_key_is_gone() -> None:
    keys = ListenKeys()
    key = keys.start("main", NOON)
    assert keys.ping("main", NOON + 0.9 * HOUR) == key
    with pytest.raises(ApiError) as caught:
        keys.ping("main", NOON + 1.9 * HOUR)
    assert caught.value.code == -1125
    assert keys.start("main", NOON + 2 * HOUR) != key


def test_a_stopped_key_is_gone_at_once() -> None:
    keys = ListenKeys()
    keys.start("main", NOON)
    keys.stop("main")
    keys.stop("main")
    with pytest.raises(ApiError):
        keys.ping("main", NOON)


def test_a_key_knows_its_account_and_how_it_stands() -> None:
    keys = ListenKeys()
    key = keys.start("main", NOON)
    stopped = keys.start("hedge", NOON)
    keys.stop("hedge")
    assert [keys.account(each) for each in (key, stopped, "other")] == ["main", "hedge", None]
    standings = [keys.standing(each, NOON) for each in (key, stopped, "other")]
    assert standings == [Standing.VALID, Standing.STOPPED, Standing.UNKNOWN]
    assert keys.standing(key, NOON + HOUR) is Standing.EXPIRED


def test_a_key_can_expire_early_and_lives_as_long_as_was_set() -> None:
    keys = ListenKeys(HOUR / 60)
    key = keys.start("main", NOON)
    assert keys.standing(key, NOON + HOUR / 60) is Standing.EXPIRED
    keys.life = HOUR
    renewed = keys.start("main", NOON + HOUR / 60)
    assert renewed != key
    keys.expire("main", NOON + HOUR / 2)
    keys.expire("hedge", NOON)
    assert keys.standing(renewed, NOON + HOUR / 2) is Standing.EXPIRED
