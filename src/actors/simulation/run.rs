//! One run: clients that do what comes to their minds, and a broker whose actors have their turns in between.

mod ending;
mod groups;
mod passing;
mod requests;

pub use ending::check_sums;

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;

use super::{
    oracle::{Interval, Message, Oracle},
    peer::{Event, Hello, Outgoing, Peer, UNDER_WAY_MAX},
    world::{AGE, World},
};
use crate::{
    config::{Config, Durability, Mqtt, System},
    mqtt::{ProtocolVersion, QoS, ReasonCode},
    stats::Metric,
    transport::Memory,
};

const NAMES: [&str; 4] = ["ann", "bob", "cid", "dot"];
/// Those of the groups are not subscribed to otherwise, so that it is known by which way a message has come.
const TOPICS: &[&str] = &["a/1", "a/2", "b/1", "b/2", "g/1", "g/2", "h/1"];
const FILTERS: &[&str] = &[
    "a/1",
    "a/2",
    "b/1",
    "a/+",
    "b/#",
    "b/+/#",
    "$share/g/g/+",
    "$share/h/h/1",
];
const EVERY_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
const DURABILITIES: [Option<Durability>; 6] = [
    None,
    None,
    None,
    Some(Durability::Sync),
    Some(Durability::Async),
    Some(Durability::None),
];
/// Bytes that may wait for a worker: few, so that publishers stand in line, or as many as ever come.
pub const BACKLOGS: [usize; 2] = [200, 32 << 20];
const FOR_EVER: u32 = 100 * AGE;
/// Seconds.
const KEEP_ALIVES: [u16; 4] = [0, 0, AGE as u16, 2 * AGE as u16];

struct Client {
    peer: Peer,
    worker: usize,
    /// Number of the session.
    epoch: u32,
    /// Of the session, as the last CONNECT asked for it.
    expiry: u32,
    /// By the clock, when the client began to connect.
    connected_clock: u32,
    /// Seconds; 0: none.
    keep_alive: u16,
    /// By the clock, when the broker heard of the client last.
    heard_at: u32,
    /// By the clock, when the client left.
    left_at: u32,
    /// Whether the next CONNECT finds the session.
    kept: bool,
    will: Option<(usize, u32)>,
    /// A will that waits for its delay, and by the clock until when.
    pending_will: Option<(usize, u32)>,
    /// Filters by the identifiers of requests.
    requests: BTreeMap<u16, &'static str>,
    /// QoS 0 messages that are surely read when the broker has come to rest.
    unread: Vec<usize>,
}

pub struct Run {
    rng: Rng,
    limits: Mqtt,
    room: usize,
    world: World,
    oracle: Oracle,
    clients: Vec<Client>,
    /// Streams that clients have left without the broker's noticing.
    half_open: Vec<Memory>,
    /// Wills that are published for sure.
    wills: Vec<usize>,
    /// Wills published and messages dropped before the broker was started anew.
    before: [u64; 2],
    shows: bool,
}

impl Run {
    pub fn new(seed: u64, shows: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let limits = limits(&mut rng);
        let number = rng.usize(2..=NAMES.len());
        let clients = (0..number).map(|index| {
            let version = rng.choice([ProtocolVersion::V5, ProtocolVersion::V311]);
            Client {
                peer: Peer::new(NAMES[index], version.unwrap(), TOPICS),
                worker: rng.usize(..2),
                epoch: 0,
                expiry: 0,
                connected_clock: 0,
                keep_alive: 0,
                heard_at: 0,
                left_at: 0,
                kept: false,
                will: None,
                pending_will: None,
                requests: BTreeMap::new(),
                unread: Vec::new(),
            }
        });
        let clients = clients.collect();
        let room = rng.choice([30, 300, 100_000]).unwrap();
        let durability = rng.choice(DURABILITIES).unwrap();
        let backlog = rng.choice(BACKLOGS).unwrap();
        let world = World::of(with_backlog(limits.clone(), backlog), durability);
        Self {
            clients,
            room,
            before: [0; 2],
            oracle: Oracle::default(),
            world,
            half_open: Vec::new(),
            wills: Vec::new(),
            limits,
            rng,
            shows,
        }
    }

    /// Everything, to its end; how many messages were delivered, and the fingerprint of that.
    pub fn complete(mut self, steps: usize) -> (u64, u64) {
        let (durable, room) = (self.world.is_durable(), self.room);
        self.show(|| format!("durable: {durable}, room {room}, {:?}", self.limits));
        for client in 0..self.clients.len() {
            self.connect(client);
        }
        for _ in 0..steps {
            self.oracle.now += 1;
            self.step();
            for _ in 0..self.rng.usize(..8) {
                self.world.turn(&mut self.rng);
            }
        }
        self.finish();
        (self.oracle.deliveries, self.oracle.fingerprint)
    }

