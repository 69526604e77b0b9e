//! An MQTT 3.1, 3.1.1 and 5.0 broker made of actix actors.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod config;
pub mod mqtt;
pub mod routing;
pub mod session;
pub mod stats;
