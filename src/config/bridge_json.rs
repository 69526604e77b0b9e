//! Reading a bridge from an object of the HTTP API, with the names and checks of the configuration.

use serde_json::Value as Json;

use super::change::Refusal;
use super::entry::{Trouble, Value};
use super::keys::{self, Role};
use super::model::Config;
use super::model_bridges::{BridgeConfig, DEFAULT_BRIDGE};
use super::problem::Severity;
use super::validate_bridges;

/// How deep objects are looked into.
const MAX_DEPTH: usize = 4;

impl BridgeConfig {
    /// This bridge with the members of a JSON object in it. They have the names of the keys below `bridges.mqtt.NAME`;
    /// those of NanoMQ's `connector` object may stand in one. Members that a file could have and that have no effect are
    /// taken.
    ///
    /// # Errors
    /// Every member that is unknown or whose value its key does not take, and what does not go together.
    pub fn with_json(self, object: &Json) -> Result<Self, Vec<Refusal>> {
        let mut config = Config::default();
        config.bridges.mqtt.insert(DEFAULT_BRIDGE.to_owned(), self);
        let mut refused = Vec::new();
        walk(&mut config, &[], object, &mut refused);
        let bridge = config.bridges.mqtt.remove(DEFAULT_BRIDGE);
        let bridge = bridge.unwrap_or_default();
        if refused.is_empty() {
            refused = bridge.refusals();
        }
        match refused.is_empty() {
            true => Ok(bridge),
            false => Err(refused),
        }
    }

    /// What does not go together in this bridge, so that it cannot run.
    pub fn refusals(&self) -> Vec<Refusal> {
        let mut refused = Vec::new();
        validate_bridges::bridge(self, |severity, field, message| {
            if severity == Severity::Error {
                refused.push(Refusal {
                    key: field.to_owned(),
                    why: message,
                });
            }
        });
        refused
    }
}

fn walk(config: &mut Config, names: &[&str], value: &Json, refused: &mut Vec<Refusal>) {
    let mut refuse = |why: String| {
        refused.push(Refusal {
            key: names.join("."),
            why,
        });
    };
    let prefix = ["bridges", "mqtt", DEFAULT_BRIDGE];
    let path = prefix.iter().chain(names).map(|name| (*name).to_owned());
    let path: Vec<String> = path.collect();
    let key = keys::find(&path).filter(|_| !names.is_empty());
    let Some(key) = key else {
        return match value {
            Json::Object(fields) if names.len() < MAX_DEPTH => {
                let is_section = names.is_empty() || keys::is_section(&path);
                if !is_section && names != ["connector"] {
                    return refuse("there is no such key".to_owned());
                }
                for (name, value) in fields {
                    let inner = match names {
                        ["connector"] => vec![name.as_str()],
                        names => [names, &[name.as_str()]].concat(),
                    };
                    walk(config, &inner, value, refused);
                }
            }
            // The name, which the path says already.
            Json::String(_) if names == ["name"] => {}
            Json::Null if keys::is_section(&path) => {}
            _ if names.is_empty() || keys::is_section(&path) => {
                refuse("expected an object".to_owned());
            }
            _ => refuse("there is no such key".to_owned()),
        };
    };
    let (expects, set, is_secret) = match key.role {
        Role::Setting {
            expects,
            set,
            secret,
            ..
        } => (expects, set, secret),
        Role::OtherName { expects, set } => (expects, set, false),
        Role::Ignored(_) | Role::NotBuilt(_) => return,
    };
    let value = match value {
        // Nothing is said about it.
        Json::Null => return,
        Json::Bool(_) => Value::Text(value.to_string()),
        Json::Number(number) => Value::Text(match number.as_f64() {
            // To JSON 5.0 is the whole number 5.
            Some(float) if number.is_f64() && float.fract() == 0.0 => format!("{float:.0}"),
            _ => number.to_string(),
        }),
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) if items.iter().all(Json::is_string) => {
            let texts = items.iter().filter_map(Json::as_str);
            Value::List(texts.map(str::to_owned).collect())
        }
        Json::Array(_) | Json::Object(_) => Value::Tree(value.clone(), Vec::new()),
    };
    match set(config, &value, &keys::name_in(key.path, &path)) {
        Ok(()) | Err(Trouble::Note(_)) => {}
        Err(Trouble::Wrong(why) | Trouble::WrongAt(_, why)) => refuse(why),
        Err(Trouble::Unexpected) if is_secret => refuse(format!("expected {expects}")),
        Err(Trouble::Unexpected) => refuse(format!("expected {expects}, got {}", value.shown())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bridge_is_read_from_nested_and_flat_objects() {
        let flat = json!({
            "name": "emqx", "enable": true, "server": "mqtt-tcp://h:1884", "proto_ver": 5, "keepalive": 30,
            "clean_start": false, "username": null, "password": "secret", "parallel": 4,
            "forwards": [{"local_topic": "a/#", "remote_topic": "b/#", "qos": 1}],
            "subscription": [{"remote_topic": "c", "local_topic": "", "qos": 2}],
            "conn_properties": {"receive_maximum": 10.0, "user_property": {"k": "v"}},
            "tls": {"enable": false, "cacertfile": "ca.pem"},
        });
        let bridge = BridgeConfig::default().with_json(&flat).unwrap();
        assert_eq!(bridge.server.as_ref().unwrap().port(), 1884);
        assert_eq!((bridge.proto_ver, bridge.keepalive), (5, 30));
        assert_eq!(bridge.max_parallel_processes, 4);
        assert_eq!(bridge.forwards.len(), 1);
        assert_eq!(bridge.subscription[0].qos, 2);
        assert_eq!(bridge.conn_properties.user_property["k"], "v");
        assert_eq!(bridge.ssl.cacertfile.to_str(), Some("ca.pem"));
        let nested = json!({"connector": {"server": "h2", "keepalive": "5s"}});
        let changed = bridge.clone().with_json(&nested).unwrap();
        assert_eq!(changed.keepalive, 5);
        assert_eq!(changed.forwards, bridge.forwards);
        assert_eq!(changed.server.unwrap().to_string(), "mqtt-tcp://h2:1883");
        // What is shown reads back.
        let shown = serde_json::to_value(&bridge).unwrap();
        assert_eq!(BridgeConfig::default().with_json(&shown), Ok(bridge));
    }

    #[test]
    fn every_bad_member_is_named() {
        let object = json!({
            "server": "http://x", "keepalive": "soon", "quos": 1, "will": "x", "ssl": {"certfil": "a"},
            "forwards": [{"local_topic": "a#"}], "password": {"a": 1}, "clientid": ["a", 1],
        });
        let refused = BridgeConfig::default().with_json(&object).unwrap_err();
        let mut keys: Vec<&str> = refused.iter().map(|r| r.key.as_str()).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            [
                "clientid",
                "forwards",
                "keepalive",
                "password",
                "quos",
                "server",
                "ssl.certfil",
                "will"
            ]
        );
        for (object, key) in [
            (json!({}), "server"),
            (
                json!({"server": "h", "ssl": {"certfile": "a"}}),
                "ssl.keyfile",
            ),
            (
                json!({"server": "h", "will": {"topic": "a/#"}}),
                "will.topic",
            ),
        ] {
            let refused = BridgeConfig::default().with_json(&object).unwrap_err();
            assert_eq!(refused[0].key, key);
        }
        assert!(BridgeConfig::default().with_json(&json!([])).is_err());
    }
}
