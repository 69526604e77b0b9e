//! The queue behind the window: its limits, and what happens at them.

use super::kit::*;
use crate::{
    config::{Mqtt, MqueuePolicy},
    mqtt::{Message, Property},
    stats::Metric,
};

/// What a client reads that was away while these payloads were sent.
fn kept(limits: Mqtt, payloads: &[&[u8]]) -> (Broker, Vec<usize>) {
    let mut broker = Broker::new(limits);
    for payload in payloads {
        broker.deliver_one(&message("t", payload, Q1));
    }
    let (limits, outbound) = (&broker.limits, broker.outbound());
    assert!(outbound.queue_len() <= limits.max_mqueue_len);
    assert!(outbound.queue_bytes() <= limits.max_mqueue_bytes);
    broker.connect(&connect(V5));
    let mut client = Client::new(V5);
    drive_bounded(&mut broker, &mut client, 20);
    let lens = client
        .messages
        .iter()
        .map(|seen| seen.payload.len())
        .collect();
    (broker, lens)
}

/// Bytes that a message counts for.
fn size(payload: &[u8]) -> usize {
    Message::new(
        "t",
        payload,
        Q1,
        false,
        properties(&[]),
        Broker::new(Mqtt::default()).now,
    )
    .size()
}

#[test]
fn its_limits_hold_with_either_policy() {
    use MqueuePolicy::{DropOldest, Reject};
    let payloads: Vec<Vec<u8>> = (1..=5).map(|len| vec![0; len]).collect();
    let payloads: Vec<&[u8]> = payloads.iter().map(|payload| &payload[..]).collect();
    let three = size(&[0; 3]) * 3;
    for (policy, messages, bytes, expected) in [
        (DropOldest, 5, usize::MAX, vec![1, 2, 3, 4, 5]),
        (DropOldest, 3, usize::MAX, vec![3, 4, 5]),
        (Reject, 3, usize::MAX, vec![1, 2, 3]),
        (DropOldest, 0, usize::MAX, vec![]),
        (Reject, 0, usize::MAX, vec![]),
        (DropOldest, 9, three + 2, vec![4, 5]),
        (DropOldest, 9, three + 3, vec![3, 4, 5]),
        (Reject, 9, three, vec![1, 2, 3]),
        (DropOldest, 9, 0, vec![]),
        (Reject, 9, 0, vec![]),
    ] {
        let limits = Mqtt {
            mqueue_policy: policy,
            max_mqueue_len: messages,
            max_mqueue_bytes: bytes,
            ..Mqtt::default()
        };
        let (broker, lens) = kept(limits, &payloads);
        let case = format!("{policy:?} {messages} {bytes}");
        assert_eq!(lens, expected, "{case}");
        let dropped = 5 - expected.len() as u64;
        assert_eq!(broker.count(Metric::DroppedQueueFull), dropped, "{case}");
        assert_eq!(broker.outbound().dropped(), dropped, "{case}");
        assert_eq!(
            (
                broker.outbound().queue_len(),
                broker.outbound().queue_bytes()
            ),
            (0, 0)
        );
    }
}

#[test]
fn a_message_that_can_never_fit_drives_no_other_out() {
    for policy in [MqueuePolicy::DropOldest, MqueuePolicy::Reject] {
        let limits = Mqtt {
            mqueue_policy: policy,
            max_mqueue_bytes: 1000,
            ..Mqtt::default()
        };
        let (broker, lens) = kept(limits, &[&[0; 1], &[0; 2], &[0; 1000], &[0; 3]]);
        assert_eq!(lens, [1, 2, 3]);
        assert_eq!(broker.count(Metric::DroppedQueueFull), 1);
    }
}

#[test]
fn a_smaller_limit_holds_from_the_next_message_on() {
    let mut broker = Broker::new(Mqtt::default());
    for _ in 0..10 {
        broker.deliver_one(&message("t", b"x", Q1));
    }
    broker.limits.max_mqueue_len = 4;
    broker.deliver_one(&message("t", b"x", Q1));
    assert_eq!(broker.outbound().queue_len(), 4);
    assert_eq!(broker.count(Metric::DroppedQueueFull), 7);
}

#[test]
fn qos_0_does_not_wait_for_a_client_that_is_away() {
    let mut broker = Broker::new(Mqtt::default());
    broker.deliver_one(&message("t", b"x", Q0));
    assert_eq!(broker.count(Metric::DroppedOffline), 1);
    assert_eq!(
        (broker.outbound().queue_len(), broker.outbound().dropped()),
        (0, 1)
    );
}

#[test]
fn a_session_that_ends_counts_what_is_lost_with_it() {
    let mut broker = Broker::connected(
        V5,
        Mqtt {
            max_inflight_window: 3,
            ..Mqtt::default()
        },
    );
    for qos in [Q1, Q2, Q2, Q1, Q2] {
        broker.deliver_one(&message("t", b"x", qos));
    }
    let mut client = Client::new(V5);
    client.read(&mut broker.wire, usize::MAX);
    // The client has the second message: PUBREC is in.
    let reply = client.reply(1);
    broker.replied(reply);
    broker.lose();
    broker.discard();
    assert_eq!(broker.count(Metric::DroppedSessionEnded), 4);
    let outbound = broker.outbound();
    assert_eq!(
        (
            outbound.queue_len(),
            outbound.queue_bytes(),
            outbound.inflight()
        ),
        (0, 0, 0)
    );
}

#[test]
fn new_messages_stay_behind_those_that_wait() {
    let limits = Mqtt {
        max_inflight_window: 1,
        ..Mqtt::default()
    };
    let mut broker = Broker::connected(V5, limits);
    let mut client = Client::new(V5).receive_maximum(1);
    for (payload, qos) in [(b"1", Q1), (b"2", Q2), (b"3", Q1)] {
        broker.deliver_one(&message("t", payload, qos));
    }
    broker.lose();
    client.lose();
    broker.deliver_one(&message("t", b"4", Q2));
    broker.connect(&connect(V5));
    broker.deliver_one(&message("t", b"5", Q1));
    let expiring = properties(&[Property::MessageExpiryInterval(100)]);
    broker.deliver_one(&crate::mqtt::Publish {
        properties: expiring,
        ..message("t", b"6", Q2)
    });
    drive_bounded(&mut broker, &mut client, 20);
    assert_eq!(client.payloads(), ["1", "2", "3", "4", "5", "6"]);
}

#[test]
fn room_in_the_output_is_for_the_message_that_waits_longest() {
    let limits = Mqtt {
        max_output_buffer: 1,
        ..Mqtt::default()
    };
    let mut broker = Broker::connected(V5, limits);
    let mut client = Client::new(V5);
    for payload in [b"1", b"2"] {
        broker.deliver_one(&message("t", payload, Q1));
    }
    client.read(&mut broker.wire, 1);
    // The output has room, but the second message has not moved up yet.
    broker.deliver_one(&message("t", b"3", Q1));
    drive_bounded(&mut broker, &mut client, 10);
    assert_eq!(client.payloads(), ["1", "2", "3"]);
}
