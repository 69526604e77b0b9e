//! Clients over TLS, WebSocket and both: those that are welcome, and those that are not.

use std::env;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use crate::authority::{Authority, Pair};
use crate::clients::{Program, Subscriber, VERSIONS, publish, publish_to, python_program, until};
use crate::harness::{Broker, DEADLINE, unique};
use crate::http::get;

/// Listeners of every kind, with these keys of TLS.
fn with_every_door(server: &Pair, tls: &str) -> Broker {
    let Pair { certificate, key } = server;
    Broker::start(&format!(
        r#"
        listeners.ssl {{ bind = "127.0.0.1:0", certfile = "{certificate}", keyfile = "{key}", {tls} }}
        listeners.ws {{ bind = "127.0.0.1:0/mqtt" }}
        listeners.wss {{ bind = "127.0.0.1:0" }}
        "#
    ))
}

/// What a client of mosquitto is told of TLS.
fn tls_arguments<'a>(authority: &'a str, own: Option<&'a Pair>) -> Vec<&'a str> {
    let mut arguments = vec!["--cafile", authority];
    if let Some(Pair { certificate, key }) = own {
        arguments.extend(["--cert", certificate, "--key", key]);
    }
    arguments
}

/// The protocol errors of a kind that the broker has counted.
fn errors(broker: &Broker, kind: &str) -> u64 {
    let port = broker.http_port().unwrap();
    let answer = get(port, "/api/v4/stats", Some(("admin", "public")));
    answer.body["data"]["protocol_errors"][kind]
        .as_u64()
        .unwrap_or(0)
}

#[test]
fn mosquitto_speaks_tls() {
    let authority = Authority::new();
    let broker = with_every_door(&authority.sign("server", 2100), "");
    if !broker.is_nanomq() {
        return;
    }
    let port = broker.port("ssl", "default");
    let file = authority.file();
    for version in VERSIONS {
        for tls in ["tlsv1.2", "tlsv1.3"] {
            let topic = unique("tls");
            let mut plain = Subscriber::start(&broker, version, &["-t", &topic, "-q", "1"]);
            let mut arguments = tls_arguments(&file, None);
            arguments.extend(["--tls-version", tls, "-t", &topic, "-q", "1"]);
            let mut secure = Subscriber::start_at(&broker, port, version, &arguments);
            arguments.extend(["-m", "hello"]);
            let done = publish_to(&broker, port, version, &arguments);
            assert_eq!(done.code, Some(0), "{version} {tls}: {}", done.output);
            assert_eq!(plain.next().payload, "hello");
            assert_eq!(secure.next().payload, "hello");
            // The other way, and more than one record.
            let large = "x".repeat(100_000);
            let input = authority.folder().join("large");
            fs::write(&input, &large).unwrap();
            publish(
                &broker,
                version,
                &["-t", &topic, "-q", "1", "-f", input.to_str().unwrap()],
            );
            assert_eq!(secure.next().payload.len(), large.len());
        }
    }
}

#[test]
fn client_certificates_are_verified_and_name_their_user() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let keys = format!(
        r#"cacertfile = "{}", verify_peer = true, fail_if_no_peer_cert = true, peer_cert_as_username = cn"#,
        authority.file()
    );
    let broker = with_every_door(&authority.sign("server", 2100), &keys);
    if !broker.is_nanomq() {
        return;
    }
    let port = broker.port("ssl", "default");
    let good = authority.sign("sensor-1", 2100);
    let expired = authority.sign("sensor-2", 2001);
    let foreign = stranger.sign("sensor-3", 2100);
    let (file, topic) = (authority.file(), unique("certificates"));
    let connect = |own: Option<&Pair>, version: &str, tls: &str| {
        let mut arguments = tls_arguments(&file, own);
        arguments.extend(["--tls-version", tls, "-t", &topic, "-m", "x", "-q", "1"]);
        publish_to(&broker, port, version, &arguments).code
    };
    for tls in ["tlsv1.2", "tlsv1.3"] {
        for version in ["mqttv311", "mqttv5"] {
            assert_eq!(connect(Some(&good), version, tls), Some(0), "{tls}");
        }
        for (own, kind) in [
            (None, "tls_no_certificate"),
            (Some(&expired), "tls_certificate_expired"),
            (Some(&foreign), "tls_unknown_issuer"),
        ] {
            let before = errors(&broker, kind);
            assert_ne!(connect(own, "mqttv5", tls), Some(0), "{tls} {kind}");
            until("the refusal is counted", || {
                errors(&broker, kind) == before + 1
            });
        }
        assert_eq!(connect(Some(&good), "mqttv5", tls), Some(0), "{tls}");
    }
    let mut arguments = tls_arguments(&file, Some(&good));
    let id = unique("named");
    arguments.extend(["-i", &id, "-u", "another", "-t", &topic]);
    let _client = Subscriber::start_at(&broker, port, "mqttv5", &arguments);
    let path = format!("/api/v4/clients/{id}");
    let answer = get(
        broker.http_port().unwrap(),
        &path,
        Some(("admin", "public")),
    );
    let row = &answer.body["data"][0];
    assert_eq!(
        (&row["username"], &row["listener"]),
        (&"sensor-1".into(), &"ssl:default".into())
    );
}

