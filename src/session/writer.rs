//! How PUBLISH packets are written to a client: in its version, within its limits, with its topic aliases.

use std::{ops::Range, time::Instant};

use bytes::BytesMut;

use super::{
    Delivery,
    alias::{OutgoingAliases, TopicAs},
    to_remote::ToRemote,
};
use crate::{
    mqtt::{
        AckType, Batch, MessageRef, PacketId, Properties, PropertiesBuf, Property, ProtocolVersion,
        Publish, QoS, ReasonCode, encode_ack, encode_publish, hops, publish_len,
    },
    stats::DropReason,
};

/// Where and how PUBLISH packets are written while a client is connected.
#[derive(Debug)]
pub struct Writer<'a> {
    /// The connection's output.
    pub wire: &'a mut BytesMut,
    /// The client's.
    pub version: ProtocolVersion,
    /// Largest packet that the client takes, in bytes `[MQTT-3.1.2-24]`.
    pub max_packet_size: u32,
    /// Most unacknowledged QoS 1 and 2 messages `[MQTT-3.3.4-9]`.
    pub window: u16,
    /// Aliases that the client allows, if any.
    pub aliases: Option<&'a mut OutgoingAliases>,
    /// Set if the peer is another broker.
    pub broker: Option<Broker<'a>>,
}

/// Another broker as the peer.
#[derive(Debug)]
pub enum Broker<'a> {
    /// The remote of a bridge: what is changed in its messages.
    Remote(&'a mut ToRemote),
    /// A bridge of the broker with this identity, connected as a client with MQTT 3: it does not get what has been there.
    BridgeOf(&'a str),
    /// A bridge with MQTT 3 that has not said anything yet: the window is closed, and messages with QoS 0 do not wait.
    Silent,
}

/// What a PUBLISH to a client has beside the message.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) dup: bool,
    pub(super) packet_id: Option<PacketId>,
}

impl Writer<'_> {
    /// Writes an acknowledgement; one without properties is never too large.
    pub(super) fn acknowledge(&mut self, kind: AckType, id: PacketId, reason: ReasonCode) {
        encode_ack(kind, id, reason, self.version, self.wire);
    }

    /// The packets of `range`, where the client gets them as they came.
    pub(super) fn verbatim<'b>(
        &self,
        batch: &'b Batch,
        range: &Range<usize>,
        delivery: &Delivery,
    ) -> Option<&'b [u8]> {
        let is_unchanged =
            delivery.subscription_ids.is_none() && self.aliases.is_none() && self.broker.is_none();
        let bytes = || batch.verbatim(range, self.version, self.max_packet_size);
        is_unchanged.then(bytes).flatten()
    }

    /// The highest QoS that the peer takes.
    pub(super) fn max_qos(&self) -> QoS {
        match &self.broker {
            Some(Broker::Remote(remote)) => remote.max_qos,
            Some(Broker::BridgeOf(_) | Broker::Silent) | None => QoS::ExactlyOnce,
        }
    }

    /// Writes one PUBLISH.
    ///
    /// # Errors
    /// With the reason why the client does not get it; nothing is written then.
    pub(super) fn write(
        &mut self,
        message: &MessageRef<'_>,
        head: Head,
        subscription_ids: &[u32],
        now: Instant,
    ) -> Result<(), DropReason> {
        let mut buffer = PropertiesBuf::default();
        let properties = match self.version.is_v5() {
            true => message.forwarded_properties(subscription_ids, now, &mut buffer),
            false => Properties::EMPTY,
        };
        let mut marked = PropertiesBuf::default();
        let (mut topic, mut retain, mut properties) = (message.topic, head.retain, properties);
        match &mut self.broker {
            Some(Broker::Remote(remote)) => {
                if self.version.is_v5() {
                    hops::mark(properties, &remote.own_id, &mut marked);
                    properties = marked.as_properties();
                }
                (topic, retain) = remote.change(message, head)?;
            }
            Some(Broker::BridgeOf(id)) if hops::has_been(message.properties, id) => {
                return Err(DropReason::Loop);
            }
            Some(Broker::Silent) => return Err(DropReason::Offline),
            Some(Broker::BridgeOf(_)) | None => {}
        }
        let mut publish = Publish {
            dup: head.dup,
            qos: head.qos,
            retain,
            topic,
            packet_id: head.packet_id,
            properties,
            payload: message.payload,
        };
        // A topic alias adds three bytes where it is set, and perhaps one to each of the two lengths in front of it.
        let room = self.max_packet_size.saturating_sub(5) as usize;
        let length = publish_len(&publish, self.version);
        if length > self.max_packet_size as usize {
            return Err(DropReason::TooLarge);
        }
        let mut aliased = PropertiesBuf::default();
        if let Some(aliases) = self.aliases.as_deref_mut()
            && length <= room
        {
            let named = aliases.name(publish.topic);
            if let TopicAs::NameAndAlias(alias) | TopicAs::Alias(alias) = named {
                aliased.extend(publish.properties);
                aliased.push(Property::TopicAlias(alias));
                publish.properties = aliased.as_properties();
            }
            if let TopicAs::Alias(_) = named {
                publish.topic = "";
            }
        }
        encode_publish(&publish, self.version, self.wire).map_err(|_| DropReason::TooLarge)
    }
}
