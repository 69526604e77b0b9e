//! What came of the last reload: a file beside the pid file, in which the broker tells `nanomq reload`. It is open as long
//! as the broker runs, so that telling needs no further file of a process that may have none left.
//!
//! ```text
//! 3 failed
//! nanomq.conf:2:1: unknown key
//! end
//! ```

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use super::pid_file::open;
use crate::{config::any_error, messages::ReloadReport};

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The broker's side.
pub(super) struct Reloads {
    path: PathBuf,
    file: File,
    count: u64,
}

/// What came of a reload.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Reloads since the broker has started.
    pub(super) count: u64,
    /// The configuration is in force, as far as it can be without a restart.
    pub(super) done: bool,
    /// What it did, or what is wrong.
    pub(super) lines: Vec<String>,
}

impl Reloads {
    /// Makes the file of a broker with this pid file.
    ///
    /// # Errors
    /// As the operating system reports them.
    pub(super) fn begin(pid_file: &Path) -> io::Result<Self> {
        let path = path(pid_file);
        let file = open(&path, OFlags::RDWR | OFlags::CREATE)?;
        let mut reloads = Self {
            path,
            file,
            count: 0,
        };
        reloads.write("0 done\n")?;
        Ok(reloads)
    }

    /// Tells what came of a reload.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn tell(&mut self, report: &ReloadReport) -> io::Result<()> {
        self.count += 1;
        let failed = any_error(&report.problems);
        let how = if failed { "failed" } else { "done" };
        let mut text = format!("{} {how}\n", self.count);
        let mut line = |line: String| {
            text.push_str(&line.replace('\n', " "));
            text.push('\n');
        };
        for problem in &report.problems {
            line(problem.to_string());
        }
        for (what, keys) in [
            ("changed", &report.applied),
            ("waits for a restart", &report.needs_restart),
        ] {
            if !keys.is_empty() {
                line(format!("{what}: {}", keys.join(", ")));
            }
        }
        self.write(&text)
    }

    /// The last line says that all of it is there.
    fn write(&mut self, text: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(format!("{text}end\n").as_bytes())
    }
}

impl Drop for Reloads {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// What came of the last reload of the broker with this pid file; none when it does not tell, or is just telling.
pub(super) fn last(pid_file: &Path) -> Option<Outcome> {
    let file = open(&path(pid_file), OFlags::RDONLY).ok()?;
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text).ok()?;
    read(&text)
}

fn read(text: &str) -> Option<Outcome> {
    let mut lines = text.strip_suffix("end\n")?.lines();
    let (count, how) = lines.next()?.split_once(' ')?;
    Some(Outcome {
        count: count.parse().ok()?,
        done: how == "done",
        lines: lines.map(str::to_owned).collect(),
    })
}

fn path(pid_file: &Path) -> PathBuf {
    let mut name = pid_file.as_os_str().to_owned();
    name.push(".reload");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Problem, Severity};

    #[test]
    fn what_is_told_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("nanomq.pid");
        assert_eq!(last(&pid_file), None);
        let mut reloads = Reloads::begin(&pid_file).unwrap();
        let outcome = |count, done, lines: &[&str]| {
            Some(Outcome {
                count,
                done,
                lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            })
        };
        assert_eq!(last(&pid_file), outcome(0, true, &[]));
        let problem = |severity| Problem {
            severity,
            file: Some("n.conf".into()),
            line: Some(2),
            column: None,
            key: None,
            message: "two\nlines".to_owned(),
        };
        let failed = ReloadReport {
            problems: vec![problem(Severity::Error)],
            ..ReloadReport::default()
        };
        reloads.tell(&failed).unwrap();
        assert_eq!(last(&pid_file), outcome(1, false, &["n.conf:2: two lines"]));
        let done = ReloadReport {
            applied: vec!["a".to_owned(), "b".to_owned()],
            needs_restart: vec!["c".to_owned()],
            problems: vec![problem(Severity::Warning)],
        };
        reloads.tell(&done).unwrap();
        let lines = [
            "n.conf:2: two lines",
            "changed: a, b",
            "waits for a restart: c",
        ];
        assert_eq!(last(&pid_file), outcome(2, true, &lines));
        drop(reloads);
        assert_eq!(last(&pid_file), None);
        assert_eq!(read("3 failed\nhalf a li"), None);
    }
}
