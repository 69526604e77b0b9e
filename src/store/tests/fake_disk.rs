//! A disk in memory. It keeps apart what was written and what was synced, and fails when it is told to.

use std::{
    collections::BTreeMap,
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
        self.state().files.insert(number, File::default());
        Ok(Box::new(Handle(self.clone(), number)))
    }

    fn open(&self, number: u32) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(Handle(self.clone(), number)))
    }

    fn remove(&mut self, number: u32) -> io::Result<()> {
        let file = self.state().files.remove(&number);
        if let (Some(file), Some(room)) = (file, &mut self.state().room) {
            *room += file.written.len();
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
