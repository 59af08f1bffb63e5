import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from recorder.simulator.knobs import Knobs, Repeated, Silence
from recorder.simulator.listen_keys import ListenKeys
from recorder.simulator.scenario import LEDGER, Scenario
from recorder.simulator.stream.address import Address, Subscription
from recorder.simulator.stream.feed import Feed
from recorder.simulator.world import World

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def feed(world: World, knobs: Knobs | None = None, events: frozenset[str] | None = None) -> Feed:
    """What a stream of "main" gets that lasts a day and more."""
    keys = ListenKeys(timedelta(days=2))
    subscription = Subscription(listen_key=keys.start("main", world.now), events=events)
    return Feed(
        Address(subscriptions=(subscription,)),
        world=world,
        listen_keys=keys,
        knobs=knobs or Knobs(),
        now=world.now,
    )


def day(fed: Feed, world: World) -> list[str]:
    """Go through a day by the hour and return what was sent."""
    sent = []
    for hour in range(1, 26):
        world.advance(START + hour * HOUR)
        sent += [parcel.text for parcel in fed.due(world.now)]
    return sent


def test_a_stream_carries_everything_from_the_moment_it_is_opened() -> None:
    world = LEDGER.world(seed=1, start=START)
    account = world.accounts["main"]
    before = len(account.truth.happenings)
    sent = day(feed(world), world)
    told = [event.text for event in world.events(account, before) if event.sent_at <= world.now]
    assert sent == told
    assert len(sent) > 100


def test_types_that_are_not_wanted_are_left_out() -> None:
    world = LEDGER.world(seed=1, start=START)
    sent = day(feed(world, events=frozenset({"ACCOUNT_UPDATE"})), world)
    assert {json.loads(text)["e"] for text in sent} == {"ACCOUNT_UPDATE"}


def test_a_share_of_the_events_is_lost_and_another_repeated_the_same_ones_each_time() -> None:
    def lossy() -> list[str]:
        knobs = Knobs()
        knobs.on_event(Silence(), chance=0.2, times=None)
        knobs.on_event(Repeated(), chance=0.1, times=None)
        world = LEDGER.world(seed=1, start=START)
        return day(feed(world, knobs), world)

    world = LEDGER.world(seed=1, start=START)
    whole = day(feed(world), world)
    sent = lossy()
    assert sent == lossy()
    assert 0.7 < len(set(sent)) / len(whole) < 0.9
    assert 0.04 < (len(sent) - len(set(sent))) / len(whole) < 0.13
    assert [text for text in whole if text in set(sent)] == list(dict.fromkeys(sent))


def test_a_key_that_expires_says_so_once_and_ends_the_feed() -> None:
    world = Scenario().world(seed=1, start=START)
    keys = ListenKeys(HOUR)
    subscription = Subscription(listen_key=keys.start("main", START))
    fed = Feed(Address(subscriptions=(subscription,)), world=world, listen_keys=keys, knobs=Knobs(), now=START)
    world.advance(START + HOUR)
    (*_, last) = fed.due(world.now)
    assert last.type == "listenKeyExpired"
    world.accounts["main"].fill("LTCUSDT", "BOTH", Decimal(1), Decimal(80), time=world.now)
    assert fed.due(world.now + HOUR) == []
    assert fed.listen_keys == []
