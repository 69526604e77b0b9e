//! What bridges forward and subscribe to: two lists of objects in the configuration and in bodies of the HTTP API.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::mqtt::{TopicMap, TopicMapError};

/// Most forwards and most subscriptions of one bridge.
pub const MAX_BRIDGE_TOPICS: usize = 1000;
/// The value of `retain` that leaves the flag of a message as it is.
pub const RETAIN_KEPT: u8 = 2;

/// Topics of this broker whose messages go to the remote (`forwards`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgeForward {
    /// Filter of this broker's topics.
    pub local_topic: String,
    /// Topic at the remote: its n-th `+` is what the n-th `+` of `local_topic` matched, its `#` what `#` matched; empty
    /// = the same topic. Default empty.
    #[serde(default)]
    pub remote_topic: String,
    /// Text before the topic. Default empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// Text after the topic. Default empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub suffix: String,
    /// Highest QoS at the remote, 0 to 2; none = that of the message. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<u8>,
    /// RETAIN at the remote: 0 never, 1 always, [`RETAIN_KEPT`] as the message. Default 2.
    #[serde(default = "kept", skip_serializing_if = "is_kept")]
    pub retain: u8,
}

/// Topics of the remote whose messages come to this broker (`subscription`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgeSubscription {
    /// Filter of the remote's topics.
    pub remote_topic: String,
    /// Topic here: its n-th `+` is what the n-th `+` of `remote_topic` matched, its `#` what `#` matched; empty = the
    /// same topic. Default empty.
    #[serde(default)]
    pub local_topic: String,
    /// Highest QoS of what the remote sends, 0 to 2. Default 1.
    #[serde(default = "at_least_once")]
    pub qos: u8,
    /// Text before the topic. Default empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// Text after the topic. Default empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub suffix: String,
    /// RETAIN here: 0 never, 1 always, [`RETAIN_KEPT`] as the message. Default 2.
    #[serde(default = "kept", skip_serializing_if = "is_kept")]
    pub retain: u8,
    /// With MQTT 5: whether the remote leaves RETAIN as the publisher set it. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub retain_as_published: bool,
    /// With MQTT 5: which retained messages the remote sends: 0 all, 1 all of a new subscription, 2 none. Default 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retain_handling: u8,
    /// With MQTT 5: whether the remote does not send back what the bridge sent. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub nolocal: bool,
}

const fn kept() -> u8 {
    RETAIN_KEPT
}

fn is_kept(retain: &u8) -> bool {
    *retain == RETAIN_KEPT
}

const fn at_least_once() -> u8 {
    1
}

const fn yes() -> bool {
    true
}

fn is_yes(flag: &bool) -> bool {
    *flag
}

fn is_zero(number: &u8) -> bool {
    *number == 0
}

impl BridgeForward {
    /// Reads a list of forwards: objects, or texts that are `local_topic` alone. Numbers and flags may be texts.
    ///
    /// # Errors
    /// What is wrong with which of them, counted from 1.
    pub fn read_all(list: &Json) -> Result<Vec<Self>, String> {
        read_all(list, "local_topic", Self::check)
    }

    /// How topics change on their way to the remote.
    ///
    /// # Errors
    /// [`TopicMapError`] when they cannot.
    pub fn map(&self) -> Result<TopicMap, TopicMapError> {
        TopicMap::new(
            &self.local_topic,
            &self.remote_topic,
            &self.prefix,
            &self.suffix,
        )
    }

    fn check(&self) -> Result<(), String> {
        checked(self.qos, 2, "qos: expected 0, 1 or 2")?;
        checked(Some(self.retain), 2, "retain: expected 0, 1 or 2")?;
        self.map().map(drop).map_err(|error| match error {
            TopicMapError::Filter(_) => format!("local_topic: {error}"),
            TopicMapError::Affix => error.to_string(),
            _ => format!("remote_topic: {error}"),
        })
    }
}

impl BridgeSubscription {
    /// A subscription with the defaults of everything but its filter.
    pub fn to(remote_topic: &str) -> Self {
        Self {
            remote_topic: remote_topic.to_owned(),
            local_topic: String::new(),
            qos: at_least_once(),
            prefix: String::new(),
            suffix: String::new(),
            retain: RETAIN_KEPT,
            retain_as_published: true,
            retain_handling: 0,
            nolocal: true,
        }
    }

    /// Reads a list of subscriptions, as [`BridgeForward::read_all`]; `topic` is another name of `remote_topic`.
    ///
    /// # Errors
    /// What is wrong with which of them, counted from 1.
    pub fn read_all(list: &Json) -> Result<Vec<Self>, String> {
        read_all(list, "remote_topic", Self::check)
    }

    /// How topics change on their way to this broker.
    ///
    /// # Errors
    /// [`TopicMapError`] when they cannot.
    pub fn map(&self) -> Result<TopicMap, TopicMapError> {
        TopicMap::new(
            &self.remote_topic,
            &self.local_topic,
            &self.prefix,
            &self.suffix,
        )
    }

    fn check(&self) -> Result<(), String> {
        checked(Some(self.qos), 2, "qos: expected 0, 1 or 2")?;
        checked(Some(self.retain), 2, "retain: expected 0, 1 or 2")?;
        let handling = Some(self.retain_handling);
        checked(handling, 2, "retain_handling: expected 0, 1 or 2")?;
        self.map().map(drop).map_err(|error| match error {
            TopicMapError::Filter(_) => format!("remote_topic: {error}"),
            TopicMapError::Affix => error.to_string(),
            _ => format!("local_topic: {error}"),
        })
    }
}

