from datetime import UTC, datetime, timedelta

from recorder.simulator.clock import epoch_ms
from recorder.simulator.scenario import Scenario
from recorder.simulator.session import Session

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=5)


def test_a_session_describes_itself_before_during_and_after_a_logon() -> None:
    main = Scenario().world(seed=1, start=NOON).accounts["main"]
    session = Session(connected_at=NOON)
    nobody = {
        "apiKey": None,
        "authorizedSince": None,
        "connectedSince": epoch_ms(NOON),
        "returnRateLimits": True,
        "serverTime": epoch_ms(LATER),
    }
    assert session.describe(LATER) == nobody
    session.log_on(main, LATER)
    somebody = {"apiKey": main.key.api_key, "authorizedSince": epoch_ms(LATER)}
    assert session.describe(LATER) == {**nobody, **somebody}
    session.log_out()
    assert session.describe(LATER) == nobody
