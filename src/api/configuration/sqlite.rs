//! The section `sqlite`: NanoMQ's store of messages, in whose place is `store` here.

use serde::Serialize;

use crate::config::Config;

/// Messages in memory before NanoMQ writes any; here all are written.
const DISK_CACHE_SIZE: u32 = 102_400;
/// Messages that NanoMQ writes at once.
const FLUSH_MEM_THRESHOLD: u32 = 100;
/// Milliseconds after which NanoMQ sends messages again; here a connection that comes again makes that happen.
const RESEND_INTERVAL: u32 = 5000;

/// The store in NanoMQ's terms. What has no meaning here is shown as NanoMQ has it by default.
#[derive(Serialize)]
pub struct Sqlite<'a> {
    enable: bool,
    disk_cache_size: u32,
    flush_mem_threshold: u32,
    resend_interval: u32,
    mounted_file_path: Option<&'a str>,
}

impl<'a> Sqlite<'a> {
    /// As it is configured.
    pub fn new(config: &'a Config) -> Self {
        let path = config.store.path.to_str();
        Self {
            enable: config.store.enable,
            disk_cache_size: DISK_CACHE_SIZE,
            flush_mem_threshold: FLUSH_MEM_THRESHOLD,
            resend_interval: RESEND_INTERVAL,
            mounted_file_path: path.filter(|_| config.store.enable),
        }
    }
}
