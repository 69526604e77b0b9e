//! Messages of shared subscriptions whose member has gone.

use super::kit::*;
use crate::{config::Mqtt, session::Orphan};

const MINE: &str = "$share/mine/t";
const OTHER: &str = "$share/other/t";

fn payloads(orphans: &[Orphan]) -> Vec<String> {
    let text = |orphan: &Orphan| {
        let message = orphan.message.as_ref().unwrap();
        assert_eq!(message.topic(), "t");
        String::from_utf8_lossy(message.view().payload).into_owned()
    };
    orphans.iter().map(text).collect()
}

fn deliver(broker: &mut Broker, group: Option<&str>, payload: &str, qos: crate::mqtt::QoS) {
    let delivery = group.map_or_else(|| delivery(Q2), |group| shared(group, Q2));
    let batch = batch(&[message("t", payload.as_bytes(), qos)], V5, broker.now);
    broker.deliver(&batch, &delivery);
}

#[test]
fn unacknowledged_and_waiting_messages_are_taken_in_order() {
    let mut broker = Broker::connected(
        V5,
        Mqtt {
            max_inflight_window: 6,
            ..Mqtt::default()
        },
    );
    for (group, payload, qos) in [
        (Some(MINE), "acknowledged", Q1),
        (Some(MINE), "1", Q1),
        (Some(MINE), "in flight", Q2),
        (Some(OTHER), "a", Q1),
        (None, "own", Q1),
        (Some(MINE), "2", Q1),
        (Some(OTHER), "b", Q2),
        (Some(MINE), "3", Q2),
        (None, "own, waiting", Q2),
        (Some(MINE), "4", Q1),
    ] {
        deliver(&mut broker, group, payload, qos);
    }
    assert_eq!(
        (broker.outbound().inflight(), broker.outbound().queue_len()),
        (6, 4)
    );
    broker.puback(1);
    assert_eq!(
        (broker.outbound().inflight(), broker.outbound().queue_len()),
        (6, 3)
    );
    broker.lose();
    assert_eq!(broker.outbound().groups(), [MINE.into(), OTHER.into()]);

    let mut take = |group| payloads(&broker.session_mut().outbound_mut().take_orphans(group));
    assert_eq!(take(MINE), ["1", "2", "3", "4"]);
    assert_eq!(take(MINE), [""; 0], "taken once");
    // "b" was sent with QoS 2: it stays.
    assert_eq!(take(OTHER), ["a"]);
    assert_eq!(
        (broker.outbound().inflight(), broker.outbound().queue_len()),
        (3, 1)
    );

    broker.connect(&connect(V5));
    let mut client = Client::new(V5);
    drive_bounded(&mut broker, &mut client, 10);
    assert_eq!(client.payloads(), ["in flight", "own", "b", "own, waiting"]);
    let outbound = broker.outbound();
    assert_eq!(
        (
            outbound.inflight(),
            outbound.queue_len(),
            outbound.queue_bytes()
        ),
        (0, 0, 0)
    );
}

#[test]
fn a_released_qos_2_message_is_finished_with_its_member() {
    let mut broker = Broker::connected(V5, Mqtt::default());
    let mut client = Client::new(V5);
    deliver(&mut broker, Some(MINE), "x", Q2);
    client.read(&mut broker.wire, 1);
    let reply = client.reply(0);
    broker.replied(reply);
    broker.lose();
    client.lose();
    assert!(broker.outbound().groups().is_empty());
    assert!(
        broker
            .session_mut()
            .outbound_mut()
            .take_orphans(MINE)
            .is_empty()
    );
    broker.connect(&connect(V5));
    drive_bounded(&mut broker, &mut client, 5);
    assert_eq!(
        (client.payloads(), broker.outbound().inflight()),
        (vec!["x".to_owned()], 0)
    );
}

#[test]
fn room_that_orphans_leave_is_used_and_late_acknowledgements_are_ignored() {
    let mut broker = Broker::connected(
        V5,
        Mqtt {
            max_inflight_window: 2,
            ..Mqtt::default()
        },
    );
    for payload in ["1", "2", "3"] {
        deliver(&mut broker, Some(MINE), payload, Q1);
    }
    broker.lose();
    let orphans = broker.session_mut().outbound_mut().take_orphans(MINE);
    assert_eq!(payloads(&orphans), ["1", "2", "3"]);
    broker.connect(&connect(V5));
    broker.puback(1);
    let mut client = Client::new(V5).receive_maximum(2);
    for payload in ["4", "5", "6", "7"] {
        deliver(&mut broker, None, payload, Q1);
    }
    assert_eq!(broker.outbound().inflight(), 2);
    drive_bounded(&mut broker, &mut client, 10);
    assert_eq!(client.payloads(), ["4", "5", "6", "7"]);
}
