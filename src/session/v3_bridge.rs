//! A client that is a bridge of another broker and speaks MQTT 3. As its messages cannot carry marks, it says once which
//! broker it is of ([`hops::INTRODUCTION`]), and the marks are made here.

use std::{sync::Arc, time::Instant};

use bytes::BytesMut;

use crate::mqtt::{
    Packet, Properties, PropertiesBuf, ProtocolVersion, ReasonCode, SubAck, Subscribe, encode, hops,
};

/// See the module's description.
#[derive(Debug, Default)]
pub struct V3Bridge {
    /// The identity of this broker, which it is told.
    own_id: Option<Arc<str>>,
    /// Where it comes from, once it has said so.
    of: Option<Arc<BridgeOf>>,
    /// Nothing has come from it since CONNECT. What waits in its session may have been at its broker: it is held back until
    /// the bridge has had its chance to say which one that is, with its first packet, or until then.
    silent_until: Option<Instant>,
}

/// The broker that a bridge is of.
#[derive(Debug)]
pub struct BridgeOf {
    /// Its identity.
    id: Box<str>,
    /// The mark in what comes from it.
    mark: PropertiesBuf,
}

impl BridgeOf {
    fn new(id: &str) -> Self {
        let mut mark = PropertiesBuf::default();
        hops::mark(Properties::EMPTY, id, &mut mark);
        Self {
            id: id.into(),
            mark,
        }
    }

    /// Its identity.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The properties of its messages, which say that they have been there.
    pub fn mark(&self) -> Properties<'_> {
        self.mark.as_properties()
    }
}

impl V3Bridge {
    /// One that has just come in.
    pub(super) fn new(own_id: Option<Arc<str>>, silent_until: Option<Instant>) -> Self {
        Self {
            own_id,
            of: None,
            silent_until,
        }
    }

    /// Until when messages for it are held back, if they are.
    pub(super) fn silent_until(&self) -> Option<Instant> {
        self.silent_until
    }

    /// It has said something, or had the time to; false when it had before.
    pub(super) fn end_silence(&mut self) -> bool {
        self.silent_until.take().is_some()
    }

    /// The broker that it is of, if it has said so.
    pub fn of(&self) -> Option<&Arc<BridgeOf>> {
        self.of.as_ref()
    }

    /// Takes a SUBSCRIBE by which it says who it is, and answers it; false when this is another one.
    pub(super) fn introduce(
        &mut self,
        subscribe: &Subscribe<'_>,
        version: ProtocolVersion,
        wire: &mut BytesMut,
    ) -> bool {
        let mut filters = subscribe.filters();
        let (Some((topic, _)), None) = (filters.next(), filters.next()) else {
            return false;
        };
        let id = topic.strip_prefix(hops::INTRODUCTION);
        let Some(id) = id.filter(|id| hops::is_id(id)) else {
            return false;
        };
        // A bridge of this broker to itself is a client like others.
        if self.own_id.as_deref() != Some(id) {
            self.of = Some(Arc::new(BridgeOf::new(id)));
        }
        if let Some(own_id) = &self.own_id {
            let answer = hops::answer(topic, own_id);
            // Both are short.
            let _ = encode(&Packet::Publish(answer), version, wire);
        }
        let answer = SubAck {
            packet_id: subscribe.packet_id,
            properties: Properties::EMPTY,
            reasons: &[ReasonCode::Success.as_u8()],
        };
        let _ = encode(&Packet::SubAck(answer), version, wire);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::{PacketId, QoS, SubscribeFiltersBuf, SubscribeOptions};

    #[test]
    fn a_bridge_says_which_broker_it_is_of_and_is_told_of_this_one() {
        let v311 = ProtocolVersion::V311;
        for (filters, of, is_one) in [
            (&["$nanomq/bridge/b1"][..], Some("b1"), true),
            // A bridge of this broker.
            (&["$nanomq/bridge/a1"], None, true),
            (&["$nanomq/bridge/"], None, false),
            (&["$nanomq/bridge/#"], None, false),
            (&["$nanomq/bridge/b1", "t"], None, false),
            (&["t"], None, false),
        ] {
            for own_id in [None, Some("a1")] {
                let mut asked = SubscribeFiltersBuf::default();
                for filter in filters {
                    let _ = asked.push(filter, SubscribeOptions::with_qos(QoS::AtMostOnce));
                }
                let subscribe = Subscribe {
                    packet_id: PacketId::MIN,
                    properties: Properties::EMPTY,
                    filters: asked.as_filters(),
                };
                let mut bridge = V3Bridge::new(own_id.map(Arc::from), None);
                let mut wire = BytesMut::new();
                assert_eq!(bridge.introduce(&subscribe, v311, &mut wire), is_one);
                if own_id.is_some() || filters != ["$nanomq/bridge/a1"] {
                    assert_eq!(bridge.of().map(|of| of.id()), of, "{filters:?}");
                }
                let mut answer = Vec::new();
                if is_one && own_id.is_some() {
                    answer.extend([0x30, 21, 0, 17]);
                    answer.extend(filters[0].as_bytes());
                    answer.extend(b"a1");
                }
                if is_one {
                    answer.extend([0x90, 3, 0, 1, 0]);
                }
                assert_eq!(wire, answer, "{filters:?}");
            }
        }
        assert!(hops::has_been(BridgeOf::new("b1").mark(), "b1"));
    }
}
