//! Topic aliases `[3.3.2.3.4]`.

use crate::{
    kit::TestBroker,
    peer::{Peer, broker, until_connected},
};

fn watcher(broker: &TestBroker) -> Peer {
    let mut watcher = Peer::v5(broker, "w");
    watcher.ask("82 [0001 [] 't/#' 00]", "90 [0001 [] 00]");
    watcher
}

/// [MQTT-3.3.2-12] Every alias from 1 to the maximum is accepted, and set anew at will; it is not handed on.
#[test]
fn every_alias_up_to_the_maximum_is_accepted() {
    let broker = broker();
    let mut watcher = watcher(&broker);
    let mut peer = Peer::v5(&broker, "a");
    for alias in [1, 2, 0x3f, 0x40] {
        peer.send(&format!("30 ['t/{alias}' [23 {alias:04X}] \"set\"]"));
        watcher.expect(&format!("30 ['t/{alias}' [] \"set\"]"));
    }
    for alias in [0x40, 1, 0x3f, 2] {
        peer.send(&format!("30 ['' [23 {alias:04X}] \"used\"]"));
        watcher.expect(&format!("30 ['t/{alias}' [] \"used\"]"));
    }
    peer.send("30 ['t/new' [23 0001] \"set\"] 30 ['' [23 0001] \"used\"]");
    watcher.expect("30 ['t/new' [] \"set\"]");
    watcher.expect("30 ['t/new' [] \"used\"]");
}

/// [MQTT-3.3.2-8] An alias of 0 is refused.
#[test]
fn alias_0_is_refused() {
    let broker = broker();
    for topic in ["t", ""] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(&format!("30 ['{topic}' [23 0000] \"x\"]"));
        peer.expect_disconnect(0x94);
    }
}

/// [MQTT-3.3.2-9] [MQTT-3.2.2-17] An alias above the maximum is refused.
#[test]
fn an_alias_above_the_maximum_is_refused() {
    let broker = broker();
    for alias in ["0041", "FFFF"] {
        let mut peer = Peer::v5(&broker, "a");
        peer.send(&format!("30 ['t' [23 {alias}] \"x\"]"));
        peer.expect_disconnect(0x94);
    }
}

/// [MQTT-3.2.2-18] A broker that allows no aliases takes none.
#[test]
fn without_a_maximum_no_alias_is_accepted() {
    let broker = TestBroker::with(|config| config.mqtt.max_topic_alias = 0);
    let mut peer = Peer::open(&broker);
    peer.send("10 ['MQTT' 05 02 0000 [17 00] 'a']");
    peer.expect("20 [00 00 [21 0400 27 00100000 22 0000 28 01 29 01 2A 01]]");
    peer.send("30 ['t' [23 0001] \"x\"]");
    peer.expect_disconnect(0x94);
}

/// [MQTT-3.3.2-7] An alias ends with its connection, though the session goes on.
#[test]
fn an_alias_ends_with_its_connection() {
    let broker = broker();
    let mut peer = Peer::kept(&broker, "a", false);
    peer.send("30 ['t' [23 0001] \"x\"]");
    peer.send("30 ['' [23 0001] \"x\"]");
    peer.expect_nothing();
    drop(peer);
    until_connected(&broker, 0);
    let mut peer = Peer::kept(&broker, "a", true);
    peer.send("30 ['' [23 0001] \"x\"]");
    peer.expect_disconnect(0x82);
}

/// [MQTT-3.3.2-11] [MQTT-3.1.2-26] [MQTT-3.3.2-7] The broker sets no alias above the client's maximum, and each anew on
/// a new connection.
#[test]
fn the_brokers_aliases_keep_to_the_clients_maximum() {
    let broker = TestBroker::with(|config| config.mqtt.max_topic_alias_out = 10);
    let mut publisher = Peer::v5(&broker, "p");
    let mut publish = |topic: &str| {
        publisher.ask(&format!("32 ['{topic}' 0001 [] \"x\"]"), "40 [0001]");
    };
    let mut present = "00";
    for _ in 0..2 {
        let mut peer = Peer::open(&broker);
        peer.send("10 ['MQTT' 05 00 0000 [22 0002 11 00000E10] 'a']");
        peer.expect(&format!("20 [{present} 00 [{}]]", crate::peer::LIMITS));
        present = "01";
        peer.ask("82 [0001 [] 't/#' 00]", "90 [0001 [] 00]");
        for topic in ["t/1", "t/2", "t/3", "t/1", "t/2", "t/3"] {
            publish(topic);
        }
        peer.expect("30 ['t/1' [23 0001] \"x\"]");
        peer.expect("30 ['t/2' [23 0002] \"x\"]");
        peer.expect("30 ['t/3' [] \"x\"]");
        peer.expect("30 ['' [23 0001] \"x\"]");
        peer.expect("30 ['' [23 0002] \"x\"]");
        peer.expect("30 ['t/3' [] \"x\"]");
        drop(peer);
        until_connected(&broker, 1);
    }
}

/// [MQTT-3.1.2-27] A client that allows none gets none.
#[test]
fn a_client_without_a_maximum_gets_no_aliases() {
    let broker = TestBroker::with(|config| config.mqtt.max_topic_alias_out = 10);
    let mut publisher = Peer::v5(&broker, "p");
    for properties in ["", "22 0000"] {
        let mut peer = Peer::v5_with(&broker, "a", properties);
        peer.ask("82 [0001 [] 't' 00]", "90 [0001 [] 00]");
        for _ in 0..2 {
            publisher.ask("32 ['t' 0001 [] \"x\"]", "40 [0001]");
            peer.expect("30 ['t' [] \"x\"]");
        }
    }
}
