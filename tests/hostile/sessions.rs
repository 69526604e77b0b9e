//! Sessions under attack: floods, storms of takeovers, takeovers between versions.

use std::{sync::Barrier, thread};

use nanomq::stats::Metric;

use crate::{
    kit::TestBroker,
    notation::bytes,
    peer::{Peer, broker, until_connected},
};

/// Class 25: a flood of QoS 2 with one identifier is one message.
#[test]
fn class_25_a_flood_on_one_packet_identifier() {
    let broker = broker();
    let mut subscriber = Peer::v5(&broker, "s");
    subscriber.ask("82 [0001 [] 't' 00]", "90 [0001 [] 00]");
    let mut peer = Peer::v5(&broker, "a");
    peer.send_bytes(&bytes("34 ['t' 0001 [] \"x\"]").repeat(2000));
    for _ in 0..2000 {
        peer.expect("50 [0001]");
    }
    subscriber.expect("30 ['t' [] \"x\"]");
    subscriber.expect_nothing();
}

/// Class 25: QoS 2 without PUBREL ends at the Receive Maximum, and the session remembers no more than that.
#[test]
fn class_25_messages_that_are_never_released() {
    let broker = TestBroker::with(|config| config.mqtt.receive_maximum = 10);
    for round in 0..3 {
        let mut peer = Peer::open(&broker);
        peer.send("10 ['MQTT' 05 00 0000 [17 00 11 00000E10] 'a']");
        assert_eq!(peer.next().unwrap()[3], 0);
        if round == 0 {
            for id in 1..=10 {
                peer.ask(
                    &format!("34 ['t' {id:04X} [] \"x\"]"),
                    &format!("50 [{id:04X} 10]"),
                );
            }
        }
        peer.send("34 ['t' 0100 [] \"x\"]");
        peer.expect_disconnect(0x93);
    }
}

/// Class 25: acknowledgements of nothing are answered, or ignored, and change nothing.
#[test]
fn class_25_acknowledgements_of_nothing() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    for id in [1, 2, 0x8000, 0xffff] {
        peer.ask(&format!("62 [{id:04X}]"), &format!("70 [{id:04X} 92]"));
        peer.ask(&format!("50 [{id:04X}]"), &format!("62 [{id:04X} 92]"));
        peer.send(&format!("40 [{id:04X}] 70 [{id:04X}] 50 [{id:04X} 80]"));
        peer.expect_nothing();
    }
    peer.ask("82 [0001 [] 't' 02]", "90 [0001 [] 02]");
    peer.send("34 ['t' 0001 [] \"x\"]");
    peer.expect_all(&["50 [0001]", "34 ['t' 0001 [] \"x\"]"]);
}

/// Class 26: two hundred connections of one client at once, each of which subscribes and publishes.
#[test]
fn class_26_a_takeover_storm_with_traffic() {
    const CONNECTIONS: usize = 200;
    let broker = broker();
    let together = Barrier::new(CONNECTIONS);
    thread::scope(|scope| {
        for n in 0..CONNECTIONS {
            let (broker, together) = (&broker, &together);
            scope.spawn(move || {
                let mut peer = Peer::open(broker);
                together.wait();
                let connect = match n % 4 {
                    0 => "10 ['MQTT' 05 00 0000 [11 00000E10] 'x']",
                    1 => "10 ['MQTT' 05 02 0000 [] 'x']",
                    2 => "10 ['MQTT' 04 00 0000 'x']",
                    _ => "10 ['MQTT' 04 02 0000 'x']",
                };
                let requests = match n % 4 < 2 {
                    true => {
                        "82 [0001 [] 't' 02 'u' 01] 34 ['t' 0001 [] \"x\"] 32 ['u' 0002 [] \"x\"]"
                    }
                    false => "82 [0001 't' 02 'u' 01] 34 ['t' 0001 \"x\"] 32 ['u' 0002 \"x\"]",
                };
                // All at once: the broker may close at any packet.
                peer.send_if_open(&bytes(&format!("{connect} {requests}")));
                while let Some(packet) = peer.next() {
                    assert!(
                        matches!(packet[0] >> 4, 2 | 3 | 4 | 5 | 9 | 14),
                        "{packet:02x?}"
                    );
                    if packet[0] >> 4 == 14 {
                        assert_eq!(packet[2], 0x8e);
                    }
                    // The answer to the last request: nobody takes this one over any more, or it is done.
                    if packet[0] >> 4 == 4 {
                        break;
                    }
                }
            });
        }
    });
    broker.until("no connection is left", |stats| stats.connections == 0);
    let accepted = broker.stats().totals.get(Metric::ConnectsAccepted);
    assert!(accepted > 0, "nobody was let in");
    assert_eq!(broker.stats().totals.get(Metric::Disconnects), accepted);
    // The client is served as ever, and leaves nothing behind.
    let mut peer = Peer::v5(&broker, "x");
    peer.ask("82 [0001 [] 'v' 00]", "90 [0001 [] 00]");
    peer.send("30 ['v' [] \"fine\"]");
    peer.expect("30 ['v' [] \"fine\"]");
    drop(peer);
    broker.until("nothing is left", |stats| {
        (stats.sessions, stats.subscriptions) == (0, 0)
    });
    assert_eq!(broker.queues(), Default::default());
}

