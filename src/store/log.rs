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
mod reading;

use std::{collections::BTreeMap, io};

use self::cleaning::Cleaning;
pub use self::reading::StoredBody;
use super::{
    disk::{Disk, SegmentFile},
    index::{Index, Location, RecoveredSession, Totals},
    record::{Body, MessageNumber, Recipient, Record, SessionNumber, StoredMessage},
    segment::{FIRST_FRAME, FRAME, Header},
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

/// A place among what waits for a commit.
#[derive(Clone, Copy, Debug)]
pub struct Mark(usize, usize);

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
                let number = sealed.keys().next_back().map_or(1, |last| last + 1);
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
    /// here.
    ///
    /// # Errors
    /// [`Full`] when a limit is reached; nothing is added then.
    pub fn publish(
        &mut self,
        message: &MessageRef<'_>,
        expires_at: Option<u64>,
        origin: Option<(SessionNumber, u16)>,
        mut to: Vec<Recipient<'_>>,
    ) -> Result<Published, Full> {
        let size = (message.topic.len() + message.payload.len()) as u64;
        let bytes = self.index.live() + self.pending.len() as u64 + size;
        let waiting = self.index.queued() + self.records.len() as u64;
        if bytes > self.limits.bytes || waiting + to.len() as u64 > self.limits.messages {
            return Err(Full);
        }
        let number = self.index.next_message.max(1);
        self.index.next_message = number + 1;
        let mut sequences = Vec::with_capacity(to.len());
        to.retain_mut(|recipient| {
            let sequence = self.index.next_sequence(recipient.session);
            recipient.sequence = sequence.unwrap_or(0);
            sequences.push(sequence);
            sequence.is_some()
        });
        if !to.is_empty() || origin.is_some() {
            self.figures.messages += 1;
            self.add(&Record::Message(StoredMessage {
                number,
                origin,
                body: Body::of(message, expires_at),
                recipients: to,
            }));
        }
        Ok(Published {
            message: number,
            sequences,
        })
    }

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

    /// What was added so far, for [`Store::roll_back`].
    pub fn mark(&self) -> Mark {
        Mark(self.pending.len(), self.records.len())
    }

    /// Takes away what was added since `mark`. Numbers that were given are not given again.
    pub fn roll_back(&mut self, mark: Mark) {
        self.pending.truncate(mark.0);
        self.records.truncate(mark.1);
    }

    /// Bytes that wait for a commit.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Forgets what was added since the last commit: after a commit has failed, those who asked for it are told so.
    pub fn discard(&mut self) {
        self.pending.clear();
        self.records.clear();
    }

    /// Writes what was added, and syncs it if it is to be sure of the disk. When this returns without an error all of
    /// it counts.
    ///
    /// # Errors
    /// As the operating system reports them. Nothing of it counts then; it can be tried again, or discarded.
    pub fn commit(&mut self, sureness: Sureness) -> io::Result<()> {
        let done = self.try_commit(sureness);
        if done.is_err() {
            self.figures.failures += 1;
        }
        done
    }

    fn try_commit(&mut self, sureness: Sureness) -> io::Result<()> {
        if self.pending.is_empty() {
            return match sureness {
                Sureness::Synced => self.sync(),
                Sureness::Written => Ok(()),
            };
        }
        self.make_room()?;
        // The salt is the segment's, so the frames are closed only now.
        let mut start = 0;
        for (at, length) in &self.records {
            let end = (at + length) as usize;
            let frame = self.pending.get_mut(start..end).unwrap_or_default();
            self.head.header.close_frame(frame, 0);
            start = end;
        }
        let offset = self.head.length;
        let written = self.head.file.write(&self.pending, offset.into());
        if let Err(error) = written {
            self.give_up_tail();
            return Err(error);
        }
        let before = self.unsynced;
        self.unsynced = true;
        if sureness == Sureness::Synced
            && let Err(error) = self.head.file.sync()
        {
            self.after_failed_sync(before);
            return Err(error);
        }
        if sureness == Sureness::Synced {
            self.unsynced = false;
            self.figures.syncs += 1;
        }
        self.figures.commits += 1;
        self.figures.bytes += self.pending.len() as u64;
        self.head.length += self.pending.len() as u32;
        for (at, length) in self.records.drain(..) {
            let record = self
                .pending
                .get(at as usize..(at + length) as usize)
                .and_then(Record::decode);
            let at = Location {
                segment: self.head_number,
                offset: offset + at,
                length,
            };
            if let Some(record) = record {
                self.index.apply(&record, at);
            }
        }
        self.pending.clear();
        if self.pending.capacity() > PENDING_KEPT {
            self.pending = Vec::new();
        }
        Ok(())
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

    /// Syncs what was written.
    ///
    /// # Errors
    /// As the operating system reports them.
    pub fn sync(&mut self) -> io::Result<()> {
        if !self.unsynced {
            return Ok(());
        }
        match self.head.file.sync() {
            Ok(()) => {
                self.unsynced = false;
                self.figures.syncs += 1;
                Ok(())
            }
            Err(error) => {
                self.figures.failures += 1;
                self.after_failed_sync(true);
                Err(error)
            }
        }
    }

    /// True when something was written and not synced.
    pub fn is_unsynced(&self) -> bool {
        self.unsynced
    }

    /// What the system has told the disk before a failed sync may be lost while it shows it as written. So the segment
    /// is left as it is, and if something in it was counted on, what counts in it is written anew.
    fn after_failed_sync(&mut self, counted_on: bool) {
        self.give_up_tail();
        self.head_is_doubtful = true;
        if counted_on {
            self.distrusted = Some(self.head_number);
        }
    }

    /// Takes away what a failed commit has written, as far as that can be done: it is not read again either way while
    /// the process lives.
    fn give_up_tail(&mut self) {
        if self.head.file.truncate(self.head.length.into()).is_err() {
            self.head_is_doubtful = true;
        }
    }

    /// Begins the next segment when the last one is full or cannot be trusted.
    fn make_room(&mut self) -> io::Result<()> {
        let end = u64::from(self.head.length) + self.pending.len() as u64;
        let full = end > self.limits.segment.into() && self.head.length as usize > FIRST_FRAME;
        if !full && !self.head_is_doubtful && u32::try_from(end).is_ok() {
            return Ok(());
        }
        if self.head_is_doubtful {
            // Best effort: the new segment needs no more of it.
            let _ = self.head.file.truncate(self.head.length.into());
        } else {
            // What follows must not be on the disk without it.
            self.sync()?;
        }
        let number = self.head_number + 1;
        let next = begin(&mut *self.disk, number, &self.index, &mut self.figures)?;
        let old = std::mem::replace(&mut self.head, next);
        self.sealed.insert(self.head_number, old);
        self.head_number = number;
        self.head_is_doubtful = false;
        self.unsynced = false;
        Ok(())
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

/// Bytes of the buffer for what is pending that are kept between commits.
const PENDING_KEPT: usize = 1 << 20;

fn begin(
    disk: &mut dyn Disk,
    number: u32,
    index: &Index,
    figures: &mut Figures,
) -> io::Result<Segment> {
    let header = Header::new(number, index.next_session, index.next_message);
    let mut file = disk.create(number)?;
    let bytes = header.encode();
    file.write(&bytes, 0)?;
    file.sync()?;
    disk.sync()?;
    figures.syncs += 1;
    Ok(Segment {
        file,
        header,
        length: bytes.len() as u32,
    })
}

impl Segment {
    /// All bytes that count.
    pub(super) fn load(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.length as usize];
        self.file.read(&mut bytes, 0)?;
        Ok(bytes)
    }
}
