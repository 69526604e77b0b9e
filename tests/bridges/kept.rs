//! Brokers that subscribe to each other with kept sessions, over lines that break, and with brokers that end: what has been
//! at the other one does not come back from the session that was kept for it.

use std::net::SocketAddr;

use nanomq::mqtt::{Packet, ProtocolVersion, QoS, ReasonCode};

use crate::{
    http::At,
    kit::{Client, Got},
    links::{ALL_VERSIONS, VERSIONS},
    mosquitto::Mosquitto,
    node::{Node, bridge},
    numbered::{Receiver, publish, publish_end, publisher, until},
    proxy::{Line, Proxy},
};

const EVERY_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
/// Messages of a way, where lines are cut all the time.
const COUNT: u32 = 2_000;

/// Two brokers, each with a bridge to the other that subscribes to everything and forwards nothing.
struct Pair {
    nodes: [Node; 2],
    /// To each of them, for the bridge of the other one.
    lines: [Proxy; 2],
    /// To each of them, for clients.
    doors: [Proxy; 2],
}

impl Pair {
    fn start(version: u8, is_stored: bool) -> Self {
        let start = |more: &str| match is_stored {
            true => Node::stored(more),
            false => Node::start(more),
        };
        let first = start("");
        let to_first = Proxy::to(first.address());
        let more = format!(
            "  proto_ver = {version}\n  clean_start = false\n  subscription = [{{remote_topic = \"t/#\", qos = 2}}]"
        );
        let second = start(&bridge("b", to_first.address, &more));
        let to_second = Proxy::to(second.address());
        let other = serde_json::json!({
            "name": "b", "server": format!("mqtt-tcp://{}", to_second.address), "proto_ver": version,
            "clean_start": false, "backoff_min": "10ms", "backoff_max": "100ms",
            "subscription": [{"remote_topic": "t/#", "qos": 2}],
        });
        first.ask("POST", "/bridges", &other);
        let pair = Self {
            doors: [Proxy::to(first.address()), Proxy::to(second.address())],
            nodes: [first, second],
            lines: [to_first, to_second],
        };
        pair.until_connected();
        pair
    }

    fn until_connected(&self) {
        for node in &self.nodes {
            node.until_connected("b");
        }
    }

    /// The bridge to this node cannot connect, and neither can it go on.
    fn cut_off(&self, node: usize) {
        self.lines[node].set(Line::Refusing);
        self.lines[node].cut();
        let bridge = &self.nodes[1 - node];
        bridge.until_bridge("b", "is cut off", |bridge| bridge["state"] != "connected");
    }

    /// Ends the process of a node and starts it again, or has it restart in place.
    fn end(&mut self, node: usize, is_killed: bool) {
        if is_killed {
            self.nodes[node].process.kill();
            self.nodes[node].process.start_again();
        } else {
            self.nodes[node].restart(1);
        }
        for proxy in [&self.lines[node], &self.doors[node]] {
            proxy.lead_to(self.nodes[node].address());
        }
    }

    /// A message with each QoS from a client of a node.
    fn publish_each(&self, node: usize, first: u32) {
        let mut publisher = publisher(self.nodes[node].address(), "publisher");
        for (number, qos) in (first..).zip(EVERY_QOS) {
            publish(&mut publisher, "t/each", qos, number..number + 1);
        }
        publisher.goodbye();
    }

    /// Waits until everything that was published is where it goes, and what might be going round with it: a mark goes from
    /// each to the other, behind it.
    fn settle(&self, mark: u32, case: &str) {
        for (mark, from, to) in [(mark, 0, 1), (mark + 1, 1, 0), (mark + 2, 0, 1)] {
            let mut watcher = Client::v5(self.nodes[to].address(), "watcher");
            watcher.subscribe("t/mark", QoS::AtLeastOnce);
            let mut publisher = publisher(self.nodes[from].address(), "marker");
            publish(&mut publisher, "t/mark", QoS::AtLeastOnce, mark..mark + 1);
            let message = watcher.message();
            assert_eq!(message.payload, mark.to_string().as_bytes(), "{case}");
            watcher.send_bytes(b"\xc0\0");
            let n = watcher.next();
            assert_eq!(n, Got::PingResp, "{case} {mark}");
            watcher.ack(Packet::PubAck, message.id.unwrap());
            watcher.goodbye();
            publisher.goodbye();
        }
    }