/// Class 27: a session goes from version to version in the middle of QoS 2, both ways.
#[test]
fn class_27_takeovers_between_versions_in_the_middle_of_qos_2() {
    let broker = broker();
    let mut publisher = Peer::v5(&broker, "p");
    let mut five = Peer::kept(&broker, "a", false);
    five.ask("82 [0001 [] 't' 02]", "90 [0001 [] 02]");
    publisher.ask("34 ['t' 0001 [26 'k' 'v'] \"1\"]", "50 [0001]");
    publisher.ask("34 ['t' 0002 [26 'k' 'v'] \"2\"]", "50 [0002]");
    five.expect("34 ['t' 0001 [26 'k' 'v'] \"1\"]");
    five.expect("34 ['t' 0002 [26 'k' 'v'] \"2\"]");
    five.ask("50 [0001]", "62 [0001]");
    five.ask("34 ['u' 0007 [] \"mine\"]", "50 [0007 10]");

    let mut four = Peer::open(&broker);
    four.send("10 ['MQTT' 04 00 0000 'a']");
    four.expect("20 [01 00]");
    five.expect_disconnect(0x8e);
    four.expect("62 [0001]");
    four.expect("3C ['t' 0002 \"2\"]");
    four.ask("50 [0002]", "62 [0002]");
    // Its own message is known, and released once.
    four.ask("3C ['u' 0007 \"mine\"]", "50 [0007]");
    four.ask("62 [0007]", "70 [0007]");

    let mut five = Peer::kept(&broker, "a", true);
    four.expect_end();
    five.expect("62 [0001]");
    five.expect("62 [0002]");
    five.ask("62 [0007]", "70 [0007 92]");
    five.send("70 [0001] 70 [0002]");
    five.expect_nothing();

    // Clean: nothing of it is left.
    let mut clean = Peer::v311(&broker, "a");
    five.expect_disconnect(0x8e);
    publisher.ask("34 ['t' 0003 [] \"3\"]", "50 [0003 10]");
    clean.expect_nothing();
}

/// Class 27: a takeover while the will of a half-open connection waits for its delay.
#[test]
fn class_27_a_takeover_with_a_delayed_will() {
    let broker = broker();
    let mut watcher = Peer::v5(&broker, "w");
    watcher.ask("82 [0001 [] 'will' 00]", "90 [0001 [] 00]");
    let half_open = Peer::connect(
        &broker,
        "10 ['MQTT' 05 04 0000 [11 00000E10] 'a' [18 00000E10] 'will' 'first']",
    );
    // The first connection is never heard of again, nor does it read.
    let mut second = Peer::open(&broker);
    second.send("10 ['MQTT' 04 04 0000 'a' 'will' 'second']");
    second.expect("20 [01 00]");
    watcher.expect_nothing();
    drop(half_open);
    watcher.expect_nothing();
    drop(second);
    watcher.expect("30 ['will' [] \"second\"]");
    watcher.expect_nothing();
}

/// Class 29: the will of a silent client fires once, whoever looks at the socket again afterwards.
#[test]
fn class_29_a_half_open_connection_fires_its_will_once() {
    let broker = broker();
    let mut watcher = Peer::v5(&broker, "w");
    watcher.ask("82 [0001 [] 'will' 00]", "90 [0001 [] 00]");
    let mut silent = Peer::connect(
        &broker,
        "10 ['MQTT' 05 06 0001 [17 00 11 00000E10] 'a' [] 'will' 'gone']",
    );
    // Keep alive 0 and 65,535 are watched much later, or never.
    let mut never = Peer::connect(&broker, "10 ['MQTT' 05 02 0000 [17 00] 'n' ]");
    let mut late = Peer::connect(&broker, "10 ['MQTT' 05 02 FFFF [17 00] 'l' ]");
    watcher.expect("30 ['will' [] \"gone\"]");
    silent.expect_disconnect(0x8d);
    drop(silent);
    until_connected(&broker, 3);
    // The session goes on without that will, and its end publishes none.
    drop(Peer::kept(&broker, "a", true));
    Peer::v5(&broker, "a").expect_nothing();
    watcher.expect_nothing();
    never.expect_nothing();
    late.expect_nothing();
    assert_eq!(broker.stats().totals.get(Metric::WillsPublished), 1);
    assert_eq!(broker.stats().totals.get(Metric::KeepAliveTimeouts), 1);
}
