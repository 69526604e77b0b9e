//! Shared subscriptions `[4.8.2]`.

use crate::peer::{Peer, broker, until_connected};

/// [MQTT-4.8.2-1] [MQTT-4.8.2-2] `$share/`, a name without wildcards, a separator, and a filter.
#[test]
fn a_shared_subscription_has_a_name_and_a_filter() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    for filter in [
        "$share/",
        "$share//t",
        "$share/g",
        "$share/g/",
        "$share/g+/t",
        "$share/+/t",
        "$share/g#/t",
        "$share/#",
        "$share/g/t#",
        "$share/g/#/t",
    ] {
        peer.ask(&format!("82 [0001 [] '{filter}' 00]"), "90 [0001 [] 8F]");
    }
    peer.ask(
        "82 [0001 [] '$share/g/t' 00 '$share/g//' 00 '$share/g/+/#' 00 '$share/$g/$x' 00]",
        "90 [0001 [] 00 00 00 00]",
    );
    // '$share' alone, and another beginning, are filters like others.
    peer.ask(
        "82 [0001 [] '$share' 00 '$Share/g/t' 04]",
        "90 [0001 [] 00 00]",
    );
}

/// [MQTT-4.8.2-1] Each message goes to one member of a group, and to every group.
#[test]
fn each_message_goes_to_one_member_of_each_group() {
    let broker = broker();
    let mut members: Vec<Peer> = ["a", "b", "c"].map(|id| Peer::v5(&broker, id)).into();
    members[0].ask("82 [0001 [] '$share/g/t' 01]", "90 [0001 [] 01]");
    members[1].ask("82 [0001 [] '$share/g/t' 01]", "90 [0001 [] 01]");
    members[2].ask("82 [0001 [] '$share/h/t' 01]", "90 [0001 [] 01]");
    let mut publisher = Peer::v5(&broker, "p");
    for n in 0..10 {
        publisher.ask(&format!("32 ['t' 0001 [] {n:02X}]"), "40 [0001]");
    }
    let mut got: Vec<Vec<u8>> = Vec::new();
    for member in &mut members {
        member.send("C0 []");
        let mut payloads = Vec::new();
        loop {
            let packet = member.next().unwrap();
            if packet[0] == 0xd0 {
                break;
            }
            payloads.push(packet[packet.len() - 1]);
        }
        got.push(payloads);
    }
    assert_eq!(got[2], (0..10).collect::<Vec<u8>>());
    let mut of_group: Vec<u8> = got[..2].concat();
    of_group.sort_unstable();
    assert_eq!(of_group, got[2]);
    assert_eq!((got[0].len(), got[1].len()), (5, 5));
}

/// [MQTT-4.8.2-3] Each member is served with the QoS that it was granted.
#[test]
fn the_granted_qos_of_the_member_holds() {
    let broker = broker();
    let mut publisher = Peer::v5(&broker, "p");
    for (options, message) in [
        ("00", "30 ['t' [] \"x\"]"),
        ("01", "32 ['t' 0001 [] \"x\"]"),
        ("02", "34 ['t' 0001 [] \"x\"]"),
    ] {
        let mut member = Peer::v5(&broker, "a");
        member.ask(
            &format!("82 [0001 [] '$share/g/t' {options}]"),
            &format!("90 [0001 [] {options}]"),
        );
        publisher.ask("34 ['t' 0001 [] \"x\"]", "50 [0001]");
        publisher.ask("62 [0001]", "70 [0001]");
        member.expect(message);
        member.send("E0 []");
        member.expect_end();
    }
}

/// Two members of a group with QoS 2: "a", whose session is kept, has received a message and not acknowledged it.
fn a_message_on_its_way(broker: &crate::kit::TestBroker) -> (Peer, Peer) {
    let mut a = Peer::kept(broker, "a", false);
    a.ask("82 [0001 [] '$share/g/t' 02]", "90 [0001 [] 02]");
    let mut publisher = Peer::v5(broker, "p");
    publisher.ask("34 ['t' 0001 [] \"x\"]", "50 [0001]");
    a.expect("34 ['t' 0001 [] \"x\"]");
    let mut b = Peer::v5(broker, "b");
    b.ask("82 [0001 [] '$share/g/t' 02]", "90 [0001 [] 02]");
    publisher.send("E0 []");
    publisher.expect_end();
    (a, b)
}

/// [MQTT-4.8.2-4] A QoS 2 message that was sent to a member is completed with that member when it comes back.
#[test]
fn a_qos_2_delivery_is_completed_with_its_member() {
    let broker = broker();
    let (a, mut b) = a_message_on_its_way(&broker);
    drop(a);
    until_connected(&broker, 1);
    b.expect_nothing();
    let mut a = Peer::kept(&broker, "a", true);
    a.expect("3C ['t' 0001 [] \"x\"]");
    a.ask("50 [0001]", "62 [0001]");
    b.expect_nothing();
}

/// [MQTT-4.8.2-5] If the member's session ends, nobody else gets the message.
#[test]
fn a_qos_2_delivery_ends_with_the_session_of_its_member() {
    let broker = broker();
    let (a, mut b) = a_message_on_its_way(&broker);
    drop(a);
    until_connected(&broker, 1);
    // Clean Start 1 ends the session.
    Peer::v5(&broker, "a").expect_nothing();
    until_connected(&broker, 1);
    b.expect_nothing();
}

/// [MQTT-4.8.2-6] A message that a member refuses goes to nobody else.
#[test]
fn a_refused_message_goes_to_nobody_else() {
    let broker = broker();
    let (mut a, mut b) = a_message_on_its_way(&broker);
    a.send("50 [0001 83]");
    a.expect_nothing();
    a.send("E0 [00 [11 00000000]]");
    a.expect_end();
    until_connected(&broker, 1);
    b.expect_nothing();
    // With QoS 1 and PUBACK the same.
    let mut c = Peer::v5(&broker, "c");
    b.ask("A2 [0001 [] '$share/g/t']", "B0 [0001 [] 00]");
    c.ask("82 [0001 [] '$share/g/t' 01]", "90 [0001 [] 01]");
    c.send("32 ['t' 0001 [] \"y\"]");
    c.expect_all(&["40 [0001]", "32 ['t' 0001 [] \"y\"]"]);
    b.ask("82 [0001 [] '$share/g/t' 01]", "90 [0001 [] 01]");
    c.send("40 [0001 83] E0 []");
    c.expect_end();
    until_connected(&broker, 1);
    b.expect_nothing();
}

/// Section 4.8.2: no retained messages are sent to a shared subscription.
#[test]
fn a_shared_subscription_gets_no_retained_messages() {
    let broker = broker();
    let mut peer = Peer::v5(&broker, "a");
    peer.send("31 ['t' [] \"kept\"]");
    peer.ask("82 [0001 [] '$share/g/t' 00]", "90 [0001 [] 00]");
    peer.expect_no_retained(&broker);
}
