//! The table of keys: one row for every HOCON key that is known. Reading, validation, the nearest name, what is hot and
//! what is secret all come from it, so a new key is a field in the model and a row here.
//!
//! In a path, `*` stands for one name and a final `**` for any number of names, also none.

mod setters;
mod table;

use std::ops::RangeInclusive;

use self::table::KEYS;
use super::entry::{Stored, Value};
use super::keys_auth;
use super::keys_bridges;
use super::keys_listeners;
use super::model::Config;

/// Stores a value in the model, for the names that stood for the `*` of the path.
pub(crate) type Set = fn(&mut Config, &Value, &Named<'_>) -> Stored;

/// What stands for the `*` of a pattern; it is the last of them as a text, which is empty when there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    first: &'a str,
    last: &'a str,
}

impl Named<'_> {
    /// What stands for the first `*`.
    pub(crate) fn first(&self) -> &str {
        self.first
    }
}

impl std::ops::Deref for Named<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.last
    }
}

/// A known key.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its path or pattern.
    pub(crate) path: &'static str,
    /// What is done with it.
    pub(crate) role: Role,
}

/// What is done with a key.
#[derive(Debug)]
pub(crate) enum Role {
    /// It is a field of the model.
    Setting {
        /// What the value must be, for the message when it is not.
        expects: &'static str,
        /// Whether a change takes effect in a running broker.
        hot: bool,
        /// Whether its value must never be shown.
        secret: bool,
        /// Stores it.
        set: Set,
    },
    /// NanoMQ has it under this name; it sets fields that have names of their own, and says which.
    OtherName {
        /// What the value must be.
        expects: &'static str,
        /// Stores it.
        set: Set,
    },
    /// NanoMQ has it and it means nothing here: why.
    Ignored(&'static str),
    /// NanoMQ has it and this version does not: the plural name of what it belongs to.
    NotBuilt(&'static str),
}

pub(super) const fn hot(path: &'static str, expects: &'static str, set: Set) -> Key {
    Key {
        path,
        role: Role::Setting {
            expects,
            hot: true,
            secret: false,
            set,
        },
    }
}

pub(super) const fn cold(path: &'static str, expects: &'static str, set: Set) -> Key {
    Key {
        path,
        role: Role::Setting {
            expects,
            hot: false,
            secret: false,
            set,
        },
    }
}

pub(super) const fn secret(path: &'static str, set: Set) -> Key {
    Key {
        path,
        role: Role::Setting {
            expects: "a text",
            hot: true,
            secret: true,
            set,
        },
    }
}

pub(super) const fn cold_secret(path: &'static str, set: Set) -> Key {
    Key {
        path,
        role: Role::Setting {
            expects: "a text",
            hot: false,
            secret: true,
            set,
        },
    }
}

/// NanoMQ's other name of a key.
pub(super) const fn other_name(path: &'static str, expects: &'static str, set: Set) -> Key {
    Key {
        path,
        role: Role::OtherName { expects, set },
    }
}

pub(super) const fn ignored(path: &'static str, why: &'static str) -> Key {
    Key {
        path,
        role: Role::Ignored(why),
    }
}

const fn not_built(path: &'static str, what: &'static str) -> Key {
    Key {
        path,
        role: Role::NotBuilt(what),
    }
}

pub(super) const FLAG: &str = "true or false";
pub(super) const COUNT: &str = "a whole number from 1";
pub(super) const COUNT_OR_0: &str = "a whole number (0 = unlimited)";
pub(super) const ANY_COUNT: RangeInclusive<u64> = 1..=u32::MAX as u64;

/// Every known HOCON key.
pub(crate) fn all() -> impl Iterator<Item = &'static Key> {
    KEYS.iter()
        .chain(keys_listeners::all())
        .chain(keys_auth::all())
        .chain(keys_bridges::all())
}

/// The row of a key.
pub(crate) fn find(path: &[String]) -> Option<&'static Key> {
    all().find(|key| matches(key.path, path))
}

/// What stands for the `*` of a pattern in a path.
pub(crate) fn name_in<'a>(pattern: &str, path: &'a [String]) -> Named<'a> {
    let mut names = pattern
        .split('.')
        .zip(path)
        .filter(|(part, _)| *part == "*")
        .map(|(_, name)| name.as_str());
    let first = names.next().unwrap_or("");
    Named {
        first,
        last: names.last().unwrap_or(first),
    }
}

/// Whether a pattern covers a path.
pub(crate) fn matches(pattern: &str, path: &[String]) -> bool {
    let mut names = path.iter();
    for part in pattern.split('.') {
        match (part, names.next()) {
            ("**", _) => return true,
            ("*", Some(_)) => {}
            (_, Some(name)) if part == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

/// Whether some known key begins with a path: the path is then an object of its own.
pub(crate) fn is_section(path: &[String]) -> bool {
    all().any(|key| {
        let parts: Vec<&str> = key.path.split('.').collect();
        parts.len() > path.len()
            && parts
                .iter()
                .zip(path)
                .all(|(part, name)| matches!(*part, "*" | "**") || part == name)
    })
}
