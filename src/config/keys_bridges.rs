//! The part of the table of keys that describes bridges, and its setters.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bridge_topics::{BridgeForward, BridgeSubscription};
use super::entry::{Stored, Trouble, Value};
use super::keys::{ANY_COUNT, COUNT, FLAG, Key, Named, hot, ignored, other_name, secret};
use super::model::Config;
use super::model_bridges::{BridgeConfig, MAX_HYBRID_SERVERS, MAX_USER_PROPERTIES};
use super::remote::{BadRemote, RemoteUrl};

const ADDRESS: &str = "an address such as mqtt-tcp://broker.example:1883";
const ADDRESSES: &str = "a list of addresses such as mqtt-tcp://broker.example:1883";
const TEXT: &str = "a text";
const FILE: &str = "a file name";
const QOS: &str = "0, 1 or 2";
const BIT: &str = "0 or 1";
const U16: &str = "a number from 1 to 65535";
const U16_OR_0: &str = "a number from 0 to 65535";
const U32: &str = "a number from 0 to 4294967295";
const WAIT: &str = "a duration such as 1s, from 10ms to 1h";
const FORWARDS: &str =
    "a list of topics such as {local_topic = \"a/#\", remote_topic = \"site1/a/#\"}";
const SUBSCRIPTION: &str = "a list of topics such as {remote_topic = \"cmd/#\", qos = 1}";
const ANY_U32: std::ops::RangeInclusive<u64> = 0..=u32::MAX as u64;

const NO_RESEND: &str = "messages are sent again when the bridge reconnects, as the standard asks";
const NO_QUIC: &str = "QUIC is not built yet";
const NO_CACHE: &str = "messages of bridges wait in the store when store.enable is on";

/// The rows of bridges.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().chain(OTHER_NAMES)
}

