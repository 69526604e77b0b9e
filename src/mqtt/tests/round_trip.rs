//! Any packet that can be written is read back as it was, whole or cut.

use proptest::prelude::*;
use proptest::sample::select;

use super::super::PropertyLocation as At;
use super::super::ProtocolVersion::{V5, V31, V311};
use super::super::Sender::{Client, Server};
use super::super::*;
use super::{NO_LIMIT, read, written};

/// Any value of any property, told by a number.
type Seed = (u8, u32, String, String);

fn text() -> impl Strategy<Value = String> {
    "[^\0]{0,12}"
}

fn topic() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9/$ é]{1,16}"
}

fn seeds() -> impl Strategy<Value = Vec<Seed>> {
    prop::collection::vec((0_u8..27, any::<u32>(), text(), topic()), 0..8)
}

fn version() -> impl Strategy<Value = ProtocolVersion> {
    select(vec![V31, V311, V5])
}

fn qos() -> impl Strategy<Value = QoS> {
    (0_u8..3).prop_map(|bits| QoS::from_bits(bits).unwrap())
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(super::id)
}

fn options() -> impl Strategy<Value = SubscribeOptions> {
    select(
        (0..=u8::MAX)
            .filter_map(SubscribeOptions::from_bits)
            .collect::<Vec<_>>(),
    )
}

fn codes(packet: PacketType, sender: Sender) -> Vec<ReasonCode> {
    ReasonCode::ALL
        .iter()
        .copied()
        .filter(|code| code.is_allowed(packet, sender))
        .collect()
}

/// Those of the seeds that may stand there, in order; none before v5.
fn properties(seeds: &[Seed], at: At, version: ProtocolVersion) -> PropertiesBuf {
    let mut buf = PropertiesBuf::new();
    for seed in seeds.iter().filter(|_| version.is_v5()) {
        let mut longer = buf.clone();
        longer.push(property(seed));
        if Properties::parse(longer.as_properties().raw(), at).is_ok() {
            buf = longer;
        }
    }
    buf
}

fn property((which, number, text, topic): &Seed) -> Property<'_> {
    let number = *number;
    let (flag, short) = ((number & 1) as u8, number as u16);
    match which {
        0 => Property::PayloadFormatIndicator(flag),
        1 => Property::MessageExpiryInterval(number),
        2 => Property::ContentType(text),
        3 => Property::ResponseTopic(topic),
        4 => Property::CorrelationData(text.as_bytes()),
        5 => Property::SubscriptionIdentifier(number >> (number % 29)),
        6 => Property::SessionExpiryInterval(number),
        7 => Property::AssignedClientIdentifier(text),
        8 => Property::ServerKeepAlive(short),
        9 => Property::AuthenticationMethod(text),
        10 => Property::AuthenticationData(text.as_bytes()),
        11 => Property::RequestProblemInformation(flag),
        12 => Property::WillDelayInterval(number),
        13 => Property::RequestResponseInformation(flag),
        14 => Property::ResponseInformation(text),
        15 => Property::ServerReference(text),
        16 => Property::ReasonString(text),
        17 => Property::ReceiveMaximum(short),
        18 => Property::TopicAliasMaximum(short),
        19 => Property::TopicAlias(short),
        20 => Property::MaximumQoS(flag),
        21 => Property::RetainAvailable(flag),
        22 => Property::MaximumPacketSize(number),
        23 => Property::WildcardSubscriptionAvailable(flag),
        24 => Property::SubscriptionIdentifierAvailable(flag),
        25 => Property::SharedSubscriptionAvailable(flag),
        _ => Property::UserProperty(text, topic),
    }
}

