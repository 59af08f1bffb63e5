"""Refusals: what is written in place of an item that PostgreSQL refuses."""

from dataclasses import replace

from recorder.domain.event import AccountUpdate, KeptEvent, Told, Trade
from recorder.domain.item import Item
from recorder.domain.snapshot import Outcome, Snapshot
from recorder.exceptions import StorageRefused
from recorder.postgres.dead_letters import DeadLetter
from recorder.spool.codec import encode_text, kind_of


def substitute(item: Item, error: StorageRefused) -> Item | None:
    """Return what can still be said: the slot was answered, the message came. ``None`` when that is nothing."""
    match item:
        case Snapshot(outcome=Outcome.OK):
            return replace(item, outcome=Outcome.REFUSED_BY_DATABASE, detail=error.why, positions=(), balances=())
        case Told(event=(AccountUpdate() | Trade()) as event):
            return replace(item, event=KeptEvent(kind="", event_time=None, raw=event.raw))
        case _:
            return None


def dead_letter(item: Item, error: StorageRefused) -> DeadLetter:
    """Return *item* to the last byte, with the reason."""
    return DeadLetter(
        account=item.account,
        kind=kind_of(item),
        reason=error.why,
        sqlstate=error.sqlstate,
        payload=encode_text(item),
    )
