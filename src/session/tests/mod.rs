//! Tests of the session as a whole: a scripted client, a channel, and a time that is made up.

mod admission;
mod closing;
mod connack;
mod deliveries;
mod durable;
mod fast_path;
mod gate;
mod incoming;
mod incoming_aliases;
mod kit;
mod outgoing_aliases;
mod queue;
mod requests;
mod resume;
mod shared;
mod v3_bridge;
mod walk;
mod window;
