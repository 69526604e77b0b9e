//! Messages of the remote on their way into this broker: which subscription they belong to, and what they become.

use std::{num::NonZeroU16, time::Instant};

use crate::{
    config::{BridgeSubscription, RETAIN_KEPT},
    mqtt::{
        MessageRef, Properties, PropertiesBuf, ProtocolVersion, Publish, TopicMap, hops,
        property_id,
    },
    session::{IncomingAliases, Publishing, Violation},
    stats::{Counters, Metric},
};

/// What a bridge is subscribed to, as maps of topics.
#[derive(Debug, Default)]
pub struct Incoming {
    maps: Vec<(TopicMap, Option<bool>)>,
    aliases: IncomingAliases,
    max_alias: u16,
    /// What the topic of the last message became.
    local_topic: String,
    properties: PropertiesBuf,
}

/// What becomes of a message.
#[derive(Debug)]
pub enum Taken<'a> {
    /// It is published as this.
    Publish(Publish<'a>),
    /// It goes no further, for the reason that the metric counts.
    Drop(Metric),
}

impl Incoming {
    /// Maps for the subscriptions; the remote may set `max_alias` topic aliases.
    pub fn new(subscriptions: &[BridgeSubscription], max_alias: u16) -> Self {
        let mut incoming = Self {
            max_alias,
            ..Self::default()
        };
        incoming.change(subscriptions);
        incoming
    }

    /// Other subscriptions hold from now on.
    pub fn change(&mut self, subscriptions: &[BridgeSubscription]) {
        // Those whose topics cannot be changed are refused when the configuration is read.
        let maps = subscriptions.iter().filter_map(|subscription| {
            let retain = match subscription.retain {
                RETAIN_KEPT => None,
                retain => Some(retain == 1),
            };
            Some((subscription.map().ok()?, retain))
        });
        self.maps = maps.collect();
    }

    /// Whether the remote sends messages of a topic to this bridge.
    pub fn is_subscribed(&self, remote_topic: &str) -> bool {
        self.maps.iter().any(|(map, _)| map.matches(remote_topic))
    }

    /// Finds out what a message of the remote becomes. `own_id` is the identity of this broker, `remote_id` that of the
    /// remote, if it is known.
    ///
    /// # Errors
    /// What the remote may not do.
    pub fn take<'a>(
        &'a mut self,
        publish: &Publish<'a>,
        own_id: &str,
        remote_id: Option<&str>,
    ) -> Result<Taken<'a>, Violation> {
        let alias = publish.properties.topic_alias();
        let topic = match alias {
            None if publish.topic.is_empty() => return Err(Violation::TopicNameMissing),
            None => publish.topic,
            Some(alias) => {
                let alias = NonZeroU16::new(alias).filter(|alias| alias.get() <= self.max_alias);
                let alias = alias.ok_or(Violation::TopicAliasInvalid)?;
                self.aliases
                    .resolve(alias, publish.topic)
                    .ok_or(Violation::TopicAliasUnknown)?
            }
        };
        if topic.contains(['+', '#', '\0']) {
            return Err(Violation::TopicNameInvalid);
        }
        if hops::has_been(publish.properties, own_id) {
            return Ok(Taken::Drop(Metric::DroppedLoop));
        }
        let found = self.maps.iter().find(|(map, _)| map.matches(topic));
        let Some((map, retain)) = found else {
            return Ok(Taken::Drop(Metric::DroppedNotSubscribed));
        };
        if !map.apply(topic, &mut self.local_topic) {
            return Ok(Taken::Drop(Metric::DroppedTopicLimit));
        }
        let mut properties = publish.properties;
        let is_own = |id| {
            matches!(
                id,
                property_id::TOPIC_ALIAS | property_id::SUBSCRIPTION_IDENTIFIER
            )
        };
        if remote_id.is_some() || properties.iter_raw().any(|(id, _)| is_own(id)) {
            let mut rest = PropertiesBuf::default();
            rest.extend_if(properties, |id| !is_own(id));
            self.properties.clear();
            match remote_id {
                Some(id) => hops::mark(rest.as_properties(), id, &mut self.properties),
                None => self.properties = rest,
            }
            properties = self.properties.as_properties();
        }
        Ok(Taken::Publish(Publish {
            topic: &self.local_topic,
            retain: retain.unwrap_or(publish.retain),
            properties,
            ..*publish
        }))
    }
}

