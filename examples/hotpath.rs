//! Fixed work of the hot path, without sockets and threads, for counting instructions: `scripts/instructions` runs it
//! under valgrind's callgrind. `cargo run --release --example hotpath -- decode 1000` does a thousand rounds.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use clap::{Parser, ValueEnum};
use nanomq::config::Mqtt;
use nanomq::mqtt::{
    Ack, Batch, BatchBuilder, Connect, EncodeError, Packet, PacketId, Properties, PropertiesBuf,
    Property, ProtocolVersion, Publish, QoS, ReasonCode, SubscribeOptions, TopicFilter, decode,
    decode_publish, encode, frame_header,
};
use nanomq::routing::{Route, SubscriptionTree, Target};
use nanomq::session::{Channel, Delivery, Session, admit};
use nanomq::stats::Counters;

/// Messages of one round.
const MESSAGES: u16 = 100;
/// Subscriptions of each kind among which topics are matched.
const SUBSCRIPTIONS: usize = 10_000;

#[derive(Parser)]
#[command(about = "Fixed work of the hot path")]
struct Options {
    /// What is done.
    #[arg(value_enum)]
    work: Work,
    /// How often; a round is 100 messages.
    rounds: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Work {
    /// PUBLISH, QoS 0, 3.1.1, collected into a batch.
    Decode,
    /// PUBLISH, QoS 1, 5.0 with a user property, collected into a batch.
    DecodeV5,
    /// Exact topics among many subscriptions.
    MatchExact,
    /// Topics that match one of many subscriptions with `+`.
    MatchPlus,
    /// PUBLISH and PUBACK.
    Encode,
    /// A batch at QoS 0 into a connection's output.
    Deliver,
    /// A batch at QoS 1 into a connection's output, and its acknowledgements.
    DeliverQos1,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(options.work, options.rounds) {
        Ok(done) if done == u64::from(options.rounds) * u64::from(MESSAGES) => ExitCode::SUCCESS,
        Ok(done) => {
            eprintln!("hotpath: {done} messages went through");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("hotpath: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does the work; returns how many messages went through.
fn run(work: Work, rounds: u32) -> Result<u64, EncodeError> {
    let now = Instant::now();
    Ok(match work {
        Work::Decode => {
            let chunk = chunk(QoS::AtMostOnce, ProtocolVersion::V311)?;
            repeat(rounds, || {
                read(&chunk, ProtocolVersion::V311, now).len() as u64
            })
        }
        Work::DecodeV5 => {
            let chunk = chunk(QoS::AtLeastOnce, ProtocolVersion::V5)?;
            repeat(rounds, || {
                read(&chunk, ProtocolVersion::V5, now).len() as u64
            })
        }
        Work::MatchExact => find(rounds, "line"),
        Work::MatchPlus => find(rounds, "plus"),
        Work::Encode => {
            let mut wire = BytesMut::with_capacity(64 * 1024);
            repeat(rounds, || {
                wire.clear();
                written(&mut wire).unwrap_or(0)
            })
        }
        Work::Deliver => {
            let batch = read(
                &chunk(QoS::AtMostOnce, ProtocolVersion::V311)?,
                ProtocolVersion::V311,
                now,
            );
            let mut client = Client::new(now);
            repeat(rounds, || client.deliver(&batch, QoS::AtMostOnce, now))
        }
        Work::DeliverQos1 => {
            let batch = read(
                &chunk(QoS::AtLeastOnce, ProtocolVersion::V311)?,
                ProtocolVersion::V311,
                now,
            );
            let mut client = Client::new(now);
            repeat(rounds, || {
                let taken = client.deliver(&batch, QoS::AtLeastOnce, now);
                client.acknowledge(now);
                taken
            })
        }
    })
}

fn repeat(rounds: u32, mut round: impl FnMut() -> u64) -> u64 {
    (0..rounds).map(|_| black_box(round())).sum()
}

/// The packets of one round behind one another, as a client writes them.
fn chunk(qos: QoS, version: ProtocolVersion) -> Result<Bytes, EncodeError> {
    let mut wire = BytesMut::new();
    let mut properties = PropertiesBuf::new();
    if version.is_v5() {
        properties.push(Property::UserProperty("unit", "celsius"));
    }
    for number in 0..MESSAGES {
        let publish = Publish {
            packet_id: (qos > QoS::AtMostOnce)
                .then(|| PacketId::new(number + 1))
                .flatten(),
            properties: properties.as_properties(),
            ..message(qos)
        };
        encode(&Packet::Publish(publish), version, &mut wire)?;
    }
    Ok(wire.freeze())
}

fn message(qos: QoS) -> Publish<'static> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: "plant/7/line/3/temperature",
        packet_id: None,
        properties: Properties::EMPTY,
        payload: b"sixteen bytes...",
    }
}

/// Decodes what was read and collects it, as a connection does.
fn read(chunk: &Bytes, version: ProtocolVersion, now: Instant) -> Batch {
    let mut batch = BatchBuilder::default();
    let mut rest: &[u8] = chunk;
    while let Ok(Some(header)) = frame_header(rest, u32::MAX) {
        let Some((packet, behind)) = rest.split_at_checked(header.packet_len()) else {
            break;
        };
        let body = packet.get(header.header_len..).unwrap_or_default();
        if let Ok(publish) = decode_publish(version, header.first_byte, body) {
            batch.push(chunk, packet, &publish, version);
        }
        rest = behind;
    }
    batch.finish(now)
}

struct Nobody;

impl Target for Nobody {
    fn is_online(&self) -> bool {
        true
    }
}

/// Looks topics up among many subscriptions; each has one subscriber.
fn find(rounds: u32, kind: &str) -> u64 {
    let mut tree = SubscriptionTree::default();
    let target = Arc::new(Nobody);
    for number in 0..SUBSCRIPTIONS {
        for filter in [
            format!("plant/line/{number}/temperature"),
            format!("plant/plus/{number}/+"),
        ] {
            let filter: Arc<str> = filter.into();
            let route = Route::new(target.clone(), SubscribeOptions::default(), None);
            if let Ok(parsed) = TopicFilter::parse(&filter) {
                tree.insert(&parsed, &filter, route, true);
            }
        }
    }
    let topics: Vec<String> = (0..usize::from(MESSAGES))
        .map(|number| format!("plant/{kind}/{}/temperature", number * 97 % SUBSCRIPTIONS))
        .collect();
    repeat(rounds, || {
        let found = topics
            .iter()
            .map(|topic| tree.routes(topic).deliveries.len());
        found.sum::<usize>() as u64
    })
}

fn written(wire: &mut BytesMut) -> Result<u64, EncodeError> {
    let mut count = 0;
    for number in 0..MESSAGES {
        let id = PacketId::new(number + 1);
        let publish = Publish {
            packet_id: id,
            ..message(QoS::AtLeastOnce)
        };
        encode(&Packet::Publish(publish), ProtocolVersion::V5, wire)?;
        let ack = Ack::new(id.unwrap_or(PacketId::MIN), ReasonCode::Success);
        encode(&Packet::PubAck(ack), ProtocolVersion::V5, wire)?;
        count += 1;
    }
    Ok(count)
}

/// A connected subscriber.
struct Client {
    channel: Option<Channel>,
    limits: Mqtt,
    counters: Counters,
    wire: BytesMut,
}

impl Client {
    fn new(now: Instant) -> Self {
        let limits = Mqtt::default();
        let connect = Connect {
            version: ProtocolVersion::V311,
            clean_start: true,
            keep_alive: 60,
            client_id: "hotpath",
            username: None,
            password: None,
            will: None,
            properties: Properties::EMPTY,
        };
        let admission = admit(&connect, &limits, &[], String::new).ok();
        Self {
            channel: admission
                .map(|admission| Channel::open(admission, Session::default(), &limits, now)),
            limits,
            counters: Counters::default(),
            wire: BytesMut::with_capacity(64 * 1024),
        }
    }

    fn deliver(&mut self, batch: &Batch, qos: QoS, now: Instant) -> u64 {
        let Some(channel) = &mut self.channel else {
            return 0;
        };
        let before = channel.session().outbound().written();
        self.wire.clear();
        let delivery = Delivery {
            qos,
            retain_as_published: false,
            subscription_ids: None,
            group: None,
            places: None,
        };
        channel.deliver(
            batch,
            0..batch.len(),
            &delivery,
            &self.limits,
            now,
            &mut self.wire,
            &self.counters,
        );
        channel.session().outbound().written() - before
    }

    /// Acknowledges what was written.
    fn acknowledge(&mut self, now: Instant) {
        let version = ProtocolVersion::V311;
        let sent = self.wire.split().freeze();
        let mut rest: &[u8] = &sent;
        let mut acks = BytesMut::new();
        while let Ok(Some(header)) = frame_header(rest, u32::MAX) {
            let (packet, behind) = rest.split_at(header.packet_len());
            let publish = decode_publish(version, header.first_byte, &packet[header.header_len..]);
            if let Some(id) = publish.ok().and_then(|publish| publish.packet_id) {
                let ack = Packet::PubAck(Ack::new(id, ReasonCode::Success));
                let _ = encode(&ack, version, &mut acks);
            }
            rest = behind;
        }
        let mut rest: &[u8] = &acks;
        while let Ok(Some(header)) = frame_header(rest, u32::MAX) {
            let (packet, behind) = rest.split_at(header.packet_len());
            if let (Some(channel), Ok(ack)) = (
                &mut self.channel,
                decode(version, header.first_byte, &packet[header.header_len..]),
            ) {
                let _ = channel.on_packet(&ack, &self.limits, now, &mut self.wire, &self.counters);
            }
            rest = behind;
        }
    }
}
