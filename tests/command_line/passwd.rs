//! `nanomq passwd`.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, path::Path, process::Output};

use crate::setup::{nanomq, stderr};
use std::process::Stdio;

fn passwd(words: &[&str], path: &Path, user: &str, input: &str) -> Output {
    let mut command = nanomq(&["passwd"]);
    command.args(words).arg(path).arg(user);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn users_are_written_changed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    let text = || fs::read_to_string(&path).unwrap();
    assert!(passwd(&[], &path, "ann", "secret\n").status.success());
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let first = text();
    assert!(first.starts_with("ann:$argon2id$v=19$"), "{first}");
    fs::write(&path, format!("# mine\n{first}")).unwrap();
    assert!(
        passwd(&["--scram"], &path, "bob", "secret")
            .status
            .success()
    );
    assert!(passwd(&[], &path, "ann", "other\n").status.success());
    let second = text();
    assert!(
        second.starts_with("# mine\nann:$argon2id$") && !second.contains(&first),
        "{second}"
    );
    assert!(second.contains("\nbob:SCRAM-SHA-256$4096:"), "{second}");
    assert!(!second.contains("secret") && !second.contains("other"));
    assert!(passwd(&["--delete"], &path, "ann", "").status.success());
    assert!(!text().contains("ann:"));
}

#[test]
fn what_cannot_be_is_refused_and_the_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    fs::write(&path, "ann:x\n").unwrap();
    for (words, user, input, part) in [
        (&[][..], "a:b", "x", "user name"),
        (&[], "ann", "", "password"),
        (&[], "ann", "a\tb", "password"),
        (&["-D"], "bob", "", "no user bob"),
    ] {
        let output = passwd(words, &path, user, input);
        assert_eq!(output.status.code(), Some(1), "{user}");
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
        assert_eq!(fs::read_to_string(&path).unwrap(), "ann:x\n");
    }
    fs::write(&path, "ann:x\nhalf a line\n").unwrap();
    let output = passwd(&[], &path, "bob", "x");
    let expected = format!("{}:2: ", path.display());
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    assert!(!stderr(&output).contains("half"));
}

#[test]
fn check_tells_of_a_broken_file_of_users() {
    let folder = tempfile::tempdir().unwrap();
    let (conf, users) = (
        folder.path().join("a.conf"),
        folder.path().join("nanomq_passwd"),
    );
    fs::write(&conf, "auth.allow_anonymous = true\n").unwrap();
    fs::write(&users, "ann:x\nbroken\n").unwrap();
    let check = || nanomq(&["check", "--conf"]).arg(&conf).output().unwrap();
    let output = check();
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("{}:2: ", users.display());
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    fs::write(&users, "ann:x\n").unwrap();
    assert_eq!(check().status.code(), Some(0));
}
