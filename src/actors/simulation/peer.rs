//! A client: it keeps to the protocol, and notices at once where the broker does not.

mod answering;
mod reading;

use std::collections::{BTreeMap, BTreeSet};

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

/// Topic aliases that a client sets.
const ALIASES_SET: u16 = 2;

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
    /// Seconds until it expires, as the broker says.
    pub expiry: Option<u32>,
}

/// A message to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    pub number: usize,
    pub topic: &'static str,
    pub qos: QoS,
    pub retain: bool,
    pub empty: bool,
    /// Seconds until it expires.
    pub expiry: Option<u32>,
    /// It is sent with a topic alias.
    pub aliased: bool,
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
            expiry: None,
            aliased: false,
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
    /// Topic aliases that the broker may set.
    pub alias_maximum: u16,
    /// Seconds; 0: none.
    pub keep_alive: u16,
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
    alias_maximum: u16,
    /// Topics by the aliases that the broker has set.
    aliases: BTreeMap<u16, &'static str>,
    /// Topics by the aliases that the client has set.
    own_aliases: BTreeMap<u16, &'static str>,
    /// PINGREQs without an answer.
    pings: usize,
    /// The client has sent something since that was last asked.
    spoke: bool,
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
        let link = self.link.as_mut().expect("connected");
        link.spoke = true;
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
            alias_maximum: hello.alias_maximum,
            aliases: BTreeMap::new(),
            own_aliases: BTreeMap::new(),
            pings: 0,
            spoke: false,
            requests: BTreeSet::new(),
        });
        let mut own = PropertiesBuf::new();
        let mut of_will = PropertiesBuf::new();
        if self.version.is_v5() {
            own.push(Property::SessionExpiryInterval(hello.expiry));
            own.push(Property::ReceiveMaximum(hello.receive_maximum));
            own.push(Property::TopicAliasMaximum(hello.alias_maximum));
            of_will.push(Property::WillDelayInterval(
                hello.will.map_or(0, |(.., delay)| delay),
            ));
        }
        let payload = hello.will.map(|(number, ..)| number.to_string());
        let will = hello.will.zip(payload.as_ref());
        self.send(&Packet::Connect(Connect {
            version: self.version,
            clean_start: hello.clean,
            keep_alive: hello.keep_alive,
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

    /// Bytes of it that the broker has not read.
    pub fn unread(&self) -> usize {
        self.link.as_ref().map_or(0, |link| link.stream.unread())
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
        let mut topic = outgoing.topic;
        let mut properties = PropertiesBuf::new();
        if let Some(expiry) = outgoing.expiry {
            properties.push(Property::MessageExpiryInterval(expiry));
        }
        if outgoing.aliased {
            let (alias, is_set) = self.alias_of(topic);
            properties.push(Property::TopicAlias(alias));
            if is_set {
                topic = "";
            }
        }
        self.send(&Packet::Publish(Publish {
            dup,
            qos: outgoing.qos,
            retain: outgoing.retain,
            topic,
            packet_id: (outgoing.qos > QoS::AtMostOnce).then(|| id(outgoing.id)),
            properties: properties.as_properties(),
            payload: if outgoing.empty {
                b""
            } else {
                payload.as_bytes()
            },
        }));
    }

    /// The alias of a topic, and whether the broker knows it. There are not enough for all topics: they change.
    fn alias_of(&mut self, topic: &'static str) -> (u16, bool) {
        let aliases = &mut self.link.as_mut().expect("connected").own_aliases;
        if let Some((alias, _)) = aliases.iter().find(|(_, known)| **known == topic) {
            return (*alias, true);
        }
        let alias = topic.bytes().map(u16::from).sum::<u16>() % ALIASES_SET + 1;
        aliases.insert(alias, topic);
        (alias, false)
    }

    pub fn ping(&mut self) {
        self.send(&Packet::PingReq);
        self.link.as_mut().expect("connected").pings += 1;
    }

    /// Whether the client has sent anything since that was last asked.
    pub fn has_spoken(&mut self) -> bool {
        let link = self.link.as_mut();
        link.is_some_and(|link| std::mem::take(&mut link.spoke))
    }

    fn request(&mut self) -> u16 {
        let number = self.free_id();
        let link = self.link.as_mut().expect("connected");
        link.requests.insert(number);
        number
    }

    pub fn subscribe(&mut self, filter: &str, qos: QoS, no_local: bool) -> u16 {
        let number = self.request();
        let mut filters = SubscribeFiltersBuf::default();
        let options = SubscribeOptions {
            qos,
            no_local,
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

    /// True when nothing is owed or waited for.
    pub fn is_done(&self) -> bool {
        let pings = self.link.as_ref().map_or(0, |link| link.pings);
        self.outgoing.is_empty() && self.unreleased.is_empty() && !self.owes() && pings == 0
    }
}
