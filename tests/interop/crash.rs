//! The real binary ended by SIGKILL, again and again: `scripts/crash-test` in short.

use std::{path::Path, process::Command};

#[test]
fn what_was_acknowledged_is_not_lost_by_sigkill() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/crash-test");
    for durability in ["sync", "async"] {
        let done = Command::new(&script)
            .args(["--kills", "8", "--seed", "1", "--durability", durability])
            .args(["--binary", env!("CARGO_BIN_EXE_nanomq")])
            .output()
            .expect("scripts/crash-test runs: it needs python3");
        let said = String::from_utf8_lossy(&done.stdout);
        let complained = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{durability}:\n{said}\n{complained}");
        assert!(said.contains("acknowledged and lost:    0"), "{said}");
    }
}
