//! Peers that break the rules, class by class. `classes.txt` says what breaks each class and which test, here or
//! elsewhere, would find the defence missing; [`map`] checks that the tests are there.
//!
//! What every test of this binary shows: the offender gets its code or is closed, and everybody else goes on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../standard/inventory.rs"]
mod inventory;
#[path = "../broker/kit.rs"]
#[allow(dead_code)]
mod kit;
mod map;
#[path = "../standard/notation.rs"]
mod notation;
#[path = "../standard/peer.rs"]
#[allow(dead_code)]
mod peer;

mod connect;
mod filters;
mod packets;
mod retained;
mod sessions;
