//! Local clients while a remote is slow, silent or away.

use nanomq::mqtt::QoS;

use crate::{
    mosquitto::Mosquitto,
    node::{Node, bridge},
    numbered::{Receiver, publish, publish_end, publisher},
    proxy::{Line, Proxy},
};

#[test]
fn local_clients_go_on_while_the_remote_does_not() {
    let mosquitto = Mosquitto::start("");
    for line in [Line::Stopped, Line::Silent, Line::Refusing] {
        let proxy = Proxy::to(mosquitto.address);
        // Who is held back would be so for ever.
        let node = Node::start(&format!(
            "mqtt.max_publisher_pause = 1d\n{}",
            bridge(
                "b",
                proxy.address,
                "  max_send_queue_len = 100\n  forwards = [{local_topic = \"#\"}]"
            )
        ));
        node.until_connected("b");
        proxy.set(line);
        if line == Line::Refusing {
            proxy.cut();
        }
        let mut publisher = publisher(node.address(), "publisher");
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let topic = format!("t/{}", qos as u8);
            let receiver = Receiver::start(node.address(), &format!("r{}", qos as u8), &topic, qos);
            publish(&mut publisher, &topic, qos, 0..10_000);
            publish_end(&mut publisher, &topic, qos);
            receiver.expect_once(10_000);
        }
        // What the bridge could not take is counted, and its queue is bounded.
        node.until_bridge("b", "is at its bound", |bridge| {
            bridge["backlog"]
                .as_u64()
                .is_some_and(|backlog| (1..=300).contains(&backlog))
        });
        let drops = node.dropped("b", "up");
        assert!(drops.values().sum::<u64>() > 10_000, "{line:?}: {drops:?}");
        assert!(drops.contains_key("queue_full"), "{line:?}: {drops:?}");
    }
}

#[test]
fn a_queue_that_rejects_keeps_the_oldest_messages() {
    let mosquitto = Mosquitto::start("");
    let proxy = Proxy::to(mosquitto.address);
    let more =
        "  max_send_queue_len = 100\n  queue_policy = reject\n  forwards = [{local_topic = \"t\"}]";
    let node = Node::start(&bridge("b", proxy.address, more));
    node.until_connected("b");
    proxy.set(Line::Refusing);
    proxy.cut();
    node.until_bridge("b", "has noticed", |bridge| bridge["state"] != "connected");
    let receiver = Receiver::start(mosquitto.address, "r", "t", QoS::AtLeastOnce);
    let mut publisher = publisher(node.address(), "publisher");
    publish(&mut publisher, "t", QoS::AtLeastOnce, 0..1_000);
    node.until_bridge("b", "is full", |bridge| bridge["backlog"] == 100);
    assert_eq!(node.dropped("b", "up")["queue_full"], 900);
    proxy.set(Line::Whole);
    node.until_bridge("b", "is empty", |bridge| bridge["backlog"] == 0);
    publish_end(&mut publisher, "t", QoS::AtLeastOnce);
    receiver.expect_once(100);
}
