//! SUBSCRIBE and SUBACK `[3.8]`, `[3.9]`.

use crate::peer::{Peer, broker};

/// [MQTT-3.8.1-1] The reserved bits of the fixed header are 0010.
#[test]
fn the_reserved_bits_are_checked() {
    let broker = broker();
    for first in ["80", "81", "83", "86", "8A"] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(&format!("{first} [0001 [] 't' 00]"));
        peer.expect_disconnect(0x81);
    }
}

/// [MQTT-3.8.3-1] Topic Filters are UTF-8 Encoded Strings.
#[test]
fn topic_filters_are_utf8() {
    let broker = broker();
    for filter in ["0001 FF", "0001 00", "0003 EDA080", "0005 \"t\""] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(&format!("82 [0001 [] {filter} 00]"));
        peer.expect_disconnect(0x81);
    }
}

/// [MQTT-3.8.3-2] There is at least one Topic Filter with its options.
#[test]
fn at_least_one_topic_filter_is_needed() {
    let broker = broker();
    for (body, code) in [("0001 []", 0x82), ("0001 [] 't'", 0x81)] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(&format!("82 [{body}]"));
        peer.expect_disconnect(code);
    }
}

/// [MQTT-3.8.3-3] No Local: what a client publishes does not come back to it.
#[test]
fn no_local_keeps_own_messages_away() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.ask("82 [0001 [] 't' 04]", "90 [0001 [] 00]");
    let mut other = Peer::v5(&broker, "b");
    other.ask("82 [0001 [] 't' 04]", "90 [0001 [] 00]");
    for first in ["30 ['t' [] \"own\"]", "31 ['t' [] \"own\"]"] {
        peer.send(first);
        other.expect("30 ['t' [] \"own\"]");
        peer.expect_nothing();
    }
    other.send("30 ['t' [] \"theirs\"]");
    peer.expect("30 ['t' [] \"theirs\"]");
}

/// [MQTT-3.8.3-3] It is the identifier that counts: the next connection of the client gets none either.
#[test]
fn no_local_holds_for_a_resumed_session() {
    let broker = broker();
    let mut peer = Peer::kept(&broker, "a", false);
    peer.ask("82 [0001 [] 't' 05]", "90 [0001 [] 01]");
    drop(peer);
    crate::peer::until_connected(&broker, 0);
    let mut peer = Peer::kept(&broker, "a", true);
    peer.ask("32 ['t' 0001 [] \"own\"]", "40 [0001]");
    peer.expect_nothing();
}

/// [MQTT-3.8.3-3] A will is its client's message as well.
#[test]
fn no_local_holds_for_the_will() {
    let broker = broker();
    let mut other = Peer::v5(&broker, "b");
    other.ask("82 [0001 [] 't' 00]", "90 [0001 [] 00]");
    let connect = "10 ['MQTT' 05 0C 0000 [17 00 11 00000E10] 'a' [] 't' 'gone']";
    let mut peer = Peer::connect(&broker, connect);
    peer.ask("82 [0001 [] 't' 05]", "90 [0001 [] 01]");
    drop(peer);
    other.expect("30 ['t' [] \"gone\"]");
    Peer::kept(&broker, "a", true).expect_nothing();
}

/// [MQTT-3.8.3-4] No Local on a shared subscription is a Protocol Error.
#[test]
fn no_local_on_a_shared_subscription_is_a_protocol_error() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.send("82 [0001 [] '$share/g/t' 04]");
    peer.expect_disconnect(0x82);
}

/// [MQTT-3.8.3-5] Reserved bits in the options are malformed; QoS 3 and Retain Handling 3 are Protocol Errors.
#[test]
fn subscription_options_are_checked() {
    let broker = broker();
    for (options, code) in [
        ("40", 0x81),
        ("80", 0x81),
        ("C0", 0x81),
        ("03", 0x82),
        ("30", 0x82),
    ] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(&format!("82 [0001 [] 'a' 00 't' {options}]"));
        peer.expect_disconnect(code);
    }
}

/// [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-2.2.1-6] SUBSCRIBE is answered by SUBACK with its identifier.
#[test]
fn subscribe_is_answered_with_its_identifier() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    for id in ["0001", "00FF", "0100", "FFFF"] {
        peer.ask(&format!("82 [{id} [] 't' 00]"), &format!("90 [{id} [] 00]"));
    }
}

/// [MQTT-3.8.4-3] A second subscription with the same filter replaces the first: options, identifier, and one copy.
#[test]
fn an_identical_filter_replaces_the_subscription() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    let mut publisher = Peer::v5(&broker, "p");
    peer.ask("82 [0001 [0B 01] 't' 00]", "90 [0001 [] 00]");
    peer.ask("82 [0002 [0B 02] 't' 0A]", "90 [0002 [] 02]");
    publisher.ask("35 ['t' 0001 [] \"x\"]", "50 [0001]");
    peer.expect("35 ['t' 0001 [0B 02] \"x\"]");
    peer.ask("82 [0003 [] 't' 20]", "90 [0003 [] 00]");
    publisher.ask("32 ['t' 0001 [] \"y\"]", "40 [0001]");
    peer.expect("30 ['t' [] \"y\"]");
    peer.expect_nothing();
    peer.ask("A2 [0001 [] 't']", "B0 [0001 [] 00]");
    publisher.ask("32 ['t' 0001 [] \"z\"]", "40 [0001 10]");
}

