from recorder.process.pausing import pause_after


def test_pauses_double_up_to_the_longest_however_many_failures_there_are() -> None:
    assert all(0.05 <= pause_after(1, longest=30) <= 0.1 for _ in range(100))
    assert all(15 <= pause_after(number, longest=30) <= 30 for number in (10, 1_000_000))
    assert pause_after(10**9, longest=2) <= 2


def test_the_first_four_tries_come_within_five_seconds() -> None:
    assert sum(pause_after(number, longest=30) for number in range(1, 5)) < 5
