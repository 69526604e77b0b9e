//! The names that lead to HOCON keys from elsewhere: the flat form of NanoMQ 0.7 to 0.13 and the environment.
//!
//! A flat key without a row is looked up among the HOCON keys, which covers those whose name did not change.

use super::keys;

/// Changes a value from the unit it has under its other name to the one of its HOCON key.
pub(crate) type Convert = fn(&str) -> String;

/// A name that leads to a HOCON key.
#[derive(Debug)]
pub(crate) struct Alias {
    /// The name or, as in `keys.rs`, a pattern of names.
    pub(crate) name: &'static str,
    /// What it leads to.
    pub(crate) target: Target,
}

/// What another name leads to.
#[derive(Debug)]
pub(crate) enum Target {
    /// A HOCON key.
    Key(&'static str, Convert),
    /// Nothing, and why.
    Ignored(&'static str),
    /// Something that is not built yet, in the plural.
    NotBuilt(&'static str),
    /// Read elsewhere; accepted here.
    Elsewhere,
}

const fn key(name: &'static str, path: &'static str) -> Alias {
    Alias {
        name,
        target: Target::Key(path, same),
    }
}

const fn convert(name: &'static str, path: &'static str, convert: Convert) -> Alias {
    Alias {
        name,
        target: Target::Key(path, convert),
    }
}

const fn ignored(name: &'static str, why: &'static str) -> Alias {
    Alias {
        name,
        target: Target::Ignored(why),
    }
}

const fn not_built(name: &'static str, what: &'static str) -> Alias {
    Alias {
        name,
        target: Target::NotBuilt(what),
    }
}

const NO_REQUESTS: &str =
    "requests are not numbered; the limits of mqtt and listeners bound the work";
const NO_RESEND: &str = "messages are sent again when the client reconnects, as the standard asks";
const ONE_SIZE: &str = "max_packet_size bounds both directions";

/// The keys of the flat form.
pub(crate) static FLAT: &[Alias] = &[
    key("url", "listeners.tcp.default.bind"),
    key("daemon", "system.daemon"),
    key("num_taskq_thread", "system.num_taskq_thread"),
    key("max_taskq_thread", "system.max_taskq_thread"),
    ignored("parallel", NO_REQUESTS),
    ignored("property_size", "use mqtt.max_properties"),
    convert("max_packet_size", "mqtt.max_packet_size", kib),
    ignored("client_max_packet_size", ONE_SIZE),
    key("msq_len", "mqtt.max_mqueue_len"),
    ignored("qos_duration", NO_RESEND),
    convert(
        "keepalive_backoff",
        "mqtt.keepalive_multiplier",
        thousandths,
    ),
    key("allow_anonymous", "auth.allow_anonymous"),
    key("auth_enable", "auth.enable"),
    ignored(
        "enable_ipc_internal",
        "there are no separate processes to talk to",
    ),
    key("acl_enable", "auth.acl.enable"),
    key("acl_nomatch", "auth.no_match"),
    key("acl_deny_action", "auth.deny_action"),
    // Read as a whole in `flat.rs`.
    Alias {
        name: "acl.rule.*",
        target: Target::Elsewhere,
    },
    key("enable_acl_cache", "auth.cache.enable"),
    key("acl_cache_max_size", "auth.cache.max_size"),
    key("acl_cache_ttl", "auth.cache.ttl"),
    key("http_server.parallel", "http_server.limit_conn"),
    key("tls.enable", "listeners.ssl.default.enable"),
    key("tls.url", "listeners.ssl.default.bind"),
    key("tls.key_password", "listeners.ssl.default.key_password"),
    key("tls.keypass", "listeners.ssl.default.key_password"),
    key("tls.keyfile", "listeners.ssl.default.keyfile"),
    key("tls.key", "listeners.ssl.default.keyfile"),
    key("tls.certfile", "listeners.ssl.default.certfile"),
    key("tls.cert", "listeners.ssl.default.certfile"),
    key("tls.cacertfile", "listeners.ssl.default.cacertfile"),
    key("tls.cacert", "listeners.ssl.default.cacertfile"),
    key("tls.verify_peer", "listeners.ssl.default.verify_peer"),
    key(
        "tls.fail_if_no_peer_cert",
        "listeners.ssl.default.fail_if_no_peer_cert",
    ),
    key("websocket.enable", "listeners.ws.default.enable"),
    key("websocket.url", "listeners.ws.default.bind"),
    key("websocket.tls_enable", "listeners.wss.default.enable"),
    key("websocket.tls_url", "listeners.wss.default.bind"),
    Alias {
        name: "auth.http.**",
        target: Target::Elsewhere,
    },
    Alias {
        name: "auth.*.login",
        target: Target::Elsewhere,
    },
    Alias {
        name: "auth.*.password",
        target: Target::Elsewhere,
    },
    not_built("web.hook.**", "webhooks"),
    // Given their HOCON names in `flat_bridges.rs`.
    ignored(
        "bridge.sqlite.**",
        "messages of bridges wait in the store when store.enable is on",
    ),
    Alias {
        name: "bridge.**",
        target: Target::Elsewhere,
    },
    not_built("aws.**", "bridges to AWS"),
    not_built("gateway.**", "gateways"),
    not_built("rule_option", "rules"),
    not_built("rule_option.**", "rules"),
    not_built("rule.**", "rules"),
    not_built("rule_engine_option", "rules"),
    not_built("rule_engine_option.**", "rules"),
];

/// The environment variables, without `NANOMQ_`; the parts between underscores are their names.
pub(crate) static ENV: &[Alias] = &[
    key("BROKER_URL", "listeners.tcp.default.bind"),
    key("TCP_ENABLE", "listeners.tcp.default.enable"),
    key("DAEMON", "system.daemon"),
    key("PID_FILE", "system.pid_file"),
    key("NUM_TASKQ_THREAD", "system.num_taskq_thread"),
    key("MAX_TASKQ_THREAD", "system.max_taskq_thread"),
    ignored("PARALLEL", NO_REQUESTS),
    ignored("PROPERTY_SIZE", "use mqtt.max_properties"),
    convert("MAX_PACKET_SIZE", "mqtt.max_packet_size", kib),
    ignored("CLIENT_MAX_PACKET_SIZE", ONE_SIZE),
    key("MSQ_LEN", "mqtt.max_mqueue_len"),
    ignored("QOS_DURATION", NO_RESEND),
    key("ALLOW_ANONYMOUS", "auth.allow_anonymous"),
    not_built("MSG_PERSISTENCE", "stored sessions"),
    key("WEBSOCKET_ENABLE", "listeners.ws.default.enable"),
    key("WEBSOCKET_URL", "listeners.ws.default.bind"),
    key("WEBSOCKET_TLS_ENABLE", "listeners.wss.default.enable"),
    key("WEBSOCKET_TLS_URL", "listeners.wss.default.bind"),
    key("HTTP_SERVER_ENABLE", "http_server.enable"),
    key("HTTP_SERVER_PORT", "http_server.port"),
    key("HTTP_SERVER_PARALLEL", "http_server.limit_conn"),
    key("HTTP_SERVER_USERNAME", "http_server.username"),
    key("HTTP_SERVER_PASSWORD", "http_server.password"),
    key("HTTP_SERVER_AUTH_TYPE", "http_server.auth_type"),
    convert("HTTP_SERVER_URL", "http_server.ip_addr", url_host),
    key(
        "HTTP_SERVER_JWT_PUBLIC_KEYFILE",
        "http_server.jwt.public.keyfile",
    ),
    ignored(
        "HTTP_SERVER_JWT_PRIVATE_KEYFILE",
        "tokens are checked, not made",
    ),
    key("TLS_ENABLE", "listeners.ssl.default.enable"),
    key("TLS_URL", "listeners.ssl.default.bind"),
    key("TLS_CA_CERT_PATH", "listeners.ssl.default.cacertfile"),
    key("TLS_CERT_PATH", "listeners.ssl.default.certfile"),
    key("TLS_KEY_PATH", "listeners.ssl.default.keyfile"),
    key("TLS_KEY_PASSWORD", "listeners.ssl.default.key_password"),
    key("TLS_VERIFY_PEER", "listeners.ssl.default.verify_peer"),
    key(
        "TLS_FAIL_IF_NO_PEER_CERT",
        "listeners.ssl.default.fail_if_no_peer_cert",
    ),
    key("LOG_LEVEL", "log.level"),
    key("LOG_TO", "log.to"),
    not_built("LOG_DIR", "log files"),
    not_built("LOG_FILE", "log files"),
    not_built("LOG_ROTATION_SIZE", "log files"),
    not_built("LOG_ROTATION_COUNT", "log files"),
    not_built("LOG_UDS_ADDR", "log sockets"),
    not_built("EXCHANGER_URL", "exchange clients"),
    not_built("VIN", "exchange clients"),
    not_built("BRIDGE_CONF_PATH", "separate configuration files"),
    not_built("WEBHOOK_CONF_PATH", "separate configuration files"),
    // Read beside the file, in `load.rs`.
    Alias {
        name: "AUTH_CONF_PATH",
        target: Target::Elsewhere,
    },
    Alias {
        name: "AUTH_HTTP_CONF_PATH",
        target: Target::Elsewhere,
    },
    not_built("RULE_ENGINE_CONF_PATH", "separate configuration files"),
    Alias {
        name: "CONF_PATH",
        target: Target::Elsewhere,
    },
];

/// The row of a flat key.
pub(crate) fn find_flat(path: &[String]) -> Option<&'static Alias> {
    FLAT.iter().find(|alias| keys::matches(alias.name, path))
}

/// The row of an environment variable, named without `NANOMQ_`.
pub(crate) fn find_env(name: &str) -> Option<&'static Alias> {
    ENV.iter().find(|alias| alias.name == name)
}

fn same(text: &str) -> String {
    text.to_owned()
}

/// A bare number counts in KB.
fn kib(text: &str) -> String {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if is_number {
        format!("{text}KB")
    } else {
        text.to_owned()
    }
}

/// A whole number counts in thousandths: `1250` is 1.25.
fn thousandths(text: &str) -> String {
    match text.parse::<u32>() {
        Ok(number) => (f64::from(number) / 1000.0).to_string(),
        Err(_) => text.to_owned(),
    }
}

/// The port of `http://host:port/path`.
pub(crate) fn url_port(url: &str) -> Option<&str> {
    let (_, port) = authority(url).rsplit_once(':')?;
    (!port.ends_with(']')).then_some(port)
}

/// The host of `http://host:port/path`, without the brackets of an IPv6 address.
fn url_host(url: &str) -> String {
    let authority = authority(url);
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or("").to_owned();
    }
    authority.split(':').next().unwrap_or("").to_owned()
}

