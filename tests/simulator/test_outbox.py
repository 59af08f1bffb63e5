from datetime import UTC, datetime, timedelta

from recorder.simulator.knobs import Cut, Disconnect, EventFault, Garbage, Late, Repeated, Silence, Swapped
from recorder.simulator.stream.outbox import Outbox, Parcel

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def texts(*faults: EventFault | None, until: datetime = NOON) -> list[str]:
    outbox = Outbox()
    for number, fault in enumerate(faults):
        outbox.put(Parcel("main", "A", str(number)), NOON, fault)
    return [parcel.text for parcel in outbox.due(until)]


def test_events_keep_the_order_in_which_they_came() -> None:
    assert texts(None, None, None) == ["0", "1", "2"]


def test_events_wait_for_their_time() -> None:
    outbox = Outbox()
    outbox.put(Parcel("main", "A", "later"), NOON + SECOND)
    outbox.put(Parcel("main", "A", "now"), NOON)
    assert [parcel.text for parcel in outbox.due(NOON)] == ["now"]
    assert [parcel.text for parcel in outbox.due(NOON + SECOND)] == ["later"]
    assert outbox.due(NOON + SECOND) == []


def test_events_are_lost_and_repeated() -> None:
    assert texts(None, Silence(), Repeated(), None) == ["0", "2", "2", "3"]


def test_a_swapped_event_comes_after_the_next_whatever_becomes_of_that() -> None:
    assert texts(Swapped(), None, None) == ["1", "0", "2"]
    assert texts(Swapped(), Silence(), None) == ["0", "2"]
    assert texts(Swapped(), Swapped(), None) == ["0", "2", "1"]
    assert texts(Swapped()) == []


def test_a_late_event_is_overtaken() -> None:
    assert texts(Late(SECOND), None) == ["1"]
    assert texts(Late(SECOND), None, until=NOON + SECOND) == ["1", "0"]


def test_faults_of_sending_stay_with_the_event() -> None:
    outbox = Outbox()
    faults: list[EventFault] = [Cut(), Disconnect(), Garbage(b"{")]
    for fault in faults:
        outbox.put(Parcel("main", "A", "text"), NOON, fault)
    assert [parcel.fault for parcel in outbox.due(NOON)] == faults
