//! PUBLISH of the client: checks, aliases, permission, and what it is answered.

use std::{
    num::NonZeroU16,
    time::{Duration, Instant},
};

use bytes::BytesMut;

use super::{Channel, Gate, GateAnswer, HeldAck, Published, PublishedTopics, Publishing};
use crate::{
    config::Mqtt,
    mqtt::{MessageRef, Publish, QoS, ReasonCode},
    session::{
        Violation,
        publish_topic::{TopicRefusal, check_topic},
    },
    stats::{Counters, Metric},
};

impl Channel {
    /// A PUBLISH, apart from the other packets since it is the one that counts.
    ///
    /// # Errors
    /// The breach for which the connection is to be closed.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of it is context of one step"
    )]
    pub fn on_publish<P: Publishing, G: Gate>(
        &mut self,
        publish: &Publish<'_>,
        packet: &[u8],
        limits: &Mqtt,
        now: Instant,
        wire: &mut BytesMut,
        gate: &mut G,
        publishing: &mut P,
        counters: &Counters,
    ) -> Result<Published, Violation> {
        if publish.qos as u8 > limits.max_qos {
            return Err(Violation::QoSNotSupported);
        }
        if publish.retain && !limits.retain_available {
            return Err(Violation::RetainNotSupported);
        }
        if limits.max_payload_size > 0 && publish.payload.len() > limits.max_payload_size as usize {
            return Err(Violation::PayloadTooLarge);
        }
        let alias = self.alias(publish, limits)?;
        if publish.qos == QoS::ExactlyOnce
            && let Some(id) = publish.packet_id
        {
            if self.session.awaiting_release.contains(id) {
                // Sent again: it was taken the first time [MQTT-4.3.3-10]. Its alias is new on a new connection.
                if let Some(alias) = alias {
                    let topics = self.topics.get_or_insert_default();
                    topics
                        .aliases
                        .get_or_insert_default()
                        .resolve(alias, publish.topic)
                        .ok_or(Violation::TopicAliasUnknown)?;
                }
                counters.add(Metric::MessagesDuplicate, 1);
                self.acknowledge(HeldAck::PubRec(id, ReasonCode::Success), wire);
                return Ok(Published::Done);
            }
            if self.session.awaiting_release.len() >= usize::from(limits.receive_maximum) {
                return Err(Violation::ReceiveMaximumExceeded);
            }
        }
        let reason = match alias {
            None => {
                let valid = &mut self.topics.get_or_insert_default().valid;
                match topic_code(valid, publish.topic, limits, gate, counters)? {
                    TopicCode::Reason(ReasonCode::Success) => {
                        matched(publishing.publish(publish, packet, self.version))
                    }
                    TopicCode::Reason(refused) => refused,
                    TopicCode::Ask => return Ok(Published::Ask(publish.topic.into())),
                }
            }
            Some(alias) => {
                match self
                    .publish_aliased(alias, publish, limits, now, gate, publishing, counters)?
                {
                    Ok(reason) => reason,
                    Err(topic) => return Ok(Published::Ask(topic)),
                }
            }
        };
        let Some(id) = publish.packet_id else {
            return Ok(Published::Done);
        };
        match publish.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.acknowledge(HeldAck::PubAck(id, reason), wire),
            QoS::ExactlyOnce => {
                if !reason.is_error() {
                    self.session.awaiting_release.insert(id);
                }
                self.acknowledge(HeldAck::PubRec(id, reason), wire);
            }
        }
        Ok(Published::Done)
    }

    /// Has the gate asked anew about the next topic, because its answers may be others now.
    pub fn forget_topic(&mut self) {
        if let Some(topics) = &mut self.topics {
            topics.valid.clear();
        }
    }

    fn alias(&self, publish: &Publish<'_>, limits: &Mqtt) -> Result<Option<NonZeroU16>, Violation> {
        if publish.properties.is_empty() {
            return match publish.topic.is_empty() {
                true => Err(Violation::TopicNameMissing),
                false => Ok(None),
            };
        }
        if publish.properties.iter().count() > limits.max_properties {
            return Err(Violation::TooManyProperties);
        }
        match publish.properties.topic_alias() {
            None if publish.topic.is_empty() => Err(Violation::TopicNameMissing),
            None => Ok(None),
            Some(alias) => match NonZeroU16::new(alias) {
                Some(valid) if alias <= limits.max_topic_alias => Ok(Some(valid)),
                _ => Err(Violation::TopicAliasInvalid),
            },
        }
    }

    /// A message whose topic may be in the alias table instead of the packet. A topic in the place of the code has to be
    /// asked about.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of it is context of one step"
    )]
    fn publish_aliased<P: Publishing, G: Gate>(
        &mut self,
        alias: NonZeroU16,
        publish: &Publish<'_>,
        limits: &Mqtt,
        now: Instant,
        gate: &mut G,
        publishing: &mut P,
        counters: &Counters,
    ) -> Result<Result<ReasonCode, Box<str>>, Violation> {
        // The alias is set even where the message is then refused [MQTT-3.3.2-12].
        let PublishedTopics { valid, aliases } = &mut **self.topics.get_or_insert_default();
        let topic = aliases
            .get_or_insert_default()
            .resolve(alias, publish.topic)
            .ok_or(Violation::TopicAliasUnknown)?;
        match topic_code(valid, topic, limits, gate, counters)? {
            TopicCode::Reason(ReasonCode::Success) => {}
            TopicCode::Reason(refused) => return Ok(Ok(refused)),
            TopicCode::Ask => return Ok(Err(topic.into())),
        }
        let expires_at = publish
            .properties
            .message_expiry_interval()
            .and_then(|seconds| now.checked_add(Duration::from_secs(u64::from(seconds))));
        Ok(Ok(matched(publishing.publish_detached(
            &MessageRef {
                topic,
                properties: publish.properties,
                payload: publish.payload,
                qos: publish.qos,
                retain: publish.retain,
                expires_at,
            },
            publish.packet_id,
        ))))
    }
}

