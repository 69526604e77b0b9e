//! CONNECT `[3.1]`: what it must look like, and what becomes of it.

use nanomq::config::Secret;

use crate::peer::{LIMITS, Peer, broker, hex};

/// [MQTT-3.1.0-1] [MQTT-3.14.0-1] What comes first must be CONNECT; the broker closes, and says nothing before CONNACK.
#[test]
fn the_first_packet_must_be_connect() {
    let broker = broker();
    for first in [
        "C0 []",
        "30 ['t' [] \"x\"]",
        "82 [0001 [] 't' 00]",
        "E0 []",
        "F0 [18 []]",
    ] {
        let mut peer = Peer::open(&broker);
        peer.send(first);
        peer.expect_end();
    }
}

/// [MQTT-3.1.0-2] [MQTT-3.2.0-2] A second CONNECT is a Protocol Error, not answered by a second CONNACK.
#[test]
fn a_second_connect_is_a_protocol_error() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.send("10 ['MQTT' 05 02 0000 [] 'a']");
    peer.expect_disconnect(0x82);
}

/// [MQTT-3.1.2-1] Another protocol name is refused, in the form of 3.1.1, which every client can read.
#[test]
fn the_protocol_name_must_be_mqtt() {
    let broker = broker();
    for name in ["", "MQ", "MQTX", "mqtt", "MQIsdp", "MQTT-SN"] {
        let mut peer = Peer::open(&broker);
        peer.send(&format!("10 ['{name}' 05 02 0000 [] 'a']"));
        peer.expect("20 [00 01]");
        peer.expect_end();
    }
}

/// [MQTT-3.1.2-2] A version that is not served is refused and the connection closed.
#[test]
fn another_protocol_version_is_refused() {
    let broker = broker();
    for level in ["00", "02", "06", "7F", "85", "FF"] {
        let mut peer = Peer::open(&broker);
        peer.send(&format!("10 ['MQTT' {level} 02 0000 [] 'a']"));
        peer.expect("20 [00 01]");
        peer.expect_end();
    }
    let no_v5 = crate::kit::TestBroker::with(|config| config.mqtt.protocol_versions = vec![4]);
    let mut peer = Peer::open(&no_v5);
    peer.send("10 ['MQTT' 05 02 0000 [] 'a']");
    peer.expect_refusal(0x84);
}

/// [MQTT-3.1.2-3] The reserved bit of the connect flags must be 0.
#[test]
fn the_reserved_connect_flag_must_be_zero() {
    let broker = broker();
    let mut peer = Peer::open(&broker);
    peer.send("10 ['MQTT' 05 03 0000 [] 'a']");
    peer.expect_refusal(0x81);
}

/// [MQTT-3.1.2-9] [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13] The fields of the will, and its flags.
#[test]
fn will_flags_and_will_fields_must_agree() {
    let broker = broker();
    for (connect, why) in [
        ("05 06 0000 [] 'a'", "will flag, no will"),
        ("05 06 0000 [] 'a' []", "no will topic"),
        ("05 06 0000 [] 'a' [] 'w'", "no will payload"),
        ("05 0A 0000 [] 'a'", "will QoS 1 without will flag"),
        ("05 12 0000 [] 'a'", "will QoS 2 without will flag"),
        ("05 1E 0000 [] 'a' [] 'w' 'm'", "will QoS 3"),
        ("05 22 0000 [] 'a'", "will retain without will flag"),
    ] {
        let mut peer = Peer::open(&broker);
        peer.send(&format!("10 ['MQTT' {connect}]"));
        assert!(!why.is_empty());
        peer.expect_refusal(0x81);
    }
    // Each QoS that there is.
    for flags in ["06", "0E", "16"] {
        Peer::connect(
            &broker,
            &format!("10 ['MQTT' 05 {flags} 0000 [] 'a' [] 'w' 'm']"),
        );
    }
}

/// [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19] User name and password are there exactly when
/// their flags are set.
#[test]
fn user_name_and_password_must_agree_with_their_flags() {
    let broker = broker();
    for (connect, why) in [
        ("05 02 0000 [] 'a' 'u'", "user name without its flag"),
        ("05 82 0000 [] 'a'", "flag without user name"),
        ("05 82 0000 [] 'a' 'u' 'p'", "password without its flag"),
        ("05 C2 0000 [] 'a' 'u'", "flag without password"),
        ("05 42 0000 [] 'a'", "flag alone without password"),
    ] {
        let mut peer = Peer::open(&broker);
        peer.send(&format!("10 ['MQTT' {connect}]"));
        assert!(!why.is_empty());
        peer.expect_refusal(0x81);
    }
    Peer::connect(&broker, "10 ['MQTT' 05 C2 0000 [] 'a' 'u' 'p']");
    // A password alone is legal in version 5.
    Peer::connect(&broker, "10 ['MQTT' 05 42 0000 [] 'b' 'p']");
}

