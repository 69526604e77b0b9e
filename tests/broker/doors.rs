//! WebSocket and the PROXY protocol byte by byte, and peers that do not keep to their rules.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use nanomq::{
    config::{BindAddr, Config, WsListener},
    messages::ClientRow,
    mqtt::{Connect, Packet, Properties, ProtocolVersion},
    stats::Metric,
};

use crate::kit::{Client, DEADLINE, Hello, TestBroker, bytes_of, publish_bytes};

pub const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Protocol: mqtt\r\n\r\n";

/// Only a WebSocket listener.
fn websocket(change: impl FnOnce(&mut WsListener)) -> TestBroker {
    TestBroker::with(|config| {
        config.listeners.tcp.clear();
        let listener = config.listeners.ws.get_mut("default").unwrap();
        listener.common.enable = true;
        listener.common.bind = BindAddr::new("127.0.0.1", 0).unwrap();
        change(listener);
    })
}

fn open(broker: &TestBroker) -> TcpStream {
    let socket = TcpStream::connect(broker.address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// A masked frame.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut bytes = vec![first];
    match u8::try_from(payload.len()) {
        Ok(len @ 0..=125) => bytes.push(0x80 | len),
        _ => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

fn connect_packet(client_id: &str) -> Vec<u8> {
    let connect = Connect {
        version: ProtocolVersion::V311,
        clean_start: true,
        keep_alive: 0,
        client_id,
        username: None,
        password: None,
        will: None,
        properties: Properties::EMPTY,
    };
    bytes_of(&Packet::Connect(connect), ProtocolVersion::V311).to_vec()
}

/// Reads the answer to the upgrade.
pub fn upgraded(socket: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Everything that comes until the broker closes.
fn rest(socket: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset takes away nothing that came before it.
    let _ = socket.read_to_end(&mut bytes);
    bytes
}

const CONNACK: &[u8] = &[0x82, 4, 0x20, 2, 0, 0];

/// [MQTT-6.0.0-2] A frame may hold several packets or a part of one.
#[test]
fn packets_and_frames_need_not_coincide() {
    let broker = websocket(|_| {});
    let connect = connect_packet("a");
    let ping = [0xC0, 0];
    // A byte a frame; all in one frame; a frame within the segment of the request; fragments with a ping between.
    let byte_by_byte: Vec<u8> = connect
        .iter()
        .flat_map(|byte| frame(0x82, &[*byte]))
        .collect();
    let in_one = frame(0x82, &[&connect[..], &ping].concat());
    let fragments = [
        frame(0x02, &connect[..5]),
        frame(0x89, b"are you there"),
        frame(0x00, b""),
        frame(0x80, &connect[5..]),
    ]
    .concat();
    let pong = [&[0x8A, 13][..], b"are you there"].concat();
    let pingresp = [0x82, 2, 0xD0, 0];
    for (bytes, answers) in [
        (byte_by_byte, vec![CONNACK]),
        // The broker writes what it has at once into one frame or two.
        (in_one, vec![CONNACK, &pingresp]),
        (fragments, vec![&pong, CONNACK]),
    ] {
        for step in [1, 3, 10_000] {
            let mut socket = open(&broker);
            let all = [REQUEST.as_bytes(), &bytes].concat();
            for part in all.chunks(step) {
                socket.write_all(part).unwrap();
            }
            assert!(upgraded(&mut socket).starts_with("HTTP/1.1 101 "));
            let expected = answers.concat();
            let mut got = vec![0; expected.len()];
            socket.read_exact(&mut got).unwrap();
            assert_eq!(got, expected);
            // A close frame is answered with its code, then the connection ends.
            socket.write_all(&frame(0x88, &[0x03, 0xE9])).unwrap();
            assert_eq!(rest(&mut socket), [0x88, 2, 0x03, 0xE9]);
        }
    }
    broker.until("all have left", |stats| stats.sockets == 0);
}

/// [MQTT-6.0.0-1] A text frame, as anything else that is wrong, closes the connection.
#[test]
fn broken_frames_end_the_connection_with_their_code_and_are_counted() {
    let broker = websocket(|listener| listener.websocket.max_frame_size = 1024);
    let unmasked = [&[0x82, 2][..], &[0xC0, 0]].concat();
    let cases: [(Vec<u8>, u16, &str); 8] = [
        (unmasked, 1002, "websocket_unmasked"),
        (frame(0x81, b"text"), 1003, "websocket_text"),
        (frame(0xC2, b"x"), 1002, "websocket_reserved_bits"),
        (frame(0x83, b"x"), 1002, "websocket_opcode"),
        (frame(0x89, &[0; 126]), 1002, "websocket_control_too_long"),
        (frame(0x09, b"x"), 1002, "websocket_control_fragmented"),
        (frame(0x80, b"x"), 1002, "websocket_fragmentation"),
        (frame(0x82, &[0; 1025]), 1009, "websocket_frame_too_large"),
    ];
    for connected in [false, true] {
        for (bytes, code, kind) in &cases {
            let mut socket = open(&broker);
            socket.write_all(REQUEST.as_bytes()).unwrap();
            upgraded(&mut socket);
            if connected {
                socket
                    .write_all(&frame(0x82, &connect_packet("b")))
                    .unwrap();
                socket.read_exact(&mut [0; CONNACK.len()]).unwrap();
            }
            socket.write_all(bytes).unwrap();
            let mut close = vec![0x88, 2];
            close.extend(code.to_be_bytes());
            assert_eq!(rest(&mut socket), close, "{kind}");
            let times = if connected { 2 } else { 1 };
            assert_eq!(
                broker.stats().totals.errors.get(kind),
                Some(&times),
                "{kind}"
            );
        }
    }
    broker.until("all have left", |stats| stats.sockets == 0);
}

#[test]
fn what_is_no_upgrade_is_answered_and_closed() {
    let broker = websocket(|_| {});
    for (request, status, kind) in [
        (
            REQUEST.replace("Sec-WebSocket-Protocol: mqtt\r\n", ""),
            "400",
            "websocket_subprotocol",
        ),
        (REQUEST.replace("/mqtt", "/"), "404", "websocket_upgrade"),
        (
            REQUEST.replace("Upgrade: websocket\r\n", ""),
            "426",
            "websocket_upgrade",
        ),
        (
            "\u{10}\u{c}\0\u{4}MQTT".to_owned(),
            "400",
            "websocket_request",
        ),
        (
            format!("GET /{} HTTP/1.1\r\n", "x".repeat(9000)),
            "431",
            "websocket_request",
        ),
    ] {
        let before = broker.stats().totals.errors.get(kind).copied().unwrap_or(0);
        let mut socket = open(&broker);
        socket.write_all(request.as_bytes()).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        let answer = String::from_utf8(rest(&mut socket)).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        let after = broker.stats().totals.errors.get(kind).copied();
        assert_eq!(after, Some(before + 1), "{kind}");
    }
    broker.until("all have left", |stats| stats.sockets == 0);
}

#[test]
fn a_slow_upgrade_is_closed_by_the_time_of_connect() {
    let broker = websocket(|listener| {
        listener.common.connect_timeout = Duration::from_millis(50);
    });
    for part in ["", "GET /m", REQUEST] {
        let mut socket = open(&broker);
        socket.write_all(part.as_bytes()).unwrap();
        if part == REQUEST {
            upgraded(&mut socket);
            let mut close = [0; 4];
            socket.read_exact(&mut close).unwrap();
            assert_eq!(close, [0x88, 2, 0x03, 0xE8]);
            // What is on its way behind it means nothing; the answer ends the connection.
            let packet = frame(0x82, &connect_packet("late"));
            let answer = [packet, frame(0x88, &close[2..])].concat();
            socket.write_all(&answer).unwrap();
        }
        assert_eq!(rest(&mut socket), b"");
    }
    broker.until("they are counted", |stats| {
        stats.totals.get(Metric::ConnectTimeouts) == 3 && stats.sockets == 0
    });
}

fn behind_a_balancer(config: &mut Config) {
    for listener in config.listeners.tcp.values_mut() {
        listener.proxy_protocol = true;
    }
}

#[test]
fn a_proxy_header_tells_the_address() {
    let broker = TestBroker::with(behind_a_balancer);
    let second = [
        &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..],
        &[203, 0, 113, 7, 127, 0, 0, 1, 0x10, 0, 7, 91],
    ]
    .concat();
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec();
    let mut clients = Vec::new();
    for (name, header, step) in [
        (
            "v1",
            b"PROXY TCP4 192.0.2.1 127.0.0.1 4096 1883\r\n".to_vec(),
            1,
        ),
        (
            "v1 6",
            b"PROXY TCP6 2001:db8::1 ::1 4097 1883\r\n".to_vec(),
            1000,
        ),
        ("v2", second, 1),
        ("local", local, 1000),
    ] {
        let mut client = Client::open(broker.address);
        header.chunks(step).for_each(|part| client.send_bytes(part));
        client.hello(Hello::v5(name));
        client.next();
        clients.push(client);
    }
    let peers: Vec<String> = broker
        .clients()
        .iter()
        .map(|row: &ClientRow| row.info.peer.to_string())
        .collect();
    let mut expected = vec!["192.0.2.1:4096", "[2001:db8::1]:4097", "203.0.113.7:4096"];
    expected.retain(|address| peers.iter().any(|peer| peer == address));
    assert_eq!(expected.len(), 3, "{peers:?}");
    assert!(
        peers.iter().any(|peer| peer.starts_with("127.0.0.1:")),
        "{peers:?}"
    );
}

#[test]
fn a_connection_without_a_proxy_header_is_closed() {
    let broker = TestBroker::with(behind_a_balancer);
    let connect = connect_packet("c");
    let long = b"PROXY ".repeat(30);
    let cases: [&[u8]; 4] = [
        &connect,
        b"PROXY TCP4 x\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c",
        &long,
    ];
    for bytes in cases {
        let mut socket = open(&broker);
        socket.write_all(bytes).unwrap();
        assert_eq!(rest(&mut socket), b"");
    }
    broker.until("they are counted", |stats| {
        stats.totals.errors.get("proxy_header") == Some(&4) && stats.sockets == 0
    });
}

#[test]
fn a_client_that_never_reads_its_pongs_is_bounded() {
    let broker = websocket(|_| {});
    let mut socket = open(&broker);
    socket.write_all(REQUEST.as_bytes()).unwrap();
    upgraded(&mut socket);
    socket
        .write_all(&frame(0x82, &connect_packet("p")))
        .unwrap();
    socket.read_exact(&mut [0; CONNACK.len()]).unwrap();
    // Pings until the broker reads no more, which it must not do for ever.
    let pings = frame(0x89, &[7; 125]).repeat(500);
    socket
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut sent = 0_usize;
    while socket.write_all(&pings).is_ok() {
        sent += pings.len();
        assert!(sent < 256 << 20, "the broker takes any number of pings");
    }
    let mut other = open(&broker);
    other.write_all(REQUEST.as_bytes()).unwrap();
    upgraded(&mut other);
    other.write_all(&frame(0x82, &connect_packet("q"))).unwrap();
    let publish = publish_bytes(
        ProtocolVersion::V311,
        "x",
        b"y",
        nanomq::mqtt::QoS::AtMostOnce,
        0,
    );
    other.write_all(&frame(0x82, &publish)).unwrap();
    let mut answer = [0; CONNACK.len()];
    other.read_exact(&mut answer).unwrap();
    assert_eq!(answer, CONNACK);
}
