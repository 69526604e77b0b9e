"""Everything that clients do, at once: the load of a soak, in rounds after each of which nothing may be left."""

import asyncio
import collections
import random

from . import wire
from .broker import Broken
from .client import ANSWER_LIMIT_S, Client, Refused

NAMES = 12
TOPICS = 40
WINDOW = 8


class Mix:
    """One round. Lives come and go until it is stopped; each is one of the behaviours below."""

    def __init__(self, broker, lives, seed, done):
        self.broker, self.lives, self.done = broker, lives, done
        self.random = random.Random(seed)
        self.stopping = False

    async def run(self, seconds):
        witnesses = [Witness(self, qos, door) for qos in (1, 2) for door in self.broker.doors]
        for witness in witnesses:
            await witness.start()
        tasks = [asyncio.create_task(self.live()) for _ in range(self.lives)]
        tasks += [asyncio.create_task(self.poll()), asyncio.create_task(self.reload())]
        tasks += [asyncio.create_task(witness.run()) for witness in witnesses]
        try:
            done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
            self.stopping = True
            for task in done:
                task.result()
            await asyncio.wait_for(asyncio.gather(*tasks), 2 * ANSWER_LIMIT_S)
        except TimeoutError:
            raise Broken("clients still wait for answers long after the end of the load") from None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for witness in witnesses:
                witness.drop()

    # What a client does.

    async def live(self):
        behaviours, weights = zip(*BEHAVIOURS)
        while not self.stopping:
            behaviour = self.random.choices(behaviours, weights)[0]
            try:
                await behaviour(self)
                self.done[behaviour.__name__.replace("_", " ")] += 1
            except TimeoutError:
                raise Broken(f"a {behaviour.__name__.replace('_', ' ')} was not answered in {ANSWER_LIMIT_S} s") from None
            except OSError:
                # Taken over, disconnected through the API, or closed on purpose.
                self.done["ended by the broker"] += 1
            self.broker.check_alive()

    def client(self, kind):
        """A client of a name that others have too: so sessions are taken over and come back."""
        name = f"{kind}-{self.random.randrange(NAMES)}"
        return Client(self.random.choice(self.broker.doors), name, self.random.choice((3, 4, 5, 5)))

    def topic(self, kind="m"):
        return f"{kind}/{self.random.randrange(TOPICS)}/{self.random.choice('abc')}"

    def payload(self):
        return self.random.randbytes(self.random.choice((0, 10, 10, 100, 100, 3000, 40000)))

    async def pause(self, most):
        await asyncio.sleep(self.random.uniform(0, most))

    async def end(self, client):
        if self.random.random() < 0.5:
            await client.leave()
        client.drop()

    async def publisher(self):
        client = self.client("publisher")
        await client.opened(clean=self.random.random() < 0.7)
        try:
            for _ in range(self.random.randrange(1, 20)):
                more = {"retain": self.random.random() < 0.2}
                if client.version == 5 and self.random.random() < 0.1:
                    more["expiry"] = self.random.randrange(2)
                await client.publish(self.topic(), self.payload(), self.random.randrange(3), **more)
        finally:
            client.drop()

    async def burst(self):
        """Many handshakes at once, some left open."""
        client = self.client("burst")
        await client.opened()
        size = self.random.randrange(1, 60)
        answers = []
        for _ in range(size):
            topic, payload, qos = self.topic(), self.payload(), self.random.randrange(1, 3)
            make = lambda number: wire.publish(topic, payload, client.version, qos, number)  # noqa: B023, E731
            answers.append(client.ask(make))
        if self.random.random() < 0.7:
            await asyncio.wait_for(asyncio.gather(*answers), ANSWER_LIMIT_S)
        await self.end(client)

    async def subscriber(self):
        client = self.client("subscriber")
        kept = self.random.random() < 0.5
        expiry = 3600 if kept and client.version == 5 else 0
        await client.opened(clean=not kept, expiry=expiry, receive_maximum=self.random.choice((0, 1, 10)))
        filters = [("m/+/a", 2), ("m/#", 0), (f"m/{self.random.randrange(TOPICS)}/+", 1), (self.topic(), 2)]
        await client.subscribe(*self.random.sample(filters, self.random.randrange(1, 4)))
        await self.pause(1.5)
        if self.random.random() < 0.3:
            await client.unsubscribe("m/+/a", "m/#")
        await self.end(client)

    async def member(self):
        """Of a shared subscription, that leaves with messages unacknowledged."""
        client = self.client("member")
        client.silent = self.random.random() < 0.3
        await client.opened(clean=self.random.random() < 0.8)
        await client.subscribe((f"$share/g{self.random.randrange(3)}/m/#", self.random.randrange(3)))
        await self.pause(1)
        await self.end(client)

    async def silent_subscriber(self):
        """Reads but acknowledges nothing, so that its window and its queue fill up."""
        client = self.client("silent")
        client.silent = True
        await client.opened(clean=False, expiry=3600 if client.version == 5 else 0)
        await client.subscribe(("m/#", 2))
        await self.pause(1)
        await self.end(client)

    async def slow_reader(self):
        """Does not read for a while, so that its socket and its output fill up."""
        client = self.client("slow")
        await client.opened()
        await client.subscribe(("m/#", self.random.randrange(3)), ("r/#", 0))
        client.writer.transport.pause_reading()
        client.task.cancel()
        await self.pause(4)
        client.drop()

    async def with_will(self):
        client = self.client("will")
        delay = self.random.choice((0, 0, 1)) if client.version == 5 else 0
        will = (self.topic(), b"gone", self.random.randrange(3), self.random.random() < 0.3, delay)
        await client.opened(will=will, expiry=2 if delay else 0)
        await self.pause(0.5)
        await self.end(client)

    async def retainer(self):
        """Sets and clears retained messages, and reads all of them."""
        client = self.client("retainer")
        await client.opened()
        for _ in range(10):
            payload = b"" if self.random.random() < 0.4 else self.payload()
            await client.publish(self.topic("r"), payload, self.random.randrange(3), retain=True)
        await client.subscribe(("r/#", 1))
        await self.pause(0.3)
        await self.end(client)

    async def silent_socket(self):
        """Never says, or never finishes saying, who it is: the broker gives up."""
        door = self.random.choice(self.broker.doors)
        reader, writer = await door.open() if self.random.random() < 0.5 else await asyncio.open_connection("127.0.0.1", door.port)
        try:
            begin = self.random.choice((b"", wire.connect("half", 4)[:9], b"\x16\x03\x01\x02\x00\x01", b"GET /mqtt HTTP/1.1\r\nUp"))
            writer.write(begin)
            if self.random.random() < 0.5:
                await self.pause(1)
            else:
                await asyncio.wait_for(reader.read(), ANSWER_LIMIT_S)
        finally:
            writer.transport.abort()

    async def half_closed(self):
        """Sends no more but goes on reading."""
        client = Client(self.broker.doors[0], f"half-{self.random.randrange(NAMES)}", 5)
        await client.opened()
        await client.subscribe(("m/#", 1))
        client.silent = True
        client.writer.write_eof()
        await asyncio.wait_for(asyncio.shield(client.task), ANSWER_LIMIT_S)

    async def vanished(self):
        """Is not there any more while its socket is: the broker closes it for its silence, and publishes its will."""
        client = self.client("vanished")
        will = (self.topic(), b"vanished", self.random.randrange(3), False, 0)
        await client.opened(keep_alive=1, will=will)
        await client.subscribe(("m/#", self.random.randrange(3)))
        client.silent = True
        await asyncio.wait_for(asyncio.shield(client.task), ANSWER_LIMIT_S)
        client.drop()

    async def offender(self):
        """Breaks the protocol in the middle of a session."""
        client = self.client("offender")
        await client.opened()
        await client.subscribe(("m/#", 1))
        client.send(self.random.choice((b"\x30\x05\x00\x09ab", b"\x00\x00", b"\x36\x05\x00\x01a\x00\x01", b"\x30\xff\xff\xff\xff\x01", b"\x82\x02\x00\x00", self.random.randbytes(30))))
        # What is only the begin of a packet ends with the client.
        await asyncio.wait([client.task], timeout=2)
        client.drop()

    # What operators do.

    async def poll(self):
        paths = ("/clients?_limit=50", "/subscriptions?_limit=50", "/topic-tree", "/stats", "/prometheus", "/slow_clients", "/brokers", "/retained?topic=r/%23&_limit=20")
        while not self.stopping:
            await asyncio.to_thread(self.broker.get, self.random.choice(paths))
            await asyncio.to_thread(self.broker.publish, self.topic(), "api", self.random.randrange(3), self.random.random() < 0.2)
            name = f"subscriber-{self.random.randrange(NAMES)}"
            session = "?session=true" if self.random.random() < 0.3 else ""
            status, answer = await asyncio.to_thread(self.broker.request, "DELETE", f"/clients/{name}{session}")
            if status not in (200, 404):
                raise Broken(f"DELETE /clients/{name} was answered with {status}: {answer}")
            self.done["rounds of API requests"] += 1
            await asyncio.sleep(0.2)

    async def reload(self):
        turn = 0
        while not self.stopping:
            turn += 1
            self.broker.use_certificate(("first", "second")[turn % 2])
            self.broker.configure(self.broker.keys + f"mqtt.max_inflight_window = {64 + turn % 2}\n")
            if turn % 3:
                self.broker.reload()
            else:
                self.broker.config.write_text("mqtt { max_packet_size = nonsense")
                status, answer = await asyncio.to_thread(self.broker.request, "POST", "/reload")
                if status == 200:
                    raise Broken(f"a reload of a broken configuration was answered with {answer}")
            self.done["reloads"] += 1
            await asyncio.sleep(1)
        self.broker.configure(self.broker.keys)
        self.broker.reload()


