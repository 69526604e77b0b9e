//! `nanomq stop` and `nanomq reload`: telling a running broker something.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{Failure, args::ControlArgs, pid_file::Running, reloads, say, start::load};
use crate::config::Overrides;

/// How long a broker may take to stop. It gives its clients 5 seconds to read their farewell.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// How long a reload may take.
const RELOAD_LIMIT: Duration = Duration::from_secs(15);
/// The time between two looks at what came of it.
const PAUSE: Duration = Duration::from_millis(10);

/// Stops the broker and waits until it has ended.
///
/// # Errors
/// When there is none, or it cannot be told, or it does not stop.
pub(super) fn stop(args: &ControlArgs) -> Result<(), Failure> {
    stop_at(&pid_file(args)?)
}

/// Stops the broker of a pid file and waits until it has ended.
///
/// # Errors
/// As [`stop`].
pub(super) fn stop_at(pid_file: &Path) -> Result<(), Failure> {
    let running = Running::find(pid_file)?;
    let pid = running.pid();
    running.signal(Signal::TERM)?;
    running.wait(STOP_LIMIT)?;
    say(&format!("process {pid} has stopped"));
    Ok(())
}

/// Tells the broker to read its configuration anew, and waits for what comes of it.
///
/// # Errors
/// When there is none, it cannot be told, its configuration stays as it was, or it does not say what came of it.
pub(super) fn reload(args: &ControlArgs) -> Result<(), Failure> {
    let pid_file = pid_file(args)?;
    let running = Running::find(&pid_file)?;
    let before = reloads::last(&pid_file).map_or(0, |outcome| outcome.count);
    running.signal(Signal::HUP)?;
    let pid = running.pid();
    let deadline = Instant::now() + RELOAD_LIMIT;
    let outcome = loop {
        match reloads::last(&pid_file).filter(|outcome| outcome.count > before) {
            Some(outcome) => break outcome,
            None if Instant::now() >= deadline => return Err(Failure::ReloadUntold { pid }),
            None => thread::sleep(PAUSE),
        }
    };
    if !outcome.done {
        return Err(Failure::NotReloaded {
            pid,
            lines: outcome.lines,
        });
    }
    say(&format!("process {pid} has read its configuration anew"));
    outcome.lines.iter().for_each(|line| say(line));
    Ok(())
}

fn pid_file(args: &ControlArgs) -> Result<PathBuf, Failure> {
    match &args.pid_file {
        Some(path) => Ok(path.clone()),
        None => Ok(load(&args.file, Overrides::default())?.pid_file),
    }
}
