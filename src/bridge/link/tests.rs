use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    config::{BridgeForward, BridgeSubscription},
    mqtt::{
        Ack, Batch, BatchBuilder, Message, MessageRef, PacketId, PropertiesBuf, Property,
        ProtocolVersion, Publish, SubAck, decode, frame_header, hops,
    },
    session::{Delivery, Publishing},
    stats::{Counters, Metric, Totals},
};

/// What was published at this broker.
#[derive(Default)]
struct Taken(Vec<(String, QoS, bool)>);

impl Publishing for Taken {
    fn publish(&mut self, _: &Publish<'_>, _: &[u8], _: ProtocolVersion) -> bool {
        unreachable!("what a bridge brings in is detached");
    }

    fn publish_detached(&mut self, message: &MessageRef<'_>, _: Option<PacketId>) -> bool {
        self.0
            .push((message.topic.to_owned(), message.qos, message.retain));
        false
    }
}

/// A bridge on one connection after the other.
struct Kit {
    config: BridgeConfig,
    limits: Mqtt,
    counters: Counters,
    marks: Marks,
    now: Instant,
    wire: BytesMut,
    taken: Taken,
}

const ORIGIN: Origin = Origin {
    bridge: 1,
    peer: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
};

impl Kit {
    fn new(proto_ver: u8) -> Self {
        let config = BridgeConfig {
            proto_ver,
            forwards: BridgeForward::read_all(&serde_json::json!([
                {"local_topic": "a/#", "remote_topic": "site/a/#"},
                {"local_topic": "r", "retain": 1},
            ]))
            .unwrap(),
            subscription: vec![BridgeSubscription::to("cmd/#")],
            ..BridgeConfig::default()
        };
        Self {
            limits: limits(&config, &Mqtt::default()),
            config,
            counters: Counters::default(),
            marks: Marks::default(),
            now: Instant::now(),
            wire: BytesMut::new(),
            taken: Taken::default(),
        }
    }

    fn open(&mut self, session: Session, change: impl FnOnce(&mut Accepted)) -> Link {
        self.wire.clear();
        let mut accepted = Accepted {
            session_present: true,
            window: 10,
            max_packet_size: 1000,
            topic_aliases: 0,
            max_qos: QoS::ExactlyOnce,
            retain_available: true,
            subscription_identifiers: true,
            keep_alive: 60,
            remote_id: None,
        };
        change(&mut accepted);
        let opening = Opening {
            config: &self.config,
            session_id: "$bridge/x".into(),
            session,
            accepted,
            bridge_bit: false,
            own_id: "me".into(),
        };
        let mut link = Link::open(opening, self.now);
        let channel = link.channel();
        channel.pump(&mut self.wire, &self.limits, self.now, &self.counters);
        link
    }

    fn forward(&mut self, link: &mut Link, topic: &str, qos: QoS, properties: Properties<'_>) {
        let message = Message::new(topic, b"x", qos, false, properties, self.now);
        let batch = batch(&message, self.now);
        link.channel().deliver(
            &batch,
            0..1,
            &delivery(),
            &self.limits,
            self.now,
            &mut self.wire,
            &self.counters,
        );
    }

    fn receive(&mut self, link: &mut Link, bytes: &[u8]) -> Received {
        link.receive(
            bytes,
            &self.config,
            Surroundings {
                limits: &self.limits,
                now: self.now,
                wire: &mut self.wire,
                publishing: &mut self.taken,
                counters: &self.counters,
                marks: &self.marks,
                origin: ORIGIN,
            },
        )
    }

    /// The PUBLISH packets that were written: topic, QoS, RETAIN, DUP, identifier.
    fn sent(&mut self) -> Vec<(String, QoS, bool, bool, u16)> {
        let wire = std::mem::take(&mut self.wire);
        let mut sent = Vec::new();
        let mut rest: &[u8] = &wire;
        let version = version(&self.config);
        while let Ok(Some(header)) = frame_header(rest, u32::MAX) {
            let body = &rest[header.header_len..header.packet_len()];
            if let Packet::Publish(publish) = decode(version, header.first_byte, body).unwrap() {
                sent.push((
                    publish.topic.to_owned(),
                    publish.qos,
                    publish.retain,
                    publish.dup,
                    publish.packet_id.map_or(0, PacketId::get),
                ));
            }
            rest = &rest[header.packet_len()..];
        }
        sent
    }

    fn count(&self, metric: Metric) -> u64 {
        let mut totals = Totals::default();
        self.counters.add_to(&mut totals);
        totals.get(metric)
    }
}

fn batch(message: &Message, now: Instant) -> Batch {
    let mut builder = BatchBuilder::default();
    builder.push_detached(&message.view(), now);
    builder.finish(now)
}

