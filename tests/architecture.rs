//! Keeps the map of the floors true: a folder of `src/` imports only lower floors and itself, and the two lowest
//! floors know neither actors nor clocks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Folders of `src/` by floor, the ground floor first. Files beside the folders stand above all of them.
const FLOORS: &[&[&str]] = &[
    &["mqtt", "config", "stats"],
    &["routing", "session", "auth", "store", "bridge"],
    &["messages"],
    &["transport", "actors"],
    &["listeners", "api", "cli"],
];

/// Imports within a floor, or upwards: from, to, why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("stats", "mqtt", "messages are counted by QoS"),
    (
        "config",
        "mqtt",
        "topics of bridges are checked when they are read",
    ),
    ("actors", "transport", "a connection drives its byte stream"),
    ("bridge", "session", "it is the client's side of one"),
    (
        "cli",
        "broker",
        "`nanomq start` runs a broker in its own process",
    ),
];

/// The files of `src/` that put everything together, and their folder.
const ROOTS: &[&str] = &["broker.rs", "broker", "main.rs", "lib.rs"];

/// Nothing on floors 0 and 1 may name these: `now` is an argument there, and nobody waits.
const FORBIDDEN_BELOW: &[&str] = &["actix", "tokio", "Instant::now", "SystemTime::now"];
const FORBIDDEN_UP_TO_FLOOR: usize = 1;

#[test]
fn files_import_lower_floors_and_their_own_folder() {
    let mut breaches = Vec::new();
    for file in source_files() {
        breaches.extend(breaches_of_floors(&file.folder, &file.path, &file.text));
        breaches.extend(ways_out(&file.folder, &file.path, file.depth, &file.text));
    }
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn the_lower_floors_know_neither_actors_nor_clocks() {
    let mut breaches = Vec::new();
    for file in source_files() {
        if floor_of(&file.folder).is_some_and(|floor| floor <= FORBIDDEN_UP_TO_FLOOR) {
            breaches.extend(forbidden_names(&file.path, &file.text));
        }
    }
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn every_file_has_its_place() {
    let mut unknown = BTreeSet::new();
    for file in source_files() {
        if floor_of(&file.folder).is_none() && !ROOTS.contains(&&*file.folder) {
            unknown.insert(file.folder);
        }
    }
    assert!(
        unknown.is_empty(),
        "on no floor, and not at the top: {unknown:?}"
    );
}

#[test]
fn breaches_are_found() {
    // Folder, line of source, whether it keeps the rules.
    for (folder, line, allowed) in [
        ("session", "use crate::mqtt::QoS;", true),
        ("session", "use crate::session::Will;", true),
        (
            "session",
            "use crate::{config::Mqtt, mqtt::{Batch, QoS}};",
            true,
        ),
        ("session", "use crate::routing::Routes;", false),
        ("routing", "use crate::session::Session;", false),
        (
            "session",
            "use crate::{\n    config::Mqtt,\n    mqtt::{Batch, QoS},\n    messages::Deliver,\n};",
            false,
        ),
        ("session", "let x = crate::actors::start();", false),
        ("session", "// as crate::actors does", true),
        ("mqtt", "use crate::config::Mqtt;", false),
        ("config", "use crate::stats::Counters;", false),
        (
            "messages",
            "use crate::{routing::Target, session::Delivery};",
            true,
        ),
        ("messages", "use crate::actors::Worker;", false),
        ("actors", "use crate::transport::Transport;", true),
        ("transport", "use crate::actors::Worker;", false),
        ("listeners", "use crate::actors::Accepted;", true),
        ("listeners", "use crate::broker::Broker;", false),
        ("listeners", "use crate::api::Server;", false),
        ("cli", "use crate::broker::Broker;", true),
        ("broker.rs", "use crate::listeners::Listeners;", true),
        ("main.rs", "use nanomq::broker::Broker;", true),
        ("session", "use crate::{self as nanomq, api};", false),
    ] {
        let breaches = breaches_of_floors(folder, Path::new("x.rs"), line);
        assert_eq!(
            breaches.is_empty(),
            allowed,
            "{folder}: {line}: {breaches:?}"
        );
    }
    for (depth, line, allowed) in [
        (1, "use super::Will;", true),
        (0, "use super::routing::Routes;", false),
        (1, "use super::super::routing::Routes;", false),
        (2, "use super::super::Will;", true),
    ] {
        let breach = ways_out("session", Path::new("x.rs"), depth, line);
        assert_eq!(breach.is_none(), allowed, "{depth}: {line}");
    }
    for (text, allowed) in [
        ("fn at(now: Instant) {}", true),
        ("let now = Instant::now();", false),
        ("let now = std::time::SystemTime::now();", false),
        ("use tokio::time;", false),
        ("impl actix::Message for X {}", false),
        ("/// Like tokio's.", true),
        ("let x = 1; // not Instant::now()", true),
        (
            "#[cfg(test)]\nmod tests {\n    fn f() { Instant::now(); }\n}",
            true,
        ),
        (
            "#[cfg(test)]\nmod tests;\nfn f() { Instant::now(); }",
            false,
        ),
    ] {
        let breaches = forbidden_names(Path::new("x.rs"), text);
        assert_eq!(breaches.is_empty(), allowed, "{text}: {breaches:?}");
    }
}

struct SourceFile {
    path: PathBuf,
    /// The folder below `src/`, or the name of a file that lies there itself.
    folder: String,
    /// How often `super::` may be said in it without leaving the folder.
    depth: usize,
    text: String,
}

/// Every file of `src/` but those that hold nothing except tests.
fn source_files() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name == "tests" || name == "tests.rs" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let below = path.strip_prefix(&root).unwrap();
                let first = below.components().next().unwrap();
                let folders_above = below.components().count() - 1;
                files.push(SourceFile {
                    depth: folders_above.saturating_sub(usize::from(name == "mod.rs")),
                    folder: first.as_os_str().to_str().unwrap().to_owned(),
                    text: fs::read_to_string(&path).unwrap(),
                    path,
                });
            }
        }
    }
    assert!(
        files.len() > 10,
        "the sources are not at {}",
        root.display()
    );
    files
}

