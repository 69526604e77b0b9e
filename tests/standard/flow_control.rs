//! Flow control `[4.9]`, Receive Maximum `[3.3.4]`, Maximum Packet Size `[3.1.2.11.4]`.

use crate::{
    kit::TestBroker,
    peer::{Peer, broker, until_connected},
};

/// [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2] No more unacknowledged messages than the client's Receive Maximum.
#[test]
fn the_receive_maximum_of_the_client_holds() {
    let broker = broker();
    let mut subscriber = Peer::v5_with(&broker, "s", "21 0002");
    subscriber.ask("82 [0001 [] 't' 02]", "90 [0001 [] 02]");
    let mut publisher = Peer::v5(&broker, "p");
    for n in 1..=5 {
        publisher.ask(
            &format!("34 ['t' {n:04X} [] {n:02X}]"),
            &format!("50 [{n:04X}]"),
        );
    }
    subscriber.expect("34 ['t' 0001 [] 01]");
    subscriber.expect("34 ['t' 0002 [] 02]");
    subscriber.expect_nothing();
    // PUBREC does not make room, PUBCOMP does, and so does a PUBREC with an error.
    subscriber.ask("50 [0001]", "62 [0001]");
    subscriber.expect_nothing();
    subscriber.ask("70 [0001]", "34 ['t' 0003 [] 03]");
    subscriber.expect_nothing();
    subscriber.ask("50 [0002 80]", "34 ['t' 0004 [] 04]");
    // QoS 0 does not count.
    publisher.send("30 ['t' [] \"0\"]");
    subscriber.expect("30 ['t' [] \"0\"]");
    subscriber.expect_nothing();
}

/// [MQTT-3.3.4-10] [MQTT-4.9.0-3] Other packets are handled and answered while the quota is used up.
#[test]
fn other_packets_do_not_wait_for_the_quota() {
    let broker = broker();
    let mut subscriber = Peer::v5_with(&broker, "s", "21 0001");
    subscriber.ask("82 [0001 [] 't' 01]", "90 [0001 [] 01]");
    let mut publisher = Peer::v5(&broker, "p");
    publisher.ask("32 ['t' 0001 [] \"1\"]", "40 [0001]");
    publisher.ask("32 ['t' 0002 [] \"2\"]", "40 [0002]");
    subscriber.expect("32 ['t' 0001 [] \"1\"]");
    subscriber.ask("C0 []", "D0 []");
    subscriber.ask("82 [0002 [] 'u' 01]", "90 [0002 [] 01]");
    subscriber.ask("A2 [0003 [] 'u']", "B0 [0003 [] 00]");
    subscriber.ask("32 ['u' 0001 [] \"x\"]", "40 [0001 10]");
    subscriber.ask("34 ['u' 0002 [] \"x\"]", "50 [0002 10]");
    subscriber.ask("62 [0002]", "70 [0002]");
    subscriber.ask("40 [0001]", "32 ['t' 0002 [] \"2\"]");
}

/// [MQTT-3.3.4-10] A PUBREL that is sent again does not wait for the quota either.
#[test]
fn pubrel_does_not_wait_for_the_quota() {
    let broker = broker();
    let mut subscriber = Peer::kept(&broker, "s", false);
    subscriber.ask("82 [0001 [] 't' 02]", "90 [0001 [] 02]");
    let mut publisher = Peer::v5(&broker, "p");
    for n in 1..=4 {
        publisher.ask(
            &format!("34 ['t' {n:04X} [] {n:02X}]"),
            &format!("50 [{n:04X}]"),
        );
        subscriber.expect(&format!("34 ['t' {n:04X} [] {n:02X}]"));
    }
    subscriber.ask("50 [0002]", "62 [0002]");
    subscriber.ask("50 [0004]", "62 [0004]");
    drop(subscriber);
    until_connected(&broker, 1);
    let mut again = Peer::open(&broker);
    again.send("10 ['MQTT' 05 00 0000 [17 00 11 00000E10 21 0001] 's']");
    again.expect(&format!("20 [01 00 [{}]]", crate::peer::LIMITS));
    again.expect("3C ['t' 0001 [] 01]");
    again.expect("62 [0002]");
    again.expect("62 [0004]");
    again.expect_nothing();
    again.send("70 [0002]");
    again.ask("50 [0001]", "62 [0001]");
    again.ask("70 [0001]", "3C ['t' 0003 [] 03]");
    again.ask("50 [0003]", "62 [0003]");
    again.send("70 [0003] 70 [0004]");
    again.expect_nothing();
}

