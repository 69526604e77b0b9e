//! CONNECT packets that are made to break a broker.

use crate::peer::{Peer, broker, until_connected};

/// Class 9: protocol names of every length, and every level.
#[test]
fn class_9_protocol_names_and_levels() {
    let broker = broker();
    for length in [0, 1, 2, 3, 5, 6, 7, 65_535] {
        let mut peer = Peer::open(&broker);
        peer.send(&format!("10 ['{}' 05 02 0000 [] 'a']", "M".repeat(length)));
        peer.expect("20 [00 01]");
        peer.expect_end();
    }
    // A name that claims more bytes than there are.
    let mut peer = Peer::open(&broker);
    peer.send("10 [FFFF \"MQTT\" 05 02 0000 [] 'a']");
    peer.expect_end();
    // 0x84 is 4 with the bit by which bridges say that they are some.
    for level in (0..=255).filter(|level| ![3, 4, 5, 0x84].contains(level)) {
        let mut peer = Peer::open(&broker);
        peer.send(&format!("10 ['MQTT' {level:02X} 02 0000 [] 'a']"));
        peer.expect("20 [00 01]");
        peer.expect_end();
    }
    // A level that goes with the other name.
    for connect in ["'MQIsdp' 04 02 0000 'a'", "'MQTT' 03 02 0000 'a'"] {
        let mut peer = Peer::open(&broker);
        peer.send(&format!("10 [{connect}]"));
        peer.expect("20 [00 01]");
        peer.expect_end();
    }
    Peer::v5(&broker, "a").expect_nothing();
}

/// Class 10: wills to topics that nobody may publish to; an empty payload is a will like another.
#[test]
fn class_10_will_topics() {
    let broker = broker();
    let mut watcher = Peer::v5(&broker, "w");
    watcher.ask("82 [0001 [] '#' 00 '$SYS/will' 00]", "90 [0001 [] 00 00]");
    for topic in ["", "#", "a/+", "a/#/b", "$SYS/will", "$SYS"] {
        let mut peer = Peer::open(&broker);
        peer.send(&format!("10 ['MQTT' 05 06 0000 [] 'a' [] '{topic}' 'm']"));
        peer.expect_refusal(0x90);
        let mut peer = Peer::open(&broker);
        peer.send(&format!("10 ['MQTT' 04 06 0000 'a' '{topic}' 'm']"));
        while let Some(answer) = peer.next() {
            assert_ne!(answer[3], 0, "{topic} is taken");
        }
    }
    drop(Peer::connect(
        &broker,
        "10 ['MQTT' 05 06 0000 [] 'a' [] 'will' '']",
    ));
    watcher.expect("30 ['will' []]");
    watcher.expect_nothing();
}

/// Class 11: will properties that are wrong, there twice, or of another packet.
#[test]
fn class_11_will_properties() {
    let broker = broker();
    for (properties, code) in [
        ("7F 18 00000001", 0x81),
        ("04 18 00000001", 0x81),
        ("[18 000001]", 0x81),
        ("[18 00000001 18 00000001]", 0x82),
        ("[01 02]", 0x82),
        ("[11 00000001]", 0x81),
        ("[23 0001]", 0x81),
        ("[0B 01]", 0x81),
        ("[08 'a/#']", 0x82),
        ("[03 0001 FF]", 0x81),
    ] {
        let mut peer = Peer::open(&broker);
        peer.send(&format!(
            "10 ['MQTT' 05 06 0000 [] 'a' {properties} 'w' 'm']"
        ));
        let connack = peer.next();
        assert!(
            matches!(&connack, Some(connack) if connack[0] == 0x20 && connack[3] == code),
            "{properties}: {connack:02x?}"
        );
        peer.expect_end();
    }
    until_connected(&broker, 0);
}
