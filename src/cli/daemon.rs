//! Going into the background.
//!
//! The process that the user started waits at a pipe for what the broker in the background says, so that a broker that
//! cannot start is an error on the terminal and not a riddle in a log.

use std::io::{self, PipeWriter, Read, Write};

use daemonize::{Daemonize, Outcome, Stdio};
use rustix::fs::{FileType, fstat};

use super::Failure;

/// What begins the word of a broker that is ready; its process id follows.
const READY: char = '+';
/// What begins the word of a broker that is not; the reason follows.
const FAILED: char = '-';

/// Which process this is after [`detach`].
pub(super) enum Detached {
    /// The one the user started; the broker runs in the background as the process with this id.
    Terminal(String),
    /// The one in the background, with the way to tell the other how it goes.
    Background(Word),
}

/// The one word that a process in the background has for the one that waits.
pub(super) struct Word(PipeWriter);

impl Word {
    /// Says that the broker is ready.
    pub(super) fn ready(self) {
        self.say(READY, &std::process::id().to_string());
    }

    /// Says why it is not.
    pub(super) fn failed(self, why: &str) {
        self.say(FAILED, why);
    }

    fn say(mut self, kind: char, text: &str) {
        // Nobody listens when the user has interrupted the waiting process, which is no reason to fail.
        let _ = write!(self.0, "{kind}{text}");
    }
}

/// Forks into the background, detached from the terminal, with `/` as the current folder. Standard error stays if it is
/// a file, for the log; everything else leads to /dev/null. No other thread may exist yet.
///
/// # Errors
/// [`Failure::Detach`] when the system refuses; in the waiting process [`Failure::Daemon`] when the broker did not start.
pub(super) fn detach() -> Result<Detached, Failure> {
    let (reader, writer) = io::pipe().map_err(|error| Failure::Detach(error.to_string()))?;
    let stderr = match stderr_is_a_file() {
        true => Stdio::keep(),
        false => Stdio::devnull(),
    };
    match Daemonize::new().stderr(stderr).execute() {
        Outcome::Parent(Ok(_)) => {
            // The end of the pipe comes only when nobody can write to it.
            drop(writer);
            listen(reader).map(Detached::Terminal)
        }
        Outcome::Parent(Err(error)) => Err(Failure::Detach(error.to_string())),
        Outcome::Child(Ok(_)) => Ok(Detached::Background(Word(writer))),
        Outcome::Child(Err(error)) => {
            let failure = Failure::Detach(error.to_string());
            Word(writer).failed(&failure.to_string());
            Err(failure)
        }
    }
}

/// Whether what is written to the standard error stream is kept.
pub(super) fn stderr_is_a_file() -> bool {
    fstat(io::stderr()).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file())
}

/// Waits for the word of the process in the background.
fn listen(mut reader: impl Read) -> Result<String, Failure> {
    let mut word = String::new();
    let read = reader.read_to_string(&mut word);
    if let Some(pid) = word.strip_prefix(READY) {
        return Ok(pid.to_owned());
    }
    let said = match (word.strip_prefix(FAILED), read) {
        (Some(why), _) => why.to_owned(),
        (None, Err(error)) => format!("cannot see whether the broker has started: {error}"),
        (None, Ok(_)) => "the broker ended before it was ready".to_owned(),
    };
    Err(Failure::Daemon(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waiting_process_hears_how_it_went() {
        let cases = [
            ("+42", Ok("42")),
            ("-cannot listen", Err("cannot listen")),
            ("", Err("the broker ended before it was ready")),
        ];
        for (word, expected) in cases {
            let heard = listen(word.as_bytes()).map_err(|failure| failure.to_string());
            let heard = heard.as_deref().map_err(String::as_str);
            assert_eq!(heard, expected, "{word:?}");
        }
    }
}