#[test]
fn a_certificate_is_asked_for_and_may_be_missing() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let keys = format!(r#"cacertfile = "{}", verify_peer = true"#, authority.file());
    let broker = with_every_door(&authority.sign("server", 2100), &keys);
    if !broker.is_nanomq() {
        return;
    }
    let file = authority.file();
    let (good, foreign) = (authority.sign("good", 2100), stranger.sign("foreign", 2100));
    for (own, welcome) in [(None, true), (Some(&good), true), (Some(&foreign), false)] {
        let mut arguments = tls_arguments(&file, own);
        arguments.extend(["-t", "x", "-m", "x", "-q", "1"]);
        let done = publish_to(&broker, broker.port("ssl", "default"), "mqttv5", &arguments);
        assert_eq!(done.code == Some(0), welcome, "{}", done.output);
    }
}

#[test]
fn whoever_speaks_something_else_is_closed_and_disturbs_nobody() {
    let authority = Authority::new();
    let broker = with_every_door(&authority.sign("server", 2100), "");
    if !broker.is_nanomq() {
        return;
    }
    let (file, topic) = (authority.file(), unique("others"));
    let ssl = broker.port("ssl", "default");
    let mut arguments = tls_arguments(&file, None);
    arguments.extend(["-t", &topic, "-q", "1"]);
    let mut witness = Subscriber::start_at(&broker, ssl, "mqttv5", &arguments);

    // TLS to the plain port, plain MQTT to the TLS port, and a client that trusts another authority.
    let message = ["-t", &topic, "-m", "lost", "-q", "1"];
    let plain = broker.mqtt_port();
    let tls = [&tls_arguments(&file, None)[..], &message].concat();
    assert_ne!(publish_to(&broker, plain, "mqttv5", &tls).code, Some(0));
    assert_ne!(publish_to(&broker, ssl, "mqttv5", &message).code, Some(0));
    let stranger = Authority::new();
    let other = stranger.file();
    let distrustful = [&tls_arguments(&other, None)[..], &message].concat();
    assert_ne!(
        publish_to(&broker, ssl, "mqttv5", &distrustful).code,
        Some(0)
    );
    for (kind, at_least) in [
        ("reserved_flags", 1),
        ("tls_not_tls", 1),
        ("tls_alert_received", 1),
    ] {
        until("the refusal is counted", || {
            errors(&broker, kind) >= at_least
        });
    }
    // Bytes that are nothing at all, at every door.
    for kind in ["tcp", "ssl", "ws", "wss"] {
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"\x16\x03\x01\x00\x05hello",
            b"\0\0\0\0\0\0\0\0",
        ] {
            let mut socket =
                TcpStream::connect((broker.host(), broker.port(kind, "default"))).unwrap();
            socket.set_read_timeout(Some(DEADLINE)).unwrap();
            socket.write_all(bytes).unwrap();
            let _ = socket.shutdown(std::net::Shutdown::Write);
            let mut answer = Vec::new();
            match socket.read_to_end(&mut answer) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{kind}"),
            }
        }
    }
    publish(
        &broker,
        "mqttv5",
        &["-t", &topic, "-m", "still here", "-q", "1"],
    );
    assert_eq!(witness.next().payload, "still here");
}

#[test]
fn paho_speaks_at_every_door() {
    let authority = Authority::new();
    let broker = with_every_door(&authority.sign("server", 2100), "");
    if !broker.is_nanomq() {
        return;
    }
    let file = authority.file();
    for (kind, transport, authority) in [
        ("tcp", "tcp", "-"),
        ("ssl", "tcp", &*file),
        ("ws", "websockets", "-"),
        ("wss", "websockets", &*file),
    ] {
        let port = broker.port(kind, "default").to_string();
        let done = python_program("doors.py", &[broker.host(), &port, transport, authority]);
        assert_eq!(done.code, Some(0), "{kind}: {}", done.output);
    }
}

