//! Puts entries into the model, in their order, and reports every problem on the way.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Strictness;
use super::aliases::{self, Target};
use super::entry::{Entry, Names, Stored, Trouble, Value};
use super::keys::{self, Key, Role};
use super::load::option_entry;
use super::model::{Config, DEFAULT_LISTENER, ListenerKind, Listeners, WsListener, WssListener};
use super::nearest;
use super::problem::{Place, Problem};

/// Switches of NanoMQ; one that is off says that what stands beside it is not wanted.
const SWITCHES: [&str; 3] = ["enable", "bridge_mode", "ENABLE"];

/// Puts entries into a configuration one after the other; the later wins.
pub(crate) struct Applier<'a> {
    config: &'a mut Config,
    strictness: Strictness,
    problems: &'a mut Vec<Problem>,
    /// Where each key got its value.
    places: HashMap<String, Place>,
    /// What was already said once.
    said: HashSet<String>,
}

impl<'a> Applier<'a> {
    /// Starts from `config`.
    pub(crate) fn new(
        config: &'a mut Config,
        strictness: Strictness,
        problems: &'a mut Vec<Problem>,
    ) -> Self {
        Self {
            config,
            strictness,
            problems,
            places: HashMap::new(),
            said: HashSet::new(),
        }
    }

    /// Applies the entries of one source.
    pub(crate) fn source(&mut self, entries: &[Entry]) {
        let off: Vec<&[String]> = entries.iter().filter_map(switched_off).collect();
        for entry in entries {
            let is_off = off.iter().any(|prefix| entry.path.starts_with(prefix));
            self.entry(entry, is_off);
        }
    }

    /// Forgets the listeners, because a source describes its own.
    pub(crate) fn clear_listeners(&mut self) {
        self.config.listeners = Listeners::none();
    }

    /// Applies the addresses of the command line: if there is one that can be listened on, they replace all listeners,
    /// each with the settings of the default one of its kind.
    pub(crate) fn urls(&mut self, urls: &[String]) {
        if urls.is_empty() {
            return;
        }
        let mut listeners = Listeners::none();
        for (n, url) in urls.iter().enumerate() {
            if self.url(n, url, &mut listeners).is_err() {
                let entry = option_entry("--url", "listeners", url.clone());
                let expects = "an address such as nmq-tcp://0.0.0.0:1883";
                self.unexpected(&entry, expects, &entry.value);
            }
        }
        if !listeners.is_empty() {
            self.config.listeners = listeners;
        }
    }

    /// Adds the listener of the `n`th address of the command line.
    fn url(&self, n: usize, url: &str, listeners: &mut Listeners) -> Stored {
        let value = Value::Text(url.to_owned());
        let kind = match url.trim().split_once("://") {
            None => ListenerKind::Tcp,
            Some((scheme, _)) => ListenerKind::of_scheme(scheme).ok_or(Trouble::Unexpected)?,
        };
        let known = &self.config.listeners;
        match kind {
            ListenerKind::Tcp => {
                let mut listener = known.tcp.get(DEFAULT_LISTENER).cloned().unwrap_or_default();
                value.bind(&mut listener.bind, kind)?;
                listener.enable = true;
                add(&mut listeners.tcp, n, listener);
            }
            ListenerKind::Ssl => {
                let mut listener = known.ssl.get(DEFAULT_LISTENER).cloned().unwrap_or_default();
                value.bind(&mut listener.common.bind, kind)?;
                listener.common.enable = true;
                add(&mut listeners.ssl, n, listener);
            }
            ListenerKind::Ws => {
                let mut listener = known.ws.get(DEFAULT_LISTENER).cloned().unwrap_or_default();
                let WsListener { common, websocket } = &mut listener;
                value.bind_with_path(&mut common.bind, &mut websocket.path, kind)?;
                common.enable = true;
                add(&mut listeners.ws, n, listener);
            }
            ListenerKind::Wss => {
                let mut listener = known.wss.get(DEFAULT_LISTENER).cloned().unwrap_or_default();
                let tls = known.tls_of(kind, DEFAULT_LISTENER);
                if let Some(tls) = tls.or_else(|| known.tls_of(ListenerKind::Ssl, DEFAULT_LISTENER))
                {
                    listener.tls = tls.clone();
                }
                let WssListener {
                    common, websocket, ..
                } = &mut listener;
                value.bind_with_path(&mut common.bind, &mut websocket.path, kind)?;
                common.enable = true;
                add(&mut listeners.wss, n, listener);
            }
        }
        Ok(())
    }

