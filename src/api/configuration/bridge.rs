//! Bridges in the configuration: the one of the flat object, and all of them as a section.

use std::sync::LazyLock;

use serde::Serialize;
use serde_json::{Map, Value};

use super::sqlite::Sqlite;
use crate::{
    api::{
        bridges::{Login, Node, read_node},
        configuration::MASK,
        error::RefusedKey,
    },
    config::{
        BridgeChanges, BridgeConfig, BridgeForward, BridgeSubscription, Config, DEFAULT_BRIDGE,
        RemoteUrl, is_bridge_name,
    },
};

/// What is shown where there is no bridge: one that is switched off.
static NONE: LazyLock<BridgeConfig> = LazyLock::new(|| BridgeConfig {
    enable: false,
    ..BridgeConfig::default()
});

/// The flat object has one bridge: the one without a name in a flat file, or else the first.
fn of_flat(config: &Config) -> Option<(&str, &BridgeConfig)> {
    let bridges = &config.bridges.mqtt;
    let default = bridges.get_key_value(DEFAULT_BRIDGE);
    let (name, bridge) = default.or_else(|| bridges.first_key_value())?;
    Some((name, bridge))
}

/// The bridge of the flat object.
#[derive(Serialize)]
pub struct Flat<'a> {
    bridge_mode: bool,
    address: Option<String>,
    #[serde(flatten)]
    login: Login<'a>,
    parallel: u16,
    forwards: Vec<&'a str>,
    subscription: Vec<Subscription<'a>>,
}

#[derive(Serialize)]
struct Subscription<'a> {
    topic: &'a str,
    qos: u8,
}

impl<'a> Flat<'a> {
    /// As it is configured; where there is none, a bridge that is switched off.
    pub fn new(config: &'a Config) -> Self {
        let bridge = of_flat(config).map_or(&*NONE, |(_, bridge)| bridge);
        let forwards = bridge.forwards.iter();
        let subscription = bridge.subscription.iter();
        Self {
            bridge_mode: bridge.enable,
            address: bridge.server.as_ref().map(RemoteUrl::to_string),
            login: Login::new(bridge),
            parallel: bridge.max_parallel_processes,
            forwards: forwards.map(|forward| &*forward.local_topic).collect(),
            subscription: subscription
                .map(|subscription| Subscription {
                    topic: &subscription.remote_topic,
                    qos: subscription.qos,
                })
                .collect(),
        }
    }
}

/// The section `bridge`.
#[derive(Serialize)]
pub struct Section<'a> {
    nodes: Vec<Node<'a>>,
    sqlite: Sqlite<'a>,
}

impl<'a> Section<'a> {
    /// As it is configured.
    pub fn new(config: &'a Config) -> Self {
        let bridges = config.bridges.mqtt.iter();
        Self {
            nodes: bridges.map(|(name, node)| Node::new(name, node)).collect(),
            sqlite: Sqlite::new(config),
        }
    }
}

/// What is posted of bridges.
#[derive(Default)]
pub struct Posted {
    /// Bridges that become others, or end.
    pub changes: BridgeChanges,
    /// Members that change nothing, and would.
    pub ignored: Vec<String>,
    /// Members that are not what they can be.
    pub refused: Vec<RefusedKey>,
}

/// Reads the member `bridge`: members of the flat object, and `nodes`, which are all bridges. `shown` is what is shown.
pub fn read(members: &Map<String, Value>, shown: &Value, running: &Config) -> Posted {
    let mut posted = Posted::default();
    let mut flat = Map::new();
    for (name, value) in members {
        let path = format!("bridge.{name}");
        match shown.get(name) {
            None => posted.refuse(path, "there is no such key"),
            Some(shown) if shown == value => {}
            Some(_) if name == "nodes" => posted.nodes(value, running),
            Some(_) if name == "sqlite" => posted.ignored.push(path),
            Some(_) => _ = flat.insert(name.clone(), value.clone()),
        }
    }
    if !flat.is_empty() {
        posted.flat(flat, running);
    }
    posted
}

