//! Messages to the config manager.

use std::sync::Arc;

use actix::{Message, MessageResponse};

use crate::config::{Config, Problem};

/// The configuration as it runs.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Arc<Config>")]
pub struct GetConfig;

/// Reads the configuration anew and applies what can change while running; all of it or nothing.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "ReloadReport")]
pub struct ReloadConfig;

/// What a reload did.
#[derive(Clone, Debug, Default, MessageResponse)]
pub struct ReloadReport {
    /// Keys that changed and hold now.
    pub applied: Vec<String>,
    /// Keys that changed in the file and wait for a restart.
    pub needs_restart: Vec<String>,
    /// Why nothing was applied, if there are errors; else the warnings.
    pub problems: Vec<Problem>,
}

/// A listener is to accept no more.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct StopAccepting;
