//! The pid file: which process is the broker, and that there is only one.
//!
//! A broker holds a lock on the file for as long as its process lives; the kernel gives it back, however the process
//! ends. So the lock and not the number in the file says whether a broker runs, and a file that a dead process left
//! behind, whose number may be another process by now, is just taken over.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    mem::ManuallyDrop,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock},
    io::Errno,
    process::{Pid, Signal, kill_process},
};

use super::Failure;

/// How often a lock that another process holds is tried: `stop` and `reload` hold it for a moment to see whether it is
/// free, and must not keep a broker from starting.
const TRIES: u32 = 5;
/// The time between two looks at a lock.
const PAUSE: Duration = Duration::from_millis(20);

/// The pid file of this process, locked.
pub(super) struct PidFile {
    path: PathBuf,
    /// Not closed before the process ends: who waits for the lock waits for the process.
    file: ManuallyDrop<File>,
    /// The process that wrote its id, which removes the file. A fork of it does not.
    written_by: Option<u32>,
}

impl PidFile {
    /// Locks the file and makes it, and its folder, where they are missing.
    ///
    /// # Errors
    /// [`Failure::AlreadyRuns`] when another process has it, [`Failure::PidFile`] when it cannot be made.
    pub(super) fn lock(path: &Path) -> Result<Self, Failure> {
        let failure = |error: io::Error| Failure::PidFile {
            path: path.to_path_buf(),
            error,
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failure)?;
        }
        let mut holder = None;
        for tried in 0..TRIES {
            if tried > 0 {
                thread::sleep(PAUSE);
            }
            let flags = OFlags::RDWR | OFlags::CREATE;
            let mut file = open(path, flags).map_err(failure)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if is_at(&file, path) => {
                    return Ok(Self {
                        path: path.to_path_buf(),
                        file: ManuallyDrop::new(file),
                        written_by: None,
                    });
                }
                // A broker that ended has removed this file: the next look makes a new one.
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => holder = read_pid(&mut file).map_err(failure)?,
                Err(error) => return Err(failure(error.into())),
            }
        }
        Err(Failure::AlreadyRuns {
            pid_file: path.to_path_buf(),
            pid: holder,
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the id of this process. From now on dropping this removes the file.
    ///
    /// # Errors
    /// [`Failure::PidFile`] when it cannot be written.
    pub(super) fn write(&mut self) -> Result<(), Failure> {
        let pid = process::id();
        let file: &mut File = &mut self.file;
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(format!("{pid}\n").as_bytes()))
            .map_err(|error| Failure::PidFile {
                path: self.path.clone(),
                error,
            })?;
        self.written_by = Some(pid);
        Ok(())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.written_by == Some(process::id()) {
            // If it cannot be removed it is stale and the next broker takes it over.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A broker that runs.
pub(super) struct Running {
    pid: Pid,
    file: File,
}

impl Running {
    /// The broker that has a pid file.
    ///
    /// # Errors
    /// [`Failure::NotRunning`] when none has, [`Failure::JustStarting`] when its process id is not known yet,
    /// [`Failure::PidFile`] when the file cannot be read.
    pub(super) fn find(path: &Path) -> Result<Self, Failure> {
        let pid_file = path.to_path_buf();
        let mut file = match open(path, OFlags::RDONLY) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Failure::NotRunning { pid_file });
            }
            Err(error) => {
                return Err(Failure::PidFile {
                    path: pid_file,
                    error,
                });
            }
        };
        if !is_locked(&file) {
            return Err(Failure::NotRunning { pid_file });
        }
        match read_pid(&mut file) {
            Ok(Some(pid)) => Ok(Self { pid, file }),
            Ok(None) => Err(Failure::JustStarting { pid_file }),
            Err(error) => Err(Failure::PidFile {
                path: pid_file,
                error,
            }),
        }
    }

    /// Its process id.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// [`Failure::Signal`] when that is not allowed, or it has just ended.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), Failure> {
        kill_process(self.pid, signal).map_err(|error| Failure::Signal {
            pid: self.pid,
            error: error.into(),
        })
    }

    /// Waits until its process has ended.
    ///
    /// # Errors
    /// [`Failure::DoesNotStop`] when it has not after `limit`.
    pub(super) fn wait(self, limit: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + limit;
        while is_locked(&self.file) {
            if Instant::now() >= deadline {
                return Err(Failure::DoesNotStop {
                    pid: self.pid,
                    waited: limit,
                });
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

/// Opens the file, which must not be a link: the folder may be one that everybody can write to.
pub(super) fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o644))?;
    Ok(File::from(file))
}

