//! The curl commands of the README, run as they stand there but for the port.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::harness::Broker;

#[test]
fn the_curl_examples_of_the_readme_are_answered() {
    let broker = Broker::start("");
    let Some(port) = broker.http_port() else {
        return;
    };
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let commands: Vec<&str> = readme
        .lines()
        .filter(|line| line.starts_with("curl "))
        .collect();
    assert!(commands.len() >= 6, "the README has lost its examples");
    for command in commands {
        let command = command.replace("127.0.0.1:8081", &format!("127.0.0.1:{port}"));
        let output = Command::new("sh")
            .args([
                "-c",
                &format!("{command} --silent --show-error --max-time 20"),
            ])
            .output()
            .unwrap();
        let body = String::from_utf8_lossy(&output.stdout);
        let answer: Value = serde_json::from_str(&body)
            .unwrap_or_else(|error| panic!("{command}: {error}: {body} {output:?}"));
        assert_eq!(answer["code"], 0, "{command}: {body}");
    }
}
