//! `classes.txt` against the tests.

use crate::inventory::{Proof, named_files, rows};

#[test]
fn every_class_has_its_tests_or_a_reason() {
    let rows = rows(include_str!("classes.txt"), "tests/hostile");
    let numbers: Vec<usize> = rows.iter().map(|(id, _)| id.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
    let files = named_files(&rows);
    for (number, proof) in &rows {
        let Proof::Tests(tests) = proof else { continue };
        for (file, name) in tests {
            assert!(
                files[file].contains_key(*name),
                "class {number}: {file} has no test {name}"
            );
        }
    }
}
