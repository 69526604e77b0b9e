//! The example admin client against a broker.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use crate::{clients::Subscriber, harness::Broker};

/// The example, which cargo builds beside the tests.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(2).unwrap();
    target.join("examples").join("admin")
}

fn run(port: u16, arguments: &[&str]) -> Output {
    Command::new(program())
        .args(["--addr", &format!("127.0.0.1:{port}")])
        .args(arguments)
        .output()
        .unwrap()
}

fn shown(port: u16, arguments: &[&str]) -> String {
    let output = run(port, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_shows_publishes_and_disconnects() {
    let broker = Broker::start("");
    let Some(port) = broker.http_port() else {
        return;
    };
    let mut subscriber = Subscriber::start(&broker, "mqttv5", &["-i", "sensor 1/ü", "-t", "a/+"]);
    let clients = shown(port, &["clients"]);
    assert!(clients.starts_with("clientid"), "{clients}");
    assert!(
        clients.lines().any(|line| line.starts_with("sensor 1/ü")),
        "{clients}"
    );
    let subscriptions = shown(port, &["subscriptions"]);
    let line = subscriptions.lines().nth(1).unwrap_or_default();
    assert_eq!(
        line.split_whitespace().skip(2).collect::<Vec<_>>(),
        ["a/+", "0"]
    );

    assert_eq!(shown(port, &["publish", "a/b", "hello", "--retain"]), "");
    subscriber.take(1);
    let retained = shown(port, &["retained", "a/#"]);
    assert_eq!(
        retained
            .lines()
            .nth(1)
            .unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>(),
        ["a/b", "0", "5", "hello"]
    );
    assert!(
        shown(port, &["stats"])
            .lines()
            .any(|line| line == "connections 1")
    );

    let kicked = shown(port, &["kick", "sensor 1/ü", "--session"]);
    assert_eq!(kicked, "connection_closed true\nsession_ended true\n");
    let again = run(port, &["kick", "nobody"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&again.stderr).contains("404 Not Found"),
        "{again:?}"
    );
    let wrong = run(port, &["--user", "admin:wrong", "clients"]);
    assert!(
        String::from_utf8_lossy(&wrong.stderr).contains("401 Unauthorized"),
        "{wrong:?}"
    );
}
