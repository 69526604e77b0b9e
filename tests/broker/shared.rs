//! Shared subscriptions across members that come and go.

use nanomq::mqtt::{Packet, QoS};

use crate::kit::{Client, Got, Hello, TestBroker};

#[test]
fn unacknowledged_messages_of_a_member_that_leaves_go_to_another() {
    for kept in [true, false] {
        let broker = TestBroker::start();
        let hello = Hello {
            clean_start: !kept,
            ..Hello::kept("a")
        };
        let (mut a, _) = Client::connect(broker.address, hello);
        a.subscribe("$share/g/t", QoS::AtLeastOnce);
        let mut publisher = Client::v5(broker.address, "p");
        for n in 1..=5 {
            publisher.publish("t", &[n as u8], QoS::AtLeastOnce, n);
            assert!(matches!(publisher.next(), Got::PubAck(..)));
        }
        let got: Vec<_> = (0..5).map(|_| a.message()).collect();
        a.ack(Packet::PubAck, got[0].id.unwrap());
        a.send(&Packet::PingReq);
        assert_eq!(a.next(), Got::PingResp);
        let mut b = Client::v5(broker.address, "b");
        b.subscribe("$share/g/t", QoS::AtLeastOnce);
        drop(a);
        for n in 2..=5 {
            let message = b.message();
            assert_eq!(message.payload, [n]);
            b.ack(Packet::PubAck, message.id.unwrap());
        }
        publisher.publish("t", &[6], QoS::AtLeastOnce, 6);
        assert_eq!(b.message().payload, [6]);
    }
}

/// A broker whose only member of `$share/g/t`, "a" with a kept session, has gone before a message came.
fn with_a_message_for_an_absent_member() -> TestBroker {
    let broker = TestBroker::start();
    let (mut a, _) = Client::connect(broker.address, Hello::kept("a"));
    a.subscribe("$share/g/t", QoS::AtLeastOnce);
    drop(a);
    broker.until("it has gone", |stats| stats.connections == 0);
    let mut publisher = Client::v5(broker.address, "p");
    publisher.publish("t", b"waits", QoS::AtLeastOnce, 1);
    assert!(matches!(publisher.next(), Got::PubAck(1, _)));
    broker
}

#[test]
fn messages_wait_when_all_members_are_away() {
    let broker = with_a_message_for_an_absent_member();
    let (mut a, present) = Client::connect(broker.address, Hello::kept("a"));
    assert!(present);
    assert_eq!(a.message().payload, b"waits");
}

#[test]
fn messages_of_a_kept_session_that_ends_go_to_another_member() {
    let broker = with_a_message_for_an_absent_member();
    let mut b = Client::v5(broker.address, "b");
    b.subscribe("$share/g/t", QoS::AtLeastOnce);
    // The session of "a" ends, since "a" starts anew.
    Client::v5(broker.address, "a").goodbye();
    assert_eq!(b.message().payload, b"waits");
}
