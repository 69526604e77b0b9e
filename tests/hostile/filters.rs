//! SUBSCRIBE and UNSUBSCRIBE with more filters than anybody needs.

use crate::{
    kit::TestBroker,
    peer::{Peer, broker},
};

/// Class 23: one filter a thousand times is one subscription, answered a thousand times.
#[test]
fn class_23_one_filter_a_thousand_times() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.ask(
        &format!("82 [0001 [] {}]", "'t' 00".repeat(1000)),
        &format!("90 [0001 [] {}]", "00".repeat(1000)),
    );
    assert_eq!(broker.stats().subscriptions, 1);
    peer.send("30 ['t' [] \"x\"]");
    peer.expect("30 ['t' [] \"x\"]");
    peer.expect_nothing();
    peer.ask(
        &format!("A2 [0002 [] {}]", "'t'".repeat(1000)),
        &format!("B0 [0002 [] 00 {}]", "11".repeat(999)),
    );
    assert_eq!(broker.stats().subscriptions, 0);
}

/// Class 23: ten thousand filters to unsubscribe from, most of which were never subscribed to.
#[test]
fn class_23_ten_thousand_filters_to_unsubscribe_from() {
    let broker = TestBroker::with(|config| config.mqtt.max_subscriptions = 10);
    let mut peer = Peer::v5(&broker, "a");
    let filters = |with: &str| -> String {
        let filter = |n: usize| format!("'f/{n}/+' {with}");
        (0..10_000).map(filter).collect()
    };
    peer.ask(
        &format!("82 [0001 [] {}]", filters("00")),
        &format!("90 [0001 [] {} {}]", "00".repeat(10), "97".repeat(9990)),
    );
    peer.ask(
        &format!("A2 [0002 [] {}]", filters("")),
        &format!("B0 [0002 [] {} {}]", "00".repeat(10), "11".repeat(9990)),
    );
    assert_eq!(broker.stats().subscriptions, 0);
}
