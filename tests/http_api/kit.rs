//! A broker to test against, a client of its HTTP API, and an MQTT client.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    num::NonZeroU16,
    panic::resume_unwind,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use nanomq::{
    actors::ConfigSource,
    broker::Broker,
    config::{BindAddr, Config},
    mqtt::{
        Connect, Packet, Properties, ProtocolVersion, Publish, QoS, Sender, Subscribe,
        SubscribeFiltersBuf, SubscribeOptions, decode_as, encode, peek_header,
    },
};
use serde_json::Value;

/// How long a peer may take to answer before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// admin:public
pub const ADMIN: &str = "Basic YWRtaW46cHVibGlj";

/// Where the broker of a test listens.
#[derive(Clone, Copy)]
pub struct At {
    pub mqtt: SocketAddr,
    pub http: SocketAddr,
}

/// Runs a test against a broker.
pub fn with_broker(change: impl FnOnce(&mut Config), test: impl FnOnce(At) + Send + 'static) {
    let mut config = local_config();
    change(&mut config);
    actix::System::new().block_on(async move {
        let broker = Broker::start(config, ConfigSource::default())
            .await
            .unwrap();
        let at = At {
            mqtt: broker.mqtt()[0].1,
            http: broker.http().unwrap(),
        };
        let result = tokio::task::spawn_blocking(move || test(at)).await;
        broker.stop().await;
        if let Err(failed) = result {
            resume_unwind(failed.into_panic());
        }
    });
}

pub fn local_config() -> Config {
    let mut config = Config::default();
    config.system.num_taskq_thread = 1;
    config.http_server.ip_addr = "127.0.0.1".to_owned();
    config.http_server.port = 0;
    for listener in config.listeners.tcp.values_mut() {
        listener.bind = BindAddr::new("127.0.0.1", 0).unwrap();
    }
    config
}

/// An answer of the HTTP server.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    fn read(mut socket: TcpStream) -> Self {
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut answer = Self {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = joined(body);
        }
        answer
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The text of a body that came in chunks, all of which are there.
fn joined(mut chunks: &str) -> String {
    let mut text = String::new();
    loop {
        let (size, rest) = chunks.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        text += &rest[..size];
        chunks = rest[size..].strip_prefix("\r\n").unwrap();
        if size == 0 {
            return text;
        }
    }
}

impl At {
    /// One request on a connection of its own; `target` is below `/api/v4`.
    pub fn request(&self, method: &str, target: &str, authorization: Option<&str>) -> Answer {
        self.request_any(method, &format!("/api/v4{target}"), authorization)
    }

    pub fn request_any(&self, method: &str, target: &str, authorization: Option<&str>) -> Answer {
        let authorization =
            authorization.map_or(String::new(), |value| format!("Authorization: {value}\r\n"));
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\n{authorization}Connection: close\r\n\r\n"
        );
        self.exchange(request.as_bytes())
    }

    /// A POST as the administrator; `target` is below `/api/v4`.
    pub fn post(&self, target: &str, body: &str) -> Answer {
        let length = body.len();
        let request = format!(
            "POST /api/v4{target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {ADMIN}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.exchange(request.as_bytes())
    }

    /// The answer to these bytes, on a connection of their own.
    pub fn exchange(&self, request: &[u8]) -> Answer {
        let mut socket = connect(self.http);
        socket.write_all(request).unwrap();
        Answer::read(socket)
    }

    /// The answer to these bytes when no more come.
    pub fn exchange_and_end(&self, request: &[u8]) -> Answer {
        let mut socket = connect(self.http);
        socket.write_all(request).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        Answer::read(socket)
    }

    pub fn get(&self, target: &str) -> Answer {
        self.request("GET", target, Some(ADMIN))
    }

    /// The body of an answer with 200.
    pub fn ok(&self, target: &str) -> String {
        let answer = self.get(target);
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        answer.body
    }

    /// The values of a member in the rows of an answer with 200.
    pub fn column(&self, target: &str, member: &str) -> Vec<String> {
        let body: Value = serde_json::from_str(&self.ok(target)).unwrap();
        assert_eq!(body["code"], 0);
        let rows = body["data"].as_array().unwrap();
        rows.iter()
            .map(|row| row[member].as_str().unwrap().to_owned())
            .collect()
    }

    /// Asks until the answer is as wanted; the broker has been told already and is to come to it by itself.
    pub fn await_ok(&self, target: &str, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let body = self.ok(target);
            if wanted(&body) {
                return;
            }
            assert!(Instant::now() < deadline, "{target}: {body}");
        }
    }
}

