//! A disk in memory. It keeps apart what was written and what was synced, and fails when it is told to.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use crate::store::{Disk, SegmentFile};

#[derive(Clone, Default)]
pub struct FakeDisk(Arc<Mutex<State>>);

#[derive(Default)]
pub struct State {
    pub files: BTreeMap<u32, File>,
    /// Bytes that may still be written before the disk is full.
    pub room: Option<usize>,
    /// Syncs to fail.
    pub failing_syncs: usize,
    /// Syncs that were done.
    pub syncs: usize,
    /// What a failed write leaves behind of what it was to write.
    pub torn_write: Option<usize>,
    /// Bytes set aside.
    pub reserved: usize,
    /// Nothing can be created or cut.
    pub read_only: bool,
    /// Files that were removed, until the folder is synced.
    pub removed: BTreeMap<u32, File>,
    /// Files that were made, until the folder is synced.
    pub made: BTreeSet<u32>,
    /// Changes of the disk so far.
    pub changes: usize,
    /// Where the power may fail: how many of 256 changes are preceded by a moment that is kept.
    pub moments_kept: u8,
    pub moments: Vec<Moment>,
    pub rng: fastrand::Rng,
}

/// The disk between two changes.
#[derive(Clone)]
pub struct Moment {
    /// Changes before it.
    pub changes: usize,
    files: BTreeMap<u32, File>,
    removed: BTreeMap<u32, File>,
    made: BTreeSet<u32>,
}

/// The unit that a disk writes whole.
const SECTOR: usize = 512;

impl State {
    /// Something is about to change.
    fn change(&mut self) {
        if self.rng.u8(..) < self.moments_kept {
            self.moments.push(Moment {
                changes: self.changes,
                files: self.files.clone(),
                removed: self.removed.clone(),
                made: self.made.clone(),
            });
        }
        self.changes += 1;
    }
}

impl Moment {
    /// A disk as the power may have left it then: what was synced, and of what was not, any sectors in any order, any
    /// length, and any of the files that were made or removed.
    pub fn without_power(&self, rng: &mut fastrand::Rng) -> FakeDisk {
        let mut files = BTreeMap::new();
        for (number, file) in &self.files {
            if !self.made.contains(number) || rng.bool() {
                files.insert(*number, file.without_power(rng));
            }
        }
        for (number, file) in &self.removed {
            if rng.bool() {
                files.insert(*number, file.without_power(rng));
            }
        }
        FakeDisk::of(files)
    }
}

impl File {
    fn without_power(&self, rng: &mut fastrand::Rng) -> Self {
        let (old, new) = (self.synced.len(), self.written.len());
        let length = match rng.u8(..4) {
            0 => old,
            1 => new,
            _ => rng.usize(old.min(new)..=old.max(new)),
        };
        // Often in order, up to some place.
        let whole_to = match rng.bool() {
            true => rng.usize(..=length),
            false => 0,
        };
        let in_order = whole_to > 0;
        let mut left = vec![0; length];
        for (index, sector) in left.chunks_mut(SECTOR).enumerate() {
            let start = index * SECTOR;
            let is_new = match in_order {
                true => start < whole_to,
                false => rng.bool(),
            };
            let from = if is_new { &self.written } else { &self.synced };
            let from = from.get(start..).unwrap_or_default();
            let length = from.len().min(sector.len());
            sector[..length].copy_from_slice(&from[..length]);
        }
        Self {
            written: left.clone(),
            synced: left,
        }
    }
}

#[derive(Clone, Default)]
pub struct File {
    pub written: Vec<u8>,
    pub synced: Vec<u8>,
}

struct Handle(FakeDisk, u32);

impl FakeDisk {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The same disk after the process was killed: all that was written is there.
    pub fn after_kill(&self) -> Self {
        let files = self.state().files.clone();
        Self::of(files)
    }

    /// The same disk after a power failure: of what was not synced, the first `part` of 100 bytes is there.
    pub fn after_power_failure(&self, part: usize) -> Self {
        let mut files = self.state().files.clone();
        for file in files.values_mut() {
            let unsynced = file.written.len().saturating_sub(file.synced.len());
            let mut left = file.synced.clone();
            let end = left.len() + unsynced * part / 100;
            left.extend_from_slice(file.written.get(left.len()..end).unwrap_or_default());
            *file = File {
                written: left.clone(),
                synced: left,
            };
        }
        Self::of(files)
    }

