//! Clients that wait for nothing: they take each other's sessions over before they are let in, leave in the middle of
//! it, and are thrown out. What they get is not looked at; nothing of them may be left, and the sums must hold.

use bytes::BytesMut;
use fastrand::Rng;

use super::{
    run::{BACKLOGS, check_sums, with_backlog},
    world::{AGE, World},
};
use crate::{
    config::{Durability, Mqtt},
    mqtt::{
        Connect, Disconnect, Packet, PacketId, Properties, PropertiesBuf, Property,
        ProtocolVersion, Publish, QoS, ReasonCode, Subscribe, SubscribeFiltersBuf,
        SubscribeOptions, Will, encode,
    },
    transport::Memory,
};

const NAMES: [&str; 3] = ["ann", "bob", "cid"];
const FILTERS: [&str; 4] = ["a", "+", "$share/g/a", "b"];
const V5: ProtocolVersion = ProtocolVersion::V5;
const LIFETIME: u32 = 3 * AGE;

pub struct Storm {
    rng: Rng,
    world: World,
    streams: Vec<Memory>,
}

impl Storm {
    pub fn new(seed: u64, limits: &Mqtt) -> Self {
        let mut rng = Rng::with_seed(seed);
        let durability = rng.bool().then_some(Durability::Sync);
        let backlog = rng.choice(BACKLOGS).unwrap();
        let world = World::of(with_backlog(limits.clone(), backlog), durability);
        Self {
            rng,
            world,
            streams: Vec::new(),
        }
    }

    /// Everything, to its end; how many connections there were.
    pub fn complete(mut self, steps: usize) -> usize {
        let mut connections = 0;
        for _ in 0..steps {
            match self.rng.u8(..100) {
                0..45 => {
                    connections += 1;
                    self.begin();
                }
                45..75 => self.leave(),
                75..85 => {
                    let index = self.rng.usize(..=self.streams.len());
                    if let Some(stream) = self.streams.get(index) {
                        stream.receive(100);
                    }
                }
                85..92 => {
                    let worker = self.rng.usize(..2);
                    self.world.relieve(worker);
                }
                92..96 => {
                    let name = self.rng.choice(NAMES).unwrap();
                    self.world.kick(name, self.rng.bool());
                }
                _ => self.world.pass(AGE),
            }
            for _ in 0..self.rng.usize(..8) {
                self.world.turn(&mut self.rng);
            }
        }
        for stream in self.streams.drain(..) {
            stream.end();
        }
        self.world.settle();
        self.world.pass(LIFETIME);
        self.world.check_nothing_left();
        check_sums(&mut self.world);
        connections
    }

    /// A connection that sends all it has to say at once.
    fn begin(&mut self) {
        let mut bytes = BytesMut::new();
        self.say_hello(&mut bytes);
        for _ in 0..self.rng.usize(..4) {
            match self.rng.bool() {
                true => self.subscribe(&mut bytes),
                false => self.publish(&mut bytes),
            }
        }
        if self.rng.u8(..5) == 0 {
            let goodbye = Disconnect {
                reason: ReasonCode::Success,
                properties: Properties::EMPTY,
            };
            encode(&Packet::Disconnect(goodbye), V5, &mut bytes).unwrap();
        }
        let worker = self.rng.usize(..2);
        let stream = self.world.accept(worker, 200);
        // Sometimes the rest never comes.
        let part = match self.rng.u8(..4) {
            0 => self.rng.usize(..bytes.len()),
            _ => bytes.len(),
        };
        stream.send(&bytes[..part]);
        self.streams.push(stream);
    }

    fn leave(&mut self) {
        if self.streams.is_empty() {
            return;
        }
        let index = self.rng.usize(..self.streams.len());
        let stream = self.streams.remove(index);
        match self.rng.bool() {
            true => stream.end(),
            false => stream.reset(),
        }
    }

    fn say_hello(&mut self, bytes: &mut BytesMut) {
        let mut own = PropertiesBuf::new();
        own.push(Property::SessionExpiryInterval(
            self.rng.choice([0, AGE, LIFETIME]).unwrap(),
        ));
        let mut of_will = PropertiesBuf::new();
        of_will.push(Property::WillDelayInterval(self.rng.u32(..3) * AGE));
        let will = Will {
            topic: "b",
            payload: b"will",
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: of_will.as_properties(),
        };
        let connect = Connect {
            version: V5,
            clean_start: self.rng.u8(..4) == 0,
            keep_alive: 0,
            client_id: self.rng.choice(NAMES).unwrap(),
            username: None,
            password: None,
            will: self.rng.bool().then_some(will),
            properties: own.as_properties(),
        };
        encode(&Packet::Connect(connect), V5, bytes).unwrap();
    }

    fn subscribe(&mut self, bytes: &mut BytesMut) {
        let mut filters = SubscribeFiltersBuf::default();
        let options = SubscribeOptions {
            qos: QoS::AtLeastOnce,
            ..SubscribeOptions::default()
        };
        filters
            .push(self.rng.choice(FILTERS).unwrap(), options)
            .unwrap();
        let subscribe = Subscribe {
            packet_id: PacketId::MIN,
            properties: Properties::EMPTY,
            filters: filters.as_filters(),
        };
        encode(&Packet::Subscribe(subscribe), V5, bytes).unwrap();
    }

    fn publish(&mut self, bytes: &mut BytesMut) {
        let qos = self
            .rng
            .choice([QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
            .unwrap();
        let publish = Publish {
            dup: false,
            qos,
            retain: self.rng.bool(),
            topic: self.rng.choice(["a", "b"]).unwrap(),
            packet_id: (qos > QoS::AtMostOnce).then_some(PacketId::MIN),
            properties: Properties::EMPTY,
            payload: b"x",
        };
        encode(&Packet::Publish(publish), V5, bytes).unwrap();
    }
}
