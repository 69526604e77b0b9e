//! What a bridge connects to and how it introduces itself: every kind of server, credentials, several servers, wills, and
//! remotes with limits.

use nanomq::mqtt::QoS;
use serde_json::json;

use crate::{
    authority::Authority,
    caller::{Caller, Conduct, Server},
    kit::Client,
    links::VERSIONS,
    mosquitto::Mosquitto,
    node::{Node, bridge},
    numbered::{Receiver, publish, publish_end, publisher},
    proxy::{Line, Proxy},
};

/// 500 messages over a bridge, up and down.
fn pass(node: &Node, remote: std::net::SocketAddr, what: &str) {
    for (from, to, topic) in [
        (node.address(), remote, "up/1"),
        (remote, node.address(), "down/1"),
    ] {
        let receiver = Receiver::start(to, &format!("r-{what}"), topic, QoS::ExactlyOnce);
        let mut publisher = publisher(from, &format!("p-{what}"));
        publish(&mut publisher, topic, QoS::ExactlyOnce, 0..500);
        publish_end(&mut publisher, topic, QoS::ExactlyOnce);
        receiver.expect_once(500);
    }
}

const BOTH_WAYS: &str = "  forwards = [{local_topic = \"up/#\"}]\n  subscription = [{remote_topic = \"down/#\", qos = 2}]\n";

#[test]
fn every_kind_of_server_is_spoken_to() {
    let authority = Authority::new();
    let server = authority.sign("server", 2100);
    let own = authority.sign("edge", 2100);
    let files = format!(
        "certfile = \"{}\", keyfile = \"{}\", cacertfile = \"{}\", verify_peer = true, fail_if_no_peer_cert = true",
        server.certificate,
        server.key,
        authority.file()
    );
    let remote = Node::start(&format!(
        "listeners.ssl {{ bind = \"127.0.0.1:0\", {files} }}\nlisteners.ws {{ bind = \"127.0.0.1:0/mqtt\" }}\n\
         listeners.wss {{ bind = \"127.0.0.1:0/mqtt\", {files} }}"
    ));
    for version in VERSIONS {
        for (scheme, kind) in [("tls+mqtt-tcp", "ssl"), ("ws", "ws"), ("wss", "wss")] {
            let path = if scheme.starts_with('w') { "/mqtt" } else { "" };
            let port = remote.process.port(kind, "default");
            let node = Node::start(&format!(
                "bridges.mqtt.b {{\n  server = \"{scheme}://127.0.0.1:{port}{path}\"\n  backoff_min = 10ms\n  \
                 clean_start = true\n  proto_ver = {version}\n{BOTH_WAYS}  ssl {{ cacertfile = \"{}\", certfile = \"{}\", keyfile = \"{}\" }}\n}}",
                authority.file(),
                own.certificate,
                own.key
            ));
            node.until_connected("b");
            pass(&node, remote.address(), &format!("{kind}-{version}"));
        }
    }
}

#[test]
fn a_server_that_cannot_show_who_it_is_gets_nothing() {
    let [authority, stranger] = [Authority::new(), Authority::new()];
    let server = stranger.sign("server", 2100);
    let remote = Node::start(&format!(
        "listeners.ssl {{ bind = \"127.0.0.1:0\", certfile = \"{}\", keyfile = \"{}\" }}",
        server.certificate, server.key
    ));
    let port = remote.process.port("ssl", "default");
    let node = Node::start(&format!(
        "bridges.mqtt.b {{ server = \"tls+mqtt-tcp://127.0.0.1:{port}\", backoff_min = 10ms, forwards = [a], ssl.cacertfile = \"{}\" }}",
        authority.file()
    ));
    node.until_bridge("b", "has tried", |bridge| {
        let message = bridge["last_error"]["message"].as_str().unwrap_or("");
        message.to_lowercase().contains("certificate")
    });
    assert_eq!(node.count("b", "connects"), 0);
}

#[test]
fn credentials_are_shown_and_a_refusal_is_told_without_them() {
    let remote =
        Node::start("auth { allow_anonymous = false, password { ann = \"secret-word\" } }");
    for version in VERSIONS {
        let more = |password: &str| {
            format!(
                "  proto_ver = {version}\n  username = ann\n  password = \"{password}\"\n  forwards = [{{local_topic = t}}]"
            )
        };
        let node = Node::start(&bridge("b", remote.address(), &more("secret-wrong")));
        node.until_bridge("b", "is refused", |bridge| bridge["last_error"].is_object());
        let shown = node.bridge("b").to_string();
        assert!(!shown.contains("secret-"), "{shown}");
        assert!(!node.process.log().concat().contains("secret-"));
        let mut right = node.bridge("b");
        right["connector"]["password"] = json!("secret-word");
        node.ask("PUT", "/bridges/b", &right);
        node.until_connected("b");
    }
}

#[test]
fn several_servers_are_tried_in_turn_and_the_first_is_come_back_to() {
    let brokers = [Mosquitto::start(""), Mosquitto::start("")];
    let lines = [0, 1].map(|n: usize| Proxy::to(brokers[n].address));
    lines[0].set(Line::Refusing);
    let node = Node::start(&bridge(
        "b",
        lines[0].address,
        &format!(
            "  hybrid_bridging = true\n  hybrid_servers = [\"mqtt-tcp://127.0.0.1:1\", \"mqtt-tcp://{}\"]\n  \
             failback_interval = 1s\n{BOTH_WAYS}",
            lines[1].address
        ),
    ));
    let at = |n: usize| {
        let server = format!("mqtt-tcp://{}", lines[n].address);
        node.until_bridge("b", &server, |bridge| {
            bridge["state"] == "connected" && bridge["connected_to"] == server.as_str()
        });
    };
    at(1);
    pass(&node, brokers[1].address, "second");
    lines[0].set(Line::Whole);
    at(0);
    pass(&node, brokers[0].address, "first");
    lines[0].set(Line::Refusing);
    lines[0].cut();
    at(1);
}

