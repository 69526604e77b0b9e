//! Loading: defaults, then the file, then the environment, then the command line. The later wins.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::apply::{Applier, is_kind};
use super::entry::{Entry, Names, Value};
use super::model::Config;
use super::problem::{Place, Problem, any_error};
use super::values::Secret;
use super::{aliases, flat, hocon_file, validate};

/// The largest file that is read, in bytes. NanoMQ's largest has 60 KB.
const MAX_FILE: u64 = 8 << 20;

/// What every environment variable of the broker begins with.
pub(crate) const ENV_PREFIX: &str = "NANOMQ_";

/// The two ways a configuration file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileForm {
    /// HOCON, as NanoMQ since 0.14.
    Hocon,
    /// `key = value` lines, as NanoMQ 0.7 to 0.13.
    Flat,
}

/// What an unknown key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// An error: the file is being checked.
    Check,
    /// A warning: the broker is being started, and a key of another version must not keep it down.
    Start,
}

/// What the command line says about the configuration. Texts are read by the same rules as the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--url`: `nmq-tcp://host:port`, `nmq-tls://`, `nmq-ws://` or `nmq-wss://`, repeatable. The listeners given here replace those of the file.
    pub url: Vec<String>,
    /// `--http`: serve the HTTP API.
    pub http: bool,
    /// `--port`: port of the HTTP API.
    pub port: Option<u16>,
    /// `--log_level`: a level of `log.level`.
    pub log_level: Option<String>,
    /// `--daemon`: run in the background.
    pub daemon: bool,
    /// `--tq_thread`: worker threads.
    pub num_taskq_thread: Option<u64>,
    /// `--max_tq_thread`: most worker threads.
    pub max_taskq_thread: Option<u64>,
    /// `--parallel`: accepted without effect.
    pub parallel: Option<u64>,
    /// `--property_size`: accepted without effect.
    pub property_size: Option<u64>,
    /// `--msq_len`: most messages waiting for one session.
    pub msq_len: Option<u64>,
    /// `--qos_duration`: accepted without effect.
    pub qos_duration: Option<u64>,
    /// `--cert`: certificate of the TLS listener.
    pub certfile: Option<String>,
    /// `--auth`: a flat file of NanoMQ with users.
    pub auth: Option<PathBuf>,
    /// `--auth_http`: a flat file of NanoMQ with requests to an HTTP server.
    pub auth_http: Option<PathBuf>,
    /// `--key`: its private key.
    pub keyfile: Option<String>,
    /// `--keypass`: the password of the key.
    pub key_password: Option<Secret>,
    /// `--cacert`: authorities of client certificates.
    pub cacertfile: Option<String>,
    /// `--verify`: ask clients for a certificate.
    pub verify_peer: bool,
    /// `--fail`: refuse those that have none.
    pub fail_if_no_peer_cert: bool,
}

/// A configuration that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is ignored or probably not meant so.
    pub warnings: Vec<Problem>,
    /// The form of the file; `None` without a file.
    pub form: Option<FileForm>,
    /// The file that was read.
    pub path: Option<PathBuf>,
}

impl Config {
    /// Loads a configuration from a file, environment variables (only those that begin with `NANOMQ_` count, and
    /// `${NAME}` in HOCON sees all) and the command line. Without `path`, `NANOMQ_CONF_PATH` names the file; without that
    /// there is none. Without `form` it is guessed from the text.
    ///
    /// # Errors
    /// Every problem, errors and warnings, when at least one is an error.
    pub fn load(
        path: Option<&Path>,
        form: Option<FileForm>,
        strictness: Strictness,
        env: impl IntoIterator<Item = (String, String)>,
        overrides: &Overrides,
    ) -> Result<Loaded, Vec<Problem>> {
        let env: HashMap<String, String> = env.into_iter().collect();
        let from_env = env
            .get("NANOMQ_CONF_PATH")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from);
        let path = path.map(Path::to_path_buf).or(from_env);
        let file = path.as_deref().map(|path| {
            let path: Arc<Path> = Arc::from(path);
            let text = read_text(&path);
            (path, text)
        });
        assemble(file, form, strictness, &env, overrides)
    }

    /// As [`Config::load`], with `text` in the place of what is in the file at `path`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_text(
        path: &Path,
        text: &str,
        form: Option<FileForm>,
        strictness: Strictness,
        env: impl IntoIterator<Item = (String, String)>,
        overrides: &Overrides,
    ) -> Result<Loaded, Vec<Problem>> {
        let env: HashMap<String, String> = env.into_iter().collect();
        let file = (Arc::from(path), Ok(text.to_owned()));
        assemble(Some(file), form, strictness, &env, overrides)
    }

    /// What is wrong with the configuration as a whole: keys that do not go together.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        validate::whole(self, &HashMap::new(), &mut problems);
        problems
    }
}