fn connect(to: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(to).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A client with one packet under way at a time.
pub struct Mqtt {
    pub socket: TcpStream,
    version: ProtocolVersion,
}

impl Mqtt {
    pub fn connect(at: At, connect_packet: &Connect<'_>) -> Self {
        let mut client = Self {
            socket: connect(at.mqtt),
            version: connect_packet.version,
        };
        client.send(&Packet::Connect(*connect_packet));
        assert_eq!(client.receive(0x20)[1], 0, "CONNACK");
        client
    }

    /// A client that goes on with its session.
    pub fn resume(at: At, connect_packet: &Connect<'_>) -> Self {
        let mut client = Self {
            socket: connect(at.mqtt),
            version: connect_packet.version,
        };
        client.send(&Packet::Connect(*connect_packet));
        assert_eq!(client.receive(0x20)[..2], [1, 0], "CONNACK");
        client
    }

    pub fn subscribe(&mut self, filter: &str, qos: QoS) {
        self.subscribe_with(filter, qos, Properties::EMPTY);
    }

    pub fn subscribe_with(&mut self, filter: &str, qos: QoS, properties: Properties<'_>) {
        let mut filters = SubscribeFiltersBuf::default();
        filters
            .push(filter, SubscribeOptions::with_qos(qos))
            .unwrap();
        self.send(&Packet::Subscribe(Subscribe {
            packet_id: NonZeroU16::MIN,
            properties,
            filters: filters.as_filters(),
        }));
        assert_eq!(self.receive(0x90).last(), Some(&(qos as u8)), "SUBACK");
    }

    pub fn publish(&mut self, topic: &str) {
        self.send(&Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic,
            packet_id: Some(NonZeroU16::MIN),
            properties: Properties::EMPTY,
            payload: b"x",
        }));
        self.receive(0x40);
    }

    fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = BytesMut::new();
        encode(packet, self.version, &mut bytes).unwrap();
        self.socket.write_all(&bytes).unwrap();
    }

    /// The body of the next packet, which has to be of a kind and shorter than 128 bytes.
    fn receive(&mut self, first_byte: u8) -> Vec<u8> {
        let mut header = [0; 2];
        self.socket.read_exact(&mut header).unwrap();
        assert_eq!(header[0], first_byte);
        assert!(header[1] < 128);
        let mut body = vec![0; header[1].into()];
        self.socket.read_exact(&mut body).unwrap();
        body
    }
}

pub fn client<'a>(
    version: ProtocolVersion,
    client_id: &'a str,
    username: Option<&'a str>,
) -> Connect<'a> {
    Connect {
        version,
        clean_start: true,
        keep_alive: 60,
        client_id,
        username,
        password: None,
        will: None,
        properties: Properties::EMPTY,
    }
}

pub const V31: ProtocolVersion = ProtocolVersion::V31;
pub const V311: ProtocolVersion = ProtocolVersion::V311;
pub const V5: ProtocolVersion = ProtocolVersion::V5;

/// An application message as a client got it, in words that compare well.
#[derive(Debug, PartialEq, Eq)]
pub struct Got {
    pub topic: String,
    pub payload: String,
    pub qos: u8,
    pub retain: bool,
    /// Of a version 5 client, as they print.
    pub properties: String,
}

impl Got {
    /// A message without properties.
    pub fn plain(topic: &str, payload: &str, qos: u8, retain: bool) -> Self {
        Self {
            topic: topic.to_owned(),
            payload: payload.to_owned(),
            qos,
            retain,
            properties: "[]".to_owned(),
        }
    }
}

impl Mqtt {
    /// The next packet, which has to be a PUBLISH.
    pub fn next_message(&mut self) -> Got {
        let mut bytes = Vec::new();
        let header = loop {
            let mut byte = [0];
            self.socket.read_exact(&mut byte).unwrap();
            bytes.extend(byte);
            if let Some(header) = peek_header(&bytes, u32::MAX).unwrap() {
                break header;
            }
        };
        bytes.resize(header.packet_len(), 0);
        self.socket
            .read_exact(&mut bytes[header.header_len..])
            .unwrap();
        let body = &bytes[header.header_len..];
        let publish = match decode_as(Sender::Server, self.version, header.first_byte, body) {
            Ok(Packet::Publish(publish)) => publish,
            other => panic!("{other:?}"),
        };
        Got {
            topic: publish.topic.to_owned(),
            payload: String::from_utf8_lossy(publish.payload).into_owned(),
            qos: publish.qos as u8,
            retain: publish.retain,
            properties: format!("{:?}", publish.properties),
        }
    }
}
