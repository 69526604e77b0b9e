//! Bridges on lines that break, and with brokers that end: nothing that was acknowledged is lost, QoS 2 comes once, order
//! is kept.

use std::{net::SocketAddr, time::Duration};

use nanomq::mqtt::QoS;

use crate::{
    kit::Client,
    links::VERSIONS,
    mosquitto::Mosquitto,
    node::{Node, bridge},
    numbered::{Receiver, publish, publish_end, publisher},
    proxy::{Line, Proxy},
};

/// Messages of each QoS and way.
const COUNT: u32 = 10_000;

/// Both ways: what is published below `up/` here goes to the remote, what is published below `down/` there comes.
fn both_ways(version: u8) -> String {
    format!(
        "  proto_ver = {version}\n  keepalive = 1s\n  ping_timeout = 300ms\n  connect_timeout = 1s\n  \
         forwards = [{{local_topic = \"up/#\"}}]\n  subscription = [{{remote_topic = \"down/#\", qos = 2}}]"
    )
}

/// Sends numbered messages with QoS 1 and 2 at once from one broker to another, a bridge between them, calls `disturb`
/// after each part of them, and checks what arrives.
fn send_disturbed(
    way: &str,
    from: SocketAddr,
    to: SocketAddr,
    parts: u32,
    disturb: impl FnMut(u32),
) {
    send_disturbed_to(Receiver::start, way, from, to, parts, disturb);
}

/// As [`send_disturbed`], with receivers of some kind.
fn send_disturbed_to(
    receiver: fn(SocketAddr, &str, &str, QoS) -> Receiver,
    way: &str,
    from: SocketAddr,
    to: SocketAddr,
    parts: u32,
    mut disturb: impl FnMut(u32),
) {
    let kinds = Kind::both(receiver, way, to);
    let mut publisher = publisher(from, "publisher");
    for part in 0..parts {
        publish_part(&kinds, &mut publisher, part, parts, COUNT);
        disturb(part);
    }
    for kind in kinds {
        kind.expect(COUNT);
    }
}

/// Messages of one QoS, and who receives them.
struct Kind {
    qos: QoS,
    topic: String,
    receiver: Receiver,
}

impl Kind {
    /// Those that have to arrive, with receivers of some kind at the end of a way.
    fn both(
        receiver: fn(SocketAddr, &str, &str, QoS) -> Receiver,
        way: &str,
        to: SocketAddr,
    ) -> [Self; 2] {
        [QoS::AtLeastOnce, QoS::ExactlyOnce].map(|qos| {
            let topic = format!("{way}/{}", qos as u8);
            Self {
                qos,
                receiver: receiver(to, &topic.replace('/', "-"), &topic, qos),
                topic,
            }
        })
    }

    fn expect(self, count: u32) {
        match self.qos {
            QoS::ExactlyOnce => self.receiver.expect_once(count),
            _ => _ = self.receiver.expect_at_least_once(count),
        }
    }
}

/// Publishes one of some equal parts of `count` messages of each kind, behind the last one that there are no more.
fn publish_part(kinds: &[Kind], publisher: &mut Client, part: u32, parts: u32, count: u32) {
    for Kind { qos, topic, .. } in kinds {
        let numbers = count * part / parts..count * (part + 1) / parts;
        publish(publisher, topic, *qos, numbers);
    }
    if part + 1 == parts {
        for Kind { qos, topic, .. } in kinds {
            publish_end(publisher, topic, *qos);
        }
    }
}

#[test]
fn a_line_that_is_cut_in_the_middle_of_packets_loses_nothing() {
    for version in VERSIONS {
        let mosquitto = Mosquitto::start("");
        let line = Proxy::to(mosquitto.address);
        let node = Node::start(&bridge("b", line.address, &both_ways(version)));
        node.until_connected("b");
        line.cut_every(20_011);
        send_disturbed("up", node.address(), mosquitto.address, 1, |_| {});
        // Mosquitto writes what it has sent before in one go, before it reads any acknowledgement of it.
        line.cut_every(60_013);
        send_disturbed("down", mosquitto.address, node.address(), 1, |_| {});
        assert!(line.accepted() > 10, "the line was hardly cut");
        for way in ["up", "down"] {
            assert_eq!(node.dropped("b", way), Default::default(), "{way}");
        }
    }
}

#[test]
fn a_line_that_is_slow_and_then_cut_loses_nothing() {
    let mosquitto = Mosquitto::start("");
    let line = Proxy::to(mosquitto.address);
    let node = Node::start(&bridge("b", line.address, &both_ways(5)));
    node.until_connected("b");
    line.set(Line::Delayed(Duration::from_millis(3)));
    send_disturbed("up", node.address(), mosquitto.address, 4, |_| line.cut());
}

