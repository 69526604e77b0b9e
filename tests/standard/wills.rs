//! Will messages `[3.1.2.5]`, `[3.1.3.2]`.

use crate::peer::{Peer, broker, until_connected};

fn watcher(broker: &crate::kit::TestBroker) -> Peer {
    let mut watcher = Peer::v5(broker, "w");
    // Retain As Published, QoS 2.
    watcher.ask("82 [0001 [] 'will' 0A]", "90 [0001 [] 02]");
    watcher
}

/// [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-14] The will of a connection that ends without DISCONNECT is published,
/// with its QoS and not retained.
#[test]
fn the_will_is_published_when_the_connection_is_lost() {
    let broker = broker();
    let mut watcher = watcher(&broker);
    for (flags, message) in [
        ("06", "30 ['will' [] \"gone\"]"),
        ("0E", "32 ['will' 0001 [] \"gone\"]"),
        ("16", "34 ['will' 0002 [] \"gone\"]"),
    ] {
        let connect = format!("10 ['MQTT' 05 {flags} 0000 [] 'a' [] 'will' 'gone']");
        drop(Peer::connect(&broker, &connect));
        watcher.expect(message);
    }
    let mut later = Peer::v5(&broker, "l");
    later.ask("82 [0001 [] 'will' 00]", "90 [0001 [] 00]");
    later.expect_no_retained(&broker);
}

/// [MQTT-3.1.2-15] A will with Will Retain is published as a retained message.
#[test]
fn a_retained_will_is_retained() {
    let broker = broker();
    let mut watcher = watcher(&broker);
    drop(Peer::connect(
        &broker,
        "10 ['MQTT' 05 26 0000 [] 'a' [] 'will' 'gone']",
    ));
    watcher.expect("31 ['will' [] \"gone\"]");
    let mut later = Peer::v5(&broker, "l");
    later.ask("82 [0001 [] 'will' 00]", "90 [0001 [] 00]");
    later.expect("31 ['will' [] \"gone\"]");
}

/// [MQTT-3.14.4-3] [MQTT-3.1.2-10] DISCONNECT with 0x00 deletes the will, for good.
#[test]
fn a_normal_disconnection_deletes_the_will() {
    let broker = broker();
    let mut watcher = watcher(&broker);
    for disconnect in ["E0 []", "E0 [00]", "E0 [00 []]"] {
        let connect = "10 ['MQTT' 05 06 0000 [] 'a' [] 'will' 'gone']";
        let mut peer = Peer::connect(&broker, connect);
        peer.send(disconnect);
        peer.expect_end();
    }
    until_connected(&broker, 1);
    watcher.expect_nothing();
}

/// [MQTT-3.1.2-8] Any other DISCONNECT leaves the will: 0x04 asks for it, an error does not forbid it.
#[test]
fn another_disconnection_publishes_the_will() {
    let broker = broker();
    let mut watcher = watcher(&broker);
    for code in ["04", "80", "82", "99"] {
        let connect = "10 ['MQTT' 05 06 0000 [] 'a' [] 'will' 'gone']";
        let mut peer = Peer::connect(&broker, connect);
        peer.send(&format!("E0 [{code}]"));
        peer.expect_end();
        watcher.expect("30 ['will' [] \"gone\"]");
    }
}

/// [MQTT-3.1.2-8] A breach of the protocol is such an end as well.
#[test]
fn a_breach_publishes_the_will() {
    let broker = broker();
    let mut watcher = watcher(&broker);
    let mut peer = Peer::connect(
        &broker,
        "10 ['MQTT' 05 06 0000 [17 00] 'a' [] 'will' 'gone']",
    );
    peer.send("36 ['t' 0001 []]");
    peer.expect_disconnect(0x81);
    watcher.expect("30 ['will' [] \"gone\"]");
}

/// [MQTT-3.1.2-10] A will is published once: not again when the session goes on and ends.
#[test]
fn a_will_is_published_once() {
    let broker = broker();
    let mut watcher = watcher(&broker);
    let connect = "10 ['MQTT' 05 04 0000 [17 00 11 00000E10] 'a' [] 'will' 'gone']";
    drop(Peer::connect(&broker, connect));
    watcher.expect("30 ['will' [] \"gone\"]");
    // Goes on without a will, and ends.
    drop(Peer::kept(&broker, "a", true));
    until_connected(&broker, 1);
    Peer::v5(&broker, "a");
    until_connected(&broker, 1);
    watcher.expect_nothing();
}

/// [MQTT-3.1.3-9] A client that comes back before the Will Delay Interval has passed keeps its will to itself.
#[test]
fn a_delayed_will_is_not_published_when_the_client_comes_back() {
    let broker = broker();
    let mut watcher = watcher(&broker);
    let connect = "10 ['MQTT' 05 04 0000 [17 00 11 00000E10] 'a' [18 00000E10] 'will' 'gone']";
    drop(Peer::connect(&broker, connect));
    until_connected(&broker, 1);
    drop(Peer::kept(&broker, "a", true));
    until_connected(&broker, 1);
    watcher.expect_nothing();
    // The same where the connection that has the will is taken over.
    let mut first = Peer::open(&broker);
    first.send(&connect.replace("00000E10] 'a'", "00000E10] 'b'"));
    assert!(first.next().is_some());
    Peer::kept(&broker, "b", true);
    first.expect_disconnect(0x8e);
    until_connected(&broker, 1);
    watcher.expect_nothing();
}

/// [MQTT-3.1.2-8] A delayed will is published when its interval has passed, or earlier when the session ends.
#[test]
fn a_delayed_will_is_published_in_its_time() {
    let broker = broker();
    let mut watcher = watcher(&broker);
    for (expiry, delay) in [("00000E10", "00000001"), ("00000001", "00000E10")] {
        drop(Peer::connect(
            &broker,
            &format!("10 ['MQTT' 05 06 0000 [11 {expiry}] 'a' [18 {delay}] 'will' 'gone']"),
        ));
        watcher.expect("30 ['will' [] \"gone\"]");
    }
    // Clean Start 1 ends the session.
    let connect = "10 ['MQTT' 05 06 0000 [11 00000E10] 'b' [18 00000E10] 'will' 'gone']";
    drop(Peer::connect(&broker, connect));
    Peer::v5(&broker, "b");
    watcher.expect("30 ['will' [] \"gone\"]");
}

/// [MQTT-3.1.3-10] The will's properties are forwarded, User Properties in their order.
#[test]
fn the_properties_of_the_will_are_forwarded() {
    let broker = broker();
    let mut watcher = watcher(&broker);
    let properties = "01 01 03 'type' 08 'answer' 09 'data' 26 'b' '1' 26 'a' '2' 26 'b' '3'";
    drop(Peer::connect(
        &broker,
        &format!("10 ['MQTT' 05 06 0000 [] 'a' [18 00000000 {properties}] 'will' 'gone']"),
    ));
    watcher.expect(&format!("30 ['will' [{properties}] \"gone\"]"));
}
