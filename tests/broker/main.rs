//! The broker in-process, with scripted peers on plain sockets: what sessions, actors and inboxes do together.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod kit;
mod trusting;

mod accounting;
mod doors;
mod enhanced_auth;
mod flow;
mod hostile;
mod http_auth;
mod https_auth;
mod logins;
mod moves;
mod permissions;
mod sessions;
mod shared;
mod slow_doors;
mod store;
