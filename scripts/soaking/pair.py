"""A publisher and a subscriber that send valid packets, mutated packets and nonsense in all orders, and requests to the
HTTP API with mutated bodies, all out of one seed."""

import http.client
import json
import random
import socket

from . import wire
from .broker import MB, Baseline, Broken, Broker

TOPICS = ("t/1", "t/2", "t", "$SYS/x", "t/1/2/3", "ä/ö", "")
FILTERS = ("t/#", "t/+", "#", "+/+", "$share/g/t/#", "$share//x", "t/#/x", "$SYS/#", "t/1")
# Sequences after which everything has to be as before.
ROUND = 200
MEMORY_SLACK = 24 * MB
FIRST_SLACK = 96 * MB
ANSWER_LIMIT_S = 60
READ = 1 << 16
# Retained messages expire: no filter finds those whose topics have become others that begin with $.
KEYS = """
mqtt { max_mqueue_len = 100, max_output_buffer = 64KB, max_publisher_pause = 10ms, max_packet_size = 64KB }
mqtt { max_topic_alias_out = 4, retained_expiry_interval = 2s }
"""


class Side:
    """One of the two connections, or none while it is closed."""

    def __init__(self, broker, chance, name):
        self.broker, self.chance, self.name = broker, chance, name
        self.socket, self.version = None, 5
        self.sent = 0

    def packet(self):
        """A valid packet, or nearly."""
        chance, version = self.chance, self.version
        number = chance.choice((1, 1, 2, 3, 65535, 0 if chance.random() < 0.05 else 4))
        choice = chance.randrange(14)
        if choice < 5:
            qos = chance.randrange(3)
            payload = chance.randbytes(chance.choice((0, 1, 20, 20, 500, 60000)))
            expiry = chance.choice((None, None, 0, 1)) if version == 5 else None
            return wire.publish(chance.choice(TOPICS), payload, version, qos, number, retain=chance.random() < 0.2, dup=qos and chance.random() < 0.2, expiry=expiry)
        if choice < 7:
            filters = [(chance.choice(FILTERS), chance.choice((0, 1, 2, 2, 4 + 1, 8 + 2, 32, 64))) for _ in range(chance.randrange(1, 4))]
            return wire.subscribe(number, filters, version)
        if choice == 7:
            return wire.unsubscribe(number, [chance.choice(FILTERS)], version)
        if choice < 11:
            return wire.acknowledge(chance.choice((wire.PUBACK, wire.PUBREC, wire.PUBREL, wire.PUBCOMP)), number)
        if choice == 11:
            return wire.PING
        if choice == 12:
            return wire.disconnect(version, chance.choice((0, 4, 0x8D)))
        return self.connect()

    def connect(self):
        chance = self.chance
        will = None
        if chance.random() < 0.3:
            will = (chance.choice(TOPICS), b"gone", chance.randrange(3), chance.random() < 0.3, chance.choice((0, 0, 1)))
        # Names of the other side too, so that sessions are taken over.
        name = chance.choice((self.name, self.name, "publisher", "subscriber", ""))
        return wire.connect(
            name, self.version, clean=chance.random() < 0.5, keep_alive=chance.choice((0, 1, 60)), will=will,
            expiry=chance.choice((0, 2, 3600)) if self.version == 5 else 0,
            receive_maximum=chance.choice((0, 1, 5)) if self.version == 5 else 0,
        )

    def mutated(self, data):
        chance, data = self.chance, bytearray(data)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(data) or 1)
            way = chance.randrange(6)
            if way == 0 and data:
                data[min(at, len(data) - 1)] ^= 1 << chance.randrange(8)
            elif way == 1 and data:
                data[min(at, len(data) - 1)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
            elif way == 2:
                del data[at : at + chance.randrange(1, 5)]
            elif way == 3:
                data[at:at] = chance.randbytes(chance.randrange(1, 5))
            elif way == 4:
                data[at:at] = data[at : at + chance.randrange(1, 20)]
            else:
                del data[at:]
        return bytes(data)

    def step(self):
        chance = self.chance
        if self.socket is None:
            # Plain TCP: what is cut into which pieces is part of the sequence.
            self.socket = socket.create_connection(("127.0.0.1", self.broker.doors[0].port), timeout=ANSWER_LIMIT_S)
            self.version = chance.choice((3, 4, 5, 5))
            first = self.connect()
            self.write(self.mutated(first) if chance.random() < 0.1 else first)
            return
        if chance.random() < 0.03:
            self.close()
            return
        data = b"".join(self.packet() for _ in range(chance.choice((1, 1, 1, 3, 20))))
        if chance.random() < 0.15:
            data = self.mutated(data)
        if chance.random() < 0.02:
            data = chance.randbytes(chance.randrange(1, 50))
        self.write(data)
        if self.socket and chance.random() < 0.7:
            self.read_some()

    def write(self, data):
        cut = self.chance.randrange(len(data) + 1)
        try:
            for part in (data[:cut], data[cut:]):
                self.socket.sendall(part)
            self.sent += len(data)
        except TimeoutError:
            raise Broken(f"{self.name} has not been read from for {ANSWER_LIMIT_S} s") from None
        except OSError:
            self.close()

    def read_some(self):
        """What is there, acknowledged for the most part."""
        self.socket.setblocking(False)
        try:
            data = bytearray(self.socket.recv(READ))
            if not data:
                raise ConnectionError
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        finally:
            if self.socket:
                self.socket.settimeout(ANSWER_LIMIT_S)
        answers = bytearray()
        # The rest of a packet that lay in the read before looks like others: answers to it are as good as mutated ones.
        try:
            packets = wire.split(data)
        except ValueError:
            return
        for kind, flags, body in packets:
            if self.chance.random() < 0.2:
                continue
            try:
                if kind == wire.PUBLISH and flags >> 1 & 3:
                    _, qos, number, _ = wire.read_publish(flags, body, self.version)
                    answers += wire.acknowledge(wire.PUBACK if qos == 1 else wire.PUBREC, number)
                elif kind == wire.PUBREL:
                    answers += wire.acknowledge(wire.PUBCOMP, int.from_bytes(body[:2], "big"))
            except (IndexError, ValueError):
                continue
        if answers:
            self.write(answers)

    def close(self):
        if self.socket:
            self.socket.close()
            self.socket = None


def value(chance, depth=0):
    """Any JSON."""
    kinds = (None, True, -1, 0, 2, 1e308, 1 << 70, "", "t/1", "t/#", "\0", "publisher", "x" * 300)
    if depth > 2 or chance.random() < 0.7:
        return chance.choice(kinds)
    if chance.random() < 0.5:
        return [value(chance, depth + 1) for _ in range(chance.randrange(4))]
    return {chance.choice(("topic", "qos", "a", "")): value(chance, depth + 1) for _ in range(chance.randrange(4))}


BODIES = (
    ("POST", "/mqtt/publish", {"topic": "t/1", "payload": "x", "qos": 1, "retain": False, "clientid": "publisher", "encoding": "plain", "properties": {"message_expiry_interval": 1}}),
    ("POST", "/mqtt/publish_batch", [{"topic": "t/1", "payload": "x"}, {"topic": "t/2", "payload": "x", "qos": 2}]),
    ("POST", "/mqtt/subscribe", {"topic": "t/#", "qos": 1, "clientid": "subscriber"}),
    ("POST", "/mqtt/unsubscribe", {"topic": "t/#", "clientid": "subscriber"}),
    ("POST", "/acl/test", {"clientid": "c", "username": "ann", "action": "publish", "topic": "secret/x"}),
    ("POST", "/users", {"username": "\0", "password": "", "role": "viewer"}),
    ("DELETE", "/clients/subscriber", None),
)


def request(broker, chance):
    """One request with a body that is valid, or not. What is published by it is no part of what clients have sent."""
    method, path, body = chance.choice(BODIES)
    body = json.loads(json.dumps(body))
    if body and chance.random() < 0.7:
        member = chance.choice(body) if isinstance(body, list) else body
        member[chance.choice((*member, "other"))] = value(chance)
        if chance.random() < 0.1:
            body = value(chance)
    status, answer = broker.request(method, path, body)
    if status >= 500:
        raise Broken(f"{method} {path} {body} was answered with {status} {answer}")
    if status != 200 or not path.startswith("/mqtt/publish"):
        return 0
    entries = answer["data"] if path.endswith("batch") else [answer]
    return sum(entry["code"] == 0 for entry in entries)


def run(binary, seconds, seed, keep, clock):
    """Rounds until the time is over, the last one whole; or the one round of a seed."""
    broker = Broker(binary, KEYS)
    failed = True
    sequences = total = 0
    try:
        baseline = Baseline(broker)
        until, rounds = clock() + seconds, 0
        while clock() < until:
            # Each round has a seed of its own, so that one that fails can be repeated alone.
            chance = random.Random(f"{seed}-{rounds}")
            sides = [Side(broker, chance, "publisher"), Side(broker, chance, "subscriber")]
            try:
                for _ in range(ROUND):
                    for _ in range(chance.randrange(5, 40)):
                        chance.choice(sides).step()
                    if chance.random() < 0.3:
                        published = request(broker, chance)
                        broker.api_published += published
                    broker.check_alive()
                    sequences += 1
                for side in sides:
                    side.close()
                broker.forget()
                baseline.wait_for_return(FIRST_SLACK if rounds == 0 else MEMORY_SLACK)
            except (Broken, http.client.HTTPException, OSError) as broken:
                raise Broken(f"seed {seed}, round {rounds}: {broken!r}") from broken
            if rounds == 0:
                baseline.resident = broker.memory()[0]
            total += sum(side.sent for side in sides)
            rounds += 1
        print(f"two connections: {sequences:,} sequences in {rounds} rounds, {total:,} bytes, {broker.asked:,} API requests, nothing left", flush=True)
        failed = False
    finally:
        broker.stop(keep=failed or keep)
