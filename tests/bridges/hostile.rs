//! Remotes that do not keep the protocol: each costs its connection, nothing else, and what waits arrives at the next
//! one that does.

use std::{iter, net::SocketAddr};

use nanomq::mqtt::QoS;

use crate::{
    caller::{Caller, Conduct, Server},
    kit::Client,
    mosquitto::Mosquitto,
    node::{Node, bridge},
    notation::bytes,
    numbered::{Receiver, publish, publish_end, publisher},
};

/// When a remote says something.
#[derive(Clone, Copy)]
enum When {
    /// As soon as there is a connection.
    AtOnce,
    /// In the place of CONNACK.
    Connect,
    /// When the subscriptions are granted.
    Subscribed,
    /// When a message has come, in the place of its acknowledgement.
    Published,
}

use When::{AtOnce, Connect, Published, Subscribed};

/// What the bridge has to close the connection for, before MQTT 5 and with it.
const BREACHES: &[(&str, When, &str)] = &[
    ("no packet", AtOnce, "DEADBEEF"),
    (
        "another protocol",
        AtOnce,
        "\"HTTP/1.1 400 Bad Request\" 0D0A0D0A",
    ),
    ("PUBLISH before CONNACK", Connect, "30 ['t' \"x\"]"),
    ("PINGRESP before CONNACK", Connect, "D0 []"),
    ("SUBACK before CONNACK", Connect, "90 [0001 00]"),
    ("a refusal", Connect, "20 [00 05]"),
    ("CONNACK with reserved flags", Connect, "20 [02 00]"),
    ("CONNACK of one byte", Connect, "20 [00]"),
    ("a length of five bytes", Connect, "20 FFFFFFFF7F"),
    ("the greatest length", Connect, "20 FFFFFF7F"),
    ("a length beyond the limit", Subscribed, "30 80808001"),
    ("a second CONNACK", Subscribed, "20 [00 00]"),
    ("the reserved type 0", Subscribed, "00 []"),
    ("CONNECT", Subscribed, "10 ['MQTT' 04 02 0000 'x']"),
    ("SUBSCRIBE", Subscribed, "82 [0001 't' 00]"),
    ("UNSUBSCRIBE", Subscribed, "A2 [0001 't']"),
    ("PINGREQ", Subscribed, "C0 []"),
    ("QoS 3", Subscribed, "36 ['t' 0001 \"x\"]"),
    ("identifier 0 in PUBLISH", Subscribed, "32 ['t' 0000 \"x\"]"),
    ("identifier 0 in PUBACK", Subscribed, "40 [0000]"),
    ("DUP with QoS 0", Subscribed, "38 ['t' \"x\"]"),
    ("flags in PUBACK", Subscribed, "41 [0001]"),
    ("no flags in PUBREL", Subscribed, "60 [0001]"),
    (
        "a wildcard in a topic",
        Subscribed,
        "30 ['down/#' 00 \"x\"]",
    ),
    ("a topic that is cut", Subscribed, "30 [0010 61]"),
    ("a topic that is not UTF-8", Subscribed, "30 [0002 C328 00]"),
    ("NUL in a topic", Subscribed, "30 [0002 6100 00]"),
    ("PUBACK that is cut", Published, "40 [00]"),
    (
        "a length beyond the limit after a message",
        Published,
        "40 FFFFFF7F",
    ),
];

/// What the bridge has to close the connection for with MQTT 5.
const BREACHES_V5: &[(&str, When, &str)] = &[
    ("Receive Maximum 0", Connect, "20 [00 00 [21 0000]]"),
    ("a property twice", Connect, "20 [00 00 [22 0001 22 0001]]"),
    ("an unknown property", Connect, "20 [00 00 [7E 00]]"),
    ("Maximum QoS 2", Connect, "20 [00 00 [24 02]]"),
    (
        "properties longer than the packet",
        Connect,
        "20 [00 00 7F]",
    ),
    ("AUTH that nobody asked for", Connect, "F0 [18 [15 'x']]"),
    ("DISCONNECT", Subscribed, "E0 [8B []]"),
    ("AUTH", Subscribed, "F0 [18 [15 'x']]"),
    (
        "a topic alias that is not allowed",
        Subscribed,
        "30 ['t' [23 0001] \"x\"]",
    ),
    ("a topic alias 0", Subscribed, "30 ['t' [23 0000] \"x\"]"),
    ("no topic and no alias", Subscribed, "30 ['' [] \"x\"]"),
    (
        "subscription identifier 0",
        Subscribed,
        "30 ['t' [0B 00] \"x\"]",
    ),
    ("an undefined reason in PUBACK", Published, "40 [0001 42]"),
];

/// What is odd, and may but need not end the connection.
const ODDITIES: &[(&str, When, &str)] = &[
    ("nothing", AtOnce, ""),
    ("half a CONNACK", Connect, "20 02 00"),
    ("CONNACK and the end", Connect, "20 [00 00]"),
    ("half a PUBLISH", Subscribed, "32 20 0001"),
    ("SUBACK that nobody waits for", Subscribed, "90 [7FFF 00]"),
    ("PUBACK that nobody waits for", Published, "40 [7FFF]"),
    ("PUBREC that nobody waits for", Published, "50 [7FFF]"),
    ("PUBREL that nobody waits for", Published, "62 [7FFF]"),
    ("PUBCOMP that nobody waits for", Published, "70 [7FFF]"),
    ("UNSUBACK that nobody waits for", Published, "B0 [7FFF]"),
    (
        "a topic under $SYS",
        Subscribed,
        "30 ['$SYS/brokers' \"x\"]",
    ),
    (
        "a topic that was not subscribed to",
        Subscribed,
        "30 ['other' \"x\"]",
    ),
];

