//! SUBSCRIBE and UNSUBSCRIBE.

use super::kit::*;
use crate::{
    config::Mqtt,
    mqtt::{
        Ack, Connect, Disconnect, Packet, PacketType, Properties, Property, ProtocolVersion, QoS,
        ReasonCode, RetainHandling, Subscribe, SubscribeFiltersBuf, SubscribeOptions, Unsubscribe,
        UnsubscribeFiltersBuf,
    },
    session::{Granted, Step, SubscribeJob, Violation},
};

fn subscribe(
    broker: &mut Broker,
    list: &[Property<'_>],
    filters: &[(&str, SubscribeOptions)],
) -> Result<SubscribeJob, Violation> {
    let mut buffer = SubscribeFiltersBuf::default();
    for (filter, options) in filters {
        buffer.push(filter, *options).unwrap();
    }
    let packet = Subscribe {
        packet_id: id(9),
        properties: properties(list),
        filters: buffer.as_filters(),
    };
    match broker.handle(&Packet::Subscribe(packet))? {
        Step::Subscribe(job) => Ok(job),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_filter_is_granted_or_refused() {
    use ReasonCode as R;
    type Case<'a> = (&'a str, QoS, &'a [Property<'a>], R, fn(&mut Mqtt));
    let with_id: &[_] = &[Property::SubscriptionIdentifier(3)];
    let cases: &[Case<'_>] = &[
        ("a/b", Q0, &[], R::Success, |_| {}),
        ("a/b", Q1, &[], R::GrantedQoS1, |_| {}),
        ("a/b", Q2, &[], R::GrantedQoS2, |_| {}),
        ("a/b", Q2, &[], R::GrantedQoS1, |l| l.max_qos = 1),
        ("a/b", Q2, with_id, R::GrantedQoS2, |_| {}),
        (
            "a/b",
            Q2,
            with_id,
            R::SubscriptionIdentifiersNotSupported,
            |l| {
                l.subscription_identifier_available = false;
            },
        ),
        ("#", Q0, &[], R::Success, |_| {}),
        ("+/b", Q0, &[], R::WildcardSubscriptionsNotSupported, |l| {
            l.wildcard_subscription_available = false;
        }),
        ("a/b", Q0, &[], R::Success, |l| {
            l.wildcard_subscription_available = false
        }),
        ("$share/g/a", Q1, &[], R::GrantedQoS1, |_| {}),
        (
            "$share/g/a",
            Q1,
            &[],
            R::SharedSubscriptionsNotSupported,
            |l| {
                l.shared_subscription_available = false;
            },
        ),
        ("a/#/b", Q0, &[], R::TopicFilterInvalid, |_| {}),
        ("a+", Q0, &[], R::TopicFilterInvalid, |_| {}),
        ("$share/g", Q0, &[], R::TopicFilterInvalid, |_| {}),
        ("12345", Q0, &[], R::Success, |l| l.max_topic_length = 5),
        ("123456", Q0, &[], R::TopicFilterInvalid, |l| {
            l.max_topic_length = 5
        }),
        ("a/b", Q0, &[], R::Success, |l| l.max_topic_levels = 2),
        ("a/b/c", Q0, &[], R::TopicFilterInvalid, |l| {
            l.max_topic_levels = 2
        }),
    ];
    for (filter, qos, list, expected, change) in cases {
        let mut limits = Mqtt::default();
        change(&mut limits);
        let mut broker = Broker::connected(V5, limits);
        let asked = [(*filter, SubscribeOptions::with_qos(*qos))];
        let job = subscribe(&mut broker, list, &asked).unwrap();
        let answers: Vec<_> = job
            .requests()
            .map(|request| Granted {
                code: R::granted(request.options.qos),
                is_new: true,
            })
            .collect();
        assert_eq!(answers.is_empty(), expected.is_error(), "{filter}");
        let wire = &mut broker.wire.split();
        broker.channel_mut().subscribed(job, &answers, wire);
        let seen = [Seen::Codes(PacketType::SubAck, 9, vec![expected.as_u8()])];
        assert_eq!(read_all(V5, wire), seen, "{filter}");
    }
}

#[test]
fn codes_stand_in_the_order_of_the_packet() {
    for (version, failure) in [(V5, 0x8F), (V311, 0x80)] {
        let mut broker = Broker::connected(version, Mqtt::default());
        let options = SubscribeOptions::with_qos(Q1);
        let asked = [
            ("a", options),
            ("a#", options),
            ("b", options),
            ("c", options),
        ];
        let job = subscribe(&mut broker, &[], &asked).unwrap();
        let filters: Vec<_> = job.requests().map(|request| &*request.filter).collect();
        assert_eq!(filters, ["a", "b", "c"]);
        let answer = |code| Granted { code, is_new: true };
        let answers = [
            ReasonCode::GrantedQoS1,
            ReasonCode::QuotaExceeded,
            ReasonCode::GrantedQoS1,
        ]
        .map(answer);
        let mut wire = bytes::BytesMut::new();
        let wanting = broker.channel_mut().subscribed(job, &answers, &mut wire);
        let quota = if version == V5 { 0x97 } else { 0x80 };
        let seen = [Seen::Codes(
            PacketType::SubAck,
            9,
            vec![1, failure, quota, 1],
        )];
        assert_eq!(read_all(version, &wire), seen);
        let wanting: Vec<_> = wanting.iter().map(|request| &*request.filter).collect();
        assert_eq!(wanting, ["a", "c"]);
    }
}

#[test]
fn retained_messages_are_sent_as_asked() {
    use RetainHandling::{Never, SendAlways, SendIfNew};
    for (filter, retain_handling, is_new, expected) in [
        ("a", SendAlways, true, true),
        ("a", SendAlways, false, true),
        ("a", SendIfNew, true, true),
        ("a", SendIfNew, false, false),
        ("a", Never, true, false),
        ("$share/g/a", SendAlways, true, false),
    ] {
        let mut broker = Broker::connected(V5, Mqtt::default());
        let options = SubscribeOptions {
            retain_handling,
            ..SubscribeOptions::with_qos(Q1)
        };
        let job = subscribe(&mut broker, &[], &[(filter, options)]).unwrap();
        let answer = Granted {
            code: ReasonCode::GrantedQoS1,
            is_new,
        };
        let mut wire = bytes::BytesMut::new();
        let wanting = broker.channel_mut().subscribed(job, &[answer], &mut wire);
        assert_eq!(
            !wanting.is_empty(),
            expected,
            "{filter} {retain_handling:?} {is_new}"
        );
    }
}

#[test]
fn unsuback_tells_what_existed() {
    for (version, codes) in [(V5, vec![0, 0x11]), (V311, vec![])] as [(ProtocolVersion, _); 2] {
        let mut broker = Broker::connected(version, Mqtt::default());
        let mut buffer = UnsubscribeFiltersBuf::default();
        for filter in ["a", "b"] {
            buffer.push(filter).unwrap();
        }
        let packet = Unsubscribe {
            packet_id: id(9),
            properties: properties(&[]),
            filters: buffer.as_filters(),
        };
        let Step::Unsubscribe(job) = broker.handle(&Packet::Unsubscribe(packet)).unwrap() else {
            panic!("not a job");
        };
        assert_eq!(job.filters, ["a".into(), "b".into()]);
        let mut wire = bytes::BytesMut::new();
        broker
            .channel_mut()
            .unsubscribed(&job, &[true, false], &mut wire);
        assert_eq!(
            read_all(version, &wire),
            [Seen::Codes(PacketType::UnsubAck, 9, codes)]
        );
    }
}

/// A connected v5 client with a maximum packet size of `most` bytes, less than what its requests may be answered with.
fn taking(most: u32, limits: Mqtt) -> Broker {
    let mut broker = Broker::new(limits);
    broker.connect(&Connect {
        properties: properties(&[Property::MaximumPacketSize(most)]),
        ..connect(V5)
    });
    broker
}

#[test]
fn a_request_whose_answer_the_client_cannot_take_is_refused() {
    let most = 100;
    // Two bytes of fixed header, two of identifier, one of property length.
    let fits = most as usize - 5;
    for (filters, expected) in [(fits, None), (fits + 1, Some(Violation::AnswerTooLarge))] {
        let options = SubscribeOptions::with_qos(Q0);
        let asked = vec![("a", options); filters];
        let mut broker = taking(most, Mqtt::default());
        let subscribed = subscribe(&mut broker, &[], &asked);
        assert_eq!(subscribed.err(), expected, "SUBSCRIBE with {filters}");
        let mut buffer = UnsubscribeFiltersBuf::default();
        for _ in 0..filters {
            buffer.push("a").unwrap();
        }
        let unsubscribe = Packet::Unsubscribe(Unsubscribe {
            packet_id: id(9),
            properties: properties(&[]),
            filters: buffer.as_filters(),
        });
        let unsubscribed = taking(most, Mqtt::default()).handle(&unsubscribe);
        assert_eq!(unsubscribed.err(), expected, "UNSUBSCRIBE with {filters}");
    }
}

#[test]
fn properties_of_every_packet_are_counted() {
    fn ack(properties: Properties<'static>) -> Ack<'static> {
        Ack {
            packet_id: id(1),
            reason: ReasonCode::Success,
            properties,
        }
    }
    let user = [Property::UserProperty("a", "b"); 2];
    let packets: &[fn(Properties<'static>) -> Packet<'static>] = &[
        |properties| Packet::PubAck(ack(properties)),
        |properties| Packet::PubRec(ack(properties)),
        |properties| Packet::PubRel(ack(properties)),
        |properties| Packet::PubComp(ack(properties)),
        |properties| {
            Packet::Disconnect(Disconnect {
                reason: ReasonCode::Success,
                properties,
            })
        },
    ];
    for packet in packets {
        for (count, expected) in [(1, None), (2, Some(Violation::TooManyProperties))] {
            let limits = Mqtt {
                max_properties: 1,
                ..Mqtt::default()
            };
            let mut broker = Broker::connected(V5, limits);
            let packet = packet(properties(&user[..count]));
            assert_eq!(broker.handle(&packet).err(), expected, "{packet:?}");
        }
    }
    let mut broker = Broker::connected(
        V5,
        Mqtt {
            max_properties: 1,
            ..Mqtt::default()
        },
    );
    let options = SubscribeOptions::with_qos(Q0);
    assert!(subscribe(&mut broker, &user[..1], &[("a", options)]).is_ok());
    let refused = subscribe(&mut broker, &user, &[("a", options)]);
    assert_eq!(refused.unwrap_err(), Violation::TooManyProperties);
}
