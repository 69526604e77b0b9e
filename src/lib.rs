//! An MQTT 3.1, 3.1.1 and 5.0 broker made of actix actors.
//!
//! Folders from the ground floor up; a file imports only lower floors and its own folder:
//!
//! | floor | modules |
//! |---|---|
//! | 0 values | [`mqtt`], [`config`], [`stats`] |
//! | 1 pure logic, `now` is an argument | [`session`], [`routing`], [`auth`], [`store`], [`bridge`] |
//! | 2 vocabulary | [`messages`] |
//! | 3 shells | [`transport`], [`actors`] |
//! | 4 edges | [`listeners`], [`api`] |
//! | roof | [`broker`], the composition root, and [`cli`], the command line |
//!
//! The path of a PUBLISH: [`actors::ClientConnection`] reads a chunk and decodes the packets in it
//! ([`mqtt::decode_publish`]); each goes through the client's [`session::Channel`]; the [`actors::Router`] finds the
//! subscribers in the [`routing::RouteTable`] and groups consecutive messages with the same subscribers into one
//! [`mqtt::Batch`], which goes into the [`messages::Inbox`] of each subscriber's session; the actor that owns the
//! session drains it, and its `Channel` writes what the client gets into the connection's output.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod actors;
pub mod api;
pub mod auth;
pub mod bridge;
pub mod broker;
pub mod cli;
pub mod config;
pub mod listeners;
pub mod messages;
pub mod mqtt;
pub mod routing;
pub mod session;
pub mod stats;
pub mod store;
pub mod transport;
