//! The subscription registry: owns the directory of clients and is the only writer of the subscription tree.

mod lists;

use std::{cell::Cell, sync::Arc};

use actix::{Actor, Context, Handler, MessageResult};
use tokio::sync::oneshot;

use super::Shared;
use crate::{
    messages::{
        AdminSubscribe, AdminUnsubscribe, CloseClients, EndSession, HandOver, Inbox, KeepSession,
        KickClient, Kicked, OpenRefused, OpenSession, OpenedSession, Owner, SessionCommand,
        Subscribe, Unsubscribe,
    },
    mqtt::ReasonCode,
    routing::{ClientDirectory, Previous, StoredSubscription, SubscribeError},
    session::{CloseReason, Granted, SubscribeRequest},
    stats::{Counters, Metric},
};

/// Answers of the registry that wait in its mailbox before askers have to.
const MAILBOX: usize = 4096;

/// See the module's description. It awaits nobody, so asking it cannot deadlock.
pub struct SubscriptionRegistry {
    directory: ClientDirectory<Inbox>,
    shared: Shared,
    counters: Arc<Counters>,
}

impl SubscriptionRegistry {
    /// A registry without clients.
    pub fn new(shared: Shared, counters: Arc<Counters>) -> Self {
        Self {
            directory: ClientDirectory::default(),
            shared,
            counters,
        }
    }

    /// Lets publishers see the subscriptions as they are now.
    fn publish_routes(&self) {
        self.shared.routes.publish(self.directory.tree().clone());
        self.update_gauges();
    }

    fn update_gauges(&self) {
        let gauges = &self.shared.gauges;
        gauges.connections.set(self.directory.connected());
        gauges.sessions.set(self.directory.len());
        gauges.subscriptions.set(self.directory.subscriptions());
        gauges.topics.set(self.directory.tree().filters());
    }
}

impl Actor for SubscriptionRegistry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<OpenSession> for SubscriptionRegistry {
    type Result = Result<OpenedSession, OpenRefused>;

    fn handle(&mut self, ask: OpenSession, _: &mut Self::Context) -> Self::Result {
        let max_sessions = self.shared.config.load().mqtt.max_sessions;
        let owner = Cell::new(Owner::Connection(ask.owner, ask.load));
        let opened = self.directory.open(
            ask.client_id.clone(),
            ask.info,
            ask.start_anew,
            max_sessions,
            |generation| {
                let owner = owner.replace(Owner::Nobody);
                Arc::new(Inbox::new(ask.client_id.clone(), owner, generation))
            },
        )?;
        let mut resumed = None;
        match opened.previous {
            Previous::None => self.update_gauges(),
            Previous::Resumed { connected } => {
                let (reply, state) = oneshot::channel();
                opened.target.give(
                    owner.into_inner(),
                    opened.generation,
                    SessionCommand::HandOver(HandOver { reply }),
                    &self.counters,
                );
                resumed = Some(state);
                self.counters.add(Metric::Takeovers, connected.into());
                self.update_gauges();
            }
            Previous::Ended { target, connected } => {
                let farewell = SessionCommand::Discard(CloseReason::TakenOver);
                target.give(Owner::Nobody, opened.generation, farewell, &self.counters);
                self.counters.add(Metric::Takeovers, connected.into());
                self.publish_routes();
            }
        }
        Ok(OpenedSession {
            inbox: opened.target,
            generation: opened.generation,
            resumed,
        })
    }
}

impl Handler<KeepSession> for SubscriptionRegistry {
    type Result = ();

    fn handle(&mut self, told: KeepSession, _: &mut Self::Context) {
        self.directory
            .keep(&told.client_id, told.generation, told.expiry_interval);
        self.update_gauges();
    }
}

impl Handler<EndSession> for SubscriptionRegistry {
    type Result = ();

    fn handle(&mut self, told: EndSession, _: &mut Self::Context) {
        match self.directory.end(&told.client_id, told.generation) {
            true => self.publish_routes(),
            false => self.update_gauges(),
        }
    }
}

