//! How a connection ends: the will, the last packet, the session's expiry.

use std::io::ErrorKind;

use bytes::BytesMut;

use super::kit::*;
use crate::{
    config::Mqtt,
    mqtt::{Connect, Disconnect, Packet, Property, ReasonCode, Will},
    session::{CloseReason, Step, Violation},
};

fn asking(list: &[Property<'_>]) -> Connect<'static> {
    Connect {
        properties: properties(list),
        ..connect(V5)
    }
}

fn every_reason() -> Vec<(CloseReason, Option<ReasonCode>)> {
    use ReasonCode as R;
    vec![
        (CloseReason::Client(R::Success), None),
        (CloseReason::Client(R::DisconnectWithWill), None),
        (CloseReason::Client(R::UnspecifiedError), None),
        (CloseReason::PeerClosed, None),
        (CloseReason::Socket(ErrorKind::ConnectionReset), None),
        (CloseReason::Refused(R::NotAuthorized, "no".into()), None),
        (CloseReason::ConnectTimeout, None),
        (CloseReason::Stuck, None),
        (
            CloseReason::Violation(Violation::SecondConnect),
            Some(R::ProtocolError),
        ),
        (
            CloseReason::Violation(Violation::TopicAliasInvalid),
            Some(R::TopicAliasInvalid),
        ),
        (CloseReason::KeepAliveTimeout, Some(R::KeepAliveTimeout)),
        (CloseReason::TakenOver, Some(R::SessionTakenOver)),
        (CloseReason::Kicked, Some(R::AdministrativeAction)),
        (CloseReason::ShuttingDown, Some(R::ServerShuttingDown)),
        (CloseReason::Internal("lost"), Some(R::UnspecifiedError)),
    ]
}

#[test]
fn the_will_is_kept_unless_the_client_says_goodbye() {
    for (reason, _) in every_reason() {
        let mut broker = Broker::new(Mqtt::default());
        let will = Will {
            topic: "will",
            payload: b"gone",
            qos: Q1,
            retain: true,
            properties: properties(&[
                Property::WillDelayInterval(7),
                Property::UserProperty("a", "b"),
                Property::MessageExpiryInterval(60),
            ]),
        };
        broker.connect(&Connect {
            will: Some(will),
            ..connect(V5)
        });
        let now = broker.now;
        let will = broker.close(&reason);
        let discarded = reason == CloseReason::Client(ReasonCode::Success);
        assert_eq!(will.is_none(), discarded, "{reason}");
        if let Some(will) = will {
            assert_eq!((will.delay, will.topic()), (7, "will"));
            let message = will.message(now);
            let view = message.view();
            assert_eq!(
                (view.payload, view.qos, view.retain),
                (&b"gone"[..], Q1, true)
            );
            let left: Vec<_> = view.properties.iter().collect();
            assert_eq!(
                left,
                [
                    Property::UserProperty("a", "b"),
                    Property::MessageExpiryInterval(60)
                ]
            );
            assert_eq!(
                view.expires_at,
                Some(now + std::time::Duration::from_secs(60))
            );
        }
    }
}

#[test]
fn disconnect_tells_version_5_why() {
    for (reason, code) in every_reason() {
        for version in VERSIONS {
            let mut broker = Broker::connected(version, Mqtt::default());
            broker.channel_mut();
            let mut wire = BytesMut::new();
            broker.channel().write_disconnect(&reason, &mut wire);
            let seen = read_all(V5, &wire);
            let Some(code) = code.filter(|_| version == V5) else {
                assert_eq!(seen, [], "{reason} {version:?}");
                continue;
            };
            let [Seen::Disconnect(written, properties)] = &seen[..] else {
                panic!("{reason}: {seen:?}");
            };
            assert_eq!(*written, code, "{reason}");
            let text = properties
                .as_properties()
                .reason_string()
                .map(str::to_owned);
            let expected = match reason {
                CloseReason::Violation(_) => Some(reason.to_string()),
                _ => None,
            };
            assert_eq!(text, expected);
        }
    }
}

#[test]
fn the_reason_string_is_left_out_where_it_is_not_wanted_or_does_not_fit() {
    let reason = CloseReason::Violation(Violation::TopicAliasInvalid);
    let written = |asked: &[Property<'_>]| {
        let mut broker = Broker::new(Mqtt::default());
        broker.connect(&asking(asked));
        let mut wire = BytesMut::new();
        broker.channel().write_disconnect(&reason, &mut wire);
        wire
    };
    let whole = written(&[]).len() as u32;
    for (asked, with_text) in [
        (Property::RequestProblemInformation(1), true),
        (Property::RequestProblemInformation(0), false),
        (Property::MaximumPacketSize(whole), true),
        (Property::MaximumPacketSize(whole - 1), false),
    ] {
        let wire = written(&[asked]);
        let [Seen::Disconnect(ReasonCode::TopicAliasInvalid, properties)] =
            &read_all(V5, &wire)[..]
        else {
            panic!("{wire:?}");
        };
        assert_eq!(!properties.is_empty(), with_text, "{asked:?}");
    }
}

#[test]
fn violations_have_a_code_a_name_and_a_text_of_their_own() {
    use Violation as V;
    let all = [
        V::ConnectExpected,
        V::SecondConnect,
        V::ServerPacket,
        V::AuthWithoutMethod,
        V::TopicNameInvalid,
        V::TopicNameMissing,
        V::TopicAliasInvalid,
        V::TopicAliasUnknown,
        V::ReceiveMaximumExceeded,
        V::QoSNotSupported,
        V::RetainNotSupported,
        V::PayloadTooLarge,
        V::TooManyProperties,
        V::SessionExpiryRaised,
    ];
    let broker = Broker::connected(V5, Mqtt::default());
    for (index, violation) in all.iter().enumerate() {
        let mut wire = BytesMut::new();
        // Decoding it checks that a server may send the code in a DISCONNECT.
        broker
            .channel()
            .write_disconnect(&CloseReason::Violation(*violation), &mut wire);
        assert_eq!(read_all(V5, &wire).len(), 1);
        for other in &all[..index] {
            assert_ne!(violation.kind_name(), other.kind_name());
            assert_ne!(violation.to_string(), other.to_string());
        }
    }
}

#[test]
fn disconnect_may_change_the_session_expiry_but_not_from_zero() {
    let limits = Mqtt {
        max_session_expiry_interval: 100,
        ..Mqtt::default()
    };
    // In CONNECT, in DISCONNECT, what holds then.
    for (before, asked, expected) in [
        (None, None, Some(0)),
        (None, Some(0), Some(0)),
        (None, Some(1), None),
        (Some(0), Some(1), None),
        (Some(50), None, Some(50)),
        (Some(50), Some(0), Some(0)),
        (Some(50), Some(60), Some(60)),
        (Some(50), Some(u32::MAX), Some(100)),
    ] {
        let as_list = |value: Option<u32>| value.map(Property::SessionExpiryInterval);
        let mut broker = Broker::new(limits.clone());
        broker.connect(&asking(as_list(before).as_slice()));
        let step = broker.handle(&Packet::Disconnect(Disconnect {
            reason: ReasonCode::DisconnectWithWill,
            properties: properties(as_list(asked).as_slice()),
        }));
        match (step, expected) {
            (Ok(Step::Close(reason)), Some(expected)) => {
                assert_eq!(reason, CloseReason::Client(ReasonCode::DisconnectWithWill));
                assert_eq!(broker.session().expiry_interval, expected);
            }
            (Err(Violation::SessionExpiryRaised), None) => {}
            (step, _) => panic!("{before:?} {asked:?}: {step:?}"),
        }
    }
}