/// Puts the sources together; of the file it gets the text, or why there is none.
fn assemble(
    file: Option<(Arc<Path>, Result<String, Problem>)>,
    form: Option<FileForm>,
    strictness: Strictness,
    env: &HashMap<String, String>,
    overrides: &Overrides,
) -> Result<Loaded, Vec<Problem>> {
    let mut problems = Vec::new();
    let path = file.as_ref().map(|(path, _)| path.to_path_buf());
    let file = file.and_then(|(path, text)| read_file(&path, text, form, env, &mut problems));

    let named = [
        (&overrides.auth, "NANOMQ_AUTH_CONF_PATH"),
        (&overrides.auth_http, "NANOMQ_AUTH_HTTP_CONF_PATH"),
    ];
    let beside: Vec<Vec<Entry>> = named
        .into_iter()
        .filter_map(|(option, variable)| {
            let variable = env.get(variable).filter(|path| !path.is_empty());
            option.clone().or_else(|| variable.map(PathBuf::from))
        })
        .filter_map(|path| beside(&path, &mut problems))
        .collect();

    let mut config = Config::default();
    let mut applier = Applier::new(&mut config, strictness, &mut problems);
    if let Some((_, entries)) = &file {
        if entries.iter().any(describes_listener) {
            applier.clear_listeners();
        }
        applier.source(entries);
    }
    for entries in &beside {
        applier.source(entries);
    }
    applier.source(&environment(env));
    applier.source(&command_line(overrides));
    applier.urls(&overrides.url);
    let places = applier.into_places();
    validate::whole(&config, &places, &mut problems);
    // In the order of the lines; what has none comes after what has.
    problems.sort_by(|a, b| {
        (a.file.is_none(), &a.file, a.line).cmp(&(b.file.is_none(), &b.file, b.line))
    });
    if any_error(&problems) {
        return Err(problems);
    }
    Ok(Loaded {
        config,
        warnings: problems,
        form: file.map(|(form, _)| form),
        path,
    })
}

/// Reads a text file, or says why not.
pub(crate) fn read_text(path: &Arc<Path>) -> Result<String, Problem> {
    let problem = |message: String| Place::file(path).error(None, message);
    let file = File::open(path).map_err(|error| problem(format!("cannot be read: {error}")))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| problem(format!("cannot be read: {error}")))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(problem(format!("is larger than {MAX_FILE} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error
            .as_bytes()
            .get(..error.utf8_error().valid_up_to())
            .unwrap_or(&[]);
        let line = good.iter().filter(|byte| **byte == b'\n').count();
        let line = u32::try_from(line).unwrap_or(u32::MAX).saturating_add(1);
        Place {
            line: Some(line),
            ..Place::file(path)
        }
        .error(None, "is not UTF-8 text")
    })
}

