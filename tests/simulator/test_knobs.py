from recorder.simulator.knobs import Closed, Knobs, Repeated, Silence, Slammed

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


def test_faults_of_events_are_for_an_account_and_a_type_and_counted() -> None:
    knobs = Knobs()
    knobs.on_event(Silence(), account="main", event="MARGIN_CALL", times=2)
    assert knobs.for_event("hedge", "MARGIN_CALL") is None
    assert knobs.for_event("main", "ACCOUNT_UPDATE") is None
    assert [knobs.for_event("main", "MARGIN_CALL") for _ in range(3)] == [Silence(), Silence(), None]
    knobs.on_event(Repeated(), times=None)
    assert knobs.for_event("main", "x") == Repeated()
    knobs.clear()
    assert knobs.for_event("main", "x") is None


def test_faults_by_chance_are_the_same_for_the_same_seed_and_leave_the_rest_to_others() -> None:
    def met(seed: int) -> list[object]:
        knobs = Knobs()
        knobs.random.seed(seed)
        knobs.on_event(Silence(), chance=0.2, times=None)
        knobs.on_event(Repeated(), chance=0.5, times=None)
        return [knobs.for_event("main", "x") for _ in range(1000)]

    faults = met(1)
    assert faults == met(1) != met(2)
    assert 150 < faults.count(Silence()) < 250
    assert 340 < faults.count(Repeated()) < 460


def test_handshakes_of_streams_have_faults_of_their_own() -> None:
    knobs = Knobs()
    knobs.on_handshake(Closed(503), door="stream")
    assert knobs.for_handshake() is None
    assert knobs.for_handshake("stream") == Closed(503)
    assert knobs.for_handshake("stream") is None
