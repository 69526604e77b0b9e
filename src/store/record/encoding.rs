//! The bytes of records.

use std::sync::Arc;

use super::{
    Body, Kept, LiveWill, Recipient, Record, SessionInfo, SessionNumber, SessionSnapshot,
    StoredMessage, StoredWill, Subscription,
};
use crate::{
    mqtt::{QoS, SubscribeOptions},
    store::bytes::{Put, Take},
};

impl<'a> Body<'a> {
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
            Self::Moved(session, sequence, message) => {
                to.byte(14);
                to.number(*session);
                to.number(*sequence);
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
            14 => Self::Moved(
                from.number()?,
                from.number()?,
                StoredMessage::decode(&mut from)?,
            ),
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
        to.byte(self.superuser.into());
        to.byte(self.version);
        to.byte(u8::from(self.clean_start) | u8::from(self.will.is_some()) << 1);
        to.number(self.keep_alive.into());
        to.number(self.expiry_interval.into());
        to.text(&self.peer);
        to.text(&self.listener);
        to.number(self.connected_at);
        if let Some(will) = &self.will {
            to.number(will.delay.into());
            will.body.view().encode(to);
        }
    }

    fn decode(from: &mut Take<'_>) -> Option<Self> {
        let mut info = Self {
            client_id: from.text()?.into(),
            generation: from.number()?,
            username: from.maybe_text()?.map(Arc::from),
            superuser: from.flag()?,
            version: from.byte()?,
            ..Self::default()
        };
        let flags = from.byte()?;
        info.clean_start = flags & 1 != 0;
        info.keep_alive = from.small()?;
        info.expiry_interval = from.small()?;
        from.text()?.clone_into(&mut info.peer);
        info.listener = from.text()?.into();
        info.connected_at = from.number()?;
        info.will = match flags {
            0 | 1 => None,
            2 | 3 => Some(Box::new(LiveWill {
                delay: from.small()?,
                body: Body::decode(from)?.to_owned(),
            })),
            _ => return None,
        };
        Some(info)
    }
}

impl Kept {
    fn encode(&self, to: &mut Vec<u8>) {
        to.number(self.generation);
        to.number(self.expiry_interval.into());
        to.maybe(self.expires_at);
        to.byte(u8::from(self.will.is_some()) | u8::from(self.unsent.is_some()) << 1);
        if let Some(will) = &self.will {
            to.number(will.due_at);
            will.body.view().encode(to);
        }
        if let Some(unsent) = self.unsent {
            to.number(unsent);
        }
    }

    fn decode(from: &mut Take<'_>) -> Option<Self> {
        let mut kept = Self {
            generation: from.number()?,
            expiry_interval: from.small()?,
            expires_at: from.maybe()?,
            ..Self::default()
        };
        let flags = from.byte()?;
        if flags > 0b11 {
            return None;
        }
        if flags & 0b1 != 0 {
            kept.will = Some(StoredWill {
                due_at: from.number()?,
                body: Body::decode(from)?.to_owned(),
            });
        }
        if flags & 0b10 != 0 {
            kept.unsent = Some(from.number()?);
        }
        Some(kept)
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