/// [MQTT-3.3.4-7] More unacknowledged QoS 2 messages than the broker's Receive Maximum: 0x93.
#[test]
fn the_receive_maximum_of_the_broker_holds() {
    let broker = TestBroker::with(|config| config.mqtt.receive_maximum = 2);
    let mut peer = Peer::open(&broker);
    peer.send("10 ['MQTT' 05 02 0000 [17 00] 'a']");
    peer.expect("20 [00 00 [21 0002 27 00100000 22 0040 28 01 29 01 2A 01]]");
    for round in 0..3 {
        peer.ask("34 ['t' 0001 [] \"x\"]", "50 [0001 10]");
        peer.ask("34 ['t' 0002 [] \"x\"]", "50 [0002 10]");
        // QoS 1 messages are acknowledged at once, and a message sent again is no further one.
        peer.ask("32 ['t' 0003 [] \"x\"]", "40 [0003 10]");
        peer.ask("3C ['t' 0002 [] \"x\"]", "50 [0002]");
        if round < 2 {
            peer.ask("62 [0001]", "70 [0001]");
            peer.ask("62 [0002]", "70 [0002]");
        }
    }
    peer.send("34 ['t' 0003 [] \"x\"]");
    peer.expect_disconnect(0x93);
}

/// [MQTT-3.1.2-24] [MQTT-3.1.2-25] A message larger than the client takes is not sent, and counts as delivered.
#[test]
fn a_message_larger_than_the_client_takes_is_discarded() {
    let broker = broker();
    let mut subscriber = Peer::v5_with(&broker, "s", "21 0001 27 00000020");
    subscriber.ask("82 [0001 [] 't' 02]", "90 [0001 [] 02]");
    let mut publisher = Peer::v5(&broker, "p");
    // 32 bytes are a PUBLISH with QoS 0, 1 or 2 and a payload of 26 or 24 bytes.
    let fits = "x".repeat(24);
    let large = "x".repeat(25);
    let small = "x".repeat(26);
    for (first, ack) in [("32", "40"), ("34", "50")] {
        let id = u8::from(first == "34") + 1;
        publisher.ask(
            &format!("{first} ['t' 0001 [] \"{large}\"]"),
            &format!("{ack} [0001]"),
        );
        publisher.ask(
            &format!("{first} ['t' 0002 [] \"{fits}\"]"),
            &format!("{ack} [0002]"),
        );
        // The one that was discarded does not use up the Receive Maximum of 1.
        subscriber.expect(&format!("{first} ['t' {id:04X} [] \"{fits}\"]"));
        subscriber.expect_nothing();
        if first == "32" {
            subscriber.send("40 [0001]");
        }
    }
    publisher.send(&format!("30 ['t' [] \"{small}x\"]"));
    publisher.send(&format!("30 ['t' [] \"{small}\"]"));
    subscriber.expect(&format!("30 ['t' [] \"{small}\"]"));
}

/// [MQTT-3.1.2-24] A request whose answer the client does not take is refused before anything is changed.
#[test]
fn an_answer_is_no_larger_than_the_client_takes() {
    let broker = broker();
    let mut peer = Peer::v5_with(&broker, "a", "27 00000016");
    // A SUBACK of 22 bytes has 17 codes.
    let filters = |n: usize| (0..n).map(|n| format!("'{n}' 00")).collect::<String>();
    peer.ask(
        &format!("82 [0001 [] {}]", filters(17)),
        &format!("90 [0001 [] {}]", "00".repeat(17)),
    );
    peer.send(&format!("82 [0001 [] {}]", filters(18)));
    peer.expect_disconnect(0x95);
}
