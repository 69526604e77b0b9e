//! User names and passwords of `mosquitto_pub`, against files that `nanomq passwd` and `mosquitto_passwd` wrote, and rules.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::clients::{Program, Subscriber, VERSIONS, publish};
use crate::harness::{Broker, unique};

/// Runs `mosquitto_pub`, which the broker does not let in; returns what it printed.
fn refused(broker: &Broker, version: &str, login: &[&str]) -> String {
    let mut command = Command::new("mosquitto_pub");
    command
        .args([
            "-V",
            version,
            "-h",
            broker.host(),
            "-p",
            &broker.mqtt_port().to_string(),
        ])
        .args(["-t", "t", "-m", "x"])
        .args(login);
    let finished = Program::start(&mut command, "install mosquitto-clients").finish();
    assert_ne!(finished.code, Some(0), "{login:?} was let in");
    finished.output
}

fn nanomq_passwd(words: &[&str], file: &Path, user: &str, password: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanomq"));
    command.arg("passwd").args(words).arg(file).arg(user);
    let mut program = Program::start(&mut command, "build it");
    program.feed(format!("{password}\n"));
    let finished = program.finish();
    assert_eq!(finished.code, Some(0), "{}", finished.output);
}

fn with_file(file: &Path, rest: &str) -> Broker {
    Broker::start(&format!(
        "auth {{ allow_anonymous = false, password_file = \"{}\"\n{rest} }}\n",
        file.display()
    ))
}

#[test]
fn passwords_that_nanomq_and_mosquitto_wrote_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("users");
    nanomq_passwd(&[], &own, "ann", "secret");
    nanomq_passwd(&["--scram"], &own, "bob", "p:ss wörd");
    let theirs: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/passwd/mosquitto");
    for file in [own, theirs] {
        let broker = with_file(&file, "");
        if !broker.is_nanomq() {
            return;
        }
        for version in VERSIONS {
            for (user, password) in [("ann", "secret"), ("bob", "p:ss wörd")] {
                publish(
                    &broker,
                    version,
                    &["-t", "t", "-m", "x", "-u", user, "-P", password],
                );
                let output = refused(&broker, version, &["-u", user, "-P", "wrong"]);
                let told = match version {
                    "mqttv5" => {
                        output.contains("Bad User Name or Password") || output.contains("134")
                    }
                    _ => {
                        output.contains("bad user name or password")
                            || output.contains("Connection Refused")
                    }
                };
                assert!(told, "{version}: {output}");
            }
            refused(&broker, version, &["-u", "eve", "-P", "secret"]);
            refused(&broker, version, &[]);
        }
    }
}

#[test]
fn rules_hold_for_real_clients() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users");
    for user in ["ann", "bob"] {
        nanomq_passwd(&[], &file, user, "x");
    }
    let rules = r#"acl.rules = [
        {"permit": "allow", "username": "ann"}
        {"permit": "allow", "action": "publish", "topics": ["from/${username}"]}
        {"permit": "deny"}
    ]"#;
    let broker = with_file(&file, rules);
    if !broker.is_nanomq() {
        return;
    }
    for version in VERSIONS {
        let id = unique("reader");
        let login = ["-u", "ann", "-P", "x", "-i", &id];
        let arguments = [&login[..], &["-t", "#", "-q", "1"]].concat();
        let mut reader = Subscriber::start(&broker, version, &arguments);
        for topic in ["from/ann", "from/bob", "other"] {
            let arguments = ["-u", "bob", "-P", "x", "-t", topic, "-m", topic];
            publish(&broker, version, &arguments);
        }
        publish(
            &broker,
            version,
            &["-u", "ann", "-P", "x", "-t", "end", "-m", "end"],
        );
        let got: Vec<String> = reader
            .take(2)
            .into_iter()
            .map(|message| message.payload)
            .collect();
        assert_eq!(got, ["from/bob", "end"], "{version}");
    }
}
