//! Reading what is posted as configuration: every member is a key that changes, or is as it is shown.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    bridge,
    shown::{self, MASK},
};
use crate::{
    api::error::RefusedKey,
    config::{
        BindAddr, BridgeChanges, Config, DEFAULT_LISTENER, ListenerKind, Secret, Setting,
        with_settings,
    },
    messages::{CertificateTexts, PemText},
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
const SECONDS: &str = "a number of seconds";
const FLAG: &str = "true or false";
const TEXT: &str = "a text";
const SECURE_WEBSOCKET: &str = "listeners.wss.default.enable";

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
    row("tls.enable", "listeners.ssl.default.enable", FLAG, flag),
    row(
        "tls.url",
        "listeners.ssl.default.bind",
        "an address such as nmq-tls://0.0.0.0:8883",
        tls_address,
    ),
    row(
        "tls.keypass",
        "listeners.ssl.default.key_password",
        TEXT,
        text,
    ),
    row(
        "tls.key_password",
        "listeners.ssl.default.key_password",
        TEXT,
        text,
    ),
    row(
        "tls.verify_peer",
        "listeners.ssl.default.verify_peer",
        FLAG,
        flag,
    ),
    row(
        "tls.fail_if_no_peer_cert",
        "listeners.ssl.default.fail_if_no_peer_cert",
        FLAG,
        flag,
    ),
    row(
        "websocket.enable",
        "listeners.ws.default.enable",
        FLAG,
        flag,
    ),
    row(
        "websocket.url",
        "listeners.ws.default.bind",
        "an address such as nmq-ws://0.0.0.0:8083/mqtt",
        ws_address,
    ),
    row(
        "websocket.tls_enable",
        "listeners.wss.default.enable",
        FLAG,
        flag,
    ),
    row(
        "websocket.tls_url",
        "listeners.wss.default.bind",
        "an address such as nmq-wss://0.0.0.0:8084/mqtt",
        wss_address,
    ),
    shown_as(
        row("auth_http.enable", "auth.http_auth.enable", FLAG, flag),
        |config| config.auth.http_auth.enable.to_string(),
    ),
    row(
        "auth_http.timeout",
        "auth.http_auth.timeout",
        SECONDS,
        seconds,
    ),
    row(
        "auth_http.connect_timeout",
        "auth.http_auth.connect_timeout",
        SECONDS,
        seconds,
    ),
    row(
        "auth_http.pool_size",
        "auth.http_auth.pool_size",
        NUMBER,
        number,
    ),
    row(
        "auth_http.cache_ttl",
        "auth.http_auth.cache_ttl",
        SECONDS,
        seconds,
    ),
    row(
        "auth_http.auth_req.url",
        "auth.http_auth.auth_req.url",
        TEXT,
        text,
    ),
    row(
        "auth_http.auth_req.method",
        "auth.http_auth.auth_req.method",
        TEXT,
        text,
    ),
    row(
        "auth_http.super_req.url",
        "auth.http_auth.super_req.url",
        TEXT,
        text,
    ),
    row(
        "auth_http.super_req.method",
        "auth.http_auth.super_req.method",
        TEXT,
        text,
    ),
    row(
        "auth_http.acl_req.url",
        "auth.http_auth.acl_req.url",
        TEXT,
        text,
    ),
    row(
        "auth_http.acl_req.method",
        "auth.http_auth.acl_req.method",
        TEXT,
        text,
    ),
    row("http_server.enable", "http_server.enable", FLAG, flag),
    row("http_server.port", "http_server.port", NUMBER, number),
    row("http_server.addr", "http_server.ip_addr", TEXT, text),
    row("http_server.username", "http_server.username", TEXT, text),
    row("http_server.password", "http_server.password", TEXT, text),
    row("http_server.auth_type", "http_server.auth_type", TEXT, text),
];

/// Members that stand for what is in the file that a key names.
const FILES: [(&str, &str); 3] = [
    ("tls.key", "listeners.ssl.default.keyfile"),
    ("tls.cert", "listeners.ssl.default.certfile"),
    ("tls.cacert", "listeners.ssl.default.cacertfile"),
];

/// Members that are accepted without effect, as in a file; they take whole numbers.
const WITHOUT_EFFECT: [&str; 3] = ["parallel", "property_size", "qos_duration"];

/// The name that the flat object has for a HOCON key; the key itself where it has none.
pub fn name_of(key: &str) -> &str {
    let row = ROWS.iter().map(|row| (row.name, row.key));
    let row = row.chain(FILES).find(|(_, of)| *of == key);
    row.map_or(key, |(name, _)| name)
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
        texts: Vec::new(),
        bridges: BridgeChanges::new(),
        ignored: Vec::new(),
        refused: Vec::new(),
    };
    for (name, value) in posted {
        reader.member(name, value, shown.get(name));
    }
    reader.leave_off(&[
        "listeners.ssl.default.enable",
        "listeners.ws.default.enable",
    ]);
    reader.switch_secure_websocket();
    reader.leave_off(&[SECURE_WEBSOCKET]);
    match reader.refused.is_empty() {
        true => Ok(Posted {
            settings: reader.settings,
            texts: reader.texts,
            bridges: reader.bridges,
            ignored: reader.ignored,
        }),
        false => Err(reader.refused),
    }
}

/// What is to change.
pub struct Posted {
    /// Keys and their values.
    pub settings: Vec<Setting>,
    /// Files and their texts.
    pub texts: Vec<PemText>,
    /// Bridges that become others, or end.
    pub bridges: BridgeChanges,
    /// Members that would change what is not built yet: taken, as a file with them would be, and told.
    pub ignored: Vec<String>,
}

