"""Scenarios of MQTT 5: properties, subscription options, limits, reason codes.

Every public function is a scenario; it gets the broker as (host, port).
"""

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from testclient import Client, check, equal, options, properties, unique


def assigned_client_id(broker):
    with Client(broker, client_id="") as client, Client(broker, client_id="") as other:
        names = [getattr(each.properties, "AssignedClientIdentifier", None) for each in (client, other)]
        check(all(names), "the broker tells the names that it assigned:", names)
        check(names[0] != names[1], "two clients have the same name:", names)
        print(f"assigned: {names[0]}")


def properties_round_trip(broker):
    topic = unique("properties")
    sent = {
        "UserProperty": [("a", "1"), ("größe", "10 µm"), ("a", "2")],
        "ContentType": "application/json",
        "ResponseTopic": "answers/here",
        "CorrelationData": bytes([0, 255, 1, 2]),
        "PayloadFormatIndicator": 1,
    }
    with Client(broker) as client:
        client.subscribe(topic, 2)
        for qos, retain in ((0, False), (1, False), (2, True)):
            client.publish(topic, "{}", qos, retain, properties("PUBLISH", **sent))
            (message,) = client.receive()
            _same_properties(message, sent)
        with Client(broker) as late:
            late.subscribe(topic)
            (message,) = late.receive()
            check(message.retain, "the late subscriber gets the retained message")
            _same_properties(message, sent)
        client.publish(topic, b"", retain=True)


def _same_properties(message, sent):
    for name, value in sent.items():
        equal(getattr(message.properties, name, None), value, f"{name} at QoS {message.qos}")


def request_response(broker):
    question, answer = unique("question"), unique("answer")
    with Client(broker) as asking, Client(broker) as answering:
        asking.subscribe(answer, 1)
        answering.subscribe(question, 1)
        asking.publish(question, "2 + 2", props=properties("PUBLISH", ResponseTopic=answer, CorrelationData=b"id 7"))
        (request,) = answering.receive()
        correlation = properties("PUBLISH", CorrelationData=request.properties.CorrelationData)
        answering.publish(request.properties.ResponseTopic, "4", props=correlation)
        (response,) = asking.receive()
        equal((response.payload, response.properties.CorrelationData), (b"4", b"id 7"), "the response")


def subscription_identifiers(broker):
    root = unique("identifier")
    with Client(broker) as client:
        client.subscribe(f"{root}/#", 1, properties("SUBSCRIBE", SubscriptionIdentifier=1))
        client.subscribe(f"{root}/a", 1, properties("SUBSCRIBE", SubscriptionIdentifier=268435455))
        for topic, expected in ((f"{root}/b", {1}), (f"{root}/a", {1, 268435455})):
            client.publish(topic, "x")
            found = set()
            while found < expected:  # The two may come in one message or in one each [MQTT-3.3.4-4].
                (message,) = client.receive()
                found.update(getattr(message.properties, "SubscriptionIdentifier", []))
            equal(found, expected, topic)
    with Client(broker) as client:
        client.subscribe(root, 1)
        client.publish(root, "x")
        (message,) = client.receive()
        check(not hasattr(message.properties, "SubscriptionIdentifier"), "none was asked for")


def no_local(broker):
    topic = unique("local")
    with Client(broker) as client, Client(broker) as other:
        client.subscribe(topic, options(1, noLocal=True))
        client.publish(topic, "mine")
        equal(client.received_before(other, topic), [], "its own messages [MQTT-3.8.3-3]")
        client.unsubscribe(topic)
        client.subscribe(topic, options(1, noLocal=False))
        client.publish(topic, "mine")
        equal(client.received_before(other, topic), ["mine"], "its own messages without the option")


def subscribing_again_replaces_options(broker):
    topic = unique("again")
    with Client(broker) as client, Client(broker) as other:
        for how, expected in ((options(1, noLocal=True), []), (options(1), ["mine"]), (options(1, noLocal=True), [])):
            client.subscribe(topic, how)
            client.publish(topic, "mine")
            equal(client.received_before(other, topic), expected, f"{how} [MQTT-3.8.4-3]")


def retain_as_published(broker):
    topic = unique("published")
    with Client(broker) as client:
        for keep, retain, expected in ((True, True, True), (True, False, False), (False, True, False), (False, False, False)):
            client.publish(topic, b"", retain=True)
            client.subscribe(topic, options(1, retainAsPublished=keep))
            client.publish(topic, "x", retain=retain)
            (message,) = client.receive()
            equal((message.payload, message.retain), (b"x", expected), f"option {keep}, published {retain} [MQTT-3.3.1-12]")
            client.unsubscribe(topic)
        client.publish(topic, b"", retain=True)


def retain_handling(broker):
    topic = unique("handling")
    # Retain handling, then what the first and the second SUBSCRIBE of a session bring.
    cases = [(0, ["kept"], ["kept"]), (1, ["kept"], []), (2, [], [])]
    with Client(broker) as publisher:
        publisher.publish(topic, "kept", retain=True)
        for handling, first, second in cases:
            with Client(broker) as client:
                for number, expected in ((1, first), (2, second)):
                    client.subscribe(topic, options(1, retainHandling=handling))
                    # The retained message may come after the next live one, so it is awaited where it must come.
                    got = client.payloads(len(expected)) + client.received_before(publisher, topic)
                    equal(got, expected, f"handling {handling}, SUBSCRIBE {number}")
        publisher.publish(topic, b"", retain=True)