#[test]
fn the_will_of_a_bridge_is_published_when_its_broker_is_killed() {
    for version in VERSIONS {
        let mosquitto = Mosquitto::start("");
        let more = format!(
            "  proto_ver = {version}\n  will {{ topic = \"bridges/b\", payload = gone, qos = 1 }}\n{BOTH_WAYS}"
        );
        let mut node = Node::start(&bridge("b", mosquitto.address, &more));
        let mut watcher = Client::v5(mosquitto.address, "watcher");
        watcher.subscribe("bridges/#", QoS::AtLeastOnce);
        node.until_connected("b");
        node.process.kill();
        let will = watcher.message();
        assert_eq!(
            (will.topic.as_str(), &*will.payload),
            ("bridges/b", &b"gone"[..])
        );
    }
}

#[test]
fn the_limits_of_a_remote_are_kept() {
    let remote = Node::start(
        "mqtt { receive_maximum = 3, max_qos = 1, retain_available = false, max_packet_size = 2KB, max_topic_alias = 2 }",
    );
    let more = format!("  proto_ver = 5\n  max_inflight_window = 1000\n{BOTH_WAYS}");
    let node = Node::start(&bridge("b", remote.address(), &more));
    node.until_connected("b");
    let receiver = Receiver::start(remote.address(), "r", "up/t", QoS::AtLeastOnce);
    let mut sender = publisher(node.address(), "p");
    publish(&mut sender, "up/t", QoS::ExactlyOnce, 0..1000);
    // Too large for it; what comes behind arrives.
    let large = crate::kit::publish_bytes(
        nanomq::mqtt::ProtocolVersion::V311,
        "up/t",
        &[b'x'; 3000],
        QoS::AtMostOnce,
        1,
    );
    sender.send_bytes(&large);
    let mut retained = crate::kit::publish_bytes(
        nanomq::mqtt::ProtocolVersion::V311,
        "up/retained",
        b"r",
        QoS::AtMostOnce,
        1,
    );
    retained[0] |= 1;
    sender.send_bytes(&retained);
    publish_end(&mut sender, "up/t", QoS::ExactlyOnce);
    receiver.expect_once(1000);
    assert_eq!(node.count("b", "connects"), 1);
    assert_eq!(node.dropped("b", "up")["too_large"], 1);
}

#[test]
fn the_bridge_of_the_flat_object_runs_when_it_is_posted() {
    let mosquitto = Mosquitto::start("");
    let node = Node::start("");
    let flat = json!({"data": {"bridge": {
        "bridge_mode": true, "address": mosquitto.address.to_string(), "proto_ver": 4, "clientid": "bridge_client",
        "clean_start": true, "username": "user", "password": "passwd", "keepalive": 60, "parallel": 1,
        "forwards": ["up/#", "other/#"], "subscription": [{"topic": "down/#", "qos": 2}],
    }}});
    node.ask("POST", "/configuration", &flat);
    node.until_connected("default");
    pass(&node, mosquitto.address, "flat");
    assert_eq!(node.bridge("default")["client_id"], "bridge_client");
}

/// The level in a CONNECT, as the next packet.
fn level(caller: &mut Caller) -> Option<u8> {
    caller.packet()?.get(8).copied()
}

/// A server that closes connections with the bit of bridges (MQTT 3.1.1: level 4 with 0x80) is greeted without, but one
/// that is only away for a while is not.
#[test]
fn the_bit_of_bridges_is_left_out_only_where_it_is_not_taken() {
    const BIT: u8 = 0x84;
    const NO_BIT: u8 = 4;
    #[derive(Clone, Copy, PartialEq)]
    enum Then {
        Close,
        AcceptUntilClosed,
        AcceptAndClose,
    }
    use Then::{AcceptAndClose, AcceptUntilClosed, Close};
    let refuses = vec![
        (BIT, Close),
        (NO_BIT, AcceptUntilClosed),
        (BIT, Close),
        (NO_BIT, AcceptAndClose),
        (NO_BIT, Close),
        (NO_BIT, AcceptAndClose),
    ];
    let was_away = vec![
        (BIT, Close),
        (NO_BIT, Close),
        (BIT, Close),
        (NO_BIT, AcceptUntilClosed),
        (BIT, AcceptAndClose),
        (BIT, Close),
        (BIT, Close),
        (BIT, AcceptAndClose),
    ];
    for (kind, steps) in [("refuses", refuses), ("was away", was_away)] {
        let number = steps.len();
        let conducts = steps.into_iter().enumerate().map(|(at, (expected, then))| {
            let conduct: Conduct = Box::new(move |caller| {
                let said = level(caller);
                if said != Some(expected) {
                    caller.complain(format!("level {said:?}, not {expected}"));
                }
                if then != Close {
                    caller.answer_well(1, &[]);
                }
                match then {
                    AcceptAndClose => _ = caller.subscribed(),
                    AcceptUntilClosed => caller.expect_closed(),
                    Close => {}
                }
            });
            (format!("{kind} {at}"), conduct)
        });
        let other = Node::start("");
        let server = Server::start(conducts.collect(), other.address());
        let more = "  proto_ver = 4\n  subscription = [{remote_topic = \"t/#\"}]";
        let node = Node::start(&bridge("b", server.address, more));
        for _ in 0..number {
            let (name, result) = server.next_done();
            assert_eq!(result, Ok(()), "{name}");
        }
        node.until_connected("b");
    }
}
