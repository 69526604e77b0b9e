//! `statements.txt` against the tests and, where that lies beside the checkout, the list of the standard's statements.

use std::{collections::BTreeSet, fs, path::Path};

use crate::inventory::{Proof, named_files, rows};

const MAP: &str = include_str!("statements.txt");
const FOLDER: &str = "tests/standard";
/// Statements of MQTT 5.0 that bind a server, and rules of MQTT 3.1.1 that differ.
const STATEMENTS: (usize, usize) = (237, 35);
/// What an id of a rule of 3.1.1 ends with: the two versions number their statements alike.
const OF_311: &str = " of 3.1.1";

#[test]
fn every_statement_has_one_line() {
    let rows = rows(MAP, FOLDER);
    let ids: BTreeSet<&str> = rows.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len(), rows.len(), "an id stands in two lines");
    let of_311 = ids.iter().filter(|id| id.ends_with(OF_311)).count();
    assert_eq!((ids.len() - of_311, of_311), STATEMENTS);
}

#[test]
fn the_named_tests_exist_and_name_the_statement() {
    let rows = rows(MAP, FOLDER);
    let files = named_files(&rows);
    for (id, proof) in &rows {
        let Proof::Tests(tests) = proof else { continue };
        for (file, name) in tests {
            let comment = files[file]
                .get(*name)
                .unwrap_or_else(|| panic!("{id}: {file} has no test {name}"));
            assert!(
                statements_in(comment).contains(&(*id).to_owned()),
                "{id}: the comment of {name} in {file} does not name it"
            );
        }
    }
}

#[test]
fn what_the_tests_name_is_in_the_map() {
    let rows = rows(MAP, FOLDER);
    let mut missing = Vec::new();
    for (file, tests) in named_files(&rows) {
        for (name, comment) in tests {
            for id in statements_in(&comment) {
                let listed = rows.iter().any(|(row, proof)| {
                    *row == id
                        && matches!(proof, Proof::Tests(tests)
                            if tests.contains(&(file.clone(), &*name)))
                });
                if !listed && file.starts_with(FOLDER) {
                    missing.push(format!("{id} | .. | {file}::{name}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

/// The list gives each statement a class; all but `client-only` bind a server.
#[test]
fn the_map_has_every_statement_that_binds_a_server() {
    let list =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/spec/mqtt5-server-statements.txt");
    let Ok(list) = fs::read_to_string(list) else {
        return;
    };
    let binding: Vec<&str> = list
        .lines()
        .filter(|line| line.starts_with("MQTT-"))
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let id = words.next()?;
            (words.next() != Some("client-only")).then_some(id)
        })
        .collect();
    let rows = rows(MAP, FOLDER);
    let mapped: Vec<&str> = rows
        .iter()
        .map(|(id, _)| *id)
        .filter(|id| !id.ends_with(OF_311))
        .collect();
    assert_eq!(mapped, binding);
}

/// The ids in square brackets.
fn statements_in(comment: &str) -> Vec<String> {
    comment
        .split('[')
        .filter_map(|part| part.split_once(']'))
        .map(|(id, _)| id.to_owned())
        .filter(|id| id.starts_with("MQTT-"))
        .collect()
}
