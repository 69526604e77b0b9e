"""MQTT packets of versions 3.1, 3.1.1 and 5, as bytes, and back as far as the load needs it."""

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK = range(1, 10)
UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(10, 16)
V31, V311, V5 = 3, 4, 5

PING = bytes([PINGREQ << 4, 0])


def text(value):
    data = value.encode() if isinstance(value, str) else value
    return len(data).to_bytes(2, "big") + data


def varint(number):
    out = bytearray()
    while True:
        out.append(number % 128 | (128 if number > 127 else 0))
        number //= 128
        if not number:
            return bytes(out)


def packet(first, body):
    return bytes([first]) + varint(len(body)) + body


def properties(version, encoded=b""):
    """A block of properties, which versions before 5 do not have."""
    return varint(len(encoded)) + encoded if version == V5 else b""


def connect(name, version, *, clean=True, keep_alive=60, expiry=0, will=None, receive_maximum=0):
    """`will` is (topic, payload, QoS, retain, delay in seconds)."""
    flags, tail = 2 if clean else 0, text(name)
    if will:
        topic, payload, qos, retain, delay = will
        flags |= 4 | qos << 3 | retain << 5
        tail += properties(version, b"\x18" + delay.to_bytes(4, "big")) + text(topic) + text(payload)
    own = b""
    if expiry:
        own += b"\x11" + expiry.to_bytes(4, "big")
    if receive_maximum:
        own += b"\x21" + receive_maximum.to_bytes(2, "big")
    head = text("MQIsdp" if version == V31 else "MQTT") + bytes([version, flags]) + keep_alive.to_bytes(2, "big")
    return packet(CONNECT << 4, head + properties(version, own) + tail)


def publish(topic, payload, version, qos=0, packet_id=0, retain=False, dup=False, expiry=None):
    own = b"" if expiry is None else b"\x02" + expiry.to_bytes(4, "big")
    number = packet_id.to_bytes(2, "big") if qos else b""
    first = PUBLISH << 4 | dup << 3 | qos << 1 | retain
    return packet(first, text(topic) + number + properties(version, own) + payload)


def subscribe(packet_id, filters, version):
    """`filters` are (filter, options)."""
    body = b"".join(text(name) + bytes([options]) for name, options in filters)
    return packet(SUBSCRIBE << 4 | 2, packet_id.to_bytes(2, "big") + properties(version) + body)


def unsubscribe(packet_id, filters, version):
    body = b"".join(text(name) for name in filters)
    return packet(UNSUBSCRIBE << 4 | 2, packet_id.to_bytes(2, "big") + properties(version) + body)


def acknowledge(kind, packet_id):
    return packet(kind << 4 | (2 if kind == PUBREL else 0), packet_id.to_bytes(2, "big"))


def disconnect(version, reason=0):
    return packet(DISCONNECT << 4, bytes([reason]) if version == V5 and reason else b"")


def read_varint(data, at):
    """(number, place behind it); IndexError where there is more to come."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
        if shift > 21:
            raise ValueError("a length of more than four bytes")


def split(buffer):
    """Takes the complete packets off a bytearray: (kind, flags, body) each."""
    packets, at = [], 0
    while True:
        try:
            length, body = read_varint(buffer, at + 1)
        except IndexError:
            break
        if len(buffer) < body + length:
            break
        packets.append((buffer[at] >> 4, buffer[at] & 15, bytes(buffer[body : body + length])))
        at = body + length
    del buffer[:at]
    return packets


def read_publish(flags, body, version):
    """(topic, QoS, packet identifier or 0, payload)"""
    at = 2 + int.from_bytes(body[:2], "big")
    topic, qos, number = body[2:at].decode(), flags >> 1 & 3, 0
    if qos:
        number, at = int.from_bytes(body[at : at + 2], "big"), at + 2
    if version == V5:
        length, at = read_varint(body, at)
        at += length
    return topic, qos, number, body[at:]
