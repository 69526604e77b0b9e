//! The records of the store and their bytes.

use std::sync::Arc;

use super::bytes::{Put, Take};
use crate::mqtt::{MessageRef, Properties, QoS, SubscribeOptions};

/// Number of a session. It is the same through all connections of the session and is not given twice.
pub type SessionNumber = u64;

/// Number of a message that was published, unique in the store.
pub type MessageNumber = u64;

/// A change of state. Replaying all of them in order gives the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A session was opened by a connection, for the first time or again. Another session of the same client has ended
    /// by that.
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

    fn encode(&self, to: &mut Vec<u8>) {
        to.byte(self.qos as u8 | u8::from(self.retain) << 2);
        to.maybe(self.expires_at);
        to.text(self.topic);
        to.blob(self.properties);
        to.blob(self.payload);
    }

    fn decode(from: &mut Take<'a>) -> Option<Self> {
        let (qos, retain) = flags(from)?;
        Some(Self {
            qos,
            retain,
            expires_at: from.maybe()?,
            topic: from.text()?,
            properties: from.blob()?,
            payload: from.blob()?,
        })
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

/// QoS and RETAIN in one byte.
fn flags(from: &mut Take<'_>) -> Option<(QoS, bool)> {
    let flags = from.byte()?;
    if flags > 0b111 {
        return None;
    }
    Some((QoS::from_bits(flags & 0b11)?, flags & 0b100 != 0))
}

impl<'a> Record<'a> {
    /// Writes the record behind what is in `to`.
    pub fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Self::Opened(session, info) => {
                to.byte(1);
                to.number(*session);
                info.encode(to);
            }
            Self::Kept(session, kept) => {
                to.byte(2);
                to.number(*session);
                kept.encode(to);
            }
            Self::Ended(session) => {
                to.byte(3);
                to.number(*session);
            }
            Self::Subscribed(session, filter, subscription) => {
                to.byte(4);
                to.number(*session);
                to.text(filter);
                subscription.encode(to);
            }
            Self::Unsubscribed(session, filter) => {
                to.byte(5);
                to.number(*session);
                to.text(filter);
            }
            Self::Message(message) => {
                to.byte(6);
                message.encode(to);
            }
            Self::Settled(session, sequences) => numbers(to, 7, *session, sequences),
            Self::Received(session, sequences) => numbers(to, 8, *session, sequences),
            Self::Taken(session, ids) => numbers(to, 9, *session, ids),
            Self::Released(session, ids) => numbers(to, 10, *session, ids),
            Self::Retained(body) => {
                to.byte(11);
                body.encode(to);
            }
            Self::Unretained(topic) => {
                to.byte(12);
                to.text(topic);
            }
            Self::Snapshot(session, snapshot) => {
                to.byte(13);
                to.number(*session);
                snapshot.encode(to);
            }
        }
    }

    /// Reads a record that takes up all of `bytes`; none for anything else.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut from = Take(bytes);
        let kind = from.byte()?;
        let record = match kind {
            1 => Self::Opened(from.number()?, SessionInfo::decode(&mut from)?),
            2 => Self::Kept(from.number()?, Kept::decode(&mut from)?),
            3 => Self::Ended(from.number()?),
            4 => Self::Subscribed(
                from.number()?,
                from.text()?,
                Subscription::decode(&mut from)?,
            ),
            5 => Self::Unsubscribed(from.number()?, from.text()?),
            6 => Self::Message(StoredMessage::decode(&mut from)?),
            7 => Self::Settled(from.number()?, from.list(Take::number)?),
            8 => Self::Received(from.number()?, from.list(Take::number)?),
            9 => Self::Taken(from.number()?, from.list(Take::small)?),
            10 => Self::Released(from.number()?, from.list(Take::small)?),
            11 => Self::Retained(Body::decode(&mut from)?),
            12 => Self::Unretained(from.text()?),
            13 => Self::Snapshot(from.number()?, SessionSnapshot::decode(&mut from)?),
            _ => return None,
        };
        from.0.is_empty().then_some(record)
    }
}

fn numbers<T: Copy + Into<u64>>(to: &mut Vec<u8>, kind: u8, session: SessionNumber, list: &[T]) {
    to.byte(kind);
    to.number(session);
    put_list(to, list);
}

fn put_list<T: Copy + Into<u64>>(to: &mut Vec<u8>, list: &[T]) {
    to.number(list.len() as u64);
    for number in list {
        to.number((*number).into());
    }
}

