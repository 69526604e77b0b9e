//! What the records come to: kept in memory, without the bodies of messages.

mod oldest;
mod reading;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use foldhash::fast::RandomState;

pub use self::reading::{RecoveredEntry, RecoveredSession, Totals};
use super::record::{
    Kept, MessageNumber, Record, SessionInfo, SessionNumber, SessionSnapshot, StoredMessage,
    Subscription,
};
use crate::mqtt::QoS;

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Location {
    pub(super) segment: u32,
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Index {
    sessions: HashMap<SessionNumber, Session, RandomState>,
    messages: HashMap<MessageNumber, Message, RandomState>,
    retained: HashMap<Box<str>, Location, RandomState>,
    /// Subscription identifiers and group of the few queue entries that have them.
    extras: HashMap<(SessionNumber, u64), Extra, RandomState>,
    pub(super) next_session: SessionNumber,
    pub(super) next_message: MessageNumber,
    last_generation: u64,
    /// Set while what a store holds is read: what is said of a session that is not known is kept then, since its
    /// snapshot may lie further on.
    replaying: bool,
    /// Sessions that were seen to end meanwhile.
    ended: HashSet<SessionNumber, RandomState>,
    queued: u64,
    /// Bytes of records that a copy of everything would have.
    live: u64,
}

/// What is known of a session.
#[derive(Debug, Default)]
struct Session {
    /// None while only messages for it have been seen: its snapshot lies further on.
    info: Option<SessionInfo>,
    kept: Option<Kept>,
    subscriptions: BTreeMap<Box<str>, Subscription>,
    taken: BTreeSet<u16>,
    queue: BTreeMap<u64, Entry>,
    next_sequence: u64,
    /// The first segment with a record about it that counts.
    oldest: u32,
    /// Its end waits to be committed: nothing more is for it.
    ending: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    message: MessageNumber,
    qos: QoS,
    retain: bool,
    received: bool,
}

#[derive(Debug)]
struct Message {
    at: Location,
    /// Queue entries that need the body.
    references: u32,
}

#[derive(Debug)]
struct Extra {
    subscription_ids: Option<Arc<[u32]>>,
    group: Option<Arc<str>>,
}

/// About what a snapshot of a session without subscriptions takes.
const SESSION_WEIGHT: u64 = 128;

/// About what a subscription adds to it.
fn weight(filter: &str) -> u64 {
    filter.len() as u64 + 8
}

impl Session {
    /// About what a snapshot of it takes.
    fn weight(&self) -> u64 {
        let named = u64::from(self.info.is_some()) * SESSION_WEIGHT;
        named
            + self
                .subscriptions
                .keys()
                .map(|key| weight(key))
                .sum::<u64>()
    }
}

impl Index {
    /// Enters what a record says. The same is done with a record that was just written and with one that is read again.
    pub(super) fn apply(&mut self, record: &Record<'_>, at: Location) {
        match record {
            Record::Opened(session, info) => self.open(*session, info, at),
            Record::Kept(number, kept) => {
                if let Some(session) = self.sessions.get_mut(number)
                    && let Some(info) = &mut session.info
                    && info.generation == kept.generation
                {
                    info.expiry_interval = kept.expiry_interval;
                    session.kept = Some(kept.clone());
                }
            }
            Record::Ended(session) => self.end(*session),
            Record::Subscribed(number, filter, subscription) => {
                if let Some(session) = self.session(*number)
                    && session
                        .subscriptions
                        .insert((*filter).into(), *subscription)
                        .is_none()
                {
                    self.live += weight(filter);
                }
            }
            Record::Unsubscribed(number, filter) => {
                if let Some(session) = self.sessions.get_mut(number)
                    && session.subscriptions.remove(*filter).is_some()
                {
                    self.live = self.live.saturating_sub(weight(filter));
                }
            }
            Record::Message(message) => self.enqueue(message, at),
            Record::Moved(session, sequence, message) => {
                self.settle(*session, *sequence);
                self.enqueue(message, at);
            }
            Record::Settled(session, sequences) => {
                for sequence in sequences {
                    self.settle(*session, *sequence);
                }
            }
            Record::Received(session, sequences) => {
                for sequence in sequences {
                    self.receive(*session, *sequence);
                }
            }
            Record::Taken(number, ids) => {
                if let Some(session) = self.session(*number) {
                    session.taken.extend(ids);
                }
            }
            Record::Released(number, ids) => {
                if let Some(session) = self.sessions.get_mut(number) {
                    ids.iter().for_each(|id| {
                        session.taken.remove(id);
                    });
                }
            }
            Record::Retained(body) => {
                self.live += u64::from(at.length);
                if let Some(old) = self.retained.insert(body.topic.into(), at) {
                    self.live = self.live.saturating_sub(old.length.into());
                }
            }
            Record::Unretained(topic) => {
                if let Some(old) = self.retained.remove(*topic) {
                    self.live = self.live.saturating_sub(old.length.into());
                }
            }
            Record::Snapshot(number, snapshot) => self.replace(*number, snapshot, at),
        }
    }

    fn open(&mut self, number: SessionNumber, info: &SessionInfo, at: Location) {
        self.next_session = self.next_session.max(number.saturating_add(1));
        self.last_generation = self.last_generation.max(info.generation);
        let session = self.sessions.entry(number).or_default();
        if session.info.is_none() {
            session.oldest = at.segment;
            self.live += SESSION_WEIGHT;
        }
        session.info = Some(info.clone());
        session.kept = None;
    }

    /// A session, or, while replaying, room for one of which more may follow.
    fn session(&mut self, number: SessionNumber) -> Option<&mut Session> {
        match self.replaying && !self.ended.contains(&number) {
            true => Some(self.sessions.entry(number).or_default()),
            false => self.sessions.get_mut(&number),
        }
    }

    /// A session whose record is to be committed: messages may be for it from now on.
    pub(super) fn expect(&mut self, number: SessionNumber) {
        self.sessions.entry(number).or_default();
    }

    /// A session whose end is to be committed: no message is for it from now on.
    pub(super) fn expect_end(&mut self, number: SessionNumber) {
        if let Some(session) = self.sessions.get_mut(&number) {
            session.ending = true;
        }
    }

    /// Begins to read what a store holds.
    pub(super) fn replaying() -> Self {
        Self {
            replaying: true,
            ..Self::default()
        }
    }

    fn end(&mut self, number: SessionNumber) {
        if self.replaying {
            self.ended.insert(number);
        }
        let Some(session) = self.sessions.remove(&number) else {
            return;
        };
        self.live = self.live.saturating_sub(session.weight());
        self.queued -= session.queue.len() as u64;
        for (sequence, entry) in session.queue {
            self.extras.remove(&(number, sequence));
            if !entry.received {
                self.release(entry.message);
            }
        }
    }

    fn enqueue(&mut self, message: &StoredMessage<'_>, at: Location) {
        self.next_message = self.next_message.max(message.number.saturating_add(1));
        if let Some((number, id)) = message.origin
            && let Some(session) = self.session(number)
        {
            session.taken.insert(id);
        }
        let mut references = 0;
        for to in &message.recipients {
            let Some(session) = self.session(to.session) else {
                continue;
            };
            session.next_sequence = session.next_sequence.max(to.sequence.saturating_add(1));
            let entry = Entry {
                message: message.number,
                qos: to.qos,
                retain: to.retain,
                received: false,
            };
            match session.queue.get(&to.sequence) {
                Some(old) if old.received => continue,
                Some(_) => {}
                None => {
                    session.queue.insert(to.sequence, entry);
                    self.queued += 1;
                    if to.group.is_some() || !to.subscription_ids.is_empty() {
                        let ids = &to.subscription_ids;
                        let extra = Extra {
                            subscription_ids: (!ids.is_empty()).then(|| ids.as_slice().into()),
                            group: to.group.map(Arc::from),
                        };
                        self.extras.insert((to.session, to.sequence), extra);
                    }
                }
            }
            references += 1;
        }
        if let Some(old) = self.messages.remove(&message.number) {
            self.live = self.live.saturating_sub(old.at.length.into());
        }
        if references > 0 {
            self.live += u64::from(at.length);
            self.messages
                .insert(message.number, Message { at, references });
        }
    }

    pub(super) fn settle(&mut self, number: SessionNumber, sequence: u64) {
        let Some(session) = self.sessions.get_mut(&number) else {
            return;
        };
        if let Some(entry) = session.queue.remove(&sequence) {
            self.queued -= 1;
            self.extras.remove(&(number, sequence));
            if !entry.received {
                self.release(entry.message);
            }
        }
    }

    fn receive(&mut self, number: SessionNumber, sequence: u64) {
        let Some(session) = self.sessions.get_mut(&number) else {
            return;
        };
        if let Some(entry) = session.queue.get_mut(&sequence)
            && !std::mem::replace(&mut entry.received, true)
        {
            let message = entry.message;
            self.release(message);
        }
    }

    fn release(&mut self, number: MessageNumber) {
        if let Some(message) = self.messages.get_mut(&number) {
            message.references = message.references.saturating_sub(1);
            if message.references == 0 {
                self.live = self.live.saturating_sub(message.at.length.into());
                self.messages.remove(&number);
            }
        }
    }

    fn replace(&mut self, number: SessionNumber, snapshot: &SessionSnapshot, at: Location) {
        self.open(number, &snapshot.info, at);
        let Some(session) = self.sessions.get_mut(&number) else {
            return;
        };
        self.live = self.live.saturating_sub(session.weight());
        session.oldest = at.segment;
        session.kept = snapshot.kept.clone();
        session.subscriptions = snapshot
            .subscriptions
            .iter()
            .map(|(filter, subscription)| (filter.as_str().into(), *subscription))
            .collect();
        session.taken = snapshot.taken.iter().copied().collect();
        session.next_sequence = session.next_sequence.max(snapshot.next_sequence);
        self.live += session.weight();
        for sequence in &snapshot.received {
            if !session.queue.contains_key(sequence) {
                self.queued += 1;
                session.queue.insert(
                    *sequence,
                    Entry {
                        message: 0,
                        qos: QoS::ExactlyOnce,
                        retain: false,
                        received: true,
                    },
                );
            }
        }
        for sequence in &snapshot.received {
            self.receive(number, *sequence);
        }
    }

    /// The next place in the queue of a session, which is given out only once; none when the session has ended.
    pub(super) fn next_sequence(&mut self, session: SessionNumber) -> Option<u64> {
        let session = self.sessions.get_mut(&session)?;
        if session.ending {
            return None;
        }
        let next = session.next_sequence.max(1);
        session.next_sequence = next.saturating_add(1);
        Some(next)
    }
}
