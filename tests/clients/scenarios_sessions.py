"""Scenarios that all versions share: sessions, takeover, shared subscriptions, wills, retained messages.

Every public function is a scenario; it gets the broker as (host, port).
"""

from testclient import V31, V311, V5, Client, Gate, check, equal, properties, unique

_VERSIONS = (V31, V311, V5)


def _kept(version):
    """What keeps a session of this version after its connection."""
    return properties("CONNECT", SessionExpiryInterval=300) if version == V5 else None


def binary_payload(broker):
    payload = bytes(range(256)) * 3
    for version in _VERSIONS:
        topic = unique("binary")
        with Client(broker, version=version) as client:
            client.subscribe(topic, 2)
            for qos in (0, 1, 2):
                client.publish(topic, payload, qos)
                (message,) = client.receive()
                equal((message.payload, message.qos, message.dup), (payload, qos, False), f"version {version}")


def session_present(broker):
    for version in _VERSIONS:
        name = unique("present")
        # The third session of version 3 is clean and ends with its connection; that of version 5 is kept.
        steps = [(False, False), (False, True), (True, False), (False, version == V5)]
        for number, (clean, present) in enumerate(steps):
            with Client(broker, name, version, clean, connect=_kept(version)) as client:
                if version != V31:  # Version 3.1 has no such flag.
                    equal(client.session_present, present, f"version {version}, step {number}")
                client.disconnect()


def offline_queue(broker):
    for version in _VERSIONS:
        topic, name = unique("queue"), unique("away")
        with Client(broker, version=version) as publisher:
            with Client(broker, name, version, clean=False, connect=_kept(version)) as client:
                client.subscribe(topic, 2)
                client.disconnect()
            sent = [(f"message {number}", number % 2 + 1) for number in range(50)]
            for payload, qos in sent:
                publisher.publish(topic, payload, qos)
            with Client(broker, name, version, clean=False, connect=_kept(version)) as client:
                got = [(message.payload.decode(), message.qos) for message in client.receive(len(sent))]
                for level in (1, 2):  # Order is promised among messages of one QoS.
                    equal([m for m in got if m[1] == level], [m for m in sent if m[1] == level], f"version {version}")
                equal(client.received_before(publisher, topic), [], f"version {version}: after the queue")


def session_end_at_disconnect(broker):
    """A version 5 session without an expiry interval ends with its connection; DISCONNECT can change the interval."""
    cases = [(None, None, False), (300, None, True), (300, 0, False), (1, 300, True)]
    for at_connect, at_disconnect, present in cases:
        name = unique("expiry")
        asked = None if at_connect is None else properties("CONNECT", SessionExpiryInterval=at_connect)
        changed = None if at_disconnect is None else properties("DISCONNECT", SessionExpiryInterval=at_disconnect)
        with Client(broker, name, connect=asked) as client:
            client.disconnect(props=changed)
        with Client(broker, name, clean=False) as client:
            equal(client.session_present, present, f"{at_connect} at CONNECT, {at_disconnect} at DISCONNECT")


def _shared_subscription(broker, version):
    count, topic = 200, unique("shared")
    share = f"$share/{unique('group')}/{topic}"
    with Client(broker, version=version) as one, Client(broker, version=version) as two, Client(broker, version=version) as publisher:
        gate = Gate([one, two])
        for member in (one, two):
            equal(member.subscribe(share, 1), [1], "the granted QoS")
        for number in range(count):
            publisher.publish(topic, str(number))
        publisher.publish(topic, "end")
        arrived = gate.receive(count + 1)
        equal(sorted(m.payload.decode() for _, m in arrived), sorted([*map(str, range(count)), "end"]), "each message exactly once")
        equal({name for name, _ in arrived}, {one.name, two.name}, "the members that got messages")
        for name in (one.name, two.name):
            own = [int(m.payload) for who, m in arrived if who == name and m.payload != b"end"]
            equal(own, sorted(own), f"the order of {name}")

        # The member that stays gets what the other would have got.
        two.disconnect()
        for number in range(10):
            publisher.publish(topic, f"later {number}")
        later = gate.receive(10)
        equal({name for name, _ in later}, {one.name}, "the members left")