    /// Checks that the receivers have these numbers, each as often as it is said, and nothing else.
    fn expect(&self, receivers: [Receiver; 2], mut expected: Vec<u32>, case: &str) {
        let mut publisher = publisher(self.nodes[0].address(), "ending");
        publish_end(&mut publisher, "t/each", QoS::AtLeastOnce);
        expected.sort_unstable();
        for (node, receiver) in receivers.into_iter().enumerate() {
            let payloads = receiver.payloads();
            let mut got: Vec<u32> = payloads.iter().map(|n| n.parse().unwrap()).collect();
            got.sort_unstable();
            assert_eq!(got, expected, "at {node}, {case}");
        }
    }

    /// A client at each that is away and has what comes kept for it.
    fn receivers(&self) -> [Receiver; 2] {
        [0, 1].map(|node| {
            let name = format!("receiver{node}");
            Receiver::away(self.doors[node].address, &name, "t/each", QoS::ExactlyOnce)
        })
    }
}

/// What waits for the bridge of the second broker is from both, and has come to the first by its own bridge.
#[test]
fn what_was_queued_for_a_bridge_does_not_come_back_with_it() {
    for (version, is_stored) in [(3, false), (4, false), (4, true), (5, false), (5, true)] {
        let case = format!("version {version}, stored: {is_stored}");
        let pair = Pair::start(version, is_stored);
        let receivers = pair.receivers();
        pair.cut_off(0);
        pair.publish_each(1, 20);
        pair.publish_each(0, 10);
        // An equal one of the other side is another message.
        pair.publish_each(0, 20);
        let at_first = &pair.nodes[0];
        at_first.until_bridge("b", "has all", |bridge| {
            bridge["counters"]["received_messages"].as_u64() >= Some(3)
        });
        pair.lines[0].set(Line::Whole);
        pair.until_connected();
        pair.settle(1, &case);
        // Those with QoS 0 of the receivers that are away are not kept, nor those of the bridge that was.
        pair.expect(receivers, vec![11, 12, 21, 21, 22, 22], &case);
    }
}

/// QoS 0 is seen by those who are there.
#[test]
fn messages_that_do_not_wait_do_not_come_back_either() {
    for version in ALL_VERSIONS {
        let pair = Pair::start(version, false);
        let receivers = [0, 1].map(|node| {
            let name = format!("receiver{node}");
            Receiver::start(pair.doors[node].address, &name, "t/each", QoS::AtMostOnce)
        });
        for round in 1..4 {
            pair.lines[0].cut();
            pair.lines[1].cut();
            pair.until_connected();
            pair.settle(10 * round, "");
            pair.publish_each(0, 10 * round);
            pair.publish_each(1, 100 * round);
            pair.settle(10 * round + 5, "");
        }
        let all = |first: u32| first..first + 3;
        let expected = (1..4).flat_map(|n| all(10 * n).chain(all(100 * n)));
        pair.expect(receivers, expected.collect(), &format!("version {version}"));
    }
}

#[test]
fn what_was_queued_for_a_bridge_does_not_come_back_after_the_end_of_a_broker() {
    for version in VERSIONS {
        for (ends, is_killed) in [(0, true), (1, true), (0, false), (1, false)] {
            let case = format!("version {version}, {ends} ends, killed: {is_killed}");
            let mut pair = Pair::start(version, true);
            let receivers = pair.receivers();
            pair.cut_off(0);
            pair.publish_each(1, 20);
            pair.publish_each(0, 10);
            let at_first = &pair.nodes[0];
            at_first.until_bridge("b", "has all", |bridge| {
                bridge["counters"]["received_messages"].as_u64() >= Some(3)
            });
            pair.end(ends, is_killed);
            pair.lines[0].set(Line::Whole);
            pair.until_connected();
            pair.settle(1, &case);
            pair.expect(receivers, vec![11, 12, 21, 22], &case);
        }
    }
}

