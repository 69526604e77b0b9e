//! Numbered messages: who sends them, who receives them, and whether they are all there, once, and in order.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    ops::Range,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nanomq::mqtt::{Ack, Packet, PacketId, ProtocolVersion, QoS, ReasonCode};

use crate::kit::{Client, DEADLINE, Got, Hello, bytes_of, publish_bytes};

/// Payload of the message behind the last number.
const END: &str = "end";
/// Unacknowledged messages at once: Mosquitto closes the connection of a version 3.1.1 client with more of QoS 2.
const WINDOW: usize = 20;
/// Until all messages of a test must have come.
const PATIENCE: Duration = Duration::from_secs(50);

/// Publishes the numbers of a range to a topic; when it returns, the broker has acknowledged all.
pub fn publish(client: &mut Client, topic: &str, qos: QoS, numbers: Range<u32>) {
    let payloads: Vec<String> = numbers.map(|number| number.to_string()).collect();
    let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
    publish_all(client, topic, qos, &payloads);
}

/// Publishes the message that says that there are no more.
pub fn publish_end(client: &mut Client, topic: &str, qos: QoS) {
    publish_all(client, topic, qos, &[END]);
}

fn publish_all(client: &mut Client, topic: &str, qos: QoS, payloads: &[&str]) {
    for window in payloads.chunks(WINDOW) {
        let mut bytes = Vec::new();
        for (id, payload) in (1..).zip(window) {
            bytes.extend(publish_bytes(
                ProtocolVersion::V311,
                topic,
                payload.as_bytes(),
                qos,
                id,
            ));
        }
        client.send_bytes(&bytes);
        let mut open = if qos == QoS::AtMostOnce {
            0
        } else {
            window.len()
        };
        while open > 0 {
            match client.next() {
                Got::PubAck(_, ReasonCode::Success) | Got::PubComp(_, ReasonCode::Success) => {
                    open -= 1;
                }
                Got::PubRec(id, ReasonCode::Success) => client.ack(Packet::PubRel, id),
                other => panic!("the publisher got {other:?}"),
            }
        }
    }
}

/// A version 3.1.1 client, for [`publish`].
pub fn publisher(address: SocketAddr, client_id: &str) -> Client {
    let hello = Hello {
        version: ProtocolVersion::V311,
        ..Hello::v5(client_id)
    };
    Client::connect(address, hello).0
}

/// A client with a kept session that receives numbers until it gets the end, through whatever happens to its
/// connection.
pub struct Receiver {
    name: String,
    address: SocketAddr,
    /// None while it is away.
    thread: Option<JoinHandle<Vec<String>>>,
}

impl Receiver {
    /// Subscribes, and then receives.
    pub fn start(address: SocketAddr, client_id: &str, topic: &str, qos: QoS) -> Self {
        let (mut client, _) = Client::connect(address, Hello::kept(client_id));
        client.subscribe(topic, qos);
        let name = client_id.to_owned();
        let client_id = name.clone();
        let thread = thread::spawn(move || receive(client, address, &client_id));
        Self {
            name,
            address,
            thread: Some(thread),
        }
    }

    /// Subscribes, leaves, and receives everything only when that is asked for.
    pub fn away(address: SocketAddr, client_id: &str, topic: &str, qos: QoS) -> Self {
        let (mut client, _) = Client::connect(address, Hello::kept(client_id));
        client.subscribe(topic, qos);
        client.goodbye();
        Self {
            name: client_id.to_owned(),
            address,
            thread: None,
        }
    }

    /// The payloads that came before the end, QoS 2 without those that were sent again.
    pub fn payloads(self) -> Vec<String> {
        match self.thread {
            Some(thread) => thread.join().unwrap(),
            None => {
                let deadline = Instant::now() + PATIENCE;
                let client = come_again(self.address, &self.name, deadline);
                receive(client, self.address, &self.name)
            }
        }
    }

