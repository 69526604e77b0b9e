"""A Paho client for tests: every call waits for the broker's answer, and nothing waits without a deadline."""

import queue
import uuid

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

V31, V311, V5 = mqtt.MQTTv31, mqtt.MQTTv311, mqtt.MQTTv5
DEADLINE = 30  # Seconds until an event that does not come is a failure.


class Failed(Exception):
    """The broker did not do what the scenario expects."""


def check(condition, *told):
    """Fails with what is told unless the condition holds."""
    if not condition:
        raise Failed(" ".join(str(part) for part in told))


def equal(actual, expected, what):
    check(actual == expected, f"{what}: {actual!r} instead of {expected!r}")


def unique(prefix):
    """A name that no other run uses, short enough for an MQTT 3.1 client identifier."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def properties(kind, **values):
    """Properties for a packet; `kind` is CONNECT, PUBLISH, SUBSCRIBE, DISCONNECT or WILLMESSAGE."""
    made = Properties(getattr(PacketTypes, kind))
    for name, value in values.items():
        setattr(made, name, value)
    return made


def options(qos=0, **flags):
    """Subscription options of version 5: noLocal, retainAsPublished, retainHandling."""
    return SubscribeOptions(qos=qos, **flags)


class Client:
    """One connection. Use it in a `with` block: leaving it drops the connection if it is still there."""

    def __init__(self, broker, client_id=None, version=V5, clean=True, connect=None, will=None, keepalive=60, manual_ack=False):
        self.name = unique("paho") if client_id is None else client_id
        self.connect_answers, self.ends = queue.Queue(), queue.Queue()
        self.messages, self.answers, self.pings = queue.Queue(), queue.Queue(), queue.Queue()
        clean_session = None if version == V5 else clean
        self.paho = mqtt.Client(
            CallbackAPIVersion.VERSION2, self.name, clean_session=clean_session, protocol=version,
            reconnect_on_failure=False, manual_ack=manual_ack)
        self.paho.on_connect = lambda _c, _u, flags, code, props: self.connect_answers.put((flags, code, props))
        self.paho.on_disconnect = lambda _c, _u, flags, code, props: self.ends.put((flags, code, props))
        self.paho.on_message = lambda _c, _u, message: self.messages.put(message)
        self.paho.on_subscribe = lambda _c, _u, mid, codes, props: self.answers.put((mid, codes))
        self.paho.on_unsubscribe = lambda _c, _u, mid, codes, props: self.answers.put((mid, codes))
        self.paho.on_log = lambda _c, _u, _level, text: self.pings.put(text) if "PINGRESP" in text else None
        if will is not None:
            self.paho.will_set(**will)
        starting = {"clean_start": clean, "properties": connect} if version == V5 else {}
        self.paho.connect(*broker, keepalive=keepalive, **starting)
        self.paho.loop_start()
        flags, self.code, self.properties = self._get(self.connect_answers, "a CONNACK")
        self.session_present = flags.session_present
        check(not self.code.is_failure, "CONNECT was refused:", self.code)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.drop()
        self.paho.loop_stop()

    def _get(self, source, what):
        try:
            return source.get(timeout=DEADLINE)
        except queue.Empty:
            raise Failed(f"{self.name} did not get {what} within {DEADLINE} s") from None

    def subscribe(self, topic, how=0, props=None):
        """Subscribes and returns the reason codes of the SUBACK as numbers; `how` is a QoS or options."""
        asked = {"options": how} if isinstance(how, SubscribeOptions) else {"qos": how}
        if isinstance(topic, list):
            asked = {}
        return self._answered(self.paho.subscribe(topic, properties=props, **asked))

    def unsubscribe(self, topic):
        """Unsubscribes and returns the reason codes of the UNSUBACK as numbers."""
        return self._answered(self.paho.unsubscribe(topic))

    def _answered(self, sent):
        mid, codes = self._get(self.answers, "an acknowledgement")
        equal(mid, sent[1], "the acknowledged packet identifier")
        return [code.value for code in codes]

    def publish(self, topic, payload, qos=1, retain=False, props=None):
        """Publishes and waits for the acknowledgement that the QoS has."""
        sent = self.paho.publish(topic, payload, qos, retain, properties=props)
        sent.wait_for_publish(DEADLINE)
        check(sent.is_published(), f"{self.name}: the message to {topic} was not acknowledged")

    def receive(self, count=1):
        """The next `count` messages."""
        return [self._get(self.messages, f"message {number + 1} of {count}") for number in range(count)]

    def payloads(self, count):
        """The payloads of the next `count` messages, as text."""
        return [message.payload.decode() for message in self.receive(count)]

    def received_before(self, publisher, topic, qos=1):
        """Has a last message published to `topic` and returns what arrived before it, as texts."""
        mark = unique("end")
        publisher.publish(topic, mark, qos)
        texts = []
        while not texts or texts[-1] != mark:
            texts += self.payloads(1)
        return texts[:-1]

    def end(self):
        """Waits until the connection has ended."""
        self._get(self.ends, "the end of its connection")

    def disconnect(self, code=None, props=None):
        """Sends DISCONNECT and waits until the connection is closed."""
        self.paho.disconnect(code, props)
        self.end()

    def drop(self):
        """Closes the socket without a DISCONNECT."""
        sock = self.paho.socket()
        if sock is not None:
            try:
                sock.shutdown(2)
            except OSError:
                pass  # The other side was faster.


class Gate:
    """Messages from several clients in one queue, with the name of the one that got each."""

    def __init__(self, clients):
        self.arrived = queue.Queue()
        for client in clients:
            client.paho.on_message = lambda _c, _u, message, name=client.name: self.arrived.put((name, message))

    def receive(self, count):
        got = []
        while len(got) < count:
            try:
                got.append(self.arrived.get(timeout=DEADLINE))
            except queue.Empty:
                raise Failed(f"{len(got)} of {count} messages arrived") from None
        return got
