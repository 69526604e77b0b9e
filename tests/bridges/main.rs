//! Bridges against a real Mosquitto (Debian) and other nanomq processes, over lines that break and with remotes that
//! do not keep the protocol: what was acknowledged arrives, QoS 2 once, in order.
//!
//! `./scripts/test` installs Mosquitto; without it the tests fail and say so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../interop/harness.rs"]
#[allow(dead_code)]
mod harness;
#[path = "../http_api/kit.rs"]
#[allow(dead_code)]
mod http;
#[path = "../broker/kit.rs"]
#[allow(dead_code)]
mod kit;
#[path = "../standard/notation.rs"]
#[allow(dead_code)]
mod notation;

#[path = "../interop/authority.rs"]
#[allow(dead_code)]
mod authority;
mod caller;
mod example;
mod faults;
mod hostile;
mod hot;
mod kept;
mod links;
mod local;
mod loops;
mod mosquitto;
mod node;
mod numbered;
mod proxy;
mod servers;
mod window;
