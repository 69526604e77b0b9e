//! Every property: its bytes, where it may stand, how often, and what values it may have.

use super::super::DecodeErrorKind as Kind;
use super::super::PropertyLocation as At;
use super::super::*;

const EVERYWHERE: &[At] = &[
    At::Connect,
    At::Will,
    At::ConnAck,
    At::PublishFromClient,
    At::PublishFromServer,
    At::PubAck,
    At::PubRec,
    At::PubRel,
    At::PubComp,
    At::Subscribe,
    At::SubAck,
    At::Unsubscribe,
    At::UnsubAck,
    At::DisconnectFromClient,
    At::DisconnectFromServer,
    At::Auth,
];
const MESSAGE: &[At] = &[At::PublishFromClient, At::PublishFromServer, At::Will];
const CONNECT: &[At] = &[At::Connect];
const CONNACK: &[At] = &[At::ConnAck];
const BOTH: &[At] = &[At::Connect, At::ConnAck];
const AUTH: &[At] = &[At::Connect, At::ConnAck, At::Auth];
const ANSWERS: &[At] = &[
    At::ConnAck,
    At::PubAck,
    At::PubRec,
    At::PubRel,
    At::PubComp,
    At::SubAck,
    At::UnsubAck,
    At::DisconnectFromClient,
    At::DisconnectFromServer,
    At::Auth,
];

