//! The store itself: appends records to the last segment, answers for what is in them, and gives space back.
//!
//! ```text
//!  add, publish --> pending --commit: write, sync, apply--> index
//!                                  |
//!  oldest segment                  v   last segment
//!  [ header | dead | live | dead ] ... [ header | record | record |
//!                     `-- clean: what counts is copied to the end; then the oldest segment goes
//! ```
//!
//! Only the oldest segment is ever cleaned. So a record that ends something (settled, ended, unsubscribed) never
//! outlives what it ends, and replaying the segments in order always gives the present state.

mod cleaning;
mod committing;
mod reading;

use std::{collections::BTreeMap, io};

pub use self::reading::StoredBody;
use self::{
    cleaning::Cleaning,
    committing::{after, begin},
};
use super::{
    disk::{Disk, SegmentFile},
    index::{Index, RecoveredSession, Totals},
    record::{Body, MessageNumber, Recipient, Record, SessionNumber, StoredMessage},
    segment::{FRAME, Header},
};
use crate::mqtt::MessageRef;

/// Bounds of a store.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a segment, after which the next is begun.
    pub segment: u32,
    /// Most bytes of records that count.
    pub bytes: u64,
    /// Most messages waiting in all sessions together.
    pub messages: u64,
}

/// How sure a commit is of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sureness {
    /// The operating system has the records: they survive the end of the process, however it ends.
    Written,
    /// The disk has them.
    Synced,
}

/// See the module's description.
pub struct Store {
    disk: Box<dyn Disk>,
    limits: Limits,
    pub(super) index: Index,
    /// All segments but the last.
    pub(super) sealed: BTreeMap<u32, Segment>,
    head: Segment,
    head_number: u32,
    /// Frames that are not written.
    pending: Vec<u8>,
    /// Where the record of each begins, and its length.
    records: Vec<(u32, u32)>,
    /// Places in queues that they add.
    added: u64,
    /// The last segment is not to be written to any more: a sync of it has failed.
    head_is_doubtful: bool,
    /// Something was written since the last sync.
    unsynced: bool,
    /// Segments up to this one are to be copied whatever it costs.
    distrusted: Option<u32>,
    cleaning: Option<Cleaning>,
    /// The space that was set aside is in use: no messages are taken.
    is_short: bool,
    figures: Figures,
}

/// A segment's file.
pub(super) struct Segment {
    pub(super) file: Box<dyn SegmentFile>,
    pub(super) header: Header,
    /// Bytes that count; others may follow.
    pub(super) length: u32,
}

/// What a store has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Commits that wrote something.
    pub commits: u64,
    /// Syncs of the disk.
    pub syncs: u64,
    /// Messages written.
    pub messages: u64,
    /// Bytes written, copies included.
    pub bytes: u64,
    /// Bytes of them that were copies.
    pub copied: u64,
    /// Commits that failed.
    pub failures: u64,
}

/// A message that was given its place, to be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its number.
    pub message: MessageNumber,
    /// The place in the queue of each session it is for; none for a session that has ended.
    pub sequences: Vec<Option<u64>>,
}

/// What messages that are to be added take, about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Places in queues.
    pub places: u64,
    /// Bytes of records.
    pub bytes: u64,
}

impl Need {
    /// A message for so many sessions.
    pub fn add(&mut self, message: &MessageRef<'_>, sessions: usize) {
        self.places += sessions as u64;
        self.bytes += (message.topic.len() + message.payload.len()) as u64;
    }
}

/// Places in the queue of a session.
pub type Places = (SessionNumber, Vec<u64>);

