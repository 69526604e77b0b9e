//! Stopping and restarting by the HTTP API.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use rustix::process::Signal;

use crate::setup::{Broker, Setup, api, assert_serves, free_port, request};

/// A broker with the HTTP API, and where that is.
fn start(setup: &Setup, bind: &str) -> (Broker, String) {
    let http = free_port();
    setup.configure(bind, &api(&http));
    (setup.start(), http)
}

/// A POST as admin; the status and the body of its answer.
fn post(http: &str, target: &str, body: &str) -> (u16, String) {
    request(http, "POST", target, body)
}

fn ok() -> (u16, String) {
    (200, r#"{"code":0}"#.to_owned())
}

/// Connects an MQTT 5 client.
fn client(address: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    let patience = Duration::from_secs(30);
    socket.set_read_timeout(Some(patience)).unwrap();
    let connect = b"\x10\x0e\0\x04MQTT\x05\x02\0\x3c\0\0\x01a";
    socket.write_all(connect).unwrap();
    let mut head = [0; 2];
    socket.read_exact(&mut head).unwrap();
    assert_eq!(head[0], 0x20);
    let mut rest = vec![0; head[1].into()];
    socket.read_exact(&mut rest).unwrap();
    assert_eq!(rest[1], 0, "CONNACK {rest:?}");
    socket
}

/// Reads what a client is told at the end, which is DISCONNECT with 0x8B, Server shutting down.
fn assert_farewell(mut client: TcpStream) {
    let mut told = Vec::new();
    client.read_to_end(&mut told).unwrap();
    assert_eq!((told[0], told[2]), (0xE0, 0x8B), "{told:?}");
}

#[test]
fn a_stop_tells_the_clients_and_ends_with_0() {
    for target in ["/ctrl/stop", "/ctrl/STOP", "/stop"] {
        let setup = Setup::new();
        let (broker, http) = start(&setup, "127.0.0.1:0");
        let client = client(&broker.address);
        assert_eq!(post(&http, target, ""), ok());
        assert_farewell(client);
        assert_eq!(broker.wait().code(), Some(0));
        assert!(!setup.pid_file().exists());
    }
}

#[test]
fn a_restart_is_in_place_with_the_configuration_read_anew() {
    let setup = Setup::new();
    let before = free_port();
    let (mut broker, http) = start(&setup, &before);
    let client = client(&before);
    // A connection that says nothing neither holds the restart up nor the port.
    let _idle = TcpStream::connect(&http).unwrap();
    let after = free_port();
    let change = format!(r#"{{"data":{{"url":"nmq-tcp://{after}"}}}}"#);
    let answer = r#"{"code":0,"applied":[],"needs_restart":["url"]}"#;
    assert_eq!(
        post(&http, "/configuration", &change),
        (200, answer.to_owned())
    );
    assert_eq!(post(&http, "/ctrl/restart", ""), ok());
    assert_farewell(client);
    broker.wait_for(&format!("listening mqtt tcp default {after}"));
    broker.wait_for(&format!("listening http {http}"));
    broker.wait_for("nanomq is ready");
    assert_serves(&after);
    assert!(TcpStream::connect(&before).is_err());
    assert_eq!(setup.pid_in_file(), broker.pid());

    // The same again, now with the ports as they are.
    assert_eq!(post(&http, "/restart", ""), ok());
    broker.wait_for(&format!("listening mqtt tcp default {after}"));
    broker.wait_for("nanomq is ready");
    assert_serves(&after);

    fs::write(setup.conf(), "mqtt.max_qos = 7\n").unwrap();
    let (status, body) = post(&http, "/ctrl/restart", "");
    assert_eq!(status, 400);
    assert!(body.starts_with(r#"{"code":108,"#), "{body}");
    assert!(body.contains("mqtt.max_qos"), "{body}");
    assert_serves(&after);
    assert_eq!(post(&http, "/ctrl/stop", ""), ok());
    assert_eq!(broker.wait().code(), Some(0));
    assert!(!setup.pid_file().exists());
}

#[test]
fn a_restart_that_finds_its_port_taken_goes_on_as_before() {
    let setup = Setup::new();
    let address = free_port();
    let (mut broker, http) = start(&setup, &address);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    setup.configure(&taken.local_addr().unwrap().to_string(), &api(&http));
    assert_eq!(post(&http, "/ctrl/restart", ""), ok());
    broker.wait_for("goes on with the configuration it had before");
    broker.wait_for("nanomq is ready");
    assert_serves(&address);
    // Signals are heard as before, too.
    broker.signal(Signal::HUP);
    broker.wait_for("configuration reloaded");
    broker.signal(Signal::TERM);
    assert_eq!(broker.wait().code(), Some(0));
}
