//! The folder of segment files, behind a trait so that tests can put faults below the store.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FallocateFlags, FlockOperation, fallocate, flock},
    io::Errno,
};

/// A folder with numbered files.
pub trait Disk: Send {
    /// The numbers of the files there are, ascending.
    ///
    /// # Errors
    /// As the operating system reports them; so for all of these methods.
    fn list(&self) -> io::Result<Vec<u32>>;
    /// Makes an empty file, in place of one of the same number.
    fn create(&mut self, number: u32) -> io::Result<Box<dyn SegmentFile>>;
    /// Opens a file that is there.
    fn open(&self, number: u32) -> io::Result<Box<dyn SegmentFile>>;
    /// Removes a file.
    fn remove(&mut self, number: u32) -> io::Result<()>;
    /// Has this much space set aside, none on an error, which [`Disk::release`] gives back when the disk is full: what ends messages needs room too.
    fn reserve(&mut self, bytes: u64) -> io::Result<()>;
    /// Gives back what was set aside.
    fn release(&mut self) -> io::Result<()>;
    /// Makes files that were made or removed so for good.
    fn sync(&mut self) -> io::Result<()>;
}

/// One file.
pub trait SegmentFile: Send {
    /// Its length in bytes.
    ///
    /// # Errors
    /// As the operating system reports them; so for all of these methods.
    fn length(&self) -> io::Result<u64>;
    /// Fills `to` from `offset` on.
    fn read(&self, to: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`. After an error some of them may be there.
    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Returns when what was written is on the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// A folder of the file system.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    folder: File,
    /// Held while the store is open for writing, so that no second process writes to it.
    _lock: Option<File>,
}

const ENDING: &str = ".seg";
const RESERVE: &str = "reserve";

impl Folder {
    /// Opens a folder for a store, making it, for its owner only, where it is not there.
    ///
    /// # Errors
    /// When it cannot be made or another process has it.
    pub fn lock(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)?;
        // So that the folder itself survives the machine.
        if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
            File::open(above)?.sync_all()?;
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            Errno::WOULDBLOCK => io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another process has the store open",
            ),
            other => other.into(),
        })?;
        Ok(Self {
            folder: File::open(path)?,
            path: path.to_owned(),
            _lock: Some(lock),
        })
    }

    /// Opens a folder to read what is in it.
    ///
    /// # Errors
    /// When it is not there.
    pub fn read_only(path: &Path) -> io::Result<Self> {
        Ok(Self {
            folder: File::open(path)?,
            path: path.to_owned(),
            _lock: None,
        })
    }

    fn file(&self, number: u32) -> PathBuf {
        self.path.join(format!("{number:010}{ENDING}"))
    }
}

impl Disk for Folder {
    fn list(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(ENDING));
            numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn create(&mut self, number: u32) -> io::Result<Box<dyn SegmentFile>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(self.file(number))?;
        Ok(Box::new(file))
    }

    fn open(&self, number: u32) -> io::Result<Box<dyn SegmentFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(self._lock.is_some())
            .open(self.file(number))?;
        Ok(Box::new(file))
    }

    fn remove(&mut self, number: u32) -> io::Result<()> {
        fs::remove_file(self.file(number))
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let path = self.path.join(RESERVE);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)?;
        if file.metadata()?.len() > bytes {
            return file.set_len(bytes);
        }
        let reserved = fallocate(&file, FallocateFlags::empty(), 0, bytes);
        match reserved {
            // A file system that cannot do it has no need for it, or no remedy.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(error) => {
                fs::remove_file(&path)?;
                Err(error.into())
            }
        }
    }

    fn release(&mut self) -> io::Result<()> {
        match fs::remove_file(self.path.join(RESERVE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.folder.sync_all()
    }
}

impl SegmentFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read(&self, to: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(to, offset)
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}
