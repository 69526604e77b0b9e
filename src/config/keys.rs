//! The table of keys: one row for every HOCON key that is known. Reading, validation, the nearest name, what is hot and
//! what is secret all come from it, so a new key is a field in the model and a row here.
//!
//! In a path, `*` stands for one name and a final `**` for any number of names, also none.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::auth_values as auth;
use super::entry::{Stored, Trouble, Value};
use super::keys_auth;
use super::keys_bridges;
use super::keys_listeners;
use super::model::Config;
use super::values::{Durability, JwtAlgorithm, LogTarget, Secret};

/// Stores a value in the model, for the names that stood for the `*` of the path.
pub(crate) type Set = fn(&mut Config, &Value, &Named<'_>) -> Stored;

/// What stands for the `*` of a pattern; it is the last of them as a text, which is empty when there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    first: &'a str,
    last: &'a str,
}

impl Named<'_> {
    /// What stands for the first `*`.
    pub(crate) fn first(&self) -> &str {
        self.first
    }
}

impl std::ops::Deref for Named<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.last
    }
}

/// A known key.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its path or pattern.
    pub(crate) path: &'static str,
    /// What is done with it.
    pub(crate) role: Role,
}

/// What is done with a key.
#[derive(Debug)]
pub(crate) enum Role {
    /// It is a field of the model.
    Setting {
        /// What the value must be, for the message when it is not.
        expects: &'static str,
        /// Whether a change takes effect in a running broker.
        hot: bool,
        /// Whether its value must never be shown.
        secret: bool,
        /// Stores it.
        set: Set,
    },
    /// NanoMQ has it under this name; it sets fields that have names of their own, and says which.
    OtherName {
        /// What the value must be.
        expects: &'static str,
        /// Stores it.
        set: Set,
    },
    /// NanoMQ has it and it means nothing here: why.
    Ignored(&'static str),
    /// NanoMQ has it and this version does not: the plural name of what it belongs to.
    NotBuilt(&'static str),
}

pub(super) const fn hot(path: &'static str, expects: &'static str, set: Set) -> Key {
    Key {
        path,
        role: Role::Setting {
            expects,
            hot: true,
            secret: false,
            set,
        },
    }
}

pub(super) const fn cold(path: &'static str, expects: &'static str, set: Set) -> Key {
    Key {
        path,
        role: Role::Setting {
            expects,
            hot: false,
            secret: false,
            set,
        },
    }
}

pub(super) const fn secret(path: &'static str, set: Set) -> Key {
    Key {
        path,
        role: Role::Setting {
            expects: "a text",
            hot: true,
            secret: true,
            set,
        },
    }
}

pub(super) const fn cold_secret(path: &'static str, set: Set) -> Key {
    Key {
        path,
        role: Role::Setting {
            expects: "a text",
            hot: false,
            secret: true,
            set,
        },
    }
}

pub(super) const fn ignored(path: &'static str, why: &'static str) -> Key {
    Key {
        path,
        role: Role::Ignored(why),
    }
}

const fn not_built(path: &'static str, what: &'static str) -> Key {
    Key {
        path,
        role: Role::NotBuilt(what),
    }
}

pub(super) const FLAG: &str = "true or false";
pub(super) const COUNT: &str = "a whole number from 1";
pub(super) const COUNT_OR_0: &str = "a whole number (0 = unlimited)";
const SIZE: &str = "a size such as 10KB, at least 1KB";
const U16: &str = "a number from 1 to 65535";
const U16_OR_0: &str = "a number from 0 to 65535";
const ALGORITHMS: &str = "a list of RS256, RS384, RS512, PS256, PS384, PS512, ES256 and ES384";
const EXPIRY: &str = "a duration such as 7d, or infinite";
const THREADS: &str = "a number from 0 to 255 (0 = chosen automatically)";
pub(super) const ANY_COUNT: RangeInclusive<u64> = 1..=u32::MAX as u64;
const ANY_SIZE: RangeInclusive<u64> = 1024..=1 << 40;

/// Every known HOCON key.
pub(crate) fn all() -> impl Iterator<Item = &'static Key> {
    KEYS.iter()
        .chain(keys_listeners::all())
        .chain(keys_auth::all())
        .chain(keys_bridges::all())
}

/// All but those of the listeners, of bridges and of TLS of HTTP authentication requests.
#[rustfmt::skip]
static KEYS: &[Key] = &[
    cold("system.num_taskq_thread", THREADS, |c, v, _| v.int(&mut c.system.num_taskq_thread, 0..=255)),
    cold("system.max_taskq_thread", THREADS, |c, v, _| v.int(&mut c.system.max_taskq_thread, 0..=255)),
    cold("system.daemon", FLAG, |c, v, _| v.flag(&mut c.system.daemon)),
    cold("system.max_worker_backlog", "a size such as 32MB, at least 64KB", |c, v, _| v.size(&mut c.system.max_worker_backlog, 65_536..=1 << 40)),
    cold("system.pid_file", "a file name", |c, v, _| v.path(&mut c.system.pid_file)),
    ignored("system.parallel", "requests are not numbered; the limits of mqtt and listeners bound the work"),
    ignored("system.enable_ipc_internal", "there are no separate processes to talk to"),
    ignored("system.hook_ipc_url", "there are no separate processes to talk to"),
    ignored("system.cmd_ipc_url", "there are no separate processes to talk to"),

    hot("mqtt.max_properties", "a number from 1 to 65535", |c, v, _| v.int(&mut c.mqtt.max_properties, 1..=65_535)),
    hot("mqtt.max_packet_size", "a size such as 10KB, at least 64B", |c, v, _| v.packet_size(&mut c.mqtt.max_packet_size, 64)),
    hot("mqtt.max_payload_size", "a size such as 10KB (0 = as max_packet_size)", |c, v, _| v.packet_size(&mut c.mqtt.max_payload_size, 0)),
    hot("mqtt.max_mqueue_len", COUNT, |c, v, _| v.int(&mut c.mqtt.max_mqueue_len, ANY_COUNT)),
    hot("mqtt.max_mqueue_bytes", SIZE, |c, v, _| v.size(&mut c.mqtt.max_mqueue_bytes, ANY_SIZE)),
    hot("mqtt.mqueue_policy", "drop_oldest or reject", |c, v, _| v.word(&mut c.mqtt.mqueue_policy)),
    hot("mqtt.max_inflight_window", "a number from 1 (65535 = no bound of our own)", |c, v, _| v.int(&mut c.mqtt.max_inflight_window, 1..=65_535)),
    hot("mqtt.max_inflight_bytes", SIZE, |c, v, _| v.size(&mut c.mqtt.max_inflight_bytes, ANY_SIZE)),
    hot("mqtt.receive_maximum", U16, |c, v, _| v.int(&mut c.mqtt.receive_maximum, 1..=65_535)),
    hot("mqtt.max_topic_alias", U16_OR_0, |c, v, _| v.int(&mut c.mqtt.max_topic_alias, 0..=65_535)),
    hot("mqtt.max_topic_alias_out", U16_OR_0, |c, v, _| v.int(&mut c.mqtt.max_topic_alias_out, 0..=65_535)),
    hot("mqtt.keepalive_multiplier", "a number from 1 to 10", |c, v, _| v.number(&mut c.mqtt.keepalive_multiplier, 1.0..=10.0)),
    hot("mqtt.max_keepalive", "a duration such as 60s, at most 65535s (0s = no maximum)", |c, v, _| v.seconds(&mut c.mqtt.max_keepalive)),
    hot("mqtt.max_session_expiry_interval", EXPIRY, |c, v, _| v.expiry(&mut c.mqtt.max_session_expiry_interval)),
    hot("mqtt.session_expiry_interval", EXPIRY, |c, v, _| v.expiry(&mut c.mqtt.session_expiry_interval)),
    hot("mqtt.max_sessions", COUNT, |c, v, _| v.int(&mut c.mqtt.max_sessions, ANY_COUNT)),
    hot("mqtt.max_clientid_len", "a number from 23 to 65535", |c, v, _| v.int(&mut c.mqtt.max_clientid_len, 23..=65_535)),
    hot("mqtt.max_topic_length", U16, |c, v, _| v.int(&mut c.mqtt.max_topic_length, 1..=65_535)),
    hot("mqtt.max_topic_levels", U16, |c, v, _| v.int(&mut c.mqtt.max_topic_levels, 1..=65_535)),
    hot("mqtt.max_subscriptions", COUNT_OR_0, |c, v, _| v.int(&mut c.mqtt.max_subscriptions, 0..=u64::from(u32::MAX))),
    hot("mqtt.max_retained_messages", "a whole number", |c, v, _| v.int(&mut c.mqtt.max_retained_messages, 0..=u64::from(u32::MAX))),
    hot("mqtt.max_retained_bytes", "a size such as 256MB", |c, v, _| v.size(&mut c.mqtt.max_retained_bytes, 0..=1 << 40)),
    hot("mqtt.retained_expiry_interval", "a duration such as 1h, at most 3650d (0s = never)", |c, v, _| v.duration(&mut c.mqtt.retained_expiry_interval, Duration::ZERO)),
    hot("mqtt.max_output_buffer", SIZE, |c, v, _| v.size(&mut c.mqtt.max_output_buffer, ANY_SIZE)),
    hot("mqtt.max_qos", "0, 1 or 2", |c, v, _| v.int(&mut c.mqtt.max_qos, 0..=2)),
    hot("mqtt.retain_available", FLAG, |c, v, _| v.flag(&mut c.mqtt.retain_available)),
    hot("mqtt.wildcard_subscription_available", FLAG, |c, v, _| v.flag(&mut c.mqtt.wildcard_subscription_available)),
    hot("mqtt.shared_subscription_available", FLAG, |c, v, _| v.flag(&mut c.mqtt.shared_subscription_available)),
    hot("mqtt.subscription_identifier_available", FLAG, |c, v, _| v.flag(&mut c.mqtt.subscription_identifier_available)),
    hot("mqtt.protocol_versions", "a list of 3, 4 and 5", |c, v, _| set_versions(c, v)),
    hot("mqtt.allow_empty_clientid", FLAG, |c, v, _| v.flag(&mut c.mqtt.allow_empty_clientid)),
    hot("mqtt.sys_interval", "a duration such as 10s, at most 3650d (0s = off)", |c, v, _| set_sys_interval(c, v)),
    hot("mqtt.max_publisher_pause", "a duration such as 1s, at most 3650d (0s = off)", |c, v, _| v.duration(&mut c.mqtt.max_publisher_pause, Duration::ZERO)),
    hot("mqtt.sys_events", FLAG, |c, v, _| v.flag(&mut c.mqtt.sys_events)),
    ignored("mqtt.property_size", "use mqtt.max_properties"),
    ignored("mqtt.retry_interval", "messages are sent again when the client reconnects, as the standard asks"),
    ignored("mqtt.batch_resend", "messages are sent again when the client reconnects, as the standard asks"),
    ignored("mqtt.max_awaiting_rel", "use mqtt.receive_maximum to bound unfinished QoS 2 messages"),
    ignored("mqtt.await_rel_timeout", "an unfinished QoS 2 message lives as long as its session"),

    cold("store.enable", FLAG, |c, v, _| v.flag(&mut c.store.enable)),
    cold("store.path", "a folder name", |c, v, _| v.path(&mut c.store.path)),
    cold("store.durability", "none, async or sync", |c, v, _| v.word(&mut c.store.durability)),
    hot("store.sync_interval", "a duration such as 100ms, from 1ms to 3650d", |c, v, _| v.duration(&mut c.store.sync_interval, Duration::from_millis(1))),
    hot("store.max_messages", COUNT, |c, v, _| v.int(&mut c.store.max_messages, 1..=1 << 40)),
    hot("store.max_bytes", "a size such as 8GB, at least 1MB", |c, v, _| v.size(&mut c.store.max_bytes, 1 << 20..=1 << 50)),
    hot("store.policy", "drop_oldest or reject", |c, v, _| v.word(&mut c.store.policy)),
    hot("store.max_waiting_changes", COUNT, |c, v, _| v.int(&mut c.store.max_waiting_changes, ANY_COUNT)),
    hot("store.segment_size", "a size such as 16MB, from 64KB to 1GB", |c, v, _| v.size(&mut c.store.segment_size, 65_536..=1 << 30)),
    // NanoMQ's own store.
    Key { path: "sqlite.enable", role: Role::OtherName { expects: FLAG, set: set_sqlite } },
    Key { path: "sqlite.mounted_file_path", role: Role::OtherName { expects: "a folder name", set: set_sqlite_path } },
    ignored("sqlite.disk_cache_size", "use store.max_messages"),
    ignored("sqlite.flush_mem_threshold", "use store.sync_interval"),
    ignored("sqlite.resend_interval", "messages are sent again when the client reconnects, as the standard asks"),

    cold("http_server.enable", FLAG, |c, v, _| v.flag(&mut c.http_server.enable)),
    cold("http_server.port", U16_OR_0, |c, v, _| v.int(&mut c.http_server.port, 0..=65_535)),
    cold("http_server.ip_addr", "an IP address or a host name", |c, v, _| v.host(&mut c.http_server.ip_addr)),
    cold("http_server.limit_conn", COUNT, |c, v, _| v.int(&mut c.http_server.limit_conn, ANY_COUNT)),
    cold("http_server.max_body", SIZE, |c, v, _| v.size(&mut c.http_server.max_body, 1024..=1 << 30)),
    hot("http_server.username", "a text", |c, v, _| v.string(&mut c.http_server.username)),
    secret("http_server.password", |c, v, _| v.secret(&mut c.http_server.password)),
    hot("http_server.hide_secrets", FLAG, |c, v, _| v.flag(&mut c.http_server.hide_secrets)),
    cold("http_server.auth_type", "basic, jwt or no_auth", |c, v, _| v.word(&mut c.http_server.auth_type)),
    cold("http_server.users_file", "a file name", |c, v, _| v.path(&mut c.http_server.users_file)),
    cold("http_server.tls.enable", FLAG, |c, v, _| v.flag(&mut c.http_server.tls.enable)),
    cold("http_server.tls.certfile", "a file name", |c, v, _| v.path(&mut c.http_server.tls.certfile)),
    cold("http_server.tls.keyfile", "a file name", |c, v, _| v.path(&mut c.http_server.tls.keyfile)),
    hot("http_server.max_failed_logins", COUNT_OR_0, |c, v, _| v.int(&mut c.http_server.max_failed_logins, 0..=1000)),
    hot("http_server.failed_login_window", "a duration such as 1m, from 1s to 1d", |c, v, _| set_bounded(&mut c.http_server.failed_login_window, v, 1..=86_400)),
    hot("http_server.jwt.public.keyfile", "a file name", |c, v, _| v.path(&mut c.http_server.jwt.public.keyfile)),
    hot("http_server.jwt.leeway", "a duration such as 5s, at most 1h", |c, v, _| set_bounded(&mut c.http_server.jwt.leeway, v, 0..=3600)),
    hot("http_server.jwt.algorithms", ALGORITHMS, |c, v, _| set_algorithms(&mut c.http_server.jwt.algorithms, v)),
    ignored("http_server.jwt.private.keyfile", "tokens are checked, not made"),

    hot("log.level", "off, error, warn, info, debug or trace", |c, v, _| v.level(&mut c.log.level)),
    cold("log.to", "a list of console, file, syslog and uds", |c, v, _| set_log_targets(c, v)),
    not_built("log.dir", "log files"),
    not_built("log.file", "log files"),
    not_built("log.rotation.**", "log files"),
    not_built("log.uds_addr", "log sockets"),

    hot("auth.enable", FLAG, |c, v, _| v.flag(&mut c.auth.enable)),
    hot("auth.allow_anonymous", FLAG, |c, v, _| v.flag(&mut c.auth.allow_anonymous)),
    hot("auth.no_match", "allow or deny", |c, v, _| v.word(&mut c.auth.no_match)),
    hot("auth.deny_action", "ignore or disconnect", |c, v, _| v.word(&mut c.auth.deny_action)),
    hot("auth.cache.enable", FLAG, |c, v, _| v.flag(&mut c.auth.cache.enable)),
    hot("auth.cache.max_size", "a number from 1 to 10000", |c, v, _| v.int(&mut c.auth.cache.max_size, 1..=10_000)),
    hot("auth.cache.ttl", "a duration such as 1m, from 1s to 1d", |c, v, _| set_bounded(&mut c.auth.cache.ttl, v, 1..=86_400)),
    secret("auth.password.*", |c, v, name| set_user(c, v, name)),
    hot("auth.password_file", "a file name", |c, v, _| v.path(&mut c.auth.password_file)),
    hot("auth.max_failed_logins", COUNT_OR_0, |c, v, _| v.int(&mut c.auth.max_failed_logins, 0..=100_000)),
    hot("auth.failed_login_window", "a duration such as 1m, from 1s to 1d", |c, v, _| set_bounded(&mut c.auth.failed_login_window, v, 1..=86_400)),
    hot("auth.max_waiting_logins", COUNT, |c, v, _| v.int(&mut c.auth.max_waiting_logins, ANY_COUNT)),
    hot("auth.acl.enable", FLAG, |c, v, _| v.flag(&mut c.auth.acl.enable)),
    hot("auth.acl.rules", "a list of rules such as {\"permit\": \"allow\"}", |c, v, _| auth::set_rules(c, v)),
    hot("auth.jwt.public.keyfile", "a file name", |c, v, _| v.path(&mut c.auth.jwt.public.keyfile)),
    hot("auth.jwt.leeway", "a duration such as 5s, at most 1h", |c, v, _| set_bounded(&mut c.auth.jwt.leeway, v, 0..=3600)),
    hot("auth.jwt.algorithms", ALGORITHMS, |c, v, _| set_algorithms(&mut c.auth.jwt.algorithms, v)),
    hot("auth.http_auth.enable", FLAG, |c, v, _| v.flag(&mut c.auth.http_auth.enable)),
    hot("auth.http_auth.auth_req.url", auth::URL, |c, v, _| auth::set_url(&mut c.auth.http_auth.auth_req, v)),
    hot("auth.http_auth.auth_req.method", "post or get", |c, v, _| v.word(&mut c.auth.http_auth.auth_req.method)),
    secret("auth.http_auth.auth_req.headers.*", |c, v, name| auth::set_header(&mut c.auth.http_auth.auth_req, v, name)),
    hot("auth.http_auth.auth_req.params.*", auth::PARAM, |c, v, name| auth::set_param(&mut c.auth.http_auth.auth_req, v, name)),
    hot("auth.http_auth.super_req.url", auth::URL, |c, v, _| auth::set_url(&mut c.auth.http_auth.super_req, v)),
    hot("auth.http_auth.super_req.method", "post or get", |c, v, _| v.word(&mut c.auth.http_auth.super_req.method)),
    secret("auth.http_auth.super_req.headers.*", |c, v, name| auth::set_header(&mut c.auth.http_auth.super_req, v, name)),
    hot("auth.http_auth.super_req.params.*", auth::PARAM, |c, v, name| auth::set_param(&mut c.auth.http_auth.super_req, v, name)),
    hot("auth.http_auth.acl_req.url", auth::URL, |c, v, _| auth::set_url(&mut c.auth.http_auth.acl_req, v)),
    hot("auth.http_auth.acl_req.method", "post or get", |c, v, _| v.word(&mut c.auth.http_auth.acl_req.method)),
    secret("auth.http_auth.acl_req.headers.*", |c, v, name| auth::set_header(&mut c.auth.http_auth.acl_req, v, name)),
    hot("auth.http_auth.acl_req.params.*", auth::PARAM, |c, v, name| auth::set_param(&mut c.auth.http_auth.acl_req, v, name)),
    hot("auth.http_auth.timeout", "a duration such as 5s, from 10ms to 1h", |c, v, _| auth::set_time(&mut c.auth.http_auth.timeout, v)),
    hot("auth.http_auth.connect_timeout", "a duration such as 5s, from 10ms to 1h", |c, v, _| auth::set_time(&mut c.auth.http_auth.connect_timeout, v)),
    hot("auth.http_auth.pool_size", "a number from 1 to 10000", |c, v, _| v.int(&mut c.auth.http_auth.pool_size, 1..=10_000)),
    hot("auth.http_auth.max_waiting", "a whole number", |c, v, _| v.int(&mut c.auth.http_auth.max_waiting, 0..=u64::from(u32::MAX))),
    hot("auth.http_auth.cache_ttl", "a duration such as 30s, at most 1d (0s = off)", |c, v, _| set_bounded(&mut c.auth.http_auth.cache_ttl, v, 0..=86_400)),

    not_built("bridges.aws.**", "bridges to AWS"),
    not_built("bridges.nng.**", "bridges to NNG"),
    not_built("webhook.**", "webhooks"),
    not_built("rules.**", "rules"),
    not_built("preset.**", "preset sessions"),
    not_built("plugin.**", "plugins"),
    not_built("exchange_client.**", "exchange clients"),
    not_built("parquet.**", "Parquet files"),
    not_built("blf.**", "BLF files"),
    not_built("gateway.**", "gateways"),
];

/// The row of a key.
pub(crate) fn find(path: &[String]) -> Option<&'static Key> {
    all().find(|key| matches(key.path, path))
}

