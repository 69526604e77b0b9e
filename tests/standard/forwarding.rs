//! What a subscriber gets of a PUBLISH: its properties `[3.3.2.3]`, its QoS `[3.8.4]`, its time.

use crate::peer::{Peer, broker};

fn subscribed(broker: &crate::kit::TestBroker, id: &str, options: &str) -> Peer {
    let mut peer = Peer::v5(broker, id);
    let granted = u8::from_str_radix(options, 16).unwrap() & 3;
    peer.ask(
        &format!("82 [0001 [] 't' {options}]"),
        &format!("90 [0001 [] {granted:02X}]"),
    );
    peer
}

/// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20] Payload Format
/// Indicator, Response Topic, Correlation Data, User Properties in their order, and Content Type go to every subscriber
/// as they came, with each QoS.
#[test]
fn properties_are_forwarded_unaltered() {
    let broker = broker();
    let mut plain = subscribed(&broker, "s0", "00");
    let mut exact = subscribed(&broker, "s2", "02");
    let mut publisher = Peer::v5(&broker, "p");
    let properties = "26 'z' '1' 01 01 08 'answer/to' 09 0004 00FF0001 26 'a' '2' 03 'text/plain' 26 'z' '1' 26 '' ''";
    publisher.send(&format!("30 ['t' [{properties}] \"x\"]"));
    plain.expect(&format!("30 ['t' [{properties}] \"x\"]"));
    exact.expect(&format!("30 ['t' [{properties}] \"x\"]"));
    publisher.send(&format!("34 ['t' 0001 [{properties}] \"x\"]"));
    plain.expect(&format!("30 ['t' [{properties}] \"x\"]"));
    exact.expect(&format!("34 ['t' 0001 [{properties}] \"x\"]"));
    // With a topic alias the message goes another way through the broker.
    publisher.send(&format!("30 ['t' [{properties} 23 0001] \"x\"]"));
    plain.expect(&format!("30 ['t' [{properties}] \"x\"]"));
    exact.expect(&format!("30 ['t' [{properties}] \"x\"]"));
}

/// [MQTT-3.3.2-4] [MQTT-3.3.2-15] They are the same in a retained message.
#[test]
fn a_retained_message_keeps_its_properties() {
    let broker = broker();
    let mut publisher = Peer::v5(&broker, "p");
    let properties = "01 00 08 'answer' 09 0001 00 26 'b' '1' 26 'a' '2' 03 'type'";
    publisher.send(&format!("31 ['t' [{properties}] \"x\"]"));
    publisher.expect_nothing();
    let mut later = subscribed(&broker, "s", "00");
    later.expect(&format!("31 ['t' [{properties}] \"x\"]"));
}

/// [MQTT-3.3.2-13] [MQTT-3.3.2-14] [MQTT-3.3.2-19] Response Topic and Content Type are UTF-8, a Response Topic has no
/// wildcards.
#[test]
fn response_topic_and_content_type_are_checked() {
    let broker = broker();
    for (property, code) in [
        ("08 0001 FF", 0x81),
        ("08 0001 00", 0x81),
        ("03 0001 FF", 0x81),
        ("03 0001 00", 0x81),
        ("08 'a/#'", 0x82),
        ("08 'a/+/b'", 0x82),
    ] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(&format!("30 ['t' [{property}] \"x\"]"));
        peer.expect_disconnect(code);
    }
}

/// [MQTT-3.3.2-5] [MQTT-3.3.2-6] A message that waits is deleted when its interval has passed; one that is delivered in
/// time tells what is left.
#[test]
fn the_expiry_interval_counts_down() {
    let broker = broker();
    let mut away = Peer::kept(&broker, "s", false);
    away.ask("82 [0001 [] 't' 01]", "90 [0001 [] 01]");
    drop(away);
    crate::peer::until_connected(&broker, 0);
    let mut publisher = Peer::v5(&broker, "p");
    publisher.ask("32 ['t' 0001 [02 00000001] \"short\"]", "40 [0001]");
    publisher.ask("33 ['t' 0002 [02 00000E10] \"long\"]", "40 [0002]");
    publisher.ask("33 ['u' 0003 [02 00000001] \"short\"]", "40 [0003 10]");
    let mut clock = Peer::v5(&broker, "c");
    clock.ask("82 [0001 [] 'clock' 00]", "90 [0001 [] 00]");
    // A will that comes after two seconds is the clock.
    drop(Peer::connect(
        &broker,
        "10 ['MQTT' 05 06 0000 [11 00000064] 'd' [18 00000002] 'clock' '']",
    ));
    clock.expect("30 ['clock' []]");
    let mut back = Peer::kept(&broker, "s", true);
    let waited = back.next().unwrap();
    let mut retained = Peer::v5(&broker, "r");
    retained.ask("82 [0001 [] 't' 00 'u' 00]", "90 [0001 [] 00 00]");
    let kept = retained.next().unwrap();
    retained.expect_no_retained(&broker);
    // At least two of the 3600 seconds have passed, and not a minute.
    for (packet, at, payload) in [(&waited, 9, b"long"), (&kept, 7, b"long")] {
        let left = u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
        assert!((3540..=3598).contains(&left), "{left}");
        assert!(packet.ends_with(payload));
    }
    back.expect_nothing();
}

