"""An MQTT client for load: over TCP, TLS, WebSocket and both, with every QoS in both directions."""

import asyncio
import base64
import os

from . import wire

ANSWER_LIMIT_S = 60
CHUNK = 65536


class Gone(ConnectionError):
    """The connection has ended."""


class Refused(Exception):
    """The broker has answered CONNECT with an error."""


class Door:
    """How a client reaches a listener."""

    def __init__(self, kind, port, tls=None):
        self.kind, self.port, self.tls = kind, port, tls

    async def open(self):
        """A socket, with TLS where there is TLS; nothing of WebSocket."""
        host = "localhost" if self.tls else None
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls, server_hostname=host)

    @property
    def is_websocket(self):
        return self.kind in ("ws", "wss")


UPGRADE = (
    "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: {}\r\n\r\n"
)


def upgrade():
    return UPGRADE.format(base64.b64encode(os.urandom(16)).decode()).encode()


def frame(payload, opcode=2):
    """A masked frame, as clients send them."""
    mask = os.urandom(4)
    size = len(payload)
    if size < 126:
        head = bytes([0x80 | size])
    elif size < 65536:
        head = b"\xfe" + size.to_bytes(2, "big")
    else:
        head = b"\xff" + size.to_bytes(8, "big")
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    masked = (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")
    return bytes([0x80 | opcode]) + head + mask + masked


class Client:
    """One connection. `opened` first; then `read_on` runs until the connection ends and answers what comes."""

    def __init__(self, door, name, version):
        self.door, self.name, self.version = door, name, version
        self.reader = self.writer = self.task = None
        self.buffer, self.frames = bytearray(), bytearray()
        self.waiting, self.next_id = {}, 0
        # What it does with a message: nothing by itself. A silent client acknowledges nothing.
        self.on_message = lambda topic, qos, payload: None
        self.silent = False
        self.received_ids = set()
        self.arrived = 0

    async def opened(self, **connect):
        """Connects; returns whether the session was present."""
        try:
            return await asyncio.wait_for(self._open(connect), ANSWER_LIMIT_S)
        except asyncio.IncompleteReadError:
            self.drop()
            raise Gone(self.name) from None
        except BaseException:
            self.drop()
            raise

    async def _open(self, connect):
        self.reader, self.writer = await self.door.open()
        if self.door.is_websocket:
            self.writer.write(upgrade())
            head = await self.reader.readuntil(b"\r\n\r\n")
            if b" 101 " not in head:
                raise Refused(f"the upgrade was answered with {head[:40]!r}")
        self.send(wire.connect(self.name, self.version, **connect))
        packets = []
        while not packets:
            packets = await self._packets()
        kind, _, body = packets[0]
        if kind != wire.CONNACK or body[1] != 0:
            raise Refused(f"{self.name}: CONNECT was answered with {kind} {body[:2].hex()}")
        # A subscriber that comes back is sent to at once.
        self.task = asyncio.create_task(self.read_on(packets[1:]))
        return body[0] == 1

    def send(self, data):
        if self.writer.is_closing():
            raise Gone(self.name)
        self.writer.write(frame(data) if self.door.is_websocket else data)

    async def _packets(self):
        data = await self.reader.read(CHUNK)
        if not data:
            raise Gone(self.name)
        if self.door.is_websocket:
            self.frames += data
            self._unframe()
        else:
            self.buffer += data
        return wire.split(self.buffer)

    def _unframe(self):
        """Moves what complete frames hold into the buffer. A server's frames are not masked."""
        at = 0
        while len(self.frames) >= at + 2:
            opcode, size, body = self.frames[at] & 15, self.frames[at + 1], at + 2
            if size > 125:
                wide = 2 if size == 126 else 8
                if len(self.frames) < body + wide:
                    break
                size, body = int.from_bytes(self.frames[body : body + wide], "big"), body + wide
            if len(self.frames) < body + size:
                break
            if opcode == 8:
                raise Gone(self.name)
            if opcode in (0, 2):
                self.buffer += self.frames[body : body + size]
            at = body + size
        del self.frames[:at]

    async def read_on(self, packets=()):
        try:
            while True:
                for kind, flags, body in packets:
                    self.handle(kind, flags, body)
                await self.writer.drain()
                packets = await self._packets()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for answer in self.waiting.values():
                if not answer.done():
                    answer.set_exception(Gone(self.name))
                    answer.exception()
            self.waiting.clear()
            self.drop()

    def handle(self, kind, flags, body):
        number = int.from_bytes(body[:2], "big")
        if kind == wire.PUBLISH:
            topic, qos, number, payload = wire.read_publish(flags, body, self.version)
            self.arrived += 1
            again = qos == 2 and number in self.received_ids
            if not again:
                self.on_message(topic, qos, payload)
            if self.silent or qos == 0:
                return
            if qos == 2:
                self.received_ids.add(number)
            self.send(wire.acknowledge(wire.PUBACK if qos == 1 else wire.PUBREC, number))
        elif kind == wire.PUBREL:
            self.received_ids.discard(number)
            self.send(wire.acknowledge(wire.PUBCOMP, number))
        elif kind == wire.PUBREC and (len(body) < 3 or body[2] < 0x80):
            self.send(wire.acknowledge(wire.PUBREL, number))
        elif kind in (wire.PUBREC, wire.PUBACK, wire.PUBCOMP, wire.SUBACK, wire.UNSUBACK):
            if (answer := self.waiting.pop(number, None)) and not answer.done():
                answer.set_result(body)

    def ask(self, make):
        """Sends `make(identifier)`; the result is a future of the answer that ends the handshake."""
        if self.task is None or self.task.done():
            raise Gone(self.name)
        while True:
            self.next_id = self.next_id % 65535 + 1
            if self.next_id not in self.waiting:
                break
        answer = self.waiting[self.next_id] = asyncio.get_running_loop().create_future()
        self.send(make(self.next_id))
        return answer

    async def answered(self, make):
        return await asyncio.wait_for(self.ask(make), ANSWER_LIMIT_S)

    async def subscribe(self, *filters):
        return await self.answered(lambda number: wire.subscribe(number, filters, self.version))

    async def unsubscribe(self, *filters):
        return await self.answered(lambda number: wire.unsubscribe(number, filters, self.version))

    async def publish(self, topic, payload, qos=0, **more):
        """Publishes and waits for the end of the handshake; QoS 0 until it is handed to the socket."""
        if qos == 0:
            self.send(wire.publish(topic, payload, self.version, **more))
            await self.writer.drain()
            return
        await self.answered(lambda number: wire.publish(topic, payload, self.version, qos, number, **more))

    async def leave(self):
        """DISCONNECT, and until the broker has closed."""
        try:
            self.send(wire.disconnect(self.version))
            await asyncio.wait_for(asyncio.shield(self.task), ANSWER_LIMIT_S)
        except Gone:
            pass
        self.drop()

    def drop(self):
        """Closes the socket without a DISCONNECT."""
        if self.task and self.task is not asyncio.current_task():
            self.task.cancel()
        if self.writer:
            self.writer.transport.abort()