/// Publishes what a bridge brings in; as all of it is taken, the remote is told of no missing subscribers, which only
/// servers tell `[MQTT-3.4.2-1]`.
pub struct Into<'a, P> {
    /// Where it goes.
    pub inner: &'a mut P,
    /// The message goes no further, and is counted.
    pub drop: Option<Metric>,
    /// The counters of the bridge.
    pub counters: &'a Counters,
    /// The time.
    pub now: Instant,
}

impl<P: Publishing> Publishing for Into<'_, P> {
    fn publish(&mut self, publish: &Publish<'_>, _: &[u8], _: ProtocolVersion) -> bool {
        if let Some(metric) = self.drop {
            self.counters.add(metric, 1);
            return true;
        }
        let interval = publish.properties.message_expiry_interval();
        let message = MessageRef {
            topic: publish.topic,
            properties: publish.properties,
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            expires_at: interval.and_then(|seconds| {
                let lasts = std::time::Duration::from_secs(u64::from(seconds));
                self.now.checked_add(lasts)
            }),
        };
        self.inner.publish_detached(&message, publish.packet_id);
        true
    }

    fn publish_detached(
        &mut self,
        message: &MessageRef<'_>,
        packet_id: Option<crate::mqtt::PacketId>,
    ) -> bool {
        // Aliases are resolved before, so that no message comes this way.
        self.inner.publish_detached(message, packet_id);
        true
    }
}

/// A message that goes no further, in a form that the session can acknowledge.
pub fn dropped<'a>(publish: &Publish<'a>) -> Publish<'a> {
    Publish {
        topic: "-",
        retain: false,
        properties: Properties::EMPTY,
        payload: &[],
        ..*publish
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::{Property, QoS};

    fn publish<'a>(topic: &'a str, properties: Properties<'a>) -> Publish<'a> {
        Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: true,
            topic,
            packet_id: None,
            properties,
            payload: b"x",
        }
    }

    #[test]
    fn messages_are_renamed_and_what_nobody_asked_for_is_dropped() {
        let list = serde_json::json!([
            {"remote_topic": "cmd/#", "local_topic": "up/#", "retain": 0},
            {"remote_topic": "$share/g/b/+"},
        ]);
        let subscriptions = BridgeSubscription::read_all(&list).unwrap();
        let mut incoming = Incoming::new(&subscriptions, 0);
        for (topic, expected) in [
            ("cmd/a", Some(("up/a", false))),
            ("b/c", Some(("b/c", true))),
            ("other", None),
        ] {
            let publish = publish(topic, Properties::EMPTY);
            let taken = match incoming.take(&publish, "me", None) {
                Ok(Taken::Publish(publish)) => Some((publish.topic.to_owned(), publish.retain)),
                Ok(Taken::Drop(Metric::DroppedNotSubscribed)) => None,
                other => panic!("{other:?}"),
            };
            let expected = expected.map(|(topic, retain)| (topic.to_owned(), retain));
            assert_eq!(taken, expected, "{topic}");
        }
        for (topic, violation) in [
            ("", Violation::TopicNameMissing),
            ("cmd/+", Violation::TopicNameInvalid),
        ] {
            let publish = publish(topic, Properties::EMPTY);
            let refused = incoming.take(&publish, "me", None);
            assert_eq!(refused.map(drop).unwrap_err(), violation, "{topic}");
        }
    }

    #[test]
    fn aliases_and_marks() {
        let mut incoming = Incoming::new(&[BridgeSubscription::to("#")], 2);
        let with = |property| {
            let mut buffer = PropertiesBuf::default();
            buffer.push(property);
            buffer
        };
        let alias = with(Property::TopicAlias(2));
        for topic in ["a", ""] {
            let publish = publish(topic, alias.as_properties());
            let taken = incoming.take(&publish, "me", Some("them"));
            let Ok(Taken::Publish(publish)) = taken else {
                panic!("{taken:?}");
            };
            assert_eq!(publish.topic, "a");
            assert_eq!(publish.properties.topic_alias(), None);
            assert!(hops::has_been(publish.properties, "them"));
        }
        for (alias, violation) in [
            (0, Violation::TopicAliasInvalid),
            (1, Violation::TopicAliasUnknown),
            (3, Violation::TopicAliasInvalid),
        ] {
            let alias = with(Property::TopicAlias(alias));
            let publish = publish("", alias.as_properties());
            let refused = incoming.take(&publish, "me", None);
            assert_eq!(refused.map(drop).unwrap_err(), violation);
        }
        let marked = with(Property::UserProperty(hops::HOPS, "x,me"));
        let publish = publish("a", marked.as_properties());
        let taken = incoming.take(&publish, "me", None);
        assert!(matches!(taken, Ok(Taken::Drop(Metric::DroppedLoop))));
    }
}
