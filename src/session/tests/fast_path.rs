//! Packets that are forwarded as they were read are the same bytes that writing them anew gives.

use std::sync::Arc;

use proptest::prelude::*;

use super::kit::*;
use crate::{
    config::Mqtt,
    mqtt::{BatchBuilder, Connect, Property, Publish, QoS},
    session::Delivery,
    stats::Metric,
};

#[derive(Clone, Debug)]
struct Sent {
    topic: String,
    payload: Vec<u8>,
    qos: QoS,
    retain: bool,
    properties: Vec<Property<'static>>,
}

fn property() -> impl Strategy<Value = Property<'static>> {
    prop_oneof![
        4 => Just(Property::UserProperty("key", "value")),
        1 => Just(Property::MessageExpiryInterval(100)),
        1 => Just(Property::TopicAlias(3)),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    (
        "[a-c/]{1,12}",
        prop::collection::vec(any::<u8>(), 0..200),
        prop_oneof![6 => Just(Q0), 1 => Just(Q1), 1 => Just(Q2)],
        prop::bool::weighted(0.1),
        prop_oneof![6 => Just(Vec::new()), 1 => prop::collection::vec(property(), 1..2)],
    )
        .prop_map(|(topic, payload, qos, retain, properties)| Sent {
            topic,
            payload,
            qos,
            retain,
            properties,
        })
}

proptest! {
    #[test]
    fn both_ways_of_writing_give_the_same_bytes(
        messages in prop::collection::vec(sent(), 1..6),
        from in prop::sample::select(VERSIONS.to_vec()),
        to in prop::sample::select(VERSIONS.to_vec()),
        granted in prop::sample::select(EVERY_QOS.to_vec()),
        retain_as_published in any::<bool>(),
        with_ids in prop::bool::weighted(0.2),
        max_packet_size in prop_oneof![3 => Just(u32::MAX), 1 => 50..250_u32],
        start in 0..3_usize,
    ) {
        let packets: Vec<Publish<'_>> = messages
            .iter()
            .map(|sent| Publish {
                retain: sent.retain,
                properties: properties(&sent.properties),
                ..message(&sent.topic, &sent.payload, sent.qos)
            })
            .collect();
        let delivery = Delivery {
            retain_as_published,
            subscription_ids: with_ids.then(|| Arc::from([5])),
            ..delivery(granted)
        };
        let asked = [Property::MaximumPacketSize(max_packet_size)];
        let asked = Connect { properties: properties(&asked), ..connect(to) };
        let [mut as_read, mut anew] = [0; 2].map(|_| {
            let mut broker = Broker::new(Mqtt::default());
            broker.connect(&asked);
            broker
        });
        anew.now = as_read.now;
        let now = as_read.now;

        let read = batch(&packets, from, now);
        // The same messages, but not as they were read.
        let mut builder = BatchBuilder::default();
        for index in 0..read.len() {
            builder.push_detached(&read.get(index).unwrap(), now);
        }
        let copied = builder.finish(now);
        prop_assert!(copied.verbatim(&(0..copied.len()), to, u32::MAX).is_none());

        let range = start.min(read.len() - 1)..read.len();
        as_read.deliver_range(&read, range.clone(), &delivery);
        anew.deliver_range(&copied, range, &delivery);
        prop_assert_eq!(&as_read.wire, &anew.wire);
        prop_assert_eq!(as_read.outbound().written(), anew.outbound().written());
        for metric in [Metric::MessagesSentQoS0, Metric::MessagesSentQoS1, Metric::DroppedTooLarge] {
            prop_assert_eq!(as_read.count(metric), anew.count(metric));
        }
        read_all(to, &as_read.wire);
    }
}

#[test]
fn the_fast_way_is_taken_where_nothing_changes() {
    let broker = Broker::connected(V5, Mqtt::default());
    let plain = message("t", b"x", Q0);
    let with = |list: &[Property<'_>]| Publish {
        properties: properties(list),
        ..plain
    };
    for (publish, expected) in [
        (plain, true),
        (with(&[Property::UserProperty("a", "b")]), true),
        (with(&[Property::MessageExpiryInterval(5)]), false),
        (with(&[Property::TopicAlias(1)]), false),
        (
            Publish {
                retain: true,
                ..plain
            },
            false,
        ),
        (message("t", b"x", Q1), false),
    ] {
        let batch = batch(&[plain, publish], V5, broker.now);
        let taken = |version, most| batch.verbatim(&(0..2), version, most).is_some();
        assert_eq!(taken(V5, u32::MAX), expected, "{publish:?}");
        assert!(!taken(V311, u32::MAX), "another version");
        assert!(!taken(V5, 5), "larger than the client takes");
    }
}
