//! `nanomq stop` and `nanomq reload`: telling a running broker something.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::Signal;

use super::{Failure, args::ControlArgs, pid_file::Running, say, start::load};
use crate::config::Overrides;

/// How long a broker may take to stop. It gives its clients 5 seconds to read their farewell.
const STOP_LIMIT: Duration = Duration::from_secs(15);

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

/// Tells the broker to read its configuration anew; does not wait for it.
///
/// # Errors
/// When there is none, or it cannot be told, or the configuration that leads to it has errors.
pub(super) fn reload(args: &ControlArgs) -> Result<(), Failure> {
    let running = Running::find(&pid_file(args)?)?;
    running.signal(Signal::HUP)?;
    let pid = running.pid();
    say(&format!(
        "process {pid} reads its configuration anew; its log tells what came of it"
    ));
    Ok(())
}

fn pid_file(args: &ControlArgs) -> Result<PathBuf, Failure> {
    match &args.pid_file {
        Some(path) => Ok(path.clone()),
        None => Ok(load(&args.file, Overrides::default())?.pid_file),
    }
}