    fn show(&self, what: impl FnOnce() -> String) {
        if self.shows {
            eprintln!("{:4} {}", self.oracle.now, what());
        }
    }

    fn step(&mut self) {
        let client = self.rng.usize(..self.clients.len());
        let peer = &self.clients[client].peer;
        let (here, ready) = (peer.link.is_some(), peer.is_ready());
        match self.rng.u8(..100) {
            _ if !here => match self.rng.u8(..4) {
                0..3 => self.connect(client),
                _ => self.pass(),
            },
            0..25 => self.read(client, 8),
            _ if !ready => {}
            25..48 => self.publish(client),
            48..50 => self.publish_many(None),
            50..70 if peer.owes() => {
                let oldest = self.rng.bool();
                self.clients[client].peer.reply(&mut self.rng, oldest);
            }
            70..72 => self.clients[client].peer.repeat_a_reply(&mut self.rng),
            72..83 => self.subscribe(client),
            83..87 => self.unsubscribe(client),
            87..89 => self.connect(client),
            89..92 => self.lose(client),
            92..94 => self.disconnect(client),
            94 => self.forsake_a_group(client),
            95 => {
                let worker = self.rng.usize(..2);
                self.world.relieve(worker);
            }
            96 => match self.rng.bool() && self.world.is_durable() {
                true => self.restart(),
                false => self.pass(),
            },
            97 => {
                if let Some(stream) = self.half_open.pop() {
                    stream.end();
                }
            }
            98 => self.rest(),
            99 => self.kick(client),
            _ => {}
        }
    }

    /// Everything that was sent is read and handled.
    fn rest(&mut self) {
        self.show(|| "all come to rest".into());
        self.world.settle();
        check_sums(&mut self.world);
        self.oracle.rested();
        let now = self.oracle.now;
        for client in &mut self.clients {
            for number in std::mem::take(&mut client.unread) {
                let message = &mut self.oracle.messages[number];
                message.taken_at.get_or_insert(now);
                message.taken_clock.get_or_insert(self.oracle.clock);
            }
        }
    }

    fn hello(&mut self, client: usize) -> Hello {
        let v5 = self.clients[client].peer.version.is_v5();
        let clean = self.rng.u8(..4) == 0;
        let expiry = match v5 {
            true => self.rng.choice([0, AGE, 2 * AGE, FOR_EVER]).unwrap(),
            false if clean => 0,
            false => self.limits.session_expiry_interval,
        };
        Hello {
            clean,
            expiry,
            receive_maximum: if v5 { self.rng.u16(1..10) } else { u16::MAX },
            alias_maximum: if v5 { self.rng.u16(..4) } else { 0 },
            keep_alive: self.rng.choice(KEEP_ALIVES).unwrap(),
            will: None,
        }
    }

    fn connect(&mut self, client: usize) {
        let mut hello = self.hello(client);
        let v5 = self.clients[client].peer.version.is_v5();
        if self.rng.bool() {
            let delay = if v5 { self.rng.u32(..3) * AGE } else { 0 };
            let (topic, qos) = (self.topic(), self.qos());
            let number = self.add_message(client, topic, qos, false, false);
            let message = &mut self.oracle.messages[number];
            (message.is_will, message.sent_at) = (true, u64::MAX);
            hello.will = Some((number, topic, qos, delay));
        }
        self.connect_with(client, &hello);
    }

    fn connect_with(&mut self, client: usize, hello: &Hello) {
        self.show(|| format!("{client} connects: {hello:?}"));
        let stream = self.world.accept(self.clients[client].worker, self.room);
        let of = &mut self.clients[client];
        if of.peer.link.is_some() {
            // A takeover: the connection there is ends without having been lost.
            self.leave(client, hello.clean);
        }
        let of = &mut self.clients[client];
        if hello.clean {
            of.kept = false;
            self.oracle.may_end(client, of.epoch);
        }
        of.expiry = hello.expiry;
        of.keep_alive = hello.keep_alive;
        of.connected_clock = self.oracle.clock;
        of.heard_at = self.oracle.clock;
        of.will = hello.will.map(|(number, _, _, delay)| (number, delay));
        let window = self.limits.max_inflight_window;
        self.half_open
            .extend(of.peer.connect(stream, hello, window));
    }

