"""The codec: items as the spool keeps them, exact to the last digit, as JSON that a person can read in need.

A payload is ``[kind, item]``, deflated when it is long. Fields are named, so that a version with more of them reads
what one with fewer wrote.
"""

import zlib
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec

from recorder.domain.beginning import Beginning
from recorder.domain.event import AccountUpdate, Arrival, KeptEvent, ListenKeyExpired, Told, Trade
from recorder.domain.gap import Gap
from recorder.domain.item import Item
from recorder.domain.snapshot import Snapshot
from recorder.domain.stream import StreamState
from recorder.exceptions import UnknownRecord

_DEFLATED = b"x"  # what zlib's header begins with; JSON's array does not
_LONG = 1024
_LONGEST_TEXT = 64 * 1024 * 1024


class _Snapshot(msgspec.Struct):
    """A snapshot whose positions lack ``extra``: by their place, as the exchange wrote it, where there is any.

    There a number is a number, and elsewhere the text of one, so that no digit and no sign is lost.
    """

    snapshot: Snapshot
    extra: dict[int, msgspec.Raw]


class _Told(msgspec.Struct):
    account: str
    arrival: Arrival


class _Update(_Told):
    event: AccountUpdate


class _Trade(_Told):
    event: Trade


class _Kept(_Told):
    event: KeptEvent


class _Expired(_Told):
    event: ListenKeyExpired


_Wire = _Snapshot | _Update | _Trade | _Kept | _Expired | Gap | StreamState | Beginning
_KINDS: dict[str, msgspec.json.Decoder[_Wire]] = {
    kind: msgspec.json.Decoder(wire)
    for kind, wire in {
        "snapshot": _Snapshot,
        "gap": Gap,
        "stream": StreamState,
        "beginning": Beginning,
        "update": _Update,
        "trade": _Trade,
        "kept": _Kept,
        "expired": _Expired,
    }.items()
}
_EVENTS = {AccountUpdate: "update", Trade: "trade", KeptEvent: "kept", ListenKeyExpired: "expired"}
_ENVELOPE = msgspec.json.Decoder(tuple[str, msgspec.Raw])
_EXACT = msgspec.json.Encoder()
_AS_SENT = msgspec.json.Encoder(decimal_format="number")
_EXTRA: msgspec.json.Decoder[Mapping[str, Any]] = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


def kind_of(item: Item) -> str:
    """Return the name of what *item* is, as the spool and the dead letters call it."""
    match item:
        case Told():
            return _EVENTS[type(item.event)]
        case Snapshot():
            return "snapshot"
        case Gap():
            return "gap"
        case StreamState():
            return "stream"
        case Beginning():
            return "beginning"


def encode_text(item: Item) -> bytes:
    """Return *item* as JSON."""
    return _EXACT.encode((kind_of(item), _wire(item)))


def encode_item(item: Item) -> bytes:
    """Return *item* as the payload of a record."""
    text = encode_text(item)
    return zlib.compress(text, 1) if len(text) > _LONG else text


def decode_item(payload: bytes) -> Item:
    """Return the item that ``encode_item`` or ``encode_text`` wrote, also in an earlier version.

    Raises ``UnknownRecord`` for what this version does not know.
    """
    try:
        kind, body = _ENVELOPE.decode(_inflated(payload))
        if kind not in _KINDS:
            raise UnknownRecord(f"a record of the unknown kind {kind!r}", fix="install the version that wrote it")
        return _item(_KINDS[kind].decode(body))
    except (msgspec.MsgspecError, zlib.error, ValueError) as error:
        raise UnknownRecord("a record that cannot be read", why=str(error)) from error


def _inflated(payload: bytes) -> bytes:
    if not payload.startswith(_DEFLATED):
        return payload
    inflater = zlib.decompressobj()
    text = inflater.decompress(payload, _LONGEST_TEXT)
    if not inflater.eof:
        raise ValueError("the deflated text ends early, or is longer than any")
    return text


def _wire(item: Item) -> _Wire:
    match item:
        case Snapshot():
            extra = {
                place: msgspec.Raw(_AS_SENT.encode(position.extra))
                for place, position in enumerate(item.positions)
                if position.extra
            }
            if extra:
                item = replace(item, positions=tuple(replace(each, extra={}) for each in item.positions))
            return _Snapshot(item, extra)
        case Told(account, arrival, event):
            match event:
                case AccountUpdate():
                    return _Update(account, arrival, event)
                case Trade():
                    return _Trade(account, arrival, event)
                case KeptEvent():
                    return _Kept(account, arrival, event)
                case ListenKeyExpired():
                    return _Expired(account, arrival, event)
        case _:
            return item


def _item(wire: _Wire) -> Item:
    match wire:
        case _Snapshot(snapshot, extra):
            if not extra:
                return snapshot
            positions = list(snapshot.positions)
            for place, text in extra.items():
                positions[place] = replace(positions[place], extra=_EXTRA.decode(text))
            return replace(snapshot, positions=tuple(positions))
        case _Update() | _Trade() | _Kept() | _Expired():
            return Told(wire.account, wire.arrival, wire.event)
        case _:
            return wire
