//! Clients that are disconnected, and sessions that are dropped, through the API.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
};

use bytes::BytesMut;
use nanomq::mqtt::{
    Packet, PacketId, Properties, PropertiesBuf, Property, QoS, Subscribe, SubscribeFiltersBuf,
    SubscribeOptions, encode,
};

use crate::kit::{ADMIN, Answer, At, Mqtt, V5, V311, client, with_broker};

fn kick(at: At, target: &str) -> Answer {
    at.request("DELETE", target, Some(ADMIN))
}

/// The answer when a connection was closed, and when a session has ended.
fn gone(closed: bool, ended: bool) -> String {
    format!(r#"{{"code":0,"data":{{"connection_closed":{closed},"session_ended":{ended}}}}}"#)
}

/// The rest of what the broker sends: a version 5 client gets a reason.
fn farewell(mqtt: &mut Mqtt) -> Vec<u8> {
    let mut rest = Vec::new();
    mqtt.socket.read_to_end(&mut rest).unwrap();
    rest
}

const NOBODY: &str = r#"{"code":112,"data":[]}"#;

#[test]
fn a_client_is_disconnected_and_its_session_goes_its_way() {
    with_broker(
        |_| {},
        |at| {
            // (client id, in the path, version, session is kept)
            for (id, path, version, kept) in [
                ("v5", "/clients/v5", V5, false),
                ("v3", "/clients/v3/", V311, false),
                ("kept", "/clients/kept?session=false", V311, true),
                ("a/b c", "/clients/a%2Fb%20c", V5, false),
            ] {
                let mut packet = client(version, id, None);
                packet.clean_start = !kept;
                let mut mqtt = Mqtt::connect(at, &packet);
                mqtt.subscribe("t", QoS::AtLeastOnce);
                let answer = kick(at, path);
                assert_eq!(
                    (answer.status, answer.body),
                    (200, gone(true, false)),
                    "{id}"
                );
                let bytes = farewell(&mut mqtt);
                match version {
                    V5 => assert_eq!((bytes[0], bytes[2]), (0xe0, 0x98), "{id}"),
                    _ => assert!(bytes.is_empty(), "{id}: {bytes:?}"),
                }
                drop(mqtt);
                let target = "/clients?conn_state=connected";
                at.await_ok(target, |body| body == r#"{"code":0,"data":[]}"#);
                let state = at.ok("/clients");
                assert_eq!(state.contains("disconnected"), kept, "{id}: {state}");
                assert_eq!(
                    at.column("/subscriptions", "topic").len(),
                    usize::from(kept)
                );
                if kept {
                    // Without a connection there is only the session left to take away.
                    let answer = kick(at, path);
                    assert_eq!((answer.status, answer.body), (200, gone(false, true)));
                    assert_eq!(at.ok("/clients"), r#"{"code":0,"data":[]}"#);
                    assert_eq!(at.ok("/subscriptions"), r#"{"code":0,"data":[]}"#);
                }
                let answer = kick(at, path);
                assert_eq!((answer.status, answer.body.as_str()), (404, NOBODY), "{id}");
            }
        },
    );
}

#[test]
fn a_session_is_dropped_with_its_connection() {
    with_broker(
        |_| {},
        |at| {
            let mut expiry = PropertiesBuf::default();
            expiry.push(Property::SessionExpiryInterval(1000));
            let mut packet = client(V5, "c", None);
            packet.clean_start = false;
            packet.properties = expiry.as_properties();
            for _ in 0..3 {
                let mut mqtt = Mqtt::connect(at, &packet);
                assert_eq!(at.ok("/subscriptions"), r#"{"code":0,"data":[]}"#);
                mqtt.subscribe("t", QoS::AtLeastOnce);
                let answer = kick(at, "/clients/c?session=true");
                assert_eq!((answer.status, answer.body), (200, gone(true, true)));
                // At once, however long the client takes to leave.
                assert_eq!(at.ok("/clients"), r#"{"code":0,"data":[]}"#);
                assert_eq!(at.ok("/subscriptions"), r#"{"code":0,"data":[]}"#);
                let bytes = farewell(&mut mqtt);
                assert_eq!((bytes[0], bytes[2]), (0xe0, 0x98));
            }
        },
    );
}

#[test]
fn whatever_a_kick_meets_nothing_is_left_behind() {
    with_broker(
        |config| config.system.num_taskq_thread = 2,
        |at| {
            let mut filters = SubscribeFiltersBuf::default();
            let options = SubscribeOptions::with_qos(QoS::AtLeastOnce);
            filters.push("t", options).unwrap();
            let mut hello = BytesMut::new();
            let mut connect = client(V311, "c", None);
            connect.clean_start = false;
            encode(&Packet::Connect(connect), V311, &mut hello).unwrap();
            let subscribe = Subscribe {
                packet_id: PacketId::MIN,
                properties: Properties::EMPTY,
                filters: filters.as_filters(),
            };
            encode(&Packet::Subscribe(subscribe), V311, &mut hello).unwrap();
            // Connections of one client id take over from each other, and are kicked at any moment.
            let come_and_go = || {
                for _ in 0..100 {
                    let mut socket = TcpStream::connect(at.mqtt).unwrap();
                    // What comes of it depends on the others.
                    let _ = socket.write_all(&hello);
                    let _ = socket.read(&mut [0; 4]);
                }
            };
            let kick_all_the_time = |target: &str| {
                for _ in 0..100 {
                    let status = kick(at, target).status;
                    assert!([200, 404].contains(&status), "{status}");
                }
            };
            thread::scope(|scope| {
                scope.spawn(come_and_go);
                scope.spawn(come_and_go);
                scope.spawn(|| kick_all_the_time("/clients/c"));
                kick_all_the_time("/clients/c?session=true");
            });
            at.await_ok("/clients", |body| {
                !body.contains(r#""conn_state":"connected""#)
            });
            kick(at, "/clients/c");
            at.await_ok("/stats", |body| {
                body.contains(
                    r#""connections":0,"sessions":0,"subscriptions":0,"topics":0,"sockets":0"#,
                )
            });
        },
    );
}

#[test]
fn wrong_requests_are_refused() {
    with_broker(
        |_| {},
        |at| {
            let _client = Mqtt::connect(at, &client(V5, "a", None));
            for (target, named) in [
                ("/clients/a?session=1", "session"),
                ("/clients/a?Session=true", "Session"),
            ] {
                let answer = kick(at, target);
                let body = answer.json();
                assert_eq!(
                    (answer.status, &body["code"]),
                    (400, &108.into()),
                    "{target}"
                );
                assert!(
                    body["message"].as_str().unwrap().contains(named),
                    "{target}"
                );
            }
            assert_eq!(at.column("/clients", "clientid"), ["a"]);
            let refused = at.request("PUT", "/clients/a", Some(ADMIN));
            assert_eq!(refused.header("allow"), Some("GET, HEAD, DELETE"));
        },
    );
}
