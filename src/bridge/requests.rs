//! What a bridge is subscribed to at its remote: SUBSCRIBE and UNSUBSCRIBE, and their answers.

use bytes::BytesMut;

use crate::{
    config::{BridgeConfig, BridgeSubscription},
    mqtt::{
        Packet, PacketId, Properties, PropertiesBuf, Property, ProtocolVersion, QoS, ReasonCode,
        RetainHandling, SubAck, Subscribe, SubscribeFiltersBuf, SubscribeOptions, Unsubscribe,
        UnsubscribeFiltersBuf, encode, hops, packet_len,
    },
};

/// Topic filters in one packet at most.
const FILTERS_MAX: usize = 64;

/// How packets are to be written for the remote.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Version.
    pub version: ProtocolVersion,
    /// Largest packet that it takes.
    pub max_packet_size: u32,
    /// Whether subscriptions may have an identifier.
    pub identifiers: bool,
}

/// The requests of one connection that are not answered.
#[derive(Debug, Default)]
pub struct Requests {
    waiting: Vec<(PacketId, Request)>,
}

#[derive(Debug)]
enum Request {
    /// By it the bridge says who it is.
    Introduction,
    Subscribe(Vec<BridgeSubscription>),
    Unsubscribe(Vec<String>),
}

/// What an answer says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// The remote has answered who the bridge is.
    pub introduced: bool,
    /// Subscriptions that hold now.
    pub granted: Vec<BridgeSubscription>,
    /// Filters that are not subscribed to any more.
    pub ended: Vec<String>,
    /// Filters that were refused, and why.
    pub refused: Vec<(String, ReasonCode)>,
}

impl Requests {
    /// Number of requests that wait for an answer, but for the introduction.
    pub fn len(&self) -> usize {
        let asked = |(_, request): &&(_, Request)| !matches!(request, Request::Introduction);
        self.waiting.iter().filter(asked).count()
    }

    /// True when all of those are answered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes by what the bridge says with MQTT 3 which broker it is of; see [`hops::INTRODUCTION`].
    pub fn introduce(
        &mut self,
        own_id: &str,
        form: Form,
        id: impl Fn(u16) -> PacketId,
        out: &mut BytesMut,
    ) {
        let mut filters = SubscribeFiltersBuf::default();
        // It is short.
        let _ = filters.push(
            &format!("{}{own_id}", hops::INTRODUCTION),
            SubscribeOptions::with_qos(QoS::AtMostOnce),
        );
        let packet_id = self.free(&id);
        let packet = Packet::Subscribe(Subscribe {
            packet_id,
            properties: Properties::EMPTY,
            filters: filters.as_filters(),
        });
        if write(&packet, form, out) {
            self.waiting.push((packet_id, Request::Introduction));
        }
    }

    /// Writes what subscribes to topics. `id` makes an identifier from the number of requests that wait. What cannot be
    /// written for the remote is told in the answer.
    pub fn subscribe(
        &mut self,
        config: &BridgeConfig,
        subscriptions: &[BridgeSubscription],
        form: Form,
        id: impl Fn(u16) -> PacketId,
        out: &mut BytesMut,
    ) -> Answered {
        let mut answered = Answered::default();
        for part in subscriptions.chunks(FILTERS_MAX) {
            let mut filters = SubscribeFiltersBuf::default();
            let mut properties = PropertiesBuf::default();
            if form.version.is_v5() {
                let said = &config.sub_properties;
                if said.identifier > 0 && form.identifiers {
                    properties.push(Property::SubscriptionIdentifier(said.identifier));
                }
                for (name, value) in &said.user_property {
                    properties.push(Property::UserProperty(name, value));
                }
            }
            for subscription in part {
                // What is longer than a filter can be is refused when the configuration is read.
                let _ = filters.push(
                    &subscription.remote_topic,
                    options(subscription, form.version),
                );
            }
            let packet_id = self.free(&id);
            let packet = Packet::Subscribe(Subscribe {
                packet_id,
                properties: properties.as_properties(),
                filters: filters.as_filters(),
            });
            if write(&packet, form, out) {
                let request = Request::Subscribe(part.to_vec());
                self.waiting.push((packet_id, request));
            } else {
                let refused = part.iter().map(|subscription| {
                    let filter = subscription.remote_topic.clone();
                    (filter, ReasonCode::PacketTooLarge)
                });
                answered.refused.extend(refused);
            }
        }
        answered
    }

    /// Writes what ends subscriptions.
    pub fn unsubscribe(
        &mut self,
        topics: &[String],
        form: Form,
        id: impl Fn(u16) -> PacketId,
        out: &mut BytesMut,
    ) {
        for part in topics.chunks(FILTERS_MAX) {
            let mut filters = UnsubscribeFiltersBuf::default();
            for topic in part {
                let _ = filters.push(topic);
            }
            let packet_id = self.free(&id);
            let packet = Packet::Unsubscribe(Unsubscribe {
                packet_id,
                properties: Properties::EMPTY,
                filters: filters.as_filters(),
            });
            if write(&packet, form, out) {
                let request = Request::Unsubscribe(part.to_vec());
                self.waiting.push((packet_id, request));
            }
        }
    }

    /// An identifier that no request has.
    fn free(&self, id: &impl Fn(u16) -> PacketId) -> PacketId {
        let used = |id: &PacketId| self.waiting.iter().any(|(other, _)| other == id);
        let mut ids = (0..=u16::MAX).map(id);
        ids.find(|id| !used(id)).unwrap_or(PacketId::MAX)
    }

