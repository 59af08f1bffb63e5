from tests.faults.fuzz import fuzz


def test_a_spoilt_message_is_understood_refused_or_kept() -> None:
    outcomes = fuzz(20_000, seed=1)
    assert outcomes.keys() >= {"understood", "refused", "kept", "passed over"}
    assert min(outcomes.values()) > 100