/// What stands for the `*` of a pattern in a path.
pub(crate) fn name_in<'a>(pattern: &str, path: &'a [String]) -> Named<'a> {
    let mut names = pattern
        .split('.')
        .zip(path)
        .filter(|(part, _)| *part == "*")
        .map(|(_, name)| name.as_str());
    let first = names.next().unwrap_or("");
    Named {
        first,
        last: names.last().unwrap_or(first),
    }
}

/// Whether a pattern covers a path.
pub(crate) fn matches(pattern: &str, path: &[String]) -> bool {
    let mut names = path.iter();
    for part in pattern.split('.') {
        match (part, names.next()) {
            ("**", _) => return true,
            ("*", Some(_)) => {}
            (_, Some(name)) if part == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

/// Whether some known key begins with a path: the path is then an object of its own.
pub(crate) fn is_section(path: &[String]) -> bool {
    all().any(|key| {
        let parts: Vec<&str> = key.path.split('.').collect();
        parts.len() > path.len()
            && parts
                .iter()
                .zip(path)
                .all(|(part, name)| matches!(*part, "*" | "**") || part == name)
    })
}

/// NanoMQ keeps messages in SQLite and syncs when it likes.
fn set_sqlite(config: &mut Config, value: &Value, _: &Named<'_>) -> Stored {
    value.flag(&mut config.store.enable)?;
    if !config.store.enable {
        return Ok(());
    }
    config.store.durability = Durability::Async;
    Err(Trouble::Note(
        "is read as store { enable = true, durability = async }".to_owned(),
    ))
}

fn set_sqlite_path(config: &mut Config, value: &Value, _: &Named<'_>) -> Stored {
    let mut folder = PathBuf::new();
    value.path(&mut folder)?;
    config.store.path = folder.join("nanomq_store");
    Err(Trouble::Note(format!(
        "is read as store.path = \"{}\"",
        config.store.path.display()
    )))
}

fn set_user(config: &mut Config, value: &Value, name: &str) -> Stored {
    let mut password = Secret::default();
    value.secret(&mut password)?;
    match config
        .auth
        .password
        .iter_mut()
        .find(|(user, _)| user == name)
    {
        Some((_, known)) => *known = password,
        None => config.auth.password.push((name.to_owned(), password)),
    }
    Ok(())
}

fn set_versions(config: &mut Config, value: &Value) -> Stored {
    let mut versions = Vec::new();
    for item in value.items()? {
        let level = item
            .parse()
            .ok()
            .filter(|level| (3..=5).contains(level))
            .ok_or(Trouble::Unexpected)?;
        versions.push(level);
    }
    versions.sort_unstable();
    versions.dedup();
    if versions.is_empty() {
        return Err(Trouble::Unexpected);
    }
    config.mqtt.protocol_versions = versions;
    Ok(())
}

/// Off, or at least a second, so that a slip of a unit does not make the broker talk to itself all day.
fn set_sys_interval(config: &mut Config, value: &Value) -> Stored {
    let mut interval = Duration::ZERO;
    value.duration(&mut interval, Duration::ZERO)?;
    if !interval.is_zero() && interval < Duration::from_secs(1) {
        return Err(Trouble::Unexpected);
    }
    config.mqtt.sys_interval = interval;
    Ok(())
}

/// A duration within a range of seconds.
fn set_bounded(field: &mut Duration, value: &Value, seconds: RangeInclusive<u64>) -> Stored {
    let mut duration = Duration::ZERO;
    value.duration(&mut duration, Duration::from_secs(*seconds.start()))?;
    if duration > Duration::from_secs(*seconds.end()) {
        return Err(Trouble::Unexpected);
    }
    *field = duration;
    Ok(())
}

fn set_algorithms(field: &mut Vec<JwtAlgorithm>, value: &Value) -> Stored {
    let mut algorithms = Vec::new();
    for item in value.items()? {
        let algorithm = item.to_ascii_uppercase().parse();
        let algorithm = algorithm.map_err(|()| Trouble::Unexpected)?;
        if !algorithms.contains(&algorithm) {
            algorithms.push(algorithm);
        }
    }
    if algorithms.is_empty() {
        return Err(Trouble::Unexpected);
    }
    *field = algorithms;
    Ok(())
}

fn set_log_targets(config: &mut Config, value: &Value) -> Stored {
    let mut targets = Vec::new();
    let mut not_built = Vec::new();
    for item in value.items()? {
        match item.parse::<LogTarget>() {
            Ok(target) if targets.contains(&target) => {}
            Ok(target) => targets.push(target),
            Err(()) if ["file", "syslog", "uds"].contains(&item) => not_built.push(item),
            Err(()) => return Err(Trouble::Unexpected),
        }
    }
    if targets.is_empty() {
        targets.push(LogTarget::Console);
    }
    config.log.to = targets;
    if not_built.is_empty() {
        return Ok(());
    }
    Err(Trouble::Note(format!(
        "logging to {} is not built yet; the log goes to the console",
        not_built.join(", ")
    )))
}
