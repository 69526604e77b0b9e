//! A client: it keeps to the protocol, and notices at once where the broker does not.

use std::collections::BTreeSet;

use bytes::BytesMut;
use fastrand::Rng;

use crate::{
    mqtt::{
        Ack, Connect, Disconnect, Packet, PacketId, Properties, PropertiesBuf, Property,
        ProtocolVersion, Publish, QoS, ReasonCode, Sender, Subscribe, SubscribeFiltersBuf,
        SubscribeOptions, Unsubscribe, UnsubscribeFiltersBuf, Will, decode_as, encode,
        frame_header,
    },
    transport::Memory,
};

/// Messages that a client has under way at once, as the broker's receive maximum demands.
pub const UNDER_WAY_MAX: u16 = 8;

/// An acknowledgement that the client owes or has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    Ack(u16),
    Rec(u16),
    Rel(u16),
    Comp(u16),
}

/// What a client learns from the broker.
#[derive(Debug)]
pub enum Event {
    Connected {
        session_present: bool,
    },
    Message(Received),
    /// The broker has taken the message with this number.
    Taken(usize),
    Subscribed(u16),
    Unsubscribed(u16),
}

/// A message as it is handed to the application.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    pub topic: &'static str,
    /// None: its payload is empty.
    pub number: Option<usize>,
    pub qos: QoS,
    pub dup: bool,
    pub retain: bool,
}

/// A message to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    pub number: usize,
    pub topic: &'static str,
    pub qos: QoS,
    pub retain: bool,
    pub empty: bool,
    id: u16,
    released: bool,
}

impl Outgoing {
    pub fn new(number: usize, topic: &'static str, qos: QoS, retain: bool, empty: bool) -> Self {
        Self {
            number,
            topic,
            qos,
            retain,
            empty,
            id: 0,
            released: false,
        }
    }
}

/// What a CONNECT asks for.
#[derive(Clone, Copy, Debug)]
pub struct Hello {
    pub clean: bool,
    /// Seconds. A version 3 client has no say in it but by `clean`.
    pub expiry: u32,
    pub receive_maximum: u16,
    /// Number, topic, QoS, delay.
    pub will: Option<(usize, &'static str, QoS, u32)>,
}

pub struct Peer {
    pub name: &'static str,
    pub version: ProtocolVersion,
    pub topics: &'static [&'static str],
    pub link: Option<Link>,
    /// Packets read.
    pub packets: u64,
    /// Messages that are not acknowledged to their end, oldest first.
    outgoing: Vec<Outgoing>,
    /// QoS 2 messages handed over and not released.
    unreleased: BTreeSet<u16>,
}

/// A connection.
pub struct Link {
    pub stream: Memory,
    pub accepted: bool,
    /// Begun with a session that was there before.
    pub resumed: bool,
    input: BytesMut,
    /// Acknowledgements owed, oldest first.
    owed: Vec<Reply>,
    /// Acknowledgements sent.
    answered: Vec<Reply>,
    /// Messages whose last acknowledgement was not sent.
    in_use: BTreeSet<u16>,
    receive_maximum: usize,
    /// Identifiers of requests that are not answered.
    requests: BTreeSet<u16>,
}

fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("not zero")
}

