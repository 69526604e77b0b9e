//! The `mqtt` section of the model: limits and rules of the protocol.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::values::MqueuePolicy;

/// The largest packet MQTT can express, in bytes of remaining length [MQTT-1.5.5].
pub const MAX_PACKET_SIZE: u32 = 268_435_455;

/// Limits and rules of the protocol (`mqtt`). All of them can change while the broker runs; connections see it when they next ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mqtt {
    /// Most properties in one packet; more is refused. Default 64.
    pub max_properties: usize,
    /// Largest packet accepted and sent, in bytes with its header [MQTT-3.1.2-24]. Default 1MB.
    #[serde(with = "super::units::size")]
    pub max_packet_size: u32,
    /// Largest PUBLISH payload accepted, in bytes; 0 = only `max_packet_size` bounds it. Default 0.
    #[serde(with = "super::units::size")]
    pub max_payload_size: u32,
    /// Most messages waiting for one session. Default 2048.
    pub max_mqueue_len: usize,
    /// Most bytes of messages waiting for one session. Default 16MB.
    #[serde(with = "super::units::size")]
    pub max_mqueue_bytes: usize,
    /// What happens to a message that does not fit the queue. Default `drop_oldest`.
    pub mqueue_policy: MqueuePolicy,
    /// Most QoS 1 and 2 messages sent to a client and not yet acknowledged; the client's Receive Maximum lowers it
    /// [MQTT-3.3.4-9]. Default 128.
    pub max_inflight_window: u16,
    /// Most bytes of messages sent to a client and not yet acknowledged. Default 8MB.
    #[serde(with = "super::units::size")]
    pub max_inflight_bytes: usize,
    /// Most QoS 1 and 2 messages of a client handled at once, told it as Receive Maximum [MQTT-3.3.4-7]. Default 1024.
    pub receive_maximum: u16,
    /// Topic aliases a client may set; 0 = none [MQTT-3.2.2-18]. Default 64.
    pub max_topic_alias: u16,
    /// Topic aliases the broker sets towards a client; 0 = none, and the client's maximum lowers it. Default 0.
    pub max_topic_alias_out: u16,
    /// The keep alive times this is how long a client may be silent [MQTT-3.1.2-22]. Default 1.5.
    pub keepalive_multiplier: f64,
    /// Longest keep alive in seconds; a client that asks for more is held to this; 0 = no maximum. Default 0s.
    #[serde(with = "super::units::seconds")]
    pub max_keepalive: u16,
    /// Longest time in seconds a session is kept without its client; [`NEVER_EXPIRES`](super::NEVER_EXPIRES) = for
    /// ever (`infinite`). Default 7d.
    #[serde(with = "super::units::expiry")]
    pub max_session_expiry_interval: u32,
    /// How long in seconds the session of a v3 client with clean session 0 is kept; [`NEVER_EXPIRES`](super::NEVER_EXPIRES)
    /// = for ever (`infinite`); `max_session_expiry_interval` bounds it. Default 7d.
    #[serde(with = "super::units::expiry")]
    pub session_expiry_interval: u32,
    /// Most sessions, connected and kept together. Default 1000000.
    pub max_sessions: usize,
    /// Longest client identifier in bytes. Default 1024.
    pub max_clientid_len: u16,
    /// Longest topic name or filter in bytes. Default 65535.
    pub max_topic_length: u16,
    /// Most levels of a topic name or filter. Default 128.
    pub max_topic_levels: usize,
    /// Most subscriptions of one client; 0 = unlimited. Default 10000.
    pub max_subscriptions: usize,
    /// Most retained messages. Default 1000000.
    pub max_retained_messages: usize,
    /// Most bytes of retained messages. Default 256MB.
    #[serde(with = "super::units::size")]
    pub max_retained_bytes: usize,
    /// How long a retained message without an expiry of its own is kept; 0 = for ever. Default 0s.
    #[serde(with = "super::units::duration")]
    pub retained_expiry_interval: Duration,
    /// Most bytes waiting to be written to one connection; beyond it QoS 0 is dropped and QoS 1 and 2 wait in the queue.
    /// Default 4MB.
    #[serde(with = "super::units::size")]
    pub max_output_buffer: usize,
    /// Highest QoS a client may publish with, 0 to 2 [MQTT-3.2.2-9]. Default 2.
    pub max_qos: u8,
    /// Whether messages may be retained [MQTT-3.2.2-14]. Default true.
    pub retain_available: bool,
    /// Whether filters may have wildcards. Default true.
    pub wildcard_subscription_available: bool,
    /// Whether shared subscriptions are allowed. Default true.
    pub shared_subscription_available: bool,
    /// Whether subscriptions may carry an identifier. Default true.
    pub subscription_identifier_available: bool,
    /// Protocol levels accepted: 3 (MQTT 3.1), 4 (3.1.1) and 5. Default all three.
    pub protocol_versions: Vec<u8>,
    /// Whether a client may leave its identifier empty and be given one [MQTT-3.1.3-6]. Default true.
    pub allow_empty_clientid: bool,
    /// Time between statistics on `$SYS` topics; 0 = none. Default 10s.
    #[serde(with = "super::units::duration")]
    pub sys_interval: Duration,
    /// Longest time that the publishers to a subscriber whose queue or output is nearly full are not read from, so
    /// that it can catch up; one that has not by then is not waited for again until it has. A twentieth of that for one with
    /// QoS 0 while most subscribers of the publisher keep up. Default 1 s, zero: none.
    #[serde(with = "super::units::duration")]
    pub max_publisher_pause: Duration,
    /// Whether connects and disconnects are published on `$SYS` topics. Default true.
    pub sys_events: bool,
}

impl Default for Mqtt {
    fn default() -> Self {
        const WEEK: u32 = 7 * 24 * 60 * 60;
        Self {
            max_properties: 64,
            max_packet_size: 1 << 20,
            max_payload_size: 0,
            max_mqueue_len: 2048,
            max_mqueue_bytes: 16 << 20,
            mqueue_policy: MqueuePolicy::DropOldest,
            max_inflight_window: 512,
            max_inflight_bytes: 8 << 20,
            receive_maximum: 1024,
            max_topic_alias: 64,
            max_topic_alias_out: 0,
            keepalive_multiplier: 1.5,
            max_keepalive: 0,
            max_session_expiry_interval: WEEK,
            session_expiry_interval: WEEK,
            max_sessions: 1_000_000,
            max_clientid_len: 1024,
            max_topic_length: 65_535,
            max_topic_levels: 128,
            max_subscriptions: 10_000,
            max_retained_messages: 1_000_000,
            max_retained_bytes: 256 << 20,
            retained_expiry_interval: Duration::ZERO,
            max_output_buffer: 4 << 20,
            max_qos: 2,
            retain_available: true,
            wildcard_subscription_available: true,
            shared_subscription_available: true,
            subscription_identifier_available: true,
            protocol_versions: vec![3, 4, 5],
            allow_empty_clientid: true,
            sys_interval: Duration::from_secs(10),
            max_publisher_pause: Duration::from_secs(1),
            sys_events: true,
        }
    }
}
