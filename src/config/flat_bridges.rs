//! Bridges of the flat form: `bridge.mqtt.KEY` of one without a name, `bridge.mqtt.NAME.KEY`, and `bridge.KEY` as the
//! HTTP API names it.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::{Entry, Names, Value};
use super::keys;
use super::model_bridges::DEFAULT_BRIDGE;
use super::problem::Problem;

/// The values of one numbered item of a list, by name.
type Item = serde_json::Map<String, serde_json::Value>;
/// The numbered lists of bridges, by bridge and name: an entry of each, and its items.
type Lists = BTreeMap<(String, &'static str), (Entry, BTreeMap<u32, Item>)>;

/// Gives the keys of bridges their HOCON names and joins their numbered lists. As in NanoMQ, a bridge without
/// `bridge_mode` does not run.
pub(super) fn with_bridges(entries: Vec<Entry>, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut out = Vec::new();
    let mut lists = Lists::new();
    let mut first: BTreeMap<String, Entry> = BTreeMap::new();
    let mut switched = BTreeSet::new();
    for entry in entries {
        let Some((name, key)) = key_of(&entry.path) else {
            out.push(entry);
            continue;
        };
        first.entry(name.clone()).or_insert_with(|| entry.clone());
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        match key.as_slice() {
            ["bridge_mode" | "enable"] => {
                switched.insert(name.clone());
                out.push(renamed(&entry, &name, &["enable"]));
            }
            ["connect", "properties", rest @ ..] => {
                properties(
                    &entry,
                    &name,
                    &[&["conn_properties"], rest].concat(),
                    &mut out,
                );
            }
            ["subscription", "properties", rest @ ..] => {
                properties(
                    &entry,
                    &name,
                    &[&["sub_properties"], rest].concat(),
                    &mut out,
                );
            }
            [list @ ("forwards" | "subscription"), number, field] => {
                let Ok(number) = number.parse::<u32>() else {
                    let message = "expected a number before the last name";
                    problems.push(entry.place.error(Some(&entry.label), message));
                    continue;
                };
                let list = match *list {
                    "forwards" => "forwards",
                    _ => "subscription",
                };
                let (_, items) = lists
                    .entry((name, list))
                    .or_insert_with(|| (entry.clone(), BTreeMap::new()));
                if let Value::Text(text) = &entry.value {
                    let item = items.entry(number).or_default();
                    item.insert((*field).to_owned(), text.as_str().into());
                }
            }
            ["tls", rest @ ..] => out.push(renamed(&entry, &name, &[&["ssl"], rest].concat())),
            key => properties(&entry, &name, key, &mut out),
        }
    }
    for ((name, list), (entry, items)) in lists {
        let items: Vec<serde_json::Value> = items.into_values().map(Into::into).collect();
        let joined = Entry {
            value: Value::Tree(items.into(), Vec::new()),
            ..entry
        };
        out.push(renamed(&joined, &name, &[list]));
    }
    for (name, entry) in first {
        if !switched.contains(&name) {
            let off = Entry {
                value: Value::Text("false".to_owned()),
                ..entry
            };
            out.push(renamed(&off, &name, &["enable"]));
        }
    }
    out
}

/// The bridge that a flat key is about, and what of it.
pub(super) fn key_of(path: &[String]) -> Option<(String, &[String])> {
    let rest = match path {
        [bridge, rest @ ..] if bridge == "bridge" => rest,
        _ => return None,
    };
    let (named, rest) = match rest {
        [mqtt, rest @ ..] if mqtt == "mqtt" => (true, rest),
        [sqlite, ..] if sqlite == "sqlite" => return None,
        rest => (false, rest),
    };
    let default = || DEFAULT_BRIDGE.to_owned();
    let is_field = |name: &String| {
        let path = ["bridges", "mqtt", DEFAULT_BRIDGE, name].map(str::to_owned);
        let other = ["connect", "tls"].contains(&name.as_str());
        other || keys::find(&path).is_some() || keys::is_section(&path)
    };
    match rest {
        [] => None,
        [name, key @ ..] if named && !key.is_empty() && !is_field(name) => {
            Some((name.clone(), key))
        }
        key => Some((default(), key)),
    }
}

/// A key under its HOCON name.
fn renamed(entry: &Entry, name: &str, key: &[&str]) -> Entry {
    let path = [&["bridges", "mqtt", name], key].concat();
    Entry {
        path: path.into_iter().map(str::to_owned).collect(),
        names: Names::Hocon,
        ..entry.clone()
    }
}

/// As [`renamed`]; of user properties, which are a JSON object in one line, an entry each.
fn properties(entry: &Entry, name: &str, key: &[&str], out: &mut Vec<Entry>) {
    let entry = renamed(entry, name, key);
    if key.last() == Some(&"user_property")
        && let Value::Text(text) = &entry.value
        && let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(text)
    {
        for (field, value) in fields {
            let text = match value {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            let mut path = entry.path.clone();
            path.push(field);
            out.push(Entry {
                path,
                value: Value::Text(text),
                ..entry.clone()
            });
        }
        return;
    }
    out.push(entry);
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;

    /// The path and the value of each entry that a flat text makes.
    fn read(text: &str) -> Vec<String> {
        let file: Arc<Path> = Arc::from(Path::new("old.conf"));
        let mut problems = Vec::new();
        let entries = super::super::flat::read(&file, text, &mut problems);
        assert_eq!(problems, []);
        let value = |value: &Value| match value {
            Value::Text(text) => text.clone(),
            Value::Tree(tree, _) => tree.to_string(),
            other => format!("{other:?}"),
        };
        let mut shown: Vec<String> = entries
            .iter()
            .map(|entry| format!("{} = {}", entry.path.join("."), value(&entry.value)))
            .collect();
        shown.sort();
        shown
    }

    #[test]
    fn all_flat_forms_become_hocon_keys() {
        let text = "bridge.mqtt.address=h:1\nbridge.mqtt.bridge_mode=true\nbridge.mqtt.tls.keyfile=k\n\
                    bridge.mqtt.subscription.2.topic=b\nbridge.mqtt.subscription.1.topic=a\n\
                    bridge.mqtt.subscription.1.qos=2\n";
        assert_eq!(
            read(text),
            [
                "bridges.mqtt.default.address = h:1",
                "bridges.mqtt.default.enable = true",
                "bridges.mqtt.default.ssl.keyfile = k",
                "bridges.mqtt.default.subscription = [{\"qos\":\"2\",\"topic\":\"a\"},{\"topic\":\"b\"}]",
            ]
        );
        let text = "bridge.mqtt.up.address=h:1\nbridge.mqtt.up.connect.properties.user_property={\"k\":\"v\"}\n\
                    bridge.mqtt.up.forwards.1.local_topic=a\nbridge.mqtt.up.subscription.properties.identifier=3\n";
        assert_eq!(
            read(text),
            [
                "bridges.mqtt.up.address = h:1",
                "bridges.mqtt.up.conn_properties.user_property.k = v",
                "bridges.mqtt.up.enable = false",
                "bridges.mqtt.up.forwards = [{\"local_topic\":\"a\"}]",
                "bridges.mqtt.up.sub_properties.identifier = 3",
            ]
        );
        let text = "bridge.address=h:1\nbridge.bridge_mode=true\nbridge.forwards=a,b\n";
        assert_eq!(
            read(text),
            [
                "bridges.mqtt.default.address = h:1",
                "bridges.mqtt.default.enable = true",
                "bridges.mqtt.default.forwards = a,b",
            ]
        );
    }
}
