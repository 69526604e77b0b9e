//! Many who come to a door with a layer and say a byte at a time.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nanomq::{
    config::{BindAddr, Config},
    mqtt::{Ack, Packet, PacketId, ProtocolVersion, QoS, ReasonCode},
    stats::Metric,
};

use crate::{
    doors::REQUEST,
    kit::{DEADLINE, Got, TestBroker, bytes_of, publish_bytes, subscribe_bytes},
    moves::Client,
    trusting::trusting,
};

const SLOW: usize = 200;
const V5: ProtocolVersion = ProtocolVersion::V5;
const Q1: QoS = QoS::AtLeastOnce;
/// How long a client has; what the slow ones say takes longer at a byte every `STEP`.
const LIMIT: Duration = Duration::from_millis(1000);
const STEP: Duration = Duration::from_millis(10);

/// Says `bytes` on all sockets, one after the other, until all are closed.
fn crawl(mut sockets: Vec<TcpStream>, bytes: &[u8]) {
    let deadline = Instant::now() + DEADLINE;
    let mut bytes = bytes.iter();
    while !sockets.is_empty() {
        assert!(
            Instant::now() < deadline,
            "{} are still open",
            sockets.len()
        );
        let next = bytes.next();
        sockets.retain_mut(|socket| {
            let said = next.map_or(Ok(()), |byte| socket.write_all(&[*byte]));
            let closed = match socket.read(&mut [0; 256]) {
                Ok(read) => read == 0,
                Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
            };
            said.is_ok() && !closed
        });
        // How slow they are; nothing waits for it.
        thread::sleep(STEP);
    }
}

/// `certificate` is trusted by those who are fast, `begin` is what the slow ones say.
fn others_are_served(
    certificate: Option<&str>,
    websocket: bool,
    begin: Vec<u8>,
    change: impl FnOnce(&mut Config),
) {
    assert!(STEP * u32::try_from(begin.len()).unwrap() > LIMIT);
    let broker = TestBroker::with(|config| {
        config.listeners.tcp.clear();
        change(config);
    });
    let sockets: Vec<TcpStream> = (0..SLOW)
        .map(|_| {
            let socket = TcpStream::connect(broker.address).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket.set_nodelay(true).unwrap();
            socket
        })
        .collect();
    let all_closed = Arc::new(AtomicBool::new(false));
    let told = all_closed.clone();
    let crawling = thread::spawn(move || {
        crawl(sockets, &begin);
        told.store(true, Ordering::SeqCst);
    });
    let mut rounds = 0_usize;
    while !all_closed.load(Ordering::SeqCst) && !crawling.is_finished() {
        let mut client = Client::connect(broker.address, certificate, websocket, "fast");
        client.send(&subscribe_bytes(V5, 1, &[("t", Q1)]));
        assert_eq!(client.next(), Got::SubAck(1, vec![1]));
        client.send(&publish_bytes(V5, "t", b"x", Q1, 1));
        let (mut acknowledged, mut came) = (false, false);
        while !(acknowledged && came) {
            match client.next() {
                Got::PubAck(1, ReasonCode::Success) => acknowledged = true,
                Got::Publish(message) => {
                    came = true;
                    let id = PacketId::new(message.id.unwrap()).unwrap();
                    let ack = Ack::new(id, ReasonCode::Success);
                    client.send(&bytes_of(&Packet::PubAck(ack), V5));
                }
                other => panic!("{other:?}"),
            }
        }
        rounds += 1;
    }
    crawling.join().unwrap();
    assert!(rounds > 1, "nobody else came");
    broker.until("they are counted and gone", |stats| {
        stats.totals.get(Metric::ConnectTimeouts) == SLOW as u64 && stats.sockets == 0
    });
}

#[test]
fn a_byte_at_a_time_through_the_handshake_disturbs_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certfile, keyfile) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    fs::write(&certfile, made.cert.pem()).unwrap();
    fs::write(&keyfile, made.signing_key.serialize_pem()).unwrap();
    let mut hello = Vec::new();
    trusting(&made.cert.pem()).write_tls(&mut hello).unwrap();
    others_are_served(Some(&made.cert.pem()), false, hello, |config| {
        let ssl = config
            .listeners
            .ssl
            .entry("default".to_owned())
            .or_default();
        ssl.common.enable = true;
        ssl.common.connect_timeout = LIMIT;
        ssl.common.bind = BindAddr::new("127.0.0.1", 0).unwrap();
        ssl.tls.certfile = certfile;
        ssl.tls.keyfile = keyfile;
    });
}

#[test]
fn a_byte_at_a_time_through_the_upgrade_disturbs_nobody() {
    others_are_served(None, true, REQUEST.as_bytes().to_vec(), |config| {
        let ws = config.listeners.ws.get_mut("default").unwrap();
        ws.common.enable = true;
        ws.common.connect_timeout = LIMIT;
        ws.common.bind = BindAddr::new("127.0.0.1", 0).unwrap();
    });
}
