//! The will of a client.

use std::time::Instant;

use crate::mqtt::{self, Message, PropertiesBuf, Property};

/// A message that is published when its client leaves without saying goodbye `[MQTT-3.1.2-8]`.
#[derive(Clone, Debug)]
pub struct Will {
    /// Seconds to wait before it is published `[MQTT-3.1.3-9]`.
    pub delay: u32,
    topic: Box<str>,
    payload: Box<[u8]>,
    qos: mqtt::QoS,
    retain: bool,
    /// Without the delay interval, which is not forwarded.
    properties: PropertiesBuf,
}

impl Will {
    /// Copies the will of a CONNECT.
    pub fn new(will: &mqtt::Will<'_>) -> Self {
        let mut properties = PropertiesBuf::default();
        let mut delay = 0;
        for property in will.properties.iter() {
            match property {
                Property::WillDelayInterval(seconds) => delay = seconds,
                other => properties.push(other),
            }
        }
        Self {
            delay,
            topic: will.topic.into(),
            payload: will.payload.into(),
            qos: will.qos,
            retain: will.retain,
            properties,
        }
    }

    /// The message to publish; its expiry counts from `now`.
    pub fn message(&self, now: Instant) -> Message {
        Message::new(
            &self.topic,
            &self.payload,
            self.qos,
            self.retain,
            self.properties.as_properties(),
            now,
        )
    }

    /// Topic name.
    pub fn topic(&self) -> &str {
        &self.topic
    }
}