fn delivery() -> Delivery {
    Delivery {
        qos: QoS::ExactlyOnce,
        retain_as_published: true,
        subscription_ids: None,
        group: None,
        places: None,
    }
}

fn bytes(packet: Packet<'_>, version: ProtocolVersion) -> BytesMut {
    let mut out = BytesMut::new();
    encode(&packet, version, &mut out).unwrap();
    out
}

fn ack(kind: fn(Ack<'static>) -> Packet<'static>, id: u16, reason: ReasonCode) -> BytesMut {
    let ack = Ack::new(PacketId::new(id).unwrap(), reason);
    bytes(kind(ack), ProtocolVersion::V5)
}

#[test]
fn messages_leave_only_when_acknowledged_and_are_sent_again_in_order() {
    use QoS::{AtLeastOnce as Q1, AtMostOnce as Q0, ExactlyOnce as Q2};
    let mut kit = Kit::new(5);
    let mut link = kit.open(Session::default(), |accepted| accepted.window = 3);
    for (topic, qos) in [
        ("a/1", Q1),
        ("a/2", Q2),
        ("r", Q0),
        ("a/3", Q1),
        ("a/4", Q1),
    ] {
        kit.forward(&mut link, topic, qos, Properties::EMPTY);
    }
    let row = |topic: &str, qos, retain, dup, id| (topic.to_owned(), qos, retain, dup, id);
    assert_eq!(
        kit.sent(),
        [
            row("site/a/1", Q1, false, false, 1),
            row("site/a/2", Q2, false, false, 2),
            row("r", Q0, true, false, 0),
            row("site/a/3", Q1, false, false, 3),
        ]
    );
    // Room for the one that waits, and PUBREL for the second.
    let puback = ack(Packet::PubAck, 1, ReasonCode::Success);
    kit.receive(&mut link, &puback);
    assert_eq!(kit.sent(), [row("site/a/4", Q1, false, false, 4)]);
    let pubrec = ack(Packet::PubRec, 2, ReasonCode::Success);
    kit.receive(&mut link, &pubrec);
    assert_eq!(
        &kit.wire[..],
        &ack(Packet::PubRel, 2, ReasonCode::Success)[..]
    );
    assert_eq!(link.session().outbound().inflight(), 3);

    let mut link = kit.open(link.into_session(), |_| {});
    let pubrel = ack(Packet::PubRel, 2, ReasonCode::Success);
    assert!(kit.wire.starts_with(&pubrel), "{:?}", kit.wire);
    assert_eq!(
        kit.sent(),
        [
            row("site/a/3", Q1, false, true, 3),
            row("site/a/4", Q1, false, true, 4)
        ]
    );
    for done in [
        ack(Packet::PubComp, 2, ReasonCode::Success),
        ack(Packet::PubAck, 3, ReasonCode::Success),
        ack(Packet::PubAck, 4, ReasonCode::NoMatchingSubscribers),
    ] {
        assert_eq!(kit.receive(&mut link, &done).broken, None);
    }
    assert_eq!(link.session().outbound().inflight(), 0);
    assert_eq!(kit.count(Metric::DroppedRefused), 0);
}

#[test]
fn the_limits_of_the_remote_hold() {
    let mut kit = Kit::new(5);
    let mut link = kit.open(Session::default(), |accepted| {
        accepted.max_qos = QoS::AtLeastOnce;
        accepted.retain_available = false;
        accepted.max_packet_size = 60;
    });
    kit.forward(&mut link, "r", QoS::ExactlyOnce, Properties::EMPTY);
    let long = format!("a/{}", "x".repeat(60));
    kit.forward(&mut link, &long, QoS::AtLeastOnce, Properties::EMPTY);
    let sent = kit.sent();
    assert_eq!(sent, [("r".to_owned(), QoS::AtLeastOnce, false, false, 1)]);
    assert_eq!(kit.count(Metric::DroppedTooLarge), 1);
    // On a server that takes QoS 0 alone it is sent so, and done.
    let link = kit.open(link.into_session(), |accepted| {
        accepted.max_qos = QoS::AtMostOnce;
    });
    assert_eq!(
        kit.sent(),
        [("r".to_owned(), QoS::AtMostOnce, true, false, 0)]
    );
    assert_eq!(link.session().outbound().inflight(), 0);
}

#[test]
fn what_is_not_sent_again_is_released_where_the_remote_knows_of_that() {
    use QoS::{AtLeastOnce as Q1, AtMostOnce as Q0, ExactlyOnce as Q2};
    let mut kit = Kit::new(5);
    for (max_qos, is_released) in [(Q2, true), (Q1, false), (Q0, false)] {
        let mut link = kit.open(Session::default(), |_| {});
        kit.forward(&mut link, "r", Q2, Properties::EMPTY);
        assert_eq!(kit.sent().len(), 1);
        let mut session = link.into_session();
        session.outbound_mut().purge(|_| false, &kit.counters);
        let mut link = kit.open(session, |accepted| accepted.max_qos = max_qos);
        let mut expected = BytesMut::new();
        if is_released {
            expected = ack(Packet::PubRel, 1, ReasonCode::Success);
        }
        assert_eq!(kit.wire, expected, "{max_qos:?}");
        let pubcomp = ack(Packet::PubComp, 1, ReasonCode::Success);
        assert_eq!(kit.receive(&mut link, &pubcomp).broken, None);
        let outbound = link.session().outbound();
        assert!(!outbound.is_waiting() && outbound.inflight() == 0);
        kit.wire.clear();
        kit.forward(&mut link, "r", Q1, Properties::EMPTY);
        assert_eq!(kit.sent().len(), 1);
    }
}

#[test]
fn a_message_that_is_refused_is_counted_and_one_that_comes_too_soon_waits() {
    let mut kit = Kit::new(5);
    let mut link = kit.open(Session::default(), |_| {});
    for _ in 0..2 {
        kit.forward(&mut link, "r", QoS::AtLeastOnce, Properties::EMPTY);
    }
    let refused = ack(Packet::PubAck, 1, ReasonCode::NotAuthorized);
    assert_eq!(kit.receive(&mut link, &refused).broken, None);
    assert_eq!(kit.count(Metric::DroppedRefused), 1);
    let busy = ack(Packet::PubAck, 2, ReasonCode::QuotaExceeded);
    let broken = kit.receive(&mut link, &busy).broken.unwrap();
    assert_eq!(broken, Broken::Busy(ReasonCode::QuotaExceeded));
    assert_eq!(link.session().outbound().inflight(), 1);
}

#[test]
fn what_the_remote_sends_comes_in_once_and_as_configured() {
    let mut kit = Kit::new(5);
    let mut link = kit.open(Session::default(), |_| {});
    let publish = |topic, id, dup, properties| {
        let publish = Publish {
            dup,
            qos: QoS::ExactlyOnce,
            retain: true,
            topic,
            packet_id: PacketId::new(id),
            properties,
            payload: b"x",
        };
        bytes(Packet::Publish(publish), ProtocolVersion::V5)
    };
    let mut looped = PropertiesBuf::default();
    looped.push(Property::UserProperty(hops::HOPS, "me"));
    for packet in [
        publish("cmd/1", 1, false, Properties::EMPTY),
        publish("cmd/1", 1, true, Properties::EMPTY),
        publish("other", 2, false, Properties::EMPTY),
        publish("cmd/2", 3, false, looped.as_properties()),
    ] {
        let received = kit.receive(&mut link, &packet);
        assert_eq!((received.broken, received.used), (None, packet.len()));
    }
    let expected = ("cmd/1".to_owned(), QoS::ExactlyOnce, true);
    assert_eq!(kit.taken.0, [expected]);
    assert_eq!(kit.count(Metric::DroppedNotSubscribed), 1);
    assert_eq!(kit.count(Metric::DroppedLoop), 1);
    // All are acknowledged, and none with a code that only servers send.
    let recs = [1, 1, 2, 3].map(|id| ack(Packet::PubRec, id, ReasonCode::Success));
    assert_eq!(&kit.wire[..], &recs.concat()[..]);
}

#[test]
fn a_message_does_not_go_where_it_has_been() {
    let mut kit = Kit::new(5);
    let mut link = kit.open(Session::default(), |accepted| {
        accepted.remote_id = Some("them".into());
    });
    let mut marked = PropertiesBuf::default();
    marked.push(Property::UserProperty(hops::HOPS, "them"));
    let properties = marked.as_properties();
    kit.forward(&mut link, "r", QoS::AtLeastOnce, properties);
    assert_eq!(kit.sent(), []);
    assert_eq!(kit.count(Metric::DroppedLoopToRemote), 1);
    assert_eq!(link.session().outbound().inflight(), 0);
}

#[test]
fn with_version_3_a_copy_that_the_remote_sends_back_is_dropped_once() {
    let mut kit = Kit::new(4);
    kit.config.subscription = vec![BridgeSubscription::to("site/#")];
    let mut link = kit.open(Session::default(), |_| {});
    kit.forward(&mut link, "a/1", QoS::AtMostOnce, Properties::EMPTY);
    link.note_sent(ORIGIN, &kit.marks, kit.now);
    let copy = kit.wire.clone();
    for taken in [0, 1] {
        kit.receive(&mut link, &copy);
        assert_eq!(kit.taken.0.len(), taken);
    }
    assert_eq!(kit.count(Metric::DroppedLoop), 1);
}

#[test]
fn with_version_3_nothing_is_sent_before_the_remote_has_said_who_it_is() {
    let mut kit = Kit::new(4);
    let there = {
        let mut marked = PropertiesBuf::default();
        hops::mark(Properties::EMPTY, "them", &mut marked);
        marked
    };
    // What the remote says, whether the bridge may send then, and whether what has been at the remote goes there.
    let mine = format!("{}me", hops::INTRODUCTION);
    let cases = [
        (None, false, true),
        (Some((&*mine, "them")), true, false),
        (Some((&*mine, "me")), true, true),
        (Some((&*mine, "no identity")), true, true),
        (Some(("$nanomq/bridge/you", "them")), true, true),
    ];
    for (said, answers, goes) in cases {
        let mut link = kit.open(Session::default(), |_| {});
        link.introduce(kit.now + Duration::from_secs(10), &mut kit.wire);
        let (wire, header) = (kit.wire.split(), 2);
        let packet = decode(ProtocolVersion::V311, wire[0], &wire[header..]).unwrap();
        let Packet::Subscribe(subscribe) = packet else {
            panic!("{packet:?}");
        };
        let filters: Vec<_> = subscribe.filters().map(|(filter, _)| filter).collect();
        assert_eq!(filters, [&mine]);
        assert!(link.is_introducing() && link.unanswered() == 1);
        if let Some((topic, id)) = said {
            let publish = Packet::Publish(hops::answer(topic, id));
            let received = kit.receive(&mut link, &bytes(publish, ProtocolVersion::V311));
            assert_eq!(received.broken, None);
        }
        if answers {
            // Refused or not.
            let ack = Packet::SubAck(SubAck {
                packet_id: subscribe.packet_id,
                properties: Properties::EMPTY,
                reasons: &[0x80],
            });
            let received = kit.receive(&mut link, &bytes(ack, ProtocolVersion::V311));
            assert!(received.answered[0].introduced);
        } else {
            // It is not waited for without end.
            kit.now += Duration::from_secs(10);
            link.on_time(kit.now, &mut kit.wire).unwrap();
        }
        assert!(!link.is_introducing() && link.unanswered() == 0);
        kit.wire.clear();
        kit.forward(&mut link, "a/1", QoS::AtMostOnce, there.as_properties());
        assert_eq!(kit.sent().len(), usize::from(goes), "{said:?}");
        kit.forward(&mut link, "a/1", QoS::AtMostOnce, Properties::EMPTY);
        assert_eq!(kit.sent().len(), 1, "{said:?}");
        assert_eq!(kit.taken.0, [], "{said:?}");
    }
}

#[test]
fn packets_that_no_server_sends_break_the_connection() {
    let suback = SubAck {
        packet_id: PacketId::MIN,
        properties: Properties::EMPTY,
        reasons: &[0],
    };
    let version = ProtocolVersion::V5;
    for (packet, kind) in [
        (vec![0xC0, 0], Some("unexpected_packet")),
        (vec![0x10, 0], Some("unexpected_packet")),
        (
            bytes(Packet::SubAck(suback), version).to_vec(),
            Some("wrong_answer"),
        ),
        (vec![0x20, 3, 0, 0, 0], Some("second_connect")),
        (vec![0xE0, 1, 0x8B], None),
        (vec![0xF0, 0], Some("auth_without_method")),
        (vec![0x36, 0], Some("invalid_qos")),
        (vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1], None),
    ] {
        let mut kit = Kit::new(5);
        let mut link = kit.open(Session::default(), |_| {});
        let broken = kit.receive(&mut link, &packet).broken;
        let broken = broken.unwrap_or_else(|| panic!("{packet:?}"));
        if kind.is_some() {
            assert_eq!(broken.kind_name(), kind, "{packet:?}: {broken}");
        }
    }
}

#[test]
fn a_silent_remote_is_pinged_and_left() {
    let mut kit = Kit::new(5);
    let mut link = kit.open(Session::default(), |_| {});
    let later = kit.now + Duration::from_secs(50);
    assert_eq!(link.on_time(later, &mut kit.wire), Ok(()));
    assert_eq!(&kit.wire[..], [0xC0, 0]);
    let dead = later + kit.config.ping_timeout;
    assert_eq!(link.on_time(dead, &mut kit.wire), Err(Broken::Silent));
    link.heard(dead);
    assert_eq!(link.on_time(dead, &mut kit.wire), Ok(()));
}

proptest! {
    #[test]
    fn any_bytes_are_handled(data in proptest::collection::vec(any::<u8>(), 0..200), v in 3_u8..=5) {
        let mut kit = Kit::new(v);
        let mut link = kit.open(Session::default(), |_| {});
        kit.forward(&mut link, "r", QoS::ExactlyOnce, Properties::EMPTY);
        let received = kit.receive(&mut link, &data);
        prop_assert!(received.used <= data.len());
    }
}
