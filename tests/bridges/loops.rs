//! Brokers that forward to each other: every message comes everywhere once, and none goes round.

use nanomq::mqtt::QoS;

use crate::{
    links::VERSIONS,
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
    for version in VERSIONS {
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
    for version in VERSIONS {
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
