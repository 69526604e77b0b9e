//! Brokers that forward to each other: every message comes everywhere once, and none goes round.

use nanomq::mqtt::QoS;

use crate::{
    kit::Client,
    links::{ALL_VERSIONS, VERSIONS},
    mosquitto::Mosquitto,
    node::{Node, bridge},
    numbered::{Receiver, publish, publish_end, publisher},
    proxy::Proxy,
};

const COUNT: u32 = 500;

/// Publishes at each of some places; every one has to get everything once.
fn expect_once_everywhere(places: &[std::net::SocketAddr]) {
    for (number, from) in places.iter().enumerate() {
        let topic = format!("t/{number}");
        let receivers: Vec<Receiver> = places
            .iter()
            .map(|place| Receiver::start(*place, &format!("r{number}"), &topic, QoS::AtLeastOnce))
            .collect();
        let mut publisher = publisher(*from, "publisher");
        publish(&mut publisher, &topic, QoS::AtLeastOnce, 0..COUNT);
        publish_end(&mut publisher, &topic, QoS::AtLeastOnce);
        for receiver in receivers {
            receiver.expect_once(COUNT);
        }
    }
}

#[test]
fn two_brokers_that_forward_to_each_other_have_every_message_once() {
    for version in ALL_VERSIONS {
        let more = format!("  proto_ver = {version}\n  forwards = [{{local_topic = \"t/#\"}}]");
        let first = Node::start("");
        let second = Node::start(&bridge("b", first.address(), &more));
        let line = Proxy::to(second.address());
        let up = serde_json::json!({
            "name": "b", "server": line.address.to_string(), "proto_ver": version,
            "forwards": [{"local_topic": "t/#"}],
        });
        first.ask("POST", "/bridges", &up);
        for node in [&first, &second] {
            node.until_connected("b");
        }
        expect_once_everywhere(&[first.address(), second.address()]);
        for node in [&first, &second] {
            node.until_bridge("b", "is done", |bridge| bridge["backlog"] == 0);
            // Each sends its own messages, and at most once what has come from the other.
            let sent = node.count("b", "sent_messages");
            let own = u64::from(COUNT) + 1;
            assert!((own..=2 * own).contains(&sent), "version {version}: {sent}");
        }
    }
}

#[test]
fn a_bridge_that_forwards_what_it_subscribes_to_does_not_get_it_back() {
    for version in ALL_VERSIONS {
        let mosquitto = Mosquitto::start("");
        let other = Node::start("");
        for remote in [mosquitto.address, other.address()] {
            let more = format!(
                "  proto_ver = {version}\n  forwards = [{{local_topic = \"t/#\"}}]\n  \
                 subscription = [{{remote_topic = \"t/#\"}}]"
            );
            let node = Node::start(&bridge("b", remote, &more));
            node.until_connected("b");
            expect_once_everywhere(&[node.address(), remote]);
            node.until_bridge("b", "is done", |bridge| bridge["backlog"] == 0);
            assert_eq!(node.count("b", "sent_messages"), u64::from(COUNT) + 1);
        }
    }
}

#[test]
fn brokers_in_a_ring_have_every_message_once() {
    let more = "  proto_ver = 5\n  forwards = [{local_topic = \"t/#\"}]";
    let first = Node::start("");
    let third = Node::start(&bridge("b", first.address(), more));
    let second = Node::start(&bridge("b", third.address(), more));
    let up = serde_json::json!({
        "name": "b", "server": second.address().to_string(), "proto_ver": 5,
        "forwards": [{"local_topic": "t/#"}],
    });
    first.ask("POST", "/bridges", &up);
    for node in [&first, &second, &third] {
        node.until_connected("b");
    }
    expect_once_everywhere(&[first.address(), second.address(), third.address()]);
}

/// Messages that the bridge of a node has taken and sent.
fn passed(node: &Node) -> (u64, u64) {
    (
        node.count("b", "received_messages"),
        node.count("b", "sent_messages"),
    )
}

/// Two nodes, each with a bridge to the other that has these topics.
fn each_with_a_bridge(version: u8, topics: &str, json: serde_json::Value) -> [Node; 2] {
    let first = Node::start("");
    let more = format!("  proto_ver = {version}\n  {topics}");
    let second = Node::start(&bridge("b", first.address(), &more));
    let mut other = serde_json::json!({
        "name": "b", "server": format!("mqtt-tcp://{}", second.address()), "proto_ver": version,
    });
    other
        .as_object_mut()
        .unwrap()
        .extend(json.as_object().unwrap().clone());
    first.ask("POST", "/bridges", &other);
    for node in [&first, &second] {
        node.until_connected("b");
    }
    [first, second]
}