    /// Checks that the first `count` numbers came, in order and once each.
    pub fn expect_once(self, count: u32) {
        let name = self.name.clone();
        let got = self.payloads();
        let expected: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        let wrong = got
            .iter()
            .zip(&expected)
            .position(|(got, expected)| got != expected);
        if let Some(at) = wrong {
            let came: HashSet<&String> = got.iter().collect();
            let missing = expected
                .iter()
                .filter(|number| !came.contains(number))
                .count();
            let again = got.len().saturating_sub(came.len());
            panic!(
                "{name}: message {at} is {:?}; {missing} are missing, {again} came again",
                &got[at..got.len().min(at + 5)]
            );
        }
        assert_eq!(got.len(), count as usize, "{name}");
    }

    /// Checks that the first `count` numbers came, each for the first time in order. Returns how many came again.
    pub fn expect_at_least_once(self, count: u32) -> usize {
        let got = self.payloads();
        let mut seen = HashSet::new();
        let first: Vec<u32> = got
            .iter()
            .map(|payload| payload.parse().unwrap())
            .filter(|number| seen.insert(*number))
            .collect();
        let wrong = (0..).zip(&first).find(|(expected, got)| expected != *got);
        assert_eq!(wrong, None, "expected, got");
        assert_eq!(first.len(), count as usize);
        got.len() - first.len()
    }
}

fn receive(mut client: Client, address: SocketAddr, client_id: &str) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut got = Vec::new();
    // QoS 2 messages that are not released yet, by their identifiers.
    let mut held: HashMap<u16, String> = HashMap::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(
            !left.is_zero(),
            "{client_id}: no end after {} messages",
            got.len()
        );
        match client.next() {
            Got::Publish(message) => {
                let payload = String::from_utf8(message.payload).unwrap();
                let is_new = match (message.qos, message.id) {
                    (QoS::ExactlyOnce, Some(id)) => {
                        let before = held.insert(id, payload.clone());
                        let same = before.as_ref().is_none_or(|before| *before == payload);
                        assert!(same, "{client_id}: {id} is {before:?}, and now {payload}");
                        answer(&mut client, Packet::PubRec, id);
                        before.is_none()
                    }
                    (QoS::AtLeastOnce, Some(id)) => {
                        answer(&mut client, Packet::PubAck, id);
                        true
                    }
                    _ => true,
                };
                if payload == END {
                    return got;
                }
                if is_new {
                    got.push(payload);
                }
            }
            Got::PubRel(id, _) => {
                held.remove(&id);
                answer(&mut client, Packet::PubComp, id);
            }
            Got::End | Got::Disconnect(_) => client = come_again(address, client_id, deadline),
            other => panic!("{client_id} got {other:?}"),
        }
    }
}

/// Acknowledges; the connection may have ended meanwhile.
fn answer(client: &mut Client, kind: fn(Ack<'static>) -> Packet<'static>, id: u16) {
    let ack = Ack::new(PacketId::new(id).unwrap(), ReasonCode::Success);
    let bytes = bytes_of(&kind(ack), ProtocolVersion::V311);
    let _ = std::io::Write::write_all(&mut client.socket, &bytes);
}

fn come_again(address: SocketAddr, client_id: &str, deadline: Instant) -> Client {
    loop {
        assert!(Instant::now() < deadline, "{client_id} cannot come again");
        if std::net::TcpStream::connect(address).is_ok() {
            let mut client = Client::open(address);
            client.hello(Hello::kept(client_id));
            if let Got::ConnAck(_, ReasonCode::Success) = client.next() {
                return client;
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until something is as wanted that changes by itself; `what` says what it is.
pub fn until(what: impl Fn() -> String, mut wanted: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !wanted() {
        assert!(Instant::now() < deadline, "never: {}", what());
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_receiver_gets_everything_from_mosquitto_over_a_line_that_breaks() {
    let mosquitto = crate::mosquitto::Mosquitto::start("");
    let line = crate::proxy::Proxy::to(mosquitto.address);
    let mut publisher = publisher(mosquitto.address, "p");
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let topic = format!("t/{}", qos as u8);
        let receiver = Receiver::start(line.address, &format!("r{}", qos as u8), &topic, qos);
        line.cut_every(600);
        publish(&mut publisher, &topic, qos, 0..1000);
        line.cut_no_more();
        publish_end(&mut publisher, &topic, qos);
        match qos {
            QoS::ExactlyOnce => receiver.expect_once(1000),
            _ => _ = receiver.expect_at_least_once(1000),
        }
    }
    assert!(line.accepted() > 4, "the line was never cut");
}