#[rustfmt::skip]
static KEYS: &[Key] = &[
    // A section of its own between the names.
    ignored("bridges.mqtt.cache.**", NO_CACHE),

    hot("bridges.mqtt.*.enable", FLAG, |c, v, name| v.flag(&mut of(c, name).enable)),
    hot("bridges.mqtt.*.server", ADDRESS, |c, v, name| set_server(of(c, name), v)),
    hot("bridges.mqtt.*.hybrid_bridging", FLAG, |c, v, name| v.flag(&mut of(c, name).hybrid_bridging)),
    hot("bridges.mqtt.*.hybrid_servers", ADDRESSES, |c, v, name| set_servers(of(c, name), v)),
    hot("bridges.mqtt.*.failback_interval", "a duration such as 60s, from 1s to 3650d (0s = never)", |c, v, name| set_failback(of(c, name), v)),
    hot("bridges.mqtt.*.proto_ver", "3, 4 or 5", |c, v, name| v.int(&mut of(c, name).proto_ver, 3..=5)),
    hot("bridges.mqtt.*.clientid", "a text of at most 1024 bytes", |c, v, name| set_text(&mut of(c, name).clientid, v, 1024)),
    hot("bridges.mqtt.*.keepalive", "a duration such as 60s, at most 65535s (0s = none)", |c, v, name| seconds(v).seconds(&mut of(c, name).keepalive)),
    hot("bridges.mqtt.*.ping_timeout", WAIT, |c, v, name| set_wait(&mut of(c, name).ping_timeout, v)),
    hot("bridges.mqtt.*.clean_start", FLAG, |c, v, name| v.flag(&mut of(c, name).clean_start)),
    hot("bridges.mqtt.*.username", TEXT, |c, v, name| set_text(&mut of(c, name).username, v, 65_535)),
    secret("bridges.mqtt.*.password", |c, v, name| v.secret(&mut of(c, name).password)),
    hot("bridges.mqtt.*.connect_timeout", WAIT, |c, v, name| set_wait(&mut of(c, name).connect_timeout, v)),
    hot("bridges.mqtt.*.backoff_min", WAIT, |c, v, name| set_wait(&mut of(c, name).backoff_min, v)),
    hot("bridges.mqtt.*.backoff_max", WAIT, |c, v, name| set_wait(&mut of(c, name).backoff_max, v)),
    hot("bridges.mqtt.*.no_local_v4", FLAG, |c, v, name| v.flag(&mut of(c, name).no_local_v4)),
    hot("bridges.mqtt.*.max_parallel_processes", U16_OR_0, |c, v, name| v.int(&mut of(c, name).max_parallel_processes, 0..=65_535)),
    hot("bridges.mqtt.*.max_inflight_window", U16_OR_0, |c, v, name| v.int(&mut of(c, name).max_inflight_window, 0..=65_535)),
    hot("bridges.mqtt.*.max_send_queue_len", COUNT, |c, v, name| v.int(&mut of(c, name).max_send_queue_len, ANY_COUNT)),
    hot("bridges.mqtt.*.max_send_queue_bytes", "a size such as 64MB, at least 1KB", |c, v, name| v.size(&mut of(c, name).max_send_queue_bytes, 1024..=1 << 40)),
    hot("bridges.mqtt.*.queue_policy", "drop_oldest or reject", |c, v, name| v.word(&mut of(c, name).queue_policy)),
    hot("bridges.mqtt.*.max_recv_queue_len", U16, |c, v, name| v.int(&mut of(c, name).max_recv_queue_len, 1..=65_535)),
    hot("bridges.mqtt.*.forwards", FORWARDS, |c, v, name| set_forwards(of(c, name), v)),
    hot("bridges.mqtt.*.subscription", SUBSCRIPTION, |c, v, name| set_subscription(of(c, name), v)),

    hot("bridges.mqtt.*.ssl.cacertfile", FILE, |c, v, name| v.path(&mut of(c, name).ssl.cacertfile)),
    hot("bridges.mqtt.*.ssl.certfile", FILE, |c, v, name| v.path(&mut of(c, name).ssl.certfile)),
    hot("bridges.mqtt.*.ssl.keyfile", FILE, |c, v, name| v.path(&mut of(c, name).ssl.keyfile)),
    secret("bridges.mqtt.*.ssl.key_password", |c, v, name| v.secret(&mut of(c, name).ssl.key_password)),
    hot("bridges.mqtt.*.ssl.server_name", TEXT, |c, v, name| v.string(&mut of(c, name).ssl.server_name)),
    ignored("bridges.mqtt.*.ssl.enable", "the scheme of the server says whether TLS is spoken"),
    ignored("bridges.mqtt.*.ssl.verify_peer", "the certificate of the remote is always verified"),
    ignored("bridges.mqtt.*.ssl.fail_if_no_peer_cert", "the certificate of the remote is always verified"),

    hot("bridges.mqtt.*.will.topic", TEXT, |c, v, name| set_text(&mut of(c, name).will.topic, v, 65_535)),
    hot("bridges.mqtt.*.will.qos", QOS, |c, v, name| v.int(&mut of(c, name).will.qos, 0..=2)),
    hot("bridges.mqtt.*.will.retain", FLAG, |c, v, name| v.flag(&mut of(c, name).will.retain)),
    hot("bridges.mqtt.*.will.payload", TEXT, |c, v, name| set_text(&mut of(c, name).will.payload, v, 65_535)),
    hot("bridges.mqtt.*.will.properties.payload_format_indicator", BIT, |c, v, name| v.int(&mut of(c, name).will.properties.payload_format_indicator, 0..=1)),
    hot("bridges.mqtt.*.will.properties.message_expiry_interval", U32, |c, v, name| v.int(&mut of(c, name).will.properties.message_expiry_interval, ANY_U32)),
    hot("bridges.mqtt.*.will.properties.content_type", TEXT, |c, v, name| set_text(&mut of(c, name).will.properties.content_type, v, 65_535)),
    hot("bridges.mqtt.*.will.properties.response_topic", TEXT, |c, v, name| set_text(&mut of(c, name).will.properties.response_topic, v, 65_535)),
    hot("bridges.mqtt.*.will.properties.correlation_data", TEXT, |c, v, name| set_text(&mut of(c, name).will.properties.correlation_data, v, 65_535)),
    hot("bridges.mqtt.*.will.properties.will_delay_interval", U32, |c, v, name| v.int(&mut of(c, name).will.properties.will_delay_interval, ANY_U32)),
    hot("bridges.mqtt.*.will.properties.user_property.*", TEXT, |c, v, name| set_property(&mut of(c, name).will.properties.user_property, v, name)),

    hot("bridges.mqtt.*.conn_properties.maximum_packet_size", "a number from 16 to 268435455 (0 = mqtt.max_packet_size)", |c, v, name| set_packet_size(of(c, name), v)),
    hot("bridges.mqtt.*.conn_properties.receive_maximum", U16, |c, v, name| v.int(&mut of(c, name).conn_properties.receive_maximum, 1..=65_535)),
    hot("bridges.mqtt.*.conn_properties.topic_alias_maximum", U16_OR_0, |c, v, name| v.int(&mut of(c, name).conn_properties.topic_alias_maximum, 0..=65_535)),
    hot("bridges.mqtt.*.conn_properties.request_problem_information", BIT, |c, v, name| v.int(&mut of(c, name).conn_properties.request_problem_information, 0..=1)),
    hot("bridges.mqtt.*.conn_properties.request_response_information", BIT, |c, v, name| v.int(&mut of(c, name).conn_properties.request_response_information, 0..=1)),
    hot("bridges.mqtt.*.conn_properties.session_expiry_interval", "a number from 0 to 4294967295 (for ever)", |c, v, name| v.int(&mut of(c, name).conn_properties.session_expiry_interval, ANY_U32)),
    hot("bridges.mqtt.*.conn_properties.user_property.*", TEXT, |c, v, name| set_property(&mut of(c, name).conn_properties.user_property, v, name)),

    hot("bridges.mqtt.*.sub_properties.identifier", "a number from 1 to 268435455 (0 = none)", |c, v, name| v.int(&mut of(c, name).sub_properties.identifier, 0..=268_435_455)),
    hot("bridges.mqtt.*.sub_properties.user_property.*", TEXT, |c, v, name| set_property(&mut of(c, name).sub_properties.user_property, v, name)),

    ignored("bridges.mqtt.*.tcp.**", "the keep alive of MQTT notices a dead connection"),
    ignored("bridges.mqtt.*.resend_interval", NO_RESEND),
    ignored("bridges.mqtt.*.resend_wait", NO_RESEND),
    ignored("bridges.mqtt.*.cancel_timeout", "use ping_timeout"),
    ignored("bridges.mqtt.*.quic_keepalive", NO_QUIC),
    ignored("bridges.mqtt.*.quic_idle_timeout", NO_QUIC),
    ignored("bridges.mqtt.*.quic_discon_timeout", NO_QUIC),
    ignored("bridges.mqtt.*.quic_handshake_timeout", NO_QUIC),
    ignored("bridges.mqtt.*.quic_send_idle_timeout", NO_QUIC),
    ignored("bridges.mqtt.*.quic_initial_rtt_ms", NO_QUIC),
    ignored("bridges.mqtt.*.quic_max_ack_delay_ms", NO_QUIC),
    ignored("bridges.mqtt.*.quic_multi_stream", NO_QUIC),
    ignored("bridges.mqtt.*.quic_qos_priority", NO_QUIC),
    ignored("bridges.mqtt.*.quic_congestion_control", NO_QUIC),
    ignored("bridges.mqtt.*.quic_0rtt", NO_QUIC),
];

