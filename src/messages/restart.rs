//! What a broker that starts again in place takes along: asked of the actors that have it, when no client is left.

use std::sync::Arc;

use actix::{Message, MessageResponse};

use super::KeptSession;
use crate::routing::{ClientInfo, StoredSubscription};

/// Asks the registry for its clients, none of which is connected any more. It knows none afterwards.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "CarriedClients")]
pub struct GiveUpClients;

/// Asks the session store for its sessions, with all that waits for them. It has none afterwards.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<KeptSession>")]
pub struct GiveUpSessions;

/// Asks for the retained messages but those of the broker itself.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<crate::mqtt::Message>")]
pub struct GiveUpRetained;

/// The clients that a registry knew.
#[derive(Debug, Default, MessageResponse)]
pub struct CarriedClients {
    /// Each of them.
    pub clients: Vec<CarriedClient>,
    /// The highest number of a connection.
    pub last_generation: u64,
}

/// A client that a registry knew.
#[derive(Debug)]
pub struct CarriedClient {
    /// Client id.
    pub client_id: Arc<str>,
    /// Of the last connection.
    pub info: ClientInfo,
    /// Number of the last connection.
    pub generation: u64,
    /// By the whole filter.
    pub subscriptions: Vec<(Arc<str>, StoredSubscription)>,
}