impl Peer {
    pub fn new(
        name: &'static str,
        version: ProtocolVersion,
        topics: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            version,
            topics,
            link: None,
            packets: 0,
            outgoing: Vec::new(),
            unreleased: BTreeSet::new(),
        }
    }

    pub fn is_ready(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.accepted)
    }

    fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = BytesMut::new();
        encode(packet, self.version, &mut bytes).expect("a packet that fits");
        let link = self.link.as_ref().expect("connected");
        link.stream.send(&bytes);
    }

    /// Connects on a new stream; the connection there may be is forgotten.
    pub fn connect(&mut self, stream: Memory, hello: &Hello, window: u16) -> Option<Memory> {
        let before = self.link.replace(Link {
            stream,
            accepted: false,
            resumed: false,
            input: BytesMut::new(),
            owed: Vec::new(),
            answered: Vec::new(),
            in_use: BTreeSet::new(),
            receive_maximum: hello.receive_maximum.min(window).into(),
            requests: BTreeSet::new(),
        });
        let mut own = PropertiesBuf::new();
        let mut of_will = PropertiesBuf::new();
        if self.version.is_v5() {
            own.push(Property::SessionExpiryInterval(hello.expiry));
            own.push(Property::ReceiveMaximum(hello.receive_maximum));
            of_will.push(Property::WillDelayInterval(
                hello.will.map_or(0, |(.., delay)| delay),
            ));
        }
        let payload = hello.will.map(|(number, ..)| number.to_string());
        let will = hello.will.zip(payload.as_ref());
        self.send(&Packet::Connect(Connect {
            version: self.version,
            clean_start: hello.clean,
            keep_alive: 0,
            client_id: self.name,
            username: None,
            password: None,
            will: will.map(|((_, topic, qos, _), payload)| Will {
                topic,
                payload: payload.as_bytes(),
                qos,
                retain: false,
                properties: of_will.as_properties(),
            }),
            properties: own.as_properties(),
        }));
        before.map(|link| link.stream)
    }

    /// What the client knew of its session is void.
    pub fn forget_session(&mut self) {
        self.outgoing.clear();
        self.unreleased.clear();
    }

    /// The session goes on: what is not acknowledged is sent again, in its order. Numbers of the messages.
    pub fn resume(&mut self) -> Vec<usize> {
        let mut again = Vec::new();
        for outgoing in self.outgoing.clone() {
            match outgoing.released {
                true => self.send(&Packet::PubRel(Ack::new(
                    id(outgoing.id),
                    ReasonCode::Success,
                ))),
                false => {
                    self.send_message(&outgoing, true);
                    again.push(outgoing.number);
                }
            }
        }
        again
    }

    /// The connection is gone, with what was not read.
    pub fn lose(&mut self) -> Option<Memory> {
        self.link.take().map(|link| link.stream)
    }

    /// Says goodbye.
    pub fn disconnect(&mut self, reason: ReasonCode) -> Option<Memory> {
        self.send(&Packet::Disconnect(Disconnect {
            reason,
            properties: Properties::EMPTY,
        }));
        self.lose()
    }

    pub fn may_publish(&self) -> bool {
        self.outgoing.len() < usize::from(UNDER_WAY_MAX)
    }

    fn free_id(&self) -> u16 {
        let requests = self.link.as_ref().map(|link| &link.requests);
        let used = |id: &u16| {
            self.outgoing.iter().any(|other| other.id == *id)
                || requests.is_some_and(|requests| requests.contains(id))
        };
        (1..).find(|id| !used(id)).expect("few are used")
    }

    pub fn publish(&mut self, mut outgoing: Outgoing) {
        outgoing.id = self.free_id();
        self.send_message(&outgoing, false);
        if outgoing.qos > QoS::AtMostOnce {
            self.outgoing.push(outgoing);
        }
    }

    fn send_message(&mut self, outgoing: &Outgoing, dup: bool) {
        let payload = outgoing.number.to_string();
        self.send(&Packet::Publish(Publish {
            dup,
            qos: outgoing.qos,
            retain: outgoing.retain,
            topic: outgoing.topic,
            packet_id: (outgoing.qos > QoS::AtMostOnce).then(|| id(outgoing.id)),
            properties: Properties::EMPTY,
            payload: if outgoing.empty {
                b""
            } else {
                payload.as_bytes()
            },
        }));
    }

    fn request(&mut self) -> u16 {
        let number = self.free_id();
        let link = self.link.as_mut().expect("connected");
        link.requests.insert(number);
        number
    }

    pub fn subscribe(&mut self, filter: &str, qos: QoS) -> u16 {
        let number = self.request();
        let mut filters = SubscribeFiltersBuf::default();
        let options = SubscribeOptions {
            qos,
            ..SubscribeOptions::default()
        };
        filters.push(filter, options).expect("a filter that fits");
        self.send(&Packet::Subscribe(Subscribe {
            packet_id: id(number),
            properties: Properties::EMPTY,
            filters: filters.as_filters(),
        }));
        number
    }

    pub fn unsubscribe(&mut self, filter: &str) -> u16 {
        let number = self.request();
        let mut filters = UnsubscribeFiltersBuf::default();
        filters.push(filter).expect("a filter that fits");
        self.send(&Packet::Unsubscribe(Unsubscribe {
            packet_id: id(number),
            properties: Properties::EMPTY,
            filters: filters.as_filters(),
        }));
        number
    }

    pub fn owes(&self) -> bool {
        self.link.as_ref().is_some_and(|link| !link.owed.is_empty())
    }

    /// Sends an acknowledgement that is owed: the oldest, or any.
    pub fn reply(&mut self, rng: &mut Rng, oldest: bool) {
        let link = self.link.as_mut().expect("connected");
        let index = if oldest {
            0
        } else {
            rng.usize(..link.owed.len())
        };
        let reply = link.owed.remove(index);
        if let Reply::Ack(id) | Reply::Comp(id) = reply {
            link.in_use.remove(&id);
        }
        link.answered.push(reply);
        self.send_reply(reply);
    }

    /// Sends an acknowledgement once more. Not a PUBREL: its identifier may be that of a new message.
    pub fn repeat_a_reply(&mut self, rng: &mut Rng) {
        let link = self.link.as_ref().expect("connected");
        let repeatable = |reply: &&Reply| !matches!(reply, Reply::Rel(_));
        let all: Vec<_> = link.answered.iter().filter(repeatable).copied().collect();
        if let Some(reply) = rng.choice(all) {
            self.send_reply(reply);
        }
    }

    fn send_reply(&mut self, reply: Reply) {
        let success = |value| Ack::new(id(value), ReasonCode::Success);
        self.send(&match reply {
            Reply::Ack(id) => Packet::PubAck(success(id)),
            Reply::Rec(id) => Packet::PubRec(success(id)),
            Reply::Rel(id) => Packet::PubRel(success(id)),
            Reply::Comp(id) => Packet::PubComp(success(id)),
        });
    }

    /// Reads up to `most` packets.
    pub fn read(&mut self, most: usize) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..most {
            let link = self.link.as_mut().expect("connected");
            let header = frame_header(&link.input, u32::MAX).expect("a valid header");
            let Some(header) = header.filter(|header| header.packet_len() <= link.input.len())
            else {
                // A little at a time, so that a full socket stays full.
                let more = link.stream.receive(64);
                if more.is_empty() {
                    assert!(
                        !link.stream.is_ended(),
                        "{}: closed by the broker",
                        self.name
                    );
                    break;
                }
                link.input.extend_from_slice(&more);
                continue;
            };
            self.packets += 1;
            let packet = link.input.split_to(header.packet_len());
            let body = &packet[header.header_len..];
            let decoded = decode_as(Sender::Server, self.version, header.first_byte, body);
            let decoded = decoded.unwrap_or_else(|error| panic!("{error}: {packet:02x?}"));
            events.extend(self.take(&decoded));
        }
        events
    }

    fn take(&mut self, packet: &Packet<'_>) -> Option<Event> {
        let name = self.name;
        let link = self.link.as_mut().expect("connected");
        let is_first = !link.accepted;
        match packet {
            Packet::ConnAck(connack) => {
                assert!(is_first, "{name}: a second CONNACK");
                assert_eq!(connack.reason, ReasonCode::Success, "{name}");
                link.accepted = true;
                link.resumed = connack.session_present;
                return Some(Event::Connected {
                    session_present: connack.session_present,
                });
            }
            _ => assert!(!is_first, "{name}: before CONNACK: {packet:?}"),
        }
        match packet {
            Packet::Publish(publish) => return self.take_publish(publish).map(Event::Message),
            Packet::PubAck(ack) => return self.take_ack(ack, QoS::AtLeastOnce),
            Packet::PubRec(ack) => return self.take_ack(ack, QoS::ExactlyOnce),
            Packet::PubRel(ack) => {
                // One whose PUBCOMP was lost is released already.
                self.unreleased.remove(&ack.packet_id.get());
                link.owed.push(Reply::Comp(ack.packet_id.get()));
            }
            Packet::PubComp(ack) => {
                let done = |other: &Outgoing| other.id == ack.packet_id.get() && other.released;
                self.outgoing.retain(|other| !done(other));
            }
            Packet::SubAck(ack) => {
                let number = ack.packet_id.get();
                assert!(link.requests.remove(&number), "{name}: {packet:?}");
                assert!(ack.reasons.iter().all(|code| *code < 0x80), "{packet:?}");
                return Some(Event::Subscribed(number));
            }
            Packet::UnsubAck(ack) => {
                let number = ack.packet_id.get();
                assert!(link.requests.remove(&number), "{name}: {packet:?}");
                return Some(Event::Unsubscribed(number));
            }
            other => panic!("{name}: {other:?}"),
        }
        None
    }

    fn take_ack(&mut self, ack: &Ack<'_>, qos: QoS) -> Option<Event> {
        assert!(!ack.reason.is_error(), "{}: {ack:?}", self.name);
        let of_it = |other: &Outgoing| other.id == ack.packet_id.get() && other.qos == qos;
        let index = self.outgoing.iter().position(of_it)?;
        let outgoing = &mut self.outgoing[index];
        let number = outgoing.number;
        if qos == QoS::ExactlyOnce {
            // The answer to a message that was sent twice on one connection cannot come: it is sent once on each.
            assert!(!outgoing.released, "{}: PUBREC twice", self.name);
            outgoing.released = true;
            let link = self.link.as_mut().expect("connected");
            link.owed.push(Reply::Rel(outgoing.id));
        } else {
            self.outgoing.remove(index);
        }
        Some(Event::Taken(number))
    }

    fn take_publish(&mut self, publish: &Publish<'_>) -> Option<Received> {
        let name = self.name;
        let link = self.link.as_mut().expect("connected");
        let topic = self.topics.iter().find(|topic| **topic == publish.topic);
        let text = std::str::from_utf8(publish.payload).expect("a number");
        let received = Received {
            topic: topic.unwrap_or_else(|| panic!("{name}: {publish:?}")),
            number: (!text.is_empty()).then(|| text.parse().expect("a number")),
            qos: publish.qos,
            dup: publish.dup,
            retain: publish.retain,
        };
        let Some(id) = publish.packet_id.map(PacketId::get) else {
            assert!(!publish.dup, "{name}: DUP with QoS 0");
            return Some(received);
        };
        assert!(
            link.in_use.insert(id),
            "{name}: {id} is in use: {publish:?}"
        );
        assert!(
            link.in_use.len() <= link.receive_maximum,
            "{name}: {} messages, receive maximum {}",
            link.in_use.len(),
            link.receive_maximum
        );
        assert!(
            !publish.dup || link.resumed,
            "{name}: DUP in a new session: {publish:?}"
        );
        if publish.qos == QoS::ExactlyOnce {
            link.owed.push(Reply::Rec(id));
            if !self.unreleased.insert(id) {
                assert!(publish.dup, "{name}: {id} is not released: {publish:?}");
                return None;
            }
        } else {
            link.owed.push(Reply::Ack(id));
        }
        Some(received)
    }

    /// True when nothing is owed or waited for.
    pub fn is_done(&self) -> bool {
        self.outgoing.is_empty() && !self.owes()
    }
}
