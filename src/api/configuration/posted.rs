//! Reading what is posted as configuration: every member is a key that changes, or is as it is shown.

use serde_json::{Map, Value};

use super::shown::{self, MASK};
use crate::{
    api::error::RefusedKey,
    config::{BindAddr, Config, Secret, Setting, with_settings},
};

/// A member that stands for a key.
struct Row {
    /// Its name in the specification's flat object.
    name: &'static str,
    /// The HOCON key.
    key: &'static str,
    /// What the member takes.
    expects: &'static str,
    /// The value as a file would have it.
    read: fn(&Value) -> Option<String>,
    /// The exact value of the running configuration, where what is shown for it is not.
    exact: Option<fn(&Config) -> String>,
}

const fn row(
    name: &'static str,
    key: &'static str,
    expects: &'static str,
    read: fn(&Value) -> Option<String>,
) -> Row {
    Row {
        name,
        key,
        expects,
        read,
        exact: None,
    }
}

const fn shown_as(row: Row, exact: fn(&Config) -> String) -> Row {
    Row {
        exact: Some(exact),
        ..row
    }
}

const NUMBER: &str = "a whole number";
const KILOBYTES: &str = "a whole number of kilobytes";
const FLAG: &str = "true or false";
const TEXT: &str = "a text";

/// Every member that stands for a key. The members of the section `basic` have the names of the flat object.
const ROWS: &[Row] = &[
    row(
        "url",
        "listeners.tcp.default.bind",
        "an address such as nmq-tcp://0.0.0.0:1883",
        address,
    ),
    shown_as(
        row(
            "num_taskq_thread",
            "system.num_taskq_thread",
            NUMBER,
            number,
        ),
        |config| config.system.num_taskq_thread.to_string(),
    ),
    shown_as(
        row(
            "max_taskq_thread",
            "system.max_taskq_thread",
            NUMBER,
            number,
        ),
        |config| config.system.max_taskq_thread.to_string(),
    ),
    row("msq_len", "mqtt.max_mqueue_len", NUMBER, number),
    row("allow_anonymous", "auth.allow_anonymous", FLAG, flag),
    row("daemon", "system.daemon", FLAG, flag),
    shown_as(
        row(
            "max_packet_size",
            "mqtt.max_packet_size",
            KILOBYTES,
            kilobytes,
        ),
        |config| format!("{}B", config.mqtt.max_packet_size),
    ),
    shown_as(
        row(
            "client_max_packet_size",
            "mqtt.max_packet_size",
            KILOBYTES,
            kilobytes,
        ),
        |config| format!("{}B", config.mqtt.max_packet_size),
    ),
    row(
        "keepalive_backoff",
        "mqtt.keepalive_multiplier",
        "a number",
        fraction,
    ),
    row("http_server.enable", "http_server.enable", FLAG, flag),
    row("http_server.port", "http_server.port", NUMBER, number),
    row("http_server.addr", "http_server.ip_addr", TEXT, text),
    row("http_server.username", "http_server.username", TEXT, text),
    row("http_server.password", "http_server.password", TEXT, text),
    row("http_server.auth_type", "http_server.auth_type", TEXT, text),
];

/// Members that are accepted without effect, as in a file; they take whole numbers.
const WITHOUT_EFFECT: [&str; 3] = ["parallel", "property_size", "qos_duration"];

/// The name that the flat object has for a HOCON key; the key itself where it has none.
pub fn name_of(key: &str) -> &str {
    let row = ROWS.iter().find(|row| row.key == key);
    row.map_or(key, |row| row.name)
}

/// Reads members of the configuration. `shown` holds what is shown of `running`, the members that may be there.
///
/// # Errors
/// Every member that is unknown, has a value that it does not take, or would change what cannot be changed.
pub fn read(
    posted: &Map<String, Value>,
    shown: &Value,
    running: &Config,
) -> Result<Posted, Vec<RefusedKey>> {
    let mut reader = Reader {
        running,
        settings: Vec::new(),
        ignored: Vec::new(),
        refused: Vec::new(),
    };
    for (name, value) in posted {
        reader.member(name, value, shown.get(name));
    }
    match reader.refused.is_empty() {
        true => Ok(Posted {
            settings: reader.settings,
            ignored: reader.ignored,
        }),
        false => Err(reader.refused),
    }
}

/// What is to change.
pub struct Posted {
    /// Keys and their values.
    pub settings: Vec<Setting>,
    /// Members that would change what is not built yet: taken, as a file with them would be, and told.
    pub ignored: Vec<String>,
}

struct Reader<'a> {
    running: &'a Config,
    settings: Vec<Setting>,
    ignored: Vec<String>,
    refused: Vec<RefusedKey>,
}

