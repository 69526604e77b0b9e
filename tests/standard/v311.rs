//! Where MQTT 3.1.1, and 3.1, differ from 5.0.

use nanomq::config::Secret;

use crate::{
    kit::TestBroker,
    peer::{Peer, broker, until_connected},
};

/// A 3.1.1 client with Clean Session 0; `present` is the Session Present flag that it expects.
fn kept(broker: &TestBroker, id: &str, present: bool) -> Peer {
    let mut peer = Peer::open(broker);
    peer.send(&format!("10 ['MQTT' 04 00 0000 '{id}']"));
    peer.expect(&format!("20 [{:02X} 00]", u8::from(present)));
    peer
}

/// [MQTT-3.1.2-2 of 3.1.1] A protocol level that is not supported is answered with return code 0x01.
#[test]
fn an_unsupported_level_has_return_code_1() {
    let broker = TestBroker::with(|config| config.mqtt.protocol_versions = vec![5]);
    for connect in ["'MQTT' 04 02 0000 'a'", "'MQIsdp' 03 02 0000 'a'"] {
        let mut peer = Peer::open(&broker);
        peer.send(&format!("10 [{connect}]"));
        peer.expect("20 [00 01]");
        peer.expect_end();
    }
}

/// [MQTT-3.1.2-3 of 3.1.1] [MQTT-3.1.2-11 of 3.1.1] [MQTT-3.1.2-22 of 3.1.1] [MQTT-3.1.4-1 of 3.1.1] A CONNECT that is
/// not valid is not answered: the connection is closed.
#[test]
fn an_invalid_connect_is_closed_without_an_answer() {
    let broker = broker();
    for (rest, why) in [
        ("04 03 0000 'a'", "reserved flag"),
        (
            "04 42 0000 'a' 'p'",
            "password without user name, which 5.0 allows",
        ),
        ("04 0A 0000 'a'", "will QoS without a will"),
        ("04 22 0000 'a'", "will retain without a will"),
        ("04 1E 0000 'a' 'w' 'm'", "will QoS 3"),
        ("04 06 0000 'a' 'w'", "no will message"),
        ("04 02 0000 'a' []", "bytes behind the payload"),
        ("04 02 0000 0001 FF", "not UTF-8"),
    ] {
        let mut peer = Peer::open(&broker);
        peer.send(&format!("10 ['MQTT' {rest}]"));
        assert!(!why.is_empty());
        peer.expect_end();
    }
}

/// [MQTT-3.1.3-7 of 3.1.1] [MQTT-3.1.3-8 of 3.1.1] Without a Client Identifier a client must have Clean Session 1; it is
/// not told the one that it is given.
#[test]
fn an_empty_client_identifier_needs_a_clean_session() {
    let broker = broker();
    let mut peer = Peer::open(&broker);
    peer.send("10 ['MQTT' 04 00 0000 '']");
    peer.expect("20 [00 02]");
    peer.expect_end();
    let mut first = Peer::v311(&broker, "");
    let mut second = Peer::v311(&broker, "");
    first.expect_nothing();
    second.expect_nothing();
}

/// [MQTT-3.1.3-9 of 3.1.1] [MQTT-3.2.2-4 of 3.1.1] [MQTT-3.2.2-5 of 3.1.1] Refusals have the return codes of 3.1.1, and
/// end the connection.
#[test]
fn refusals_have_the_return_codes_of_3_1_1() {
    let broker = TestBroker::with(|config| {
        config.mqtt.max_clientid_len = 5;
        config.mqtt.max_sessions = 1;
        config.auth.allow_anonymous = false;
        config.auth.password = vec![("u".to_owned(), Secret::new("p"))];
    });
    for (rest, code) in [
        ("04 C2 0000 'too long' 'u' 'p'", 2),
        ("04 C2 0000 'a' 'u' 'wrong'", 4),
        ("04 02 0000 'a'", 5),
        ("04 C0 0000 'a' 'u' 'p'", 0),
        // Another session is one too many: server unavailable.
        ("04 C2 0000 'b' 'u' 'p'", 3),
        // There is a session, but a refusal does not say so.
        ("04 C0 0000 'a' 'u' 'wrong'", 4),
    ] {
        let mut peer = Peer::open(&broker);
        peer.send(&format!("10 ['MQTT' {rest}]"));
        peer.expect(&format!("20 [00 {code:02X}]"));
        if code == 0 {
            peer.send("E0 []");
        }
        peer.expect_end();
    }
}

