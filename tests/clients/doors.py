#!/usr/bin/env python3
"""A round trip with Eclipse Paho in every version of the protocol.

usage: doors.py HOST PORT tcp|websockets CAFILE|-
"""

import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from testclient import DEADLINE, V5, V31, V311, unique

# From one byte to a packet over many frames and records.
SIZES = (1, 125, 126, 16_384, 65_536, 300_000)


def round_trip(host, port, transport, cafile, version):
    name = unique("door")
    starting = {} if version == V5 else {"clean_session": True}
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, name, protocol=version, transport=transport, reconnect_on_failure=False, **starting)
    if cafile != "-":
        client.tls_set(cafile)
    subscribed, came = queue.Queue(), queue.Queue()
    client.on_connect = lambda c, _u, _f, code, _p: c.subscribe(name, 2)
    client.on_subscribe = lambda *_: subscribed.put(True)
    client.on_message = lambda _c, _u, message: came.put(message.payload)
    client.connect(host, port)
    client.loop_start()
    try:
        subscribed.get(timeout=DEADLINE)
        for qos in (0, 1, 2):
            for size in SIZES:
                payload = bytes(number % 251 for number in range(size))
                client.publish(name, payload, qos)
                if came.get(timeout=DEADLINE) != payload:
                    return f"{size} bytes came back as others"
    except queue.Empty:
        return "nothing came"
    finally:
        client.disconnect()
        client.loop_stop()
    return None


def main(arguments):
    if len(arguments) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    host, port, transport, cafile = arguments
    for version in (V31, V311, V5):
        failure = round_trip("localhost" if cafile != "-" else host, int(port), transport, cafile, version)
        if failure:
            print(f"{transport}, version {version}: {failure}", file=sys.stderr)
            return 1
    print("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