fn floor_of(folder: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&folder))
}

fn breaches_of_floors(folder: &str, path: &Path, text: &str) -> Vec<String> {
    let Some(own) = floor_of(folder) else {
        return Vec::new();
    };
    let text = without_comments(&without_tests(text));
    let mut breaches = Vec::new();
    for target in imports(&text) {
        let lower = floor_of(&target).is_some_and(|floor| floor < own);
        let excepted = EXCEPTIONS
            .iter()
            .any(|(from, to, _)| *from == folder && *to == target);
        if target != folder && !lower && !excepted {
            breaches.push(format!(
                "{}: {folder} may not import {target}",
                path.display()
            ));
        }
    }
    breaches
}

/// Paths that climb out of the folder.
fn ways_out(folder: &str, path: &Path, depth: usize, text: &str) -> Option<String> {
    let text = without_comments(&without_tests(text));
    let climbs = text.contains(&"super::".repeat(depth + 1));
    (floor_of(folder).is_some() && climbs)
        .then(|| format!("{}: super leaves {folder}", path.display()))
}

fn forbidden_names(path: &Path, text: &str) -> Vec<String> {
    let text = without_comments(&without_tests(text));
    let named = |name: &&&str| text.contains(**name);
    let breach = |name: &&str| format!("{} names {name}", path.display());
    FORBIDDEN_BELOW.iter().filter(named).map(breach).collect()
}

/// First path segments behind `crate::`, those in braces too.
fn imports(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, prefix) in text.match_indices("crate::") {
        let rest = &text[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => {
                found.extend(identifier(rest));
            }
            Some(list) => found.extend(top_level_items(list)),
        }
    }
    found
}

/// The first segment of each item in a brace list, which `list` begins behind.
fn top_level_items(list: &str) -> Vec<String> {
    let mut items = Vec::new();
    let mut depth = 0_usize;
    let mut at_start = true;
    for (at, c) in list.char_indices() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            _ if c.is_whitespace() => {}
            _ if at_start && depth == 0 => {
                let item = identifier(&list[at..]);
                items.extend(item.filter(|item| item != "self"));
                at_start = false;
            }
            _ => {}
        }
    }
    items
}

fn identifier(text: &str) -> Option<String> {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

/// Cuts off the unit tests, which stand at the end of a file.
fn without_tests(text: &str) -> String {
    match text.find("#[cfg(test)]\nmod tests {") {
        Some(at) => text[..at].to_owned(),
        None => text.to_owned(),
    }
}

fn without_comments(text: &str) -> String {
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    text.lines().map(code).collect::<Vec<_>>().join("\n")
}
