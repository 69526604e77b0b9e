//! Exact answers on a plain socket.

use crate::clients::{Subscriber, publish};
use crate::harness::{Broker, unique};
use crate::raw::{Connect, RawClient};

fn connect<'a>(level: u8, client_id: &'a str, clean: bool) -> Connect<'a> {
    Connect {
        level,
        client_id,
        clean,
        keep_alive: 60,
        will: None,
    }
}

/// The CONNACK to `packet`: acknowledge flags and code.
fn connack(client: &mut RawClient, packet: &Connect) -> (u8, u8) {
    client.send(&packet.encode());
    let (first, body) = client
        .receive()
        .expect("a CONNACK before the connection is closed");
    assert_eq!(first, 0x20, "the first packet is a CONNACK [MQTT-3.2.0-1]");
    (body[0], body[1])
}

#[test]
fn an_empty_client_id_needs_a_clean_session_before_version_5() {
    let broker = Broker::start("");
    let mut client = RawClient::open(&broker);
    assert_eq!(
        connack(&mut client, &connect(4, "", false)),
        (0, 0x02),
        "[MQTT-3.1.3-8]"
    );
    assert_eq!(client.receive(), None, "a refused client is disconnected");

    let mut client = RawClient::open(&broker);
    assert_eq!(
        connack(&mut client, &connect(4, "", true)),
        (0, 0),
        "[MQTT-3.1.3-7]"
    );
}

#[test]
fn an_unknown_protocol_level_is_refused_with_its_code() {
    let broker = Broker::start("");
    let mut client = RawClient::open(&broker);
    let id = unique("level");
    let packet = connect(4, &id, true)
        .encode()
        .iter()
        .enumerate()
        .map(|(at, byte)| if at == 8 { 9 } else { *byte })
        .collect::<Vec<_>>();
    client.send(&packet);
    let (first, body) = client
        .receive()
        .expect("a CONNACK before the connection is closed");
    let code = body[1];
    assert!(
        first == 0x20 && (code == 0x01 || code == 0x84),
        "[MQTT-3.1.2-2] gave {first:#x} {body:?}"
    );
    assert_eq!(client.receive(), None);
}

#[test]
fn session_present_tells_whether_a_session_was_resumed() {
    let broker = Broker::start("");
    let id = unique("present");
    let steps = [(false, 0), (false, 1), (true, 0), (false, 0)];
    for (step, (clean, present)) in steps.into_iter().enumerate() {
        let mut client = RawClient::open(&broker);
        assert_eq!(
            connack(&mut client, &connect(4, &id, clean)),
            (present, 0),
            "step {step}, clean {clean}"
        );
        client.send(&[0xe0, 0]);
        assert_eq!(
            client.receive(),
            None,
            "the broker closes after a DISCONNECT"
        );
    }
}

#[test]
fn a_taken_over_client_is_told_in_version_5() {
    let broker = Broker::start("");
    for level in [3, 4, 5] {
        let id = unique("twin");
        let mut first = RawClient::open(&broker);
        assert_eq!(connack(&mut first, &connect(level, &id, true)).1, 0);
        let mut second = RawClient::open(&broker);
        assert_eq!(connack(&mut second, &connect(level, &id, true)).1, 0);
        if level == 5 {
            let (packet, body) = first
                .receive()
                .expect("a DISCONNECT before the connection is closed");
            assert_eq!(
                (packet, body.first()),
                (0xe0, Some(&0x8e)),
                "session taken over"
            );
        }
        assert_eq!(first.receive(), None, "version {level} [MQTT-3.1.4-3]");
        second.send(&[0xc0, 0]);
        assert_eq!(
            second.receive(),
            Some((0xd0, Vec::new())),
            "version {level}: the second stays"
        );
    }
}

#[test]
fn a_second_connect_ends_the_connection() {
    let broker = Broker::start("");
    let id = unique("twice");
    let mut client = RawClient::open(&broker);
    assert_eq!(connack(&mut client, &connect(4, &id, true)), (0, 0));
    client.send(&connect(4, &id, true).encode());
    assert_eq!(client.receive(), None, "[MQTT-3.1.0-2]");
}

#[test]
fn a_silent_client_is_disconnected_and_its_will_published() {
    let broker = Broker::start("");
    for level in [4, 5] {
        let (id, will) = (unique("silent"), unique("will"));
        let mut watcher = Subscriber::start(&broker, "mqttv311", &["-t", &will]);
        let mut client = RawClient::open(&broker);
        let packet = Connect {
            keep_alive: 1,
            will: Some((&will, "silent")),
            ..connect(level, &id, true)
        };
        assert_eq!(connack(&mut client, &packet).1, 0);
        assert_eq!(
            watcher.next().payload,
            "silent",
            "version {level} [MQTT-3.1.2-24]"
        );
        let end = client.receive();
        match (level, end) {
            (4, end) => assert_eq!(end, None),
            (_, Some((first, body))) => {
                assert_eq!(
                    (first, body.first()),
                    (0xe0, Some(&0x8d)),
                    "keep alive timeout"
                );
                assert_eq!(client.receive(), None);
            }
            (_, None) => assert!(
                !broker.is_nanomq(),
                "a version 5 client is told why it is disconnected"
            ),
        }
    }
}

#[test]
fn a_ping_is_answered_and_keeps_the_connection() {
    let broker = Broker::start("");
    let id = unique("ping");
    let mut client = RawClient::open(&broker);
    assert_eq!(connack(&mut client, &connect(4, &id, true)), (0, 0));
    for _ in 0..3 {
        client.send(&[0xc0, 0]);
        assert_eq!(
            client.receive(),
            Some((0xd0, Vec::new())),
            "[MQTT-3.12.4-1]"
        );
    }
}

#[test]
fn no_will_is_left_when_the_connection_is_closed_after_a_disconnect() {
    let broker = Broker::start("");
    let (id, will) = (unique("calm"), unique("will"));
    let mut watcher = Subscriber::start(&broker, "mqttv311", &["-t", &will, "-q", "1"]);
    let mut client = RawClient::open(&broker);
    let packet = Connect {
        will: Some((&will, "gone")),
        ..connect(4, &id, true)
    };
    assert_eq!(connack(&mut client, &packet), (0, 0));
    client.send(&[0xe0, 0]);
    assert_eq!(client.receive(), None);
    publish(&broker, "mqttv311", &["-t", &will, "-q", "1", "-m", "end"]);
    assert_eq!(watcher.next().payload, "end", "[MQTT-3.14.4-3]");
}
