"""Class 32 at full size: very many retained messages, and many subscribers to all of them at once."""

import selectors
import time

from . import wire
from .broker import MB, Baseline, Broken, Broker
from .overload import Peer

# Each message takes this much at most; the rest is what the allocator keeps of what was in use.
MESSAGE_BYTES, SLACK = 400, 64 * MB
# What may be on its way to one subscriber.
PER_SUBSCRIBER = 2 * MB
CHUNK_MESSAGES = 1000
READ = 1 << 20
SUBACK_BYTES = 5
IDLE_LIMIT_S = 60
KEYS = "mqtt.max_retained_messages = {}\n"


def topic(number):
    return f"r/{number % 1000:03}/{number:07}"


def retain(broker, messages, payload):
    """Publishes to all topics, so that all are retained or, without a payload, none is."""
    peer = Peer(broker, "retainer")
    for first in range(0, messages, CHUNK_MESSAGES):
        numbers = range(first, min(first + CHUNK_MESSAGES, messages))
        peer.socket.sendall(b"".join(wire.publish(topic(number), payload, 4, retain=True) for number in numbers))
    # What is behind them is answered when they have been read.
    peer.socket.sendall(wire.PING)
    peer.expect(wire.PINGRESP)
    peer.socket.sendall(wire.disconnect(4))
    peer.close()


def wait_for(broker, messages):
    deadline = time.monotonic() + IDLE_LIMIT_S
    while (number := broker.stats()["retained"]["count"]) != messages:
        if time.monotonic() > deadline:
            raise Broken(f"{number} messages are retained, not {messages}")
        time.sleep(0.1)


class Reader:
    """Subscribes to everything, and counts: all messages have the same length, and come in the order of their topics."""

    def __init__(self, broker, number):
        self.peer = Peer(broker, f"reader-{number}")
        self.socket = self.peer.socket
        self.socket.sendall(wire.subscribe(1, (("r/#", 0),), 4))
        self.socket.setblocking(False)
        # But for SUBACK.
        self.bytes = -SUBACK_BYTES

    def read(self, messages, length):
        """Reads on; true when all have come."""
        data = self.socket.recv(READ)
        if not data:
            raise Broken("a reader was closed")
        self.bytes += len(data)
        if self.bytes > messages * length:
            raise Broken(f"{self.bytes} bytes have come, of {messages * length}")
        return self.bytes == messages * length


def check_order(broker, messages):
    """One reader looks at every topic."""
    peer = Peer(broker, "inspector")
    peer.socket.sendall(wire.subscribe(1, (("r/#", 0),), 4))
    buffer, seen, last = bytearray(), 0, ""
    while seen < messages:
        data = peer.socket.recv(READ)
        if not data:
            raise Broken("the inspector was closed")
        buffer += data
        for kind, flags, body in wire.split(buffer):
            if kind != wire.PUBLISH:
                continue
            name = wire.read_publish(flags, body, 4)[0]
            if not flags & 1 or name <= last:
                raise Broken(f"{name} with flags {flags} comes behind {last}")
            seen, last = seen + 1, name
    peer.close()


def run(binary, messages, subscribers, api_limit_s, keep):
    broker = Broker(binary, KEYS.format(messages + 1))
    failed = True
    try:
        baseline = Baseline(broker)
        bound = baseline.resident + messages * MESSAGE_BYTES + subscribers * PER_SUBSCRIBER + SLACK
        started = time.monotonic()
        retain(broker, messages, b"kept")
        wait_for(broker, messages)
        filled, resident = time.monotonic() - started, broker.memory()[0]
        print(f"{messages:,} messages retained in {filled:.1f} s, {resident / MB:.0f} MB resident", flush=True)

        length = len(wire.publish(topic(0), b"kept", 4, retain=True))
        started, broker.slowest_s, most = time.monotonic(), 0.0, resident
        readers = selectors.DefaultSelector()
        for number in range(subscribers):
            reader = Reader(broker, number)
            readers.register(reader.socket, selectors.EVENT_READ, reader)
        done, asked, moved = 0, 0.0, time.monotonic()
        while done < subscribers:
            for key, _ in readers.select(1):
                moved = time.monotonic()
                if key.data.read(messages, length):
                    readers.unregister(key.fileobj)
                    key.data.peer.close()
                    done += 1
            if time.monotonic() - moved > IDLE_LIMIT_S:
                raise Broken(f"{subscribers - done} readers get nothing more")
            if time.monotonic() - asked > 0.5:
                broker.check_alive()
                broker.get("/clients?_limit=10")
                asked, most = time.monotonic(), max(most, broker.memory()[0])
        took, slowest_s = time.monotonic() - started, broker.slowest_s
        check_order(broker, messages)
        retain(broker, messages, b"")
        wait_for(broker, 0)
        broker.forget()
        baseline.wait_for_return(SLACK)
        for name, value in (
            ("messages to each of them", messages), ("subscribers", subscribers), ("seconds", int(took)),
            ("messages a second", int(messages * subscribers / took)), ("most MB resident", most // MB),
            ("  bound", bound // MB), ("  afterwards", broker.memory()[0] // MB), ("slowest API answer, ms", int(slowest_s * 1000)),
        ):
            print(f"    {name:32} {value:>12,}")
        if most > bound:
            raise Broken(f"{most / MB:.0f} MB were resident, {bound / MB:.0f} MB are allowed")
        if slowest_s > api_limit_s:
            raise Broken(f"an API answer took {slowest_s:.2f} s, {api_limit_s:g} s are allowed")
        failed = False
    finally:
        broker.stop(keep=failed or keep)
