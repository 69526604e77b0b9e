//! Changing single keys of a configuration: in a model, and in the file it came from.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::apply::normalised;
use super::edit::{Way, edit};
use super::edit_bridge::edit_bridge;
use super::entry::{Trouble, Value};
use super::keys::{self, Role};
use super::load::{ENV_PREFIX, FileForm, Loaded, Overrides, Strictness, read_text};
use super::model::Config;
use super::model_bridges::BridgeConfig;
use super::problem::{Problem, Severity};
use super::values::Secret;

/// A key and the value it is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The HOCON key, without quoted names.
    pub key: &'static str,
    /// The value as a file would have it. It may be a password, so it is not shown.
    pub value: Secret,
}

impl Setting {
    /// The key's names.
    pub(crate) fn path(&self) -> Vec<String> {
        let path: Vec<String> = self.key.split('.').map(str::to_owned).collect();
        normalised(&path)
    }

    /// True when a running broker takes a change of the key over without a restart.
    pub fn is_hot(&self) -> bool {
        keys::find(&self.path())
            .is_some_and(|key| matches!(key.role, Role::Setting { hot: true, .. }))
    }

    /// True when the configuration has the value already.
    pub fn holds_in(&self, config: &Config) -> bool {
        let mut changed = config.clone();
        self.apply(&mut changed).is_ok() && changed == *config
    }

    fn apply(&self, config: &mut Config) -> Result<(), String> {
        let path = self.path();
        let Some(key) = keys::find(&path) else {
            return Err("there is no such key".to_owned());
        };
        let Role::Setting {
            expects,
            secret,
            set,
            ..
        } = key.role
        else {
            return Err("cannot be changed".to_owned());
        };
        let value = Value::Text(self.value.expose().to_owned());
        match set(config, &value, &keys::name_in(key.path, &path)) {
            Ok(()) => Ok(()),
            Err(Trouble::Unexpected) if secret => Err(format!("expected {expects}")),
            Err(Trouble::Unexpected) => Err(format!("expected {expects}, got {}", value.shown())),
            Err(Trouble::Note(note) | Trouble::Wrong(note) | Trouble::WrongAt(_, note)) => {
                Err(note)
            }
        }
    }
}

/// A key that cannot have the value it was to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HOCON key; empty when no single key is to blame.
    pub key: String,
    /// Why not. A secret value never stands in it.
    pub why: String,
}

impl Refusal {
    fn new(key: &str, why: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            why: why.into(),
        }
    }
}

/// The errors among problems, as refusals.
pub fn refusals(problems: &[Problem]) -> Vec<Refusal> {
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error);
    errors
        .map(|problem| match &problem.key {
            Some(key) => Refusal::new(key, problem.message.as_str()),
            None => Refusal::new("", problem.to_string()),
        })
        .collect()
}

/// `config` with the settings in it. How they go together is not looked at.
///
/// # Errors
/// Every setting whose value the key does not take.
pub fn with_settings(config: &Config, settings: &[Setting]) -> Result<Config, Vec<Refusal>> {
    let mut changed = config.clone();
    let mut refused = Vec::new();
    for setting in settings {
        if let Err(why) = setting.apply(&mut changed) {
            refused.push(Refusal::new(setting.key, why));
        }
    }
    match refused.is_empty() {
        true => Ok(changed),
        false => Err(refused),
    }
}

/// What a file is to become.
#[derive(Debug, Clone, PartialEq)]
pub struct EditedFile {
    /// Its new text; none when it need not change.
    pub text: Option<String>,
    /// The configuration that a start with it would make, environment and command line included.
    pub config: Config,
}

/// Bridges that change, by name: what they become, or nothing when they end.
pub type BridgeChanges = BTreeMap<String, Option<BridgeConfig>>;

/// `config` with the bridges in it. How they go together is not looked at.
pub fn with_bridges(mut config: Config, bridges: &BridgeChanges) -> Config {
    for (name, bridge) in bridges {
        match bridge {
            Some(bridge) => _ = config.bridges.mqtt.insert(name.clone(), bridge.clone()),
            None => _ = config.bridges.mqtt.remove(name),
        }
    }
    config
}

