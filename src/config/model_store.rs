//! The `store` section of the model: what survives the process.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::values::{Durability, MqueuePolicy};

/// The durable store (`store`): sessions, their messages and retained messages on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Whether there is one. Default false.
    pub enable: bool,
    /// Its folder; empty = `nanomq_store` beside the configuration file. Default empty.
    pub path: PathBuf,
    /// What an acknowledgement means. Default `sync`.
    pub durability: Durability,
    /// How long after it was written a record is confirmed by the disk at the latest, if `durability` is `async`.
    /// Default 100ms.
    #[serde(with = "super::units::duration")]
    pub sync_interval: Duration,
    /// Most messages that wait in all sessions together. Default 10000000.
    pub max_messages: u64,
    /// Most bytes of what is stored. Default 8GB.
    #[serde(with = "super::units::size")]
    pub max_bytes: u64,
    /// Changes of sessions that wait in memory while the disk refuses, beyond which no session is resumed. Default 100000.
    pub max_waiting_changes: usize,
    /// What happens to a message beyond these: it is refused, or the oldest that wait in the sessions that it is for
    /// make room. Default `reject`.
    pub policy: MqueuePolicy,
    /// Bytes of one file of the store. Default 16MB.
    #[serde(with = "super::units::size")]
    pub segment_size: u32,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            enable: false,
            path: PathBuf::new(),
            durability: Durability::Sync,
            sync_interval: Duration::from_millis(100),
            max_messages: 10_000_000,
            max_bytes: 8 << 30,
            max_waiting_changes: 100_000,
            policy: MqueuePolicy::Reject,
            segment_size: 16 << 20,
        }
    }
}
