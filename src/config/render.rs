//! The configuration as text, and what differs between two of them.

use serde_json::Value as Json;

use super::keys::{self, Role};
use super::model::Config;

/// What stands in place of a secret.
const MASK: &str = "******";

/// A key whose value differs between two configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key, such as `mqtt.max_qos`.
    pub key: String,
    /// Whether a running broker takes the change over without a restart.
    pub hot: bool,
}

/// Writes a configuration as HOCON, every key with its value, secrets as `******`. Except for those it loads back to the same.
pub fn render_effective(config: &Config) -> String {
    render(config, true)
}

/// The keys in which two configurations differ, in the order of their names.
pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let (old, new) = (leaves(old), leaves(new));
    let missing_in = |leaf: &&Leaf, other: &[Leaf]| !other.contains(leaf);
    let mut paths: Vec<&Vec<String>> = old
        .iter()
        .filter(|leaf| missing_in(leaf, &new))
        .map(|leaf| &leaf.path)
        .collect();
    paths.extend(
        new.iter()
            .filter(|leaf| missing_in(leaf, &old))
            .map(|leaf| &leaf.path),
    );
    paths.sort_unstable();
    paths.dedup();
    let is_hot = |path: &[String]| {
        keys::find(path).is_some_and(|key| matches!(key.role, Role::Setting { hot: true, .. }))
    };
    paths
        .into_iter()
        .map(|path| Change {
            key: path.join("."),
            hot: is_hot(path),
        })
        .collect()
}

/// One value with its path.
#[derive(Debug, PartialEq)]
pub(super) struct Leaf {
    pub(super) path: Vec<String>,
    pub(super) value: Json,
}

fn leaves(config: &Config) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    collect(Vec::new(), &to_json(config), &mut leaves);
    leaves
}

/// The values in a value, objects taken apart.
pub(super) fn collect(path: Vec<String>, value: &Json, leaves: &mut Vec<Leaf>) {
    match value {
        Json::Object(fields) => {
            for (name, value) in fields {
                let mut path = path.clone();
                path.push(name.clone());
                collect(path, value, leaves);
            }
        }
        value => leaves.push(Leaf {
            path,
            value: value.clone(),
        }),
    }
}

fn to_json(config: &Config) -> Json {
    // The model has text keys only, and paths that came from text: serialising it does not fail.
    serde_json::to_value(config).unwrap_or(Json::Null)
}

fn render(config: &Config, masked: bool) -> String {
    let mut out = String::new();
    if let Json::Object(sections) = to_json(config) {
        for (name, section) in sections {
            write(&mut out, &mut vec![name], &section, masked);
        }
    }
    out
}

/// Writes one field; `path` ends with its name.
fn write(out: &mut String, path: &mut Vec<String>, value: &Json, masked: bool) {
    let indent = "    ".repeat(path.len().saturating_sub(1));
    let name = path.last().map_or(String::new(), |name| key_text(name));
    let Json::Object(fields) = value else {
        let is_secret = keys::find(path)
            .is_some_and(|key| matches!(key.role, Role::Setting { secret: true, .. }));
        let value = if is_secret && masked {
            Json::from(MASK).to_string()
        } else {
            value.to_string()
        };
        out.push_str(&format!("{indent}{name} = {value}\n"));
        return;
    };
    out.push_str(&format!("{indent}{name} {{\n"));
    for (name, value) in fields {
        path.push(name.clone());
        write(out, path, value, masked);
        path.pop();
    }
    out.push_str(&format!("{indent}}}\n"));
}

