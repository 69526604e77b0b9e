//! Whom the handlers ask.

use std::{
    future::poll_fn,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use actix::{Message, Recipient};
use tokio::time::timeout;

use super::{ApiError, access::Access, listing::Listing};
use crate::{
    config::HttpAuth,
    messages::{
        AdminSubscribe, AdminUnsubscribe, ChangeClientUsers, ChangeConfig, ClientRow, DeleteBridge,
        EndLife, GetBridge, GetCertificates, GetClient, GetConfig, GetPending, GetPolicy,
        GetProcessStats, GetQueueTotals, GetStats, GetSubscriptions, GetTopicTree, IdleRow,
        KickClient, ListBridges, ListClients, ListIdle, ListListeners, ListSlowClients,
        ListSubscriptions, PublishMessages, PutBridge, ReloadConfig, RemoveRetained, ReplaceConfig,
        RetainedPagesRequest, SubscribeBridge, SwitchBridge, UnsubscribeBridge,
    },
    store::Outcome,
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
    /// Each knows the sockets of a worker.
    pub idle: Arc<[Recipient<ListIdle>]>,
    /// Knows one client.
    pub client: Recipient<GetClient>,
    /// Knows the subscriptions.
    pub subscriptions: Recipient<ListSubscriptions>,
    /// Knows the subscriptions of a client.
    pub subscriptions_of: Recipient<GetSubscriptions>,
    /// Publishes messages.
    pub publish: Recipient<PublishMessages>,
    /// Subscribes for clients.
    pub subscribe: Recipient<AdminSubscribe>,
    /// Knows who may use the API.
    pub access: Access,
    /// Unsubscribes for clients.
    pub unsubscribe: Recipient<AdminUnsubscribe>,
    /// Knows the topic filters.
    pub topic_tree: Recipient<GetTopicTree>,
    /// Knows the clients that lag behind.
    pub slow_clients: Recipient<ListSlowClients>,
    /// Knows what waits for all clients.
    pub queues: Recipient<GetQueueTotals>,
    /// Disconnects clients.
    pub kick: Recipient<KickClient>,
    /// Knows what the process uses.
    pub process: Recipient<GetProcessStats>,
    /// Knows the listeners.
    pub listeners: Recipient<ListListeners>,
    /// Knows the retained messages.
    pub retained: Recipient<RetainedPagesRequest>,
    /// Removes retained messages.
    pub remove_retained: Recipient<RemoveRetained>,
    /// True from the moment when the broker begins to stop.
    pub stopping: Arc<AtomicBool>,
    /// Reads the configuration anew.
    pub reload: Recipient<ReloadConfig>,
    /// Changes keys of the configuration.
    pub change: Recipient<ChangeConfig>,
    /// Replaces the configuration file.
    pub replace: Recipient<ReplaceConfig>,
    /// Knows what a restart would change.
    pub pending: Recipient<GetPending>,
    /// Knows the bridges.
    pub bridges: Recipient<ListBridges>,
    /// Knows one bridge.
    pub bridge: Recipient<GetBridge>,
    /// Makes and changes bridges.
    pub put_bridge: Recipient<PutBridge>,
    /// Ends bridges.
    pub delete_bridge: Recipient<DeleteBridge>,
    /// Switches bridges on and off.
    pub switch_bridge: Recipient<SwitchBridge>,
    /// Subscribes bridges to topics.
    pub subscribe_bridge: Recipient<SubscribeBridge>,
    /// Unsubscribes bridges from topics.
    pub unsubscribe_bridge: Recipient<UnsubscribeBridge>,
    /// Knows the texts of the certificates.
    pub certificates: Recipient<GetCertificates>,
    /// Knows who may come in and who may do what.
    pub policy: Recipient<GetPolicy>,
    /// Changes the users that clients log in as.
    pub change_client_users: Recipient<ChangeClientUsers>,
    /// Stops the broker or starts it again.
    pub life: Recipient<EndLife>,
}

/// Waits until the durable store has what was changed, as an acknowledgement to a client would.
///
/// # Errors
/// It does not take it, or not in time.
pub async fn stored(outcome: &Outcome) -> Result<(), ApiError> {
    match timeout(ASK_TIMEOUT, poll_fn(|cx| outcome.poll(cx))).await {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(ApiError::NotStored),
    }
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

impl ApiState {
    /// All clients, or those with a user name.
    ///
    /// # Errors
    /// As [`ask`].
    pub async fn clients_of(
        &self,
        username: Option<String>,
    ) -> Result<Listing<ClientRow>, ApiError> {
        let ask_for = move |after| ListClients {
            username: username.clone(),
            after,
        };
        Listing::open(&self.clients, ask_for).await
    }

    /// The sockets whose CONNECT has not come, the oldest first.
    ///
    /// # Errors
    /// As [`ask`].
    pub async fn idle_sockets(&self) -> Result<Listing<IdleRow>, ApiError> {
        let mut rows = Vec::new();
        for host in &*self.idle {
            rows.extend(ask(host, ListIdle).await?);
        }
        rows.sort_by_key(|row| (row.accepted_at, row.peer));
        Ok(Listing::whole(rows))
    }
}
