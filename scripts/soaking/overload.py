"""Publishers that are faster than their subscribers, at full speed."""

import collections
import http.client
import socket
import threading
import time

from . import wire
from .broker import MB, Baseline, Broken, Broker

BACKLOG, QUEUE, INFLIGHT, OUTPUT, WORKERS = 8 * MB, 2 * MB, 1 * MB, 1 * MB, 2
KEYS = f"""
system.max_worker_backlog = {BACKLOG // MB}MB
mqtt {{ max_mqueue_len = 100000, max_mqueue_bytes = {QUEUE // MB}MB, max_inflight_bytes = {INFLIGHT // MB}MB }}
mqtt {{ max_output_buffer = {OUTPUT // MB}MB, max_publisher_pause = 100ms }}
"""
# Subscribers that do not read, that read without acknowledging, that are away, and that take all they can.
STUCK, SILENT, AWAY, GOOD = 4, 4, 4, 2
# Buffers of connections, and what the allocator keeps of what was in use before.
SLACK = 96 * MB
PAYLOAD = 500
CHUNK_MESSAGES = 100
READ = 1 << 18


class Peer:
    """A blocking client on a socket of its own; `name` and the bytes it has read are all it knows."""

    def __init__(self, broker, name, filters=(), clean=True):
        self.socket = socket.create_connection(("127.0.0.1", broker.doors[0].port), timeout=60)
        self.socket.sendall(wire.connect(name, 4, clean=clean, keep_alive=0))
        self.expect(wire.CONNACK)
        if filters:
            self.socket.sendall(wire.subscribe(1, filters, 4))
            self.expect(wire.SUBACK)

    def expect(self, kind):
        buffer = bytearray()
        while True:
            data = self.socket.recv(4096)
            if not data:
                raise Broken("the connection has ended before the answer")
            buffer += data
            packets = wire.split(buffer)
            if packets:
                if packets[0][0] != kind:
                    raise Broken(f"{packets[0]} instead of an answer of kind {kind}")
                return

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


def read_away(peer):
    """Reads and forgets until the connection ends."""
    try:
        while peer.socket.recv(READ):
            pass
    except OSError:
        pass


def flood(peer, chunk, until, sent, name):
    try:
        while time.monotonic() < until:
            peer.socket.sendall(chunk)
            sent[name] += CHUNK_MESSAGES
    except TimeoutError:
        # Publishers that wait for subscribers are not read from; for a minute is too long.
        sent[f"{name} was not read from"] += 1
    except OSError:
        # At the end it is closed while it waits for room.
        if time.monotonic() < until:
            sent[f"{name} was closed"] += 1


def ask(broker, until, problems):
    try:
        while time.monotonic() < until:
            for path in ("/stats", "/clients", "/topic-tree"):
                broker.get(path)
            time.sleep(0.1)
    except (OSError, http.client.HTTPException, Broken) as problem:
        problems.append(repr(problem))


def run(binary, seconds, api_limit_s, keep):
    broker = Broker(binary, KEYS)
    failed = True
    try:
        baseline = Baseline(broker)
        bound = baseline.resident + WORKERS * BACKLOG + SLACK
        bound += (STUCK + SILENT + AWAY + GOOD) * (QUEUE + INFLIGHT + 2 * OUTPUT)
        every = (("load/#", 1),)
        peers = [Peer(broker, f"stuck-{number}", (("load/#", number % 2),)) for number in range(STUCK)]
        silent = [Peer(broker, f"silent-{number}", every) for number in range(SILENT)]
        good = [Peer(broker, f"good-{number}", (("load/#", 0),)) for number in range(GOOD)]
        for number in range(AWAY):
            Peer(broker, f"away-{number}", every, clean=False).close()
        publishers = {f"QoS {qos} publisher {number}": (Peer(broker, f"flood-{qos}-{number}"), qos) for qos in (0, 1) for number in range(2)}
        until = time.monotonic() + seconds
        sent, problems = collections.Counter(), []
        threads = [threading.Thread(target=read_away, args=(peer,)) for peer in silent + good]
        for name, (peer, qos) in publishers.items():
            packets = [wire.publish(f"load/{n % 7}", b"x" * PAYLOAD, 4, qos, n + 1) for n in range(CHUNK_MESSAGES)]
            threads.append(threading.Thread(target=flood, args=(peer, b"".join(packets), until, sent, name)))
            if qos:
                threads.append(threading.Thread(target=read_away, args=(peer,)))
        threads.append(threading.Thread(target=ask, args=(broker, until, problems)))
        for thread in threads:
            thread.daemon = True
            thread.start()
        broker.slowest_s, most = 0.0, 0
        while time.monotonic() < until:
            broker.check_alive()
            most = max(most, broker.memory()[0])
            time.sleep(0.05)
        slowest_s = broker.slowest_s
        for peer in peers + silent + good + [peer for peer, _ in publishers.values()]:
            peer.close()
        for thread in threads:
            thread.join(60)
        broker.forget()
        print(f"\noverload: {seconds:g} s, {len(publishers)} publishers, {STUCK + SILENT + AWAY + GOOD} subscribers")
        baseline.wait_for_return(SLACK)
        counted = broker.counters()
        rows = [(name, int(number)) for name, number in sorted(sent.items())]
        rows += [("deliveries", int(counted["messages_deliveries"]))]
        rows += [(name, int(value)) for name, value in counted.items() if name.startswith("messages_dropped_") and value]
        rows += [("most MB resident", most // MB), ("  bound", bound // MB), ("  afterwards", broker.memory()[0] // MB)]
        rows += [("slowest API answer, ms", int(slowest_s * 1000))]
        for name, value in rows:
            print(f"    {name:32} {value:>12,}")
        for name in ("output_full", "queue_full", "offline"):
            if not counted[f"messages_dropped_{name}"]:
                problems.append(f"nothing was dropped as {name}")
        problems += [name for name in sent if "was" in name]
        if most > bound:
            problems.append(f"{most / MB:.0f} MB were resident, the limits come to {bound / MB:.0f} MB")
        if slowest_s > api_limit_s:
            problems.append(f"an API answer took {slowest_s:.2f} s, {api_limit_s:g} s are allowed")
        if problems:
            raise Broken("overload: " + "; ".join(problems))
        failed = False
    finally:
        broker.stop(keep=failed or keep)
