//! What is read out of the index.

use std::sync::Arc;

use super::{Index, Location, Session};
use crate::{
    mqtt::QoS,
    store::record::{
        Kept, MessageNumber, SessionInfo, SessionNumber, SessionSnapshot, Subscription,
    },
};

/// A session as it comes out of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredSession {
    /// Its number.
    pub number: SessionNumber,
    /// The last connection.
    pub info: SessionInfo,
    /// None where that connection lasted to the end.
    pub kept: Option<Kept>,
    /// By the whole filter.
    pub subscriptions: Vec<(String, Subscription)>,
    /// Identifiers of unreleased QoS 2 messages of the client.
    pub taken: Vec<u16>,
    /// Its queue, in order.
    pub queue: Vec<RecoveredEntry>,
}

/// A message in the queue of a [`RecoveredSession`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredEntry {
    /// Place in the queue.
    pub sequence: u64,
    /// The message, whose body is in the store.
    pub message: MessageNumber,
    /// Bytes of the message's record, for limits.
    pub size: u32,
    /// As it is delivered.
    pub qos: QoS,
    /// As it is delivered.
    pub retain: bool,
    /// PUBREC has come; PUBCOMP is awaited.
    pub received: bool,
    /// Identifiers of the subscriptions.
    pub subscription_ids: Option<Arc<[u32]>>,
    /// The shared subscription.
    pub group: Option<Arc<str>>,
}

/// How much there is in a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sessions.
    pub sessions: u64,
    /// Subscriptions of them.
    pub subscriptions: u64,
    /// Messages whose body is needed.
    pub messages: u64,
    /// Places in queues: a message counts once for each session it waits for.
    pub queued: u64,
    /// Retained messages.
    pub retained: u64,
    /// Bytes of the records that count.
    pub live_bytes: u64,
}

impl Index {
    /// Where the body of a message lies, if anybody needs it.
    pub(in crate::store) fn message(&self, number: MessageNumber) -> Option<Location> {
        Some(self.messages.get(&number)?.at)
    }

    /// True when the retained message of the topic is the record at this place.
    pub(in crate::store) fn is_retained_at(&self, topic: &str, at: Location) -> bool {
        self.retained.get(topic) == Some(&at)
    }

    /// True when a queue needs this message.
    pub(in crate::store) fn needs(
        &self,
        session: SessionNumber,
        sequence: u64,
        message: MessageNumber,
    ) -> bool {
        self.sessions
            .get(&session)
            .and_then(|session| session.queue.get(&sequence))
            .is_some_and(|entry| entry.message == message && !entry.received)
    }

    /// Sessions with records in `segment` or before it that count.
    pub(in crate::store) fn sessions_in(&self, segment: u32) -> Vec<SessionNumber> {
        self.sessions
            .iter()
            .filter(|(_, session)| session.info.is_some() && session.oldest <= segment)
            .map(|(number, _)| *number)
            .collect()
    }

    /// Everything about a session but its messages.
    pub(in crate::store) fn snapshot(&self, number: SessionNumber) -> Option<SessionSnapshot> {
        let session = self.sessions.get(&number)?;
        Some(SessionSnapshot {
            info: session.info.clone()?,
            kept: session.kept.clone(),
            subscriptions: subscriptions(session),
            taken: session.taken.iter().copied().collect(),
            received: session
                .queue
                .iter()
                .filter(|(_, entry)| entry.received)
                .map(|(sequence, _)| *sequence)
                .collect(),
            next_sequence: session.next_sequence,
        })
    }

    /// The retained messages, in the order in which they lie on the disk.
    pub(in crate::store) fn retained(&self) -> Vec<Location> {
        let mut all: Vec<_> = self.retained.values().copied().collect();
        all.sort_unstable();
        all
    }

    /// All is read. Drops sessions of which only messages are left: the records that would say whose they are cannot be
    /// read. How many, and how many places in queues with them.
    pub(in crate::store) fn replayed(&mut self) -> (u64, u64) {
        let nameless: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.info.is_none())
            .map(|(number, _)| *number)
            .collect();
        let before = self.queued;
        for number in &nameless {
            self.end(*number);
        }
        self.replaying = false;
        self.ended = Default::default();
        (nameless.len() as u64, before - self.queued)
    }

    /// All sessions, with what is in their queues.
    pub(in crate::store) fn recovered(&self) -> Vec<RecoveredSession> {
        let mut all: Vec<_> = self
            .sessions
            .iter()
            .filter_map(|(number, session)| {
                Some(RecoveredSession {
                    number: *number,
                    info: session.info.clone()?,
                    kept: session.kept.clone(),
                    subscriptions: subscriptions(session),
                    taken: session.taken.iter().copied().collect(),
                    queue: self.queue(*number, session),
                })
            })
            .collect();
        all.sort_unstable_by_key(|session| session.number);
        all
    }

    fn queue(&self, number: SessionNumber, session: &Session) -> Vec<RecoveredEntry> {
        let entries = session.queue.iter().map(|(sequence, entry)| {
            let extra = self.extras.get(&(number, *sequence));
            RecoveredEntry {
                sequence: *sequence,
                message: entry.message,
                size: self.message(entry.message).map_or(0, |at| at.length),
                qos: entry.qos,
                retain: entry.retain,
                received: entry.received,
                subscription_ids: extra.and_then(|extra| extra.subscription_ids.clone()),
                group: extra.and_then(|extra| extra.group.clone()),
            }
        });
        entries.collect()
    }

    /// The highest number of a connection.
    pub(in crate::store) fn last_generation(&self) -> u64 {
        self.last_generation
    }

    /// Bytes of records that count.
    pub(in crate::store) fn live(&self) -> u64 {
        self.live
    }

    /// Places in queues.
    pub(in crate::store) fn queued(&self) -> u64 {
        self.queued
    }

    pub(in crate::store) fn totals(&self) -> Totals {
        Totals {
            sessions: self.sessions.len() as u64,
            subscriptions: self
                .sessions
                .values()
                .map(|session| session.subscriptions.len() as u64)
                .sum(),
            messages: self.messages.len() as u64,
            queued: self.queued,
            retained: self.retained.len() as u64,
            live_bytes: self.live,
        }
    }
}

fn subscriptions(session: &Session) -> Vec<(String, Subscription)> {
    session
        .subscriptions
        .iter()
        .map(|(filter, subscription)| (filter.to_string(), *subscription))
        .collect()
}