class Witness:
    """A publisher and a subscriber with a persistent session that comes and goes: everything that is acknowledged must
    arrive, in order, and with QoS 2 once."""

    def __init__(self, mix, qos, door):
        self.mix, self.qos = mix, qos
        self.name = f"{door.kind}-{qos}"
        self.publisher = Client(door, f"witness-{self.name}", 5)
        self.door, self.subscriber = door, None
        self.received_ids = set()
        self.acknowledged, self.arrived = 0, []

    async def start(self):
        await self.publisher.opened()
        await self.connect()
        await self.subscriber.subscribe((f"w/{self.name}", 2))

    async def connect(self):
        client = Client(self.door, f"seen-{self.name}", 5)
        client.received_ids = self.received_ids
        client.on_message = lambda _topic, _qos, payload: self.arrived.append(int(payload))
        present = await client.opened(clean=False, expiry=3600)
        if self.subscriber and not present:
            raise Broken(f"the session of seen-{self.name} is not there any more")
        self.subscriber = client

    async def run(self):
        going = asyncio.create_task(self.come_and_go())
        try:
            number = 0
            while not self.mix.stopping and not going.done():
                answers = []
                for _ in range(WINDOW):
                    payload = b"%d" % number
                    make = lambda packet_id: wire.publish(f"w/{self.name}", payload, 5, self.qos, packet_id)  # noqa: B023, E731
                    answers.append(self.publisher.ask(make))
                    number += 1
                await asyncio.wait_for(asyncio.gather(*answers), ANSWER_LIMIT_S)
                self.acknowledged = number
                await asyncio.sleep(0.05)
            await going
        except (OSError, TimeoutError) as error:
            raise Broken(f"the publisher of QoS {self.qos} over {self.door.kind} was not answered: {error!r}") from None
        finally:
            going.cancel()
        for _ in range(ANSWER_LIMIT_S * 10):
            if len(set(self.arrived)) == number:
                break
            await asyncio.sleep(0.1)
        first = list(dict.fromkeys(self.arrived))
        lost = sorted(set(range(number)) - set(first))
        twice = len(self.arrived) - len(first)
        self.mix.done["witnessed messages"] += number
        where = f"of {number} messages of QoS {self.qos} over {self.door.kind}"
        if lost:
            raise Broken(f"{where} {len(lost)} were acknowledged and lost: {lost[:5]}")
        if first != sorted(first):
            raise Broken(f"{where} some came out of order")
        if self.qos == 2 and twice:
            raise Broken(f"{where} {twice} came more than once")

    async def come_and_go(self):
        """The subscriber leaves in every way, or is taken over by itself."""
        while not self.mix.stopping:
            await self.mix.pause(1)
            old = self.subscriber
            way = self.mix.random.randrange(3)
            old.task.cancel()
            if way == 0:
                old.drop()
                await self.mix.pause(0.3)
            elif way == 1:
                try:
                    old.send(wire.disconnect(5))
                    await old.writer.drain()
                except OSError:
                    pass
            try:
                await self.connect()
            except (OSError, Refused, TimeoutError) as error:
                raise Broken(f"seen-{self.name} cannot come back: {error!r}") from None
            old.drop()

    def drop(self):
        for client in (self.publisher, self.subscriber):
            if client:
                client.drop()


BEHAVIOURS = (
    (Mix.publisher, 6), (Mix.burst, 3), (Mix.subscriber, 6), (Mix.member, 3), (Mix.silent_subscriber, 2),
    (Mix.slow_reader, 1), (Mix.with_will, 3), (Mix.retainer, 2), (Mix.silent_socket, 2), (Mix.half_closed, 1), (Mix.vanished, 2),
    (Mix.offender, 2),
)


async def soak(broker, lives, seed, seconds):
    """One round; returns what was done, by name."""
    done = collections.Counter()
    await Mix(broker, lives, seed, done).run(seconds)
    await asyncio.to_thread(broker.forget)
    return done
