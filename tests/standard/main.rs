//! The MQTT standard, statement by statement: a peer sends literal bytes and expects literal bytes.
//!
//! Each test names in its comment the statements that it would find broken. `statements.txt` maps every statement of
//! MQTT 5.0 that binds a server, and the rules of MQTT 3.1.1 that differ, to these tests; [`map`] keeps the two equal.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod inventory;
#[path = "../broker/kit.rs"]
#[allow(dead_code)]
mod kit;
mod map;
mod notation;
mod peer;

mod aliases;
mod connack;
mod connect;
mod disconnect;
mod errors;
mod flow_control;
mod forwarding;
mod publish;
mod qos;
mod retain;
mod sessions;
mod shared;
mod strings;
mod subscribe;
mod topics;
mod unsubscribe;
mod v311;
mod wills;