fn check(
    sender: Sender,
    version: ProtocolVersion,
    packet: Packet<'_>,
) -> Result<(), TestCaseError> {
    let bytes = written(&packet, version);
    prop_assert_eq!(packet_len(&packet, version), bytes.len());
    prop_assert_eq!(read(sender, version, &bytes), Ok(packet));
    let header = frame_header(&bytes, NO_LIMIT).unwrap().unwrap();
    for len in 0..bytes.len() {
        prop_assert_eq!(frame_header(&bytes[..len], NO_LIMIT), Ok(None));
        if let Some(body) = bytes[..len].get(header.header_len..) {
            let cut = decode_as(sender, version, header.first_byte, body);
            prop_assert_ne!(cut, Ok(packet));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn connect(
        version in version(),
        (clean_start, keep_alive, client_id) in (any::<bool>(), any::<u16>(), text()),
        (user, password) in (prop::option::of(text()), prop::option::of(prop::collection::vec(any::<u8>(), 0..9))),
        will in prop::option::of((topic(), prop::collection::vec(any::<u8>(), 0..9), qos(), any::<bool>(), seeds())),
        seeds in seeds(),
    ) {
        let connect_properties = properties(&seeds, At::Connect, version);
        let will_properties = will.as_ref().map(|will| properties(&will.4, At::Will, version));
        let will = will.as_ref().zip(will_properties.as_ref()).map(|(will, properties)| Will {
            topic: &will.0,
            payload: &will.1,
            qos: will.2,
            retain: will.3,
            properties: properties.as_properties(),
        });
        let username = user.as_deref();
        // Before v5 a password needs a user name.
        let password = password.as_deref().filter(|_| username.is_some() || version == V5);
        let packet = Packet::Connect(Connect {
            version,
            clean_start,
            keep_alive,
            client_id: &client_id,
            username,
            password,
            will,
            properties: connect_properties.as_properties(),
        });
        check(Client, version, packet)?;
    }

    #[test]
    fn connack(version in version(), session_present: bool, code: prop::sample::Index, seeds in seeds()) {
        let properties = properties(&seeds, At::ConnAck, version);
        let v3: Vec<_> = (0..6).filter_map(ReasonCode::from_v3_return_code).collect();
        let all = if version == V5 { codes(PacketType::ConnAck, Server) } else { v3 };
        let reason = *code.get(&all);
        let session_present = session_present && reason == ReasonCode::Success && version != V31;
        let properties = properties.as_properties();
        check(Server, version, Packet::ConnAck(ConnAck { session_present, reason, properties }))?;
    }

    #[test]
    fn publish(
        version in version(),
        (dup, qos, retain) in (any::<bool>(), qos(), any::<bool>()),
        (topic, packet_id) in (text(), packet_id()),
        payload in prop::collection::vec(any::<u8>(), 0..200),
        seeds in seeds(),
    ) {
        for (sender, at) in [(Client, At::PublishFromClient), (Server, At::PublishFromServer)] {
            let properties = properties(&seeds, at, version);
            let publish = Publish {
                dup: dup && qos != QoS::AtMostOnce,
                qos,
                retain,
                topic: &topic,
                packet_id: (qos != QoS::AtMostOnce).then_some(packet_id),
                properties: properties.as_properties(),
                payload: &payload,
            };
            prop_assert_eq!(publish_len(&publish, version), written(&Packet::Publish(publish), version).len());
            check(sender, version, Packet::Publish(publish))?;
        }
    }

    #[test]
    fn acknowledgements(version in version(), packet_id in packet_id(), code: prop::sample::Index, seeds in seeds()) {
        let ack = |packet_type, at| {
            let all = if version == V5 { codes(packet_type, Client) } else { vec![ReasonCode::Success] };
            (*code.get(&all), properties(&seeds, at, version))
        };
        for sender in [Client, Server] {
            let (reason, buf) = ack(PacketType::PubAck, At::PubAck);
            let body = Ack { packet_id, reason, properties: buf.as_properties() };
            check(sender, version, Packet::PubAck(body))?;
            check(sender, version, Packet::PubRec(body))?;
            let (reason, buf) = ack(PacketType::PubRel, At::PubRel);
            let body = Ack { packet_id, reason, properties: buf.as_properties() };
            check(sender, version, Packet::PubRel(body))?;
            check(sender, version, Packet::PubComp(body))?;
        }
    }

    #[test]
    fn subscribe(
        version in version(),
        packet_id in packet_id(),
        list in prop::collection::vec((text(), options()), 1..5),
        seeds in seeds(),
    ) {
        let subscribe_properties = properties(&seeds, At::Subscribe, version);
        let unsubscribe_properties = properties(&seeds, At::Unsubscribe, version);
        let mut filters = SubscribeFiltersBuf::default();
        let mut names = UnsubscribeFiltersBuf::default();
        for (filter, options) in &list {
            let options = if version == V5 { *options } else { SubscribeOptions::with_qos(options.qos) };
            filters.push(filter, options).unwrap();
            names.push(filter).unwrap();
        }
        check(Client, version, Packet::Subscribe(Subscribe {
            packet_id,
            properties: subscribe_properties.as_properties(),
            filters: filters.as_filters(),
        }))?;
        check(Client, version, Packet::Unsubscribe(Unsubscribe {
            packet_id,
            properties: unsubscribe_properties.as_properties(),
            filters: names.as_filters(),
        }))?;
    }

    #[test]
    fn suback(
        version in version(),
        packet_id in packet_id(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
        seeds in seeds(),
    ) {
        let buf = properties(&seeds, At::SubAck, version);
        let properties = buf.as_properties();
        let pick = |packet_type| {
            let all = codes(packet_type, Server);
            picks.iter().map(|index| index.get(&all).as_u8()).collect::<Vec<_>>()
        };
        let mut granted = pick(PacketType::SubAck);
        let mut removed = pick(PacketType::UnsubAck);
        if version != V5 {
            granted.iter_mut().for_each(|code| *code = (*code).min(0x80));
            removed.clear();
        }
        check(Server, version, Packet::SubAck(SubAck { packet_id, properties, reasons: &granted }))?;
        check(Server, version, Packet::UnsubAck(SubAck { packet_id, properties, reasons: &removed }))?;
    }

    #[test]
    fn disconnect_and_auth(code: prop::sample::Index, seeds in seeds()) {
        for (sender, at) in [(Client, At::DisconnectFromClient), (Server, At::DisconnectFromServer)] {
            let buf = properties(&seeds, at, V5);
            let reason = *code.get(&codes(PacketType::Disconnect, sender));
            let properties = buf.as_properties();
            check(sender, V5, Packet::Disconnect(Disconnect { reason, properties }))?;
        }
        for sender in [Client, Server] {
            let buf = properties(&seeds, At::Auth, V5);
            let reason = *code.get(&codes(PacketType::Auth, sender));
            let properties = buf.as_properties();
            check(sender, V5, Packet::Auth(Auth { reason, properties }))?;
        }
    }
}