/// The store has as much in it as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Store {
    pub(super) fn new(
        mut disk: Box<dyn Disk>,
        limits: Limits,
        index: Index,
        sealed: BTreeMap<u32, Segment>,
        head: Option<(u32, Segment)>,
    ) -> io::Result<Self> {
        let mut figures = Figures::default();
        let (head_number, head) = match head {
            Some(head) => head,
            None => {
                let number = after(sealed.keys().next_back().copied().unwrap_or(0))?;
                let head = begin(&mut *disk, number, &index, &mut figures)?;
                (number, head)
            }
        };
        let is_short = disk.reserve(limits.segment.into()).is_err();
        Ok(Self {
            disk,
            is_short,
            limits,
            index,
            sealed,
            head,
            head_number,
            pending: Vec::new(),
            records: Vec::new(),
            added: 0,
            head_is_doubtful: false,
            unsynced: true,
            distrusted: None,
            cleaning: None,
            figures,
        })
    }

    /// Changes the bounds; what is there stays.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Adds a record to the next commit.
    pub fn add(&mut self, record: &Record<'_>) {
        let start = self.begin_frame();
        record.encode(&mut self.pending);
        self.end_frame(start);
    }

    /// Adds a record that was encoded elsewhere to the next commit.
    pub fn add_encoded(&mut self, record: &[u8]) {
        let start = self.begin_frame();
        self.pending.extend_from_slice(record);
        self.end_frame(start);
    }

    /// Adds a message to the next commit, for those of the sessions that there are. Their places in `to` are given
    /// here. Whether there is room is for [`Store::check`] to say before.
    pub fn publish(
        &mut self,
        message: &MessageRef<'_>,
        expires_at: Option<u64>,
        origin: Option<(SessionNumber, u16)>,
        to: Vec<Recipient<'_>>,
    ) -> Published {
        let (published, recipients) = self.give_places(to);
        if !recipients.is_empty() || origin.is_some() {
            self.figures.messages += 1;
            self.added += recipients.len() as u64;
            self.add(&Record::Message(StoredMessage {
                number: published.message,
                origin,
                body: Body::of(message, expires_at),
                recipients,
            }));
        }
        published
    }

    /// As [`Store::publish`], for a message that leaves this place in the queue of a session: it is there or here, and
    /// not in both, whenever the process ends. It takes no more room than before.
    pub fn transfer(
        &mut self,
        from: (SessionNumber, u64),
        message: &MessageRef<'_>,
        expires_at: Option<u64>,
        to: Vec<Recipient<'_>>,
    ) -> Published {
        let (session, sequence) = from;
        let (published, recipients) = self.give_places(to);
        if recipients.is_empty() {
            self.add(&Record::Settled(session, vec![sequence]));
        } else {
            self.figures.messages += 1;
            let moved = StoredMessage {
                number: published.message,
                origin: None,
                body: Body::of(message, expires_at),
                recipients,
            };
            self.add(&Record::Moved(session, sequence, moved));
        }
        published
    }

    /// A number for a message, and places for it with those of the sessions that there are.
    fn give_places<'a>(&mut self, mut to: Vec<Recipient<'a>>) -> (Published, Vec<Recipient<'a>>) {
        let message = self.index.next_message.max(1);
        self.index.next_message = message.saturating_add(1);
        let mut sequences = Vec::with_capacity(to.len());
        to.retain_mut(|recipient| {
            let sequence = self.index.next_sequence(recipient.session);
            recipient.sequence = sequence.unwrap_or(0);
            sequences.push(sequence);
            sequence.is_some()
        });
        (Published { message, sequences }, to)
    }

    /// Whether there is room for messages.
    ///
    /// # Errors
    /// [`Full`] when a limit would be passed.
    pub fn check(&self, need: Need) -> Result<(), Full> {
        match self.short_of(need) {
            Need {
                places: 0,
                bytes: 0,
            } => Ok(()),
            _ => Err(Full),
        }
    }

    /// How much there is too little room.
    fn short_of(&self, need: Need) -> Need {
        let places = self.index.queued() + self.added + need.places;
        let bytes = self.index.live() + self.pending.len() as u64 + need.bytes;
        Need {
            places: places.saturating_sub(self.limits.messages),
            bytes: bytes.saturating_sub(self.limits.bytes),
        }
    }

    /// Takes the oldest messages out of the queues of these sessions until there is room, but of each queue not the first
    /// ones, as many as are said with it, nor any that its client has. Returns the places: who has the sessions is to forget
    /// them. They are gone at once; if the next commit fails, the end of the process brings them back.
    ///
    /// # Errors
    /// [`Full`] when that would not be enough, or take more than [`Store::EVICTED_MAX`]: nothing is taken out then.
    pub fn evict(
        &mut self,
        need: Need,
        from: &[(SessionNumber, usize)],
    ) -> Result<Vec<Places>, Full> {
        let short = self.short_of(need);
        let evicted = self.index.oldest(from, short, Self::EVICTED_MAX);
        let evicted = evicted.ok_or(Full)?;
        for (session, places) in &evicted {
            for place in places {
                self.index.settle(*session, *place);
            }
            self.add(&Record::Settled(*session, places.clone()));
        }
        Ok(evicted)
    }

    /// Most places that make room at once.
    pub const EVICTED_MAX: usize = 65_536;

    fn begin_frame(&mut self) -> usize {
        let start = self.pending.len();
        self.pending.resize(start + FRAME, 0);
        start
    }

    fn end_frame(&mut self, start: usize) {
        let length = self.pending.len() - start - FRAME;
        self.records.push(((start + FRAME) as u32, length as u32));
    }

    /// A session begins or ends with a record that was added: messages that are added behind it are for it, or no longer.
    pub fn expect(&mut self, begins: Option<SessionNumber>, ends: Option<SessionNumber>) {
        if let Some(number) = begins {
            self.index.expect(number);
        }
        if let Some(number) = ends {
            self.index.expect_end(number);
        }
    }

    /// Bytes that wait for a commit.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Forgets what was added since the last commit: after a commit has failed, those who asked for it are told so.
    pub fn discard(&mut self) {
        self.pending.clear();
        self.records.clear();
        self.added = 0;
    }

    /// The disk is full: gives the space back that was set aside, so that what ends messages can be written.
    pub fn go_short(&mut self) {
        self.is_short = true;
        // If that fails, the next commit tells.
        let _ = self.disk.release();
    }

    /// True while the disk is too full to take messages. Looks whether it still is.
    pub fn is_short(&mut self) -> bool {
        if self.is_short {
            let aside = u64::from(self.limits.segment);
            // Only with room for more than what is set aside: else the next message would fill it again.
            self.is_short = self.disk.reserve(2 * aside).is_err();
            if !self.is_short {
                // It only gets smaller.
                let _ = self.disk.reserve(aside);
            }
        }
        self.is_short
    }

    /// True when something was written and not synced.
    pub fn is_unsynced(&self) -> bool {
        self.unsynced
    }

    /// The sessions there are, with what is in their queues.
    pub fn sessions(&self) -> Vec<RecoveredSession> {
        self.index.recovered()
    }

    /// The number after the highest one given to a session.
    pub fn next_session(&self) -> SessionNumber {
        self.index.next_session.max(1)
    }

    /// The highest number given to a connection.
    pub fn last_generation(&self) -> u64 {
        self.index.last_generation()
    }

    /// How much there is.
    pub fn totals(&self) -> Totals {
        self.index.totals()
    }

    /// Places in the queues of all sessions together.
    pub fn queued(&self) -> u64 {
        self.index.queued()
    }

    /// Bytes of records that count.
    pub fn live_bytes(&self) -> u64 {
        self.index.live()
    }

    /// Bytes on the disk.
    pub fn disk_bytes(&self) -> u64 {
        let sealed = self
            .sealed
            .values()
            .map(|segment| u64::from(segment.length));
        sealed.sum::<u64>() + u64::from(self.head.length)
    }

    /// What was done.
    pub fn figures(&self) -> Figures {
        self.figures
    }
}

impl Segment {
    /// All bytes that count.
    pub(super) fn load(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.length as usize];
        self.file.read(&mut bytes, 0)?;
        Ok(bytes)
    }
}
