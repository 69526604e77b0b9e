//! Sessions through disconnects, takeovers and the end of the broker.

use std::{sync::Barrier, thread};

use nanomq::{
    mqtt::{
        Packet, PacketId, Properties, PropertiesBuf, Property, ProtocolVersion, Publish, QoS,
        ReasonCode, Will,
    },
    session::BRIDGE_SESSIONS,
    stats::Metric,
};

use crate::kit::{Client, Got, Hello, TestBroker};

#[test]
fn nothing_is_left_of_clients_that_have_gone() {
    let broker = TestBroker::start();
    for round in 0..100 {
        let mut client = Client::v5(broker.address, &format!("c{}", round % 10));
        client.subscribe(&format!("t/{round}/+"), QoS::AtLeastOnce);
        client.subscribe("$share/g/t/#", QoS::AtLeastOnce);
        match round % 3 {
            0 => client.goodbye(),
            1 => drop(client),
            // Left open: the next of this name takes over.
            _ => std::mem::forget(client),
        }
    }
    for n in 0..10 {
        Client::v5(broker.address, &format!("c{n}")).goodbye();
    }
    broker.until("all is gone", |stats| {
        (stats.connections, stats.sessions, stats.subscriptions) == (0, 0, 0)
    });
}

#[test]
fn a_session_goes_on_where_it_was() {
    let broker = TestBroker::start();
    let (mut subscriber, present) = Client::connect(broker.address, Hello::kept("s"));
    assert!(!present);
    subscriber.subscribe("t", QoS::ExactlyOnce);
    let mut publisher = Client::v5(broker.address, "p");
    for (n, qos) in [
        (1, QoS::AtLeastOnce),
        (2, QoS::ExactlyOnce),
        (3, QoS::AtLeastOnce),
    ] {
        publisher.publish("t", &[n as u8], qos, n);
        publisher.next();
        if qos == QoS::ExactlyOnce {
            publisher.ack(Packet::PubRel, n);
            publisher.next();
        }
    }
    let first: Vec<_> = (0..3).map(|_| subscriber.message()).collect();
    assert!(first.iter().all(|message| !message.dup));
    // The second is received, not released; the others are not acknowledged.
    subscriber.ack(Packet::PubRec, first[1].id.unwrap());
    assert!(matches!(subscriber.next(), Got::PubRel(..)));
    drop(subscriber);
    broker.until("it has gone", |stats| stats.connections == 1);
    publisher.publish("t", &[4], QoS::AtLeastOnce, 4);
    publisher.next();
    publisher.publish("t", &[5], QoS::AtMostOnce, 0);

    let (mut again, present) = Client::connect(broker.address, Hello::kept("s"));
    assert!(present);
    for (payload, index) in [(1, 0), (3, 2)] {
        let message = match index {
            2 => {
                assert_eq!(
                    again.next(),
                    Got::PubRel(first[1].id.unwrap(), ReasonCode::Success)
                );
                again.message()
            }
            _ => again.message(),
        };
        assert_eq!(message.payload, [payload]);
        assert_eq!((message.dup, message.id), (true, first[index].id));
        again.ack(Packet::PubAck, message.id.unwrap());
    }
    let waited = again.message();
    assert_eq!((waited.payload.as_slice(), waited.dup), (&[4][..], false));
    again.ack(Packet::PubAck, waited.id.unwrap());
    again.ack(Packet::PubComp, first[1].id.unwrap());
    again.send(&Packet::PingReq);
    assert_eq!(
        again.next(),
        Got::PingResp,
        "QoS 0 does not wait for anybody"
    );
}

