//! How many messages are on their way to a remote at once.

use std::sync::mpsc::{Receiver, channel};

use nanomq::mqtt::QoS;

use crate::{
    caller::{Caller, Conduct, Server},
    mosquitto::Mosquitto,
    node::{Node, bridge},
    notation::bytes,
    numbered::{publish, publisher, until},
};

/// PINGREQ, which comes when an acknowledgement does not.
const PING: u8 = 12;
const PUBLISH: u8 = 3;

/// A remote that says `connack` when it is told to, and acknowledges nothing has to see `expected` messages and then, nothing more to be sent,
/// be asked whether it is there.
fn conduct(version: u8, connack: &'static str, expected: usize, told: Receiver<()>) -> Conduct {
    Box::new(move |caller: &mut Caller| {
        caller.version = version;
        if caller.packet().is_none_or(|packet| packet[0] >> 4 != 1) {
            return caller.complain("no CONNECT".to_owned());
        }
        let _ = told.recv();
        caller.send_bytes(&bytes(connack));
        let mut seen = 0;
        while let Some(packet) = caller.packet() {
            match packet[0] >> 4 {
                PUBLISH => seen += 1,
                PING if seen > 0 => break,
                kind => caller.answer_well(kind, &packet),
            }
        }
        if seen != expected {
            caller.complain(format!("{seen} messages instead of {expected}"));
        }
    })
}

#[test]
fn no_more_messages_than_configured_are_unacknowledged() {
    const V4: &str = "20 [00 00]";
    const V5: &str = "20 [00 00 []]";
    // Receive Maximum 10.
    const V5_OF_10: &str = "20 [00 00 [21 000A]]";
    let mosquitto = Mosquitto::start("");
    for (keys, version, connack, expected) in [
        ("", 4, V4, 20),
        ("max_parallel_processes = 2", 4, V4, 2),
        ("parallel = 3", 4, V4, 3),
        (
            "max_parallel_processes = 2\n  max_inflight_window = 5",
            4,
            V4,
            5,
        ),
        ("max_parallel_processes = 7", 5, V5, 7),
        ("", 5, V5_OF_10, 10),
        ("max_parallel_processes = 50", 5, V5_OF_10, 10),
    ] {
        let (tell, told) = channel();
        let conduct = conduct(version, connack, expected, told);
        let conducts = vec![(keys.to_owned(), conduct)];
        let server = Server::start(conducts, mosquitto.address);
        let more = format!(
            "  proto_ver = {version}\n  ping_timeout = 200ms\n  {keys}\n  \
             forwards = [{{local_topic = \"up/#\"}}]"
        );
        let node = Node::start(&bridge("b", server.address, &more));
        let mut sender = publisher(node.address(), "sender");
        let mut publish = |count| publish(&mut sender, "up/1", QoS::AtLeastOnce, 0..count);
        until(
            || format!("{keys}: what is forwarded waits"),
            || {
                publish(1);
                node.bridge("b")["backlog"] != 0
            },
        );
        publish(100);
        tell.send(()).unwrap();
        let (name, result) = server.next_done();
        assert_eq!(result, Ok(()), "{name} with version {version}");
    }
}

#[test]
fn the_window_is_shown() {
    let mosquitto = Mosquitto::start("");
    let more = "  max_parallel_processes = 3\n  forwards = [{local_topic = \"up/#\"}]";
    let node = Node::start(&bridge("b", mosquitto.address, more));
    node.until_connected("b");
    let shown = node.bridge("b");
    assert_eq!(
        (&shown["parallel"], &shown["inflight_window"]),
        (&3.into(), &3.into())
    );
    let changed = serde_json::json!({
        "server": mosquitto.address.to_string(), "proto_ver": 5, "max_inflight_window": 500, "forwards": ["up/#"],
    });
    node.ask("PUT", "/bridges/b", &changed);
    // Mosquitto's Receive Maximum.
    node.until_bridge("b", "has the window of the remote", |bridge| {
        bridge["inflight_window"] == 20 && bridge["state"] == "connected"
    });
}
