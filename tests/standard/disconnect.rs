//! PINGREQ `[3.12]`, DISCONNECT `[3.14]`, AUTH `[3.15]`.

use crate::{
    kit::TestBroker,
    peer::{Peer, broker, hex},
};

/// [MQTT-3.12.4-1] PINGREQ is answered by PINGRESP.
#[test]
fn pingreq_is_answered() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.send("C0 [] C0 []");
    peer.expect("D0 []");
    peer.expect("D0 []");
}

/// [MQTT-3.14.1-1] The reserved bits of DISCONNECT are 0; any other value is answered with 0x81.
#[test]
fn the_reserved_bits_of_disconnect_are_checked() {
    let broker = broker();
    for first in ["E1", "E2", "E4", "E8", "EF"] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(&format!("{first} []"));
        peer.expect_disconnect(0x81);
    }
}

/// [MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT-4.13.2-1] After its DISCONNECT the broker sends nothing and closes.
#[test]
fn nothing_comes_behind_a_disconnect() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.ask("82 [0001 [] 't' 02]", "90 [0001 [] 02]");
    // A breach, and behind it packets that would be answered.
    peer.send("F0 [18 []] C0 [] 30 ['t' [] \"x\"] 32 ['t' 0001 [] \"x\"] 82 [0002 [] 'u' 00]");
    peer.expect_disconnect(0x82);
    let mut publisher = Peer::v5(&broker, "p");
    publisher.ask("32 ['t' 0001 [] \"x\"]", "40 [0001 10]");
}

/// [MQTT-3.14.4-1] Packets behind a client's own DISCONNECT are not processed either.
#[test]
fn packets_behind_a_clients_disconnect_are_not_processed() {
    let broker = broker();
    let mut watcher = Peer::v5(&broker, "w");
    watcher.ask("82 [0001 [] 't' 00]", "90 [0001 [] 00]");
    let mut peer = Peer::v5(&broker, "a");
    peer.send("30 ['t' [] \"before\"] E0 [] 30 ['t' [] \"behind\"] C0 []");
    peer.expect_end();
    watcher.expect("30 ['t' [] \"before\"]");
    watcher.expect_nothing();
}

/// [MQTT-3.14.2-1] [MQTT-3.14.2-2] Each way in which the broker ends a connection has its code, and no Session Expiry
/// Interval.
#[test]
fn disconnect_has_a_code_and_no_session_expiry() {
    let mut broker = TestBroker::with(|config| config.mqtt.max_properties = 3);
    for (packet, code) in [
        ("30 ['t' [23 0000] \"x\"]", 0x94),
        ("30 ['t' [26 '' '' 26 '' '' 26 '' '' 26 '' ''] \"x\"]", 0x97),
        ("90 [0001 [] 00]", 0x82),
        ("E0 [00 [11 00000001 11 00000001]]", 0x82),
        ("00 []", 0x81),
    ] {
        // With a Session Expiry Interval of its own.
        let mut peer = Peer::v5_with(&broker, "a", "11 00000E10");
        peer.send(packet);
        peer.expect_disconnect(code);
    }
    let mut peer = Peer::v5_with(&broker, "a", "11 00000E10");
    broker.stop();
    peer.expect_disconnect(0x8b);
}

/// Section 3.14.2.2.2: a client may not set an interval at the end where CONNECT had none.
#[test]
fn a_session_expiry_cannot_be_set_at_the_end() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.send("E0 [00 [11 00000001]]");
    peer.expect_disconnect(0x82);
    let mut peer = Peer::v5(&broker, "a");
    peer.send("E0 [00 [11 00000000]]");
    peer.expect_end();
}

/// [MQTT-3.14.2-3] [MQTT-3.14.2-4] A client that wants Reason Strings is told why, if it takes a packet
/// of that size; one that wants none gets none.
#[test]
fn a_reason_string_is_sent_where_it_is_wanted_and_fits() {
    let broker = broker();
    let breach = "30 ['' [] \"x\"]";
    let mut wants = Peer::connect(&broker, "10 ['MQTT' 05 02 0000 [] 'a']");
    wants.send(breach);
    let disconnect = wants.next().unwrap();
    // The code, and one property: Reason String.
    assert_eq!(
        (disconnect[2], disconnect[4]),
        (0x82, 0x1f),
        "{}",
        hex(&disconnect)
    );
    let length = usize::from(u16::from_be_bytes([disconnect[5], disconnect[6]]));
    assert_eq!(disconnect.len(), 7 + length, "{}", hex(&disconnect));
    wants.expect_end();
    for properties in ["17 00", "27 00000016"] {
        let connect = format!("10 ['MQTT' 05 02 0000 [{properties}] 'a']");
        let mut peer = Peer::connect(&broker, &connect);
        peer.send(breach);
        peer.expect_disconnect(0x82);
    }
}

/// [MQTT-3.15.1-1] The reserved bits of AUTH are 0.
#[test]
fn the_reserved_bits_of_auth_are_checked() {
    let broker = broker();
    for first in ["F1", "F2", "F4", "F8"] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(&format!("{first} [18 []]"));
        peer.expect_disconnect(0x81);
    }
}

/// [MQTT-4.12.0-6] [MQTT-4.12.0-7] Without an Authentication Method in CONNECT there is none in CONNACK, and an AUTH of
/// the client is a Protocol Error.
#[test]
fn without_a_method_there_is_no_auth() {
    let broker = broker();
    for auth in ["F0 []", "F0 [18 [15 'method']]", "F0 [19 [15 'method']]"] {
        // The kit expects a CONNACK with the broker's limits and nothing else.
        let mut peer = Peer::v5(&broker, "a");
        peer.send(auth);
        peer.expect_disconnect(0x82);
    }
}

/// [MQTT-3.1.2-30] A client that names a method sends nothing but AUTH before CONNACK; where the broker does not know the
/// method, nothing behind CONNECT is looked at.
#[test]
fn nothing_is_processed_while_a_client_authenticates() {
    let broker = broker();
    let mut watcher = Peer::v5(&broker, "w");
    watcher.ask("82 [0001 [] 't' 00]", "90 [0001 [] 00]");
    let mut peer = Peer::open(&broker);
    peer.send("10 ['MQTT' 05 02 0000 [15 'method'] 'a'] 30 ['t' [] \"x\"]");
    peer.expect_refusal(0x8c);
    watcher.expect_nothing();
}