    /// Where each key got its value, by its HOCON name.
    pub(crate) fn into_places(self) -> HashMap<String, Place> {
        self.places
    }

    fn entry(&mut self, entry: &Entry, is_off: bool) {
        let alias = match entry.names {
            Names::Hocon => None,
            Names::Flat => aliases::find_flat(&entry.path),
            Names::Env => aliases::find_env(&entry.path.join("_")),
        };
        match alias.map(|alias| (alias.name, &alias.target)) {
            None if entry.names == Names::Env => self.unknown_variable(entry),
            None => self.hocon(entry, &entry.path, &entry.value, is_off),
            Some((_, Target::Elsewhere)) => {}
            Some((_, Target::Ignored(why))) => self.ignored(entry, why),
            Some((pattern, Target::NotBuilt(what))) => self.not_built(entry, pattern, what, is_off),
            Some((_, Target::Key(path, convert))) => {
                let path: Vec<String> = path.split('.').map(str::to_owned).collect();
                let value = match &entry.value {
                    Value::Text(text) => Value::Text(convert(text.trim())),
                    other => other.clone(),
                };
                self.hocon(entry, &path, &value, is_off);
            }
        }
    }

    fn hocon(&mut self, entry: &Entry, path: &[String], value: &Value, is_off: bool) {
        let path = normalised(path);
        match keys::find(&path) {
            Some(key) => self.known(entry, key, &path, value, is_off),
            None if !keys::is_section(&path) => self.unknown(entry, &path),
            None if *value == Value::Empty => {}
            None => {
                let message = "is a section: expected { .. } with keys in it";
                self.problems
                    .push(entry.place.error(Some(&entry.label), message));
            }
        }
    }

    fn known(&mut self, entry: &Entry, key: &Key, path: &[String], value: &Value, is_off: bool) {
        match key.role {
            Role::Ignored(why) => self.ignored(entry, why),
            Role::NotBuilt(what) => self.not_built(entry, key.path, what, is_off),
            Role::OtherName { expects, set } => {
                self.places.insert(path.join("."), entry.place.clone());
                let done = set(self.config, value, &keys::name_in(key.path, path));
                self.settle(entry, done, expects, Some(value));
            }
            Role::Setting {
                expects,
                secret,
                set,
                ..
            } => {
                self.places.insert(path.join("."), entry.place.clone());
                let done = set(self.config, value, &keys::name_in(key.path, path));
                self.settle(entry, done, expects, (!secret).then_some(value));
            }
        }
    }

    /// Tells what came of setting a key; `shown` is its value, unless that is a secret.
    fn settle(
        &mut self,
        entry: &Entry,
        done: Result<(), Trouble>,
        expects: &str,
        shown: Option<&Value>,
    ) {
        match (done, shown) {
            (Ok(()), _) => {}
            (Err(Trouble::Note(note)), _) => self.warn(entry, note),
            (Err(Trouble::Wrong(message)), _) => self.refuse(entry, message),
            (Err(Trouble::WrongAt(place, message)), _) => {
                self.problems.push(place.error(Some(&entry.label), message));
            }
            (Err(Trouble::Unexpected), None) => self.refuse(entry, format!("expected {expects}")),
            (Err(Trouble::Unexpected), Some(value)) => self.unexpected(entry, expects, value),
        }
    }

