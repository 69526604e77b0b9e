//! Every message is accounted for: what was received was routed or dropped for a reason, and what was given to a session
//! was sent, acknowledged, dropped for a reason, or waits.

use nanomq::{
    messages::StatsSnapshot,
    mqtt::{Packet, PacketId, Properties, PropertiesBuf, Property, Publish, QoS},
    stats::Metric,
};

use crate::kit::{Client, Got, Hello, Message, TestBroker};

/// Metrics of messages that were received and went no further.
const REFUSED: [Metric; 5] = [
    Metric::MessagesDuplicate,
    Metric::DroppedProtocolError,
    Metric::MessagesWithoutSubscriber,
    Metric::DroppedNotPermitted,
    Metric::DroppedTopicLimit,
];
/// Metrics of messages that were given to a session and dropped.
const DROPPED: [Metric; 6] = [
    Metric::DroppedOutputFull,
    Metric::DroppedOffline,
    Metric::DroppedQueueFull,
    Metric::DroppedExpired,
    Metric::DroppedTooLarge,
    Metric::DroppedSessionEnded,
];

fn sum(stats: &StatsSnapshot, metrics: impl IntoIterator<Item = Metric>) -> u64 {
    metrics
        .into_iter()
        .map(|metric| stats.totals.get(metric))
        .sum()
}

/// The two sides of both sums.
fn sums(broker: &TestBroker) -> [(u64, u64); 2] {
    let (stats, queues) = (broker.stats(), broker.queues());
    let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    let received = sum(&stats, qos.map(Metric::received));
    let went_on = sum(&stats, REFUSED) + stats.totals.get(Metric::MessagesRouted);
    let done = [
        Metric::MessagesSentQoS0,
        Metric::MessagesAcknowledged,
        Metric::MessagesHandedOver,
    ];
    let left = sum(&stats, done) + sum(&stats, DROPPED) + queues.messages + queues.inflight;
    [
        (received, went_on),
        (stats.totals.get(Metric::MessagesDeliveries), left),
    ]
}

/// Figures of sessions come a little after what they are about.
fn check(broker: &TestBroker, when: &str) {
    broker.until(when, |_| {
        sums(broker).iter().all(|(one, other)| one == other)
    });
}

/// Publishes and waits for the end of the handshake.
fn publish(publisher: &mut Client, publish: Publish<'_>) {
    publisher.send(&Packet::Publish(publish));
    match publish.qos {
        QoS::AtMostOnce => {}
        QoS::AtLeastOnce => assert!(matches!(publisher.next(), Got::PubAck(..))),
        QoS::ExactlyOnce => {
            assert!(matches!(publisher.next(), Got::PubRec(..)));
            publisher.ack(Packet::PubRel, 1);
            assert!(matches!(publisher.next(), Got::PubComp(..)));
        }
    }
}

fn message<'a>(topic: &'a str, qos: QoS, payload: &'a [u8]) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id: (qos > QoS::AtMostOnce).then_some(PacketId::MIN),
        properties: Properties::EMPTY,
        payload,
    }
}

/// Acknowledges a message to its end.
fn finish(client: &mut Client, message: &Message) {
    let id = message.id.unwrap_or(0);
    match message.qos {
        QoS::AtMostOnce => {}
        QoS::AtLeastOnce => client.ack(Packet::PubAck, id),
        QoS::ExactlyOnce => {
            client.ack(Packet::PubRec, id);
            assert!(matches!(client.next(), Got::PubRel(..)));
            client.ack(Packet::PubComp, id);
        }
    }
}

