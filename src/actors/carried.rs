//! What a broker that starts again in place takes along from one life to the next, where no durable store has it: the kept
//! sessions with their queues and subscriptions, and the retained messages.

use std::{collections::HashMap, sync::Arc};

use actix::{Addr, MailboxError};

use super::{RetainedMessages, SessionStore, Shared, SubscriptionRegistry};
use crate::{
    messages::{
        CarriedClient, CarriedClients, GiveUpClients, GiveUpRetained, GiveUpSessions, Inbox,
        KeptSession, Owner, StoreRetained,
    },
    mqtt::Message,
    routing::ClientDirectory,
};

/// See the module's description.
#[derive(Debug, Default)]
pub struct Carried {
    clients: CarriedClients,
    sessions: Vec<KeptSession>,
    retained: Vec<Message>,
}

impl Carried {
    /// Takes it from the actors of a life in which no client is connected any more. With a durable store only the
    /// sessions that it does not have are taken.
    ///
    /// # Errors
    /// When an actor has ended.
    pub async fn take(
        registry: &Addr<SubscriptionRegistry>,
        sessions: &Addr<SessionStore>,
        retained: &Addr<RetainedMessages>,
        has_store: bool,
    ) -> Result<Self, MailboxError> {
        let clients = registry.send(GiveUpClients).await?;
        let mut sessions = sessions.send(GiveUpSessions).await?;
        sessions.retain(|kept| kept.inbox.durable().is_none());
        let retained = match has_store {
            true => Vec::new(),
            false => retained.send(GiveUpRetained).await?,
        };
        Ok(Self {
            clients,
            sessions,
            retained,
        })
    }

    /// The highest number of a connection.
    pub fn last_generation(&self) -> u64 {
        self.clients.last_generation
    }

    /// Has the retained messages kept in this life.
    pub fn retain(&mut self, shared: &Shared) {
        for message in self.retained.drain(..) {
            shared.retained_load.add(message.size());
            shared.store_retained.do_send(StoreRetained {
                message,
                part: None,
                stored: false,
            });
        }
    }

    /// Makes the clients and sessions known in this life, but for those that `directory` knows already.
    pub fn enter(
        self,
        shared: &Shared,
        directory: &mut ClientDirectory<Inbox>,
        sessions: &mut Vec<KeptSession>,
    ) {
        let by_client = self.sessions.into_iter();
        let mut by_client: HashMap<_, _> = by_client
            .map(|kept| (kept.inbox.client_id().clone(), kept))
            .collect();
        for client in self.clients.clients {
            let CarriedClient {
                client_id,
                info,
                generation,
                subscriptions,
            } = client;
            let known = directory.get(&client_id).is_some();
            let Some(kept) = by_client.remove(&client_id).filter(|_| !known) else {
                continue;
            };
            let handles = &shared.registry;
            let owner = Owner::Store(handles.kept.clone(), handles.store_load.clone());
            let inbox = Arc::new(Inbox::new(client_id.clone(), owner, generation, None));
            directory.restore(client_id, info, generation, inbox.clone(), subscriptions);
            sessions.push(KeptSession { inbox, ..kept });
        }
    }
}
