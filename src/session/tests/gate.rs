//! Topics that a client may not publish to.

use super::kit::*;
use crate::{
    config::Mqtt,
    mqtt::{PacketId, Properties, PropertiesBuf, Property, Publish, QoS, ReasonCode},
    session::{GateAnswer, Violation},
    stats::Metric,
};

fn publish<'a>(topic: &'a str, qos: QoS, properties: Properties<'a>) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id: PacketId::new(7).filter(|_| qos > QoS::AtMostOnce),
        properties,
        payload: b"x",
    }
}

#[test]
fn a_message_that_is_not_permitted_is_dropped_counted_and_answered() {
    for (qos, answers) in [
        (QoS::AtMostOnce, 0),
        (QoS::AtLeastOnce, 1),
        (QoS::ExactlyOnce, 1),
    ] {
        let mut broker = Broker::connected(V5, Mqtt::default());
        broker.gate.answer = GateAnswer::Drop;
        broker
            .publish(&publish("t", qos, Properties::EMPTY))
            .unwrap();
        assert!(broker.recorder.routed.is_empty());
        assert_eq!(broker.count(Metric::DroppedNotPermitted), 1);
        let written = broker.written();
        assert_eq!(written.len(), answers);
        let code = format!("{:?}", ReasonCode::NotAuthorized);
        assert!(
            written
                .iter()
                .all(|seen| format!("{seen:?}").contains(&code)),
            "{written:?}"
        );
        // It may be sent again under the same identifier.
        broker.gate.answer = GateAnswer::Always;
        broker
            .publish(&publish("t", qos, Properties::EMPTY))
            .unwrap();
        assert_eq!(broker.recorder.routed.len(), 1);
    }
}

#[test]
fn deny_action_disconnect_closes() {
    let mut broker = Broker::connected(V5, Mqtt::default());
    broker.gate.answer = GateAnswer::Close;
    let closed = broker.publish(&publish("t", QoS::AtLeastOnce, Properties::EMPTY));
    assert_eq!(closed, Err(Violation::NotPermitted));
    assert_eq!(Violation::NotPermitted.reason(), ReasonCode::NotAuthorized);
}

#[test]
fn a_topic_that_is_always_permitted_is_asked_about_once() {
    let mut broker = Broker::connected(V5, Mqtt::default());
    for (topic, answer, asked) in [
        ("a", GateAnswer::Always, 1),
        ("a", GateAnswer::Always, 1),
        ("b", GateAnswer::Now, 2),
        ("b", GateAnswer::Now, 3),
        ("c", GateAnswer::Drop, 4),
        ("c", GateAnswer::Drop, 5),
        ("a", GateAnswer::Always, 5),
    ] {
        broker.gate.answer = answer;
        broker
            .publish(&publish(topic, QoS::AtMostOnce, Properties::EMPTY))
            .unwrap();
        assert_eq!(broker.gate.asked, asked, "{topic}");
    }
    broker.channel_mut().forget_topic();
    broker
        .publish(&publish("a", QoS::AtMostOnce, Properties::EMPTY))
        .unwrap();
    assert_eq!(broker.gate.asked, 6);
}

#[test]
fn a_packet_whose_topic_is_asked_about_changes_nothing_until_the_answer() {
    let mut alias = PropertiesBuf::default();
    alias.push(Property::TopicAlias(1));
    for properties in [Properties::EMPTY, alias.as_properties()] {
        let mut broker = Broker::connected(V5, Mqtt::default());
        broker.gate.answer = GateAnswer::Ask;
        let packet = publish("t", QoS::ExactlyOnce, properties);
        broker.publish(&packet).unwrap();
        assert_eq!(broker.asked.as_deref(), Some("t"));
        assert!(broker.written().is_empty() && broker.recorder.routed.is_empty());
        broker.gate.answer = GateAnswer::Now;
        broker.publish(&packet).unwrap();
        assert_eq!(broker.asked, None);
        assert_eq!(broker.written().len(), 1);
        assert_eq!(broker.recorder.routed.len(), 1);
    }
}

#[test]
fn what_may_no_longer_be_received_leaves_the_queue() {
    let small = Mqtt {
        max_inflight_window: 1,
        ..Mqtt::default()
    };
    let mut broker = Broker::connected(V5, small);
    for topic in ["a", "b", "c", "b"] {
        broker.deliver_one(&publish(topic, QoS::AtLeastOnce, Properties::EMPTY));
    }
    broker.written();
    assert_eq!(
        (broker.outbound().inflight(), broker.outbound().queue_len()),
        (1, 3)
    );
    let (bytes, counters) = (broker.outbound().queue_bytes(), Default::default());
    // What was sent is the client's.
    broker.channel_mut().purge(|topic| topic == "c", &counters);
    assert_eq!(
        (broker.outbound().inflight(), broker.outbound().queue_len()),
        (1, 1)
    );
    assert_eq!(broker.outbound().queue_bytes() * 3, bytes);
    // What is to be sent again after a reconnect is not.
    broker.lose();
    broker
        .session_mut()
        .outbound_mut()
        .purge(|topic| topic == "c", &counters);
    assert_eq!(
        (broker.outbound().inflight(), broker.outbound().queue_len()),
        (0, 1)
    );
}
