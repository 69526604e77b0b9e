//! `nanomq store`: a look at a durable store.

use std::path::PathBuf;

use super::{
    Failure,
    args::{StoreArgs, StoreCommand},
    complain, say,
    start::load,
};
use crate::{
    actors::store_path,
    config::Overrides,
    store::{Folder, Report, Store, Totals},
};

/// Does what is asked of a store.
///
/// # Errors
/// [`Failure::Store`] when it cannot be read, and for `check` when something in it cannot.
pub(super) fn store(command: &StoreCommand) -> Result<(), Failure> {
    match command {
        StoreCommand::Check(args) => check(args),
        StoreCommand::Stats(args) => stats(args),
    }
}

fn check(args: &StoreArgs) -> Result<(), Failure> {
    let (path, _, report) = read(args)?;
    let Report {
        segments,
        records,
        bytes,
        damages,
        nameless_sessions,
        nameless_messages,
    } = report;
    say(&format!(
        "{records} records in {bytes} bytes of {segments} segments"
    ));
    for damage in &damages {
        complain(&damage.to_string());
    }
    if damages.is_empty() {
        return Ok(());
    }
    if nameless_sessions > 0 {
        complain(&format!(
            "{nameless_sessions} sessions with {nameless_messages} messages are lost with it"
        ));
    }
    let error = std::io::Error::other(format!("{} parts cannot be read", damages.len()));
    Err(Failure::Store { path, error })
}

fn stats(args: &StoreArgs) -> Result<(), Failure> {
    let (path, totals, report) = read(args)?;
    let Totals {
        sessions,
        subscriptions,
        messages,
        queued,
        retained,
        live_bytes,
    } = totals;
    for (name, value) in [
        ("path", path.display().to_string()),
        ("segments", report.segments.to_string()),
        ("bytes", report.bytes.to_string()),
        ("bytes that count", live_bytes.to_string()),
        ("sessions", sessions.to_string()),
        ("subscriptions", subscriptions.to_string()),
        ("messages", messages.to_string()),
        ("messages in queues", queued.to_string()),
        ("retained messages", retained.to_string()),
    ] {
        say(&format!("{name}: {value}"));
    }
    Ok(())
}

fn read(args: &StoreArgs) -> Result<(PathBuf, Totals, Report), Failure> {
    let path = match &args.path {
        Some(path) => path.clone(),
        None => {
            let start = load(&args.file, Overrides::default())?;
            store_path(&start.config, start.source.path.as_deref())
        }
    };
    let read = Folder::read_only(&path).and_then(|folder| Store::inspect(Box::new(folder)));
    match read {
        Ok((totals, report)) => Ok((path, totals, report)),
        Err(error) => Err(Failure::Store { path, error }),
    }
}
