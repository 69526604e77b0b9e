//! Giving space back: what counts in the oldest segment is copied to the end, and the segment removed.

use std::io;

use super::Store;
use crate::store::{
    Sureness,
    index::Location,
    record::{Record, SessionNumber},
    segment::{FIRST_FRAME, Part, frames},
};

/// The oldest segment while what counts in it is copied.
pub(super) struct Cleaning {
    segment: u32,
    bytes: Vec<u8>,
    /// Offset of the next frame.
    next: usize,
    sessions: Vec<SessionNumber>,
}

impl Store {
    /// True when space is to be given back: more than half of a store of some size is dead, or a segment is
    /// distrusted.
    pub fn wants_cleaning(&self) -> bool {
        let slack = 2 * u64::from(self.limits.segment);
        let distrusted = self.distrusted.is_some_and(|last| {
            self.sealed
                .keys()
                .next()
                .is_some_and(|first| *first <= last)
        });
        let (disk, live) = (self.disk_bytes(), self.index.live());
        let wanted = match self.is_short {
            // Every byte counts, but for those that a cleaning itself needs.
            true => disk > live + live / 8 + u64::from(self.limits.segment) / 2,
            false => disk > 2 * live + slack,
        };
        !self.sealed.is_empty() && (self.cleaning.is_some() || distrusted || wanted)
    }

    /// Copies about `budget` bytes of what counts in the oldest segment to the end, and removes the segment when
    /// nothing in it counts any more. Nothing may be pending.
    ///
    /// # Errors
    /// As the operating system reports them; it can be tried again.
    pub fn clean(&mut self, budget: usize) -> io::Result<()> {
        debug_assert!(self.pending.is_empty());
        let mut cleaning = match self.cleaning.take() {
            Some(cleaning) => cleaning,
            None => match self.begin_cleaning()? {
                Some(cleaning) => cleaning,
                None => return Ok(()),
            },
        };
        let next = cleaning.next;
        let sessions = cleaning.sessions.len();
        let done = self.copy(&mut cleaning, budget);
        let copied = self.pending.len() as u64;
        if let Err(error) = self.commit(Sureness::Written) {
            self.discard();
            cleaning.next = next;
            // Those that were taken from the list are found again.
            if cleaning.sessions.len() < sessions {
                cleaning.sessions = self.index.sessions_in(cleaning.segment);
            }
            self.cleaning = Some(cleaning);
            return Err(error);
        }
        self.figures.copied += copied;
        if !done {
            self.cleaning = Some(cleaning);
            return Ok(());
        }
        // The copies must be on the disk before the originals are gone from it, and the segment before this one gone for
        // good: it would be back with what the records of this one have ended.
        if let Err(error) = self.sync().and_then(|()| self.disk.sync()) {
            cleaning.next = cleaning.bytes.len();
            self.cleaning = Some(cleaning);
            return Err(error);
        }
        self.disk.remove(cleaning.segment)?;
        self.sealed.remove(&cleaning.segment);
        if self.distrusted.is_some_and(|last| cleaning.segment >= last) {
            self.distrusted = None;
        }
        Ok(())
    }

    fn begin_cleaning(&self) -> io::Result<Option<Cleaning>> {
        let Some((number, segment)) = self.sealed.iter().next() else {
            return Ok(None);
        };
        Ok(Some(Cleaning {
            segment: *number,
            bytes: segment.load()?,
            next: FIRST_FRAME,
            sessions: self.index.sessions_in(*number),
        }))
    }

    /// True when all was copied.
    fn copy(&mut self, cleaning: &mut Cleaning, budget: usize) -> bool {
        while let Some(number) = cleaning.sessions.pop() {
            if let Some(snapshot) = self.index.snapshot(number) {
                self.add(&Record::Snapshot(number, snapshot));
            }
            if self.pending.len() >= budget {
                return false;
            }
        }
        let Some(segment) = self.sealed.get(&cleaning.segment) else {
            return true;
        };
        let header = segment.header;
        let rest = frames(&header, &cleaning.bytes, cleaning.next);
        for part in rest {
            let Part::Record(offset, bytes) = part else {
                continue;
            };
            cleaning.next = offset + bytes.len();
            let at = Location {
                segment: cleaning.segment,
                offset: offset as u32,
                length: bytes.len() as u32,
            };
            self.copy_record(bytes, at);
            if self.pending.len() >= budget {
                return false;
            }
        }
        true
    }

    fn copy_record(&mut self, bytes: &[u8], at: Location) {
        match Record::decode(bytes) {
            Some(Record::Message(mut message) | Record::Moved(_, _, mut message))
                if self.index.message(message.number) == Some(at) =>
            {
                let number = message.number;
                message.origin = None;
                message
                    .recipients
                    .retain(|to| self.index.needs(to.session, to.sequence, number));
                self.add(&Record::Message(message));
            }
            Some(Record::Retained(body)) if self.index.is_retained_at(body.topic, at) => {
                self.add(&Record::Retained(body));
            }
            _ => {}
        }
    }
}
