from recorder.simulator.knobs import Closed, Knobs, Silence, Slammed

POSITIONS = "v2/account.position"
BALANCE = "v2/account.balance"


def test_a_fault_is_met_as_often_as_was_asked_for() -> None:
    knobs = Knobs()
    knobs.on_request(Silence(), times=2)
    assert [knobs.for_request("main", POSITIONS) for _ in range(3)] == [Silence(), Silence(), None]


def test_a_fault_without_a_count_is_met_until_it_is_cleared() -> None:
    knobs = Knobs()
    knobs.on_request(Silence(), times=None)
    assert [knobs.for_request("main", POSITIONS) for _ in range(3)] == [Silence()] * 3
    knobs.clear()
    assert knobs.for_request("main", POSITIONS) is None


def test_a_fault_can_be_for_one_account() -> None:
    knobs = Knobs()
    knobs.on_request(Silence(), account="hedge")
    assert knobs.for_request("main", POSITIONS) is None
    assert knobs.for_request(None, POSITIONS) is None
    assert knobs.for_request("hedge", POSITIONS) == Silence()


def test_a_fault_is_for_position_requests_unless_said_otherwise() -> None:
    knobs = Knobs()
    knobs.on_request(Silence())
    assert knobs.for_request("main", BALANCE) is None
    knobs.on_request(Silence(), method=None)
    assert knobs.for_request("main", BALANCE) == Silence()


def test_the_oldest_fault_that_fits_comes_first() -> None:
    knobs = Knobs()
    knobs.on_handshake(Closed(503), times=2)
    knobs.on_handshake(Slammed())
    assert [knobs.for_handshake() for _ in range(4)] == [Closed(503), Closed(503), Slammed(), None]
