//! CONNACK `[3.2]`: its flags and codes, and the limits that it announces.

use crate::{
    kit::TestBroker,
    peer::{Peer, broker, hex},
};

/// [MQTT-3.2.0-1] CONNACK comes before the messages that have waited.
#[test]
fn connack_comes_first() {
    let broker = broker();
    let mut away = Peer::kept(&broker, "a", false);
    away.ask("82 [0001 [] 't' 01]", "90 [0001 [] 01]");
    away.send("E0 []");
    away.expect_end();
    let mut publisher = Peer::v5(&broker, "p");
    publisher.ask("32 ['t' 0001 [] \"x\"]", "40 [0001]");
    // The kit expects CONNACK as the first packet.
    let mut back = Peer::kept(&broker, "a", true);
    back.expect("32 ['t' 0001 [] \"x\"]");
}

/// [MQTT-3.2.2-1] [MQTT-3.2.2-2] [MQTT-3.2.2-3] Session Present, and the reserved bits beside it.
#[test]
fn session_present_tells_whether_there_was_a_session() {
    let broker = broker();
    // Clean Start, Session Present.
    for (flags, present) in [("00", "00"), ("00", "01"), ("02", "00"), ("00", "01")] {
        let mut peer = Peer::open(&broker);
        peer.send(&format!("10 ['MQTT' 05 {flags} 0000 [11 00000E10] 'a']"));
        let limits = crate::peer::LIMITS;
        peer.expect(&format!("20 [{present} 00 [{limits}]]"));
        peer.send("E0 []");
        peer.expect_end();
    }
}

/// [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-3.2.2-8] A refusal has Session Present 0 even where there is a session, one of
/// the codes of CONNACK, and ends the connection.
#[test]
fn a_refusal_has_no_session_present() {
    let broker = TestBroker::with(|config| config.mqtt.max_qos = 1);
    let mut peer = Peer::open(&broker);
    peer.send("10 ['MQTT' 05 00 0000 [11 00000E10] 'a']");
    assert_eq!(peer.next().unwrap()[2..4], [0, 0]);
    peer.send("E0 []");
    peer.expect_end();
    for (rest, code) in [
        // Bad Authentication Method, QoS Not Supported, Topic Name Invalid, Malformed Packet, Protocol Error.
        ("05 00 0000 [11 00000E10 15 'none'] 'a'", 0x8c),
        ("05 14 0000 [11 00000E10] 'a' [] 'w' 'm'", 0x9b),
        ("05 04 0000 [11 00000E10] 'a' [] 'w/#' 'm'", 0x90),
        ("05 01 0000 [11 00000E10] 'a'", 0x81),
        ("05 00 0000 [27 00000000] 'a'", 0x82),
    ] {
        let mut peer = Peer::open(&broker);
        peer.send(&format!("10 ['MQTT' {rest}]"));
        peer.expect_refusal(code);
    }
    let mut still_there = Peer::open(&broker);
    still_there.send("10 ['MQTT' 05 00 0000 [11 00000E10] 'a']");
    assert_eq!(still_there.next().unwrap()[2..4], [1, 0]);
}

/// [MQTT-3.2.2-9] [MQTT-3.2.2-10] [MQTT-3.2.2-11] A broker set to a lower QoS says so, takes subscriptions with every
/// QoS, and no PUBLISH above.
#[test]
fn a_maximum_qos_is_announced_and_held() {
    for (max_qos, granted, publish) in [
        (0, "00 00 00", "32"),
        (0, "00 00 00", "34"),
        (1, "00 01 01", "34"),
    ] {
        let broker = TestBroker::with(|config| config.mqtt.max_qos = max_qos);
        let mut peer = Peer::open(&broker);
        peer.send("10 ['MQTT' 05 02 0000 [17 00] 'a']");
        peer.expect(&format!(
            "20 [00 00 [21 0400 24 {max_qos:02X} 27 00100000 22 0040 28 01 29 01 2A 01]]"
        ));
        peer.ask(
            "82 [0001 [] 'q0' 00 'q1' 01 'q2' 02]",
            &format!("90 [0001 [] {granted}]"),
        );
        peer.send(&format!("{publish} ['t' 0001 [] \"x\"]"));
        peer.expect_disconnect(0x9b);
    }
}

