//! The tests of source files with their comments, and the lines of a map that names them.

use std::{collections::BTreeMap, fs, path::Path};

/// The tests of a file by name, each with its comment. The path is relative to the package.
pub fn tests_in(file: &str) -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut tests = BTreeMap::new();
    let (mut comment, mut is_test) = (String::new(), false);
    for line in text.lines().map(str::trim_start) {
        if let Some(words) = line.strip_prefix("///") {
            comment.push_str(words);
        } else if line == "#[test]" {
            is_test = true;
        } else if !line.starts_with("#[") {
            let name = line
                .strip_prefix("fn ")
                .and_then(|rest| rest.split_once('('));
            if let (Some((name, _)), true) = (name, is_test) {
                tests.insert(name.to_owned(), comment.clone());
            }
            comment.clear();
            is_test = false;
        }
    }
    tests
}

/// What stands behind the id and the words of a line of a map.
#[derive(Debug, PartialEq, Eq)]
pub enum Proof<'a> {
    /// Tests, each a file and a function.
    Tests(Vec<(String, &'a str)>),
    /// Why there is none.
    Reason(&'a str),
}

/// The lines `id | words | tests or reason` of a map, whose tests lie in `folder` unless they name another file.
pub fn rows<'a>(map: &'a str, folder: &str) -> Vec<(&'a str, Proof<'a>)> {
    let lines = map
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split(" | ").collect();
            let [id, words, proof] = fields[..] else {
                panic!("three fields, please: {line}");
            };
            assert!(!words.is_empty() && !proof.is_empty(), "{line}");
            let reason = ["cannot: ", "open: "]
                .into_iter()
                .find_map(|kind| proof.strip_prefix(kind));
            let proof = match reason {
                Some(reason) => Proof::Reason(reason),
                None => Proof::Tests(
                    proof
                        .split(", ")
                        .map(|test| {
                            let (place, name) = test
                                .split_once("::")
                                .unwrap_or_else(|| panic!("no test: {line}"));
                            let file = match place.ends_with(".rs") {
                                true => place.to_owned(),
                                false => format!("{folder}/{place}.rs"),
                            };
                            (file, name)
                        })
                        .collect(),
                ),
            };
            (id, proof)
        })
        .collect()
}

/// The tests of every file that the map names.
pub fn named_files(rows: &[(&str, Proof<'_>)]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for (_, proof) in rows {
        if let Proof::Tests(tests) = proof {
            for (file, _) in tests {
                files.entry(file.clone()).or_insert_with(|| tests_in(file));
            }
        }
    }
    files
}
