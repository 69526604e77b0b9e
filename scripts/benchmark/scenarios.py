"""What is measured, and the targets: every row of the table begins here."""

import contextlib
import json
import os
import subprocess
from dataclasses import dataclass, field

from .brokers import KINDS, CannotMeasure

LOAD_LIMIT_S = 250
# Cost of a message at QoS 0, and at QoS 1 and 2, as a share of another broker's.
QOS0 = {"mosquitto": 1 / 20, "rumqttd": 1 / 5}
FAN = {"mosquitto": 1 / 20, "rumqttd": 1 / 2}
ACKNOWLEDGED = {"mosquitto": 1 / 10, "rumqttd": 1 / 3}
NOT_ABOVE_MOSQUITTO = {"mosquitto": 1.0}
EIGHTH = {"mosquitto": 1 / 8}
WITHOUT_RUMQTTD = ("nanomq", "mosquitto")


@dataclass
class Metric:
    """One row: a field of the generator's result."""

    field: str
    label: str
    unit: str
    # The largest share of another broker's value that is allowed, by broker.
    shares: dict = field(default_factory=dict)
    # The largest value that is allowed.
    most: float | None = None


def load_once(load, arguments):
    """Runs the generator and returns the object it prints last."""
    try:
        done = subprocess.run(
            [load, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LOAD_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        raise CannotMeasure(f"{arguments[0]}: the generator did not end") from None
    if done.returncode != 0:
        raise CannotMeasure(f"{' '.join(arguments)}: {done.stderr.strip()}")
    return json.loads(done.stdout.strip().rsplit("\n", 1)[-1])


@contextlib.contextmanager
def on_core(number):
    """What is started meanwhile runs on this core alone, or with None wherever the kernel puts it."""
    before = os.sched_getaffinity(0)
    if number is not None:
        os.sched_setaffinity(0, {sorted(before)[number % len(before)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass
class Scenario:
    """A run of the generator against a fresh broker."""

    name: str
    title: str
    arguments: list
    metrics: list
    quick: bool = False
    # How often it runs at most, for one that takes long and hardly varies.
    rounds: int = 99
    # How often it runs in a round, for one that is short and varies.
    times: int = 1
    brokers: tuple = KINDS
    # Keys of nanomq's configuration.
    keys: dict = field(default_factory=dict)
    # What carries MQTT: tcp, tls or ws.
    door: str = "tcp"
    # The core of the broker, and that of the generator.
    cores: tuple = (None, None)

    def run(self, start, load):
        """Returns the results, one for each time that the generator ran."""
        with on_core(self.cores[0]):
            started = start(self.door, **self.keys)
        with started as broker, on_core(self.cores[1]):
            try:
                command, *options = self.arguments
                return [load_once(load, [command, *broker.arguments(), *options])]
            except CannotMeasure as failure:
                raise CannotMeasure(f"{broker.kind}: {failure}{broker.log_tail()}") from None


@dataclass
class Crowd(Scenario):
    """As [`Scenario`], while many other clients are connected and idle."""

    idle: int = 16_000
    # Of each idle client.
    subscriptions: int = 0
    # How often the generator runs while they are connected.
    runs: int = 1

    def run(self, start, load):
        with start(self.door, **self.keys) as broker:
            idle = subprocess.Popen(
                [load, "idle", *broker.arguments(), "--clients", str(self.idle),
                 "--subscriptions", str(self.subscriptions), "--hold-until-stdin-closes"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            try:
                # The generator bounds every answer itself.
                if idle.stdout.readline().strip() != f"connected {self.idle}":
                    raise CannotMeasure(f"{broker.kind}: {idle.stderr.read().strip() or 'the generator ended'}")
                results = [self.among(broker, load) for _ in range(self.runs)]
                idle.stdin.close()
                if idle.wait(LOAD_LIMIT_S) != 0:
                    raise CannotMeasure(f"{broker.kind}: {idle.stderr.read().strip()}")
                return results
            finally:
                if idle.poll() is None:
                    idle.kill()
                idle.wait()

    def among(self, broker, load):
        """What is measured while the others are connected."""
        command, *options = self.arguments
        return load_once(load, [command, *broker.arguments(), *options])


@dataclass
class Polled(Crowd):
    """As [`Crowd`], first without, then while full lists are read from the HTTP API without a pause."""

    path: str = "/api/v4/clients"

    def among(self, broker, load):
        alone = super().among(broker, load)
        poll = subprocess.Popen(
            [load, "poll", "--api", f"127.0.0.1:{broker.http_port}", "--path", self.path, "--seconds", "4"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        try:
            polled = super().among(broker, load)
            output, errors = poll.communicate(timeout=LOAD_LIMIT_S)
            if poll.returncode != 0:
                raise CannotMeasure(f"{broker.kind}: {errors.strip()}")
        finally:
            if poll.poll() is None:
                poll.kill()
                poll.wait()
        return json.loads(output) | {f"{name}_alone": value for name, value in alone.items()} | polled


@dataclass
class Beside(Scenario):
    """As [`Scenario`], with a second broker that differs in its keys and takes turns with the first."""

    beside: dict = field(default_factory=dict)

    def run(self, start, load):
        with start(self.door, **self.keys) as broker, start(self.door, **self.keys | self.beside) as other:
            command, *options = self.arguments
            address, pid = f"127.0.0.1:{other.port}", str(other.process.pid)
            return [load_once(load, [command, *broker.arguments(), "--beside", address, "--beside-pid", pid, *options])]


class Stored(Scenario):
    """As [`Scenario`], and how many messages of nanomq share a sync of the disk."""

    def run(self, start, load):
        with start(self.door, **self.keys) as broker:
            try:
                command, *options = self.arguments
                result = load_once(load, [command, *broker.arguments(), *options])
            except CannotMeasure as failure:
                raise CannotMeasure(f"{broker.kind}: {failure}{broker.log_tail()}") from None
            if broker.kind == "nanomq":
                stats = broker.stats()
                syncs = stats["store"]["syncs"]
                result["messages_per_sync"] = stats["messages"]["received"]["qos1"] / syncs if syncs else None
            return [result]


def stored(durability, title, pairs_and_window, **keys):
    number, window = pairs_and_window
    metrics = [
        Metric("broker_cpu_us", "CPU per delivery", "us"), Metric("msgs_per_sec", "rate", "msg/s"),
        Metric("messages_per_sync", "messages per sync", "msg"), Metric("lost", "lost", "msg"),
    ]
    arguments = ["flood", *pairs(number, "--qos", "1", "--window", str(window), "--seconds", "2", "--kept")]
    settings = {"store.enable": True, "store.durability": durability} if durability else {}
    return Stored(f"stored_{durability or 'off'}_{number}x{window}", title, arguments, metrics,
                  brokers=("nanomq", "mosquitto"), keys=settings, rounds=2, **keys)


def flood(name, title, *options, shares=None, extra=(), **keys):
    metrics = [Metric("broker_cpu_us", "CPU per delivery", "us", shares or {}), Metric("msgs_per_sec", "rate", "msg/s")]
    return Scenario(name, title, ["flood", *options], [*metrics, *extra, Metric("lost", "lost", "msg")], **keys)


def pairs(number, *options):
    return ["--pubs", str(number), "--subs", str(number), *options]


LATENCY = [
    Metric("p50_us", "p50", "us", NOT_ABOVE_MOSQUITTO),
    Metric("p99_us", "p99", "us", NOT_ABOVE_MOSQUITTO),
    Metric("p99.9_us", "p99.9", "us"),
]


def pingpong(name, title, cores, **keys):
    """A message after the other. Waking a thread on another core costs several times the rest, and whether a message takes
    that the kernel decides, for thousands of them at once, depending on how the generator was started: what it leaves to
    chance is not judged."""
    metrics = [Metric("broker_cpu_us", "CPU per message", "us", NOT_ABOVE_MOSQUITTO), *LATENCY]
    if cores is None:
        metrics = [Metric(metric.field, metric.label, metric.unit) for metric in metrics]
    arguments = ["pingpong", "--rounds", "10000"]
    return Scenario(name, title, arguments, metrics, quick=True, times=3, cores=cores or (None, None), **keys)


def subscriptions(name, kind, count, **keys):
    # Among a million, so many that what an allocator still gives back after they were entered is little beside them.
    messages = {1_000: 200_000, 1_000_000: 500_000}.get(count, 50_000)
    return Scenario(
        f"subs_{kind}_{name}",
        f"{count:,} subscriptions, {kind}",
        ["subscriptions", "--kind", kind, "--count", str(count), "--clients", "10", "--messages", str(messages)],
        [
            Metric("broker_cpu_us", "CPU per message", "us"),
            Metric("broker_cpu_us_per_subscribe_first", "CPU per SUBSCRIBE, first tenth", "us"),
            Metric("broker_cpu_us_per_subscribe_last", "CPU per SUBSCRIBE, last tenth", "us"),
            # 20 bytes of topic and 200 beyond.
            Metric("broker_bytes_per_subscription", "memory per subscription", "B", most=220 if count > 10_000 else None),
        ],
        keys={"mqtt.max_subscriptions": 0},
        **keys,
    )


def backlog(name, title, kind, *options, shares=None, extra=(), **keys):
    return Scenario(
        name,
        title,
        ["backlog", "--kind", kind, *options],
        [
            Metric("broker_cpu_us", "CPU per message taken", "us", shares or {}),
            *extra,
            Metric("broker_cpu_us_per_kept", "CPU per message kept", "us"),
            Metric("broker_bytes_per_kept", "memory per message kept", "B"),
        ],
        **keys,
    )


def churn(name, title, *options, rounds_of_clients=5000, **keys):
    metrics = [Metric("broker_cpu_us", "CPU per round", "us", NOT_ABOVE_MOSQUITTO), Metric("rounds_per_sec", "rate", "/s")]
    return Scenario(name, title, ["churn", "--rounds", str(rounds_of_clients), *options], metrics, **keys)


def behind(door, name, most_kb, quick, among):
    """The most telling scenarios through a door that is not plain TCP."""
    keys = {"door": door, "rounds": 1, "brokers": among}
    return [
        flood(f"pairs_{door}", f"20 pairs, QoS 0, 16 B, {name}", *pairs(20, "--seconds", "2"), quick=quick, **keys),
        flood(f"pairs_qos1_{door}", f"20 pairs, QoS 1, window 20, {name}", *pairs(20, "--qos", "1", "--seconds", "2"), **keys),
        churn(f"connect_{door}", f"connect, subscribe, disconnect, {name}", rounds_of_clients=2000, **keys),
        Scenario(
            f"idle_{door}", f"5,000 idle clients, {name}", ["idle", "--clients", "5000"],
            [
                Metric("broker_kb_per_client", "memory per client", "KB", most=most_kb),
                Metric("broker_rss_kb_after", "memory after all have left", "KB"),
                Metric("broker_cpu_us_per_connect", "CPU per connect", "us"),
            ],
            **keys,
        ),
    ]


ALL = [
    Scenario(
        "idle", "10,000 idle clients", ["idle", "--clients", "10000", "--churn", "2"],
        [
            Metric("broker_rss_kb_before", "memory after start", "KB", most=12_288),
            Metric("broker_kb_per_client", "memory per client", "KB", most=2.0),
            Metric("broker_kb_per_client_after_churn", "memory per client, after all came anew twice", "KB"),
            Metric("broker_rss_kb_after", "memory after all have left", "KB"),
            Metric("broker_idle_cpu_ms_per_s", "CPU per second idle", "ms"),
            Metric("broker_cpu_us_per_connect", "CPU per connect", "us"),
            Metric("connects_per_sec", "connects", "/s"),
        ],
        quick=True, rounds=2,
    ),
    Scenario(
        "broadcast", "10,000 clients subscribe to one topic and leave", ["idle", "--clients", "10000", "--broadcast"],
        [Metric("broker_cpu_us_per_connect", "CPU per connect and subscription", "us"),
         Metric("broker_cpu_us_per_leave", "CPU per disconnect", "us")],
        rounds=1, brokers=WITHOUT_RUMQTTD,
    ),
    flood("pair", "1:1, QoS 0, 16 B", "--seconds", "2", shares=QOS0, quick=True),
    flood("pairs", "20 pairs, QoS 0, 16 B", *pairs(20, "--seconds", "2"), shares=QOS0, quick=True),
    flood("fanin", "fan-in 20:1, QoS 0, 16 B", "--pubs", "20", "--topics", "one", "--messages", "50000", shares=QOS0),
    flood("fan50", "fan-out 1:50, QoS 0, 16 B", "--subs", "50", "--topics", "one", "--messages", "20000", shares=FAN, quick=True),
    flood("fan1000", "fan-out 1:1,000, QoS 0, 16 B", "--subs", "1000", "--topics", "one", "--messages", "1000", shares=FAN, rounds=2),
    flood("pairs_qos1", "20 pairs, QoS 1, window 20", *pairs(20, "--qos", "1", "--seconds", "2"), shares=ACKNOWLEDGED, quick=True),
    flood("pairs_qos2", "20 pairs, QoS 2, window 20", *pairs(20, "--qos", "2", "--seconds", "2"), shares=ACKNOWLEDGED, times=2),
    # The broker alone: the generator has filled the sockets before the time counts, and does next to nothing then.
    Beside(
        "scaling", "20 pairs, QoS 0, 16 B, two workers and no generator beside them, in turns with one worker",
        ["scaling", "--pairs", "20", "--rounds", "10", "--warm-up", "4"],
        [
            Metric("broker_cpu_us", "CPU per message", "us"), Metric("broker_cpu_us_beside", "CPU per message, one worker", "us"),
            Metric("msgs_per_sec", "rate", "msg/s"), Metric("msgs_per_sec_beside", "rate, one worker", "msg/s"),
            # Of all threads together: 0 where nothing else runs.
            Metric("broker_waited_share", "processors that others had", ""),
        ],
        brokers=("nanomq",), keys={"system.num_taskq_thread": 2}, beside={"system.num_taskq_thread": 1},
    ),
    stored("", "20 pairs, QoS 1, window 20, sessions kept, no store", (20, 20)),
    stored("none", "20 pairs, QoS 1, window 20, sessions stored, durability none; mosquitto writes every second", (20, 20)),
    stored("async", "20 pairs, QoS 1, window 20, sessions stored, durability async", (20, 20)),
    stored("sync", "20 pairs, QoS 1, window 20, sessions stored, durability sync", (20, 20)),
    stored("sync", "1 pair, QoS 1, window 1, sessions stored, durability sync", (1, 1)),
    stored("sync", "200 pairs, QoS 1, window 20, sessions stored, durability sync", (200, 20)),
    flood("pair_v5", "1:1, QoS 0, 16 B, MQTT 5", "--version", "5", "--seconds", "2", brokers=WITHOUT_RUMQTTD, rounds=1),
    flood("pair_256", "1:1, QoS 0, 256 B", "--size", "256", "--seconds", "2", rounds=1),
    flood("pair_4k", "1:1, QoS 0, 4 KB", "--size", "4096", "--messages", "40000", rounds=1),
    flood("pair_64k", "1:1, QoS 0, 64 KB", "--size", "65536", "--messages", "4000", rounds=1),
    flood(
        "paced", "20,000/s over 100 pairs, QoS 0", *pairs(100, "--rate", "20000", "--seconds", "4"),
        shares=NOT_ABOVE_MOSQUITTO, extra=LATENCY, quick=True,
    ),
    pingpong("pingpong_one_core", "ping-pong, QoS 1, window 1, broker and generator on one core", (0, 0), brokers=WITHOUT_RUMQTTD),
    pingpong("pingpong_two_cores", "the same, broker and generator on a core each", (0, 1), brokers=WITHOUT_RUMQTTD),
    pingpong("pingpong", "the same, where the kernel puts them", None, rounds=1),
    churn("connect", "connect, subscribe, disconnect", quick=True, times=3, brokers=WITHOUT_RUMQTTD),
    churn("session", "connect, subscribe, publish, disconnect", "--publish", quick=True, times=3, brokers=WITHOUT_RUMQTTD),
    *behind("tls", "TLS", most_kb=20.0, quick=True, among=WITHOUT_RUMQTTD),
    # Debian's Mosquitto is built without WebSocket.
    *behind("ws", "WebSocket", most_kb=None, quick=False, among=("nanomq",)),
    # Of one alone the processors' time is too short to be measured: ten come one after the other.
    backlog("retained", "20,000 retained to one new subscriber, ten times", "retained", "--takers", "10", shares=EIGHTH,
            extra=[Metric("broker_cpu_us_first_taker", "by the first of them", "us")], quick=True, brokers=WITHOUT_RUMQTTD),
    backlog("queued", "20,000 queued at QoS 1 to a returning client", "queued", shares=EIGHTH, quick=True, brokers=WITHOUT_RUMQTTD),
    # rumqttd takes minutes for these, its time grows with the number that it has.
    backlog("lookup_100k", "single look-ups in 100,000 retained", "lookup", "--count", "100000", rounds=1, brokers=WITHOUT_RUMQTTD),
    backlog("lookup_1m", "single look-ups in 1,000,000 retained", "lookup", "--count", "1000000", rounds=1, brokers=WITHOUT_RUMQTTD,
            keys={"mqtt.max_retained_messages": 2000000, "mqtt.max_retained_bytes": "2GB"}),
    # Right after one another: what is compared with one another is not to depend on the hour.
    subscriptions("1k", "exact", 1_000, rounds=1, times=3),
    subscriptions("10k", "exact", 10_000, rounds=1, brokers=WITHOUT_RUMQTTD),
    subscriptions("100k", "exact", 100_000, rounds=1, brokers=WITHOUT_RUMQTTD),
    subscriptions("1m", "exact", 1_000_000, rounds=1, times=3, brokers=WITHOUT_RUMQTTD),
    subscriptions("1k", "plus", 1_000, rounds=1, times=3, brokers=WITHOUT_RUMQTTD),
    subscriptions("1m", "plus", 1_000_000, rounds=1, times=3, brokers=("nanomq",)),
    subscriptions("100k", "hash", 100_000, rounds=1, brokers=WITHOUT_RUMQTTD),
    subscriptions("100k", "shared", 100_000, rounds=1, brokers=WITHOUT_RUMQTTD),
    flood(
        "unslowed", "fan-out 1:50, QoS 0, for longer",
        "--subs", "50", "--topics", "one", "--messages", "1500000", brokers=("nanomq",),
    ),
    flood(
        "slow", "the same and a subscriber that never reads",
        "--subs", "50", "--topics", "one", "--messages", "1500000", "--slow", "1", brokers=("nanomq",),
    ),
    Crowd(
        "crowd", "18,000 connections, 2,000 of them active at 20,000/s",
        ["flood", *pairs(1000, "--rate", "20000", "--seconds", "3")],
        [Metric("broker_cpu_us", "CPU per message", "us"), *LATENCY[:2], Metric("broker_rss_kb", "memory", "KB"), Metric("lost", "lost", "msg")],
        rounds=1, runs=3, brokers=WITHOUT_RUMQTTD,
    ),
    Polled(
        "lists", "10,000 clients with 100,000 subscriptions, 5,000/s over 50 pairs, while GET /clients is read in a loop",
        ["flood", *pairs(50, "--rate", "5000", "--seconds", "3")],
        [
            Metric("p50_us_alone", "p50 without", "us"), Metric("p99_us_alone", "p99 without", "us"),
            Metric("p50_us", "p50", "us"), Metric("p99_us", "p99", "us"),
            Metric("answers_per_sec", "lists", "/s"), Metric("bytes_per_answer", "size of a list", "B"),
            Metric("lost", "lost", "msg"),
        ],
        brokers=("nanomq",), idle=10_000, subscriptions=10,
    ),
]


@dataclass
class Growth:
    """A value of nanomq, or the ratio of two, that has bounds."""

    label: str
    above: tuple
    below: tuple | None
    most: float | None = None
    least: float | None = None
    # How many the machine must have for the bounds to hold.
    cores: int = 1


GROWTH = [
    Growth("CPU per message, 1M exact subscriptions against 1k", ("subs_exact_1m", "broker_cpu_us"), ("subs_exact_1k", "broker_cpu_us"), most=1.5),
    Growth("CPU per message, 1M subscriptions with + against 1k", ("subs_plus_1m", "broker_cpu_us"), ("subs_plus_1k", "broker_cpu_us"), most=1.5),
    Growth("CPU per SUBSCRIBE, last tenth of 1M against the first", ("subs_exact_1m", "broker_cpu_us_per_subscribe_last"),
           ("subs_exact_1m", "broker_cpu_us_per_subscribe_first"), most=1.5),
    Growth("p99 while lists are read against without", ("lists", "p99_us"), ("lists", "p99_us_alone"), most=2.0),
    Growth("rate of 50 fast subscribers beside a slow one against without", ("slow", "msgs_per_sec"), ("unslowed", "msgs_per_sec"), least=0.9),
    Growth("rate of two workers against one", ("scaling", "rate_ratio"), None, least=1.7, cores=2),
]
