//! A broker on a free port, and a client that says exactly what it is told to.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    ops::Deref,
    path::Path,
    sync::{Mutex, mpsc::Receiver},
    thread,
    time::{Duration, Instant},
};

use actix::Addr;
use bytes::BytesMut;
use futures::executor::block_on;
use nanomq::{
    actors::{ConfigManager, ConfigSource, StatsCollector, SubscriptionRegistry},
    broker::Broker,
    config::{BindAddr, Config},
    listeners::WorkerHandle,
    messages::{
        ClientRow, GetQueueTotals, GetStats, GetSubscriptions, ListClients, QueueTotals,
        ReloadConfig, ReloadReport, StatsSnapshot,
    },
    mqtt::{
        Ack, Connect, Disconnect, Packet, PacketId, Properties, ProtocolVersion, Publish, QoS,
        ReasonCode, Sender, Subscribe, SubscribeFiltersBuf, SubscribeOptions, decode_as, encode,
        frame_header,
    },
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// How long anything may take before a test fails: far longer than it ever does.
pub const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Stop,
    Restart,
}

/// A broker from a start to the next.
pub struct Life {
    pub address: SocketAddr,
    pub workers: Vec<WorkerHandle>,
    stats: Addr<StatsCollector>,
    registry: Addr<SubscriptionRegistry>,
    config: Addr<ConfigManager>,
}

/// A running broker; it stops when this is dropped.
pub struct TestBroker {
    life: Life,
    started: Mutex<Receiver<Life>>,
    orders: Option<UnboundedSender<Order>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Deref for TestBroker {
    type Target = Life;

    fn deref(&self) -> &Life {
        &self.life
    }
}

impl TestBroker {
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// With the default configuration as changed by `change`, on a free port, without HTTP.
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.http_server.enable = false;
        config.system.num_taskq_thread = 2;
        for listener in config.listeners.tcp.values_mut() {
            listener.bind = BindAddr::new("127.0.0.1", 0).unwrap();
        }
        change(&mut config);
        Self::run(config, ConfigSource::default())
    }

    /// With a configuration file, to which what a test needs is added: a free port, and no HTTP.
    pub fn with_file(path: &Path, text: &str) -> Self {
        write_config(path, text);
        let source = ConfigSource {
            path: Some(path.to_owned()),
            ..ConfigSource::default()
        };
        let loaded = source.load().unwrap();
        Self::run(loaded.config, source)
    }

    /// Has the file read anew.
    pub fn reload(&self, path: &Path, text: &str) -> ReloadReport {
        write_config(path, text);
        block_on(self.config.send(ReloadConfig)).unwrap()
    }

    fn run(config: Config, source: ConfigSource) -> Self {
        let (orders, mut ordered) = unbounded_channel();
        let (ready, started) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let mut carried = None;
            let mut goes_on = true;
            while goes_on {
                let (config, source) = (config.clone(), source.clone());
                goes_on = actix::System::new().block_on(async {
                    let broker = Broker::start_again(config, source, &mut carried)
                        .await
                        .unwrap();
                    let life = Life {
                        address: broker.mqtt()[0].1,
                        workers: broker.workers().to_vec(),
                        stats: broker.stats().clone(),
                        registry: broker.registry().clone(),
                        config: broker.config().clone(),
                    };
                    ready.send(life).unwrap();
                    let again = ordered.recv().await == Some(Order::Restart);
                    match again {
                        true => carried = broker.stop_to_restart().await,
                        false => broker.stop().await,
                    }
                    again
                });
            }
        });
        Self {
            life: started.recv_timeout(DEADLINE).unwrap(),
            started: Mutex::new(started),
            orders: Some(orders),
            thread: Some(thread),
        }
    }

    /// Starts again in place, as the command does; listens on another port.
    pub fn restart(&mut self) {
        let orders = self.orders.as_ref().unwrap();
        orders.send(Order::Restart).unwrap();
        let started = self.started.get_mut().unwrap();
        self.life = started.recv_timeout(DEADLINE).unwrap();
    }

    pub fn stats(&self) -> StatsSnapshot {
        block_on(self.stats.send(GetStats)).unwrap()
    }

    /// The clients, connected or with a kept session.
    pub fn clients(&self) -> Vec<ClientRow> {
        let ask = ListClients {
            username: None,
            after: None,
        };
        block_on(self.registry.send(ask)).unwrap().rows
    }

    /// What a session is subscribed to, also that of a bridge.
    pub fn filters(&self, client_id: &str) -> Vec<String> {
        let client_id = client_id.to_owned();
        let rows = block_on(self.registry.send(GetSubscriptions { client_id })).unwrap();
        let rows = rows.unwrap_or_default();
        rows.iter().map(|row| row.topic.to_string()).collect()
    }

    /// What waits in all sessions.
    pub fn queues(&self) -> QueueTotals {
        let page = block_on(self.registry.send(GetQueueTotals { after: None })).unwrap();
        page.rows.first().copied().unwrap_or_default()
    }

    /// Waits until the statistics are as wanted.
    pub fn until(&self, what: &str, wanted: impl Fn(&StatsSnapshot) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let stats = self.stats();
            if wanted(&stats) {
                return;
            }
            assert!(Instant::now() < deadline, "never: {what}; now {stats:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn stop(&mut self) {
        if let Some(orders) = self.orders.take() {
            orders.send(Order::Stop).ok();
        }
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        if let Some(orders) = self.orders.take() {
            orders.send(Order::Stop).ok();
        }
    }
}