/// A name as a HOCON key: quoted unless it is plain.
pub(super) fn key_text(name: &str) -> String {
    let is_plain = !name.is_empty()
        && name != "include"
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_plain {
        name.to_owned()
    } else {
        Json::from(name).to_string()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::{
        BridgeConfig, BridgeForward, BridgeSubscription, HttpAuth, JwtAlgorithm, Listener,
        LogLevel, MqueuePolicy, NEVER_EXPIRES, Secret,
    };

    /// A configuration in which every kind of value differs from the default.
    pub(crate) fn unusual() -> Config {
        let mut config = Config::default();
        config.system.num_taskq_thread = 3;
        config.system.pid_file = "/run/a b.pid".into();
        config.mqtt.max_packet_size = 12_345;
        config.mqtt.keepalive_multiplier = 2.25;
        config.mqtt.max_keepalive = 90;
        config.mqtt.session_expiry_interval = 3600;
        config.mqtt.max_session_expiry_interval = NEVER_EXPIRES;
        config.mqtt.mqueue_policy = MqueuePolicy::Reject;
        config.mqtt.protocol_versions = vec![5];
        let listener = Listener {
            bind: "[::1]:0".parse().unwrap(),
            ..Listener::default()
        };
        config.listeners.tcp.insert("a.b c".to_owned(), listener);
        config.http_server.auth_type = HttpAuth::NoAuth;
        config.http_server.password = Secret::new("top secret");
        config.http_server.jwt.algorithms = vec![JwtAlgorithm::Es256, JwtAlgorithm::Rs512];
        config.log.level = LogLevel::Off;
        config.auth.password = vec![
            ("z.\"user\"".to_owned(), Secret::new("pass word")),
            ("a".to_owned(), Secret::new("1")),
        ];
        let mut bridge = BridgeConfig {
            server: "wss://[::1]:9/x".parse().ok(),
            hybrid_bridging: true,
            hybrid_servers: vec!["h:1".parse().unwrap(), "tls+mqtt-tcp://h".parse().unwrap()],
            password: Secret::new("bridge secret"),
            keepalive: 5,
            username: "u".to_owned(),
            subscription: vec![BridgeSubscription::to("a/#")],
            ..BridgeConfig::default()
        };
        let forward = serde_json::json!([{"local_topic": "x", "qos": 2, "retain": 1}, "y"]);
        bridge.forwards = BridgeForward::read_all(&forward).unwrap();
        let properties = &mut bridge.conn_properties.user_property;
        properties.insert("a.b \"c\"".to_owned(), "d".to_owned());
        config.bridges.mqtt.insert("up.1 x".to_owned(), bridge);
        config
    }

    #[test]
    fn what_is_rendered_loads_back() {
        let folder = tempfile::tempdir().unwrap();
        for config in [Config::default(), unusual()] {
            let path = folder.path().join("effective.conf");
            std::fs::write(&path, render(&config, false)).unwrap();
            let loaded = crate::config::check(&path, None);
            assert_eq!(loaded.problems, []);
            let mut effective = loaded.effective.unwrap();
            // JSON objects are sorted by name, so the order of the users is not kept; it has no meaning.
            let mut config = config;
            effective.auth.password.sort_by(|a, b| a.0.cmp(&b.0));
            config.auth.password.sort_by(|a, b| a.0.cmp(&b.0));
            assert_eq!(effective, config);
        }
    }

    #[test]
    fn secrets_are_masked() {
        let text = render_effective(&unusual());
        assert!(
            !["top secret", "pass word", "bridge secret"]
                .iter()
                .any(|secret| text.contains(secret)),
            "{text}"
        );
        assert!(text.contains("password = \"******\""), "{text}");
    }

    #[test]
    fn the_json_form_of_the_model_reads_back() {
        let config = unusual();
        let mut read: Config =
            serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(read, config);
        read.auth.password.clear();
        assert_ne!(read, config);
    }

    #[test]
    fn changes_are_named_with_their_heat() {
        let old = Config::default();
        assert_eq!(changes(&old, &old.clone()), []);
        let mut new = old.clone();
        new.mqtt.max_qos = 1;
        new.log.level = LogLevel::Debug;
        new.http_server.port = 9000;
        new.http_server.password = Secret::new("x");
        new.auth.allow_anonymous = false;
        new.auth.password.push(("u".to_owned(), Secret::new("p")));
        let bridge = BridgeConfig {
            server: "h".parse().ok(),
            ..BridgeConfig::default()
        };
        let mut old = old;
        old.bridges.mqtt.insert("a".to_owned(), bridge.clone());
        new.bridges.mqtt.insert("a".to_owned(), bridge.clone());
        new.bridges
            .mqtt
            .entry("a".to_owned())
            .or_default()
            .keepalive = 9;
        new.listeners
            .tcp
            .values_mut()
            .for_each(|listener| listener.backlog = 1);
        let found: Vec<(String, bool)> = changes(&old, &new)
            .into_iter()
            .map(|change| (change.key, change.hot))
            .collect();
        let expected = [
            ("auth.allow_anonymous", true),
            ("auth.password.u", true),
            ("bridges.mqtt.a.keepalive", true),
            ("http_server.password", true),
            ("http_server.port", false),
            ("listeners.tcp.default.backlog", false),
            ("log.level", true),
            ("mqtt.max_qos", true),
        ];
        assert_eq!(found, expected.map(|(key, hot)| (key.to_owned(), hot)));
    }
}