/// Names that NanoMQ's flat files, its API and its typing errors have for the same.
#[rustfmt::skip]
static OTHER_NAMES: &[Key] = &[
    other_name("bridges.mqtt.*.address", ADDRESS, |c, v, name| set_server(of(c, name), v)),
    other_name("bridges.mqtt.*.bridge_mode", FLAG, |c, v, name| v.flag(&mut of(c, name).enable)),
    other_name("bridges.mqtt.*.parallel", U16_OR_0, |c, v, name| v.int(&mut of(c, name).max_parallel_processes, 0..=65_535)),
    other_name("bridges.mqtt.*.transparent", FLAG, |_, v, _| unbuilt_flag(v, "transparent bridging is not built yet")),
    other_name("bridges.mqtt.*.transparent_bridging", FLAG, |_, v, _| unbuilt_flag(v, "transparent bridging is not built yet")),
    other_name("bridges.mqtt.*.retry_qos_0", FLAG, |_, v, _| unbuilt_flag(v, "messages with QoS 0 are sent once")),
    other_name("bridges.mqtt.*.tls.cacertfile", FILE, |c, v, name| v.path(&mut of(c, name).ssl.cacertfile)),
    other_name("bridges.mqtt.*.tls.certfile", FILE, |c, v, name| v.path(&mut of(c, name).ssl.certfile)),
    other_name("bridges.mqtt.*.tls.keyfile", FILE, |c, v, name| v.path(&mut of(c, name).ssl.keyfile)),
    other_name("bridges.mqtt.*.tls.key_password", TEXT, |c, v, name| v.secret(&mut of(c, name).ssl.key_password)),
    other_name("bridges.mqtt.*.tls.server_name", TEXT, |c, v, name| v.string(&mut of(c, name).ssl.server_name)),
    ignored("bridges.mqtt.*.tls.enable", "the scheme of the server says whether TLS is spoken"),
    ignored("bridges.mqtt.*.tls.verify_peer", "the certificate of the remote is always verified"),
    ignored("bridges.mqtt.*.tls.fail_if_no_peer_cert", "the certificate of the remote is always verified"),
    other_name("bridges.mqtt.*.conn_properties.request_problem_infomation", BIT, |c, v, name| v.int(&mut of(c, name).conn_properties.request_problem_information, 0..=1)),
    other_name("bridges.mqtt.*.conn_properties.request_response_infomation", BIT, |c, v, name| v.int(&mut of(c, name).conn_properties.request_response_information, 0..=1)),
];

fn of<'a>(config: &'a mut Config, name: &Named<'_>) -> &'a mut BridgeConfig {
    let name = name.first().to_owned();
    config.bridges.mqtt.entry(name).or_default()
}