    fn unexpected(&mut self, entry: &Entry, expects: &str, value: &Value) {
        self.refuse(entry, format!("expected {expects}, got {}", value.shown()));
    }

    fn refuse(&mut self, entry: &Entry, message: String) {
        self.problems
            .push(entry.place.error(Some(&entry.label), message));
    }

    fn warn(&mut self, entry: &Entry, message: String) {
        self.problems
            .push(entry.place.warning(Some(&entry.label), message));
    }

    fn ignored(&mut self, entry: &Entry, why: &str) {
        self.warn(entry, format!("has no effect here: {why}"));
    }

    /// Says once for each thing that is not built that it is ignored.
    fn not_built(&mut self, entry: &Entry, pattern: &str, what: &str, is_off: bool) {
        if is_off || !self.said.insert(what.to_owned()) {
            return;
        }
        let section = pattern.strip_suffix(".**");
        let names = section.map_or(entry.path.len(), |section| section.split('.').count());
        let section = section.unwrap_or(&entry.label);
        let message = format!("{what} are not built yet and are ignored");
        self.problems
            .push(entry.place_of(names).warning(Some(section), message));
    }

    /// Reports the shortest part of the path that no known key begins with, once.
    fn unknown(&mut self, entry: &Entry, path: &[String]) {
        let is_whole = entry.names != Names::Hocon;
        let shortest = (1..path.len())
            .filter_map(|length| path.get(..length))
            .find(|part| !is_whole && !keys::is_section(part));
        let part = shortest.unwrap_or(path);
        let name = shortest.map_or(entry.label.clone(), |part| part.join("."));
        if !self.said.insert(format!("unknown {name}")) {
            return;
        }
        let place = entry.place_of(part.len());
        if let Some(Role::Setting { expects, .. }) = keys::find(part).map(|key| &key.role) {
            let message = format!("expected {expects}, got an object");
            self.problems.push(place.error(Some(&name), message));
            return;
        }
        let found = match shortest {
            Some(part) => nearest::section(part),
            None => nearest::key(path, entry.names),
        };
        let hint = found.map_or(String::new(), |found| format!("; did you mean {found}?"));
        self.problems.push(match self.strictness {
            Strictness::Check => place.error(Some(&name), format!("unknown key{hint}")),
            Strictness::Start => place.warning(Some(&name), format!("unknown key, ignored{hint}")),
        });
    }

    /// A variable that only looks like one of ours is often set by a container manager, so only a slip is reported.
    fn unknown_variable(&mut self, entry: &Entry) {
        if let Some(found) = nearest::variable(&entry.path.join("_")) {
            self.warn(
                entry,
                format!("unknown variable; did you mean NANOMQ_{found}?"),
            );
        }
    }
}

/// The path of what an entry switches off, if it is a switch that does.
fn switched_off(entry: &Entry) -> Option<&[String]> {
    let (last, parent) = entry.path.split_last()?;
    let is_switch = SWITCHES.contains(&last.as_str()) && entry.value.is_off();
    (is_switch && !parent.is_empty()).then_some(parent)
}

/// Adds the listener of the `n`th address of the command line. The first of its kind is the default one.
fn add<L>(listeners: &mut BTreeMap<String, L>, n: usize, listener: L) {
    let name = match listeners.is_empty() {
        true => DEFAULT_LISTENER.to_owned(),
        false => format!("url_{}", n + 1),
    };
    listeners.insert(name, listener);
}

/// Gives the listener without a name its name.
pub(crate) fn normalised(path: &[String]) -> Vec<String> {
    match path {
        [listeners, kind, field] if listeners == "listeners" && is_kind(kind) => {
            vec![
                listeners.clone(),
                kind.clone(),
                DEFAULT_LISTENER.to_owned(),
                field.clone(),
            ]
        }
        _ => path.to_vec(),
    }
}

/// True for the name of a kind of listener.
pub(crate) fn is_kind(name: &str) -> bool {
    ["tcp", "ssl", "ws", "wss"].contains(&name)
}
