//! How what was added gets onto the disk: one write for all of it, a sync if it is asked for, and the next segment when
//! the last one is full or cannot be trusted.

use std::io;

use super::{Figures, Segment, Store, Sureness};
use crate::store::{
    disk::Disk,
    index::{Index, Location},
    record::Record,
    segment::{FIRST_FRAME, Header},
};

/// Bytes of the buffer for what is pending that are kept between commits.
const PENDING_KEPT: usize = 1 << 20;

impl Store {
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
        self.added = 0;
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
        let number = after(self.head_number)?;
        let next = begin(&mut *self.disk, number, &self.index, &mut self.figures)?;
        let old = std::mem::replace(&mut self.head, next);
        self.sealed.insert(self.head_number, old);
        self.head_number = number;
        self.head_is_doubtful = false;
        self.unsynced = false;
        Ok(())
    }
}

/// The number of the segment after this one.
pub(super) fn after(number: u32) -> io::Result<u32> {
    let next = number.checked_add(1);
    next.ok_or_else(|| io::Error::other(format!("there is no segment after number {number}")))
}

pub(super) fn begin(
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