fn read_file(
    path: &Arc<Path>,
    text: Result<String, Problem>,
    form: Option<FileForm>,
    env: &HashMap<String, String>,
    problems: &mut Vec<Problem>,
) -> Option<(FileForm, Vec<Entry>)> {
    let text = match text {
        Ok(text) => text,
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    let form = form.unwrap_or_else(|| flat::detect(&text));
    let entries = match form {
        FileForm::Hocon => hocon_file::read(path, &text, env, problems),
        FileForm::Flat => flat::read(path, &text, problems),
    };
    Some((form, entries))
}

/// Reads one of the flat files in which NanoMQ 0.7 and 0.8 keep what is about `auth`. Nothing else may be in it.
fn beside(path: &Path, problems: &mut Vec<Problem>) -> Option<Vec<Entry>> {
    let path: Arc<Path> = Arc::from(path);
    let text = read_text(&path)
        .map_err(|problem| problems.push(problem))
        .ok()?;
    let entries = flat::read(&path, &text, problems);
    let (about, others): (Vec<Entry>, Vec<Entry>) = entries
        .into_iter()
        .partition(|entry| entry.path.first().is_some_and(|name| name == "auth"));
    problems.extend(others.iter().map(|entry| {
        let message = "is not about auth and does not belong in this file";
        entry.place.error(Some(&entry.label), message)
    }));
    Some(about)
}

/// Whether an entry of a file describes a listener.
fn describes_listener(entry: &Entry) -> bool {
    match &entry.path[..] {
        [listeners, kind, _, ..] => {
            entry.names == Names::Hocon && listeners == "listeners" && is_kind(kind)
        }
        _ => false,
    }
}

/// The entries of the environment, by name so that the order of problems does not change from run to run.
fn environment(env: &HashMap<String, String>) -> Vec<Entry> {
    let mut variables: Vec<(&str, &str)> = Vec::new();
    for (name, value) in env {
        // An empty variable is how a container file leaves one unset.
        if let Some(name) = name.strip_prefix(ENV_PREFIX).filter(|_| !value.is_empty()) {
            variables.push((name, value));
        }
    }
    variables.sort_unstable();
    let find = |name: &str| {
        variables
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    };
    // One variable, two keys: its host has a row in the table, its port counts where no variable of its own gives one.
    if let (Some(port), None) = (
        find("HTTP_SERVER_URL").and_then(aliases::url_port),
        find("HTTP_SERVER_PORT"),
    ) {
        variables.push(("HTTP_SERVER_PORT", port));
    }
    let entry = |(name, value): (&str, &str)| Entry {
        path: name.split('_').map(str::to_owned).collect(),
        label: format!("{ENV_PREFIX}{name}"),
        value: Value::Text(value.to_owned()),
        place: Place::default(),
        around: Vec::new(),
        names: Names::Env,
    };
    variables.into_iter().map(entry).collect()
}

fn command_line(overrides: &Overrides) -> Vec<Entry> {
    let flag = |is_set: bool| is_set.then(|| "true".to_owned());
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let options = [
        ("--http", "http_server.enable", flag(overrides.http)),
        (
            "--port",
            "http_server.port",
            number(overrides.port.map(u64::from)),
        ),
        ("--log_level", "log.level", overrides.log_level.clone()),
        ("--daemon", "system.daemon", flag(overrides.daemon)),
        (
            "--tq_thread",
            "system.num_taskq_thread",
            number(overrides.num_taskq_thread),
        ),
        (
            "--max_tq_thread",
            "system.max_taskq_thread",
            number(overrides.max_taskq_thread),
        ),
        ("--parallel", "system.parallel", number(overrides.parallel)),
        (
            "--property_size",
            "mqtt.property_size",
            number(overrides.property_size),
        ),
        (
            "--msq_len",
            "mqtt.max_mqueue_len",
            number(overrides.msq_len),
        ),
        (
            "--qos_duration",
            "mqtt.retry_interval",
            number(overrides.qos_duration),
        ),
        (
            "--cert",
            "listeners.ssl.default.certfile",
            overrides.certfile.clone(),
        ),
        (
            "--key",
            "listeners.ssl.default.keyfile",
            overrides.keyfile.clone(),
        ),
        (
            "--keypass",
            "listeners.ssl.default.key_password",
            overrides
                .key_password
                .as_ref()
                .map(|password| password.expose().to_owned()),
        ),
        (
            "--cacert",
            "listeners.ssl.default.cacertfile",
            overrides.cacertfile.clone(),
        ),
        (
            "--verify",
            "listeners.ssl.default.verify_peer",
            flag(overrides.verify_peer),
        ),
        (
            "--fail",
            "listeners.ssl.default.fail_if_no_peer_cert",
            flag(overrides.fail_if_no_peer_cert),
        ),
    ];
    let set = options
        .into_iter()
        .filter_map(|(option, key, value)| value.map(|value| (option, key, value)));
    set.map(|(option, key, value)| option_entry(option, key, value))
        .collect()
}

/// The entry of a command line option.
pub(crate) fn option_entry(option: &str, key: &str, value: String) -> Entry {
    Entry {
        path: key.split('.').map(str::to_owned).collect(),
        label: option.to_owned(),
        value: Value::Text(value),
        place: Place::default(),
        around: Vec::new(),
        names: Names::Hocon,
    }
}