fn set_server(bridge: &mut BridgeConfig, value: &Value) -> Stored {
    bridge.server = match value.text()? {
        "" => None,
        text => Some(text.parse().map_err(|error| match error {
            BadRemote::Quic => Trouble::Wrong(error.to_string()),
            BadRemote::Other => Trouble::Unexpected,
        })?),
    };
    Ok(())
}

fn set_servers(bridge: &mut BridgeConfig, value: &Value) -> Stored {
    let mut servers: Vec<RemoteUrl> = Vec::new();
    let mut quic = 0_usize;
    for item in value.items()? {
        match item.parse() {
            Ok(server) => servers.push(server),
            Err(BadRemote::Quic) => quic = quic.saturating_add(1),
            Err(BadRemote::Other) => return Err(Trouble::Unexpected),
        }
    }
    if servers.len() > MAX_HYBRID_SERVERS {
        let message = format!("more than {MAX_HYBRID_SERVERS} servers");
        return Err(Trouble::Wrong(message));
    }
    bridge.hybrid_servers = servers;
    match quic {
        0 => Ok(()),
        _ => Err(Trouble::Note(format!(
            "{NO_QUIC}: servers over it are left out"
        ))),
    }
}

fn set_failback(bridge: &mut BridgeConfig, value: &Value) -> Stored {
    let mut interval = Duration::ZERO;
    seconds(value).duration(&mut interval, Duration::ZERO)?;
    if !interval.is_zero() && interval < Duration::from_secs(1) {
        return Err(Trouble::Unexpected);
    }
    bridge.failback_interval = interval;
    Ok(())
}

fn set_wait(field: &mut Duration, value: &Value) -> Stored {
    let mut wait = Duration::ZERO;
    seconds(value).duration(&mut wait, Duration::from_millis(10))?;
    if wait > Duration::from_secs(3600) {
        return Err(Trouble::Unexpected);
    }
    *field = wait;
    Ok(())
}

/// NanoMQ's flat files and bodies have durations of bridges in seconds without a unit.
fn seconds(value: &Value) -> Value {
    match value {
        Value::Text(text) if text.trim().parse::<u32>().is_ok() => {
            Value::Text(format!("{}s", text.trim()))
        }
        other => other.clone(),
    }
}

fn set_packet_size(bridge: &mut BridgeConfig, value: &Value) -> Stored {
    let mut size = 0_u32;
    value.int(&mut size, ANY_U32)?;
    if (1..16).contains(&size) {
        return Err(Trouble::Unexpected);
    }
    let size = size.min(super::MAX_PACKET_SIZE);
    bridge.conn_properties.maximum_packet_size = size;
    Ok(())
}

/// A text that is a string of the protocol.
fn set_text(field: &mut String, value: &Value, most: usize) -> Stored {
    let Value::Text(text) = value else {
        return Err(Trouble::Unexpected);
    };
    if text.len() > most || text.contains('\0') {
        return Err(Trouble::Unexpected);
    }
    *field = text.clone();
    Ok(())
}

fn set_property(into: &mut BTreeMap<String, String>, value: &Value, name: &Named<'_>) -> Stored {
    let name: &str = name;
    let mut text = String::new();
    set_text(&mut text, value, 65_535)?;
    if name.len() > 65_535 || name.contains('\0') {
        return Err(Trouble::Unexpected);
    }
    if into.len() >= MAX_USER_PROPERTIES && !into.contains_key(name) {
        let message = format!("is one of more than {MAX_USER_PROPERTIES}");
        return Err(Trouble::Wrong(message));
    }
    into.insert(name.to_owned(), text);
    Ok(())
}

/// A list of objects or texts; a text is split at its commas.
fn list(value: &Value) -> Result<serde_json::Value, Trouble> {
    match value {
        Value::Tree(list, _) => Ok(list.clone()),
        Value::Text(text) if text.trim().starts_with(['[', '{']) => {
            let list = serde_json::from_str(text).map_err(|_| Trouble::Unexpected)?;
            match list {
                serde_json::Value::Object(_) => Ok(vec![list].into()),
                list => Ok(list),
            }
        }
        _ => Ok(value.items()?.into()),
    }
}

fn set_forwards(bridge: &mut BridgeConfig, value: &Value) -> Stored {
    bridge.forwards = BridgeForward::read_all(&list(value)?).map_err(Trouble::Wrong)?;
    Ok(())
}

fn set_subscription(bridge: &mut BridgeConfig, value: &Value) -> Stored {
    bridge.subscription = BridgeSubscription::read_all(&list(value)?).map_err(Trouble::Wrong)?;
    Ok(())
}

fn unbuilt_flag(value: &Value, what: &str) -> Stored {
    let mut flag = false;
    value.flag(&mut flag)?;
    match flag {
        false => Ok(()),
        true => Err(Trouble::Note(what.to_owned())),
    }
}