/// [MQTT-3.8.4-4] No message is lost while a subscription is replaced.
#[test]
fn replacing_a_subscription_loses_nothing() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.ask("82 [0001 [] 't' 02]", "90 [0001 [] 02]");
    let address = broker.address;
    let publishing = std::thread::spawn(move || {
        let mut client = crate::kit::Client::v5(address, "p");
        for n in 0..300u16 {
            let payload = n.to_be_bytes();
            client.publish("t", &payload, nanomq::mqtt::QoS::AtLeastOnce, 1);
            client.next();
        }
    });
    let (mut next, mut replaced) = (0u16, 0);
    while next < 300 {
        if next % 10 == 0 {
            peer.send("82 [0001 [] 't' 01]");
            replaced += 1;
        }
        let packet = loop {
            let packet = peer.next().unwrap();
            if packet[0] != 0x90 {
                break packet;
            }
        };
        assert_eq!(packet[8..], next.to_be_bytes());
        peer.send_bytes(&[0x40, 2, packet[5], packet[6]]);
        next += 1;
    }
    assert_eq!(replaced, 30);
    publishing.join().unwrap();
}

/// [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2] Several filters are answered as so many
/// SUBSCRIBE packets, by one SUBACK with a code each, in their order: granted, or why not.
#[test]
fn several_filters_are_answered_one_by_one() {
    let broker = crate::kit::TestBroker::with(|config| config.mqtt.max_subscriptions = 4);
    let mut peer = Peer::v5(&broker, "a");
    let mut publisher = Peer::v5(&broker, "p");
    publisher.send("31 ['b' [] \"kept\"]");
    publisher.expect_nothing();
    peer.send("82 [0001 [] 'a' 00 'b' 02 'x#' 00 'b' 01 'c' 01 '' 00 'd' 00 'e' 00]");
    peer.expect("90 [0001 [] 00 02 8F 01 01 8F 00 97]");
    // 'b' was subscribed to twice: its retained message is sent twice, a new one once.
    peer.expect("31 ['b' [] \"kept\"]");
    peer.expect("31 ['b' [] \"kept\"]");
    publisher.ask("32 ['b' 0001 [] \"new\"]", "40 [0001]");
    peer.expect("32 ['b' 0001 [] \"new\"]");
    publisher.ask("32 ['e' 0001 [] \"new\"]", "40 [0001 10]");
}

/// [MQTT-3.8.4-1] [MQTT-3.8.4-2] SUBSCRIBE packets behind one another are answered one by one, in their order, each with its
/// own codes, and before what comes behind them.
#[test]
fn subscribes_behind_one_another_are_answered_each() {
    let broker = crate::kit::TestBroker::with(|config| config.mqtt.max_subscriptions = 300);
    let mut publisher = Peer::v5(&broker, "p");
    publisher.send("31 ['t/1' [] \"kept\"]");
    publisher.expect_nothing();
    let mut peer = Peer::v5(&broker, "a");
    // Retain Handling 1, and the filter of another one once more: only the first is new.
    let subscribe = |id: u32| match id % 50 {
        0 => format!("82 [{id:04X} [] 't/#/x' 00 't/1' 11 't/{id}' 02]"),
        _ => format!("82 [{id:04X} [] 't/{id}' 11]"),
    };
    let many: String = (1..=200).map(subscribe).collect();
    peer.send(&format!("{many} 32 ['t/200' 00C9 [] \"own\"]"));
    let mut retained = 0;
    let mut expect = |text: &str| loop {
        let packet = peer.next().expect("an answer");
        if packet == crate::notation::bytes("31 ['t/1' [] \"kept\"]") {
            retained += 1;
            continue;
        }
        assert_eq!(packet, crate::notation::bytes(text), "{text}");
        return;
    };
    for id in 1..=200 {
        match id % 50 {
            0 => expect(&format!("90 [{id:04X} [] 8F 01 02]")),
            _ => expect(&format!("90 [{id:04X} [] 01]")),
        }
    }
    expect("40 [00C9]");
    expect("32 ['t/200' 0001 [] \"own\"]");
    assert_eq!(retained, 1);

    // What comes before a packet that is wrong is answered first.
    let mut peer = Peer::v5(&broker, "b");
    peer.send("82 [0001 [] 'u' 00] 82 [0002 [] 'v' 01] 82 [0003 []] 82 [0004 [] 'w' 00]");
    peer.expect("90 [0001 [] 00]");
    peer.expect("90 [0002 [] 01]");
    peer.expect_disconnect(0x82);
}

/// [MQTT-3.9.3-2] What is switched off is refused with the code for it, the rest is granted.
#[test]
fn what_is_not_available_has_its_code() {
    let broker = crate::kit::TestBroker::with(|config| {
        config.mqtt.wildcard_subscription_available = false;
        config.mqtt.shared_subscription_available = false;
        config.mqtt.subscription_identifier_available = false;
    });
    let mut peer = Peer::open(&broker);
    peer.send("10 ['MQTT' 05 02 0000 [17 00] 'a']");
    peer.expect("20 [00 00 [21 0400 27 00100000 22 0040 28 00 29 00 2A 00]]");
    peer.ask(
        "82 [0001 [] 't/#' 00 't' 00 '$share/g/t' 00]",
        "90 [0001 [] A2 00 9E]",
    );
    peer.ask("82 [0002 [0B 01] 't' 00]", "90 [0002 [] A1]");
}