def message_expiry_counts_down(broker):
    topic, name = unique("expiry"), unique("away")
    kept = properties("CONNECT", SessionExpiryInterval=300)
    with Client(broker) as publisher, Client(broker, name, connect=kept) as client:
        client.subscribe(topic, 1)
        client.disconnect()
        publisher.publish(topic, "waits", props=properties("PUBLISH", MessageExpiryInterval=200))
        with Client(broker, name, clean=False, connect=kept) as back:
            (message,) = back.receive()
            left = getattr(message.properties, "MessageExpiryInterval", None)
            check(left is not None and 0 < left <= 200, "seconds left of 200 [MQTT-3.3.2-6]:", left)


def will_properties(broker):
    topic = unique("will")
    sent = {"UserProperty": [("why", "lost")], "ContentType": "text/plain", "PayloadFormatIndicator": 1}
    will = {"topic": topic, "payload": "gone", "qos": 2, "properties": properties("WILLMESSAGE", **sent)}
    with Client(broker) as watcher:
        watcher.subscribe(topic, 2)
        with Client(broker, will=will) as client:
            client.drop()
            (message,) = watcher.receive()
            equal((message.payload, message.qos, message.retain), (b"gone", 2, False), "the will")
            _same_properties(message, sent)


def disconnect_with_will(broker):
    topic = unique("will")
    cases = [(0x00, []), (0x04, ["gone"])]
    with Client(broker) as watcher:
        watcher.subscribe(topic, 1)
        for code, expected in cases:
            with Client(broker, will={"topic": topic, "payload": "gone", "qos": 1}) as client:
                client.disconnect(ReasonCode(PacketTypes.DISCONNECT, identifier=code))
                got = watcher.payloads(len(expected)) + watcher.received_before(watcher, topic)
                equal(got, expected, f"DISCONNECT {code:#04x}")


def _delayed_will(topic):
    return {"topic": topic, "payload": "gone", "qos": 1, "properties": properties("WILLMESSAGE", WillDelayInterval=200)}


def will_delay(broker):
    """A client that is back before the delay is over leaves no will."""
    topic, name = unique("will"), unique("back")
    kept = properties("CONNECT", SessionExpiryInterval=300)
    with Client(broker) as watcher:
        watcher.subscribe(topic, 1)
        with Client(broker, name, connect=kept, will=_delayed_will(topic)) as client:
            client.drop()
            client.end()
        with Client(broker, name, clean=False, connect=kept) as client:
            check(client.session_present, "the session was kept")
            equal(watcher.received_before(client, topic), [], "the will of a client that came back [MQTT-3.1.3-9]")


def will_when_the_session_ends(broker):
    """The end of the session does not wait for the delay: by expiry, by having no expiry, by a clean start."""
    topic, name = unique("will"), unique("end")
    with Client(broker) as watcher:
        watcher.subscribe(topic, 1)
        for seconds, clean_start in ((1, False), (0, False), (300, True)):
            kept = properties("CONNECT", SessionExpiryInterval=seconds)
            with Client(broker, name, connect=kept, will=_delayed_will(topic)) as client:
                client.drop()
                client.end()
            if clean_start:
                with Client(broker, name):
                    equal(watcher.payloads(1), ["gone"], "the will before a clean start")
            else:
                equal(watcher.payloads(1), ["gone"], f"the will of a session kept for {seconds} s")


def client_receive_maximum(broker):
    topic, other = unique("window"), unique("other")
    connect = properties("CONNECT", ReceiveMaximum=2)
    with Client(broker) as publisher, Client(broker, connect=connect, manual_ack=True) as client:
        client.subscribe(topic, 1)
        for number in range(5):
            publisher.publish(topic, str(number))
        first = client.receive(2)
        client.subscribe(other)  # Its answer comes after everything that was sent before.
        check(client.messages.empty(), "more than 2 messages without an acknowledgement [MQTT-3.3.4-9]")
        waiting, seen = list(first), [message.payload.decode() for message in first]
        while len(seen) < 5:
            message = waiting.pop(0)
            client.paho.ack(message.mid, message.qos)
            (following,) = client.receive()
            waiting.append(following)
            seen.append(following.payload.decode())
        equal(seen, ["0", "1", "2", "3", "4"], "all messages in order")


def client_maximum_packet_size(broker):
    topic = unique("size")
    with Client(broker) as publisher, Client(broker, connect=properties("CONNECT", MaximumPacketSize=200)) as client:
        client.subscribe(topic, 1)
        for payload in ("x" * 100, "y" * 300, "z" * 100):
            publisher.publish(topic, payload)
        equal([text[0] for text in client.received_before(publisher, topic)], ["x", "z"], "messages of at most 200 bytes [MQTT-3.1.2-25]")


def topic_aliases_change(broker):
    one, two = unique("one"), unique("two")
    with Client(broker) as client, Client(broker) as watcher:
        check(getattr(client.properties, "TopicAliasMaximum", 0) >= 2, "the broker accepts aliases")
        watcher.subscribe([(one, options(1)), (two, options(1))])

        def publish(topic, payload, alias):
            client.publish(topic, payload, props=properties("PUBLISH", TopicAlias=alias))

        sent = [(one, "a", 1, one), ("", "b", 1, one), (two, "c", 2, two), ("", "d", 1, one), (two, "e", 1, two), ("", "f", 1, two)]
        for topic, payload, alias, _ in sent:
            publish(topic, payload, alias)
        got = [(message.topic, message.payload.decode()) for message in watcher.receive(len(sent))]
        equal(got, [(topic, payload) for _, payload, _, topic in sent], "the topics that the aliases stood for")
        with Client(broker) as stranger:
            stranger.paho.publish("", "x", properties=properties("PUBLISH", TopicAlias=1))
            stranger.end()  # An alias belongs to one connection.
