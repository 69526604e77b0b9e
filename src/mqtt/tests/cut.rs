//! Packets that end too early, and bytes that are no packet: an answer, never a panic.

use proptest::prelude::*;

use super::super::ProtocolVersion::{V5, V31, V311};
use super::super::Sender::{Client, Server};
use super::super::*;
use super::NO_LIMIT;
use super::corpus::corpus;

/// Reads everything a packet holds.
fn touch(packet: &Packet<'_>) {
    assert!(!format!("{packet:?}").is_empty());
}

#[test]
fn every_proper_prefix_wants_more() {
    for case in corpus() {
        for len in 0..case.bytes.len() {
            assert_eq!(
                frame_header(&case.bytes[..len], NO_LIMIT),
                Ok(None),
                "{} to {len}",
                case.name
            );
        }
        let header = frame_header(case.bytes, NO_LIMIT).unwrap().unwrap();
        let mut more = case.bytes.to_vec();
        more.extend_from_slice(&[0xff; 9]);
        assert_eq!(
            frame_header(&more, NO_LIMIT),
            Ok(Some(header)),
            "{}",
            case.name
        );
        assert_eq!(
            peek_header(&case.bytes[..header.header_len], NO_LIMIT),
            Ok(Some(header))
        );
    }
}

#[test]
fn a_body_cut_anywhere_is_an_error_or_a_shorter_packet() {
    for case in corpus() {
        let header = frame_header(case.bytes, NO_LIMIT).unwrap().unwrap();
        let body = &case.bytes[header.header_len..];
        for len in 0..body.len() {
            match decode_as(case.sender, case.version, header.first_byte, &body[..len]) {
                Ok(packet) => {
                    assert_ne!(packet, case.packet, "{} cut to {len}", case.name);
                    touch(&packet);
                }
                Err(error) => assert!(error.reason().is_error()),
            }
        }
    }
}

#[test]
fn connect_cut_anywhere_is_an_error_in_later_versions() {
    let connects = corpus()
        .into_iter()
        .filter(|case| case.packet.packet_type() == PacketType::Connect && case.version != V31);
    for case in connects {
        let body = &case.bytes[2..];
        for len in 0..body.len() {
            let error = decode(V311, 0x10, &body[..len]).expect_err("cut");
            assert_eq!(
                error.kind,
                DecodeErrorKind::Truncated,
                "{} cut to {len}: {error}",
                case.name
            );
        }
    }
}

#[test]
fn bytes_after_the_end_are_an_error_where_nothing_may_follow() {
    for case in corpus() {
        let header = frame_header(case.bytes, NO_LIMIT).unwrap().unwrap();
        let mut body = case.bytes[header.header_len..].to_vec();
        body.push(0xff);
        let result = decode_as(case.sender, case.version, header.first_byte, &body);
        match case.packet {
            // The payload goes to the end of the packet.
            Packet::Publish(_) => assert!(result.is_ok(), "{}", case.name),
            _ => assert!(result.is_err(), "{}: {result:?}", case.name),
        }
    }
}

proptest! {
    #[test]
    fn random_bodies_never_panic(first: u8, body in prop::collection::vec(any::<u8>(), 0..80)) {
        for version in [V31, V311, V5] {
            for sender in [Client, Server] {
                if let Ok(packet) = decode_as(sender, version, first, &body) {
                    touch(&packet);
                }
            }
            if let Ok(publish) = decode_publish(version, first, &body) {
                touch(&Packet::Publish(publish));
            }
        }
        let _ = frame_header(&body, 1000);
        let _ = connect_version(&body);
    }

    #[test]
    fn damaged_packets_never_panic(
        index: prop::sample::Index,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let cases = corpus();
        let case = index.get(&cases);
        let mut bytes = case.bytes.to_vec();
        for (at, value) in damage {
            *at.get_mut(&mut bytes) = value;
        }
        let body = bytes.get(2..).unwrap_or_default();
        if let Ok(packet) = decode_as(case.sender, case.version, bytes[0], body) {
            touch(&packet);
        }
    }

    #[test]
    fn iterating_unchecked_bytes_never_panics(raw in prop::collection::vec(any::<u8>(), 0..60)) {
        let properties = Properties::from_validated(&raw);
        prop_assert!(properties.iter_raw().map(|(_, bytes)| bytes.len()).sum::<usize>() <= raw.len());
        prop_assert!(properties.iter().count() <= raw.len());
        prop_assert!(SubscribeFilters::from_validated(&raw).iter().count() <= raw.len());
        prop_assert!(UnsubscribeFilters::from_validated(&raw).iter().count() <= raw.len());
    }
}

#[test]
fn the_topics_of_whole_publish_packets_are_read_as_far_as_they_can_be() {
    let mut all = Vec::new();
    let mut topics = Vec::new();
    for case in corpus() {
        all.extend_from_slice(case.bytes);
        if let Packet::Publish(publish) = &case.packet
            && !publish.topic.is_empty()
        {
            topics.push((all.len(), publish.topic));
        }
    }
    assert!(topics.len() > 1);
    for len in 0..=all.len() {
        let whole = topics.iter().filter(|(end, _)| *end <= len);
        let whole: Vec<_> = whole.map(|(_, topic)| *topic).collect();
        let read: Vec<_> = topics_in(&all[..len]).collect();
        assert_eq!(read, whole, "cut to {len}");
    }
    // Behind what is no packet nothing is read, nor from a topic that is longer than its packet or no text.
    for broken in [
        &[0x00, 0x00][..],
        &[0x30, 0xff, 0xff, 0xff, 0xff],
        &[0x30, 0x01, 0x00],
        &[0x30, 0x02, 0x00, 0x01],
        &[0x30, 0x03, 0x00, 0x01, 0xff],
    ] {
        let publish = [0x30, 0x03, 0x00, 0x01, b't'];
        let bytes = [&publish, broken, &publish].concat();
        assert_eq!(topics_in(&bytes).collect::<Vec<_>>(), ["t"], "{broken:?}");
    }
}
