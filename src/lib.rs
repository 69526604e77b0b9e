//! An MQTT 3.1, 3.1.1 and 5.0 broker made of actix actors.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod actors;
pub mod api;
pub mod auth;
pub mod broker;
pub mod config;
pub mod listeners;
pub mod messages;
pub mod mqtt;
pub mod routing;
pub mod session;
pub mod stats;
pub mod transport;
