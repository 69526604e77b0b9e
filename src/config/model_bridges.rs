//! The `bridges` section of the model: connections to other brokers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bridge_topics::{BridgeForward, BridgeSubscription};
use super::remote::{RemoteUrl, optional};
use super::values::{MqueuePolicy, Secret};

/// The name of the bridge that has none in a flat file (`bridge.mqtt.address = ..`).
pub const DEFAULT_BRIDGE: &str = "default";
/// Most bridges.
pub const MAX_BRIDGES: usize = 256;
/// Longest name of a bridge, in bytes.
pub const MAX_BRIDGE_NAME: usize = 64;
/// Most servers that a bridge tries besides its first.
pub const MAX_HYBRID_SERVERS: usize = 16;
/// Most user properties of one packet.
pub(crate) const MAX_USER_PROPERTIES: usize = 64;

/// Whether a text can name a bridge: letters, digits, `_`, `-`, `.` and space, at most [`MAX_BRIDGE_NAME`] bytes, and
/// not `cache`, which is a section of its own in NanoMQ's files.
pub fn is_bridge_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    !text.is_empty()
        && text.len() <= MAX_BRIDGE_NAME
        && text != "cache"
        && text.chars().all(is_plain)
}

/// Connections to other brokers (`bridges`). All of them can change while the broker runs; a change touches only the
/// bridge it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bridges {
    /// Bridges over MQTT, by name. Default none.
    pub mqtt: BTreeMap<String, BridgeConfig>,
}

/// A bridge over MQTT (`bridges.mqtt.NAME`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BridgeConfig {
    /// Whether it runs. Default true.
    pub enable: bool,
    /// The remote broker; none in a bridge that does not run. Default empty.
    #[serde(with = "optional")]
    pub server: Option<RemoteUrl>,
    /// Whether `hybrid_servers` are tried when `server` cannot be reached. Default false.
    pub hybrid_bridging: bool,
    /// Servers that are tried in turn after `server`, most [`MAX_HYBRID_SERVERS`]. Default empty.
    pub hybrid_servers: Vec<RemoteUrl>,
    /// How often `server` is tried while the bridge is connected to another one; 0 = never. Default 60s.
    #[serde(with = "super::units::duration")]
    pub failback_interval: Duration,
    /// Protocol level: 3 (MQTT 3.1), 4 (3.1.1) or 5. Default 4.
    pub proto_ver: u8,
    /// Client identifier at the remote; empty = made of the identity of this broker, which is kept in the file `nanomq_id`
    /// beside the configuration file, and the name of the bridge. Default empty.
    pub clientid: String,
    /// Keep alive in seconds; 0 = none. Default 60s.
    #[serde(with = "super::units::seconds")]
    pub keepalive: u16,
    /// How long the answer to a PINGREQ may take before the connection counts as dead. Default 10s.
    #[serde(with = "super::units::duration")]
    pub ping_timeout: Duration,
    /// Whether the remote forgets the session of the bridge: at every connection with MQTT 3, at the first with MQTT 5.
    /// What waits here is kept. Default false.
    pub clean_start: bool,
    /// User name; empty = none. Default empty.
    pub username: String,
    /// Password; empty = none. Default empty.
    pub password: Secret,
    /// Time for a connection, from the look-up of the name until CONNACK. Default 10s.
    #[serde(with = "super::units::duration")]
    pub connect_timeout: Duration,
    /// Wait after the first failed connection; it doubles with each that follows, and a part of it is random. Default 1s.
    #[serde(with = "super::units::duration")]
    pub backoff_min: Duration,
    /// Longest such wait. Default 60s.
    #[serde(with = "super::units::duration")]
    pub backoff_max: Duration,
    /// With MQTT 3: whether the remote is asked not to send back what the bridge sent, by the bit that brokers know
    /// bridges by, whether it is told which broker the bridge is of, and whether copies that come back nevertheless are
    /// dropped. Default true.
    pub no_local_v4: bool,
    /// NanoMQ's number of requests that are on their way to the remote at once. A bridge is one actor here, and its
    /// requests are messages with QoS 1 and 2: this is `max_inflight_window` by another name, which counts where both are
    /// set. 0 = not said. Default 0.
    pub max_parallel_processes: u16,
    /// Most messages with QoS 1 and 2 sent and not yet acknowledged; the remote's Receive Maximum lowers it
    /// [MQTT-3.3.4-9]. 0 = `max_parallel_processes`, and if that is 0 too 1024 with MQTT 5 and 20 with MQTT 3, where no
    /// remote says how many it takes. Default 0.
    pub max_inflight_window: u16,
    /// Most messages waiting for the remote. Default 10000.
    pub max_send_queue_len: usize,
    /// Most bytes of messages waiting for the remote. Default 64MB.
    #[serde(with = "super::units::size")]
    pub max_send_queue_bytes: usize,
    /// What happens to a message that does not fit. Default `drop_oldest`.
    pub queue_policy: MqueuePolicy,
    /// Most messages with QoS 1 and 2 of the remote handled at once: it is told so as Receive Maximum with MQTT 5, where
    /// `conn_properties.receive_maximum` lowers it, and not read from while as many wait for the store. Default 1024.
    pub max_recv_queue_len: u16,
    /// What is forwarded to the remote. Default none.
    pub forwards: Vec<BridgeForward>,
    /// What is subscribed to at the remote. Default none.
    pub subscription: Vec<BridgeSubscription>,
    /// TLS, with a server that is spoken to over it.
    pub ssl: BridgeTls,
    /// The will.
    pub will: BridgeWill,
    /// Properties of CONNECT, with MQTT 5.
    pub conn_properties: BridgeConnectProperties,
    /// Properties of SUBSCRIBE, with MQTT 5.
    pub sub_properties: BridgeSubscribeProperties,
}

