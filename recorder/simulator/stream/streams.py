"""The user data streams: real sockets, and the beat that moves the world on while somebody listens."""

import json
from asyncio import Event, sleep
from contextlib import suppress

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed

from recorder.simulator.clock import Clock
from recorder.simulator.frames import json_text
from recorder.simulator.knobs import Cut, Disconnect, Garbage, Knobs
from recorder.simulator.listen_keys import ListenKeys
from recorder.simulator.stream.address import Address, Subscription
from recorder.simulator.stream.feed import Feed
from recorder.simulator.stream.outbox import Parcel
from recorder.simulator.traffic import SentEvent, Traffic
from recorder.simulator.world import World

_BEAT = 0.02  # seconds; how late an event can be


class Streams:
    """Every open stream."""

    def __init__(self, world: World, *, clock: Clock, listen_keys: ListenKeys, knobs: Knobs, traffic: Traffic) -> None:
        self._world = world
        self._clock = clock
        self._listen_keys = listen_keys
        self._knobs = knobs
        self._traffic = traffic
        self._feeds: dict[ServerConnection, Feed] = {}
        self._listened_to = Event()

    @property
    def connections(self) -> list[ServerConnection]:
        return list(self._feeds)

    async def run(self) -> None:
        """Send what is due, for ever; without a stream the world is left in peace."""
        while True:
            await self._listened_to.wait()
            self.beat()
            await sleep(_BEAT)

    def beat(self) -> None:
        """Bring the world to the present and send what is due."""
        now = self._clock.now()
        self._world.advance(now)
        for connection, feed in list(self._feeds.items()):
            for parcel in feed.due(now):
                self._send(connection, parcel)

    def push(self, account: str, text: str) -> None:
        """Send an event of the caller's own making on the account's streams, with the next beat."""
        type_ = json.loads(text)["e"]
        for feed in self._feeds.values():
            feed.push(account, type_, text, self._clock.now())

    async def serve(self, connection: ServerConnection, address: Address) -> None:
        """Keep the stream until it is closed, and answer what the client asks of it."""
        now = self._clock.now()
        self._world.advance(now)
        feed = Feed(address, world=self._world, listen_keys=self._listen_keys, knobs=self._knobs, now=now)
        self._feeds[connection] = feed
        self._listened_to.set()
        try:
            with suppress(ConnectionClosed):
                async for message in connection:
                    if not address.retired:
                        await connection.send(self._answer(feed, message))
        finally:
            del self._feeds[connection]
            if not self._feeds:
                self._listened_to.clear()

    def _answer(self, feed: Feed, message: str | bytes) -> str:
        try:
            request = json.loads(message)
        except ValueError:
            request = None
        match request:
            case {"method": "SUBSCRIBE", "params": [*keys], "id": int(request_id)}:
                for key in keys:
                    feed.subscribe(Subscription(listen_key=str(key)), self._clock.now())
                return json_text({"result": None, "id": request_id})
            case {"method": "UNSUBSCRIBE", "params": [*keys], "id": int(request_id)}:
                for key in keys:
                    feed.unsubscribe(str(key))
                return json_text({"result": None, "id": request_id})
            case {"method": "LIST_SUBSCRIPTIONS", "id": int(request_id)}:
                return json_text({"result": feed.listen_keys, "id": request_id})
            case _:
                return json_text({"error": {"code": 2, "msg": "Invalid request: invalid stream"}})

    def _send(self, connection: ServerConnection, parcel: Parcel) -> None:
        """Send without waiting: a client that does not read must not hold up the others."""
        match parcel.fault:
            case Disconnect():
                connection.transport.abort()
                return
            case Cut():
                broadcast([connection], parcel.text[: len(parcel.text) // 2])
                connection.transport.close()
                return
            case Garbage(content=content, binary=binary):
                broadcast([connection], content if binary else content.decode("utf-8", "replace"))
            case None:
                pass
        broadcast([connection], parcel.text)
        self._traffic.events.append(
            SentEvent(sent_at=self._clock.true_time(), account=parcel.account, type=parcel.type, text=parcel.text)
        )
