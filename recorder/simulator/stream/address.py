"""The addresses of user data streams: what a path asks for."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One listenKey.

    Attributes:
        events: The types wanted; ``None`` is all.
    """

    listen_key: str
    events: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What a connection asks for.

    Attributes:
        wrapped: Whether each event comes inside ``{"stream": …, "data": …}``.
        retired: Whether this is an address of old, which is accepted and stays mute.
    """

    subscriptions: tuple[Subscription, ...] = ()
    wrapped: bool = False
    retired: bool = False


def parse_address(target: str) -> Address | None:
    """Read the target of a handshake, path and query; ``None`` if no streams are there.

    In the query each ``events``, types joined by slashes, belongs to the ``listenKey`` before it; ``streams`` are keys
    joined by slashes.
    """
    url = urlsplit(target)
    match [unquote(part) for part in url.path.strip("/").split("/")]:
        case ["ws" | "stream", *_]:
            return Address(retired=True)
        case ["private", "ws", listen_key]:
            return Address(subscriptions=_subscriptions([("listenKey", listen_key), *parse_qsl(url.query)]))
        case ["private", "ws"]:
            return Address(subscriptions=_subscriptions(parse_qsl(url.query)))
        case ["private", "stream"]:
            return Address(subscriptions=_subscriptions(parse_qsl(url.query)), wrapped=True)
        case _:
            return None


def _subscriptions(query: list[tuple[str, str]]) -> tuple[Subscription, ...]:
    found: list[Subscription] = []
    for name, value in query:
        if name == "listenKey":
            found.append(Subscription(listen_key=value))
        elif name == "streams":
            found += [Subscription(listen_key=key) for key in value.split("/")]
        elif name == "events" and found:
            found[-1] = Subscription(listen_key=found[-1].listen_key, events=frozenset(value.split("/")))
    return tuple(found)
