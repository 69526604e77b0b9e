//! The commands of the README, run as they stand there but for ports.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
};

use rustls::StreamOwned;
use serde_json::Value;

use crate::{clients::publish_to, harness::Broker, trusting::trusting};

/// The certificate that the README's openssl command makes is taken by clients of OpenSSL and by those that are stricter,
/// which take none of an authority for that of a server.
#[test]
fn the_certificate_of_the_readme_is_taken_by_clients() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let begin = readme.find("openssl req ").unwrap();
    let mut command = String::new();
    for line in readme[begin..].lines() {
        command.push_str(line);
        command.push('\n');
        if !line.ends_with('\\') {
            break;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("sh")
        .args(["-c", &command])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key) = (file("server.crt"), file("server.key"));
    let broker = Broker::start(&format!(
        r#"listeners.ssl {{ bind = "127.0.0.1:0", certfile = "{certificate}", keyfile = "{key}" }}"#
    ));
    if !broker.is_nanomq() {
        return;
    }
    let port = broker.port("ssl", "default");
    let arguments = [
        "-h",
        "localhost",
        "--cafile",
        &certificate,
        "-t",
        "t",
        "-m",
        "x",
        "-q",
        "1",
    ];
    let done = publish_to(&broker, port, "mqttv5", &arguments);
    assert_eq!(done.code, Some(0), "{}", done.output);
    let tls = trusting(&fs::read_to_string(&certificate).unwrap());
    let mut stream = StreamOwned::new(tls, TcpStream::connect(("127.0.0.1", port)).unwrap());
    stream
        .write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01r")
        .unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
}

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
