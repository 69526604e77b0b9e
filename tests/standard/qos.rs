//! Quality of Service `[4.3]`, delivery retry `[4.4]`, ordering `[4.6]`.

use crate::peer::{Peer, broker, until_connected};

/// A subscriber "s" of 't' with QoS 2 and a session that is kept, and a publisher.
fn subscriber_and_publisher(broker: &crate::kit::TestBroker) -> (Peer, Peer) {
    let mut subscriber = Peer::kept(broker, "s", false);
    subscriber.ask("82 [0001 [] 't' 02]", "90 [0001 [] 02]");
    (subscriber, Peer::v5(broker, "p"))
}

/// Ends the connection of `subscriber` and resumes its session.
fn reconnect(broker: &crate::kit::TestBroker, subscriber: Peer) -> Peer {
    drop(subscriber);
    until_connected(broker, 1);
    Peer::kept(broker, "s", true)
}

/// [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.3-1] [MQTT-4.3.3-2] Every message has an identifier that is
/// not in use, not zero, and DUP 0.
#[test]
fn each_message_has_an_unused_packet_identifier() {
    let broker = broker();
    let (mut subscriber, mut publisher) = subscriber_and_publisher(&broker);
    publisher.ask("32 ['t' 0009 [] \"1\"]", "40 [0009]");
    publisher.ask("34 ['t' 0009 [] \"2\"]", "50 [0009]");
    publisher.ask("32 ['t' 0008 [] \"3\"]", "40 [0008]");
    subscriber.expect("32 ['t' 0001 [] \"1\"]");
    subscriber.expect("34 ['t' 0002 [] \"2\"]");
    subscriber.expect("32 ['t' 0003 [] \"3\"]");
    // The first and the last are free, the second is not.
    subscriber.send("40 [0001]");
    subscriber.send("40 [0003]");
    for n in 4..=40 {
        publisher.ask("32 ['t' 0001 [] \"x\"]", "40 [0001]");
        subscriber.expect(&format!("32 ['t' {n:04X} [] \"x\"]"));
    }
}

/// [MQTT-2.2.1-4] After 65,535 the identifiers begin again at 1, never 0, and leave out those in use.
#[test]
fn packet_identifiers_begin_again() {
    let broker = crate::kit::TestBroker::with(|config| config.mqtt.max_inflight_window = 1);
    let (mut subscriber, mut publisher) = subscriber_and_publisher(&broker);
    let publish = crate::notation::bytes("32 ['t' 0001 [] \"x\"]");
    let mut seen = vec![false; 65_536];
    // In steps, so that neither side has more waiting than its buffers hold.
    for step in 0..68u32 {
        publisher.send_bytes(&publish.repeat(1000));
        for n in 0..1000u32 {
            assert_eq!(publisher.next().unwrap(), [0x40, 2, 0, 1]);
            let message = subscriber.next().unwrap();
            let id = u16::from_be_bytes([message[5], message[6]]);
            let number = step * 1000 + n;
            assert_eq!(u32::from(id), number % 65_535 + 1);
            seen[usize::from(id)] = true;
            subscriber.send_bytes(&[0x40, 2, message[5], message[6]]);
        }
    }
    assert!(!seen[0] && seen[1..].iter().all(|seen| *seen));
}

/// [MQTT-2.2.1-5] [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.3.3-11] PUBACK, PUBREC and PUBCOMP have the identifier of what
/// they answer.
#[test]
fn acknowledgements_have_the_identifier_of_what_they_answer() {
    let broker = broker();
    let mut subscriber = Peer::v5(&broker, "s");
    subscriber.ask("82 [0001 [] 't' 00]", "90 [0001 [] 00]");
    let mut peer = Peer::v5(&broker, "p");
    for id in ["0001", "00FF", "0100", "FFFF"] {
        peer.ask(&format!("32 ['t' {id} [] \"x\"]"), &format!("40 [{id}]"));
        peer.ask(&format!("34 ['t' {id} [] \"x\"]"), &format!("50 [{id}]"));
        peer.ask(&format!("62 [{id}]"), &format!("70 [{id}]"));
    }
}

/// [MQTT-4.3.2-5] After PUBACK the same identifier is a new message, DUP or not.
#[test]
fn after_puback_the_identifier_is_a_new_message() {
    let broker = broker();
    let (mut subscriber, mut publisher) = subscriber_and_publisher(&broker);
    for (n, first) in [(1, "32"), (2, "32"), (3, "3A")] {
        publisher.ask(&format!("{first} ['t' 0005 [] \"x\"]"), "40 [0005]");
        subscriber.expect(&format!("32 ['t' {n:04X} [] \"x\"]"));
    }
}