type Row = (Property<'static>, &'static [u8], &'static [At]);

/// Table 2-4 of the standard with an example each.
const TABLE: [Row; 27] = [
    (Property::PayloadFormatIndicator(1), b"\x01\x01", MESSAGE),
    (
        Property::MessageExpiryInterval(0x0102_0304),
        b"\x02\x01\x02\x03\x04",
        MESSAGE,
    ),
    (Property::ContentType("t"), b"\x03\0\x01t", MESSAGE),
    (Property::ResponseTopic("r/t"), b"\x08\0\x03r/t", MESSAGE),
    (
        Property::CorrelationData(b"\0\xff"),
        b"\x09\0\x02\0\xff",
        MESSAGE,
    ),
    (
        Property::SubscriptionIdentifier(268_435_455),
        b"\x0b\xff\xff\xff\x7f",
        &[At::Subscribe, At::PublishFromServer],
    ),
    (
        Property::SessionExpiryInterval(u32::MAX),
        b"\x11\xff\xff\xff\xff",
        &[At::Connect, At::ConnAck, At::DisconnectFromClient],
    ),
    (
        Property::AssignedClientIdentifier("id"),
        b"\x12\0\x02id",
        CONNACK,
    ),
    (Property::ServerKeepAlive(0x0102), b"\x13\x01\x02", CONNACK),
    (Property::AuthenticationMethod("M"), b"\x15\0\x01M", AUTH),
    (
        Property::AuthenticationData(b"\x80"),
        b"\x16\0\x01\x80",
        AUTH,
    ),
    (Property::RequestProblemInformation(0), b"\x17\0", CONNECT),
    (
        Property::WillDelayInterval(5),
        b"\x18\0\0\0\x05",
        &[At::Will],
    ),
    (
        Property::RequestResponseInformation(1),
        b"\x19\x01",
        CONNECT,
    ),
    (Property::ResponseInformation("i"), b"\x1a\0\x01i", CONNACK),
    (
        Property::ServerReference("h"),
        b"\x1c\0\x01h",
        &[At::ConnAck, At::DisconnectFromServer],
    ),
    (Property::ReasonString("why"), b"\x1f\0\x03why", ANSWERS),
    (Property::ReceiveMaximum(1), b"\x21\0\x01", BOTH),
    (Property::TopicAliasMaximum(0), b"\x22\0\0", BOTH),
    (
        Property::TopicAlias(65_535),
        b"\x23\xff\xff",
        &[At::PublishFromClient, At::PublishFromServer],
    ),
    (Property::MaximumQoS(1), b"\x24\x01", CONNACK),
    (Property::RetainAvailable(0), b"\x25\0", CONNACK),
    (
        Property::UserProperty("k", ""),
        b"\x26\0\x01k\0\0",
        EVERYWHERE,
    ),
    (Property::MaximumPacketSize(1), b"\x27\0\0\0\x01", BOTH),
    (
        Property::WildcardSubscriptionAvailable(0),
        b"\x28\0",
        CONNACK,
    ),
    (
        Property::SubscriptionIdentifierAvailable(1),
        b"\x29\x01",
        CONNACK,
    ),
    (Property::SharedSubscriptionAvailable(0), b"\x2a\0", CONNACK),
];

fn kind(raw: &[u8], at: At) -> Option<Kind> {
    Properties::parse(raw, at).err().map(|error| {
        assert_eq!(error.packet, Some(at.packet_type()));
        error.kind
    })
}

/// Authentication data is legal only after its method.
fn with_method(property: Property<'_>, bytes: &[u8]) -> Vec<u8> {
    match property {
        Property::AuthenticationData(_) => [b"\x15\0\x01M", bytes].concat(),
        _ => bytes.to_vec(),
    }
}

#[test]
fn every_property_has_its_bytes() {
    for (property, bytes, _) in TABLE {
        let mut buf = PropertiesBuf::new();
        buf.push(property);
        assert_eq!(buf.as_properties().raw(), bytes, "{property:?}");
        assert_eq!(buf.len(), bytes.len());
        assert_eq!(property.id(), bytes[0]);
        let properties = Properties::from_validated(bytes);
        assert!(
            properties.iter().eq([property]),
            "{property:?}: {properties:?}"
        );
        assert!(properties.iter_raw().eq([(bytes[0], bytes)]));
        assert!(properties.contains(property.id()));
    }
}

#[test]
fn every_property_stands_only_where_it_may() {
    for (property, bytes, allowed) in TABLE {
        let raw = with_method(property, bytes);
        for &at in EVERYWHERE {
            let expected = match property {
                _ if allowed.contains(&at) => None,
                Property::SubscriptionIdentifier(_) if at == At::PublishFromClient => {
                    Some(Kind::SubscriptionIdFromClient)
                }
                _ => Some(Kind::PropertyNotAllowed),
            };
            assert_eq!(kind(&raw, at), expected, "{property:?} at {at:?}");
        }
    }
}

#[test]
fn only_some_properties_may_be_repeated() {
    for (property, bytes, allowed) in TABLE {
        let raw = [with_method(property, bytes), bytes.to_vec()].concat();
        for &at in allowed {
            let repeatable = match property {
                Property::UserProperty(..) => true,
                Property::SubscriptionIdentifier(_) => at == At::PublishFromServer,
                _ => false,
            };
            let expected = (!repeatable).then_some(Kind::DuplicateProperty);
            assert_eq!(kind(&raw, at), expected, "{property:?} twice at {at:?}");
        }
    }
}

#[test]
fn a_property_cut_anywhere_is_an_error() {
    for (property, bytes, allowed) in TABLE {
        for len in 1..bytes.len() {
            assert_eq!(
                kind(&bytes[..len], allowed[0]),
                Some(Kind::Truncated),
                "{property:?} to {len}"
            );
            assert_eq!(Properties::from_validated(&bytes[..len]).iter().count(), 0);
        }
    }
}

#[test]
fn unknown_identifiers_are_errors() {
    for id in 0..=u8::MAX {
        if TABLE.iter().any(|(property, ..)| property.id() == id) {
            continue;
        }
        let raw = [id, 0, 0, 0, 0];
        assert_eq!(
            kind(&raw, At::Connect),
            Some(Kind::UnknownProperty),
            "{id:#04x}"
        );
        assert_eq!(Properties::from_validated(&raw).iter().count(), 0);
    }
}

#[test]
fn values_out_of_range_are_errors() {
    let cases: &[(&[u8], At, Kind)] = &[
        (b"\x01\x02", At::PublishFromClient, Kind::PropertyOutOfRange),
        (b"\x17\x02", At::Connect, Kind::PropertyOutOfRange),
        (b"\x19\xff", At::Connect, Kind::PropertyOutOfRange),
        (b"\x24\x02", At::ConnAck, Kind::PropertyOutOfRange),
        (b"\x25\x02", At::ConnAck, Kind::PropertyOutOfRange),
        (b"\x28\x02", At::ConnAck, Kind::PropertyOutOfRange),
        (b"\x29\x02", At::ConnAck, Kind::PropertyOutOfRange),
        (b"\x2a\x02", At::ConnAck, Kind::PropertyOutOfRange),
        (b"\x21\0\0", At::Connect, Kind::PropertyOutOfRange),
        (b"\x27\0\0\0\0", At::Connect, Kind::PropertyOutOfRange),
        (b"\x0b\0", At::Subscribe, Kind::PropertyOutOfRange),
        (b"\x0b\x80\0", At::Subscribe, Kind::LengthNotMinimal),
        (
            b"\x0b\xff\xff\xff\xff\x01",
            At::Subscribe,
            Kind::LengthTooLong,
        ),
        (b"\x23\0\0", At::PublishFromClient, Kind::ZeroTopicAlias),
        (
            b"\x08\0\0",
            At::PublishFromClient,
            Kind::InvalidResponseTopic,
        ),
        (
            b"\x08\0\x03a/+",
            At::PublishFromClient,
            Kind::InvalidResponseTopic,
        ),
        (b"\x08\0\x01#", At::Will, Kind::InvalidResponseTopic),
        (b"\x16\0\x01x", At::Auth, Kind::AuthDataWithoutMethod),
        (b"\x16\0\x01x", At::Connect, Kind::AuthDataWithoutMethod),
    ];
    for &(raw, at, expected) in cases {
        assert_eq!(kind(raw, at), Some(expected), "{raw:02x?} at {at:?}");
    }
}

#[test]
fn every_text_is_checked() {
    let bad: [(&[u8], Kind); 5] = [
        (b"\xff", Kind::InvalidUtf8),
        (b"\xed\xa0\x80", Kind::InvalidUtf8),
        (b"\xc0\xaf", Kind::InvalidUtf8),
        (b"\xf4\x90\x80\x80", Kind::InvalidUtf8),
        (b"a\0", Kind::NulCharacter),
    ];
    let texts: [(u8, At); 7] = [
        (0x03, At::PublishFromClient),
        (0x08, At::Will),
        (0x12, At::ConnAck),
        (0x15, At::Auth),
        (0x1a, At::ConnAck),
        (0x1c, At::ConnAck),
        (0x1f, At::PubAck),
    ];
    for (text, expected) in bad {
        let field = [&[0, text.len() as u8], text].concat();
        for (id, at) in texts {
            assert_eq!(
                kind(&[&[id], &field[..]].concat(), at),
                Some(expected),
                "{id:#04x} {text:02x?}"
            );
        }
        let key = [b"\x26", &field[..], b"\0\x01v"].concat();
        let value = [b"\x26\0\x01k", &field[..]].concat();
        assert_eq!(kind(&key, At::Connect), Some(expected));
        assert_eq!(kind(&value, At::Connect), Some(expected));
    }
}

#[test]
fn thousands_of_user_properties_are_read() {
    let mut buf = PropertiesBuf::new();
    let key = "k".repeat(65_535);
    buf.push(Property::UserProperty(&key, "long"));
    for _ in 0..5_000 {
        buf.push(Property::UserProperty("k", "v"));
    }
    let properties = Properties::parse(buf.as_properties().raw(), At::PublishFromClient).unwrap();
    assert_eq!(properties.user_properties().count(), 5_001);
    assert_eq!(
        properties.user_properties().next(),
        Some((&key[..], "long"))
    );
}

#[test]
fn getters_find_their_property_among_all() {
    let mut buf = PropertiesBuf::new();
    for (property, ..) in TABLE {
        buf.push(property);
    }
    let all = buf.as_properties();
    assert_eq!(all.payload_format_indicator(), Some(1));
    assert_eq!(all.message_expiry_interval(), Some(0x0102_0304));
    assert_eq!(all.content_type(), Some("t"));
    assert_eq!(all.response_topic(), Some("r/t"));
    assert_eq!(all.correlation_data(), Some(&b"\0\xff"[..]));
    assert_eq!(all.subscription_identifier(), Some(268_435_455));
    assert_eq!(all.session_expiry_interval(), Some(u32::MAX));
    assert_eq!(all.assigned_client_identifier(), Some("id"));
    assert_eq!(all.server_keep_alive(), Some(0x0102));
    assert_eq!(all.authentication_method(), Some("M"));
    assert_eq!(all.authentication_data(), Some(&b"\x80"[..]));
    assert_eq!(all.request_problem_information(), Some(0));
    assert_eq!(all.will_delay_interval(), Some(5));
    assert_eq!(all.request_response_information(), Some(1));
    assert_eq!(all.response_information(), Some("i"));
    assert_eq!(all.server_reference(), Some("h"));
    assert_eq!(all.reason_string(), Some("why"));
    assert_eq!(all.receive_maximum(), Some(1));
    assert_eq!(all.topic_alias_maximum(), Some(0));
    assert_eq!(all.topic_alias(), Some(65_535));
    assert_eq!(all.maximum_qos(), Some(1));
    assert_eq!(all.retain_available(), Some(0));
    assert_eq!(all.maximum_packet_size(), Some(1));
    assert_eq!(all.wildcard_subscription_available(), Some(0));
    assert_eq!(all.subscription_identifier_available(), Some(1));
    assert_eq!(all.shared_subscription_available(), Some(0));
    assert_eq!(Properties::EMPTY.topic_alias(), None);
    assert!(all.user_properties().eq([("k", "")]));
    assert!(all.subscription_identifiers().eq([268_435_455]));
}

#[test]
fn a_forwarder_keeps_order_and_drops_what_it_must() {
    let mut received = PropertiesBuf::new();
    received.push(Property::UserProperty("a", "1"));
    received.push(Property::TopicAlias(3));
    received.push(Property::UserProperty("b", "2"));
    let mut sent = PropertiesBuf::new();
    sent.extend_if(received.as_properties(), |id| {
        id != property_id::TOPIC_ALIAS
    });
    sent.extend(Properties::from_validated(b"\x0b\x01"));
    let expected = [
        Property::UserProperty("a", "1"),
        Property::UserProperty("b", "2"),
        Property::SubscriptionIdentifier(1),
    ];
    assert!(sent.as_properties().iter().eq(expected));
    sent.clear();
    assert!(sent.is_empty());
}

#[test]
fn values_the_wire_cannot_hold_are_left_out() {
    let long = "x".repeat(65_536);
    let mut buf = PropertiesBuf::new();
    for property in [
        Property::ReasonString(&long),
        Property::CorrelationData(long.as_bytes()),
        Property::UserProperty(&long, ""),
        Property::UserProperty("", &long),
        Property::SubscriptionIdentifier(268_435_456),
    ] {
        buf.push(property);
        assert!(buf.try_push(property).is_err());
        assert!(buf.is_empty(), "{:#04x}", property.id());
    }
}
