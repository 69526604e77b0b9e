//! Ending the life of a broker from inside.

use actix::Message;

use crate::config::{Config, Problem};

/// What is to become of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stops, and its process ends.
    Stop,
    /// It stops and starts again with the configuration read anew.
    Restart,
}

/// Ends the broker's life. Answered before anything happens.
///
/// A restart is refused with the problems of the configuration when it has errors; the broker goes on then.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<(), Vec<Problem>>")]
pub struct EndLife(pub Fate);

/// What the owner of a broker is asked to do with it.
#[derive(Debug)]
pub enum Wanted {
    /// To stop it.
    Stop,
    /// To stop it and start one with this configuration.
    Restart(Box<Config>),
}