impl Default for BridgeConfig {
    fn default() -> Self {
        Self {
            enable: true,
            server: None,
            hybrid_bridging: false,
            hybrid_servers: Vec::new(),
            failback_interval: Duration::from_secs(60),
            proto_ver: 4,
            clientid: String::new(),
            keepalive: 60,
            ping_timeout: Duration::from_secs(10),
            clean_start: false,
            username: String::new(),
            password: Secret::default(),
            connect_timeout: Duration::from_secs(10),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            no_local_v4: true,
            max_parallel_processes: 0,
            max_inflight_window: 0,
            max_send_queue_len: 10_000,
            max_send_queue_bytes: 64 << 20,
            queue_policy: MqueuePolicy::DropOldest,
            max_recv_queue_len: 1024,
            forwards: Vec::new(),
            subscription: Vec::new(),
            ssl: BridgeTls::default(),
            will: BridgeWill::default(),
            conn_properties: BridgeConnectProperties::default(),
            sub_properties: BridgeSubscribeProperties::default(),
        }
    }
}

impl BridgeConfig {
    /// Most messages with QoS 1 and 2 sent and not yet acknowledged, by `max_inflight_window` or
    /// `max_parallel_processes`.
    pub fn inflight_window(&self) -> u16 {
        match (self.max_inflight_window, self.max_parallel_processes) {
            (0, 0) if self.proto_ver == 5 => 1024,
            // What Mosquitto takes, which closes the connection of one that sends more.
            (0, 0) => 20,
            (0, window) | (window, _) => window,
        }
    }

    /// The servers in the order in which they are tried.
    pub fn servers(&self) -> impl Iterator<Item = &RemoteUrl> {
        let others = self.hybrid_servers.iter().filter(|_| self.hybrid_bridging);
        self.server.iter().chain(others)
    }
}

/// TLS towards a remote broker (`bridges.mqtt.NAME.ssl`). Its certificate and name are always verified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BridgeTls {
    /// PEM file with the authorities that vouch for the remote; empty = those of the operating system. Default empty.
    pub cacertfile: PathBuf,
    /// PEM file with the certificate that is shown to the remote; empty = none is. Default empty.
    pub certfile: PathBuf,
    /// PEM file with its private key. Default empty.
    pub keyfile: PathBuf,
    /// Password of an encrypted private key. Default empty.
    pub key_password: Secret,
    /// The name in the remote's certificate, which is also told it (SNI); empty = the host of the server. Default empty.
    pub server_name: String,
}

/// The will of a bridge (`bridges.mqtt.NAME.will`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BridgeWill {
    /// Its topic at the remote; empty = there is no will. Default empty.
    pub topic: String,
    /// Its QoS, 0 to 2. Default 0.
    pub qos: u8,
    /// Whether it is retained. Default false.
    pub retain: bool,
    /// Its text. Default empty.
    pub payload: String,
    /// Its properties, with MQTT 5.
    pub properties: BridgeWillProperties,
}

/// Properties of a will (`bridges.mqtt.NAME.will.properties`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BridgeWillProperties {
    /// 1: the payload is UTF-8 text. Default 0.
    pub payload_format_indicator: u8,
    /// Seconds that the message lasts; 0 = for ever. Default 0.
    pub message_expiry_interval: u32,
    /// Its content type; empty = none. Default empty.
    pub content_type: String,
    /// Where answers go; empty = none. Default empty.
    pub response_topic: String,
    /// What belongs to a request; empty = none. Default empty.
    pub correlation_data: String,
    /// Seconds between the end of the connection and the will. Default 0.
    pub will_delay_interval: u32,
    /// Names and values. Default none.
    pub user_property: BTreeMap<String, String>,
}

/// Properties of CONNECT (`bridges.mqtt.NAME.conn_properties`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BridgeConnectProperties {
    /// Largest packet that is accepted from the remote, in bytes; 0 = `mqtt.max_packet_size`. Default 0.
    pub maximum_packet_size: u32,
    /// Most messages with QoS 1 and 2 of the remote handled at once, 1 to 65535. Default 65535.
    pub receive_maximum: u16,
    /// Topic aliases that the remote may set. Default 0.
    pub topic_alias_maximum: u16,
    /// Whether the remote may say in texts what went wrong, 0 or 1. Default 1.
    pub request_problem_information: u8,
    /// Whether the remote is asked for a prefix of response topics, 0 or 1. Default 0.
    pub request_response_information: u8,
    /// Seconds that the remote keeps the session without a connection; 4294967295 = for ever. Default 604800.
    pub session_expiry_interval: u32,
    /// Names and values. Default none.
    pub user_property: BTreeMap<String, String>,
}

impl Default for BridgeConnectProperties {
    fn default() -> Self {
        Self {
            maximum_packet_size: 0,
            receive_maximum: 65_535,
            topic_alias_maximum: 0,
            request_problem_information: 1,
            request_response_information: 0,
            session_expiry_interval: 7 * 24 * 60 * 60,
            user_property: BTreeMap::new(),
        }
    }
}

/// Properties of SUBSCRIBE (`bridges.mqtt.NAME.sub_properties`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BridgeSubscribeProperties {
    /// The subscription identifier; 0 = none. Default 0.
    pub identifier: u32,
    /// Names and values. Default none.
    pub user_property: BTreeMap<String, String>,
}