fn checked(value: Option<u8>, most: u8, message: &str) -> Result<(), String> {
    match value {
        Some(value) if value > most => Err(message.to_owned()),
        _ => Ok(()),
    }
}

fn read_all<T: DeserializeOwned>(
    list: &Json,
    topic: &str,
    check: impl Fn(&T) -> Result<(), String>,
) -> Result<Vec<T>, String> {
    let Some(items) = list.as_array() else {
        return Err("expected a list of objects".to_owned());
    };
    if items.len() > MAX_BRIDGE_TOPICS {
        return Err(format!("more than {MAX_BRIDGE_TOPICS} of them"));
    }
    let read = |item: &Json| {
        let item = typed(item, topic)?;
        let item: T = serde_json::from_value(item).map_err(|error| error.to_string())?;
        check(&item).map(|()| item)
    };
    (1..)
        .zip(items)
        .map(|(number, item)| read(item).map_err(|message| format!("number {number}: {message}")))
        .collect()
}

/// Gives numbers and flags that are texts, as all values of a file are, their types.
fn typed(item: &Json, topic: &str) -> Result<Json, String> {
    let fields = match item {
        Json::String(text) => return Ok(serde_json::json!({ topic: text })),
        Json::Object(fields) => fields,
        _ => return Err("expected an object".to_owned()),
    };
    let mut out = serde_json::Map::new();
    for (name, value) in fields {
        let name = match name.as_str() {
            "topic" => topic,
            "no_local" => "nolocal",
            name => name,
        };
        let value = match (name, value) {
            (_, Json::Null) => continue,
            ("qos" | "retain" | "retain_handling", Json::String(text)) => match text.trim() {
                "true" => 1.into(),
                "false" => 0.into(),
                text => text
                    .parse::<u8>()
                    .map_err(|_| format!("{name}: expected a number, got {text:?}"))?
                    .into(),
            },
            ("retain", Json::Bool(retain)) => u8::from(*retain).into(),
            ("retain_as_published" | "nolocal", Json::String(text)) => match text.trim() {
                "true" | "1" => true.into(),
                "false" | "0" => false.into(),
                text => return Err(format!("{name}: expected true or false, got {text:?}")),
            },
            ("retain_as_published" | "nolocal", Json::Number(number)) => match number.as_u64() {
                Some(0) => false.into(),
                Some(1) => true.into(),
                _ => return Err(format!("{name}: expected true or false, got {number}")),
            },
            (_, value) => value.clone(),
        };
        if out.insert(name.to_owned(), value).is_some() {
            return Err(format!("{name} is given twice"));
        }
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_from_files_and_bodies() {
        let list = serde_json::json!([
            {"local_topic": "a/#", "remote_topic": "x/#", "qos": "1", "retain": "0", "prefix": "p/"},
            "b/+",
            {"topic": "c", "qos": 2, "retain": true},
        ]);
        let read = BridgeForward::read_all(&list).unwrap();
        assert_eq!(read[0].qos, Some(1));
        assert_eq!((read[0].retain, read[2].retain), (0, 1));
        assert_eq!(read[1].local_topic, "b/+");
        assert_eq!((read[1].qos, read[1].retain), (None, RETAIN_KEPT));
        let written = serde_json::to_value(&read).unwrap();
        assert_eq!(BridgeForward::read_all(&written).unwrap(), read);

        let list = serde_json::json!([
            {"remote_topic": "a/#", "nolocal": "false", "retain_as_published": 0, "retain_handling": "2"},
            {"topic": "b", "qos": 0},
        ]);
        let read = BridgeSubscription::read_all(&list).unwrap();
        assert!(!read[0].nolocal && !read[0].retain_as_published);
        assert_eq!((read[0].qos, read[0].retain_handling), (1, 2));
        assert_eq!(
            read[1],
            BridgeSubscription {
                qos: 0,
                ..BridgeSubscription::to("b")
            }
        );
        let written = serde_json::to_value(&read).unwrap();
        assert_eq!(BridgeSubscription::read_all(&written).unwrap(), read);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_number() {
        for (list, message) in [
            (serde_json::json!({}), "expected a list of objects"),
            (serde_json::json!([1]), "number 1: expected an object"),
            (
                serde_json::json!(["a", {}]),
                "number 2: missing field `local_topic`",
            ),
            (
                serde_json::json!([{"local_topic": "a", "qos": "x"}]),
                "number 1: qos: expected a number, got \"x\"",
            ),
            (
                serde_json::json!([{"local_topic": "a", "qos": 3}]),
                "number 1: qos: expected 0, 1 or 2",
            ),
            (
                serde_json::json!([{"local_topic": "a#"}]),
                "number 1: local_topic: no topic filter: '#' is not the whole last level [MQTT-4.7.1-1]",
            ),
            (
                serde_json::json!([{"local_topic": "a", "remote_topic": "b/#"}]),
                "number 1: remote_topic: has '#', and the filter it is filled from has none",
            ),
            (
                serde_json::json!([{"local_topic": "a", "topic": "a"}]),
                "number 1: local_topic is given twice",
            ),
        ] {
            assert_eq!(BridgeForward::read_all(&list), Err(message.to_owned()));
        }
        let unknown = serde_json::json!([{"local_topic": "a", "quos": 1}]);
        let error = BridgeForward::read_all(&unknown).unwrap_err();
        assert!(
            error.starts_with("number 1: unknown field `quos`"),
            "{error}"
        );
    }
}