#[test]
fn nothing_vanishes() {
    let broker = TestBroker::with(|config| {
        config.mqtt.sys_interval = Default::default();
        config.mqtt.sys_events = false;
        config.mqtt.max_mqueue_len = 5;
        config.mqtt.max_inflight_window = 3;
        config.mqtt.max_output_buffer = 4096;
        config.mqtt.max_topic_levels = 5;
        config.mqtt.max_publisher_pause = Default::default();
    });
    let mut publisher = Client::v5(broker.address, "publisher");
    let every = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

    // One that takes all it gets, at every QoS.
    let mut good = Client::v5(broker.address, "good");
    good.subscribe("good/+", QoS::ExactlyOnce);
    for qos in every.repeat(4) {
        publish(&mut publisher, message("good/1", qos, b"x"));
        let got = good.message();
        finish(&mut good, &got);
    }
    check(&broker, "all is acknowledged");

    // One that acknowledges nothing: three are in flight, five in the queue, two too many.
    let mut silent = Client::v5(broker.address, "silent");
    silent.subscribe("silent", QoS::ExactlyOnce);
    for _ in 0..10 {
        publish(&mut publisher, message("silent", QoS::AtLeastOnce, b"x"));
    }
    check(&broker, "a queue is full");

    // One that does not read at all: its output is full.
    let mut stuck = Client::v5(broker.address, "stuck");
    stuck.subscribe("stuck", QoS::AtMostOnce);
    let large = vec![b'x'; 60_000];
    let full = |broker: &TestBroker| broker.stats().totals.get(Metric::DroppedOutputFull);
    let mut sent = 0;
    while full(&broker) == 0 {
        publish(&mut publisher, message("stuck", QoS::AtMostOnce, &large));
        sent += 1;
        assert!(sent < 5_000, "300 MB fit into an output of 4 KB");
    }
    check(&broker, "an output is full");

    // One that is away, one of whose messages has expired when it comes back, and one that takes small packets only.
    let (mut away, _) = Client::connect(broker.address, Hello::kept("away"));
    away.subscribe("away", QoS::AtLeastOnce);
    away.goodbye();
    let mut expiry = PropertiesBuf::new();
    expiry.push(Property::MessageExpiryInterval(0));
    publish(&mut publisher, message("away", QoS::AtMostOnce, b"x"));
    publish(&mut publisher, message("away", QoS::AtLeastOnce, b"x"));
    let expired = Publish {
        properties: expiry.as_properties(),
        ..message("away", QoS::AtLeastOnce, b"late")
    };
    publish(&mut publisher, expired);
    check(&broker, "messages wait for one that is away");
    let (mut away, _) = Client::connect(broker.address, Hello::kept("away"));
    let got = away.message();
    finish(&mut away, &got);
    let mut limit = PropertiesBuf::new();
    limit.push(Property::MaximumPacketSize(200));
    let hello = Hello {
        properties: limit.as_properties(),
        ..Hello::v5("small")
    };
    let (mut small, _) = Client::connect(broker.address, hello);
    small.subscribe("small", QoS::AtLeastOnce);
    publish(&mut publisher, message("small", QoS::AtLeastOnce, &large));
    check(&broker, "a message was too large");

    // A member of a group that leaves with messages, and another that gets them.
    let mut leaving = Client::v5(broker.address, "leaving");
    leaving.subscribe("$share/g/group", QoS::AtLeastOnce);
    publish(&mut publisher, message("group", QoS::AtLeastOnce, b"1"));
    publish(&mut publisher, message("group", QoS::AtLeastOnce, b"2"));
    let first = leaving.message();
    finish(&mut leaving, &first);
    leaving.message();
    let mut staying = Client::v5(broker.address, "staying");
    staying.subscribe("$share/g/group", QoS::AtLeastOnce);
    drop(leaving);
    let got = staying.message();
    finish(&mut staying, &got);
    check(&broker, "a message was handed over");

    // A retained message, nobody's, a forbidden topic, one that is too deep, and sessions that end.
    let retained = Publish {
        retain: true,
        ..message("kept", QoS::AtLeastOnce, b"x")
    };
    publish(&mut publisher, retained);
    staying.subscribe("kept", QoS::AtLeastOnce);
    let got = staying.message();
    finish(&mut staying, &got);
    publish(&mut publisher, message("$SYS/mine", QoS::AtMostOnce, b"x"));
    publish(
        &mut publisher,
        message("a/b/c/d/e/f", QoS::AtLeastOnce, b"x"),
    );
    // One that sends a QoS 2 message again, one that breaks the protocol, and a retained message that expires.
    for _ in 0..2 {
        publisher.send(&Packet::Publish(message("good/1", QoS::ExactlyOnce, b"x")));
        assert!(matches!(publisher.next(), Got::PubRec(..)));
    }
    let got = good.message();
    finish(&mut good, &got);
    let mut offender = Client::v5(broker.address, "offender");
    offender.send(&Packet::Publish(message("a/+", QoS::AtMostOnce, b"x")));
    let passing = Publish {
        retain: true,
        ..expired
    };
    publish(&mut publisher, passing);
    broker.until("a retained message has expired", |stats| {
        stats.totals.get(Metric::DroppedRetainedExpired) == 1
    });
    check(
        &broker,
        "a message came twice, and another broke the protocol",
    );
    drop((silent, stuck, offender));
    broker.until("they have gone", |stats| stats.sessions == 5);
    check(&broker, "sessions have ended");

    let stats = broker.stats();
    for metric in REFUSED.into_iter().chain(DROPPED) {
        assert!(stats.totals.get(metric) > 0, "{metric:?} was not tried");
    }
}
