//! What a bridge changes in messages on their way to its remote broker: their topic, RETAIN and QoS, and the marks by
//! which loops are found.

use std::{
    hash::{BuildHasher, Hasher},
    sync::{Arc, LazyLock},
};

use super::writer::Head;
use crate::{
    mqtt::{MessageRef, QoS, TopicMap, hops},
    stats::DropReason,
};

/// One of the topics that are forwarded.
#[derive(Clone, Debug)]
pub struct ForwardRule {
    /// How topics change.
    pub map: TopicMap,
    /// RETAIN at the remote, if it is another than that of the message.
    pub retain: Option<bool>,
}

/// See the module's description. It lasts as long as a connection.
#[derive(Clone, Debug)]
pub struct ToRemote {
    /// The first that matches a topic counts.
    pub rules: Arc<[ForwardRule]>,
    /// The highest QoS that the remote takes `[MQTT-3.2.2-11]`.
    pub max_qos: QoS,
    /// Whether it takes retained messages `[MQTT-3.2.2-14]`; else they are sent without RETAIN.
    pub retain_available: bool,
    /// The identity of this broker.
    pub own_id: Arc<str>,
    /// That of the remote, if it has told it.
    pub remote_id: Option<Box<str>>,
    /// What was sent for the first time with MQTT 3, where that is to be remembered: see [`ToRemote::take_sent`].
    sent: Option<Vec<Sent>>,
    topic: String,
}

/// A message that was sent, for those who look for copies that come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its topic here.
    pub local_topic: Box<str>,
    /// Its topic at the remote.
    pub remote_topic: Box<str>,
    /// A digest of its payload.
    pub payload: u64,
}

impl ToRemote {
    /// What is to be changed for a connection; what is sent is remembered if `remembers`.
    pub fn new(
        rules: Arc<[ForwardRule]>,
        max_qos: QoS,
        retain_available: bool,
        (own_id, remote_id): (Arc<str>, Option<Box<str>>),
        remembers: bool,
    ) -> Self {
        Self {
            rules,
            max_qos,
            retain_available,
            own_id,
            remote_id,
            sent: remembers.then(Vec::new),
            topic: String::new(),
        }
    }

    /// The remote has said who it is: what has been there does not go there, and nothing has to be remembered.
    pub fn know(&mut self, remote_id: &str) {
        self.remote_id = Some(remote_id.into());
        self.sent = None;
    }

    /// Messages sent for the first time since the last call, where they are remembered.
    pub fn take_sent(&mut self) -> Vec<Sent> {
        self.sent.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The topic of a message at the remote, and its RETAIN.
    ///
    /// # Errors
    /// Why it does not go there.
    pub(super) fn change(
        &mut self,
        message: &MessageRef<'_>,
        head: Head,
    ) -> Result<(&str, bool), DropReason> {
        let rule = self
            .rules
            .iter()
            .find(|rule| rule.map.matches(message.topic));
        let Some(rule) = rule else {
            // It was forwarded when it came, and is no longer.
            return Err(DropReason::NotPermitted);
        };
        let is_there = |id: &str| hops::has_been(message.properties, id);
        if self.remote_id.as_deref().is_some_and(is_there) {
            return Err(DropReason::Loop);
        }
        if !rule.map.apply(message.topic, &mut self.topic) {
            return Err(DropReason::Topic);
        }
        if let Some(sent) = &mut self.sent
            && !head.dup
        {
            sent.push(Sent {
                local_topic: message.topic.into(),
                remote_topic: self.topic.as_str().into(),
                payload: digest(message.payload),
            });
        }
        let retain = rule.retain.unwrap_or(head.retain) && self.retain_available;
        Ok((&self.topic, retain))
    }
}

/// A digest of a payload, by which copies are found.
pub fn digest(payload: &[u8]) -> u64 {
    // The same for the whole process.
    static STATE: LazyLock<foldhash::fast::RandomState> =
        LazyLock::new(foldhash::fast::RandomState::default);
    let mut hasher = STATE.build_hasher();
    hasher.write(payload);
    hasher.finish()
}