    /// SUBACK. None when nothing waits for it, or it has another number of codes than the request has filters.
    pub fn on_suback(&mut self, ack: &SubAck<'_>) -> Option<Answered> {
        let at = self.waiting.iter().position(|(id, request)| {
            *id == ack.packet_id && !matches!(request, Request::Unsubscribe(_))
        })?;
        let asked = match self.waiting.swap_remove(at).1 {
            Request::Subscribe(asked) => asked,
            // Granted or not: who knows of it has said so before.
            Request::Introduction if ack.reasons.len() == 1 => {
                return Some(Answered {
                    introduced: true,
                    ..Answered::default()
                });
            }
            Request::Introduction | Request::Unsubscribe(_) => return None,
        };
        if asked.len() != ack.reasons.len() {
            return None;
        }
        let mut answered = Answered::default();
        for (subscription, code) in asked.into_iter().zip(ack.reasons) {
            match ReasonCode::from_u8(*code) {
                Some(code) if !code.is_error() => answered.granted.push(subscription),
                code => {
                    let code = code.unwrap_or(ReasonCode::UnspecifiedError);
                    answered.refused.push((subscription.remote_topic, code));
                }
            }
        }
        Some(answered)
    }

    /// UNSUBACK. None when nothing waits for it.
    pub fn on_unsuback(&mut self, ack: &SubAck<'_>) -> Option<Answered> {
        let at = self.waiting.iter().position(|(id, request)| {
            *id == ack.packet_id && matches!(request, Request::Unsubscribe(_))
        })?;
        match self.waiting.swap_remove(at) {
            (_, Request::Unsubscribe(ended)) => Some(Answered {
                ended,
                ..Answered::default()
            }),
            _ => None,
        }
    }
}

fn write(packet: &Packet<'_>, form: Form, out: &mut BytesMut) -> bool {
    packet_len(packet, form.version) <= form.max_packet_size as usize
        && encode(packet, form.version, out).is_ok()
}

fn options(subscription: &BridgeSubscription, version: ProtocolVersion) -> SubscribeOptions {
    let qos = QoS::from_bits(subscription.qos).unwrap_or_default();
    if !version.is_v5() {
        return SubscribeOptions::with_qos(qos);
    }
    SubscribeOptions {
        qos,
        // A Protocol Error with a shared subscription [MQTT-3.8.3-4].
        no_local: subscription.nolocal && !subscription.remote_topic.starts_with("$share/"),
        retain_as_published: subscription.retain_as_published,
        retain_handling: match subscription.retain_handling {
            0 => RetainHandling::SendAlways,
            1 => RetainHandling::SendIfNew,
            _ => RetainHandling::Never,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::{decode, frame_header};

    const FORM: Form = Form {
        version: ProtocolVersion::V5,
        max_packet_size: 10_000,
        identifiers: true,
    };

    fn id(number: u16) -> PacketId {
        PacketId::new(1000 - number).unwrap()
    }

    fn ack(packet_id: PacketId, reasons: &[u8]) -> SubAck<'_> {
        SubAck {
            packet_id,
            properties: Properties::EMPTY,
            reasons,
        }
    }

    #[test]
    fn subscriptions_are_asked_for_and_their_answers_read() {
        let mut config = BridgeConfig::default();
        config.sub_properties.identifier = 7;
        let mut shared = BridgeSubscription::to("$share/g/b");
        shared.retain_handling = 2;
        let wanted = [BridgeSubscription::to("a/#"), shared.clone()];
        let mut requests = Requests::default();
        let mut out = BytesMut::new();
        let told = requests.subscribe(&config, &wanted, FORM, id, &mut out);
        assert_eq!(told, Answered::default());
        let header = frame_header(&out, u32::MAX).unwrap().unwrap();
        let packet = decode(FORM.version, header.first_byte, &out[header.header_len..]).unwrap();
        let Packet::Subscribe(packet) = packet else {
            panic!("{packet:?}");
        };
        assert_eq!(packet.properties.subscription_identifier(), Some(7));
        let filters: Vec<_> = packet.filters().collect();
        assert!(filters[0].1.no_local && filters[0].1.retain_as_published);
        assert!(!filters[1].1.no_local);
        assert_eq!(filters[1].1.retain_handling, RetainHandling::Never);

        assert_eq!(requests.on_unsuback(&ack(id(0), &[0])), None);
        assert_eq!(requests.on_suback(&ack(id(1), &[0, 0])), None);
        let answered = requests.on_suback(&ack(id(0), &[0x87, 2])).unwrap();
        assert_eq!(answered.granted, [shared]);
        assert_eq!(
            answered.refused,
            [("a/#".to_owned(), ReasonCode::NotAuthorized)]
        );
        assert!(requests.is_empty());
        assert_eq!(requests.on_suback(&ack(id(0), &[0, 0])), None);
    }

    #[test]
    fn many_filters_are_several_requests_with_identifiers_of_their_own() {
        let wanted: Vec<_> = (0..150)
            .map(|n| BridgeSubscription::to(&format!("t/{n}")))
            .collect();
        let mut requests = Requests::default();
        let mut out = BytesMut::new();
        let config = BridgeConfig::default();
        requests.subscribe(&config, &wanted, FORM, id, &mut out);
        assert_eq!(requests.len(), 3);
        requests.unsubscribe(&["t/1".to_owned()], FORM, id, &mut out);
        let mut ids: Vec<_> = requests.waiting.iter().map(|(id, _)| *id).collect();
        ids.dedup();
        assert_eq!(ids.len(), 4);
        let answered = requests.on_unsuback(&ack(id(3), &[0])).unwrap();
        assert_eq!(answered.ended, ["t/1"]);
        // An answer with too few codes.
        assert_eq!(requests.on_suback(&ack(id(0), &[0])), None);
        let small = Form {
            max_packet_size: 100,
            ..FORM
        };
        let told = requests.subscribe(&config, &wanted[..64], small, id, &mut out);
        assert_eq!(told.refused.len(), 64);
    }
}
