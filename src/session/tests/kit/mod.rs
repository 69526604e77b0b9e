//! What the tests share: a broker's side without sockets, packets and messages, and a client.

mod broker;
mod client;
mod seen;

pub(super) use broker::Broker;
pub(super) use client::{Client, Reply, drive_bounded};
pub(super) use seen::{Seen, SeenPublish, read_all};

use seen::read_one;

use std::{sync::Arc, time::Instant};

use bytes::{Bytes, BytesMut};

use crate::{
    mqtt::{
        Batch, BatchBuilder, Connect, Packet, PacketId, Properties, PropertiesBuf, Property,
        ProtocolVersion, Publish, QoS, decode_publish, encode, frame_header,
    },
    session::Delivery,
};

pub(super) use ProtocolVersion::{V5, V31, V311};
pub(super) use QoS::{AtLeastOnce as Q1, AtMostOnce as Q0, ExactlyOnce as Q2};

pub(super) const VERSIONS: [ProtocolVersion; 3] = [V31, V311, V5];
pub(super) const EVERY_QOS: [QoS; 3] = [Q0, Q1, Q2];

pub(super) fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("not zero")
}

/// Properties that live as long as the test.
pub(super) fn properties(list: &[Property<'_>]) -> Properties<'static> {
    let mut buffer = PropertiesBuf::new();
    for property in list {
        buffer.try_push(*property).expect("a property that fits");
    }
    Box::leak(Box::new(buffer)).as_properties()
}

/// A CONNECT that nothing speaks against; the session is to be resumed.
pub(super) fn connect(version: ProtocolVersion) -> Connect<'static> {
    Connect {
        version,
        clean_start: false,
        keep_alive: 60,
        client_id: "client",
        username: None,
        password: None,
        will: None,
        properties: Properties::EMPTY,
    }
}

/// A PUBLISH without properties; its identifier is 1 where it has one.
pub(super) fn message<'a>(topic: &'a str, payload: &'a [u8], qos: QoS) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id: (qos != Q0).then_some(PacketId::MIN),
        properties: Properties::EMPTY,
        payload,
    }
}

/// A batch as a connection builds it: the packets lie behind one another in one chunk.
pub(super) fn batch(messages: &[Publish<'_>], version: ProtocolVersion, now: Instant) -> Batch {
    let mut wire = BytesMut::new();
    for publish in messages {
        encode(&Packet::Publish(*publish), version, &mut wire).expect("a message that fits");
    }
    let chunk: Bytes = wire.freeze();
    let mut builder = BatchBuilder::default();
    let mut rest: &[u8] = &chunk;
    while !rest.is_empty() {
        let header = frame_header(rest, u32::MAX)
            .unwrap()
            .expect("a whole packet");
        let (packet, behind) = rest.split_at(header.packet_len());
        let publish = decode_publish(version, header.first_byte, &packet[header.header_len..]);
        builder.push(&chunk, packet, &publish.expect("a valid PUBLISH"), version);
        rest = behind;
    }
    builder.finish(now)
}

/// A plain subscription.
pub(super) fn delivery(qos: QoS) -> Delivery {
    Delivery {
        qos,
        retain_as_published: false,
        subscription_ids: None,
        group: None,
        places: None,
    }
}

/// A shared subscription.
pub(super) fn shared(group: &str, qos: QoS) -> Delivery {
    Delivery {
        group: Some(Arc::from(group)),
        ..delivery(qos)
    }
}