/// Whether a message is taken.
enum TopicCode {
    /// Success, or why not.
    Reason(ReasonCode),
    /// It has to be asked.
    Ask,
}

/// Success, or why a message to this topic is not taken. `valid` is the last topic that was found valid and is always
/// let through.
fn topic_code<G: Gate>(
    valid: &mut String,
    topic: &str,
    limits: &Mqtt,
    gate: &mut G,
    counters: &Counters,
) -> Result<TopicCode, Violation> {
    if valid == topic {
        return Ok(TopicCode::Reason(ReasonCode::Success));
    }
    match check_topic(topic, limits) {
        Ok(()) => {}
        Err(TopicRefusal::Invalid(_)) => return Err(Violation::TopicNameInvalid),
        Err(TopicRefusal::System) => {
            counters.add(Metric::DroppedNotPermitted, 1);
            return Ok(TopicCode::Reason(ReasonCode::NotAuthorized));
        }
        Err(TopicRefusal::OverLimit) => {
            counters.add(Metric::DroppedTopicLimit, 1);
            return Ok(TopicCode::Reason(ReasonCode::TopicNameInvalid));
        }
    }
    match gate.may_publish(topic) {
        GateAnswer::Always => {}
        GateAnswer::Now => return Ok(TopicCode::Reason(ReasonCode::Success)),
        GateAnswer::Ask => return Ok(TopicCode::Ask),
        refused => {
            counters.add(Metric::DroppedNotPermitted, 1);
            return match refused {
                GateAnswer::Close => Err(Violation::NotPermitted),
                _ => Ok(TopicCode::Reason(ReasonCode::NotAuthorized)),
            };
        }
    }
    valid.clear();
    valid.push_str(topic);
    Ok(TopicCode::Reason(ReasonCode::Success))
}

fn matched(any: bool) -> ReasonCode {
    match any {
        true => ReasonCode::Success,
        false => ReasonCode::NoMatchingSubscribers,
    }
}
