from hypothesis import given
from hypothesis import strategies as st

from recorder.recording import pause_after


@given(st.integers(1, 10**9))
def test_however_long_postgresql_is_away_the_next_try_is_at_most_five_seconds_off(failures: int) -> None:
    assert 0.1 <= pause_after(failures) <= 5


def test_a_first_failure_is_tried_again_at_once() -> None:
    assert pause_after(1) <= 0.2
