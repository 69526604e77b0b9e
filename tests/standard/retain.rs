//! Retained messages `[3.3.1.3]`.

use crate::peer::{Peer, broker};

/// Retains what the PUBLISH packets say, and waits for the answer to the last one.
fn retain(broker: &crate::kit::TestBroker, publishes: &[&str]) -> Peer {
    let mut peer = Peer::v5(broker, "p");
    for publish in publishes {
        peer.send(publish);
    }
    peer.expect_nothing();
    peer
}

/// [MQTT-3.3.1-5] The last retained message of a topic replaces the one before.
#[test]
fn a_retained_message_replaces_the_last() {
    let broker = broker();
    retain(
        &broker,
        &[
            "31 ['t' [] \"one\"]",
            "31 ['u' [] \"other\"]",
            "31 ['t' [01 01 26 'k' 'v'] \"two\"]",
        ],
    );
    let mut subscriber = Peer::v5(&broker, "s");
    subscriber.ask("82 [0001 [] 't' 00]", "90 [0001 [] 00]");
    subscriber.expect("31 ['t' [01 01 26 'k' 'v'] \"two\"]");
    subscriber.expect_no_retained(&broker);
}

/// [MQTT-3.3.1-6] [MQTT-3.3.1-7] A retained message without payload is delivered, removes what was retained, and is not
/// retained itself.
#[test]
fn an_empty_payload_removes_the_retained_message() {
    let broker = broker();
    let mut watcher = Peer::v5(&broker, "w");
    // Retain As Published.
    watcher.ask("82 [0001 [] 't' 08]", "90 [0001 [] 00]");
    retain(&broker, &["31 ['t' [] \"one\"]", "31 ['t' []]"]);
    watcher.expect("31 ['t' [] \"one\"]");
    watcher.expect("31 ['t' []]");
    let mut subscriber = Peer::v5(&broker, "s");
    subscriber.ask("82 [0001 [] 't' 00]", "90 [0001 [] 00]");
    subscriber.expect_no_retained(&broker);
}

/// [MQTT-3.3.1-8] Without RETAIN nothing is stored, removed or replaced.
#[test]
fn without_retain_nothing_changes() {
    let broker = broker();
    retain(
        &broker,
        &[
            "31 ['t' [] \"kept\"]",
            "30 ['t' [] \"new\"]",
            "30 ['t' []]",
            "30 ['u' [] \"new\"]",
        ],
    );
    let mut subscriber = Peer::v5(&broker, "s");
    subscriber.ask("82 [0001 [] 't' 00 'u' 00]", "90 [0001 [] 00 00]");
    subscriber.expect("31 ['t' [] \"kept\"]");
    subscriber.expect_no_retained(&broker);
}

/// [MQTT-3.3.1-9] [MQTT-3.8.4-4] Retain Handling 0: the retained messages are sent with every SUBSCRIBE.
#[test]
fn retain_handling_0_sends_always() {
    let broker = broker();
    retain(&broker, &["31 ['t/1' [] \"one\"]", "31 ['t/2' [] \"two\"]"]);
    let mut subscriber = Peer::v5(&broker, "s");
    for _ in 0..2 {
        subscriber.ask("82 [0001 [] 't/+' 00]", "90 [0001 [] 00]");
        subscriber.expect_all(&["31 ['t/1' [] \"one\"]", "31 ['t/2' [] \"two\"]"]);
        subscriber.expect_no_retained(&broker);
    }
}

/// [MQTT-3.3.1-10] Retain Handling 1: only with a subscription that is new.
#[test]
fn retain_handling_1_sends_to_new_subscriptions() {
    let broker = broker();
    retain(&broker, &["31 ['t' [] \"one\"]"]);
    let mut subscriber = Peer::v5(&broker, "s");
    subscriber.ask("82 [0001 [] 't' 10]", "90 [0001 [] 00]");
    subscriber.expect("31 ['t' [] \"one\"]");
    subscriber.ask("82 [0001 [] 't' 11]", "90 [0001 [] 01]");
    subscriber.expect_no_retained(&broker);
    subscriber.ask("A2 [0001 [] 't']", "B0 [0001 [] 00]");
    subscriber.ask("82 [0001 [] 't' 10]", "90 [0001 [] 00]");
    subscriber.expect("31 ['t' [] \"one\"]");
}

/// [MQTT-3.3.1-11] Retain Handling 2: never.
#[test]
fn retain_handling_2_sends_nothing() {
    let broker = broker();
    retain(&broker, &["31 ['t' [] \"one\"]"]);
    let mut subscriber = Peer::v5(&broker, "s");
    subscriber.ask("82 [0001 [] 't' 20]", "90 [0001 [] 00]");
    subscriber.expect_no_retained(&broker);
}

/// [MQTT-3.3.1-12] [MQTT-3.3.1-13] Retain As Published decides whether RETAIN is handed on.
#[test]
fn retain_as_published_keeps_the_flag() {
    let broker = broker();
    let mut clears = Peer::v5(&broker, "c");
    clears.ask("82 [0001 [] 't' 00]", "90 [0001 [] 00]");
    let mut keeps = Peer::v5(&broker, "k");
    keeps.ask("82 [0001 [] 't' 08]", "90 [0001 [] 00]");
    retain(&broker, &["31 ['t' [] \"1\"]", "30 ['t' [] \"0\"]"]);
    keeps.expect("31 ['t' [] \"1\"]");
    keeps.expect("30 ['t' [] \"0\"]");
    clears.expect("30 ['t' [] \"1\"]");
    clears.expect("30 ['t' [] \"0\"]");
}
