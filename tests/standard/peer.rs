//! A peer of the broker that knows no MQTT: it sends bytes and compares bytes.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
};

use crate::{
    kit::{DEADLINE, TestBroker},
    notation::bytes,
};

/// What the default configuration answers to a version 5 client: Receive Maximum, Maximum Packet Size, Topic Alias
/// Maximum, and that wildcards, subscription identifiers and shared subscriptions are there.
pub const LIMITS: &str = "21 0400 27 00100000 22 0040 28 01 29 01 2A 01";

pub struct Peer {
    socket: TcpStream,
    input: Vec<u8>,
    /// What stands where version 5 has properties: a Property Length of 0, or nothing.
    no_properties: &'static str,
}

impl Peer {
    /// A connection on which nothing was said yet.
    pub fn open(broker: &TestBroker) -> Self {
        let socket = TcpStream::connect(broker.address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self {
            socket,
            input: Vec::new(),
            no_properties: "[]",
        }
    }

    /// Sends `connect` and expects a CONNACK with Session Present 0 and the broker's limits.
    pub fn connect(broker: &TestBroker, connect: &str) -> Self {
        let mut peer = Self::open(broker);
        peer.send(connect);
        peer.expect(&format!("20 [00 00 [{LIMITS}]]"));
        peer
    }

    /// A version 5 client with Clean Start 1 that wants no Reason Strings (Request Problem Information 0), so that
    /// a DISCONNECT is its code and nothing else.
    pub fn v5(broker: &TestBroker, client_id: &str) -> Self {
        Self::connect(
            broker,
            &format!("10 ['MQTT' 05 02 0000 [17 00] '{client_id}']"),
        )
    }

    /// A version 5 client with further CONNECT properties.
    pub fn v5_with(broker: &TestBroker, client_id: &str, properties: &str) -> Self {
        Self::connect(
            broker,
            &format!("10 ['MQTT' 05 02 0000 [17 00 {properties}] '{client_id}']"),
        )
    }

    /// A version 5 client with Clean Start 0 and a Session Expiry Interval of an hour; `present` is the Session
    /// Present flag that it expects.
    pub fn kept(broker: &TestBroker, client_id: &str, present: bool) -> Self {
        let mut peer = Self::open(broker);
        peer.send(&format!(
            "10 ['MQTT' 05 00 0000 [17 00 11 00000E10] '{client_id}']"
        ));
        let present = u8::from(present);
        peer.expect(&format!("20 [{present:02X} 00 [{LIMITS}]]"));
        peer
    }

    /// A version 3.1.1 client with Clean Session 1.
    pub fn v311(broker: &TestBroker, client_id: &str) -> Self {
        let mut peer = Self::open(broker);
        peer.no_properties = "";
        peer.send(&format!("10 ['MQTT' 04 02 0000 '{client_id}']"));
        peer.expect("20 [00 00]");
        peer
    }

    pub fn send(&mut self, text: &str) {
        self.send_bytes(&bytes(text));
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Sends bytes to a broker that may have closed the connection already.
    pub fn send_if_open(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes);
    }

    /// Sends a request and expects the one packet that answers it.
    pub fn ask(&mut self, request: &str, answer: &str) {
        self.send(request);
        self.expect(answer);
    }

    /// The next packet must be this.
    pub fn expect(&mut self, text: &str) {
        let expected = bytes(text);
        match self.next() {
            Some(packet) => assert!(
                packet == expected,
                "expected {text}\n = {}\n   {}\n",
                hex(&expected),
                hex(&packet)
            ),
            None => panic!("expected {text}, but the connection is closed"),
        }
    }

    /// The next packets must be these, in any order.
    pub fn expect_all(&mut self, texts: &[&str]) {
        let mut expected: Vec<String> = texts.iter().map(|text| hex(&bytes(text))).collect();
        let mut packets: Vec<String> = texts
            .iter()
            .map(|_| hex(&self.next().expect("another packet")))
            .collect();
        expected.sort();
        packets.sort();
        assert_eq!(packets, expected, "{texts:?}");
    }

    /// A CONNACK that refuses with this code and a text why; then the end.
    pub fn expect_refusal(&mut self, code: u8) {
        let packet = self.next().expect("a CONNACK");
        assert_eq!(packet[0], 0x20, "{}", hex(&packet));
        assert_eq!(packet[2..4], [0, code], "{}", hex(&packet));
        // Reason String is the one property that a refusal has.
        assert!(packet[4] == 0 || packet[5] == 0x1f, "{}", hex(&packet));
        self.expect_end();
    }

    /// A DISCONNECT with this code, and nothing behind it.
    pub fn expect_disconnect(&mut self, code: u8) {
        self.expect(&format!("E0 [{code:02X}]"));
        self.expect_end();
    }

    /// The broker must close the connection without a further packet.
    pub fn expect_end(&mut self) {
        if let Some(packet) = self.next() {
            panic!("expected the end, but there is {}", hex(&packet));
        }
    }

    /// Nothing was sent: the answer to a PINGREQ comes next.
    pub fn expect_nothing(&mut self) {
        self.ask("C0 []", "D0 []");
    }

    /// No retained message was sent. They come some time after SUBACK, but in the order of the subscriptions: that of
    /// a further subscription comes next. No wildcard matches its topic.
    pub fn expect_no_retained(&mut self, broker: &TestBroker) {
        let mut marker = Self::v5(broker, "marker");
        marker.ask("33 ['$end' 0001 [] \"end\"]", "40 [0001 10]");
        marker.send("E0 []");
        marker.expect_end();
        let none = self.no_properties;
        self.ask(
            &format!("82 [7FFF {none} '$end' 00]"),
            &format!("90 [7FFF {none} 00]"),
        );
        self.expect(&format!("31 ['$end' {none} \"end\"]"));
        self.ask(
            &format!("A2 [7FFF {none} '$end']"),
            &format!("B0 [7FFF {}]", if none.is_empty() { "" } else { "[] 00" }),
        );
    }

    /// The next packet with its fixed header; none when the broker has closed the connection.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(length) = packet_length(&self.input) {
                return Some(self.input.drain(..length).collect());
            }
            let mut chunk = [0; 4096];
            match self.socket.read(&mut chunk) {
                Ok(0) => {
                    assert!(self.input.is_empty(), "half a packet: {}", hex(&self.input));
                    return None;
                }
                Ok(n) => self.input.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("neither a packet nor the end: {error}"),
            }
        }
    }

    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

/// Length of the first packet, if all of it is there.
fn packet_length(input: &[u8]) -> Option<usize> {
    let mut remaining = 0;
    for (at, byte) in input.get(1..)?.iter().enumerate().take(4) {
        remaining |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let length = 2 + at + remaining;
            return (input.len() >= length).then_some(length);
        }
    }
    None
}

pub fn hex(bytes: &[u8]) -> String {
    let shown: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    shown.join(" ")
}

/// A broker with its default configuration.
pub fn broker() -> TestBroker {
    TestBroker::start()
}

/// Waits until so many clients are connected.
pub fn until_connected(broker: &TestBroker, clients: u64) {
    broker.until("so many are connected", |stats| {
        stats.connections == clients
    });
}