impl Posted {
    fn refuse(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.refused.push(RefusedKey {
            key: key.into(),
            message: message.into(),
        });
    }

    /// Reads all bridges; those that are not among them end.
    fn nodes(&mut self, nodes: &Value, running: &Config) {
        let Some(nodes) = nodes.as_array() else {
            return self.refuse("bridge.nodes", "expected a list of bridges");
        };
        let known = &running.bridges.mqtt;
        for (number, node) in nodes.iter().enumerate() {
            let at = format!("bridge.nodes[{number}]");
            let name = node.get("name").and_then(Value::as_str);
            let Some(name) = name.filter(|name| is_bridge_name(name)) else {
                self.refuse(format!("{at}.name"), "expected the name of a bridge");
                continue;
            };
            match read_node(node.clone(), known.get(name)) {
                Ok(bridge) => {
                    if self.changes.insert(name.to_owned(), Some(bridge)).is_some() {
                        self.refuse(format!("{at}.name"), "is there twice");
                    }
                }
                Err(refused) => {
                    for refusal in refused {
                        self.refuse(format!("{at}.{}", refusal.key), refusal.why);
                    }
                }
            }
        }
        for name in known.keys() {
            self.changes.entry(name.clone()).or_insert(None);
        }
    }

    /// Reads members of the flat object that are not as they are shown.
    fn flat(&mut self, mut members: Map<String, Value>, running: &Config) {
        let of_flat = of_flat(running);
        let (name, bridge) = match of_flat {
            Some((name, bridge)) => (name.to_owned(), bridge.clone()),
            None => (DEFAULT_BRIDGE.to_owned(), NONE.clone()),
        };
        if self.changes.contains_key(&name) {
            return self.refuse("bridge", "is given twice, as nodes too");
        }
        if members.get("password").is_some_and(|value| value == MASK) {
            members.remove("password");
        }
        for (list, shown_topic) in [
            ("forwards", "local_topic"),
            ("subscription", "remote_topic"),
        ] {
            if let Some(value) = members.get_mut(list) {
                with_known(value, shown_topic, &known_entries(&bridge, list));
            }
        }
        match bridge.with_json(&Value::Object(members)) {
            Ok(bridge) => _ = self.changes.insert(name, Some(bridge)),
            Err(refused) => {
                for refusal in refused {
                    let key = match refusal.key.as_str() {
                        "server" => "address",
                        "enable" => "bridge_mode",
                        key => key,
                    };
                    self.refuse(format!("bridge.{key}"), refusal.why);
                }
            }
        }
    }
}

fn known_entries(bridge: &BridgeConfig, list: &str) -> Vec<Value> {
    // Texts and numbers: serialising them does not fail.
    let entries = match list {
        "forwards" => serde_json::to_value::<&[BridgeForward]>(&bridge.forwards),
        _ => serde_json::to_value::<&[BridgeSubscription]>(&bridge.subscription),
    };
    match entries {
        Ok(Value::Array(entries)) => entries,
        _ => Vec::new(),
    }
}

/// Gives the entries of a list that the flat object does not show whole what it does not show of them.
fn with_known(list: &mut Value, topic: &str, known: &[Value]) {
    let Some(list) = list.as_array_mut() else {
        return;
    };
    for entry in list {
        let named = match &*entry {
            Value::String(text) => Some(text.as_str()),
            entry => entry.get("topic").and_then(Value::as_str),
        };
        let whole = named.and_then(|named| known.iter().find(|known| known[topic] == named));
        let Some(mut whole) = whole.cloned() else {
            continue;
        };
        if let (Some(whole), Value::Object(given)) = (whole.as_object_mut(), &*entry) {
            let given = given.iter().filter(|(name, _)| *name != "topic");
            whole.extend(given.map(|(name, value)| (name.clone(), value.clone())));
        }
        *entry = whole;
    }
}