/// What stands between `://` and the path.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alias_leads_to_a_known_key() {
        for alias in FLAT.iter().chain(ENV) {
            if let Target::Key(path, _) = alias.target {
                let path: Vec<String> = path.split('.').map(str::to_owned).collect();
                assert!(keys::find(&path).is_some(), "{}", alias.name);
            }
        }
    }

    #[test]
    fn units_are_converted() {
        let cases: [(Convert, &str, &str); 8] = [
            (kib, "1024", "1024KB"),
            (kib, "10MB", "10MB"),
            (kib, "ten", "ten"),
            (thousandths, "1250", "1.25"),
            (thousandths, "1.5", "1.5"),
            (url_host, "http://127.0.0.1:8081", "127.0.0.1"),
            (url_host, "http://[::1]:8081/x", "::1"),
            (url_host, "localhost", "localhost"),
        ];
        for (convert, text, expected) in cases {
            assert_eq!(convert(text), expected, "{text}");
        }
    }

    #[test]
    fn the_port_of_a_url_is_found() {
        let cases = [
            ("http://127.0.0.1:8081/api", Some("8081")),
            ("http://[::1]:8081", Some("8081")),
            ("http://[::1]", None),
            ("http://localhost/", None),
            ("localhost:x", Some("x")),
        ];
        for (url, port) in cases {
            assert_eq!(url_port(url), port, "{url}");
        }
    }
}