/// [MQTT-3.2.2-12] A will above the maximum QoS is refused.
#[test]
fn a_will_above_the_maximum_qos_is_refused() {
    let broker = TestBroker::with(|config| config.mqtt.max_qos = 0);
    let mut peer = Peer::open(&broker);
    peer.send("10 ['MQTT' 05 0E 0000 [] 'a' [] 'w' 'm']");
    peer.expect_refusal(0x9b);
}

/// [MQTT-3.2.2-13] [MQTT-3.2.2-14] A broker without retained messages says so, refuses retained wills, and takes no
/// PUBLISH with RETAIN.
#[test]
fn without_retained_messages_retain_is_refused() {
    let broker = TestBroker::with(|config| config.mqtt.retain_available = false);
    let mut peer = Peer::open(&broker);
    peer.send("10 ['MQTT' 05 26 0000 [] 'a' [] 'w' 'm']");
    peer.expect_refusal(0x9a);
    let mut peer = Peer::open(&broker);
    peer.send("10 ['MQTT' 05 02 0000 [17 00] 'a']");
    peer.expect("20 [00 00 [21 0400 25 00 27 00100000 22 0040 28 01 29 01 2A 01]]");
    peer.send("31 ['t' [] \"x\"]");
    peer.expect_disconnect(0x9a);
}

/// [MQTT-3.2.2-15] A packet above the Maximum Packet Size that was announced is a Protocol Error, found before it has
/// come.
#[test]
fn a_packet_above_the_maximum_packet_size_is_refused() {
    let broker = TestBroker::with(|config| config.mqtt.max_packet_size = 100);
    let mut peer = Peer::open(&broker);
    peer.send("10 ['MQTT' 05 02 0000 [17 00] 'a']");
    peer.expect("20 [00 00 [21 0400 27 00000064 22 0040 28 01 29 01 2A 01]]");
    let most = "x".repeat(100 - 2 - 4);
    peer.send(&format!("30 ['t' [] \"{most}\"]"));
    peer.expect_nothing();
    peer.send("30 63");
    peer.expect_disconnect(0x95);
}

/// [MQTT-3.2.2-19] [MQTT-3.2.2-20] What would make CONNACK larger than the client takes is left out of it.
#[test]
fn a_refusal_is_no_larger_than_the_client_takes() {
    let broker = TestBroker::with(|config| config.mqtt.protocol_versions = vec![4]);
    let mut peer = Peer::open(&broker);
    peer.send("10 ['MQTT' 05 02 0000 [27 00000005] 'a']");
    peer.expect("20 [00 84 []]");
    peer.expect_end();
    // Where there is room the client is told why, and nothing else.
    let mut peer = Peer::open(&broker);
    peer.send("10 ['MQTT' 05 02 0000 [27 00000100] 'a']");
    let connack = peer.next().unwrap();
    assert_eq!((connack[3], connack[5]), (0x84, 0x1f), "{}", hex(&connack));
    let reason = usize::from(u16::from_be_bytes([connack[6], connack[7]]));
    assert_eq!(connack.len(), 8 + reason, "{}", hex(&connack));
}

/// A Server Keep Alive that the client is told is the one that holds.
#[test]
fn a_server_keep_alive_is_announced_and_held() {
    let broker = TestBroker::with(|config| config.mqtt.max_keepalive = 1);
    for keep_alive in ["0000", "FFFF"] {
        let mut peer = Peer::open(&broker);
        peer.send(&format!("10 ['MQTT' 05 02 {keep_alive} [17 00] 'a']"));
        peer.expect("20 [00 00 [21 0400 27 00100000 22 0040 28 01 29 01 2A 01 13 0001]]");
        peer.expect_disconnect(0x8d);
    }
}

/// [MQTT-4.12.0-1] [MQTT-4.12.0-4] [MQTT-4.12.0-5] An authentication method that is not known is refused: there is no
/// successful CONNACK without it.
#[test]
fn an_unknown_authentication_method_is_refused() {
    let broker = broker();
    let mut peer = Peer::open(&broker);
    peer.send("10 ['MQTT' 05 02 0000 [15 'SCRAM-SHA-1' 16 'data'] 'a']");
    peer.expect_refusal(0x8c);
}