/// The file at `path` with the settings and bridges in it. Those that a start would have already leave the file as it
/// is. The new text is read again, and makes what the old one made, except for them, or is refused.
///
/// # Errors
/// Every reason that is known: values that the keys do not take or that do not go together, keys that the
/// environment or the command line sets, or a file that has errors already.
pub fn edit_file(
    path: &Path,
    form: Option<FileForm>,
    overrides: &Overrides,
    env: impl IntoIterator<Item = (String, String)>,
    settings: &[Setting],
    bridges: &BridgeChanges,
) -> Result<EditedFile, Vec<Refusal>> {
    let all: HashMap<String, String> = env.into_iter().collect();
    let mut of_file = all.clone();
    of_file.retain(|name, _| !name.starts_with(ENV_PREFIX));
    let none = Overrides::default();
    let start = Strictness::Start;
    // With everything that a start looks at, and the file alone.
    let whole = |text: &str| Config::load_text(path, text, form, start, all.clone(), overrides);
    let alone = |text: &str| Config::load_text(path, text, form, start, of_file.clone(), &none);

    with_settings(&Config::default(), settings)?;
    let text = read_text(&Arc::from(path)).map_err(|problem| refusals(&[problem]))?;
    let before = whole(&text).map_err(|problems| refusals(&problems))?;
    let changed: Vec<Setting> = settings
        .iter()
        .filter(|setting| !setting.holds_in(&before.config))
        .cloned()
        .collect();
    let mut edited = text.clone();
    if !changed.is_empty() {
        let old = alone(&edited).map_err(|problems| refusals(&problems))?;
        edited = with_settings_in(&edited, &old, &changed, alone)?;
    }
    for (name, bridge) in bridges {
        let is_there = before.config.bridges.mqtt.get(name) == bridge.as_ref();
        if !is_there {
            let old = alone(&edited).map_err(|problems| refusals(&problems))?;
            edited = with_bridge_in(&edited, &old, name, bridge.as_ref(), alone)?;
        }
    }
    if edited == text {
        return Ok(EditedFile {
            text: None,
            config: before.config,
        });
    }
    let after = whole(&edited).map_err(|problems| refusals(&problems))?;
    let why = "is set by the environment or the command line, which win over the file";
    let overridden = changed
        .iter()
        .filter(|setting| !setting.holds_in(&after.config))
        .map(|setting| Refusal::new(setting.key, why));
    let other = bridges
        .iter()
        .filter(|(name, bridge)| after.config.bridges.mqtt.get(*name) != bridge.as_ref())
        .map(|(name, _)| Refusal::new(&format!("bridges.mqtt.{name}"), why));
    let overridden: Vec<Refusal> = overridden.chain(other).collect();
    match overridden.is_empty() {
        true => Ok(EditedFile {
            text: Some(edited),
            config: after.config,
        }),
        false => Err(overridden),
    }
}

/// The text that makes what `old` is, with the settings in it.
fn with_settings_in(
    text: &str,
    old: &Loaded,
    settings: &[Setting],
    load: impl Fn(&str) -> Result<Loaded, Vec<Problem>>,
) -> Result<String, Vec<Refusal>> {
    let wanted = with_settings(&old.config, settings)?;
    let form = old.form.unwrap_or(FileForm::Hocon);
    let mut refused = Vec::new();
    for way in [Way::Replace, Way::Append] {
        let edited = edit(text, form, settings, way).map_err(|key| {
            vec![Refusal::new(
                key,
                "a line break cannot be written in this form of file",
            )]
        })?;
        match load(&edited) {
            Ok(loaded) if loaded.config == wanted => return Ok(edited),
            Ok(_) => {}
            Err(problems) => refused = refusals(&problems),
        }
    }
    let keys = settings.iter().map(|setting| setting.key.to_owned());
    Err(given_up(refused, keys))
}

/// The text that makes what `old` is, with a bridge in it, or without it.
fn with_bridge_in(
    text: &str,
    old: &Loaded,
    name: &str,
    bridge: Option<&BridgeConfig>,
    load: impl Fn(&str) -> Result<Loaded, Vec<Problem>>,
) -> Result<String, Vec<Refusal>> {
    let change = BridgeChanges::from([(name.to_owned(), bridge.cloned())]);
    let wanted = with_bridges(old.config.clone(), &change);
    let before = old.config.bridges.mqtt.get(name);
    let form = old.form.unwrap_or(FileForm::Hocon);
    let mut refused = Vec::new();
    for edited in edit_bridge(text, form, name, before, bridge) {
        match load(&edited) {
            Ok(loaded) if loaded.config == wanted => return Ok(edited),
            Ok(_) => {}
            Err(problems) => refused = refusals(&problems),
        }
    }
    let key = format!("bridges.mqtt.{name}");
    Err(given_up(refused, std::iter::once(key)))
}

/// Why a file was not changed. Errors that belong to keys are about the values; others are about the edit.
fn given_up(mut refused: Vec<Refusal>, keys: impl Iterator<Item = String>) -> Vec<Refusal> {
    refused.retain(|refusal| !refusal.key.is_empty());
    if refused.is_empty() {
        let why = "the file is written in a way in which it cannot be changed";
        refused = keys.map(|key| Refusal::new(&key, why)).collect();
    }
    refused
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod bridge_tests;
