//! Black-box tests: real MQTT clients against the real `nanomq` process.
//!
//! The clients are `mosquitto_pub` and `mosquitto_sub`, Eclipse Paho for Python and `rumqttc`; a few packets that
//! no well-behaved client sends come from a plain socket. `./scripts/test` installs what is needed; a missing
//! client is a failure that says so, never a skipped test.
//!
//! `NANOMQ_TEST_BROKER=127.0.0.1:1883 cargo test --test interop` runs the same tests against another broker, which
//! shows whether a failure is the broker's or the test's. What only `nanomq` promises is left out then. Mosquitto
//! 2.0.11 (with `sys_interval 1`, `max_queued_messages 0`, `max_inflight_messages 0`) passes all but four: it does not
//! send DISCONNECT 0x8E on takeover, keeps No Local when a subscription is made again without it, leaves out a delayed
//! will when the session ends first, and in version 5 exceeds the Receive Maximum of `mosquitto_sub` with QoS 2.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod authority;
mod clients;
#[allow(dead_code)]
mod harness;
mod http;
mod raw;
#[path = "../broker/trusting.rs"]
mod trusting;

mod admin;
mod api;
mod crash;
mod doors;
mod https;
mod lifecycle;
mod logins;
mod many;
mod mosquitto;
mod mosquitto_sessions;
mod paho;
mod prometheus;
mod protocol;
mod readme;
mod rumqtt;
