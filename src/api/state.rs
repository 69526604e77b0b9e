//! Whom the handlers ask.

use std::time::Duration;

use actix::{Message, Recipient};
use tokio::time::timeout;

use super::{ApiError, access::Access};
use crate::{
    config::HttpAuth,
    messages::{
        AdminSubscribe, AdminUnsubscribe, GetClient, GetConfig, GetStats, ListClients,
        ListSubscriptions, PublishMessages,
    },
};

/// How long a handler waits for an actor.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// The actors that the API shows, and what does not change while it is served.
#[derive(Clone)]
pub struct ApiState {
    /// How users are known. Unlike the credentials it takes a restart to change.
    pub auth_type: HttpAuth,
    /// Knows the configuration as it runs.
    pub config: Recipient<GetConfig>,
    /// Knows the counters and the time since the start.
    pub stats: Recipient<GetStats>,
    /// Knows all clients.
    pub clients: Recipient<ListClients>,
    /// Knows one client.
    pub client: Recipient<GetClient>,
    /// Knows the subscriptions.
    pub subscriptions: Recipient<ListSubscriptions>,
    /// Publishes messages.
    pub publish: Recipient<PublishMessages>,
    /// Subscribes for clients.
    pub subscribe: Recipient<AdminSubscribe>,
    /// Knows who may use the API.
    pub access: Access,
    /// Unsubscribes for clients.
    pub unsubscribe: Recipient<AdminUnsubscribe>,
}

/// Asks an actor.
///
/// # Errors
/// [`ApiError::NoAnswer`] when it has stopped, or says nothing for five seconds.
pub async fn ask<M>(actor: &Recipient<M>, message: M) -> Result<M::Result, ApiError>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    let what = std::any::type_name::<M>();
    match timeout(ASK_TIMEOUT, actor.send(message)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            log::error!("http: {what}: {error}");
            Err(ApiError::NoAnswer)
        }
        Err(_) => {
            log::error!("http: {what}: no answer within {ASK_TIMEOUT:?}");
            Err(ApiError::NoAnswer)
        }
    }
}
