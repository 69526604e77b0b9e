//! Changing single keys of a configuration: in a model, and in the file it came from.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::apply::normalised;
use super::edit::{Way, edit};
use super::entry::{Trouble, Value};
use super::keys::{self, Role};
use super::load::{ENV_PREFIX, FileForm, Loaded, Overrides, Strictness, read_text};
use super::model::Config;
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
        match set(config, &value, keys::name_in(key.path, &path)) {
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

/// The file at `path` with the settings in it. Those that a start would have already leave the file as it is. The
/// new text is read again, and makes what the old one made, except for the settings, or is refused.
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
    if changed.is_empty() {
        return Ok(EditedFile {
            text: None,
            config: before.config,
        });
    }
    let old = alone(&text).map_err(|problems| refusals(&problems))?;
    let edited = edited(&text, &old, &changed, alone)?;
    let after = whole(&edited).map_err(|problems| refusals(&problems))?;
    let overridden: Vec<Refusal> = changed
        .iter()
        .filter(|setting| !setting.holds_in(&after.config))
        .map(|setting| {
            let why = "is set by the environment or the command line, which win over the file";
            Refusal::new(setting.key, why)
        })
        .collect();
    match overridden.is_empty() {
        true => Ok(EditedFile {
            text: Some(edited),
            config: after.config,
        }),
        false => Err(overridden),
    }
}

/// The text that makes what `old` is, with the settings in it.
fn edited(
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
    // Errors that belong to keys are about the values; others are about the edit, which is given up then.
    refused.retain(|refusal| !refusal.key.is_empty());
    if refused.is_empty() {
        let why = "the file is written in a way in which it cannot be changed";
        refused = settings
            .iter()
            .map(|setting| Refusal::new(setting.key, why))
            .collect();
    }
    Err(refused)
}

#[cfg(test)]
mod tests;
