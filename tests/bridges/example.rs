//! The example of the README.

use std::{path::Path, process::Command};

#[test]
fn the_example_shows_messages_that_go_both_ways_and_wait_for_the_remote() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/bridge-example");
    let done = Command::new(&script)
        .args(["--binary", env!("CARGO_BIN_EXE_nanomq")])
        .output()
        .expect("scripts/bridge-example runs: it needs bash");
    let said = String::from_utf8_lossy(&done.stdout);
    let complained = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}\n{complained}");
    let got: Vec<&str> = said
        .lines()
        .filter(|line| {
            ["site1/", "commands/", "\"backlog\""]
                .iter()
                .any(|start| line.starts_with(start))
        })
        .collect();
    assert_eq!(
        got,
        [
            "site1/sensors/1/temperature 21.5",
            "commands/fan on",
            "\"backlog\":3",
            "site1/sensors/1/temperature 22.0",
            "site1/sensors/1/temperature 22.5",
            "site1/sensors/1/temperature 23.0",
        ],
        "{said}"
    );
}
