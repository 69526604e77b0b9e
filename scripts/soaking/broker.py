"""The broker that is put under load: its process, its HTTP API, its figures, and what has to hold for them."""

import base64
import http.client
import json
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote

from .client import Door

START_LIMIT_S = 60
STOP_LIMIT_S = 60
SETTLE_LIMIT_S = 120
API_TIMEOUT_S = 60
# Sockets of the HTTP API that are still closing.
OPEN_FILES_SLACK = 4
# Runs of tokio's blocking pool and of the allocator come and go.
THREADS_SLACK = 4
MB = 1 << 20

# Of messages that were received and went no further, and of those that were given to a session and dropped.
REFUSED = ("no_subscriber", "duplicate", "dropped_not_permitted", "dropped_topic_limit", "dropped_protocol_error")
DROPPED = ("output_full", "offline", "queue_full", "expired", "too_large", "session_ended", "unreadable")


class Broken(Exception):
    """Something that must hold does not."""


def free_ports(number):
    probes = [socket.socket() for _ in range(number)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def make_certificate(folder, name):
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.crt"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise Broken(f"openssl cannot make a certificate: {done.stderr}")


class Broker:
    """One process with listeners of every kind in a folder of its own, which goes with it unless something failed."""

    def __init__(self, binary, keys=""):
        self.folder = Path(tempfile.mkdtemp(prefix="nanomq-soak-"))
        self.log = self.folder / "nanomq.log"
        self.config = self.folder / "nanomq.conf"
        for name in ("first", "second"):
            make_certificate(self.folder, name)
        self.use_certificate("first")
        tls = ssl.create_default_context()
        for name in ("first", "second"):
            tls.load_verify_locations(self.folder / f"{name}.crt")
        tcp, secure, ws, wss, self.http_port = free_ports(5)
        self.doors = [Door("tcp", tcp), Door("ssl", secure, tls), Door("ws", ws), Door("wss", wss, tls)]
        self.keys = keys
        self.listening = (
            f'listeners.tcp {{ bind = "127.0.0.1:{tcp}", connect_timeout = 3s }}\n'
            f'listeners.ssl {{ bind = "127.0.0.1:{secure}", certfile = "{self.folder}/server.crt", '
            f'keyfile = "{self.folder}/server.key", connect_timeout = 3s }}\n'
            f'listeners.ws {{ bind = "127.0.0.1:{ws}/mqtt", connect_timeout = 3s }}\n'
            f'listeners.wss {{ bind = "127.0.0.1:{wss}/mqtt", connect_timeout = 3s }}\n'
            f'http_server {{ ip_addr = "127.0.0.1", port = {self.http_port} }}\n'
            f'system.pid_file = "{self.folder}/nanomq.pid"\n'
            "system.num_taskq_thread = 2\nlog.level = error\n"
            "mqtt { sys_interval = 0s, sys_events = false }\n"
        )
        self.configure(keys)
        self.api_published = 0
        self.slowest_s, self.asked = 0.0, 0
        self.lock = threading.Lock()
        with self.log.open("wb") as log:
            command = [binary, "start", "--conf", str(self.config)]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.wait_until_ready()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def configure(self, keys):
        self.config.write_text(self.listening + keys)

    def use_certificate(self, name):
        for ending in ("crt", "key"):
            shutil.copyfile(self.folder / f"{name}.{ending}", self.folder / f"server.{ending}")

    def wait_until_ready(self):
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            self.check_alive()
            try:
                if self.get("/health")["code"] == 0:
                    return
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
        raise Broken("the broker does not answer")

    def check_alive(self):
        if self.process.poll() is not None:
            raise Broken(f"the broker has ended with {self.process.returncode}")

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def stop(self, keep):
        """SIGTERM, and whether it ended in order; the log is kept where it did not, or where something failed."""
        alive = self.process.poll() is None
        if alive:
            self.process.terminate()
            try:
                self.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        complained = [line for line in self.log.read_text(errors="replace").splitlines() if "panicked" in line]
        good = alive and self.process.returncode == 0 and not complained
        if keep or not good:
            print(f"the broker's log: {self.log}")
        else:
            shutil.rmtree(self.folder)
        if not good:
            raise Broken(f"the broker ended with {self.process.returncode} {complained[:3]}")

    # The HTTP API.

    def request(self, method, path, body=None):
        """(status, JSON or text)"""
        headers = {"Authorization": "Basic " + base64.b64encode(b"admin:public").decode(), "Connection": "close"}
        started = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=API_TIMEOUT_S)
        try:
            connection.request(method, "/api/v4" + path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            data = answer.read().decode()
            is_json = "json" in answer.getheader("Content-Type", "")
        finally:
            connection.close()
        with self.lock:
            self.asked += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - started)
        return answer.status, json.loads(data) if is_json else data

    def get(self, path):
        status, answer = self.request("GET", path)
        if status != 200:
            raise Broken(f"GET {path} was answered with {status}: {str(answer)[:200]}")
        return answer

    def publish(self, topic, payload, qos, retain):
        status, answer = self.request(
            "POST", "/mqtt/publish", {"topic": topic, "payload": payload, "qos": qos, "retain": retain}
        )
        if status != 200:
            raise Broken(f"/mqtt/publish was answered with {status}: {answer}")
        with self.lock:
            self.api_published += 1

    def stats(self):
        return self.get("/stats")["data"]

    def counters(self):
        """What is counted, by name without "nanomq_" and "_total"."""
        found = {}
        for line in self.get("/prometheus").splitlines():
            name, _, value = line.rpartition(" ")
            if name.startswith("nanomq_") and "{" not in name:
                found[name.removeprefix("nanomq_").removesuffix("_total")] = float(value)
        return found

    def memory(self):
        """(resident, most resident so far, threads), from /proc."""
        status = dict(line.split(":", 1) for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines())
        size = lambda name: int(status[name].split()[0]) * 1024  # noqa: E731
        return size("VmRSS"), size("VmHWM"), int(status["Threads"])

    def open_files(self):
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def forget(self):
        """Ends all sessions and clears all retained messages through the API."""
        deadline = time.monotonic() + SETTLE_LIMIT_S
        while True:
            self.check_alive()
            sessions = self.get("/clients?_limit=1000")["data"]
            for session in sessions:
                name = session["client_id"]
                status, answer = self.request("DELETE", f"/clients/{quote(name, safe='')}?session=true")
                if status not in (200, 404):
                    raise Broken(f"DELETE of client {name!r} was answered with {status}: {answer}")
            sockets = self.stats()["sockets"]
            if not sessions and not sockets:
                break
            if time.monotonic() > deadline:
                raise Broken(f"{SETTLE_LIMIT_S} s after the load: {len(sessions)} sessions and {sockets} sockets are left")
            if not sessions:
                time.sleep(0.05)
        # Wills that are retained come with the end of their sessions.
        self.clear_retained()

    def clear_retained(self):
        status, answer = self.request("DELETE", "/retained?topic=%23")
        if status != 200:
            raise Broken(f"DELETE /retained was answered with {status}: {answer}")