struct Reader<'a> {
    running: &'a Config,
    settings: Vec<Setting>,
    texts: Vec<PemText>,
    bridges: BridgeChanges,
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
        if let Some((_, key)) = FILES.iter().find(|(file, _)| *file == name) {
            return self.file(path, key, value, shown);
        }
        if WITHOUT_EFFECT.contains(&name) {
            if !value.is_u64() {
                self.refuse(path, &format!("expected {NUMBER}"));
            }
            return;
        }
        match (value, shown) {
            (Value::Object(members), shown) if path == "bridge" => {
                let posted = bridge::read(members, shown, self.running);
                self.bridges = posted.changes;
                self.ignored.extend(posted.ignored);
                self.refused.extend(posted.refused);
            }
            (Value::Object(members), Value::Object(shown)) => {
                for (name, value) in members {
                    self.member(&format!("{path}.{name}"), value, shown.get(name));
                }
            }
            (value, shown) if value == shown => {}
            (_, Value::Object(_)) => self.refuse(path, "expected an object"),
            _ if path == "auth" => self.refuse(
                path,
                "users are changed in the configuration file, or by /auth_username",
            ),
            _ if path.starts_with("auth_http.") => {
                self.refuse(path, "is changed in the configuration file only");
            }
            _ => self.ignored.push(path.to_owned()),
        }
    }

    fn key(&mut self, path: &str, row: &Row, value: &Value, shown: &Value) {
        let is_mask = self.running.http_server.hide_secrets && value == MASK;
        if value == shown && (value.is_null() || is_mask || self.is_of_no_listener(row.key)) {
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

    /// A text for a file; null, as in the specification's example, leaves it as it is.
    fn file(&mut self, path: &str, key: &'static str, value: &Value, shown: &Value) {
        if value.is_null() || value == shown {
            return;
        }
        match value.as_str().filter(|text| !text.is_empty()) {
            Some(text) => self.texts.push(PemText {
                key,
                text: Secret::new(text),
            }),
            None => self.refuse(path, "expected a PEM text"),
        }
    }

    /// True for the key of a listener that is not there: what is shown in its place must not make it.
    fn is_of_no_listener(&self, key: &str) -> bool {
        let kind = key
            .strip_prefix("listeners.")
            .and_then(|rest| rest.split('.').next());
        let mut known = self.running.listeners.all();
        kind.is_some_and(|kind| {
            !known.any(|any| any.kind.as_str() == kind && any.name == DEFAULT_LISTENER)
        })
    }

    /// The flat object has no switch for WebSocket over TLS: it goes with those of TLS and WebSocket.
    fn switch_secure_websocket(&mut self) {
        let Ok(changed) = with_settings(self.running, &self.settings) else {
            return;
        };
        let on = |config: &Config, kind| {
            let mut all = config.listeners.all();
            all.any(|any| any.kind == kind && any.name == DEFAULT_LISTENER && any.common.enable)
        };
        let both = |config| on(config, ListenerKind::Ssl) && on(config, ListenerKind::Ws);
        let is_given = self
            .settings
            .iter()
            .any(|setting| setting.key == SECURE_WEBSOCKET);
        let (before, after) = (both(self.running), both(&changed));
        if before != after && !is_given && on(self.running, ListenerKind::Wss) != after {
            self.settings.push(Setting {
                key: SECURE_WEBSOCKET,
                value: Secret::new(after.to_string()),
            });
        }
    }

    /// A listener that is made by a change of something else than its switch is off, as it was shown.
    fn leave_off(&mut self, switches: &[&'static str]) {
        for &key in switches {
            let section = key.trim_end_matches("enable");
            let mut given = self
                .settings
                .iter()
                .filter(|setting| setting.key.starts_with(section));
            let has_text = self.texts.iter().any(|text| text.key.starts_with(section));
            let is_given = has_text || given.clone().next().is_some();
            let is_made = is_given && self.is_of_no_listener(key);
            if is_made && !given.any(|setting| setting.key == key) {
                self.settings.push(Setting {
                    key,
                    value: Secret::new("false"),
                });
            }
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

fn seconds(value: &Value) -> Option<String> {
    let time = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    Some(format!("{}ms", time.as_millis()))
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

fn tls_address(value: &Value) -> Option<String> {
    address_of(value, ListenerKind::Ssl)
}

fn ws_address(value: &Value) -> Option<String> {
    address_of(value, ListenerKind::Ws)
}

fn wss_address(value: &Value) -> Option<String> {
    address_of(value, ListenerKind::Wss)
}

/// An address with the scheme of a kind, without it. Whether the rest is one is seen when it is set.
fn address_of(value: &Value, kind: ListenerKind) -> Option<String> {
    let (scheme, address) = value.as_str()?.split_once("://")?;
    let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic());
    (ListenerKind::of_scheme(scheme) == Some(kind) && is_plain).then(|| address.to_owned())
}

/// What may be posted as configuration.
pub fn postable(running: &Config, texts: &CertificateTexts) -> Value {
    let mut shown = shown::everything(running, texts);
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
        read(
            posted,
            &postable(running, &CertificateTexts::default()),
            running,
        )
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
            let everything = shown::everything(&config, &CertificateTexts::default());
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
                json!({"tls": {"key": 1, "cert": ""}}),
                vec!["tls.cert", "tls.key"],
            ),
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
            "tls": {"verify_peer": false},
            "sqlite": {"resend_interval": 1},
        });
        let shown = postable(&config, &CertificateTexts::default());
        let read = read(posted.as_object().unwrap(), &shown, &config);
        let read = read.unwrap_or_else(|refused| panic!("{refused:?}"));
        assert!(
            read.settings
                .iter()
                .all(|setting| setting.holds_in(&config))
        );
        assert_eq!(read.ignored, ["sqlite.resend_interval"]);
    }
}
