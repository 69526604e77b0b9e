//! PUBLISH from a client `[3.3]`: its fixed header, its topic, and its answer.

use crate::peer::{Peer, broker};

/// [MQTT-3.3.1-4] QoS 3 is a Malformed Packet.
#[test]
fn qos_3_is_malformed() {
    let broker = broker();
    for first in ["36", "37", "3E"] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(&format!("{first} ['t' 0001 [] \"x\"]"));
        peer.expect_disconnect(0x81);
    }
}

/// [MQTT-3.3.1-2] DUP with QoS 0 is not accepted.
#[test]
fn dup_with_qos_0_is_malformed() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.send("38 ['t' [] \"x\"]");
    peer.expect_disconnect(0x81);
}

/// [MQTT-2.2.1-2] [MQTT-4.3.1-1] [MQTT-3.3.1-2] With QoS 0 there is no Packet Identifier, neither read nor written,
/// and no DUP.
#[test]
fn qos_0_has_no_packet_identifier() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.ask("82 [0001 [] 't' 02]", "90 [0001 [] 02]");
    // An identifier would be read as the Property Length and what follows.
    peer.send("30 ['t' [] 0001]");
    peer.expect("30 ['t' [] 0001]");
}

/// [MQTT-2.2.1-3] A Packet Identifier of 0 is a Protocol Error.
#[test]
fn packet_identifier_zero_is_a_protocol_error() {
    let broker = broker();
    for packet in [
        "32 ['t' 0000 [] \"x\"]",
        "34 ['t' 0000 [] \"x\"]",
        "62 [0000]",
        "82 [0000 [] 't' 00]",
        "A2 [0000 [] 't']",
    ] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(packet);
        peer.expect_disconnect(0x82);
    }
}

/// [MQTT-3.3.1-3] The broker does not hand on the DUP flag that it received.
#[test]
fn dup_is_not_handed_on() {
    let broker = broker();
    let mut subscriber = Peer::v5(&broker, "s");
    subscriber.ask("82 [0001 [] 't' 02]", "90 [0001 [] 02]");
    let mut publisher = Peer::v5(&broker, "p");
    publisher.ask("3A ['t' 0001 [] \"x\"]", "40 [0001]");
    subscriber.expect("32 ['t' 0001 [] \"x\"]");
    publisher.ask("3C ['t' 0002 [] \"y\"]", "50 [0002]");
    subscriber.expect("34 ['t' 0002 [] \"y\"]");
}

/// [MQTT-3.3.2-1] The Topic Name is the first field and is UTF-8.
#[test]
fn the_topic_name_comes_first_and_is_utf8() {
    let broker = broker();
    for body in [
        "",
        "00",
        "0005 \"topi\"",
        "0002 C328 [] \"x\"",
        "0003 EDA080 [] \"x\"",
    ] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(&format!("30 [{body}]"));
        peer.expect_disconnect(0x81);
    }
}

/// [MQTT-3.3.2-2] [MQTT-4.7.0-1] A Topic Name has no wildcards.
#[test]
fn a_topic_name_with_wildcards_is_refused() {
    let broker = broker();
    for topic in ["#", "+", "a/#", "a/+/b", "a#", "+a"] {
        for header in ["30", "31"] {
            let mut peer = Peer::v5(&broker, "a");
            peer.send(&format!("{header} ['{topic}' [] \"x\"]"));
            peer.expect_disconnect(0x90);
        }
    }
}

/// [MQTT-4.7.3-1] A Topic Name has at least one character, unless an alias stands for it.
#[test]
fn an_empty_topic_name_is_a_protocol_error() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.send("30 ['' [] \"x\"]");
    peer.expect_disconnect(0x82);
}

/// [MQTT-3.3.4-6] A client may not send a Subscription Identifier.
#[test]
fn a_subscription_identifier_from_a_client_is_a_protocol_error() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.send("30 ['t' [0B 01] \"x\"]");
    peer.expect_disconnect(0x82);
}

/// [MQTT-3.3.4-1] [MQTT-3.4.2-1] [MQTT-3.5.2-1] The answer is the one of the QoS, with a code that is defined for it:
/// Success, No Matching Subscribers, Not Authorized, Topic Name Invalid. [MQTT-3.1.2-29] There is no Reason String.
#[test]
fn the_answer_follows_the_qos() {
    let broker = crate::kit::TestBroker::with(|config| config.mqtt.max_topic_levels = 3);
    let mut peer = Peer::v5(&broker, "a");
    peer.send("30 ['t' [] \"x\"]");
    peer.expect_nothing();
    for (topic, code) in [("$SYS/t", " 87"), ("a/b/c/d", " 90"), ("t", " 10")] {
        peer.ask(
            &format!("32 ['{topic}' 0001 [] \"x\"]"),
            &format!("40 [0001{code}]"),
        );
        peer.ask(
            &format!("34 ['{topic}' 0002 [] \"x\"]"),
            &format!("50 [0002{code}]"),
        );
    }
    let mut subscriber = Peer::v5(&broker, "s");
    subscriber.ask("82 [0001 [] 't' 00]", "90 [0001 [] 00]");
    peer.ask("32 ['t' 0003 [] \"x\"]", "40 [0003]");
    peer.ask("34 ['t' 0004 [] \"x\"]", "50 [0004]");
}
