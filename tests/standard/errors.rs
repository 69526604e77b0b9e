//! Handling errors `[4.13]`: what is malformed, and what follows.

use crate::{
    notation::bytes,
    peer::{Peer, broker},
};

/// [MQTT-4.13.1-1] [MQTT-4.13.2-1] Malformed Packets and Protocol Errors end the connection, each with its code.
#[test]
fn errors_end_the_connection_with_their_code() {
    let broker = broker();
    for (packet, code) in [
        // Malformed: a type that is reserved, a packet that ends before its fields, bytes behind the last one.
        ("00 []", 0x81),
        ("40 [00]", 0x81),
        ("82 [0001 [] 't']", 0x81),
        ("C0 [00]", 0x81),
        ("40 [0001 00 [] 00]", 0x81),
        // A property that is not known, that another packet has, or that is there twice.
        ("30 ['t' [7F 00] \"x\"]", 0x81),
        ("30 ['t' [21 0001] \"x\"]", 0x81),
        ("30 ['t' [01 01 01 01] \"x\"]", 0x82),
        ("30 ['t' [01 02] \"x\"]", 0x82),
        ("82 [0001 [0B 00] 't' 00]", 0x82),
        // A Property Length beyond the packet.
        ("30 ['t' 7F 01]", 0x81),
        // Packets that only a server sends.
        ("20 [00 00 []]", 0x82),
        ("90 [0001 [] 00]", 0x82),
        ("B0 [0001 [] 00]", 0x82),
        ("D0 []", 0x82),
        // Codes that the packet does not have.
        ("40 [0001 8F]", 0x82),
        ("62 [0001 10]", 0x82),
        ("E0 [01]", 0x82),
    ] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(packet);
        peer.expect_disconnect(code);
    }
    Peer::v5(&broker, "a").expect_nothing();
}

/// [MQTT-2.1.3-1] Flag bits that are reserved have the value that the standard gives.
#[test]
fn reserved_flag_bits_are_checked() {
    let broker = broker();
    for (valid, body) in [
        (0x40, "[0001]"),
        (0x50, "[0001]"),
        (0x62, "[0001]"),
        (0x70, "[0001]"),
        (0x82, "[0001 [] 't' 00]"),
        (0xa2, "[0001 [] 't']"),
        (0xc0, "[]"),
        (0xe0, "[]"),
        (0xf0, "[]"),
    ] {
        // Each bit counts, alone and with others.
        for first in (valid & 0xf0..=valid | 0x0f).filter(|first| *first != valid) {
            let mut peer = Peer::v5(&broker, "a");
            peer.send(&format!("{first:02X} {body}"));
            peer.expect_disconnect(0x81);
        }
    }
}

/// [MQTT-3.6.1-1] The reserved bits of PUBREL are 0010.
#[test]
fn the_reserved_bits_of_pubrel_are_checked() {
    let broker = broker();
    for first in ["60", "61", "63", "66", "6A"] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(&format!("{first} [0001]"));
        peer.expect_disconnect(0x81);
    }
}

/// [MQTT-1.5.5-1] A Variable Byte Integer has the least number of bytes, and four at the most.
#[test]
fn variable_byte_integers_are_minimal() {
    let broker = broker();
    for packet in [
        // Remaining Length of PINGREQ and PUBLISH, Property Length, Subscription Identifier.
        "C0 8000",
        "C0 808000",
        "30 8400 't' 00",
        "30 ['t' 8000 \"x\"]",
        "82 [0001 [0B 8100] 't' 00]",
        // Five bytes.
        "C0 8080808001",
        "82 [0001 [0B 8080808001] 't' 00]",
    ] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(packet);
        peer.expect_disconnect(0x81);
    }
}

/// [MQTT-2.2.2-1] Without properties there is a Property Length of 0, in what is read and in what is written.
#[test]
fn no_properties_are_a_length_of_zero() {
    let broker = broker();
    for packet in ["30 ['t']", "82 [0001]", "A2 [0001]"] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(packet);
        peer.expect_disconnect(0x81);
    }
    let mut peer = Peer::v5(&broker, "a");
    peer.ask("82 [0001 [] 't' 00]", "90 [0001 [] 00]");
    peer.send("30 ['t' []]");
    peer.expect("30 ['t' []]");
    peer.ask("A2 [0002 [] 't']", "B0 [0002 [] 00]");
}

/// [MQTT-3.2.2-20] [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3]
/// [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2] [MQTT-3.14.2-3]
/// [MQTT-3.14.2-4] Neither a Reason String nor a User Property makes an answer larger than the client takes: the one
/// whose Maximum Packet Size is just that of CONNACK gets all answers, and none of them.
#[test]
fn answers_fit_the_smallest_maximum_packet_size() {
    let broker = crate::kit::TestBroker::with(|config| config.mqtt.max_subscriptions = 1);
    let connack = bytes(&format!("20 [00 00 [{}]]", crate::peer::LIMITS));
    let connect = |size: usize| format!("10 ['MQTT' 05 02 0000 [27 {size:08X}] 'a']");
    let mut peer = Peer::connect(&broker, &connect(connack.len()));
    peer.ask("32 ['t' 0001 [] \"x\"]", "40 [0001 10]");
    peer.ask("34 ['$SYS/t' 0001 [] \"x\"]", "50 [0001 87]");
    peer.ask("50 [0001]", "62 [0001 92]");
    peer.ask("62 [0001]", "70 [0001 92]");
    peer.ask(
        "82 [0001 [] '#x' 00 't' 00 'u' 00]",
        "90 [0001 [] 8F 00 97]",
    );
    peer.ask("A2 [0001 [] 'x']", "B0 [0001 [] 11]");
    peer.send("30 ['#' []]");
    peer.expect_disconnect(0x90);
    // A CONNACK that does not fit is not sent.
    let mut peer = Peer::open(&broker);
    peer.send(&connect(connack.len() - 1));
    peer.expect("20 [00 95 []]");
    peer.expect_end();
    let mut peer = Peer::open(&broker);
    peer.send(&connect(4));
    peer.expect_end();
}
