//! Topic aliases that a client sets.

use std::time::Duration;

use super::kit::*;
use crate::{
    config::Mqtt,
    mqtt::{PacketType, Property, Publish, ReasonCode},
    session::Violation,
};

fn aliased<'a>(topic: &'a str, alias: u16) -> Publish<'a> {
    let properties = properties(&[Property::TopicAlias(alias)]);
    Publish {
        properties,
        ..message(topic, b"", Q1)
    }
}

fn routed(broker: &mut Broker) -> Vec<String> {
    broker
        .recorder
        .routed
        .drain(..)
        .map(|(topic, ..)| topic)
        .collect()
}

#[test]
fn a_topic_alias_stands_for_the_topic_it_was_set_with() {
    let mut broker = Broker::connected(
        V5,
        Mqtt {
            max_topic_alias: 5,
            ..Mqtt::default()
        },
    );
    for (topic, alias) in [
        ("a", 1),
        ("", 1),
        ("b", 5),
        ("", 1),
        ("", 5),
        ("c", 1),
        ("", 1),
    ] {
        broker.publish(&aliased(topic, alias)).unwrap();
    }
    assert_eq!(routed(&mut broker), ["a", "a", "b", "a", "b", "c", "c"]);
}

#[test]
fn a_topic_alias_that_stands_for_nothing_ends_the_connection() {
    let limits = Mqtt {
        max_topic_alias: 5,
        ..Mqtt::default()
    };
    let none = Mqtt {
        max_topic_alias: 0,
        ..Mqtt::default()
    };
    for (topic, alias, limits, expected) in [
        ("a", 0, &limits, ReasonCode::TopicAliasInvalid),
        ("", 0, &limits, ReasonCode::TopicAliasInvalid),
        ("a", 6, &limits, ReasonCode::TopicAliasInvalid),
        ("", 6, &limits, ReasonCode::TopicAliasInvalid),
        ("a", 1, &none, ReasonCode::TopicAliasInvalid),
        ("", 5, &limits, ReasonCode::ProtocolError),
        ("a/+", 1, &limits, ReasonCode::TopicNameInvalid),
    ] {
        let mut broker = Broker::connected(V5, limits.clone());
        let violation = broker.publish(&aliased(topic, alias)).unwrap_err();
        assert_eq!(violation.reason(), expected, "{topic:?} {alias}");
        assert!(broker.recorder.routed.is_empty());
    }
}

#[test]
fn a_topic_alias_ends_with_its_connection() {
    let mut broker = Broker::connected(V5, Mqtt::default());
    broker.publish(&aliased("a", 1)).unwrap();
    broker.lose();
    broker.connect(&connect(V5));
    assert_eq!(
        broker.publish(&aliased("", 1)),
        Err(Violation::TopicAliasUnknown)
    );
}

#[test]
fn a_topic_alias_is_set_by_a_message_that_is_not_routed() {
    let again = |topic| Publish {
        qos: Q2,
        dup: true,
        ..aliased(topic, 1)
    };
    let mut broker = Broker::connected(V5, Mqtt::default());
    broker.publish(&message("a", b"", Q2)).unwrap();
    broker.lose();
    broker.connect(&connect(V5));
    // Sent again, now with an alias: not routed a second time, but the alias holds.
    broker.publish(&again("a")).unwrap();
    broker.publish(&aliased("", 1)).unwrap();
    assert_eq!(routed(&mut broker), ["a", "a"]);
    // Refused: the alias is as good as the topic, and so refused too.
    broker.publish(&aliased("$SYS/a", 1)).unwrap();
    broker.written();
    broker.publish(&aliased("", 1)).unwrap();
    assert_eq!(
        broker.written(),
        [Seen::Ack(PacketType::PubAck, 1, ReasonCode::NotAuthorized)]
    );
    assert!(broker.recorder.routed.is_empty());
}

#[test]
fn an_aliased_message_expires_as_its_publisher_said() {
    let mut broker = Broker::connected(V5, Mqtt::default());
    let properties = properties(&[Property::TopicAlias(1), Property::MessageExpiryInterval(7)]);
    broker
        .publish(&Publish {
            properties,
            ..message("a", b"", Q0)
        })
        .unwrap();
    assert_eq!(
        broker.recorder.last_expiry,
        Some(broker.now + Duration::from_secs(7))
    );
}