/// [MQTT-3.1.3-1] Client Identifier, Will Properties, Will Topic, Will Payload, User Name, Password, in this order.
#[test]
fn the_fields_of_the_payload_stand_in_order() {
    let broker = crate::kit::TestBroker::with(|config| {
        config.auth.allow_anonymous = false;
        config.auth.password = vec![("user".to_owned(), Secret::new("pass"))];
    });
    let mut watcher = Peer::connect(&broker, "10 ['MQTT' 05 C2 0000 [] 'w' 'user' 'pass']");
    watcher.ask("82 [0001 [] 'will' 00]", "90 [0001 [] 00]");
    let all = "10 ['MQTT' 05 C6 0000 [] 'a' [03 'type'] 'will' 'gone' 'user' 'pass']";
    drop(Peer::connect(&broker, all));
    watcher.expect("30 ['will' [03 'type'] \"gone\"]");
    let mut swapped = Peer::open(&broker);
    swapped.send("10 ['MQTT' 05 C6 0000 [] 'a' 'user' 'pass' [03 'type'] 'will' 'gone']");
    assert!(matches!(swapped.next(), Some(connack) if connack[3] >= 0x80));
    swapped.expect_end();
}

/// [MQTT-3.1.3-3] The Client Identifier must be there.
#[test]
fn the_client_identifier_must_be_present() {
    let broker = broker();
    let mut peer = Peer::open(&broker);
    peer.send("10 ['MQTT' 05 02 0000 []]");
    peer.expect_refusal(0x81);
}

/// [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12] Client Identifier, Will Topic and User Name are UTF-8 Encoded Strings.
#[test]
fn the_strings_of_connect_must_be_utf8() {
    let broker = broker();
    for rest in [
        "05 02 0000 [] 0001 FF",
        "05 06 0000 [] 'a' [] 0001 FF 'm'",
        "05 82 0000 [] 'a' 0001 FF",
        // U+0000
        "05 02 0000 [] 0001 00",
        "05 06 0000 [] 'a' [] 0001 00 'm'",
        "05 82 0000 [] 'a' 0001 00",
    ] {
        let mut peer = Peer::open(&broker);
        peer.send(&format!("10 ['MQTT' {rest}]"));
        peer.expect_refusal(0x81);
    }
}

/// [MQTT-3.1.3-5] Identifiers of 1 to 23 letters and digits are allowed.
#[test]
fn short_alphanumeric_client_identifiers_are_allowed() {
    let broker = broker();
    let all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for id in [&all[..1], &all[..23], &all[23..46], &all[46..]] {
        Peer::v5(&broker, id).expect_nothing();
    }
}

/// [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] A client without an identifier is given one that nobody else has, is
/// told it, and is known by it.
#[test]
fn an_empty_client_identifier_is_replaced_by_a_new_one() {
    let broker = broker();
    let mut ids = Vec::new();
    let mut peers = Vec::new();
    for _ in 0..3 {
        let mut peer = Peer::open(&broker);
        // Clean Start 0: no session of another client may be found.
        peer.send("10 ['MQTT' 05 00 0000 [17 00] '']");
        let connack = peer.next().unwrap();
        // Session Present 0, Success; behind Receive Maximum and Maximum Packet Size comes the identifier.
        assert_eq!(connack[2..4], [0, 0]);
        assert_eq!(connack[13], 0x12, "{}", hex(&connack));
        let length = usize::from(connack[15]);
        let id = String::from_utf8(connack[16..16 + length].to_vec()).unwrap();
        // 1 to 23 characters, which every server must take, and too many values to meet one by chance.
        assert!((20..=23).contains(&length), "{id}");
        assert!(!ids.contains(&id));
        ids.push(id);
        peers.push(peer);
    }
    // The first session is known by its identifier: whoever names it takes it over.
    Peer::v5(&broker, &ids[0]);
    peers[0].expect_disconnect(0x8e);
    peers[1].expect_nothing();
}

/// [MQTT-3.1.3-8] An identifier that is not accepted is answered with its code, and the connection closed.
#[test]
fn a_rejected_client_identifier_closes_the_connection() {
    let broker = crate::kit::TestBroker::with(|config| {
        config.mqtt.max_clientid_len = 30;
        config.mqtt.allow_empty_clientid = false;
    });
    for id in ["x".repeat(31), String::new()] {
        let mut peer = Peer::open(&broker);
        peer.send(&format!("10 ['MQTT' 05 02 0000 [] '{id}']"));
        peer.expect_refusal(0x85);
    }
}