/// [MQTT-3.8.4-8] [MQTT-3.8.4-7] A message has the lower of its own QoS and the one that was granted.
#[test]
fn the_lower_qos_holds() {
    let broker = broker();
    let mut subscribers = [
        subscribed(&broker, "s0", "00"),
        subscribed(&broker, "s1", "01"),
        subscribed(&broker, "s2", "02"),
    ];
    let mut publisher = Peer::v5(&broker, "p");
    publisher.send("30 ['t' [] \"a\"]");
    publisher.ask("32 ['t' 0001 [] \"b\"]", "40 [0001]");
    publisher.ask("34 ['t' 0001 [] \"c\"]", "50 [0001]");
    let expected = [
        [
            "30 ['t' [] \"a\"]",
            "30 ['t' [] \"b\"]",
            "30 ['t' [] \"c\"]",
        ],
        [
            "30 ['t' [] \"a\"]",
            "32 ['t' 0001 [] \"b\"]",
            "32 ['t' 0002 [] \"c\"]",
        ],
        [
            "30 ['t' [] \"a\"]",
            "32 ['t' 0001 [] \"b\"]",
            "34 ['t' 0002 [] \"c\"]",
        ],
    ];
    for (subscriber, expected) in subscribers.iter_mut().zip(expected) {
        for packet in expected {
            subscriber.expect(packet);
        }
    }
}

/// [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4] Overlapping subscriptions: the highest QoS, and the identifiers of all
/// that have one, in one copy.
#[test]
fn overlapping_subscriptions_give_one_copy() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "s");
    peer.ask("82 [0001 [0B 0A] 't/#' 00]", "90 [0001 [] 00]");
    peer.ask("82 [0002 [0B FF7F] 't/+' 02]", "90 [0002 [] 02]");
    peer.ask("82 [0003 [] 't/1' 01]", "90 [0003 [] 01]");
    let mut publisher = Peer::v5(&broker, "p");
    publisher.ask("34 ['t/1' 0001 [] \"x\"]", "50 [0001]");
    let copy = peer.next().unwrap();
    let (one, other) = (
        "34 ['t/1' 0001 [0B 0A 0B FF7F] \"x\"]",
        "34 ['t/1' 0001 [0B FF7F 0B 0A] \"x\"]",
    );
    let either = [one, other].map(crate::notation::bytes);
    assert!(either.contains(&copy), "{}", crate::peer::hex(&copy));
    peer.expect_nothing();
    // A message that one of them matches has the identifier of that one.
    publisher.ask("32 ['t/1/2' 0001 [] \"x\"]", "40 [0001]");
    peer.expect("30 ['t/1/2' [0B 0A] \"x\"]");
}

/// [MQTT-3.3.4-5] Several copies - here those of a retained message, one for each SUBSCRIBE - have the identifier of
/// their own subscription.
#[test]
fn each_copy_has_its_subscription_identifier() {
    let broker = broker();
    let mut publisher = Peer::v5(&broker, "p");
    publisher.send("31 ['t/1' [] \"x\"]");
    publisher.expect_nothing();
    let mut peer = Peer::v5(&broker, "s");
    peer.ask("82 [0001 [0B 01] 't/#' 00]", "90 [0001 [] 00]");
    peer.expect("31 ['t/1' [0B 01] \"x\"]");
    peer.ask("82 [0002 [0B 02] 't/+' 00]", "90 [0002 [] 00]");
    peer.expect("31 ['t/1' [0B 02] \"x\"]");
    peer.ask("82 [0003 [] '+/1' 00]", "90 [0003 [] 00]");
    peer.expect("31 ['t/1' [] \"x\"]");
    peer.expect_no_retained(&broker);
}

/// [MQTT-3.3.2-3] The Topic Name that a subscriber gets is the one published to, which its filter matches.
#[test]
fn a_subscriber_gets_the_topic_name_that_was_published_to() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "s");
    peer.ask("82 [0001 [] '+/x/#' 00 '/a' 00]", "90 [0001 [] 00 00]");
    let mut publisher = Peer::v5(&broker, "p");
    for topic in ["other", "1/x", "x", "2/x/y/z", "2/y/x", "a", "/a", "/x/"] {
        publisher.send(&format!("30 ['{topic}' [] \"m\"]"));
    }
    for topic in ["1/x", "2/x/y/z", "/a", "/x/"] {
        peer.expect(&format!("30 ['{topic}' [] \"m\"]"));
    }
}