#[test]
fn a_pair_on_lines_that_are_cut_in_the_middle_of_packets_has_every_qos_2_message_once() {
    for version in ALL_VERSIONS {
        let pair = Pair::start(version, false);
        let receivers: Vec<_> = [(0, 0), (0, 1), (1, 0), (1, 1)]
            .into_iter()
            .map(|(from, at)| {
                let topic = format!("t/from{from}");
                let name = format!("receiver{from}{at}");
                Receiver::start(pair.doors[at].address, &name, &topic, QoS::ExactlyOnce)
            })
            .collect();
        for line in &pair.lines {
            line.cut_every(4_001);
        }
        let mut senders = [0, 1].map(|node| publisher(pair.nodes[node].address(), "sender"));
        for part in 0..10 {
            for (node, sender) in senders.iter_mut().enumerate() {
                let numbers = COUNT * part / 10..COUNT * (part + 1) / 10;
                publish(sender, &format!("t/from{node}"), QoS::ExactlyOnce, numbers);
            }
        }
        for (node, sender) in senders.iter_mut().enumerate() {
            publish_end(sender, &format!("t/from{node}"), QoS::ExactlyOnce);
        }
        for receiver in receivers {
            receiver.expect_once(COUNT);
        }
        for line in &pair.lines {
            assert!(line.accepted() > 3, "the line was hardly cut");
        }
    }
}

/// The configuration of a Mosquitto that subscribes to everything of a broker.
fn mosquitto_bridge(to: SocketAddr) -> String {
    format!(
        "connection c\naddress {to}\nbridge_protocol_version mqttv311\ncleansession false\n\
         topic t/# in 2\n"
    )
}

fn is_subscribed(at: &At) -> bool {
    let body = at.get("/subscriptions").json();
    let all = body["data"].as_array().cloned().unwrap_or_default();
    all.iter().any(|one| one["topic"] == "t/#")
}

#[test]
fn the_bridge_of_a_mosquitto_gets_all_that_waits_for_it() {
    let node = Node::start("");
    let mut mosquitto = Mosquitto::start(&mosquitto_bridge(node.address()));
    until(|| "subscribed".to_owned(), || is_subscribed(&node.api()));
    // Mosquitto 2.0.11 does not get on with more messages of QoS 2 than its window has for a receiver that was away.
    let kinds = [(QoS::AtLeastOnce, 500), (QoS::ExactlyOnce, 15)].map(|(qos, count)| {
        let topic = format!("t/{}", qos as u8);
        let receiver = Receiver::away(mosquitto.address, &topic.replace('/', "-"), &topic, qos);
        (qos, topic, count, receiver)
    });
    mosquitto.stop();
    let mut publisher = publisher(node.address(), "publisher");
    for (qos, topic, count, _) in &kinds {
        publish(&mut publisher, topic, *qos, 0..*count);
        publish_end(&mut publisher, topic, *qos);
    }
    mosquitto.start_again();
    for (_, _, count, receiver) in kinds {
        receiver.expect_once(count);
    }
}

/// A bridge that says nothing at all gets what waits for it in the end.
#[test]
fn a_bridge_that_says_nothing_gets_what_waits_for_it() {
    let node = Node::start("listeners.tcp.connect_timeout = 200ms\n");
    let connected = || {
        let mut bridge = Client::open(node.address());
        bridge.version = ProtocolVersion::V311;
        // Without clean session and keep alive, and with the bit of bridges.
        bridge.send_bytes(b"\x10\x0f\0\x04MQTT\x84\0\0\0\0\x03brd");
        assert!(matches!(
            bridge.next(),
            Got::ConnAck(_, ReasonCode::Success)
        ));
        bridge
    };
    let mut bridge = connected();
    bridge.subscribe("t/#", QoS::ExactlyOnce);
    bridge.goodbye();
    let mut publisher = publisher(node.address(), "publisher");
    publish(&mut publisher, "t/each", QoS::ExactlyOnce, 0..1);
    assert_eq!(connected().message().payload, b"0");
}
