//! Connections that move between workers while messages flow: nothing is lost, nothing comes twice.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use actix::{Actor, Context, Handler, Recipient, System};
use bytes::{Buf, BytesMut};
use nanomq::{
    actors::{CountBusy, MovedConnection, Relieve},
    config::{BindAddr, Config},
    mqtt::{
        Ack, Connect, Packet, PacketId, Properties, ProtocolVersion, QoS, ReasonCode, frame_header,
    },
};
use rustls::StreamOwned;
use tokio::sync::oneshot;

use crate::{
    doors::{REQUEST, frame, upgraded},
    kit::{DEADLINE, Got, TestBroker, bytes_of, got, publish_bytes, subscribe_bytes},
    trusting::trusting,
};

const V5: ProtocolVersion = ProtocolVersion::V5;
const Q1: QoS = QoS::AtLeastOnce;
/// Messages of a run.
const MESSAGES: usize = 4000;
/// Messages under way at a time.
const WINDOW: usize = 20;
/// Messages after which connections move again.
const EVERY: usize = 100;

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A client behind any door.
pub struct Client {
    stream: Box<dyn Stream>,
    websocket: bool,
    raw: BytesMut,
    input: BytesMut,
}

impl Client {
    /// Connected; `tls` holds the certificate that is trusted.
    pub fn connect(at: SocketAddr, tls: Option<&str>, websocket: bool, client_id: &str) -> Self {
        let socket = TcpStream::connect(at).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut stream: Box<dyn Stream> = match tls {
            None => Box::new(socket),
            Some(pem) => Box::new(StreamOwned::new(trusting(pem), socket)),
        };
        if websocket {
            stream.write_all(REQUEST.as_bytes()).unwrap();
            assert!(upgraded(&mut stream).starts_with("HTTP/1.1 101 "));
        }
        let mut client = Self {
            stream,
            websocket,
            raw: BytesMut::new(),
            input: BytesMut::new(),
        };
        let connect = Connect {
            version: V5,
            clean_start: true,
            keep_alive: 0,
            client_id,
            username: None,
            password: None,
            will: None,
            properties: Properties::EMPTY,
        };
        client.send(&bytes_of(&Packet::Connect(connect), V5));
        assert_eq!(client.next(), Got::ConnAck(false, ReasonCode::Success));
        client
    }

    pub fn send(&mut self, bytes: &[u8]) {
        let framed = match self.websocket {
            true => frame(0x82, bytes),
            false => bytes.to_vec(),
        };
        self.stream.write_all(&framed).unwrap();
        self.stream.flush().unwrap();
    }

    pub fn next(&mut self) -> Got {
        loop {
            if let Some(header) = frame_header(&self.input, 1 << 28).unwrap() {
                let packet = self.input.split_to(header.packet_len());
                return got(V5, header.first_byte, &packet[header.header_len..]);
            }
            let mut chunk = [0; 16_384];
            let read = self.stream.read(&mut chunk).unwrap();
            assert!(read > 0, "the connection has ended");
            if !self.websocket {
                self.input.extend_from_slice(&chunk[..read]);
                continue;
            }
            self.raw.extend_from_slice(&chunk[..read]);
            while let Some((head, len)) = binary_frame(&self.raw) {
                self.raw.advance(head);
                self.input.extend_from_slice(&self.raw.split_to(len));
            }
        }
    }
}

/// Lengths of the head and the payload of a whole frame of the broker.
fn binary_frame(raw: &[u8]) -> Option<(usize, usize)> {
    let (first, len) = (*raw.first()?, *raw.get(1)?);
    assert_eq!(first, 0x82);
    let (head, len) = match len {
        126 => (
            4,
            u16::from_be_bytes(raw.get(2..4)?.try_into().unwrap()).into(),
        ),
        127 => {
            let len = u64::from_be_bytes(raw.get(2..10)?.try_into().unwrap());
            (10, usize::try_from(len).unwrap())
        }
        len => (2, len.into()),
    };
    (raw.len() >= head + len).then_some((head, len))
}

/// Counts connections on their way to a worker.
struct Counting {
    to: Recipient<MovedConnection>,
    moved: Arc<AtomicUsize>,
}

impl Actor for Counting {
    type Context = Context<Self>;
}

impl Handler<MovedConnection> for Counting {
    type Result = ();

    fn handle(&mut self, moved: MovedConnection, _: &mut Self::Context) {
        self.moved.fetch_add(1, Ordering::SeqCst);
        self.to.do_send(moved);
    }
}