/// [MQTT-4.3.3-10] Until PUBREL the same identifier is the same message: acknowledged, not delivered again.
#[test]
fn until_pubrel_a_qos_2_message_is_not_delivered_again() {
    let broker = broker();
    let (mut subscriber, mut publisher) = subscriber_and_publisher(&broker);
    publisher.ask("34 ['t' 0005 [] \"x\"]", "50 [0005]");
    publisher.ask("3C ['t' 0005 [] \"x\"]", "50 [0005]");
    publisher.ask("34 ['t' 0005 [] \"x\"]", "50 [0005]");
    subscriber.expect("34 ['t' 0001 [] \"x\"]");
    subscriber.expect_nothing();
}

/// [MQTT-4.3.3-10] The same on the next connection of the session.
#[test]
fn a_qos_2_message_is_known_on_the_next_connection() {
    let broker = broker();
    let mut subscriber = Peer::v5(&broker, "s");
    subscriber.ask("82 [0001 [] 't' 00]", "90 [0001 [] 00]");
    let mut publisher = Peer::kept(&broker, "p", false);
    publisher.ask("34 ['t' 0005 [] \"x\"]", "50 [0005]");
    subscriber.expect("30 ['t' [] \"x\"]");
    drop(publisher);
    until_connected(&broker, 1);
    let mut publisher = Peer::kept(&broker, "p", true);
    publisher.ask("3C ['t' 0005 [] \"x\"]", "50 [0005]");
    publisher.ask("62 [0005]", "70 [0005]");
    subscriber.expect_nothing();
}

/// [MQTT-4.3.3-12] After PUBCOMP the same identifier is a new message.
#[test]
fn after_pubcomp_the_identifier_is_a_new_message() {
    let broker = broker();
    let (mut subscriber, mut publisher) = subscriber_and_publisher(&broker);
    for n in 1..=2 {
        publisher.ask("34 ['t' 0005 [] \"x\"]", "50 [0005]");
        publisher.ask("62 [0005]", "70 [0005]");
        subscriber.expect(&format!("34 ['t' {n:04X} [] \"x\"]"));
    }
}

/// [MQTT-4.3.3-9] After a PUBREC with an error the same identifier is a new message.
#[test]
fn after_a_refusing_pubrec_the_identifier_is_a_new_message() {
    let broker = broker();
    let (mut subscriber, mut publisher) = subscriber_and_publisher(&broker);
    publisher.ask("34 ['$SYS/x' 0005 [] \"no\"]", "50 [0005 87]");
    publisher.ask("34 ['t' 0005 [] \"yes\"]", "50 [0005]");
    subscriber.expect("34 ['t' 0001 [] \"yes\"]");
}

/// [MQTT-4.3.3-4] PUBREC is answered by PUBREL with the identifier of the message, an error by nothing.
#[test]
fn pubrec_is_answered_by_pubrel() {
    let broker = broker();
    let (mut subscriber, mut publisher) = subscriber_and_publisher(&broker);
    for id in [1, 2, 3] {
        publisher.ask("34 ['t' 0001 [] \"x\"]", "50 [0001]");
        publisher.ask("62 [0001]", "70 [0001]");
        subscriber.expect(&format!("34 ['t' {id:04X} [] \"x\"]"));
    }
    subscriber.ask("50 [0002]", "62 [0002]");
    subscriber.ask("50 [0001 10]", "62 [0001]");
    subscriber.send("50 [0003 80]");
    subscriber.expect_nothing();
}

/// [MQTT-3.6.2-1] [MQTT-3.7.2-1] A PUBREC or PUBREL of nothing is answered with Packet Identifier Not Found; by a code,
/// not by a Reason String that the client does not want [MQTT-3.1.2-29].
#[test]
fn what_is_not_known_is_answered_with_not_found() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.ask("62 [0007]", "70 [0007 92]");
    peer.ask("50 [0007]", "62 [0007 92]");
    // A PUBACK or PUBCOMP of nothing has no answer.
    peer.send("40 [0007] 70 [0007]");
    peer.expect_nothing();
}

