//! Packets that end too early, topics and properties beyond all measure.

use crate::{
    kit::TestBroker,
    notation::{bytes, variable_byte_integer},
    peer::{Peer, broker, until_connected},
};

/// A peer that must be undisturbed by what others do.
struct Bystander(Peer);

impl Bystander {
    fn new(broker: &TestBroker) -> Self {
        let mut peer = Peer::v5(broker, "bystander");
        peer.ask("82 [0001 [] 'bystander' 00]", "90 [0001 [] 00]");
        Self(peer)
    }

    fn goes_on(&mut self) {
        self.0.send("30 ['bystander' [] \"fine\"]");
        self.0.expect("30 ['bystander' [] \"fine\"]");
    }
}

/// Class 4: every packet of a client, cut at every byte, with a Remaining Length that says so.
#[test]
fn class_4_packets_cut_at_every_byte() {
    let broker = broker();
    let mut bystander = Bystander::new(&broker);
    for (first, body) in [
        (0x30, "'topic' [01 01 26 'key' 'value'] \"payload\""),
        (0x32, "'topic' 0001 [02 00000001] \"payload\""),
        (0x40, "0001 10 [1F 'why']"),
        (0x50, "0001 10 [26 'key' 'value']"),
        (0x62, "0001 92 [1F 'why']"),
        (0x70, "0001 92 [1F 'why']"),
        (0x82, "0001 [0B 01] 'filter' 00 'other' 01"),
        (0xa2, "0001 [26 'key' 'value'] 'filter' 'other'"),
        (0xe0, "00 [11 00000000 1F 'why']"),
        (0xf0, "18 [15 'method' 16 'data']"),
    ] {
        let body = bytes(body);
        for cut in 0..body.len() {
            let mut peer = Peer::v5(&broker, "cut");
            let mut packet = vec![first];
            packet.extend(variable_byte_integer(cut));
            packet.extend(&body[..cut]);
            // What the cut leaves may be a packet of its own, a shorter payload for one.
            packet.extend([0xc0, 0]);
            peer.send_bytes(&packet);
            // A DISCONNECT that is whole is the one packet after which nothing need come.
            let mut concluded = first == 0xe0;
            let mut answered = 0;
            while let Some(answer) = peer.next() {
                assert!(answered < 3, "more answers than packets");
                answered += 1;
                match answer[0] {
                    0xd0 => {
                        concluded = true;
                        break;
                    }
                    0xe0 => {
                        assert!(answer[2] >= 0x80, "{first:02x} cut at {cut}");
                        concluded = true;
                    }
                    _ => {}
                }
            }
            assert!(concluded, "{first:02x} cut at {cut}: closed in silence");
        }
        bystander.goes_on();
    }
    drop(bystander);
    until_connected(&broker, 0);
}

/// Class 16: a topic of 65,000 levels is refused by the limit, and harmless where the limit allows it.
#[test]
fn class_16_a_topic_of_65000_levels() {
    let topic = "/".repeat(65_000);
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.ask(&format!("32 ['{topic}' 0001 [] \"x\"]"), "40 [0001 90]");
    peer.ask(&format!("82 [0001 [] '{topic}' 00]"), "90 [0001 [] 8F]");
    let wide = TestBroker::with(|config| config.mqtt.max_topic_levels = 100_000);
    let mut bystander = Bystander::new(&wide);
    let mut peer = Peer::v5(&wide, "a");
    let pattern = format!("{}#", "+/".repeat(32_000));
    peer.ask(
        &format!("82 [0001 [] '{topic}' 00 '{pattern}' 00]"),
        "90 [0001 [] 00 00]",
    );
    peer.send(&format!("31 ['{topic}' [] \"x\"]"));
    peer.expect(&format!("30 ['{topic}' [] \"x\"]"));
    // Retained under both filters, and found again.
    peer.ask(&format!("82 [0002 [] '{pattern}' 00]"), "90 [0002 [] 00]");
    peer.expect(&format!("31 ['{topic}' [] \"x\"]"));
    peer.ask(
        &format!("A2 [0003 [] '{topic}' '{pattern}']"),
        "B0 [0003 [] 00 00]",
    );
    peer.send(&format!("31 ['{topic}' []]"));
    peer.expect_nothing();
    bystander.goes_on();
}

/// Class 17: a wildcard where a topic name has to stand, and wildcards at the wrong place of a filter.
#[test]
fn class_17_wildcards_at_the_wrong_place() {
    let broker = broker();
    let mut bystander = Bystander::new(&broker);
    for (packet, code) in [
        ("30 ['sport/#' [] \"x\"]", 0x90),
        ("31 ['+' [] \"x\"]", 0x90),
        ("30 ['t' [08 'answer/#'] \"x\"]", 0x82),
    ] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(packet);
        peer.expect_disconnect(code);
    }
    let mut peer = Peer::open(&broker);
    peer.send("10 ['MQTT' 05 06 0000 [] 'a' [] 'will/+' 'm']");
    peer.expect_refusal(0x90);
    let mut peer = Peer::v5(&broker, "a");
    peer.ask(
        "82 [0001 [] 'sport/tennis#' 00 'sport+' 00 '#/a' 00]",
        "90 [0001 [] 8F 8F 8F]",
    );
    bystander.goes_on();
}

/// Class 21: thousands of user properties, and a pair of 64 KB texts.
#[test]
fn class_21_properties_beyond_measure() {
    let broker = broker();
    let mut bystander = Bystander::new(&broker);
    let many = "26 'k' 'v' ".repeat(5000);
    for packet in [
        format!("30 ['t' [{many}] \"x\"]"),
        format!("82 [0001 [{many}] 't' 00]"),
        format!("A2 [0001 [{many}] 't']"),
        format!("40 [0001 10 [{many}]]"),
        format!("E0 [00 [{many}]]"),
    ] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(&packet);
        peer.expect_disconnect(0x97);
    }
    let mut peer = Peer::open(&broker);
    peer.send(&format!("10 ['MQTT' 05 02 0000 [{many}] 'a']"));
    peer.expect_refusal(0x97);
    let mut peer = Peer::open(&broker);
    peer.send(&format!("10 ['MQTT' 05 06 0000 [] 'a' [{many}] 'w' 'm']"));
    peer.expect_refusal(0x97);
    // As large as a pair can be, and within the limit: it is forwarded whole.
    let text = "x".repeat(65_535);
    let mut peer = Peer::v5(&broker, "a");
    peer.ask("82 [0001 [] 't' 00]", "90 [0001 [] 00]");
    peer.send(&format!("30 ['t' [26 '{text}' '{text}'] \"x\"]"));
    peer.expect(&format!("30 ['t' [26 '{text}' '{text}'] \"x\"]"));
    bystander.goes_on();
}