/// [MQTT-3.1.2-4 of 3.1.1] [MQTT-3.1.2-5 of 3.1.1] [MQTT-3.2.2-2 of 3.1.1] [MQTT-3.2.2-3 of 3.1.1] Clean Session 0: the
/// session is kept after the connection, with messages of QoS 1 and 2.
#[test]
fn a_session_is_kept_without_clean_session() {
    let broker = broker();
    let mut peer = kept(&broker, "a", false);
    peer.ask("82 [0001 't' 02]", "90 [0001 02]");
    // Not even a DISCONNECT ends it.
    peer.send("E0 []");
    peer.expect_end();
    let mut publisher = Peer::v5(&broker, "p");
    publisher.send("30 ['t' [] \"0\"]");
    publisher.ask("32 ['t' 0001 [26 'k' 'v'] \"1\"]", "40 [0001]");
    publisher.ask("34 ['t' 0002 [] \"2\"]", "50 [0002]");
    let mut peer = kept(&broker, "a", true);
    peer.expect("32 ['t' 0001 \"1\"]");
    peer.expect("34 ['t' 0002 \"2\"]");
    peer.expect_nothing();
}

/// [MQTT-3.1.2-6 of 3.1.1] [MQTT-3.2.2-1 of 3.1.1] Clean Session 1 begins anew and leaves nothing behind, not even for a
/// connection that takes over with Clean Session 0.
#[test]
fn a_clean_session_is_never_reused() {
    let broker = broker();
    let mut first = kept(&broker, "a", false);
    first.ask("82 [0001 't' 01]", "90 [0001 01]");
    let mut clean = Peer::v311(&broker, "a");
    first.expect_end();
    clean.ask("82 [0001 'u' 01]", "90 [0001 01]");
    let mut third = kept(&broker, "a", false);
    clean.expect_end();
    let mut publisher = Peer::v5(&broker, "p");
    publisher.ask("32 ['t' 0001 [] \"x\"]", "40 [0001 10]");
    publisher.ask("32 ['u' 0001 [] \"x\"]", "40 [0001 10]");
    third.expect_nothing();
}

/// [MQTT-3.1.2-7 of 3.1.1] Retained messages are no part of a session.
#[test]
fn retained_messages_outlive_the_session() {
    let broker = broker();
    let mut peer = Peer::v311(&broker, "a");
    peer.send("31 ['t' \"kept\"] E0 []");
    peer.expect_end();
    let mut later = Peer::v311(&broker, "a");
    later.ask("82 [0001 't' 00]", "90 [0001 00]");
    later.expect("31 ['t' \"kept\"]");
}

/// [MQTT-3.1.4-2 of 3.1.1] A client that is taken over is disconnected: 3.1.1 has no packet that says why.
#[test]
fn a_takeover_closes_without_a_packet() {
    let broker = broker();
    let mut first = Peer::v311(&broker, "a");
    let mut second = Peer::v311(&broker, "a");
    first.expect_end();
    second.expect_nothing();
}

/// [MQTT-3.3.1-6 of 3.1.1] [MQTT-3.3.1-7 of 3.1.1] [MQTT-3.3.1-8 of 3.1.1] [MQTT-3.3.1-9 of 3.1.1] RETAIN is set on what a
/// new subscription gets, and on nothing else; a retained message of QoS 0 replaces one of QoS 2.
#[test]
fn retain_is_set_for_new_subscriptions_only() {
    let broker = broker();
    let mut established = Peer::v311(&broker, "e");
    established.ask("82 [0001 't' 02]", "90 [0001 02]");
    let mut publisher = Peer::v311(&broker, "p");
    publisher.ask("35 ['t' 0001 \"two\"]", "50 [0001]");
    publisher.send("31 ['t' \"zero\"]");
    established.expect("34 ['t' 0001 \"two\"]");
    established.expect("30 ['t' \"zero\"]");
    let mut new = Peer::v311(&broker, "n");
    new.ask("82 [0001 't' 02]", "90 [0001 02]");
    new.expect("31 ['t' \"zero\"]");
    new.expect_no_retained(&broker);
}