class Baseline:
    """What the broker uses while nobody is there."""

    def __init__(self, broker):
        self.broker = broker
        self.files = broker.open_files()
        self.resident, _, self.threads = broker.memory()

    def sums(self):
        """Both sides of what was received and of what was delivered."""
        counted, queues = self.broker.counters(), self.broker.stats()["queues"]
        received = sum(counted[f"messages_qos{qos}_received"] for qos in range(3))
        received += counted["wills_published"] + self.broker.api_published
        went_on = counted["messages_routed"] + sum(counted[f"messages_{name}"] for name in REFUSED)
        left = sum(counted[f"messages_{name}"] for name in ("qos0_sent", "acknowledged", "handed_over"))
        left += sum(counted[f"messages_dropped_{name}"] for name in DROPPED) + queues["messages"] + queues["inflight"]
        return received, went_on, counted["messages_deliveries"], left

    def differences(self, memory_slack):
        """What differs from what must be when nobody is there any more, as sentences."""
        stats = self.broker.stats()
        wrong = []
        for name in ("sockets", "connections", "sessions", "subscriptions", "topics"):
            if stats[name]:
                wrong.append(f"{stats[name]} {name} are left")
        for name in ("messages", "bytes", "inflight", "sessions"):
            if stats["queues"][name]:
                wrong.append(f"{stats['queues'][name]} {name} in queues are left")
        if stats["retained"]["count"] or stats["retained"]["bytes"]:
            rows = [row["topic"] for topic in ("%23", "%24SYS/%23") for row in self.broker.get(f"/retained?topic={topic}")["data"]]
            wrong.append(f"{stats['retained']} retained messages are left: {rows[:5]}")
        received, went_on, deliveries, left = self.sums()
        if received != went_on:
            wrong.append(f"{received:.0f} messages were received or made, {went_on:.0f} were routed or refused")
        if deliveries != left:
            wrong.append(f"{deliveries:.0f} messages were given to sessions, {left:.0f} have left them")
        files = self.broker.open_files()
        if files > self.files + OPEN_FILES_SLACK:
            wrong.append(f"{files} files are open, {self.files} were")
        resident, _, threads = self.broker.memory()
        if threads > self.threads + THREADS_SLACK:
            wrong.append(f"{threads} threads run, {self.threads} did")
        if resident > self.resident + memory_slack:
            was = f"{self.resident / MB:.1f} MB were, {memory_slack / MB:.0f} MB more are allowed"
            wrong.append(f"{resident / MB:.1f} MB are resident, {was}")
        return wrong

    def wait_for_return(self, memory_slack):
        """Waits until everything is as it was; Broken with what is not."""
        deadline = time.monotonic() + SETTLE_LIMIT_S
        while True:
            self.broker.check_alive()
            wrong = self.differences(memory_slack)
            if not wrong:
                return
            if time.monotonic() > deadline:
                raise Broken(f"{SETTLE_LIMIT_S} s after the load: " + "; ".join(wrong))
            self.broker.clear_retained()
            time.sleep(0.5)