def shared_subscription_v311(broker):
    _shared_subscription(broker, V311)


def shared_subscription_v5(broker):
    _shared_subscription(broker, V5)


def _takeover(broker, version):
    topic, name = unique("takeover"), unique("twin")
    with Client(broker, name, version, clean=False, connect=_kept(version)) as first:
        first.subscribe(topic, 1)
        with Client(broker, name, version, clean=False, connect=_kept(version)) as second:
            check(second.session_present, "the session is taken over with the name")
            first.end()  # Paho does not show the reason code of a short DISCONNECT; a plain socket checks it elsewhere.
            second.publish(topic, "hello")
            equal(second.payloads(1), ["hello"], "messages of the second connection")


def takeover_v311(broker):
    _takeover(broker, V311)


def takeover_v5(broker):
    _takeover(broker, V5)


def retained_under_wildcards(broker):
    root = unique("retained")
    topics = [f"{root}/{room}/{thing}" for room in range(10) for thing in ("lamp", "door")]
    with Client(broker) as publisher:
        for topic in topics:
            publisher.publish(topic, topic, retain=True)
        cases = [("#", topics), ("+/lamp", [t for t in topics if t.endswith("lamp")]), ("3/+", [t for t in topics if "/3/" in t])]
        for version in _VERSIONS:
            for wildcard, expected in cases:
                with Client(broker, version=version) as client:
                    client.subscribe(f"{root}/{wildcard}", 1)
                    got = client.receive(len(expected))
                    equal(sorted(message.topic for message in got), sorted(expected), wildcard)
                    check(all(message.retain for message in got), "each has the retain flag")
                    check(all(message.payload.decode() == message.topic for message in got), "each has its own payload")
        for topic in topics:
            publisher.publish(topic, b"", retain=True)


def subscribe_many(broker):
    topics = [unique(f"many{number}") for number in range(30)]
    for version in _VERSIONS:
        with Client(broker, version=version) as client:
            granted = client.subscribe([(topic, number % 3) for number, topic in enumerate(topics)])
            equal(granted, [number % 3 for number in range(len(topics))], f"version {version}: the granted QoS")
            for topic in topics:
                client.publish(topic, topic, 2)
            got = {message.topic: message.qos for message in client.receive(len(topics))}
            equal(got, {topic: number % 3 for number, topic in enumerate(topics)}, f"version {version}")


def unsubscribe(broker):
    for version in _VERSIONS:
        topic, other = unique("leave"), unique("stay")
        with Client(broker, version=version) as client:
            client.subscribe([(topic, 1), (other, 1)])
            codes = client.unsubscribe(topic)
            if version == V5:
                equal(codes, [0x00], "the reason code")
                equal(client.unsubscribe(topic), [0x11], "the reason code without a subscription")
            client.publish(topic, "unseen")
            equal(client.received_before(client, other), [], f"version {version}: after UNSUBACK")


def overlapping_subscriptions(broker):
    """One message for two filters: once or twice, but at the highest QoS at least once [MQTT-3.3.4-2]."""
    root = unique("overlap")
    for version in _VERSIONS:
        with Client(broker, version=version) as client:
            client.subscribe([(f"{root}/#", 0), (f"{root}/+", 2)])
            client.publish(f"{root}/x", "one", 2)
            mark = unique("end")
            client.publish(f"{root}/x", mark, 2)
            best = []
            while not any(message.payload.decode() == mark and message.qos == 2 for message in best):
                best += client.receive()
            ones = [message.qos for message in best if message.payload == b"one"]
            equal(max(ones), 2, f"version {version}")
            check(len(ones) <= 2, f"version {version}: {len(ones)} copies for two subscriptions")


def keep_alive_pings(broker):
    """Paho pings when it has nothing else to send; three answers take longer than the keep alive allows silence."""
    with Client(broker, keepalive=1) as client:
        for _ in range(3):
            client._get(client.pings, "a PINGRESP")
        topic = unique("alive")
        client.subscribe(topic)
        equal(client.received_before(client, topic), [], "the connection still works")
