//! UNSUBSCRIBE and UNSUBACK `[3.10]`, `[3.11]`.

use crate::peer::{Peer, broker};

/// [MQTT-3.10.1-1] The reserved bits of the fixed header are 0010.
#[test]
fn the_reserved_bits_are_checked() {
    let broker = broker();
    for first in ["A0", "A1", "A3", "A6", "AA"] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(&format!("{first} [0001 [] 't']"));
        peer.expect_disconnect(0x81);
    }
}

/// [MQTT-3.10.3-1] Topic Filters are UTF-8 Encoded Strings.
#[test]
fn topic_filters_are_utf8() {
    let broker = broker();
    for filter in ["0001 FF", "0001 00", "0005 \"t\""] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(&format!("A2 [0001 [] {filter}]"));
        peer.expect_disconnect(0x81);
    }
}

/// [MQTT-3.10.3-2] There is at least one Topic Filter.
#[test]
fn at_least_one_topic_filter_is_needed() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.send("A2 [0001 []]");
    peer.expect_disconnect(0x82);
}

/// [MQTT-3.10.4-1] Filters are compared character by character: one that only matches the same topics is another.
#[test]
fn filters_are_compared_character_by_character() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.ask(
        "82 [0001 [] 't/+' 00 '$share/g/t/+' 00]",
        "90 [0001 [] 00 00]",
    );
    peer.ask(
        "A2 [0001 [] 't/1' 't/#' 'T/+' 't/+/' '#' '$share/h/t/+' 't/#x']",
        "B0 [0001 [] 11 11 11 11 11 11 11]",
    );
    let mut publisher = Peer::v5(&broker, "p");
    publisher.ask("32 ['t/1' 0001 [] \"x\"]", "40 [0001]");
    // The plain and the shared subscription, a copy each.
    peer.expect("30 ['t/1' [] \"x\"]");
    peer.expect("30 ['t/1' [] \"x\"]");
    peer.ask("A2 [0002 [] 't/+']", "B0 [0002 [] 00]");
    publisher.ask("32 ['t/1' 0001 [] \"y\"]", "40 [0001]");
    peer.expect("30 ['t/1' [] \"y\"]");
    peer.ask("A2 [0003 [] '$share/g/t/+']", "B0 [0003 [] 00]");
    publisher.ask("32 ['t/1' 0001 [] \"z\"]", "40 [0001 10]");
    peer.expect_nothing();
}

/// [MQTT-3.10.4-2] After UNSUBACK no message is added.
#[test]
fn after_unsuback_no_message_is_added() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.ask("82 [0001 [] 't' 00]", "90 [0001 [] 00]");
    let mut publisher = Peer::v5(&broker, "p");
    publisher.ask("32 ['t' 0001 [] \"x\"]", "40 [0001]");
    peer.expect("30 ['t' [] \"x\"]");
    peer.ask("A2 [0001 [] 't']", "B0 [0001 [] 00]");
    publisher.ask("32 ['t' 0001 [] \"y\"]", "40 [0001 10]");
    peer.expect_nothing();
}

/// [MQTT-3.10.4-3] A delivery that has begun is completed, on the next connection too.
#[test]
fn deliveries_that_have_begun_are_completed() {
    let broker = broker();
    let mut peer = Peer::kept(&broker, "a", false);
    peer.ask("82 [0001 [] 't' 02]", "90 [0001 [] 02]");
    let mut publisher = Peer::v5(&broker, "p");
    publisher.ask("32 ['t' 0001 [] \"1\"]", "40 [0001]");
    publisher.ask("34 ['t' 0002 [] \"2\"]", "50 [0002]");
    peer.expect("32 ['t' 0001 [] \"1\"]");
    peer.expect("34 ['t' 0002 [] \"2\"]");
    peer.ask("A2 [0001 [] 't']", "B0 [0001 [] 00]");
    drop(peer);
    crate::peer::until_connected(&broker, 1);
    let mut again = Peer::kept(&broker, "a", true);
    again.expect("3A ['t' 0001 [] \"1\"]");
    again.expect("3C ['t' 0002 [] \"2\"]");
    again.send("40 [0001]");
    again.ask("50 [0002]", "62 [0002]");
}

/// [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-2.2.1-6] UNSUBSCRIBE is answered by UNSUBACK with its identifier, whether
/// there was a subscription or not.
#[test]
fn unsubscribe_is_answered_with_its_identifier() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    for id in ["0001", "00FF", "0100", "FFFF"] {
        peer.ask(&format!("A2 [{id} [] 't']"), &format!("B0 [{id} [] 11]"));
    }
}

/// [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2] Several filters are answered as so many UNSUBSCRIBE packets, by one
/// UNSUBACK with a code each, in their order.
#[test]
fn several_filters_are_answered_one_by_one() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.ask("82 [0001 [] 'a' 00 'b' 00]", "90 [0001 [] 00 00]");
    peer.ask(
        "A2 [0002 [] 'b' 'a' 'x' 'b' 'y']",
        "B0 [0002 [] 00 00 11 11 11]",
    );
}