/// [MQTT-3.3.5-2 of 3.1.1] A PUBLISH that is not allowed is acknowledged like any other, since 3.1.1 has no way to say
/// no, and goes nowhere.
#[test]
fn a_refused_publish_is_acknowledged() {
    let broker = broker();
    let mut watcher = Peer::v311(&broker, "w");
    watcher.ask("82 [0001 '$SYS/t' 00]", "90 [0001 00]");
    let mut peer = Peer::v311(&broker, "a");
    peer.ask("32 ['$SYS/t' 0001 \"x\"]", "40 [0001]");
    peer.ask("34 ['$SYS/t' 0002 \"x\"]", "50 [0002]");
    peer.ask("62 [0002]", "70 [0002]");
    watcher.expect_nothing();
}

/// [MQTT-3.8.3-4 of 3.1.1] Of the options byte only the QoS is defined: the options of 5.0 are reserved bits.
#[test]
fn the_options_of_5_0_are_reserved_bits() {
    let broker = broker();
    for options in ["03", "04", "08", "10", "20", "40", "80"] {
        let mut peer = Peer::v311(&broker, "a");
        peer.send(&format!("82 [0001 't' {options}]"));
        peer.expect_end();
    }
}

/// [MQTT-3.8.4-3 of 3.1.1] An identical filter replaces the subscription; its retained messages are sent again.
#[test]
fn subscribing_again_sends_retained_messages_again() {
    let broker = broker();
    let mut peer = Peer::v311(&broker, "a");
    peer.send("33 ['t' 0001 \"kept\"]");
    peer.expect("40 [0001]");
    peer.ask("82 [0001 't' 00]", "90 [0001 00]");
    peer.expect("31 ['t' \"kept\"]");
    peer.ask("82 [0002 't' 01]", "90 [0002 01]");
    peer.expect("33 ['t' 0001 \"kept\"]");
    peer.expect_no_retained(&broker);
}

/// [MQTT-3.9.3-2 of 3.1.1] SUBACK has the codes 0x00, 0x01, 0x02 and 0x80 and no other.
#[test]
fn suback_has_one_code_for_failure() {
    let broker = TestBroker::with(|config| {
        config.mqtt.shared_subscription_available = false;
        config.mqtt.max_subscriptions = 3;
    });
    let mut peer = Peer::v311(&broker, "a");
    peer.ask(
        "82 [0001 'a' 00 'b' 01 'c' 02 'x#' 00 '' 01 '$share/g/t' 02 'd' 00]",
        "90 [0001 00 01 02 80 80 80 80]",
    );
}

/// [MQTT-3.10.4-4 of 3.1.1] [MQTT-3.10.4-5 of 3.1.1] UNSUBACK has an identifier and nothing else.
#[test]
fn unsuback_has_no_payload() {
    let broker = broker();
    let mut peer = Peer::v311(&broker, "a");
    peer.ask("82 [0001 't' 00]", "90 [0001 00]");
    peer.ask("A2 [0002 't' 'u']", "B0 [0002]");
    peer.ask("A2 [0003 't']", "B0 [0003]");
}

