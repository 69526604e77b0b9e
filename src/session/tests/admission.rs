//! CONNECT: what is accepted, what is refused, and what holds afterwards.

use super::kit::*;
use crate::{
    config::Mqtt,
    mqtt::{Connect, Property, ReasonCode, Will},
    session::{Admission, Refusal, admit},
};

type Change = fn(&mut Connect<'static>, &mut Mqtt);

fn admitted(connect: &Connect<'_>, limits: &Mqtt) -> Result<Admission, Refusal> {
    admit(connect, limits, &["known"], || "made-up".to_owned())
}

fn will(topic: &'static str) -> Option<Will<'static>> {
    Some(Will {
        topic,
        payload: b"gone",
        qos: Q1,
        retain: true,
        properties: properties(&[]),
    })
}

#[test]
fn what_is_refused() {
    use ReasonCode as R;
    let cases: &[(&str, Option<R>, Change)] = &[
        ("plain", None, |_, _| {}),
        (
            "version switched off",
            Some(R::UnsupportedProtocolVersion),
            |_, l| {
                l.protocol_versions = vec![3, 4];
            },
        ),
        ("another version switched off", None, |_, l| {
            l.protocol_versions = vec![5]
        }),
        (
            "authentication method",
            Some(R::BadAuthenticationMethod),
            |c, _| {
                c.properties = properties(&[Property::AuthenticationMethod("SCRAM-SHA-1")]);
            },
        ),
        ("as many properties as allowed", None, |c, l| {
            l.max_properties = 2;
            c.properties = properties(&[Property::UserProperty("a", "b"); 2]);
        }),
        (
            "more properties than allowed",
            Some(R::QuotaExceeded),
            |c, l| {
                l.max_properties = 2;
                c.properties = properties(&[Property::UserProperty("a", "b"); 3]);
            },
        ),
        (
            "more together with the will's",
            Some(R::QuotaExceeded),
            |c, l| {
                l.max_properties = 2;
                c.properties = properties(&[Property::UserProperty("a", "b"); 2]);
                c.will = will("t").map(|will| Will {
                    properties: properties(&[Property::UserProperty("a", "b")]),
                    ..will
                });
            },
        ),
        ("client id of the longest length", None, |c, l| {
            c.client_id = "12345";
            l.max_clientid_len = 5;
        }),
        (
            "client id too long",
            Some(R::ClientIdentifierNotValid),
            |c, l| {
                c.client_id = "123456";
                l.max_clientid_len = 5;
            },
        ),
        (
            "client id is counted in bytes",
            Some(R::ClientIdentifierNotValid),
            |c, l| {
                c.client_id = "äöü";
                l.max_clientid_len = 5;
            },
        ),
        ("no client id", None, |c, _| c.client_id = ""),
        (
            "no client id where none may be missing",
            Some(R::ClientIdentifierNotValid),
            |c, l| {
                c.client_id = "";
                l.allow_empty_clientid = false;
            },
        ),
        (
            "no client id in 3.1",
            Some(R::ClientIdentifierNotValid),
            |c, _| {
                (c.version, c.client_id, c.clean_start) = (V31, "", true);
            },
        ),
        ("no client id in 3.1.1", None, |c, _| {
            (c.version, c.client_id, c.clean_start) = (V311, "", true);
        }),
        (
            "no client id for a kept session",
            Some(R::ClientIdentifierNotValid),
            |c, _| {
                (c.version, c.client_id, c.clean_start) = (V311, "", false);
            },
        ),
        ("will", None, |c, _| c.will = will("a/b")),
        ("will of a bridge of Mosquitto", None, |c, _| {
            c.will = will("$SYS/broker/connection/c/state")
        }),
        ("will on $SYS", Some(R::TopicNameInvalid), |c, _| {
            c.will = will("$SYS/a")
        }),
        (
            "will on another $ topic",
            Some(R::TopicNameInvalid),
            |c, _| c.will = will("$x"),
        ),
        ("will on a wildcard", Some(R::TopicNameInvalid), |c, _| {
            c.will = will("a/+")
        }),
        ("will on all", Some(R::TopicNameInvalid), |c, _| {
            c.will = will("#")
        }),
        ("will without topic", Some(R::TopicNameInvalid), |c, _| {
            c.will = will("")
        }),
        ("will topic of the longest length", None, |c, l| {
            c.will = will("123");
            l.max_topic_length = 3;
        }),
        ("will topic too long", Some(R::TopicNameInvalid), |c, l| {
            c.will = will("1234");
            l.max_topic_length = 3;
        }),
        ("will topic as deep as allowed", None, |c, l| {
            c.will = will("a/b");
            l.max_topic_levels = 2;
        }),
        ("will topic too deep", Some(R::TopicNameInvalid), |c, l| {
            c.will = will("a/b/c");
            l.max_topic_levels = 2;
        }),
        ("will at the highest QoS", None, |c, l| {
            c.will = will("t");
            l.max_qos = 1;
        }),
        (
            "will above the highest QoS",
            Some(R::QoSNotSupported),
            |c, l| {
                c.will = will("t");
                l.max_qos = 0;
            },
        ),
        ("will retained", Some(R::RetainNotSupported), |c, l| {
            c.will = will("t");
            l.retain_available = false;
        }),
        ("will payload of the largest size", None, |c, l| {
            c.will = will("t");
            l.max_payload_size = 4;
        }),
        ("will payload too large", Some(R::PacketTooLarge), |c, l| {
            c.will = will("t");
            l.max_payload_size = 3;
        }),
    ];
    for (name, expected, change) in cases {
        let (mut connect, mut limits) = (connect(V5), Mqtt::default());
        change(&mut connect, &mut limits);
        let reason = admitted(&connect, &limits)
            .err()
            .map(|refusal| refusal.reason);
        assert_eq!(reason, *expected, "{name}");
    }
}

#[test]
fn a_missing_client_id_is_made_up_and_a_given_one_kept() {
    for (given, expected) in [("", ("made-up", true)), ("mine", ("mine", false))] {
        let asked = Connect {
            client_id: given,
            ..connect(V5)
        };
        let admission = admitted(&asked, &Mqtt::default()).unwrap();
        assert_eq!((&*admission.client_id, admission.assigned), expected);
    }
}

#[test]
fn the_keep_alive_is_held_to_its_maximum() {
    for (asked, maximum, expected) in [
        (60, 0, 60),
        (0, 0, 0),
        (60, 90, 60),
        (90, 90, 90),
        (91, 90, 90),
        (0, 90, 90),
    ] {
        for version in VERSIONS {
            let limits = Mqtt {
                max_keepalive: maximum,
                ..Mqtt::default()
            };
            let asked = Connect {
                keep_alive: asked,
                ..connect(version)
            };
            assert_eq!(admitted(&asked, &limits).unwrap().keep_alive, expected);
        }
    }
}

#[test]
fn the_session_expiry_is_held_to_its_maximum() {
    const NEVER: u32 = u32::MAX;
    // Version, clean start, the property, expiry of v3 sessions, maximum, expected.
    for (version, clean, asked, v3_default, maximum, expected) in [
        (V5, false, None, 50, 100, 0),
        (V5, true, Some(30), 50, 100, 30),
        (V5, false, Some(100), 50, 100, 100),
        (V5, false, Some(101), 50, 100, 100),
        (V5, false, Some(NEVER), 50, 100, 100),
        (V5, false, Some(NEVER), 50, NEVER, NEVER),
        (V5, false, Some(30), 50, 0, 0),
        (V311, true, None, 50, 100, 0),
        (V311, false, None, 50, 100, 50),
        (V311, false, None, 150, 100, 100),
        (V31, false, None, NEVER, NEVER, NEVER),
        (V31, true, None, NEVER, NEVER, 0),
    ] {
        let limits = Mqtt {
            session_expiry_interval: v3_default,
            max_session_expiry_interval: maximum,
            ..Mqtt::default()
        };
        let asked = asked.map(Property::SessionExpiryInterval);
        let connect = Connect {
            clean_start: clean,
            properties: properties(asked.as_slice()),
            ..connect(version)
        };
        let admission = admitted(&connect, &limits).unwrap();
        assert_eq!(admission.expiry_interval, expected, "{connect:?}");
        assert_eq!(admission.expiry().is_none(), expected == NEVER);
    }
}

#[test]
fn what_the_client_can_take_is_noted() {
    let plain = admitted(&connect(V5), &Mqtt::default()).unwrap();
    assert_eq!(
        (plain.receive_maximum, plain.max_packet_size),
        (u16::MAX, u32::MAX)
    );
    assert_eq!((plain.topic_aliases, plain.problem_information), (0, true));
    let limits = Mqtt {
        max_topic_alias_out: 5,
        ..Mqtt::default()
    };
    for (asked, expected) in [(4, 4), (5, 5), (6, 5), (0, 0)] {
        let properties = properties(&[
            Property::ReceiveMaximum(7),
            Property::MaximumPacketSize(99),
            Property::TopicAliasMaximum(asked),
            Property::RequestProblemInformation(0),
        ]);
        let admission = admitted(
            &Connect {
                properties,
                ..connect(V5)
            },
            &limits,
        )
        .unwrap();
        assert_eq!(
            (admission.receive_maximum, admission.max_packet_size),
            (7, 99)
        );
        assert_eq!(
            (admission.topic_aliases, admission.problem_information),
            (expected, false)
        );
    }
}

#[test]
fn a_client_is_watched_for_its_keep_alive_times_the_multiplier() {
    let limits = Mqtt {
        keepalive_multiplier: 2.0,
        max_keepalive: 45,
        ..Mqtt::default()
    };
    let mut broker = Broker::connected(V311, limits);
    let start = broker.now;
    let after = |seconds| Some(start + std::time::Duration::from_secs(seconds));
    assert_eq!(broker.channel().deadline(), after(90));
    broker.pass(30);
    let now = broker.now;
    broker.channel_mut().seen(now);
    assert_eq!(broker.channel().deadline(), after(120));
}

#[test]
fn a_client_that_cannot_take_its_connack_is_refused() {
    let limits = Mqtt::default();
    let ask = |most: u32, id: &'static str| {
        admitted(
            &Connect {
                client_id: id,
                properties: properties(&[Property::MaximumPacketSize(most)]),
                ..connect(V5)
            },
            &limits,
        )
    };
    for id in ["mine", ""] {
        let mut wire = bytes::BytesMut::new();
        ask(1000, id).unwrap().accept(false, &limits, &mut wire);
        let needed = wire.len() as u32;
        assert!(ask(needed, id).is_ok(), "{id:?} {needed}");
        let refusal = ask(needed - 1, id).unwrap_err();
        assert_eq!(refusal.reason, ReasonCode::PacketTooLarge, "{id:?}");
    }
}
