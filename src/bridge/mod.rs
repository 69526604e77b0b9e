//! The client's side of MQTT towards a remote broker, as plain logic: what a bridge says, what it makes of what it
//! hears, and when it tries again. The same codec and session as for clients.
//!
//! ```text
//!  server chosen (`servers`, `backoff`) --CONNECT (`greeting`)--> CONNACK --> Link
//!  bytes --Link::receive--> acknowledgements, answers, and messages by way of `incoming`
//!  batches --Link::channel--> PUBLISH, changed by `session::ToRemote`
//! ```
//!
//! Loops: with MQTT 5 a message carries the identities of the brokers that it has been at (`mqtt::hops`). With MQTT 3 two
//! brokers of this kind tell each other once per connection who they are (`mqtt::hops::INTRODUCTION`), and make the mark of
//! the other one in what comes from there; towards other brokers what was sent is remembered (`echoes`); see [`Marks`].

mod backoff;
mod bits;
mod broken;
mod echoes;
mod greeting;
mod incoming;
mod introductions;
mod link;
mod marks;
mod pings;
mod requests;
mod servers;
mod subscribed;

pub use backoff::Backoff;
pub use bits::{Bits, Closed};
pub use broken::Broken;
pub use greeting::{Accepted, Greeting, version};
pub use introductions::Introductions;
pub use link::{Link, Opening, Received, Surroundings, limits, rules};
pub use marks::{Marks, Origin};
pub use requests::Answered;
pub use servers::Servers;
pub use subscribed::Subscribed;

use crate::session::BRIDGE_SESSIONS;

/// The client id of a bridge's session at this broker.
pub fn session_id(name: &str) -> String {
    format!("{BRIDGE_SESSIONS}{name}")
}