fn write_config(path: &Path, text: &str) {
    let rest = "system.num_taskq_thread = 2\nlisteners.tcp.bind = \"127.0.0.1:0\"\nhttp_server.enable = false\n";
    std::fs::write(path, format!("{rest}{text}")).unwrap();
}

/// A packet from the broker, with what the tests look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    ConnAck(bool, ReasonCode),
    Publish(Message),
    PubAck(u16, ReasonCode),
    PubRec(u16, ReasonCode),
    PubRel(u16, ReasonCode),
    PubComp(u16, ReasonCode),
    SubAck(u16, Vec<u8>),
    UnsubAck(u16, Vec<u8>),
    PingResp,
    Disconnect(ReasonCode),
    /// AUTH with its data.
    Auth(ReasonCode, Vec<u8>),
    /// The broker has closed the connection.
    End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: QoS,
    pub retain: bool,
    pub dup: bool,
    pub id: Option<u16>,
}

/// A scripted client.
pub struct Client {
    pub socket: TcpStream,
    pub version: ProtocolVersion,
    input: BytesMut,
}

/// How a test client connects.
#[derive(Clone, Copy)]
pub struct Hello<'a> {
    pub version: ProtocolVersion,
    pub client_id: &'a str,
    pub clean_start: bool,
    pub keep_alive: u16,
    pub properties: Properties<'a>,
    pub username: Option<&'a str>,
    pub password: Option<&'a [u8]>,
    pub will: Option<nanomq::mqtt::Will<'a>>,
}

impl<'a> Hello<'a> {
    pub fn v5(client_id: &'a str) -> Self {
        Self {
            version: ProtocolVersion::V5,
            client_id,
            clean_start: true,
            keep_alive: 0,
            properties: Properties::EMPTY,
            username: None,
            password: None,
            will: None,
        }
    }

    /// With a user name and a password.
    pub fn login(self, username: &'a str, password: &'a str) -> Self {
        Self {
            username: Some(username),
            password: Some(password.as_bytes()),
            ..self
        }
    }

    /// A session that is kept: 3.1.1 with clean session 0.
    pub fn kept(client_id: &'a str) -> Self {
        Self {
            version: ProtocolVersion::V311,
            clean_start: false,
            ..Self::v5(client_id)
        }
    }
}

impl Client {
    /// A socket on which nothing was said yet.
    pub fn open(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self {
            socket,
            version: ProtocolVersion::V5,
            input: BytesMut::new(),
        }
    }

    /// Connected and accepted; the flag of CONNACK says whether a session was resumed.
    pub fn connect(address: SocketAddr, hello: Hello<'_>) -> (Self, bool) {
        let mut client = Self::open(address);
        client.hello(hello);
        match client.next() {
            Got::ConnAck(present, ReasonCode::Success) => (client, present),
            other => panic!("no CONNACK but {other:?}"),
        }
    }

    /// A version 5 client with a clean session.
    pub fn v5(address: SocketAddr, client_id: &str) -> Self {
        Self::connect(address, Hello::v5(client_id)).0
    }

    pub fn hello(&mut self, hello: Hello<'_>) {
        self.version = hello.version;
        self.send(&Packet::Connect(Connect {
            version: hello.version,
            clean_start: hello.clean_start,
            keep_alive: hello.keep_alive,
            client_id: hello.client_id,
            username: hello.username,
            password: hello.password,
            will: hello.will,
            properties: hello.properties,
        }));
    }