    pub fn of(files: BTreeMap<u32, File>) -> Self {
        Self(Arc::new(Mutex::new(State {
            files,
            ..State::default()
        })))
    }

    pub fn bytes(&self) -> usize {
        self.state()
            .files
            .values()
            .map(|file| file.written.len())
            .sum()
    }
}

fn no_space() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl Disk for FakeDisk {
    fn list(&self) -> io::Result<Vec<u32>> {
        Ok(self.state().files.keys().copied().collect())
    }

    fn create(&mut self, number: u32) -> io::Result<Box<dyn SegmentFile>> {
        if self.state().read_only {
            return Err(no_space());
        }
        let mut state = self.state();
        state.change();
        state.files.insert(number, File::default());
        state.made.insert(number);
        drop(state);
        Ok(Box::new(Handle(self.clone(), number)))
    }

    fn open(&self, number: u32) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(Handle(self.clone(), number)))
    }

    fn remove(&mut self, number: u32) -> io::Result<()> {
        let mut state = self.state();
        state.change();
        let Some(file) = state.files.remove(&number) else {
            return Ok(());
        };
        if let Some(room) = &mut state.room {
            *room += file.written.len();
        }
        if !state.made.remove(&number) {
            state.removed.insert(number, file);
        }
        Ok(())
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let mut state = self.state();
        let reserved = std::mem::take(&mut state.reserved);
        let bytes = bytes as usize;
        match &mut state.room {
            Some(room) if *room + reserved < bytes => {
                *room += reserved;
                return Err(no_space());
            }
            Some(room) => *room = *room + reserved - bytes,
            None => {}
        }
        state.reserved = bytes;
        Ok(())
    }

    fn release(&mut self) -> io::Result<()> {
        let mut state = self.state();
        let reserved = std::mem::take(&mut state.reserved);
        if let Some(room) = &mut state.room {
            *room += reserved;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.state();
        state.change();
        state.removed.clear();
        state.made.clear();
        Ok(())
    }
}

impl Handle {
    fn with<T>(&self, f: impl FnOnce(&mut File) -> T) -> io::Result<T> {
        let mut state = self.0.state();
        let file = state.files.get_mut(&self.1);
        file.map(f).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl SegmentFile for Handle {
    fn length(&self) -> io::Result<u64> {
        self.with(|file| file.written.len() as u64)
    }

    fn read(&self, to: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(|file| {
            let start = offset as usize;
            let from = file.written.get(start..start + to.len());
            from.map(|from| to.copy_from_slice(from))
                .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
        })?
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let torn = {
            let mut state = self.0.state();
            state.change();
            let torn = state.torn_write.take();
            match (&mut state.room, torn) {
                (_, Some(torn)) => Some(torn.min(bytes.len())),
                (Some(room), None) if *room < bytes.len() => {
                    let rest = std::mem::take(room);
                    Some(rest)
                }
                (Some(room), None) => {
                    *room -= bytes.len();
                    None
                }
                (None, None) => None,
            }
        };
        let written = torn.unwrap_or(bytes.len());
        self.with(|file| {
            let start = offset as usize;
            file.written.resize(start.max(file.written.len()), 0);
            file.written.truncate(start);
            file.written.extend_from_slice(&bytes[..written]);
        })?;
        match torn {
            Some(_) => Err(no_space()),
            None => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.0.state();
        state.change();
        if state.failing_syncs > 0 {
            state.failing_syncs -= 1;
            return Err(io::Error::other("the disk is gone"));
        }
        state.syncs += 1;
        drop(state);
        self.with(|file| file.synced = file.written.clone())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        if self.0.state().read_only {
            return Err(no_space());
        }
        self.0.state().change();
        let cut = self.with(|file| {
            let before = file.written.len();
            file.written.truncate(length as usize);
            before - file.written.len()
        })?;
        if let Some(room) = &mut self.0.state().room {
            *room += cut;
        }
        Ok(())
    }
}
