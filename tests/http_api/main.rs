//! The HTTP API v4 of a broker that runs in this process, seen from a socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod answers;
mod bodies;
mod bridges;
mod certificates;
mod configuration;
mod figures;
mod kit;
mod lists;
mod openapi;
mod prometheus;
mod publish;
mod publish_batch;
mod refusals;
mod reload;
mod removals;
mod retained;
mod security;
mod subscribe;
mod tokens;
mod topic_tree;
#[path = "../broker/trusting.rs"]
mod trusting;
mod users;
