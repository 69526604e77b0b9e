//! Why a command was not done.

use std::{fmt, io, path::PathBuf, time::Duration};

use rustix::process::Pid;

use crate::config::{Problem, Severity};

/// Why a command was not done. Its `Display` is what the user reads.
#[derive(Debug)]
pub(super) enum Failure {
    /// The configuration has errors: all of its problems.
    Config(Vec<Problem>),
    /// There is no configuration file to check.
    NoFile,
    /// Another broker has the pid file.
    AlreadyRuns {
        pid_file: PathBuf,
        /// None while it is starting.
        pid: Option<Pid>,
    },
    /// No broker has the pid file.
    NotRunning { pid_file: PathBuf },
    /// A broker has the pid file but has not written its process id yet.
    JustStarting { pid_file: PathBuf },
    /// The pid file cannot be used.
    PidFile { path: PathBuf, error: io::Error },
    /// A broker cannot be told something.
    Signal { pid: Pid, error: io::Error },
    /// A broker was told to stop and goes on.
    DoesNotStop { pid: Pid, waited: Duration },
    /// A broker was told to read its configuration anew, and goes on with the one it had: why.
    NotReloaded { pid: Pid, lines: Vec<String> },
    /// A broker was told to read its configuration anew, and does not say what came of it.
    ReloadUntold { pid: Pid },
    /// The process cannot go into the background.
    Detach(String),
    /// The broker in the background could not start: what it said.
    Daemon(String),
    /// A durable store cannot be read, or not all of it.
    Store { path: PathBuf, error: io::Error },
    /// A file of users was not changed: why.
    Passwd(String),
    /// The broker could not start.
    Start(io::Error),
    /// A second signal ended the broker before it had stopped.
    CutShort,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => {
                f.write_str("the configuration has errors")?;
                problems
                    .iter()
                    .try_for_each(|problem| write!(f, "\n{}", line(problem)))
            }
            Self::NoFile => {
                f.write_str("there is no configuration file to check; name one with --conf")
            }
            Self::AlreadyRuns { pid_file, pid } => {
                let pid_file = pid_file.display();
                match pid {
                    Some(pid) => {
                        write!(f, "already running as process {pid} (pid file {pid_file})")
                    }
                    None => write!(f, "already starting (pid file {pid_file})"),
                }
            }
            Self::NotRunning { pid_file } => {
                write!(f, "no broker is running (pid file {})", pid_file.display())
            }
            Self::JustStarting { pid_file } => write!(
                f,
                "the broker is just starting; try again (pid file {})",
                pid_file.display()
            ),
            Self::PidFile { path, error } => {
                write!(
                    f,
                    "cannot use the pid file {}: {}",
                    path.display(),
                    reason(error)
                )
            }
            Self::Signal { pid, error } => {
                write!(f, "cannot signal process {pid}: {}", reason(error))
            }
            Self::DoesNotStop { pid, waited } => write!(
                f,
                "process {pid} was told to stop but still runs after {} seconds",
                waited.as_secs()
            ),
            Self::NotReloaded { pid, lines } => {
                write!(
                    f,
                    "process {pid} goes on with the configuration that it had"
                )?;
                lines.iter().try_for_each(|line| write!(f, "\n{line}"))
            }
            Self::ReloadUntold { pid } => write!(
                f,
                "process {pid} was told to read its configuration anew and does not say what came of it; see its log"
            ),
            Self::Detach(error) => write!(f, "cannot run in the background: {error}"),
            Self::Passwd(why) => f.write_str(why),
            Self::Daemon(said) => f.write_str(said),
            Self::Store { path, error } => {
                write!(f, "the store {}: {}", path.display(), reason(error))
            }
            Self::Start(error) => f.write_str(&reason(error)),
            Self::CutShort => f.write_str("ended by a second signal before the broker had stopped"),
        }
    }
}

/// A problem as a line.
pub(super) fn line(problem: &Problem) -> String {
    match problem.severity {
        Severity::Error => format!("error: {problem}"),
        Severity::Warning => format!("warning: {problem}"),
    }
}

/// What an error says, without the number that `std` adds.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) if text.ends_with(')') => text.get(..end).unwrap_or(&text).to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_failure_reads_as_a_sentence() {
        let pid = Pid::from_raw(7).unwrap();
        let pid_file = || PathBuf::from("/run/nanomq.pid");
        let problem = |severity, message: &str| Problem {
            severity,
            file: Some(Path::new("a.conf").to_path_buf()),
            line: Some(3),
            column: Some(5),
            key: Some("mqtt.max_qos".to_owned()),
            message: message.to_owned(),
        };
        let denied = || io::Error::from_raw_os_error(rustix::io::Errno::ACCESS.raw_os_error());
        let cases = [
            (
                Failure::Config(vec![
                    problem(Severity::Error, "bad"),
                    problem(Severity::Warning, "odd"),
                ]),
                "the configuration has errors\n\
                 error: a.conf:3:5: mqtt.max_qos: bad\n\
                 warning: a.conf:3:5: mqtt.max_qos: odd",
            ),
            (
                Failure::AlreadyRuns {
                    pid_file: pid_file(),
                    pid: Some(pid),
                },
                "already running as process 7 (pid file /run/nanomq.pid)",
            ),
            (
                Failure::AlreadyRuns {
                    pid_file: pid_file(),
                    pid: None,
                },
                "already starting (pid file /run/nanomq.pid)",
            ),
            (
                Failure::NotRunning {
                    pid_file: pid_file(),
                },
                "no broker is running (pid file /run/nanomq.pid)",
            ),
            (
                Failure::PidFile {
                    path: pid_file(),
                    error: denied(),
                },
                "cannot use the pid file /run/nanomq.pid: Permission denied",
            ),
            (
                Failure::Signal {
                    pid,
                    error: denied(),
                },
                "cannot signal process 7: Permission denied",
            ),
            (
                Failure::DoesNotStop {
                    pid,
                    waited: Duration::from_secs(15),
                },
                "process 7 was told to stop but still runs after 15 seconds",
            ),
            (
                Failure::Start(io::Error::other(format!(
                    "cannot listen on :1: {}",
                    denied()
                ))),
                "cannot listen on :1: Permission denied",
            ),
        ];
        for (failure, expected) in cases {
            assert_eq!(failure.to_string(), expected);
        }
    }
}
