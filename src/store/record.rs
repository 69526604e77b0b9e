//! The records of the store.

mod encoding;

use std::sync::Arc;

use crate::mqtt::{MessageRef, Properties, QoS, SubscribeOptions};

/// Number of a session. It is the same through all connections of the session and is not given twice.
pub type SessionNumber = u64;

/// Number of a message that was published, unique in the store.
pub type MessageNumber = u64;

/// A change of state. Replaying all of them in order gives the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A session was opened by a connection, for the first time or again. Another session of the same client does not end
    /// by that: its owner says so when what others are to have has been moved.
    Opened(SessionNumber, SessionInfo),
    /// The connection has ended, the session is kept.
    Kept(SessionNumber, Kept),
    /// The session has ended.
    Ended(SessionNumber),
    /// A subscription was entered or replaced.
    Subscribed(SessionNumber, &'a str, Subscription),
    /// A subscription was removed.
    Unsubscribed(SessionNumber, &'a str),
    /// A message waits for sessions. Its body is here and nowhere else.
    Message(StoredMessage<'a>),
    /// A message leaves this place in the queue of a session and waits for others from here on: both or neither. Its
    /// number is a new one.
    Moved(SessionNumber, u64, StoredMessage<'a>),
    /// Sessions need these messages of their queue no longer: acknowledged, expired, dropped.
    Settled(SessionNumber, Vec<u64>),
    /// The client has these messages with QoS 2: PUBREC has come. Their bodies are needed no longer.
    Received(SessionNumber, Vec<u64>),
    /// Identifiers of QoS 2 messages that the client has published and not released `[MQTT-4.3.3-10]`, where no
    /// message record holds them.
    Taken(SessionNumber, Vec<u16>),
    /// PUBREL has come for these identifiers.
    Released(SessionNumber, Vec<u16>),
    /// The retained message of its topic.
    Retained(Body<'a>),
    /// The topic has no retained message any more.
    Unretained(&'a str),
    /// Everything about a session but the messages in its queue, in place of all records about it before this one.
    Snapshot(SessionNumber, SessionSnapshot),
}

/// What is known of a session from its last connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionInfo {
    /// Client id.
    pub client_id: Arc<str>,
    /// Number of the connection; grows.
    pub generation: u64,
    /// User name.
    pub username: Option<Arc<str>>,
    /// It is not bound by rules.
    pub superuser: bool,
    /// Protocol level.
    pub version: u8,
    /// The session was to start anew.
    pub clean_start: bool,
    /// In seconds.
    pub keep_alive: u16,
    /// Seconds that the session is kept after the connection; `u32::MAX`: for ever.
    pub expiry_interval: u32,
    /// The client's address.
    pub peer: String,
    /// Name of the listener.
    pub listener: Arc<str>,
    /// When it connected, in milliseconds since 1970.
    pub connected_at: u64,
    /// The will of its connection.
    pub will: Option<Box<LiveWill>>,
}

/// The will of a client that is connected `[MQTT-3.1.2-8]`. Who finds it in the store after the end of the process finds a
/// connection that has ended without DISCONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveWill {
    /// Seconds to wait before it is published `[MQTT-3.1.3-9]`.
    pub delay: u32,
    /// The message.
    pub body: OwnedBody,
}

/// A session without a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Number of the connection that has ended; a session that was opened since is not kept by this.
    pub generation: u64,
    /// Seconds that it is kept.
    pub expiry_interval: u32,
    /// When it ends, in milliseconds since 1970; none: never.
    pub expires_at: Option<u64>,
    /// A will that is to be published.
    pub will: Option<StoredWill>,
    /// The first place in its queue whose message was not sent on any connection, if that is known.
    pub unsent: Option<u64>,
}

/// A will that waits for its delay `[MQTT-3.1.3-9]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredWill {
    /// When it is due, in milliseconds since 1970.
    pub due_at: u64,
    /// The message.
    pub body: OwnedBody,
}

/// A subscription as the session has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Options, with the granted QoS.
    pub options: SubscribeOptions,
    /// Subscription identifier.
    pub subscription_id: Option<u32>,
}

/// A message, for the sessions in whose queues it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage<'a> {
    /// Its number.
    pub number: MessageNumber,
    /// Session and packet identifier of the publisher of a QoS 2 message, if it has a durable session: so that the
    /// message and the identifier are on the disk both or neither.
    pub origin: Option<(SessionNumber, u16)>,
    /// What is delivered.
    pub body: Body<'a>,
    /// For whom.
    pub recipients: Vec<Recipient<'a>>,
}

/// A session that a message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient<'a> {
    /// The session.
    pub session: SessionNumber,
    /// Place in its queue. It also says the packet identifier with which the client gets the message.
    pub sequence: u64,
    /// How it is delivered.
    pub qos: QoS,
    /// RETAIN flag as it is delivered.
    pub retain: bool,
    /// Identifiers of the subscriptions.
    pub subscription_ids: Vec<u32>,
    /// The shared subscription it comes from.
    pub group: Option<&'a str>,
}

/// What is delivered of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// The publisher's properties as they were on the wire.
    pub properties: &'a [u8],
    /// Application message.
    pub payload: &'a [u8],
    /// The publisher's QoS.
    pub qos: QoS,
    /// The publisher's RETAIN flag.
    pub retain: bool,
    /// In milliseconds since 1970; none: never.
    pub expires_at: Option<u64>,
}

/// A [`Body`] with bytes of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedBody {
    topic: Box<str>,
    properties: Box<[u8]>,
    payload: Box<[u8]>,
    qos: QoS,
    retain: bool,
    expires_at: Option<u64>,
}

/// See [`Record::Snapshot`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionSnapshot {
    /// The last connection.
    pub info: SessionInfo,
    /// Set while nobody is connected.
    pub kept: Option<Kept>,
    /// By the whole filter.
    pub subscriptions: Vec<(String, Subscription)>,
    /// Identifiers of unreleased QoS 2 messages of the client.
    pub taken: Vec<u16>,
    /// Places in the queue whose messages the client has, PUBCOMP being awaited.
    pub received: Vec<u64>,
    /// The next place in the queue.
    pub next_sequence: u64,
}

impl<'a> Body<'a> {
    /// The body of a message; `expires_at` is when it expires in milliseconds since 1970.
    pub fn of(message: &MessageRef<'a>, expires_at: Option<u64>) -> Self {
        Self {
            topic: message.topic,
            properties: message.properties.raw(),
            payload: message.payload,
            qos: message.qos,
            retain: message.retain,
            expires_at,
        }
    }

    /// The properties. They were checked when they came, and the record's checksum says that they are the same.
    pub fn properties(&self) -> Properties<'a> {
        Properties::from_validated(self.properties)
    }

    /// A copy.
    pub fn to_owned(&self) -> OwnedBody {
        OwnedBody {
            topic: self.topic.into(),
            properties: self.properties.into(),
            payload: self.payload.into(),
            qos: self.qos,
            retain: self.retain,
            expires_at: self.expires_at,
        }
    }
}

impl OwnedBody {
    /// The body.
    pub fn view(&self) -> Body<'_> {
        Body {
            topic: &self.topic,
            properties: &self.properties,
            payload: &self.payload,
            qos: self.qos,
            retain: self.retain,
            expires_at: self.expires_at,
        }
    }
}
