"""The brokers that are measured: where they come from, how they are configured, started and stopped."""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

KINDS = ("nanomq", "mosquitto", "rumqttd")
START_LIMIT_S = 15
STOP_LIMIT_S = 10
# The same for all brokers, made in the temporary folder.
CERTIFICATE, KEY = "localhost.crt", "localhost.key"
SEARCH_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


class CannotMeasure(Exception):
    """A broker or the generator did not do what measuring needs."""


def nanomq_config(port, http_port, folder, keys, door):
    name = f"nanomq-{port}"
    keys = {"system.pid_file": f'"{folder}/{name}.pid"', "mqtt.max_mqueue_len": 1000000, "log.level": "warn"} | keys
    if keys.get("store.enable"):
        keys["store.path"] = f'"{folder}/{name}-store"'
    kind = {"tcp": "tcp", "tls": "ssl", "ws": "ws"}[door]
    pair = f', certfile = "{folder}/{CERTIFICATE}", keyfile = "{folder}/{KEY}"' if door == "tls" else ""
    only = "" if door == "tcp" else "listeners.tcp.enable = false\n"
    return (
        only + f'listeners.{kind} {{ bind = "127.0.0.1:{port}"{pair} }}\n'
        f'http_server {{ ip_addr = "127.0.0.1", port = {http_port} }}\n'
        + "".join(f"{key} = {str(value).lower() if value is True else value}\n" for key, value in keys.items())
    )


def mosquitto_config(port, _http_port, folder, keys, door):
    # It never waits for the disk; a second is the shortest interval in which it writes everything anew.
    persistence = "persistence false\n"
    if keys.get("store.enable"):
        place = folder / f"mosquitto-{port}"
        place.mkdir()
        place.chmod(0o777)
        persistence = f"persistence true\npersistence_location {place}/\nautosave_interval 1\n"
    layer = f"certfile {folder}/{CERTIFICATE}\nkeyfile {folder}/{KEY}\n" if door == "tls" else ""
    return (
        f"listener {port} 127.0.0.1\n{layer}allow_anonymous true\n{persistence}"
        "max_queued_messages 0\nlog_dest stderr\nlog_type error\n"
    )


def rumqttd_config(port, _http_port, _folder, _keys, _door):
    return f"""id = 0
[router]
id = 0
max_connections = 20010
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v4.1]
name = "v4-1"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 0
[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = 2000000
max_inflight_count = 100
dynamic_filters = true
"""


# Configuration, its file name's ending, and the command line around it.
SETUP = {
    "nanomq": (nanomq_config, "conf", lambda binary, file: [binary, "start", "--conf", file]),
    "mosquitto": (mosquitto_config, "conf", lambda binary, file: [binary, "-c", file]),
    "rumqttd": (rumqttd_config, "toml", lambda binary, file: [binary, "--config", file, "--quiet"]),
}


def find(wanted, nanomq, release, install):
    """Returns {kind: binary} of those that are there or could be installed."""
    found = {}
    for kind in wanted:
        if kind == "nanomq":
            found[kind] = str(Path(nanomq).resolve() if nanomq else release / "nanomq")
            if not os.access(found[kind], os.X_OK):
                raise CannotMeasure(f"{found[kind]} is not there")
            continue
        own = release.parent / "bench"
        path = f"{own}/bin:{SEARCH_PATH}"
        if not shutil.which(kind, path=path) and install:
            command = {
                "mosquitto": ["apt-get", "install", "-y", "-q", "--no-install-recommends", "mosquitto"],
                "rumqttd": ["cargo", "install", "-q", "--root", str(own), "rumqttd"],
            }[kind]
            print("+", *command, file=sys.stderr, flush=True)
            try:
                subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)
            except OSError as error:
                print(f"  {error}", file=sys.stderr)
        if binary := shutil.which(kind, path=path):
            found[kind] = binary
        else:
            print(f"{kind} is not installed; measuring without it", file=sys.stderr)
    if not found:
        raise CannotMeasure("no broker to measure")
    return found


def versions(found):
    """Returns {kind: version}, as each program tells it."""
    told = {}
    for kind, binary in found.items():
        option = "-h" if kind == "mosquitto" else "--version"
        done = subprocess.run([binary, option], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        words = (done.stdout or done.stderr).split("\n", 1)[0].split()
        told[kind] = next((word for word in words if word[:1].isdigit()), "of unknown version")
    return told


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_certificate(folder):
    """Makes the certificate of localhost that brokers show, and its key, unless they are there."""
    certificate, key = folder / CERTIFICATE, folder / KEY
    if certificate.exists():
        return certificate
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
        "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", str(key), "-out", str(certificate),
    ]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        raise CannotMeasure(f"openssl: {error}") from None
    if done.returncode != 0:
        raise CannotMeasure(f"openssl: {done.stderr.strip()}")
    # Mosquitto reads it when it has given up root.
    key.chmod(0o644)
    return certificate


class Broker:
    """One broker process with a configuration and a port of its own, which is open for `door`: tcp, tls or ws."""

    def __init__(self, kind, binary, folder, keys, door):
        self.kind = kind
        self.layers = {
            "tcp": lambda: [], "ws": lambda: ["--ws"], "tls": lambda: ["--tls", str(make_certificate(folder))],
        }[door]()
        self.port = free_port()
        self.http_port = free_port()
        self.log = folder / f"{kind}-{self.port}.log"
        write, ending, command = SETUP[kind]
        config = folder / f"{kind}-{self.port}.{ending}"
        config.write_text(write(self.port, self.http_port, folder, keys, door))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command(binary, str(config)), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder
            )

    def __enter__(self):
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def wait_until_ready(self):
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise CannotMeasure(f"{self.kind} ended with code {self.process.returncode}{self.log_tail()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
                continue
            # Threads that start late belong to the memory after start.
            time.sleep(0.3)
            return
        raise CannotMeasure(f"{self.kind} does not accept on port {self.port} after {START_LIMIT_S} s{self.log_tail()}")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def arguments(self):
        """What the generator has to know of it."""
        return ["--addr", f"127.0.0.1:{self.port}", "--pid", str(self.process.pid), *self.layers]

    def stats(self):
        """What nanomq's API tells of it."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}/api/v4/stats")
        request.add_header("Authorization", "Basic " + base64.b64encode(b"admin:public").decode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["data"]

    def log_tail(self):
        lines = self.log.read_text(errors="replace").splitlines()[-8:]
        return "".join(f"\n    {line}" for line in lines)