#[test]
fn a_takeover_storm_leaves_one_connection_with_the_session() {
    const CONNECTIONS: usize = 100;
    let broker = TestBroker::start();
    let (first, _) = Client::connect(broker.address, Hello::kept("x"));
    let mut first = first;
    first.subscribe("t", QoS::AtLeastOnce);
    let (address, together) = (broker.address, Barrier::new(CONNECTIONS));
    let clients: Vec<Client> = thread::scope(|scope| {
        let all: Vec<_> = (0..CONNECTIONS)
            .map(|n| {
                let together = &together;
                scope.spawn(move || {
                    let mut client = Client::open(address);
                    together.wait();
                    client.hello(Hello {
                        version: [ProtocolVersion::V311, ProtocolVersion::V5][n % 2],
                        properties: session_expiry(n % 2 == 1),
                        ..Hello::kept("x")
                    });
                    client
                })
            })
            .collect();
        all.into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    broker.until("all but one were taken over", |stats| {
        stats.totals.get(Metric::ConnectsAccepted) == CONNECTIONS as u64 + 1
            && stats.totals.get(Metric::Disconnects) == CONNECTIONS as u64
    });
    let mut publisher = Client::v5(broker.address, "p");
    publisher.publish("t", b"one", QoS::AtLeastOnce, 1);
    assert_eq!(publisher.next(), Got::PubAck(1, ReasonCode::Success));
    let mut served = 0;
    for mut client in clients {
        assert_eq!(client.next(), Got::ConnAck(true, ReasonCode::Success));
        match client.next() {
            Got::Publish(message) => {
                assert_eq!(message.payload, b"one");
                served += 1;
            }
            Got::Disconnect(code) => {
                assert_eq!(code, ReasonCode::SessionTakenOver);
                assert_eq!(client.next(), Got::End);
            }
            other => assert_eq!(other, Got::End),
        }
    }
    assert_eq!(served, 1, "the one that stayed got the message");
    assert_eq!(
        (broker.stats().sessions, broker.stats().subscriptions),
        (2, 1)
    );
}

fn session_expiry(v5: bool) -> nanomq::mqtt::Properties<'static> {
    // 17: session expiry interval, in seconds.
    const HOUR: &[u8] = &[17, 0, 0, 14, 16];
    nanomq::mqtt::Properties::from_validated(if v5 { HOUR } else { &[] })
}

#[test]
fn a_delayed_will_waits_for_its_time_or_the_end_of_the_session() {
    let broker = TestBroker::start();
    let mut watcher = Client::v5(broker.address, "w");
    watcher.subscribe("will", QoS::AtMostOnce);
    let mut delay = PropertiesBuf::default();
    delay.push(Property::WillDelayInterval(3600));
    let hello = |clean_start| Hello {
        clean_start,
        properties: session_expiry(true),
        will: Some(Will {
            topic: "will",
            payload: b"gone",
            qos: QoS::AtMostOnce,
            retain: false,
            properties: delay.as_properties(),
        }),
        ..Hello::v5("x")
    };
    drop(Client::connect(broker.address, hello(true)));
    broker.until("it has gone", |stats| stats.connections == 1);
    let (resumed, present) = Client::connect(broker.address, hello(false));
    assert!(present);
    drop(resumed);
    broker.until("it has gone again", |stats| stats.connections == 1);
    watcher.send(&Packet::PingReq);
    assert_eq!(
        watcher.next(),
        Got::PingResp,
        "the will of a session that went on is not published"
    );
    let (_anew, present) = Client::connect(broker.address, hello(true));
    assert!(!present);
    assert_eq!(watcher.message().payload, b"gone", "the session has ended");
}

#[test]
fn clients_are_told_when_the_broker_stops() {
    let mut broker = TestBroker::start();
    let mut v5 = Client::v5(broker.address, "a");
    let (mut v3, _) = Client::connect(broker.address, Hello::kept("b"));
    broker.stop();
    assert_eq!(v5.next(), Got::Disconnect(ReasonCode::ServerShuttingDown));
    assert_eq!(v5.next(), Got::End);
    assert_eq!(v3.next(), Got::End);
}

#[test]
fn a_restart_in_place_loses_nothing() {
    let mut broker = TestBroker::start();
    let (mut away, _) = Client::connect(broker.address, Hello::kept("away"));
    away.subscribe("t/+", QoS::ExactlyOnce);
    away.subscribe("$share/g/u", QoS::AtLeastOnce);
    away.goodbye();
    // This one is there when the broker restarts, in the middle of a message each way.
    let (mut there, _) = Client::connect(broker.address, Hello::kept("there"));
    there.subscribe("t/1", QoS::ExactlyOnce);
    let mut clean = Client::v5(broker.address, "clean");
    clean.subscribe("t/1", QoS::AtMostOnce);
    broker.until("one is away", |stats| stats.connections == 2);
    let mut publisher = Client::v5(broker.address, "p");
    for (n, topic) in [(1, "t/1"), (2, "t/2"), (3, "u")] {
        publisher.publish(topic, &[n as u8], QoS::AtLeastOnce, n);
        publisher.next();
    }
    let retained = Publish {
        retain: true,
        dup: false,
        qos: QoS::AtLeastOnce,
        topic: "kept",
        packet_id: PacketId::new(4),
        properties: Properties::EMPTY,
        payload: b"retained",
    };
    publisher.send(&Packet::Publish(retained));
    publisher.next();
    let received = there.message();
    there.ack(Packet::PubAck, received.id.unwrap());
    there.publish("t/9", b"half", QoS::ExactlyOnce, 7);
    assert!(matches!(there.next(), Got::PubRec(..)));

    for _ in 0..2 {
        broker.restart();
        let clients = broker.clients();
        let known: Vec<_> = clients
            .iter()
            .map(|client| (&*client.client_id, client.connected))
            .collect();
        assert_eq!(known, [("away", false), ("there", false)]);
        assert_eq!(broker.stats().subscriptions, 3);
        assert_eq!(broker.queues().messages, 4);
    }
    let (mut away, present) = Client::connect(broker.address, Hello::kept("away"));
    assert!(present);
    let payloads: Vec<_> = (0..4).map(|_| away.message().payload).collect();
    assert_eq!(payloads, [&[1][..], &[2], &[3], b"half"]);
    away.subscribe("kept", QoS::AtMostOnce);
    assert_eq!(away.message().payload, b"retained");
    // The identifier is known still: sent again, the message is not taken a second time.
    let (mut there, present) = Client::connect(broker.address, Hello::kept("there"));
    assert!(present);
    there.publish("t/9", b"half", QoS::ExactlyOnce, 7);
    assert!(matches!(there.next(), Got::PubRec(..)));
    there.ack(Packet::PubRel, 7);
    assert!(matches!(there.next(), Got::PubComp(..)));
    let (_, present) = Client::connect(broker.address, Hello::kept("clean"));
    assert!(!present);
}

#[test]
fn a_broker_that_has_started_keeps_what_is_published_for_its_bridges() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens there.
    let bridge = |name: &str| {
        format!(
            "bridges.mqtt.{name} {{ server = \"mqtt-tcp://127.0.0.1:1\", forwards = [{{local_topic = \"up/{name}/#\"}}] }}\n"
        )
    };
    let names = ["a", "b", "c", "d"];
    let text: String = names.iter().copied().map(bridge).collect();
    let mut broker = TestBroker::with_file(&folder.path().join("nanomq.conf"), &text);
    for life in 0..8 {
        for name in names {
            let filters = broker.filters(&format!("{BRIDGE_SESSIONS}{name}"));
            assert_eq!(filters, [format!("up/{name}/#")], "life {life}");
        }
        broker.restart();
    }
}