impl SessionInfo {
    fn encode(&self, to: &mut Vec<u8>) {
        to.text(&self.client_id);
        to.number(self.generation);
        to.maybe_text(self.username.as_deref());
        to.byte(self.version);
        to.byte(self.clean_start.into());
        to.number(self.keep_alive.into());
        to.number(self.expiry_interval.into());
        to.text(&self.peer);
        to.text(&self.listener);
        to.number(self.connected_at);
    }

    fn decode(from: &mut Take<'_>) -> Option<Self> {
        Some(Self {
            client_id: from.text()?.into(),
            generation: from.number()?,
            username: from.maybe_text()?.map(Arc::from),
            version: from.byte()?,
            clean_start: from.flag()?,
            keep_alive: from.small()?,
            expiry_interval: from.small()?,
            peer: from.text()?.to_owned(),
            listener: from.text()?.into(),
            connected_at: from.number()?,
        })
    }
}

impl Kept {
    fn encode(&self, to: &mut Vec<u8>) {
        to.number(self.generation);
        to.number(self.expiry_interval.into());
        to.maybe(self.expires_at);
        to.byte(self.will.is_some().into());
        if let Some(will) = &self.will {
            to.number(will.due_at);
            will.body.view().encode(to);
        }
    }

    fn decode(from: &mut Take<'_>) -> Option<Self> {
        Some(Self {
            generation: from.number()?,
            expiry_interval: from.small()?,
            expires_at: from.maybe()?,
            will: match from.flag()? {
                false => None,
                true => Some(StoredWill {
                    due_at: from.number()?,
                    body: Body::decode(from)?.to_owned(),
                }),
            },
        })
    }
}

impl Subscription {
    fn encode(&self, to: &mut Vec<u8>) {
        to.byte(self.options.to_bits());
        to.maybe(self.subscription_id.map(u64::from));
    }

    fn decode(from: &mut Take<'_>) -> Option<Self> {
        Some(Self {
            options: SubscribeOptions::from_bits(from.byte()?)?,
            subscription_id: match from.maybe()? {
                None => None,
                Some(id) => Some(u32::try_from(id).ok()?),
            },
        })
    }
}

impl<'a> StoredMessage<'a> {
    fn encode(&self, to: &mut Vec<u8>) {
        to.number(self.number);
        to.maybe(self.origin.map(|(session, _)| session));
        if let Some((_, id)) = self.origin {
            to.number(id.into());
        }
        self.body.encode(to);
        to.number(self.recipients.len() as u64);
        for recipient in &self.recipients {
            to.number(recipient.session);
            to.number(recipient.sequence);
            to.byte(recipient.qos as u8 | u8::from(recipient.retain) << 2);
            put_list(to, &recipient.subscription_ids);
            to.maybe_text(recipient.group);
        }
    }

    fn decode(from: &mut Take<'a>) -> Option<Self> {
        Some(Self {
            number: from.number()?,
            origin: match from.maybe()? {
                None => None,
                Some(session) => Some((session, from.small()?)),
            },
            body: Body::decode(from)?,
            recipients: from.list(|from| {
                let (session, sequence) = (from.number()?, from.number()?);
                let (qos, retain) = flags(from)?;
                Some(Recipient {
                    session,
                    sequence,
                    qos,
                    retain,
                    subscription_ids: from.list(Take::small)?,
                    group: from.maybe_text()?,
                })
            })?,
        })
    }
}

impl SessionSnapshot {
    fn encode(&self, to: &mut Vec<u8>) {
        self.info.encode(to);
        to.byte(self.kept.is_some().into());
        if let Some(kept) = &self.kept {
            kept.encode(to);
        }
        to.number(self.subscriptions.len() as u64);
        for (filter, subscription) in &self.subscriptions {
            to.text(filter);
            subscription.encode(to);
        }
        put_list(to, &self.taken);
        put_list(to, &self.received);
        to.number(self.next_sequence);
    }

    fn decode(from: &mut Take<'_>) -> Option<Self> {
        Some(Self {
            info: SessionInfo::decode(from)?,
            kept: match from.flag()? {
                false => None,
                true => Some(Kept::decode(from)?),
            },
            subscriptions: from
                .list(|from| Some((from.text()?.to_owned(), Subscription::decode(from)?)))?,
            taken: from.list(Take::small)?,
            received: from.list(Take::number)?,
            next_sequence: from.number()?,
        })
    }
}
