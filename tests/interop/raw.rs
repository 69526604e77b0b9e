//! A plain socket and hand-made packets, for what well-behaved clients never send and to see the exact answer.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::harness::{Broker, DEADLINE};

/// A connection that speaks bytes.
pub struct RawClient {
    stream: TcpStream,
}

impl RawClient {
    /// Opens a TCP connection to the MQTT listener.
    pub fn open(broker: &Broker) -> RawClient {
        let stream = TcpStream::connect((broker.host(), broker.mqtt_port()))
            .expect("the broker accepts connections");
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("a read time-out");
        stream.set_nodelay(true).expect("no delay");
        RawClient { stream }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream
            .write_all(bytes)
            .expect("the broker takes bytes");
    }

    /// The next packet: its first byte and its body; `None` when the broker has closed the connection.
    pub fn receive(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.byte()?;
        let mut length = 0usize;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte().expect("a packet has a length");
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream
            .read_exact(&mut body)
            .expect("a packet has its whole body");
        Some((first, body))
    }

    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => None,
            Ok(_) => Some(byte[0]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("the broker neither answers nor closes: {error}"),
        }
    }
}

/// A CONNECT without a user name.
pub struct Connect<'a> {
    /// 3, 4 or 5.
    pub level: u8,
    /// The client identifier.
    pub client_id: &'a str,
    /// Clean session, or clean start in version 5.
    pub clean: bool,
    /// Seconds.
    pub keep_alive: u16,
    /// Topic and payload of a will with QoS 0.
    pub will: Option<(&'a str, &'a str)>,
}

impl Connect<'_> {
    /// The packet's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        string(&mut body, if self.level == 3 { "MQIsdp" } else { "MQTT" });
        let flags = (u8::from(self.clean) << 1) | (u8::from(self.will.is_some()) << 2);
        body.extend([self.level, flags]);
        body.extend(self.keep_alive.to_be_bytes());
        if self.level == 5 {
            body.push(0);
        }
        string(&mut body, self.client_id);
        if let Some((topic, payload)) = self.will {
            if self.level == 5 {
                body.push(0);
            }
            string(&mut body, topic);
            string(&mut body, payload);
        }
        let length = u8::try_from(body.len())
            .ok()
            .filter(|length| *length < 128)
            .expect("a short packet");
        [vec![0x10, length], body].concat()
    }
}

fn string(to: &mut Vec<u8>, text: &str) {
    to.extend(
        u16::try_from(text.len())
            .expect("a short string")
            .to_be_bytes(),
    );
    to.extend(text.as_bytes());
}
