//! Changes of bridges while they run: the others go on, and nothing of them is lost.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
};

use nanomq::mqtt::QoS;
use serde_json::json;

use crate::{
    kit::Client,
    mosquitto::Mosquitto,
    node::{Node, bridge},
    numbered::{Receiver, publish, publish_end, publisher, until},
    proxy::Proxy,
};

#[test]
fn changes_of_one_bridge_do_not_disturb_another() {
    let mosquitto = Mosquitto::start("");
    let [steady, changed] = [Proxy::to(mosquitto.address), Proxy::to(mosquitto.address)];
    let node = Node::start(&format!(
        "{}{}",
        bridge(
            "steady",
            steady.address,
            "  forwards = [{local_topic = \"t\"}]"
        ),
        bridge(
            "changed",
            changed.address,
            "  forwards = [{local_topic = \"x\"}]"
        ),
    ));
    node.until_connected("steady");
    node.until_connected("changed");
    let receiver = Receiver::start(mosquitto.address, "r", "t", QoS::ExactlyOnce);
    let (ends, sent) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU32::new(0)),
    );
    let (has_ended, counter) = (Arc::clone(&ends), Arc::clone(&sent));
    let mut sender = publisher(node.address(), "publisher");
    let sending = thread::spawn(move || {
        let mut number = 0;
        while !has_ended.load(Ordering::Relaxed) {
            publish(&mut sender, "t", QoS::ExactlyOnce, number..number + 20);
            number += 20;
            counter.store(number, Ordering::Relaxed);
        }
        publish_end(&mut sender, "t", QoS::ExactlyOnce);
        number
    });
    let goes_on = || {
        let before = sent.load(Ordering::Relaxed);
        until(
            || "messages go on".to_owned(),
            || sent.load(Ordering::Relaxed) > before,
        );
    };
    let server = changed.address.to_string();
    for (method, target, body) in [
        (
            "POST",
            "/bridges/switch/changed",
            json!({"data": {"bridge_switch": false}}),
        ),
        (
            "POST",
            "/bridges/switch/changed",
            json!({"data": {"bridge_switch": true}}),
        ),
        (
            "POST",
            "/bridges/sub/changed",
            json!({"data": {"subscription": [{"remote_topic": "y"}]}}),
        ),
        (
            "POST",
            "/bridges/unsub/changed",
            json!({"data": {"unsubscription": [{"topic": "y"}]}}),
        ),
        (
            "PUT",
            "/bridges/changed",
            json!({"server": server, "proto_ver": 5, "forwards": ["x", "z"]}),
        ),
        (
            "PUT",
            "/bridges/changed",
            json!({"server": "127.0.0.1:1", "forwards": ["x"]}),
        ),
        ("DELETE", "/bridges/changed", json!({})),
        (
            "POST",
            "/bridges",
            json!({"name": "third", "server": server, "forwards": ["z"]}),
        ),
    ] {
        node.ask(method, target, &body);
        goes_on();
    }
    node.until_connected("third");
    // A reload of the same, and of something else.
    let conf = node.process.conf();
    for more in [
        "",
        "mqtt.max_mqueue_len = 77\n",
        "bridges.mqtt.third.keepalive = 7s\n",
    ] {
        fs::write(&conf, fs::read_to_string(&conf).unwrap() + more).unwrap();
        let reloaded = node.api().post("/reload", "");
        assert_eq!(reloaded.status, 200, "{reloaded:?}");
        goes_on();
    }
    ends.store(true, Ordering::Relaxed);
    receiver.expect_once(sending.join().unwrap());
    assert_eq!(steady.accepted(), 1, "the steady bridge has reconnected");
    assert_eq!(node.count("steady", "reconnects"), 0);
}

#[test]
fn topics_are_subscribed_to_and_left_without_reconnecting() {
    for version in crate::links::VERSIONS {
        let mosquitto = Mosquitto::start("");
        let line = Proxy::to(mosquitto.address);
        let node = Node::start(&bridge(
            "b",
            line.address,
            &format!(
                "  proto_ver = {version}\n  subscription = [{{remote_topic = \"always\", qos = 1}}]"
            ),
        ));
        node.until_connected("b");
        let mut local = Client::v5(node.address(), "local");
        local.subscribe("#", QoS::AtMostOnce);
        let mut remote = publisher(mosquitto.address, "remote");
        // The message with which a topic begins is there when it is subscribed to.
        let mut retained = crate::kit::publish_bytes(
            nanomq::mqtt::ProtocolVersion::V311,
            "added/1",
            b"r",
            QoS::AtMostOnce,
            1,
        );
        retained[0] |= 1;
        remote.send_bytes(&retained);
        node.ask(
            "POST",
            "/bridges/sub/b",
            &json!({"data": {"subscription": [{"remote_topic": "added/#", "local_topic": "here/#", "qos": 1}]}}),
        );
        assert_eq!(local.message().topic, "here/1");
        publish(&mut remote, "added/2", QoS::AtLeastOnce, 0..1);
        assert_eq!(local.message().topic, "here/2");
        node.ask(
            "POST",
            "/bridges/unsub/b",
            &json!({"data": {"unsubscription": [{"topic": "added/#"}]}}),
        );
        // Until the remote has been told.
        until(
            || "the remote was told".to_owned(),
            || {
                publish(&mut remote, "added/3", QoS::AtLeastOnce, 0..1);
                publish(&mut remote, "always", QoS::AtLeastOnce, 0..1);
                let first = local.message().topic;
                if first == "here/3" {
                    assert_eq!(local.message().topic, "always");
                }
                first == "always"
            },
        );
        assert_eq!(line.accepted(), 1);
    }
}