    pub fn send(&mut self, packet: &Packet<'_>) {
        let bytes = bytes_of(packet, self.version);
        self.send_bytes(&bytes);
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    pub fn subscribe(&mut self, filter: &str, qos: QoS) {
        let bytes = subscribe_bytes(self.version, 1, &[(filter, qos)]);
        self.send_bytes(&bytes);
        match self.next() {
            Got::SubAck(1, codes) => assert_eq!(codes, [qos as u8]),
            other => panic!("no SUBACK but {other:?}"),
        }
    }

    pub fn publish(&mut self, topic: &str, payload: &[u8], qos: QoS, id: u16) {
        let bytes = publish_bytes(self.version, topic, payload, qos, id);
        self.send_bytes(&bytes);
    }

    pub fn ack(&mut self, kind: fn(Ack<'static>) -> Packet<'static>, id: u16) {
        self.send(&kind(Ack::new(
            PacketId::new(id).unwrap(),
            ReasonCode::Success,
        )));
    }

    pub fn goodbye(mut self) {
        self.send(&Packet::Disconnect(Disconnect {
            reason: ReasonCode::Success,
            properties: Properties::EMPTY,
        }));
        assert_eq!(self.next(), Got::End);
    }

    /// The next packet, or the end.
    pub fn next(&mut self) -> Got {
        let packet = self.next_bytes();
        match frame_header(&packet, 1 << 28).unwrap() {
            None => Got::End,
            Some(header) => got(
                self.version,
                header.first_byte,
                &packet[header.header_len..],
            ),
        }
    }

    /// The bytes of the next packet; none at the end.
    pub fn next_bytes(&mut self) -> BytesMut {
        loop {
            if let Some(header) = frame_header(&self.input, 1 << 28).unwrap() {
                return self.input.split_to(header.packet_len());
            }
            let mut chunk = [0; 65_536];
            match self.socket.read(&mut chunk) {
                Ok(0) => return BytesMut::new(),
                Ok(n) => self.input.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                    return BytesMut::new();
                }
                Err(error) => panic!("nothing comes: {error}"),
            }
        }
    }

    /// The next packet, which must be a message.
    pub fn message(&mut self) -> Message {
        match self.next() {
            Got::Publish(message) => message,
            other => panic!("no message but {other:?}"),
        }
    }
}

pub fn bytes_of(packet: &Packet<'_>, version: ProtocolVersion) -> BytesMut {
    let mut bytes = BytesMut::new();
    encode(packet, version, &mut bytes).unwrap();
    bytes
}

pub fn publish_bytes(
    version: ProtocolVersion,
    topic: &str,
    payload: &[u8],
    qos: QoS,
    id: u16,
) -> BytesMut {
    let publish = Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id: PacketId::new(id).filter(|_| qos > QoS::AtMostOnce),
        properties: Properties::EMPTY,
        payload,
    };
    bytes_of(&Packet::Publish(publish), version)
}

pub fn subscribe_bytes(version: ProtocolVersion, id: u16, filters: &[(&str, QoS)]) -> BytesMut {
    let mut buffer = SubscribeFiltersBuf::default();
    for (filter, qos) in filters {
        let options = SubscribeOptions {
            qos: *qos,
            ..SubscribeOptions::default()
        };
        buffer.push(filter, options).unwrap();
    }
    let subscribe = Subscribe {
        packet_id: PacketId::new(id).unwrap(),
        properties: Properties::EMPTY,
        filters: buffer.as_filters(),
    };
    bytes_of(&Packet::Subscribe(subscribe), version)
}

pub fn got(version: ProtocolVersion, first_byte: u8, body: &[u8]) -> Got {
    match decode_as(Sender::Server, version, first_byte, body).unwrap() {
        Packet::ConnAck(ack) => Got::ConnAck(ack.session_present, ack.reason),
        Packet::Publish(publish) => Got::Publish(Message {
            topic: publish.topic.to_owned(),
            payload: publish.payload.to_vec(),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            id: publish.packet_id.map(PacketId::get),
        }),
        Packet::PubAck(ack) => Got::PubAck(ack.packet_id.get(), ack.reason),
        Packet::PubRec(ack) => Got::PubRec(ack.packet_id.get(), ack.reason),
        Packet::PubRel(ack) => Got::PubRel(ack.packet_id.get(), ack.reason),
        Packet::PubComp(ack) => Got::PubComp(ack.packet_id.get(), ack.reason),
        Packet::SubAck(ack) => Got::SubAck(ack.packet_id.get(), ack.reasons.to_vec()),
        Packet::UnsubAck(ack) => Got::UnsubAck(ack.packet_id.get(), ack.reasons.to_vec()),
        Packet::PingResp => Got::PingResp,
        Packet::Disconnect(disconnect) => Got::Disconnect(disconnect.reason),
        Packet::Auth(auth) => Got::Auth(
            auth.reason,
            auth.properties
                .authentication_data()
                .unwrap_or_default()
                .to_vec(),
        ),
        other => panic!("a server does not send {other:?}"),
    }
}