/// Moves the connections of one worker to the other and back whenever so many messages more have come, until all have.
/// Returns how many connections moved.
fn keep_moving(broker: &TestBroker, received: &AtomicUsize) -> usize {
    let moved = Arc::new(AtomicUsize::new(0));
    let (stop, stopped) = oneshot::channel::<()>();
    let (ready, started) = mpsc::channel();
    let targets: Vec<_> = broker
        .workers
        .iter()
        .map(|worker| worker.moved.clone())
        .collect();
    let count = moved.clone();
    let counting = thread::spawn(move || {
        System::new().block_on(async move {
            let started = targets.into_iter().map(|to| {
                let moved = count.clone();
                Counting { to, moved }.start().recipient()
            });
            ready.send(started.collect::<Vec<_>>()).unwrap();
            stopped.await.ok();
        });
    });
    let targets = started.recv_timeout(DEADLINE).unwrap();
    let deadline = Instant::now() + DEADLINE;
    let wait_for = |messages: usize| {
        while received.load(Ordering::SeqCst) < messages.min(MESSAGES) {
            assert!(Instant::now() < deadline, "messages stopped coming");
            thread::sleep(Duration::from_millis(1));
        }
    };
    let mut from = 0;
    for mark in (0..MESSAGES).step_by(EVERY) {
        let source = &broker.workers[from];
        wait_for(mark);
        source.count_busy.do_send(CountBusy);
        wait_for(mark + EVERY / 2);
        source.relieve.do_send(Relieve {
            to: targets[1 - from].clone(),
            part: 1.0,
        });
        from = 1 - from;
    }
    wait_for(MESSAGES);
    stop.send(()).ok();
    counting.join().unwrap();
    moved.load(Ordering::SeqCst)
}

fn payload(number: usize) -> Vec<u8> {
    // Larger than a record of TLS now and then.
    let mut payload = u32::try_from(number).unwrap().to_be_bytes().to_vec();
    payload.resize(
        if number.is_multiple_of(50) {
            20_000
        } else {
            16
        },
        7,
    );
    payload
}

/// Publishes everything at QoS 1 and looks at every PUBACK.
fn publish(mut client: Client) {
    let mut acknowledged = 0;
    for number in 0..MESSAGES {
        let id = u16::try_from(number + 1).unwrap();
        client.send(&publish_bytes(V5, "t", &payload(number), Q1, id));
        while number + 1 - acknowledged >= WINDOW
            || (number + 1 == MESSAGES && acknowledged < MESSAGES)
        {
            let next = u16::try_from(acknowledged + 1).unwrap();
            assert_eq!(client.next(), Got::PubAck(next, ReasonCode::Success));
            acknowledged += 1;
        }
    }
}

/// Receives everything, once and in order.
fn receive(mut client: Client, received: &AtomicUsize) {
    for number in 0..MESSAGES {
        let Got::Publish(message) = client.next() else {
            panic!("no message {number}");
        };
        assert!(
            !message.dup && message.payload == payload(number),
            "{number}"
        );
        let id = PacketId::new(message.id.unwrap()).unwrap();
        client.send(&bytes_of(
            &Packet::PubAck(Ack::new(id, ReasonCode::Success)),
            V5,
        ));
        received.fetch_add(1, Ordering::SeqCst);
    }
}

fn moves_under_load(certificate: Option<&str>, websocket: bool, change: impl FnOnce(&mut Config)) {
    let broker = TestBroker::with(|config| {
        config.listeners.tcp.clear();
        change(config);
    });
    let connect = |name: &str| Client::connect(broker.address, certificate, websocket, name);
    let (publisher, mut subscriber) = (connect("pub"), connect("sub"));
    subscriber.send(&subscribe_bytes(V5, 1, &[("t", Q1)]));
    assert_eq!(subscriber.next(), Got::SubAck(1, vec![1]));
    let received = Arc::new(AtomicUsize::new(0));
    let count = received.clone();
    let publishing = thread::spawn(move || publish(publisher));
    let receiving = thread::spawn(move || receive(subscriber, &count));
    let moved = keep_moving(&broker, &received);
    publishing.join().unwrap();
    receiving.join().unwrap();
    assert!(moved >= 10, "only {moved} connections moved");
}

#[test]
fn a_websocket_connection_moves_under_load() {
    moves_under_load(None, true, |config| {
        let listener = config.listeners.ws.get_mut("default").unwrap();
        listener.common.enable = true;
        listener.common.bind = BindAddr::new("127.0.0.1", 0).unwrap();
    });
}

#[test]
fn tls_connections_move_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certfile, keyfile) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    fs::write(&certfile, made.cert.pem()).unwrap();
    fs::write(&keyfile, made.signing_key.serialize_pem()).unwrap();
    for websocket in [false, true] {
        moves_under_load(Some(&made.cert.pem()), websocket, |config| {
            let ssl = config
                .listeners
                .ssl
                .entry("default".to_owned())
                .or_default();
            ssl.common.enable = !websocket;
            ssl.common.bind = BindAddr::new("127.0.0.1", 0).unwrap();
            ssl.tls.certfile = certfile.clone();
            ssl.tls.keyfile = keyfile.clone();
            let wss = config
                .listeners
                .wss
                .entry("default".to_owned())
                .or_default();
            wss.common.enable = websocket;
            wss.common.bind = BindAddr::new("127.0.0.1", 0).unwrap();
        });
    }
}
