import pytest

from recorder.binance.stopped import StoppedAccounts
from recorder.exceptions import AccountRejected, AnswerTimeout

REFUSED = AccountRejected("the key is bad", why="because", fix="mend it")


def test_a_stopped_account_is_refused_as_before_and_others_are_not() -> None:
    stopped = StoppedAccounts()
    stopped.stop("main", REFUSED)
    with pytest.raises(AccountRejected) as caught:
        stopped.check("main")
    assert (caught.value.what, caught.value.why, caught.value.fix) == ("the key is bad", "because", "mend it")
    stopped.check("hedge")


def test_every_hour_one_request_is_let_through() -> None:
    now = 0.0
    stopped = StoppedAccounts(lambda: now)
    stopped.stop("main", REFUSED)
    for _ in range(2):
        now += 3_601
        stopped.check("main")
        with pytest.raises(AccountRejected):
            stopped.check("main")


def test_an_account_that_is_answered_is_free_again() -> None:
    stopped = StoppedAccounts()
    stopped.stop("main", REFUSED)
    stopped.release("main")
    stopped.check("main")


def test_the_outcome_of_a_request_stops_and_releases_its_account() -> None:
    now = 0.0
    stopped = StoppedAccounts(lambda: now)
    with pytest.raises(AccountRejected), stopped.request("main"):
        raise REFUSED
    with pytest.raises(AccountRejected, match="the key is bad"), stopped.request("main"):
        pytest.fail("nothing is asked for an account that is stopped")
    now += 3_601
    with stopped.request("main"):
        pass
    stopped.check("main")


def test_other_errors_stop_no_account() -> None:
    stopped = StoppedAccounts()
    with pytest.raises(AnswerTimeout), stopped.request("main"):
        raise AnswerTimeout("slow")
    stopped.check("main")
