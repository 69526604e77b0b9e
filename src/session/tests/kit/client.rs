//! A client that keeps to the protocol and notices where the broker does not.

use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;

use super::{Broker, Q0, Q2, Seen, SeenPublish, id, read_one};
use crate::mqtt::{Ack, Packet, PacketType, ProtocolVersion, ReasonCode};

/// An acknowledgement that the client owes or has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    Ack(u16),
    Rec(u16),
    Comp(u16),
}

pub struct Client {
    version: ProtocolVersion,
    receive_maximum: usize,
    max_packet_size: usize,
    topic_alias_maximum: u16,
    aliases: BTreeMap<u16, String>,
    /// Messages of this connection whose last acknowledgement was not sent.
    unacknowledged: BTreeSet<u16>,
    /// QoS 2 messages handed over and not released; they outlive the connection.
    unreleased: BTreeSet<u16>,
    /// Acknowledgements owed, oldest first.
    pub owed: Vec<Reply>,
    /// Messages handed over to the application, with their topics.
    pub messages: Vec<SeenPublish>,
}

impl Client {
    pub fn new(version: ProtocolVersion) -> Self {
        Self {
            version,
            receive_maximum: 65_535,
            max_packet_size: usize::MAX,
            topic_alias_maximum: 0,
            aliases: BTreeMap::new(),
            unacknowledged: BTreeSet::new(),
            unreleased: BTreeSet::new(),
            owed: Vec::new(),
            messages: Vec::new(),
        }
    }

    pub fn receive_maximum(mut self, most: usize) -> Self {
        self.receive_maximum = most;
        self
    }

    pub fn set_receive_maximum(&mut self, most: usize) {
        self.receive_maximum = most;
    }

    pub fn max_packet_size(mut self, bytes: usize) -> Self {
        self.max_packet_size = bytes;
        self
    }

    pub fn topic_alias_maximum(mut self, most: u16) -> Self {
        self.topic_alias_maximum = most;
        self
    }

    /// The connection is lost, and what was owed on it.
    pub fn lose(&mut self) {
        self.aliases.clear();
        self.unacknowledged.clear();
        self.owed.clear();
    }

    /// Reads up to `most` packets; how many there were.
    pub fn read(&mut self, wire: &mut BytesMut, most: usize) -> usize {
        for n in 0..most {
            let Some((seen, len)) = read_one(self.version, wire) else {
                return n;
            };
            assert!(
                len <= self.max_packet_size,
                "{len} bytes are more than the client's {}: {seen:?}",
                self.max_packet_size
            );
            let _ = wire.split_to(len);
            self.take(seen);
        }
        most
    }

    fn take(&mut self, seen: Seen) {
        match seen {
            Seen::Publish(publish) => self.take_publish(publish),
            Seen::Ack(PacketType::PubRel, id, reason) => {
                assert_eq!(reason, ReasonCode::Success, "PUBREL {id}");
                // One whose PUBCOMP was lost is released already.
                self.unreleased.remove(&id);
                self.owe(Reply::Comp(id));
            }
            other => panic!("not expected: {other:?}"),
        }
    }

    fn take_publish(&mut self, mut publish: SeenPublish) {
        self.resolve(&mut publish);
        let Some(id) = publish.id else {
            assert_eq!((publish.qos, publish.dup), (Q0, false));
            return self.messages.push(publish);
        };
        assert!(
            self.unacknowledged.insert(id),
            "identifier {id} is in use: {publish:?}"
        );
        assert!(
            self.unacknowledged.len() <= self.receive_maximum,
            "{} unacknowledged messages, receive maximum {}",
            self.unacknowledged.len(),
            self.receive_maximum
        );
        match publish.qos {
            Q2 => {
                self.owe(Reply::Rec(id));
                if !self.unreleased.insert(id) {
                    assert!(publish.dup, "identifier {id} is not released: {publish:?}");
                    return;
                }
            }
            _ => self.owe(Reply::Ack(id)),
        }
        self.messages.push(publish);
    }

    fn resolve(&mut self, publish: &mut SeenPublish) {
        if let Some(alias) = publish.properties.as_properties().topic_alias() {
            assert!(
                (1..=self.topic_alias_maximum).contains(&alias),
                "alias {alias} of {}",
                self.topic_alias_maximum
            );
            if publish.topic.is_empty() {
                let known = self.aliases.get(&alias);
                publish.topic = known.expect("an alias that was set").clone();
            } else {
                self.aliases.insert(alias, publish.topic.clone());
            }
        }
        assert!(!publish.topic.is_empty(), "no topic: {publish:?}");
    }

    fn owe(&mut self, reply: Reply) {
        self.owed.push(reply);
    }

    /// The client sends an acknowledgement that it owes.
    pub fn reply(&mut self, index: usize) -> Reply {
        let reply = self.owed.remove(index);
        if let Reply::Ack(id) | Reply::Comp(id) = reply {
            self.unacknowledged.remove(&id);
        }
        reply
    }

    /// Handed over payloads as text, in order.
    pub fn payloads(&self) -> Vec<String> {
        let text = |seen: &SeenPublish| String::from_utf8_lossy(&seen.payload).into_owned();
        self.messages.iter().map(text).collect()
    }
}

impl Broker {
    /// An acknowledgement arrives.
    pub fn replied(&mut self, reply: Reply) {
        let success = |value| Ack::new(id(value), ReasonCode::Success);
        let packet = match reply {
            Reply::Ack(id) => Packet::PubAck(success(id)),
            Reply::Rec(id) => Packet::PubRec(success(id)),
            Reply::Comp(id) => Packet::PubComp(success(id)),
        };
        self.handle(&packet)
            .expect("an acknowledgement is never a violation");
    }

    /// PUBACK with success.
    pub fn puback(&mut self, id: u16) {
        self.replied(Reply::Ack(id));
    }
}

/// Lets the two talk until neither has anything to say, which must be so after at most `steps` rounds.
pub fn drive_bounded(broker: &mut Broker, client: &mut Client, steps: usize) {
    for _ in 0..steps {
        let read = client.read(&mut broker.wire, usize::MAX);
        broker.flushed();
        while !client.owed.is_empty() {
            let reply = client.reply(0);
            broker.replied(reply);
        }
        if read == 0 && broker.wire.is_empty() {
            return;
        }
    }
    panic!("still talking after {steps} rounds");
}