/// The library that browsers use, which `scripts/test` installs where Node is there.
#[test]
fn mqtt_js_speaks_websocket() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules = root.join("target/test-node/node_modules");
    let found = |program: &str| {
        env::var_os("PATH")
            .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).exists()))
    };
    if !found("node") || !modules.join("mqtt").exists() {
        eprintln!("skipped: node or target/test-node/node_modules/mqtt is not there");
        return;
    }
    let authority = Authority::new();
    let broker = with_every_door(&authority.sign("server", 2100), "");
    if !broker.is_nanomq() {
        return;
    }
    for (kind, scheme) in [("ws", "ws"), ("wss", "wss"), ("ssl", "mqtts")] {
        let port = broker.port(kind, "default");
        let url = format!("{scheme}://localhost:{port}/mqtt");
        let mut command = Command::new("node");
        command
            .arg(root.join("tests/clients/browser.js"))
            .arg(url)
            .env("NODE_PATH", &modules)
            .env("NODE_EXTRA_CA_CERTS", authority.file());
        let done = Program::start(&mut command, "install nodejs").finish();
        assert_eq!(done.code, Some(0), "{kind}: {}", done.output);
    }
}

#[test]
fn a_reload_shows_a_new_certificate_and_keeps_connections() {
    let authority = Authority::new();
    let server = authority.sign("server", 2100);
    let broker = with_every_door(&server, "");
    if !broker.is_nanomq() {
        return;
    }
    let (ssl, topic) = (broker.port("ssl", "default"), unique("renewed"));
    let before = authority.file();
    let mut arguments = tls_arguments(&before, None);
    arguments.extend(["-t", &topic, "-q", "1"]);
    let mut old = Subscriber::start_at(&broker, ssl, "mqttv5", &arguments);

    let next = Authority::new();
    let renewed = next.sign("server", 2101);
    fs::copy(&renewed.certificate, &server.certificate).unwrap();
    fs::copy(&renewed.key, &server.key).unwrap();
    let reload = || {
        let done = Command::new("curl")
            .args([
                "--silent",
                "--max-time",
                "20",
                "-u",
                "admin:public",
                "-X",
                "POST",
            ])
            .arg(format!(
                "http://127.0.0.1:{}/api/v4/reload",
                broker.http_port().unwrap()
            ))
            .output()
            .unwrap();
        String::from_utf8(done.stdout).unwrap()
    };
    assert!(reload().contains("\"code\":0"));
    let message = |authority: &str| {
        let mut arguments = tls_arguments(authority, None);
        arguments.extend(["-t", &topic, "-m", "x", "-q", "1"]);
        publish_to(&broker, ssl, "mqttv5", &arguments).code
    };
    let file = next.file();
    assert_ne!(message(&before), Some(0));
    assert_eq!(message(&file), Some(0));
    assert_eq!(old.next().payload, "x");
    // A certificate that cannot be read changes nothing, and is told.
    fs::write(&server.certificate, "nothing").unwrap();
    let answer = reload();
    assert!(answer.contains("it has no certificate"), "{answer}");
    assert_eq!(message(&file), Some(0));

    let text = prometheus(&broker);
    let expected =
        "nanomq_certificate_not_after_seconds{certificate=\"listeners.ssl.default\"} 4133980800";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn many_who_do_not_finish_their_handshake_hold_nobody_up() {
    let authority = Authority::new();
    let broker = with_every_door(&authority.sign("server", 2100), "connect_timeout = 2s");
    if !broker.is_nanomq() {
        return;
    }
    let ssl = broker.port("ssl", "default");
    let ws = broker.port("ws", "default");
    let mut open = Vec::new();
    for number in 0..200 {
        let port = if number % 2 == 0 { ssl } else { ws };
        let mut socket = TcpStream::connect((broker.host(), port)).unwrap();
        let part: &[u8] = if number % 2 == 0 {
            b"\x16\x03\x01"
        } else {
            b"GET /mq"
        };
        socket.write_all(part).unwrap();
        open.push(socket);
    }
    let file = authority.file();
    let mut arguments = tls_arguments(&file, None);
    arguments.extend(["-t", "x", "-m", "x", "-q", "1"]);
    assert_eq!(publish_to(&broker, ssl, "mqttv5", &arguments).code, Some(0));
    // Those of the listener with the short time are closed and counted; the others are not yet.
    for socket in open.iter_mut().step_by(2) {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        match socket.read(&mut [0; 100]) {
            Ok(read) => assert_eq!(read, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
    let counted = "nanomq_connections_connect_timeout_total 100\n";
    until("they are counted", || prometheus(&broker).contains(counted));
}

fn prometheus(broker: &Broker) -> String {
    let done = Command::new("curl")
        .args(["--silent", "--max-time", "20", "-u", "admin:public"])
        .arg(format!(
            "http://127.0.0.1:{}/api/v4/prometheus",
            broker.http_port().unwrap()
        ))
        .output()
        .unwrap();
    String::from_utf8(done.stdout).unwrap()
}