#[test]
fn a_line_that_flaps_every_second_loses_nothing() {
    for version in VERSIONS {
        let mosquitto = Mosquitto::start("");
        let line = Proxy::to(mosquitto.address);
        let node = Node::start(&bridge("b", line.address, &both_ways(version)));
        node.until_connected("b");
        let flapping = line.flap(Duration::from_secs(1));
        // Each part waits for a further cut.
        send_disturbed("up", node.address(), mosquitto.address, 4, |part| {
            line.until_accepted(u64::from(part) + 2);
        });
        drop(flapping);
    }
}

#[test]
fn a_line_that_goes_silent_is_noticed_and_nothing_is_lost() {
    for version in VERSIONS {
        let mosquitto = Mosquitto::start("");
        let line = Proxy::to(mosquitto.address);
        let node = Node::start(&bridge("b", line.address, &both_ways(version)));
        node.until_connected("b");
        for (way, from, to) in [
            ("up", node.address(), mosquitto.address),
            ("down", mosquitto.address, node.address()),
        ] {
            send_disturbed(way, from, to, 2, |part| match part {
                0 => line.set(Line::Silent),
                _ => {
                    // The bridge notices it, and tries again in vain.
                    line.until_accepted(line.accepted() + 2);
                    line.set(Line::Whole);
                }
            });
        }
    }
}

#[test]
fn a_remote_that_is_killed_and_started_again_gets_everything() {
    for version in VERSIONS {
        let mut remote = Node::stored("mqtt.max_mqueue_len = 100000\n");
        let [line, door] = [Proxy::to(remote.address()), Proxy::to(remote.address())];
        let node = Node::start(&bridge("b", line.address, &both_ways(version)));
        node.until_connected("b");
        send_disturbed("up", node.address(), door.address, 4, |_| {
            remote.process.kill();
            remote.process.start_again();
            line.lead_to(remote.address());
            door.lead_to(remote.address());
        });
    }
}

#[test]
fn a_mosquitto_that_is_stopped_and_started_again_gets_everything() {
    let mut mosquitto = Mosquitto::start("");
    let node = Node::start(&bridge("b", mosquitto.address, &both_ways(5)));
    node.until_connected("b");
    let to = mosquitto.address;
    // Mosquitto 2.0.11 forgets with its end that it has sent PUBREL to a receiver, so that they stay away from it.
    send_disturbed_to(Receiver::away, "up", node.address(), to, 3, |_| {
        mosquitto.stop();
        mosquitto.start_again();
    });
}

#[test]
fn what_waits_in_a_bridge_survives_restarts_in_place() {
    const PART: u32 = 500;
    for (version, is_stored) in [(4, false), (4, true), (5, false), (5, true)] {
        let mosquitto = Mosquitto::start("");
        let line = Proxy::to(mosquitto.address);
        let config = bridge("b", line.address, &both_ways(version));
        let mut node = match is_stored {
            false => Node::start(&config),
            true => Node::stored(&config),
        };
        node.until_connected("b");
        line.set(Line::Refusing);
        line.cut();
        let kinds = Kind::both(Receiver::start, "up", mosquitto.address);
        for part in 0..4 {
            let mut publisher = publisher(node.address(), "publisher");
            publish_part(&kinds, &mut publisher, part, 4, 4 * PART);
            publisher.goodbye();
            match part {
                // Everything waits, and is shown to wait after the restart.
                0 => {
                    node.restart(1);
                    let all = 2 * u64::from(PART);
                    node.until_bridge("b", "has its backlog", |bridge| bridge["backlog"] == all);
                }
                // A part goes out, and the broker restarts in the middle of it.
                1 => {
                    line.set(Line::Whole);
                    line.until_accepted(line.accepted() + 1);
                    node.restart(2);
                }
                2 => node.restart(3),
                _ => {}
            }
        }
        for kind in kinds {
            kind.expect(4 * PART);
        }
    }
}

#[test]
fn what_waits_in_a_bridge_survives_the_end_of_its_broker() {
    for version in VERSIONS {
        let mosquitto = Mosquitto::start("");
        let line = Proxy::to(mosquitto.address);
        let mut node = Node::stored(&bridge("b", line.address, &both_ways(version)));
        node.until_connected("b");
        line.set(Line::Refusing);
        line.cut();
        let door = Proxy::to(node.address());
        let mut kills = 0;
        let kinds = Kind::both(Receiver::start, "up", mosquitto.address);
        for part in 0..4 {
            let mut publisher = publisher(node.address(), "publisher");
            publish_part(&kinds, &mut publisher, part, 4, COUNT);
            node.process.kill();
            node.process.start_again();
            kills += 1;
            door.lead_to(node.address());
            if part == 1 {
                // A part goes out, and the broker ends in the middle of it.
                line.set(Line::Whole);
                line.until_accepted(line.accepted() + 1);
            }
        }
        assert_eq!(kills, 4);
        for kind in kinds {
            kind.expect(COUNT);
        }
    }
}