#[test]
fn two_brokers_that_subscribe_to_each_other_have_every_message_once() {
    for version in ALL_VERSIONS {
        let nodes = each_with_a_bridge(
            version,
            "subscription = [{remote_topic = \"t/#\", qos = 2}]",
            serde_json::json!({"subscription": [{"remote_topic": "t/#", "qos": 2}]}),
        );
        expect_once_everywhere(&[nodes[0].address(), nodes[1].address()]);
        // What a bridge brings in does not go back, or, with MQTT 5, at most once, to where it is known.
        let own = u64::from(COUNT) + 1;
        let most = if version == 5 { 2 * own } else { own };
        for node in &nodes {
            let (received, sent) = passed(node);
            assert_eq!(sent, 0);
            assert!((own..=most).contains(&received), "{version}: {received}");
        }
        // One message by itself: nothing is on its way any more when a second one, in its track, has come.
        let before = [passed(&nodes[0]), passed(&nodes[1])];
        let mut watchers = [0, 1].map(|n| {
            let mut watcher = Client::v5(nodes[n].address(), "watcher");
            watcher.subscribe("t/#", QoS::AtLeastOnce);
            watcher
        });
        let mut sender = publisher(nodes[0].address(), "sender");
        publish(&mut sender, "t/one", QoS::AtLeastOnce, 0..1);
        let mut sender = publisher(nodes[1].address(), "sender");
        for watcher in &mut watchers {
            let message = watcher.message();
            assert_eq!(message.payload, b"0");
            watcher.ack(nanomq::mqtt::Packet::PubAck, message.id.unwrap());
        }
        publish_end(&mut sender, "t/one", QoS::AtLeastOnce);
        for watcher in &mut watchers {
            assert_eq!(watcher.message().payload, b"end", "version {version}");
        }
        let after = [passed(&nodes[0]), passed(&nodes[1])];
        for (after, before) in after.iter().zip(before) {
            assert!(after.0 - before.0 <= 2, "{version}: {before:?} {after:?}");
        }
    }
}

#[test]
fn equal_messages_of_both_sides_are_all_there() {
    let each = 50;
    for version in VERSIONS {
        for list in ["forwards", "subscription"] {
            let topic = match list {
                "forwards" => "local_topic",
                _ => "remote_topic",
            };
            let nodes = each_with_a_bridge(
                version,
                &format!("{list} = [{{{topic} = \"t/#\"}}]"),
                serde_json::json!({list: [{topic: "t/#"}]}),
            );
            let receivers = [0, 1].map(|n: usize| {
                let address = nodes[n].address();
                Receiver::start(address, "receiver", "t/equal", QoS::AtLeastOnce)
            });
            let mut senders = [0, 1].map(|n: usize| publisher(nodes[n].address(), "sender"));
            for _ in 0..each {
                for sender in &mut senders {
                    publish(sender, "t/equal", QoS::AtLeastOnce, 7..8);
                }
            }
            // The ends of both have to have come, behind everything of their side.
            for (n, sender) in senders.iter_mut().enumerate() {
                let other = &nodes[1 - n];
                let sent = || match list {
                    "forwards" => nodes[n].bridge("b")["backlog"] == 0,
                    _ => other.count("b", "received_messages") >= each,
                };
                crate::numbered::until(|| format!("{n} is not through"), sent);
                if n == 1 {
                    publish_end(sender, "t/equal", QoS::AtLeastOnce);
                }
            }
            for receiver in receivers {
                let got = receiver.payloads();
                assert_eq!(got.len() as u64, 2 * each, "version {version}, {list}");
            }
        }
    }
}

#[test]
fn brokers_around_a_mosquitto_have_every_message_once() {
    let topics =
        "forwards = [{local_topic = \"t/#\"}]\n  subscription = [{remote_topic = \"t/#\"}]";
    for version in ALL_VERSIONS {
        let mosquitto = Mosquitto::start("");
        let more = format!("  proto_ver = {version}\n  {topics}");
        let nodes = [0, 1].map(|_| Node::start(&bridge("b", mosquitto.address, &more)));
        for node in &nodes {
            node.until_connected("b");
        }
        let places = [nodes[0].address(), nodes[1].address(), mosquitto.address];
        expect_once_everywhere(&places);
        for node in &nodes {
            node.until_bridge("b", "is done", |bridge| bridge["backlog"] == 0);
            let own = u64::from(COUNT) + 1;
            assert_eq!(passed(node), (2 * own, own), "version {version}");
        }
    }
}
