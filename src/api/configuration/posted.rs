//! Reading what is posted as configuration: every member is a key that changes, or is as it is shown.

mod table;
#[cfg(test)]
mod tests;
mod values;

use serde_json::{Map, Value};

use self::table::{FILES, NUMBER, ROWS, Row, SECURE_WEBSOCKET, WITHOUT_EFFECT};
use super::{
    bridge,
    shown::{self, MASK},
};
use crate::{
    api::error::RefusedKey,
    config::{
        BridgeChanges, Config, DEFAULT_LISTENER, ListenerKind, Secret, Setting, with_settings,
    },
    messages::{CertificateTexts, PemText},
};

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