/// [MQTT-4.8.0-1 of 3.1.1] [MQTT-3.14.1-1 of 3.1.1] [MQTT-3.3.2-2 of 3.1.1] [MQTT-3.10.3-2 of 3.1.1] A breach closes the
/// connection; a server has no DISCONNECT.
#[test]
fn a_breach_closes_without_a_packet() {
    let broker = broker();
    for packet in [
        "36 ['t' 0001 \"x\"]",
        "30 ['t/#' \"x\"]",
        "30 ['' \"x\"]",
        "32 ['t' 0000 \"x\"]",
        "38 ['t' \"x\"]",
        "E1 []",
        "E0 [00]",
        "A2 [0001]",
        "82 [0001]",
        "60 [0001]",
        "40 [0001 00]",
        // AUTH of 5.0 is a reserved type.
        "F0 []",
        "20 [00 00]",
        "10 ['MQTT' 04 02 0000 'a']",
    ] {
        let mut peer = Peer::v311(&broker, "a");
        peer.send(packet);
        peer.expect_end();
    }
}

/// [MQTT-4.4.0-1 of 3.1.1] What is not acknowledged is sent again on the next connection of the session.
#[test]
fn what_is_not_acknowledged_is_sent_again() {
    let broker = broker();
    let mut peer = kept(&broker, "a", false);
    peer.ask("82 [0001 't' 02]", "90 [0001 02]");
    let mut publisher = Peer::v311(&broker, "p");
    publisher.ask("32 ['t' 0001 \"1\"]", "40 [0001]");
    publisher.ask("34 ['t' 0002 \"2\"]", "50 [0002]");
    peer.expect("32 ['t' 0001 \"1\"]");
    peer.expect("34 ['t' 0002 \"2\"]");
    peer.ask("50 [0002]", "62 [0002]");
    drop(peer);
    until_connected(&broker, 1);
    let mut peer = kept(&broker, "a", true);
    peer.expect("3A ['t' 0001 \"1\"]");
    peer.expect("62 [0002]");
    peer.expect_nothing();
}

/// [MQTT-3.1.2-24 of 3.1.1] [MQTT-3.1.2-8 of 3.1.1] A silent client is disconnected without a packet, and its will is
/// published.
#[test]
fn a_silent_client_is_closed_without_a_packet() {
    let broker = broker();
    let mut watcher = Peer::v311(&broker, "w");
    watcher.ask("82 [0001 'will' 00]", "90 [0001 00]");
    let mut silent = Peer::open(&broker);
    silent.send("10 ['MQTT' 04 06 0001 'a' 'will' 'gone']");
    silent.expect("20 [00 00]");
    silent.expect_end();
    watcher.expect("30 ['will' \"gone\"]");
}

/// Messages go from each version to each other: properties stay with 5.0, the rest is the same.
#[test]
fn versions_understand_each_other() {
    let broker = broker();
    let mut v5 = Peer::v5(&broker, "five");
    v5.ask("82 [0001 [] 't' 02]", "90 [0001 [] 02]");
    let mut v311 = Peer::v311(&broker, "four");
    v311.ask("82 [0001 't' 02]", "90 [0001 02]");
    let mut v31 = Peer::open(&broker);
    v31.send("10 ['MQIsdp' 03 02 0000 'three']");
    v31.expect("20 [00 00]");
    v31.ask("82 [0001 't' 02]", "90 [0001 02]");
    for (id, publish) in [
        (1, "34 ['t' 0001 [26 'k' 'v' 03 'type'] \"x\"]"),
        (2, "34 ['t' 0001 \"x\"]"),
        (3, "34 ['t' 0001 \"x\"]"),
    ] {
        let properties = if id == 1 { "26 'k' 'v' 03 'type'" } else { "" };
        let to_five = format!("34 ['t' {id:04X} [{properties}] \"x\"]");
        let to_others = format!("34 ['t' {id:04X} \"x\"]");
        let publisher = match id {
            1 => &mut v5,
            2 => &mut v311,
            _ => &mut v31,
        };
        publisher.send(publish);
        let own = if id == 1 { &to_five } else { &to_others };
        publisher.expect_all(&["50 [0001]", own]);
        publisher.ask("62 [0001]", "70 [0001]");
        if id != 1 {
            v5.expect(&to_five);
        }
        if id != 2 {
            v311.expect(&to_others);
        }
        if id != 3 {
            v31.expect(&to_others);
        }
    }
}