/// [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.4.0-1] [MQTT-3.3.1-1] What is not acknowledged is
/// sent again, with its identifier and DUP; after PUBREC it is PUBREL that is sent again; and only on a new connection.
#[test]
fn what_is_not_acknowledged_is_sent_again() {
    let broker = broker();
    let (mut subscriber, mut publisher) = subscriber_and_publisher(&broker);
    publisher.ask("32 ['t' 0001 [] \"1\"]", "40 [0001]");
    publisher.ask("34 ['t' 0002 [] \"2\"]", "50 [0002]");
    publisher.ask("34 ['t' 0003 [] \"3\"]", "50 [0003]");
    publisher.ask("32 ['t' 0004 [] \"4\"]", "40 [0004]");
    subscriber.expect("32 ['t' 0001 [] \"1\"]");
    subscriber.expect("34 ['t' 0002 [] \"2\"]");
    subscriber.expect("34 ['t' 0003 [] \"3\"]");
    subscriber.expect("32 ['t' 0004 [] \"4\"]");
    subscriber.ask("50 [0002]", "62 [0002]");
    subscriber.send("40 [0004]");
    // Nothing is sent again while the connection lasts.
    subscriber.expect_nothing();
    for _ in 0..2 {
        subscriber = reconnect(&broker, subscriber);
        subscriber.expect("3A ['t' 0001 [] \"1\"]");
        subscriber.expect("62 [0002]");
        subscriber.expect("3C ['t' 0003 [] \"3\"]");
        subscriber.expect_nothing();
    }
    subscriber.send("40 [0001] 70 [0002]");
    subscriber.ask("50 [0003]", "62 [0003]");
    subscriber.send("70 [0003]");
    subscriber.expect_nothing();
    reconnect(&broker, subscriber).expect_nothing();
}

/// [MQTT-4.4.0-2] A PUBACK or PUBREC with an error ends the delivery as well.
#[test]
fn what_is_refused_is_not_sent_again() {
    let broker = broker();
    let (mut subscriber, mut publisher) = subscriber_and_publisher(&broker);
    publisher.ask("32 ['t' 0001 [] \"1\"]", "40 [0001]");
    publisher.ask("34 ['t' 0002 [] \"2\"]", "50 [0002]");
    subscriber.expect("32 ['t' 0001 [] \"1\"]");
    subscriber.expect("34 ['t' 0002 [] \"2\"]");
    subscriber.send("40 [0001 83] 50 [0002 97]");
    subscriber.expect_nothing();
    reconnect(&broker, subscriber).expect_nothing();
}

/// [MQTT-4.3.3-7] [MQTT-4.3.3-13] A message that was sent does not expire: it is sent again and released, however late.
#[test]
fn a_message_that_was_sent_does_not_expire() {
    let broker = broker();
    let (mut subscriber, mut publisher) = subscriber_and_publisher(&broker);
    let mut clock = Peer::v5(&broker, "c");
    clock.ask("82 [0001 [] 'clock' 00]", "90 [0001 [] 00]");
    publisher.ask("34 ['t' 0001 [02 00000001] \"x\"]", "50 [0001]");
    subscriber.expect("34 ['t' 0001 [02 00000001] \"x\"]");
    drop(subscriber);
    // A will that comes after two seconds is the clock.
    drop(Peer::connect(
        &broker,
        "10 ['MQTT' 05 06 0000 [11 00000064] 'd' [18 00000002] 'clock' '']",
    ));
    clock.expect("30 ['clock' []]");
    let mut subscriber = Peer::kept(&broker, "s", true);
    // What is left of the interval is nothing.
    subscriber.expect("3C ['t' 0001 [02 00000000] \"x\"]");
    subscriber.ask("50 [0001]", "62 [0001]");
    subscriber.send("70 [0001]");
    // The publisher's side goes on too, although the message has expired.
    publisher.ask("62 [0001]", "70 [0001]");
}

/// [MQTT-4.6.0-5] [MQTT-4.6.0-6] Messages of one client to one topic with one QoS keep their order, sent again or not.
#[test]
fn messages_keep_their_order() {
    let broker = broker();
    for (publish, deliver) in [("30", "30"), ("32", "32"), ("34", "34")] {
        let mut subscriber = Peer::v5(&broker, "s");
        subscriber.ask("82 [0001 [] 'o/#' 02]", "90 [0001 [] 02]");
        let mut publisher = Peer::v5(&broker, "p");
        let id = |n: u16| match publish {
            "30" => String::new(),
            _ => format!("{n:04X}"),
        };
        for n in 1..=100 {
            publisher.send(&format!("{publish} ['o/t' {} [] {n:04X}]", id(n)));
        }
        for n in 1..=100 {
            subscriber.expect(&format!("{deliver} ['o/t' {} [] {n:04X}]", id(n)));
        }
    }
}

/// [MQTT-4.6.0-5] The same for a session that was away.
#[test]
fn waiting_messages_keep_their_order() {
    let broker = broker();
    let (subscriber, mut publisher) = subscriber_and_publisher(&broker);
    drop(subscriber);
    until_connected(&broker, 1);
    for n in 1..=50 {
        publisher.ask(&format!("32 ['t' 0001 [] {n:04X}]"), "40 [0001]");
    }
    let mut subscriber = Peer::kept(&broker, "s", true);
    for n in 1..=50 {
        subscriber.expect(&format!("32 ['t' {n:04X} [] {n:04X}]"));
    }
    let mut again = reconnect(&broker, subscriber);
    for n in 1..=50 {
        again.expect(&format!("3A ['t' {n:04X} [] {n:04X}]"));
    }
}
