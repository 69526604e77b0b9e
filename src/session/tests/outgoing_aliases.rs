//! Topic aliases that the broker sets: the client can always resolve them, and nothing grows over its limits.

use super::kit::*;
use crate::{
    config::Mqtt,
    mqtt::{Connect, Property, Publish},
};

fn with_aliases(most: u16, max_packet_size: u32) -> Broker {
    let mut broker = Broker::new(Mqtt {
        max_topic_alias_out: 100,
        ..Mqtt::default()
    });
    let asked = [
        Property::TopicAliasMaximum(most),
        Property::MaximumPacketSize(max_packet_size),
    ];
    broker.connect(&Connect {
        properties: properties(&asked),
        ..connect(V5)
    });
    broker
}

#[test]
fn every_message_comes_under_its_topic() {
    for most in [1, 2, 3, 4, 100] {
        let mut broker = with_aliases(most, u32::MAX);
        let mut client = Client::new(V5).topic_alias_maximum(most);
        let topics = [
            "one", "two/two", "one", "three", "two/two", "three", "four", "one", "four",
        ];
        for (index, topic) in topics.iter().enumerate() {
            broker.deliver_one(&message(topic, b"x", EVERY_QOS[index % 3]));
        }
        drive_bounded(&mut broker, &mut client, 10);
        let seen: Vec<_> = client.messages.iter().map(|seen| &*seen.topic).collect();
        assert_eq!(seen, topics);
        let named = client
            .messages
            .iter()
            .filter(|seen| seen.properties.as_properties().topic_alias().is_some());
        assert_eq!(named.count() == topics.len(), most >= 4, "{most}");
    }
}

#[test]
fn they_are_set_anew_on_a_new_connection() {
    let mut broker = with_aliases(10, u32::MAX);
    let mut client = Client::new(V5).topic_alias_maximum(10);
    for _ in 0..2 {
        broker.deliver_one(&message("topic", b"x", Q1));
        client.read(&mut broker.wire, usize::MAX);
    }
    broker.lose();
    client.lose();
    let asked = [Property::TopicAliasMaximum(10)];
    broker.connect(&Connect {
        properties: properties(&asked),
        ..connect(V5)
    });
    drive_bounded(&mut broker, &mut client, 5);
    assert_eq!(client.messages.len(), 4);
}

#[test]
fn there_are_none_for_clients_that_want_none() {
    let mut broker = with_aliases(0, u32::MAX);
    for _ in 0..2 {
        broker.deliver_one(&message("topic", b"x", Q0));
    }
    let mut client = Client::new(V5);
    client.read(&mut broker.wire, usize::MAX);
    let mut old = Broker::new(Mqtt {
        max_topic_alias_out: 100,
        ..Mqtt::default()
    });
    old.connect(&connect(V311));
    old.deliver_one(&message("topic", b"x", Q0));
    Client::new(V311).read(&mut old.wire, usize::MAX);
}

/// Setting an alias makes the packet longer, and with it perhaps the lengths in front.
#[test]
fn they_make_no_packet_larger_than_the_client_takes() {
    // Larger than a CONNACK; around the packets in which the length of the properties, that of the packet, or both take another byte.
    let small = (100..140).flat_map(|user| (0..40).map(move |payload| (user, payload)));
    let large = (118..124).flat_map(|user| (16_245..16_260).map(move |payload| (user, payload)));
    for (user, payload) in small.chain(large) {
        let text = "u".repeat(user);
        let list = properties(&[Property::UserProperty("", &text)]);
        let payload = vec![0; payload];
        let publish = Publish {
            properties: list,
            ..message("t", &payload, Q0)
        };
        let size = {
            let mut plain = Broker::connected(V5, Mqtt::default());
            plain.deliver_one(&publish);
            plain.wire.len()
        };
        for most in size..size + 7 {
            let mut broker = with_aliases(10, most as u32);
            let mut client = Client::new(V5)
                .topic_alias_maximum(10)
                .max_packet_size(most);
            for _ in 0..2 {
                broker.deliver_one(&publish);
            }
            drive_bounded(&mut broker, &mut client, 2);
            assert_eq!(client.messages.len(), 2, "{user} {} {most}", payload.len());
        }
    }
}