/// Whether another process holds the lock.
fn is_locked(file: &File) -> bool {
    let lock = flock(file, FlockOperation::NonBlockingLockShared);
    if lock.is_ok() {
        // Whoever starts a broker now must find it free. Closing the file would free it as well.
        let _ = flock(file, FlockOperation::NonBlockingUnlock);
    }
    lock == Err(Errno::WOULDBLOCK)
}

/// Whether an open file is still the one at its path.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// The process id in a file; none if there is no number that can be one.
fn read_pid(file: &mut File) -> io::Result<Option<Pid>> {
    let mut text = String::new();
    match file.take(32).read_to_string(&mut text) {
        Err(error) if error.kind() != io::ErrorKind::InvalidData => return Err(error),
        _ => {}
    }
    // Signals to 0 and to negative numbers would reach many processes.
    let number = text.trim().parse::<i32>().ok().filter(|pid| *pid > 0);
    Ok(number.and_then(Pid::from_raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_has_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run").join("nanomq.pid");
        let not_running = |path| matches!(Running::find(path), Err(Failure::NotRunning { .. }));
        assert!(not_running(&path));

        let mut first = PidFile::lock(&path).unwrap();
        assert!(matches!(
            Running::find(&path),
            Err(Failure::JustStarting { .. })
        ));
        first.write().unwrap();
        let own = i32::try_from(process::id()).unwrap();
        assert_eq!(Running::find(&path).unwrap().pid().as_raw_pid(), own);
        match PidFile::lock(&path) {
            Err(Failure::AlreadyRuns { pid, .. }) => {
                assert_eq!(pid.map(Pid::as_raw_pid), Some(own))
            }
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("locked twice"),
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{own}\n"));

        drop(first);
        assert!(!path.exists());
        assert!(not_running(&path));
    }

    #[test]
    fn a_stale_file_is_taken_over_whatever_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nanomq.pid");
        for text in [
            &b"1\n"[..],
            b"-1\n",
            b"",
            b"no number, and longer than any",
            b"\xff\xfe",
        ] {
            fs::write(&path, text).unwrap();
            assert!(matches!(
                Running::find(&path),
                Err(Failure::NotRunning { .. })
            ));
            let mut file = PidFile::lock(&path).unwrap();
            file.write().unwrap();
            assert_eq!(
                fs::read_to_string(&path).unwrap(),
                format!("{}\n", process::id())
            );
        }
    }

    #[test]
    fn numbers_that_name_many_processes_are_none() {
        let cases: [(&str, Option<i32>); 6] = [
            ("42\n", Some(42)),
            ("0\n", None),
            ("-1\n", None),
            ("99999999999\n", None),
            ("", None),
            ("4 2", None),
        ];
        for (text, expected) in cases {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.seek(SeekFrom::Start(0)).unwrap();
            let pid = read_pid(&mut file).unwrap();
            assert_eq!(pid.map(Pid::as_raw_pid), expected, "{text:?}");
        }
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("precious");
        fs::write(&target, "text").unwrap();
        let path = folder.path().join("nanomq.pid");
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(matches!(PidFile::lock(&path), Err(Failure::PidFile { .. })));
        assert_eq!(fs::read_to_string(&target).unwrap(), "text");
    }
}