impl SubscriptionRegistry {
    /// Enters subscriptions; when this returns, publishers can see them.
    fn enter(
        &mut self,
        client_id: &str,
        generation: u64,
        requests: &[SubscribeRequest],
    ) -> Vec<Granted> {
        let max = self.shared.config.load().mqtt.max_subscriptions;
        let answers: Vec<Granted> = requests
            .iter()
            .map(|request| {
                let subscription = StoredSubscription {
                    options: request.options,
                    subscription_id: request.subscription_id,
                };
                let entered = self.directory.subscribe(
                    client_id,
                    generation,
                    &request.filter,
                    subscription,
                    max,
                );
                let (code, is_new) = match entered {
                    Ok(is_new) => (ReasonCode::granted(request.options.qos), is_new),
                    Err(SubscribeError::TooMany) => (ReasonCode::QuotaExceeded, false),
                    Err(SubscribeError::Invalid) => (ReasonCode::TopicFilterInvalid, false),
                    Err(SubscribeError::NotOwner) => (ReasonCode::UnspecifiedError, false),
                };
                Granted { code, is_new }
            })
            .collect();
        let entered = answers.iter().filter(|answer| !answer.code.is_error());
        self.counters
            .add(Metric::Subscribes, entered.count() as u64);
        self.publish_routes();
        answers
    }

    /// Removes subscriptions; says of each whether it was there.
    fn remove(&mut self, client_id: &str, generation: u64, filters: &[Arc<str>]) -> Vec<bool> {
        let existed: Vec<bool> = filters
            .iter()
            .map(|filter| self.directory.unsubscribe(client_id, generation, filter))
            .collect();
        let removed = existed.iter().filter(|existed| **existed).count();
        self.counters.add(Metric::Unsubscribes, removed as u64);
        self.publish_routes();
        existed
    }
}

impl Handler<Subscribe> for SubscriptionRegistry {
    type Result = MessageResult<Subscribe>;

    fn handle(&mut self, ask: Subscribe, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.enter(&ask.client_id, ask.generation, &ask.requests))
    }
}

impl Handler<Unsubscribe> for SubscriptionRegistry {
    type Result = Vec<bool>;

    fn handle(&mut self, ask: Unsubscribe, _: &mut Self::Context) -> Self::Result {
        self.remove(&ask.client_id, ask.generation, &ask.filters)
    }
}

impl Handler<AdminSubscribe> for SubscriptionRegistry {
    type Result = Option<Vec<Granted>>;

    fn handle(&mut self, ask: AdminSubscribe, _: &mut Self::Context) -> Self::Result {
        let entry = self.directory.get(&ask.client_id)?;
        let (connected, target) = (entry.connected, entry.target.clone());
        let answers = self.enter(&ask.client_id, entry.generation, &ask.requests);
        if connected {
            let granted = ask.requests.into_iter().zip(&answers);
            let wanting: Vec<_> = granted
                .filter(|(request, answer)| request.wants_retained(answer))
                .map(|(request, _)| request)
                .collect();
            if !wanting.is_empty() {
                target.command(SessionCommand::Subscribed(wanting));
            }
        }
        Some(answers)
    }
}

impl Handler<AdminUnsubscribe> for SubscriptionRegistry {
    type Result = Option<Vec<bool>>;

    fn handle(&mut self, ask: AdminUnsubscribe, _: &mut Self::Context) -> Self::Result {
        let generation = self.directory.get(&ask.client_id)?.generation;
        Some(self.remove(&ask.client_id, generation, &ask.filters))
    }
}

impl Handler<CloseClients> for SubscriptionRegistry {
    type Result = ();

    fn handle(&mut self, told: CloseClients, _: &mut Self::Context) {
        for (_, entry) in self.directory.iter_after(None) {
            if entry.connected {
                entry.target.command(SessionCommand::Close(told.0.clone()));
            }
        }
    }
}

impl Handler<KickClient> for SubscriptionRegistry {
    type Result = Option<Kicked>;

    fn handle(&mut self, ask: KickClient, _: &mut Self::Context) -> Self::Result {
        let entry = self.directory.get(&ask.client_id)?;
        let connected = entry.connected;
        if connected && !ask.end_session {
            let close = SessionCommand::Close(CloseReason::Kicked);
            entry.target.command(close);
            return Some(Kicked {
                connected,
                session_ended: false,
            });
        }
        let evicted = self.directory.evict(&ask.client_id)?;
        // As when the client starts anew: whoever owns the session lets go of it, and is not asked for more.
        let farewell = SessionCommand::Discard(CloseReason::Kicked);
        evicted
            .target
            .give(Owner::Nobody, evicted.generation, farewell, &self.counters);
        self.publish_routes();
        Some(Kicked {
            connected,
            session_ended: true,
        })
    }
}