    /// The client's connection ends other than by its DISCONNECT. `begins_anew`: by another one that starts anew.
    fn leave(&mut self, client: usize, begins_anew: bool) {
        self.oracle.departed(client, self.clients[client].epoch);
        let (clock, now) = (self.world.clock(), self.oracle.now);
        let of = &mut self.clients[client];
        of.left_at = clock;
        of.unread.clear();
        of.requests.clear();
        of.kept = of.expiry > 0;
        if of.expiry == 0 {
            self.oracle.may_end(client, of.epoch);
        }
        if let Some((number, delay)) = of.will.take() {
            self.oracle.messages[number].sent_at = now;
            of.pending_will = Some((number, clock + delay.min(of.expiry)));
            if delay == 0 || of.expiry == 0 || begins_anew {
                self.publish_will(client);
            }
        }
    }

    /// The pending will of a client is published for sure.
    fn publish_will(&mut self, client: usize) {
        if let Some((number, _)) = self.clients[client].pending_will.take() {
            self.wills.push(number);
        }
    }

    fn lose(&mut self, client: usize) {
        self.show(|| format!("{client} is lost"));
        self.leave(client, false);
        let stream = self.clients[client].peer.lose().unwrap();
        match self.rng.bool() {
            true => stream.end(),
            false => stream.reset(),
        }
    }

    fn disconnect(&mut self, client: usize) {
        let keeps_will = self.rng.bool() && self.clients[client].peer.version.is_v5();
        self.show(|| format!("{client} disconnects, with its will: {keeps_will}"));
        let reason = match keeps_will {
            true => ReasonCode::DisconnectWithWill,
            false => ReasonCode::Success,
        };
        let will = self.clients[client].will;
        if !keeps_will {
            self.clients[client].will = None;
        }
        self.leave(client, false);
        let stream = self.clients[client].peer.disconnect(reason).unwrap();
        if let (false, Some((number, _))) = (keeps_will, will) {
            // Once the broker knows, and not if the next connection is there before it does.
            self.rest();
            self.oracle.messages[number].never = true;
        }
        stream.end();
    }

    /// The broker is killed and started anew: for the clients it is as if their connections were lost.
    fn restart(&mut self) {
        let accepted = |of: &Client| of.peer.link.is_none() || of.peer.is_ready();
        if !self.clients.iter().all(accepted) {
            return;
        }
        if self.oracle.has_departing() {
            // Whether the broker has noticed would decide when a will is published.
            self.rest();
        }
        self.show(|| "the broker is killed and started anew".into());
        for client in 0..self.clients.len() {
            if self.clients[client].peer.link.is_some() {
                self.leave(client, false);
                self.clients[client].peer.lose();
            }
        }
        self.half_open.clear();
        self.oracle.interrupted();
        self.before = self.counted();
        self.world.restart();
        self.rest();
    }

    /// Wills published and messages dropped from queues.
    fn counted(&self) -> [u64; 2] {
        let [wills, dropped] = self.before;
        [
            wills + self.world.count(Metric::WillsPublished),
            dropped + self.world.count(Metric::DroppedQueueFull),
        ]
    }

    /// An administrator closes the connection. The next one is there only when that has happened.
    fn kick(&mut self, client: usize) {
        if self.rng.bool() {
            self.publish_many(Some(client));
            for _ in 0..self.rng.usize(..4) {
                self.world.turn(&mut self.rng);
            }
        }
        self.show(|| format!("{client} is thrown out"));
        self.world.kick(self.clients[client].peer.name, false);
        self.leave(client, false);
        let stream = self.clients[client].peer.lose().unwrap();
        self.rest();
        stream.end();
    }
}

fn limits(rng: &mut Rng) -> Mqtt {
    Mqtt {
        max_inflight_window: rng.u16(1..10),
        max_mqueue_len: rng.choice([3, 10_000, 10_000, 10_000]).unwrap(),
        max_output_buffer: rng.choice([50, 100_000]).unwrap(),
        max_topic_alias_out: rng.u16(..4),
        ..quiet()
    }
}

/// With so many bytes that may wait for a worker.
pub fn with_backlog(limits: Mqtt, max_worker_backlog: usize) -> Config {
    Config {
        system: System {
            max_worker_backlog,
            ..System::default()
        },
        mqtt: limits,
        ..Config::default()
    }
}

/// Limits of a broker that publishes nothing of its own and waits for no clock.
pub fn quiet() -> Mqtt {
    Mqtt {
        receive_maximum: UNDER_WAY_MAX,
        session_expiry_interval: 2 * AGE,
        max_publisher_pause: Duration::ZERO,
        sys_interval: Duration::ZERO,
        sys_events: false,
        ..Mqtt::default()
    }
}
