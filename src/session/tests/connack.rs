//! CONNACK: byte by byte where it has no properties, and true in all that its properties say.

use bytes::BytesMut;

use super::kit::*;
use crate::{
    config::Mqtt,
    mqtt::{Connect, Property, ProtocolVersion, ReasonCode},
    session::{Refusal, admit, refuse},
};

fn accepted(connect: &Connect<'_>, session_present: bool, limits: &Mqtt) -> BytesMut {
    let mut wire = BytesMut::new();
    let admission = admit(connect, limits, &[], || "made-up".to_owned()).unwrap();
    admission.accept(session_present, limits, &mut wire);
    wire
}

#[test]
fn before_version_5_it_is_four_bytes() {
    for (version, present, expected) in [
        (V31, false, [0x20, 2, 0, 0]),
        // 3.1 has no flag for it.
        (V31, true, [0x20, 2, 0, 0]),
        (V311, false, [0x20, 2, 0, 0]),
        (V311, true, [0x20, 2, 1, 0]),
    ] {
        assert_eq!(
            &accepted(&connect(version), present, &Mqtt::default())[..],
            expected
        );
    }
}

#[test]
fn its_properties_are_what_the_broker_keeps_to() {
    let strict = Mqtt {
        receive_maximum: 9,
        max_qos: 1,
        retain_available: false,
        max_packet_size: 4096,
        max_topic_alias: 3,
        wildcard_subscription_available: false,
        subscription_identifier_available: false,
        shared_subscription_available: false,
        max_keepalive: 30,
        max_session_expiry_interval: 100,
        ..Mqtt::default()
    };
    let demanding = Connect {
        client_id: "",
        properties: properties(&[Property::SessionExpiryInterval(101)]),
        ..connect(V5)
    };
    let cases: [(_, _, &[Property<'_>]); 2] = [
        (
            connect(V5),
            Mqtt::default(),
            &[
                Property::ReceiveMaximum(1024),
                Property::MaximumPacketSize(1 << 20),
                Property::TopicAliasMaximum(64),
                Property::WildcardSubscriptionAvailable(1),
                Property::SubscriptionIdentifierAvailable(1),
                Property::SharedSubscriptionAvailable(1),
            ],
        ),
        (
            demanding,
            strict,
            &[
                Property::SessionExpiryInterval(100),
                Property::ReceiveMaximum(9),
                Property::MaximumQoS(1),
                Property::RetainAvailable(0),
                Property::MaximumPacketSize(4096),
                Property::AssignedClientIdentifier("made-up"),
                Property::TopicAliasMaximum(3),
                Property::WildcardSubscriptionAvailable(0),
                Property::SubscriptionIdentifierAvailable(0),
                Property::SharedSubscriptionAvailable(0),
                Property::ServerKeepAlive(30),
            ],
        ),
    ];
    for (connect, limits, expected) in cases {
        for present in [false, true] {
            let seen = read_all(V5, &accepted(&connect, present, &limits));
            let [Seen::ConnAck(said, ReasonCode::Success, properties)] = &seen[..] else {
                panic!("{seen:?}");
            };
            assert_eq!(*said, present);
            assert_eq!(
                properties.as_properties().iter().collect::<Vec<_>>(),
                expected
            );
        }
    }
}

#[test]
fn a_refusal_is_written_for_the_version_that_asked() {
    let cases: [(Option<ProtocolVersion>, ReasonCode, &[u8]); 6] = [
        (
            Some(V311),
            ReasonCode::ClientIdentifierNotValid,
            &[0x20, 2, 0, 2],
        ),
        (Some(V31), ReasonCode::NotAuthorized, &[0x20, 2, 0, 5]),
        (Some(V311), ReasonCode::QuotaExceeded, &[0x20, 2, 0, 3]),
        (
            Some(V5),
            ReasonCode::Banned,
            &[0x20, 8, 0, 0x8A, 5, 0x1F, 0, 2, b'n', b'o'],
        ),
        // Of a version that the broker does not know every client expects this.
        (
            None,
            ReasonCode::UnsupportedProtocolVersion,
            &[0x20, 2, 0, 1],
        ),
        (
            Some(V5),
            ReasonCode::BadAuthenticationMethod,
            &[0x20, 8, 0, 0x8C, 5, 0x1F, 0, 2, b'n', b'o'],
        ),
    ];
    for (version, reason, expected) in cases {
        let mut wire = BytesMut::new();
        refuse(&Refusal::new(reason, "no"), version, u32::MAX, &mut wire);
        assert_eq!(&wire[..], expected, "{version:?} {reason:?}");
    }
}

#[test]
fn a_reason_that_does_not_fit_is_left_out() {
    let bare: &[u8] = &[0x20, 3, 0, 0x8A, 0];
    let whole: &[u8] = &[0x20, 8, 0, 0x8A, 5, 0x1F, 0, 2, b'n', b'o'];
    let long = "x".repeat(70_000);
    for (why, max_packet_size, expected) in [
        (&*long, u32::MAX, bare),
        ("no", 10, whole),
        ("no", 9, bare),
        ("no", 5, bare),
        ("no", 4, &[]),
    ] {
        let mut wire = BytesMut::new();
        let refusal = Refusal::new(ReasonCode::Banned, why);
        refuse(&refusal, Some(V5), max_packet_size, &mut wire);
        assert_eq!(&wire[..], expected, "{} {max_packet_size}", why.len());
    }
}
