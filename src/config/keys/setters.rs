//! Values that take more than one step to set.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use super::Named;
use crate::config::{
    entry::{Stored, Trouble, Value},
    model::Config,
    values::{Durability, JwtAlgorithm, LogTarget, Secret},
};

/// NanoMQ keeps messages in SQLite and syncs when it likes.
pub(super) fn set_sqlite(config: &mut Config, value: &Value, _: &Named<'_>) -> Stored {
    value.flag(&mut config.store.enable)?;
    if !config.store.enable {
        return Ok(());
    }
    config.store.durability = Durability::Async;
    Err(Trouble::Note(
        "is read as store { enable = true, durability = async }".to_owned(),
    ))
}

pub(super) fn set_sqlite_path(config: &mut Config, value: &Value, _: &Named<'_>) -> Stored {
    let mut folder = PathBuf::new();
    value.path(&mut folder)?;
    config.store.path = folder.join("nanomq_store");
    Err(Trouble::Note(format!(
        "is read as store.path = \"{}\"",
        config.store.path.display()
    )))
}

pub(super) fn set_user(config: &mut Config, value: &Value, name: &str) -> Stored {
    let mut password = Secret::default();
    value.secret(&mut password)?;
    match config
        .auth
        .password
        .iter_mut()
        .find(|(user, _)| user == name)
    {
        Some((_, known)) => *known = password,
        None => config.auth.password.push((name.to_owned(), password)),
    }
    Ok(())
}

pub(super) fn set_versions(config: &mut Config, value: &Value) -> Stored {
    let mut versions = Vec::new();
    for item in value.items()? {
        let level = item
            .parse()
            .ok()
            .filter(|level| (3..=5).contains(level))
            .ok_or(Trouble::Unexpected)?;
        versions.push(level);
    }
    versions.sort_unstable();
    versions.dedup();
    if versions.is_empty() {
        return Err(Trouble::Unexpected);
    }
    config.mqtt.protocol_versions = versions;
    Ok(())
}

/// Off, or at least a second, so that a slip of a unit does not make the broker talk to itself all day.
pub(super) fn set_sys_interval(config: &mut Config, value: &Value) -> Stored {
    let mut interval = Duration::ZERO;
    value.duration(&mut interval, Duration::ZERO)?;
    if !interval.is_zero() && interval < Duration::from_secs(1) {
        return Err(Trouble::Unexpected);
    }
    config.mqtt.sys_interval = interval;
    Ok(())
}

/// A duration within a range of seconds.
pub(super) fn set_bounded(
    field: &mut Duration,
    value: &Value,
    seconds: RangeInclusive<u64>,
) -> Stored {
    let mut duration = Duration::ZERO;
    value.duration(&mut duration, Duration::from_secs(*seconds.start()))?;
    if duration > Duration::from_secs(*seconds.end()) {
        return Err(Trouble::Unexpected);
    }
    *field = duration;
    Ok(())
}

pub(super) fn set_algorithms(field: &mut Vec<JwtAlgorithm>, value: &Value) -> Stored {
    let mut algorithms = Vec::new();
    for item in value.items()? {
        let algorithm = item.to_ascii_uppercase().parse();
        let algorithm = algorithm.map_err(|()| Trouble::Unexpected)?;
        if !algorithms.contains(&algorithm) {
            algorithms.push(algorithm);
        }
    }
    if algorithms.is_empty() {
        return Err(Trouble::Unexpected);
    }
    *field = algorithms;
    Ok(())
}

pub(super) fn set_log_targets(config: &mut Config, value: &Value) -> Stored {
    let mut targets = Vec::new();
    let mut not_built = Vec::new();
    for item in value.items()? {
        match item.parse::<LogTarget>() {
            Ok(target) if targets.contains(&target) => {}
            Ok(target) => targets.push(target),
            Err(()) if ["file", "syslog", "uds"].contains(&item) => not_built.push(item),
            Err(()) => return Err(Trouble::Unexpected),
        }
    }
    if targets.is_empty() {
        targets.push(LogTarget::Console);
    }
    config.log.to = targets;
    if not_built.is_empty() {
        return Ok(());
    }
    Err(Trouble::Note(format!(
        "logging to {} is not built yet; the log goes to the console",
        not_built.join(", ")
    )))
}