impl Reader<'_> {
    /// Reads a member; `path` is its name with those of the objects around it.
    fn member(&mut self, path: &str, value: &Value, shown: Option<&Value>) {
        let name = path.strip_prefix("basic.").unwrap_or(path);
        let Some(shown) = shown else {
            return self.refuse(path, "there is no such key");
        };
        if let Some(row) = ROWS.iter().find(|row| row.name == name) {
            return self.key(path, row, value, shown);
        }
        if WITHOUT_EFFECT.contains(&name) {
            if !value.is_u64() {
                self.refuse(path, &format!("expected {NUMBER}"));
            }
            return;
        }
        match (value, shown) {
            (Value::Object(members), Value::Object(shown)) => {
                for (name, value) in members {
                    self.member(&format!("{path}.{name}"), value, shown.get(name));
                }
            }
            (value, shown) if value == shown => {}
            (_, Value::Object(_)) => self.refuse(path, "expected an object"),
            _ if path == "auth" => {
                self.refuse(path, "users are changed in the configuration file only");
            }
            _ => self.ignored.push(path.to_owned()),
        }
    }

    fn key(&mut self, path: &str, row: &Row, value: &Value, shown: &Value) {
        let is_mask = self.running.http_server.hide_secrets && value == MASK;
        if value == shown && (value.is_null() || is_mask) {
            return;
        }
        let written = match row.exact {
            Some(exact) if value == shown => Some(exact(self.running)),
            _ => (row.read)(value),
        };
        let Some(written) = written else {
            return self.refuse(path, &format!("expected {}", row.expects));
        };
        let setting = Setting {
            key: row.key,
            value: Secret::new(written),
        };
        if let Err(refused) = with_settings(self.running, std::slice::from_ref(&setting)) {
            return refused
                .iter()
                .for_each(|refusal| self.refuse(path, &refusal.why));
        }
        match self.settings.iter().find(|other| other.key == row.key) {
            Some(other) if other.value != setting.value => {
                let message = format!("is given twice, with another value as {}", row.key);
                self.refuse(path, &message);
            }
            Some(_) => {}
            None => self.settings.push(setting),
        }
    }

    fn refuse(&mut self, path: &str, message: &str) {
        self.refused.push(RefusedKey {
            key: path.to_owned(),
            message: message.to_owned(),
        });
    }
}

fn number(value: &Value) -> Option<String> {
    value.as_u64().map(|number| number.to_string())
}

fn kilobytes(value: &Value) -> Option<String> {
    value.as_u64().map(|number| format!("{number}KB"))
}

fn fraction(value: &Value) -> Option<String> {
    // Always with a point: the flat form takes whole numbers as thousandths.
    value.as_f64().map(|number| format!("{number:?}"))
}

fn flag(value: &Value) -> Option<String> {
    value.as_bool().map(|flag| flag.to_string())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn address(value: &Value) -> Option<String> {
    let address = value.as_str()?.strip_prefix("nmq-tcp://")?;
    let address: BindAddr = address.trim_end_matches('/').parse().ok()?;
    Some(address.to_string())
}

/// What may be posted as configuration.
pub fn postable(running: &Config) -> Value {
    let mut shown = shown::everything(running);
    if let Value::Object(members) = &mut shown {
        // Members of `basic` are taken without it too.
        if let Some(Value::Object(basic)) = members.get("basic").cloned() {
            for (name, value) in basic {
                members.entry(name).or_insert(value);
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_json(posted: Value, running: &Config) -> Result<Vec<Setting>, Vec<String>> {
        let posted = posted.as_object().unwrap();
        read(posted, &postable(running), running)
            .map(|posted| posted.settings)
            .map_err(|refused| refused.into_iter().map(|refused| refused.key).collect())
    }

    #[test]
    fn what_is_shown_can_be_posted_back_and_changes_nothing() {
        let mut config = Config::default();
        config.mqtt.max_packet_size = 1_000_001;
        config.auth.password = vec![("u".to_owned(), Secret::new("p"))];
        for hide_secrets in [false, true] {
            config.http_server.hide_secrets = hide_secrets;
            let everything = shown::everything(&config);
            for setting in read_json(everything, &config).unwrap() {
                assert!(setting.holds_in(&config), "{setting:?}");
            }
        }
    }

    #[test]
    fn every_wrong_member_is_named() {
        let config = Config::default();
        for (posted, expected) in [
            (
                json!({"msq_len": "5", "daemon": 1}),
                vec!["daemon", "msq_len"],
            ),
            (json!({"msq_len": -1}), vec!["msq_len"]),
            (json!({"msq_len": 1.5}), vec!["msq_len"]),
            (json!({"msq_len": null}), vec!["msq_len"]),
            (
                json!({"msq_len": 0, "daemon": 0}),
                vec!["daemon", "msq_len"],
            ),
            (json!({"url": "0.0.0.0:1883"}), vec!["url"]),
            (json!({"url": "nmq-tcp://0.0.0.0:1\nx"}), vec!["url"]),
            (json!({"parallel": "many"}), vec!["parallel"]),
            (json!({"nonsense": 1}), vec!["nonsense"]),
            (json!({"tls": {"x": true}}), vec!["tls.x"]),
            (json!({"tls": true}), vec!["tls"]),
            (
                json!({"http_server": {"port": "1"}}),
                vec!["http_server.port"],
            ),
            (json!({"basic": {"daemon": 0}}), vec!["basic.daemon"]),
            (json!({"auth": []}), vec![]),
            (json!({"auth": [{"login": "x"}]}), vec!["auth"]),
            (
                json!({"basic": {"msq_len": 1}, "msq_len": 2}),
                vec!["msq_len"],
            ),
        ] {
            let refused = read_json(posted.clone(), &config).err().unwrap_or_default();
            assert_eq!(refused, expected, "{posted}");
        }
    }

    #[test]
    fn changes_of_what_is_not_built_are_told_and_change_nothing() {
        let config = Config::default();
        let posted = json!({
            "tls": {"enable": true, "verify_peer": false},
            "bridge": {"forwards": ["a"]},
            "websocket": {"enable": true},
        });
        let read = read(posted.as_object().unwrap(), &postable(&config), &config);
        let read = read.unwrap_or_else(|refused| panic!("{refused:?}"));
        assert!(read.settings.is_empty());
        let mut ignored = read.ignored;
        ignored.sort_unstable();
        assert_eq!(
            ignored,
            ["bridge.forwards", "tls.enable", "websocket.enable"]
        );
    }
}