/// [MQTT-3.1.4-1] A CONNECT that does not have the format of a CONNECT is not accepted.
#[test]
fn a_connect_of_another_format_is_refused() {
    let broker = broker();
    for (packet, code) in [
        // Bytes behind the payload; Receive Maximum 0; a property of another packet; one that is there twice.
        ("10 ['MQTT' 05 02 0000 [] 'a' 00]", 0x81),
        ("10 ['MQTT' 05 02 0000 [21 0000] 'a']", 0x82),
        ("10 ['MQTT' 05 02 0000 [23 0001] 'a']", 0x81),
        ("10 ['MQTT' 05 02 0000 [21 0001 21 0001] 'a']", 0x82),
    ] {
        let mut peer = Peer::open(&broker);
        peer.send(packet);
        peer.expect_refusal(code);
    }
    // With flags in the fixed header it may be any packet: there is no answer.
    let mut peer = Peer::open(&broker);
    peer.send("11 ['MQTT' 05 02 0000 [] 'a']");
    peer.expect_end();
}

/// [MQTT-3.1.4-2] Who is not authorized is refused, and the connection closed.
#[test]
fn a_client_that_fails_a_check_is_refused() {
    let broker = crate::kit::TestBroker::with(|config| {
        config.auth.allow_anonymous = false;
        config.auth.password = vec![("user".to_owned(), Secret::new("pass"))];
    });
    for connect in [
        "10 ['MQTT' 05 02 0000 [] 'a']",
        "10 ['MQTT' 05 82 0000 [] 'a' 'user']",
        "10 ['MQTT' 05 C2 0000 [] 'a' 'user' 'wrong']",
    ] {
        let mut peer = Peer::open(&broker);
        peer.send(connect);
        let connack = peer.next().unwrap();
        assert!(
            matches!(connack[..4], [0x20, _, 0, 0x86 | 0x87]),
            "{}",
            hex(&connack)
        );
        peer.expect_end();
    }
}

/// [MQTT-3.1.4-3] A client that connects again takes over: the connection there was is told so and closed.
#[test]
fn a_second_connection_takes_over() {
    let broker = broker();
    for clean_start in ["02", "00"] {
        let mut first = Peer::v5_with(&broker, "a", "11 00000E10");
        let mut second = Peer::open(&broker);
        second.send(&format!("10 ['MQTT' 05 {clean_start} 0000 [17 00] 'a']"));
        first.expect_disconnect(0x8e);
        assert!(matches!(second.next(), Some(connack) if connack[3] == 0));
        second.expect_nothing();
    }
}

/// [MQTT-3.1.4-5] [MQTT-3.1.2-28] A CONNECT that is accepted is answered by a CONNACK with 0x00; Response Information
/// is not in it, whether it was asked for or not.
#[test]
fn connect_is_acknowledged() {
    let broker = broker();
    for properties in ["", "19 00", "19 01", "17 01", "26 'k' 'v'"] {
        let mut peer = Peer::open(&broker);
        peer.send(&format!("10 ['MQTT' 05 02 003C [{properties}] 'a']"));
        peer.expect(&format!("20 [00 00 [{LIMITS}]]"));
    }
}

/// [MQTT-3.1.4-6] What follows a CONNECT that is refused is not processed.
#[test]
fn packets_behind_a_refused_connect_are_not_processed() {
    let broker = broker();
    let mut watcher = Peer::v5(&broker, "w");
    let mut refused = Peer::open(&broker);
    refused.send("10 ['MQTT' 05 03 0000 [] 'a'] 31 ['t' [] \"x\"]");
    refused.expect_refusal(0x81);
    watcher.ask("82 [0001 [] 't' 00]", "90 [0001 [] 00]");
    watcher.expect_no_retained(&broker);
}

/// [MQTT-3.1.2-22] [MQTT-3.2.2-22] The Keep Alive that the client has set holds: whoever is silent for longer is cut.
#[test]
fn a_silent_client_is_cut() {
    let broker = broker();
    let mut watcher = Peer::v5(&broker, "w");
    watcher.ask("82 [0001 [] 'will' 00]", "90 [0001 [] 00]");
    // CONNACK has no Server Keep Alive.
    let mut silent = Peer::connect(
        &broker,
        "10 ['MQTT' 05 06 0001 [17 00] 'a' [] 'will' 'gone']",
    );
    silent.expect_disconnect(0x8d);
    // As if the network had failed: the will is published.
    watcher.expect("30 ['will' [] \"gone\"]");
}

/// [MQTT-3.1.2-22] It is packets that count: a packet that never ends does not keep the connection.
#[test]
fn bytes_of_an_endless_packet_do_not_keep_a_connection() {
    let broker = broker();
    let mut peer = Peer::connect(&broker, "10 ['MQTT' 05 02 0001 [17 00] 'a']");
    peer.send("30 FFFF1F 'topic' []");
    // A byte every now and then, until the broker has closed.
    let mut sent = 0;
    peer.socket()
        .set_read_timeout(Some(std::time::Duration::from_millis(100)))
        .unwrap();
    let mut answer = Vec::new();
    loop {
        let mut chunk = [0; 64];
        match std::io::Read::read(&mut peer.socket(), &mut chunk) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        peer.send_if_open(b"x");
        sent += 1;
        assert!(sent < 200, "the connection is kept");
    }
    assert!(
        answer.is_empty() || answer == [0xe0, 1, 0x8d],
        "{}",
        hex(&answer)
    );
}