fn conduct(version: u8, when: When, said: Vec<u8>, must_close: bool) -> Conduct {
    Box::new(move |caller: &mut Caller| {
        caller.version = version;
        let is_there = match when {
            AtOnce => true,
            Connect => caller.packet_of_kind(1).is_some(),
            Subscribed => caller.subscribed(),
            Published => caller.packet_of_kind(3).is_some(),
        };
        if !is_there {
            return caller.complain("the bridge left before it could be told anything".to_owned());
        }
        caller.send_bytes(&said);
        if must_close {
            caller.expect_closed();
        }
    })
}

fn conducts(version: u8) -> Vec<(String, Conduct)> {
    let of = |list: &'static [(&str, When, &str)], must_close| {
        list.iter().map(move |(name, when, text)| {
            let text = match version {
                // No properties, where version 5 has them.
                5 => text.replace("'t' 0001 \"x\"", "'t' 0001 [] \"x\""),
                _ => (*text).to_owned(),
            };
            let conduct = conduct(version, *when, bytes(&text), must_close);
            ((*name).to_owned(), conduct)
        })
    };
    let v5 = if version == 5 { BREACHES_V5 } else { &[] };
    of(BREACHES, true)
        .chain(of(v5, true))
        .chain(of(ODDITIES, false))
        .chain(mutated(version))
        .collect()
}

/// What a good remote says, with random changes.
fn mutated(version: u8) -> impl Iterator<Item = (String, Conduct)> {
    let good = match version {
        5 => {
            "20 [00 00 [21 0014 27 00100000 22 000A]] 90 [0001 [] 01] 32 ['down/x' 0001 [] \"x\"] 34 ['down/y' 0002 [] \"y\"] \
              62 [0002] D0 [] 40 [7FF0 10] 50 [7FF1]"
        }
        _ => {
            "20 [00 00] 90 [0001 01] 32 ['down/x' 0001 \"x\"] 34 ['down/y' 0002 \"y\"] 62 [0002] D0 [] 40 [7FF0] 50 [7FF1]"
        }
    };
    let mut random = fastrand::Rng::with_seed(u64::from(version));
    iter::repeat_with(move || {
        let mut said = bytes(good);
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..said.len());
            match random.u8(..4) {
                0 => said[at] ^= 1 << random.u8(..8),
                1 => said[at] = random.u8(..),
                2 => drop(said.remove(at)),
                _ => said.truncate(at.max(1)),
            }
        }
        let name = format!("{said:02X?}");
        (name, conduct(version, Connect, said, false))
    })
    .take(40)
}

#[test]
fn a_remote_that_breaks_the_protocol_costs_its_connection_and_nothing_else() {
    for version in [4, 5] {
        let mosquitto = Mosquitto::start("");
        let conducts = conducts(version);
        let number = conducts.len();
        let server = Server::start(conducts, mosquitto.address);
        let more = format!(
            "  proto_ver = {version}\n  backoff_max = 20ms\n  connect_timeout = 2s\n  forwards = [{{local_topic = \"up/#\"}}]\n  \
             subscription = [{{remote_topic = \"down/#\"}}]"
        );
        // As many messages as a hostile remote may not acknowledge.
        let node = Node::start(&bridge("b", server.address, &more));
        let receivers = [QoS::AtLeastOnce, QoS::ExactlyOnce].map(|qos| {
            let topic = format!("up/{}", qos as u8);
            let receiver =
                Receiver::start(mosquitto.address, &topic.replace('/', "-"), &topic, qos);
            (qos, topic, receiver)
        });
        let mut sender = publisher(node.address(), "publisher");
        for (qos, topic, _) in &receivers {
            publish(&mut sender, topic, *qos, 0..1000);
        }
        let mut wrong = Vec::new();
        for _ in 0..number {
            // Meanwhile clients of the broker are served.
            echo(node.address());
            let (name, result) = server.next_done();
            if let Err(why) = result {
                wrong.push(format!("{name}: {why}"));
            }
        }
        assert!(wrong.is_empty(), "version {version}:\n{}", wrong.join("\n"));
        for (qos, topic, receiver) in receivers {
            publish_end(&mut sender, &topic, qos);
            match qos {
                QoS::ExactlyOnce => receiver.expect_once(1000),
                _ => _ = receiver.expect_at_least_once(1000),
            }
        }
    }
}

/// A message from a client to itself.
fn echo(address: SocketAddr) {
    let mut client = Client::v5(address, "echo");
    client.subscribe("echo", QoS::AtMostOnce);
    client.publish("echo", b"x", QoS::AtMostOnce, 1);
    assert_eq!(client.message().payload, b"x");
    client.goodbye();
}

#[test]
fn a_remote_that_says_nothing_is_left() {
    let mosquitto = Mosquitto::start("");
    let silent = |when: When| -> Conduct {
        Box::new(move |caller: &mut Caller| {
            match when {
                Subscribed => _ = caller.subscribed(),
                _ => _ = caller.packet_of_kind(1),
            }
            caller.expect_closed();
        })
    };
    let conducts = [Connect, Subscribed].map(|when| ("silence".to_owned(), silent(when)));
    let server = Server::start(conducts.into(), mosquitto.address);
    let more = "  keepalive = 1s\n  ping_timeout = 200ms\n  connect_timeout = 200ms\n  \
                subscription = [{remote_topic = \"down/#\"}]";
    let node = Node::start(&bridge("b", server.address, more));
    for _ in 0..2 {
        assert_eq!(server.next_done().1, Ok(()));
    }
    node.until_connected("b");
}