#[test]
fn what_a_remote_was_asked_for_and_is_not_wanted_any_more_ends_when_it_is_back() {
    for version in crate::links::ALL_VERSIONS {
        let remote = Node::start("");
        let line = Proxy::to(remote.address());
        let own = json!({
            "server": line.address.to_string(), "proto_ver": version, "backoff_min": "10ms", "backoff_max": "100ms",
        });
        let with = |topics: &[&str], more: serde_json::Value| {
            let mut bridge = own.clone();
            let list: Vec<_> = topics
                .iter()
                .map(|topic| json!({"remote_topic": topic}))
                .collect();
            let members = bridge.as_object_mut().unwrap();
            members.insert("subscription".to_owned(), list.into());
            members.extend(more.as_object().unwrap().clone());
            bridge
        };
        let node = Node::start("");
        let mut first = with(&["a/#", "b"], json!({}));
        first["name"] = "b".into();
        node.ask("POST", "/bridges", &first);
        node.until_connected("b");
        let client_id = node.bridge("b")["client_id"].as_str().unwrap().to_owned();
        let expect = |expected: &[&str]| {
            node.until_connected("b");
            let body = remote
                .api()
                .get(&format!("/subscriptions/{client_id}"))
                .json();
            let rows = body["data"].as_array().unwrap();
            let mut topics: Vec<_> = rows
                .iter()
                .map(|row| row["topic"].as_str().unwrap())
                .collect();
            topics.sort_unstable();
            assert_eq!(topics, expected, "version {version}");
        };
        expect(&["a/#", "b"]);
        // Changed while the remote is away, and by a connection of its own.
        line.set(crate::proxy::Line::Refusing);
        line.cut();
        node.until_bridge("b", "is away", |bridge| bridge["state"] != "connected");
        node.ask("PUT", "/bridges/b", &with(&["b", "c"], json!({})));
        line.set(crate::proxy::Line::Whole);
        expect(&["b", "c"]);
        node.ask("PUT", "/bridges/b", &with(&["d"], json!({"keepalive": 9})));
        node.until_bridge("b", "is another", |bridge| {
            bridge["connector"]["keepalive"] == 9 && bridge["counters"]["connects"] == 3
        });
        expect(&["d"]);
    }
}

#[test]
fn what_waits_in_a_bridge_that_is_switched_off_or_changed_arrives_later() {
    let mosquitto = Mosquitto::start("");
    let line = Proxy::to(mosquitto.address);
    let node = Node::start(&bridge(
        "b",
        line.address,
        "  forwards = [{local_topic = \"t\"}]",
    ));
    node.until_connected("b");
    line.set(crate::proxy::Line::Refusing);
    line.cut();
    let receiver = Receiver::start(mosquitto.address, "r", "t", QoS::AtLeastOnce);
    let mut sender = publisher(node.address(), "publisher");
    publish(&mut sender, "t", QoS::AtLeastOnce, 0..300);
    node.until_bridge("b", "has them", |bridge| bridge["backlog"] == 300);
    let switch = |on: bool| {
        node.ask(
            "POST",
            "/bridges/switch/b",
            &json!({"data": {"bridge_switch": on}}),
        )
    };
    switch(false);
    node.until_bridge("b", "is off", |bridge| {
        bridge["state"] == "disabled" && bridge["backlog"] == 300
    });
    switch(true);
    let direct =
        json!({"server": mosquitto.address.to_string(), "forwards": ["t"], "keepalive": 9});
    node.ask("PUT", "/bridges/b", &direct);
    node.until_bridge("b", "is empty", |bridge| bridge["backlog"] == 0);
    publish_end(&mut sender, "t", QoS::AtLeastOnce);
    assert_eq!(receiver.expect_at_least_once(300), 0);
}
