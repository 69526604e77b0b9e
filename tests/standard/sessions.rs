//! Session state `[3.1.2.4]`, `[3.1.2.11.2]`, `[4.1]`.

use crate::peer::{LIMITS, Peer, broker, until_connected};

/// [MQTT-3.1.2-4] [MQTT-3.1.4-4] Clean Start 1 discards the session: subscriptions and messages are gone.
#[test]
fn clean_start_discards_the_session() {
    let broker = broker();
    let mut first = Peer::kept(&broker, "a", false);
    first.ask("82 [0001 [] 't' 01]", "90 [0001 [] 01]");
    first.send("E0 []");
    first.expect_end();
    let mut publisher = Peer::v5(&broker, "p");
    publisher.ask("32 ['t' 0001 [] \"waits\"]", "40 [0001]");
    let mut anew = Peer::v5(&broker, "a");
    // Nobody is subscribed any more.
    publisher.ask("32 ['t' 0001 [] \"x\"]", "40 [0001 10]");
    anew.expect_nothing();
}

/// [MQTT-3.1.2-5] [MQTT-3.1.2-23] [MQTT-4.5.0-1] [MQTT-4.1.0-1] A session that is kept goes on: its subscriptions
/// hold, and the messages that came meanwhile are delivered.
#[test]
fn a_kept_session_is_resumed() {
    let broker = broker();
    let mut first = Peer::kept(&broker, "a", false);
    first.ask("82 [0001 [] 't' 02]", "90 [0001 [] 02]");
    drop(first);
    until_connected(&broker, 0);
    let mut publisher = Peer::v5(&broker, "p");
    publisher.ask("32 ['t' 0001 [] \"one\"]", "40 [0001]");
    publisher.ask("34 ['t' 0002 [] \"two\"]", "50 [0002]");
    let mut again = Peer::kept(&broker, "a", true);
    again.expect("32 ['t' 0001 [] \"one\"]");
    again.expect("34 ['t' 0002 [] \"two\"]");
    publisher.send("30 ['t' [] \"three\"]");
    again.expect("30 ['t' [] \"three\"]");
}

/// [MQTT-3.1.2-6] Without a session there, Clean Start 0 makes one.
#[test]
fn a_session_is_made_where_there_is_none() {
    let broker = broker();
    let mut peer = Peer::kept(&broker, "a", false);
    peer.ask("82 [0001 [] 't' 00]", "90 [0001 [] 00]");
    peer.send("30 ['t' [] \"x\"]");
    peer.expect("30 ['t' [] \"x\"]");
}

/// [MQTT-3.1.3-2] It is the Client Identifier, byte for byte, that identifies a session.
#[test]
fn sessions_are_told_apart_by_their_client_identifier() {
    let broker = broker();
    for id in ["a", "A", "a ", "ä", "a/b", "a\u{feff}"] {
        Peer::kept(&broker, id, false);
    }
    until_connected(&broker, 0);
    Peer::kept(&broker, "A", true);
    Peer::kept(&broker, "b", false);
}

/// [MQTT-4.1.0-2] A session whose interval has passed is discarded: at once with 0, a second after the end with 1.
#[test]
fn a_session_ends_with_its_expiry_interval() {
    let broker = broker();
    for expiry in ["", "11 00000000", "11 00000001"] {
        let connect = format!("10 ['MQTT' 05 00 0000 [{expiry}] 'a']");
        let mut peer = Peer::connect(&broker, &connect);
        peer.ask("82 [0001 [] 't' 01]", "90 [0001 [] 01]");
        drop(peer);
        broker.until("the session has ended", |stats| {
            (stats.sessions, stats.subscriptions) == (0, 0)
        });
    }
}

/// [MQTT-3.1.2-23] An interval of 0xFFFFFFFF never ends; it is held to the broker's maximum, which CONNACK tells.
#[test]
fn a_session_expiry_above_the_maximum_is_told() {
    let broker = broker();
    let mut peer = Peer::open(&broker);
    peer.send("10 ['MQTT' 05 00 0000 [11 FFFFFFFF] 'a']");
    peer.expect(&format!("20 [00 00 [11 00093A80 {LIMITS}]]"));
}

/// [MQTT-3.1.2-23] DISCONNECT may change the interval: with 0 the session ends although CONNECT had kept it.
#[test]
fn disconnect_may_end_the_session() {
    let broker = broker();
    let mut peer = Peer::kept(&broker, "a", false);
    peer.send("E0 [00 [11 00000000]]");
    peer.expect_end();
    broker.until("the session has ended", |stats| stats.sessions == 0);
    Peer::kept(&broker, "a", false);
}

/// [MQTT-4.1.0-1] A session lasts as long as its connection, whatever its expiry interval: what was received with
/// QoS 2 is remembered.
#[test]
fn session_state_is_kept_while_the_connection_is_open() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.ask("82 [0001 [] 't' 00]", "90 [0001 [] 00]");
    peer.send("34 ['t' 0007 [] \"x\"]");
    peer.expect_all(&["50 [0007]", "30 ['t' [] \"x\"]"]);
    for _ in 0..3 {
        peer.expect_nothing();
    }
    peer.ask("3C ['t' 0007 [] \"x\"]", "50 [0007]");
    peer.expect_nothing();
}
