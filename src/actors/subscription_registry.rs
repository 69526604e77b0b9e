//! The subscription registry: owns the directory of clients and is the only writer of the subscription tree.

mod lists;
mod rechecking;
mod storing;
mod subscribing;

use std::{cell::Cell, collections::HashMap, num::NonZeroU64, sync::Arc};

use actix::{Actor, Context, Handler};
use tokio::sync::oneshot;

use super::Shared;
use crate::{
    auth::acl::Subject,
    messages::{
        CarriedClient, CarriedClients, CloseClients, EndSession, GiveUpClients, HandOver, Inbox,
        KeepSession, KickClient, Kicked, OpenRefused, OpenSession, OpenedSession, Owner,
        SessionCommand,
    },
    routing::{ClientDirectory, ClientEntry, ClientInfo, Previous},
    session::{BRIDGE_SESSIONS, CloseReason},
    stats::{Counters, Metric},
};

/// Answers of the registry that wait in its mailbox before askers have to.
const MAILBOX: usize = 4096;
/// Clients whose subscriptions are checked again before others get their turn.
const RECHECKED_AT_ONCE: usize = 64;

/// See the module's description. It awaits nobody, so asking it cannot deadlock.
pub struct SubscriptionRegistry {
    directory: ClientDirectory<Inbox>,
    shared: Shared,
    counters: Arc<Counters>,
    /// Number of the next session in the durable store.
    next_session: NonZeroU64,
    /// Numbers in the durable store of the connections whose will it has and whose session it has not.
    wills: HashMap<Arc<str>, (u64, NonZeroU64)>,
}

impl SubscriptionRegistry {
    /// A registry with the clients that outlived the last process, and the number of the next durable session.
    pub fn new(
        shared: Shared,
        counters: Arc<Counters>,
        directory: ClientDirectory<Inbox>,
        next_session: NonZeroU64,
    ) -> Self {
        let registry = Self {
            directory,
            shared,
            counters,
            next_session,
            wills: HashMap::new(),
        };
        if !registry.directory.is_empty() {
            registry.publish_routes();
        }
        registry
    }

    /// Lets publishers see the subscriptions as they are now.
    fn publish_routes(&self) {
        self.directory.routes().publish();
        self.update_gauges();
    }

    /// A client, if it is known and no bridge.
    fn client(&self, client_id: &str) -> Option<&ClientEntry<Inbox>> {
        let entry = self.directory.get(client_id);
        entry.filter(|_| !client_id.starts_with(BRIDGE_SESSIONS))
    }

    fn update_gauges(&self) {
        let gauges = &self.shared.gauges;
        // The sessions of bridges are not counted: they are those of no clients.
        let (mut connected, mut sessions, mut subscriptions) = (0, 0, 0);
        let bridges = self.directory.iter_after(Some(BRIDGE_SESSIONS));
        for (_, bridge) in bridges.take_while(|(id, _)| id.starts_with(BRIDGE_SESSIONS)) {
            connected += usize::from(bridge.info.connected);
            sessions += 1;
            subscriptions += bridge.subscriptions.len();
        }
        let clients = |all: usize, bridges: usize| all.saturating_sub(bridges);
        let directory = &self.directory;
        let connected = clients(directory.connected(), connected);
        gauges.connections.set(connected);
        gauges.sessions.set(clients(directory.len(), sessions));
        let subscriptions = clients(directory.subscriptions(), subscriptions);
        gauges.subscriptions.set(subscriptions);
        gauges.topics.set(self.directory.routes().read().filters());
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
        if self.refuses(&ask) {
            return Err(OpenRefused::NotStored);
        }
        let max_sessions = self.shared.config.load().mqtt.max_sessions;
        let owner = Cell::new(Owner::Connection(ask.owner, ask.load));
        let durable = self.number(ask.info.expiry_interval);
        let info = ask.info.clone();
        let before = self.directory.get(&ask.client_id);
        let other_user = before.is_some_and(|entry| entry.info.username != info.username);
        let opened = self.directory.open(
            ask.client_id.clone(),
            ask.info.clone(),
            ask.start_anew,
            max_sessions,
            |generation| {
                let owner = owner.replace(Owner::Nobody);
                let client_id = ask.client_id.clone();
                Arc::new(Inbox::new(client_id, owner, generation, durable))
            },
        )?;
        let will = ask.will.as_deref();
        self.note_opened(&ask.client_id, &opened, &ask.info, will, ask.part);
        let mut resumed = None;
        let subject = subject(&ask.client_id, &info);
        match opened.previous {
            Previous::None => self.update_gauges(),
            Previous::Resumed { connected } => {
                let (reply, state) = oneshot::channel();
                opened.target.give(
                    owner.into_inner(),
                    opened.generation,
                    SessionCommand::HandOver(HandOver { reply }),
                );
                resumed = Some(state);
                self.counters.add(Metric::Takeovers, connected.into());
                // It may be another user who goes on with the session.
                match self.recheck(&ask.client_id, &subject, other_user) {
                    0 => self.update_gauges(),
                    _ => self.publish_routes(),
                }
                if let Some(entry) = self.directory.get(&ask.client_id) {
                    rechecking::ask_again(&self.shared.policy.load(), &subject, entry);
                }
            }
            Previous::Ended { target, connected } => {
                let farewell = SessionCommand::Discard(CloseReason::TakenOver);
                self.take_away(&target, opened.generation, farewell);
                self.counters.add(Metric::Takeovers, connected.into());
                self.publish_routes();
            }
        }
        Ok(OpenedSession {
            inbox: opened.target,
            generation: opened.generation,
            resumed,
            other_user,
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
        if let Some(entry) = self.directory.get(&told.client_id)
            && entry.generation == told.generation
        {
            let target = entry.target.clone();
            self.note_ended(&told.client_id, told.generation, &target);
        }
        match self.directory.end(&told.client_id, told.generation) {
            true => self.publish_routes(),
            false => self.update_gauges(),
        }
    }
}

/// A client as the rules see it.
fn subject(client_id: &Arc<str>, info: &ClientInfo) -> Subject {
    Subject {
        client_id: client_id.clone(),
        username: info.username.clone(),
        address: info.peer.ip,
        superuser: info.superuser,
    }
}

impl Handler<CloseClients> for SubscriptionRegistry {
    type Result = ();

    fn handle(&mut self, told: CloseClients, _: &mut Self::Context) {
        for (_, entry) in self.directory.iter_after(None) {
            if entry.info.connected {
                entry.target.command(SessionCommand::Close(told.0.clone()));
            }
        }
    }
}

impl Handler<KickClient> for SubscriptionRegistry {
    type Result = Option<Kicked>;

    fn handle(&mut self, ask: KickClient, _: &mut Self::Context) -> Self::Result {
        let entry = self.client(&ask.client_id)?;
        let connected = entry.info.connected;
        if connected && !ask.end_session {
            let close = SessionCommand::Close(CloseReason::Kicked);
            entry.target.command(close);
            return Some(Kicked {
                connected,
                session_ended: false,
            });
        }
        let evicted = self.directory.evict(&ask.client_id)?;
        self.note_will_gone(&ask.client_id, evicted.generation);
        // As when the client starts anew: whoever owns the session lets go of it, and is not asked for more.
        let farewell = SessionCommand::Discard(CloseReason::Kicked);
        self.take_away(&evicted.target, evicted.generation, farewell);
        self.publish_routes();
        Some(Kicked {
            connected,
            session_ended: true,
        })
    }
}

impl Handler<GiveUpClients> for SubscriptionRegistry {
    type Result = CarriedClients;

    fn handle(&mut self, _: GiveUpClients, _: &mut Self::Context) -> Self::Result {
        let none = ClientDirectory::new(Arc::default(), self.directory.last_generation());
        let directory = std::mem::replace(&mut self.directory, none);
        let last_generation = directory.last_generation();
        let clients = directory
            .into_clients()
            .map(|(client_id, entry)| CarriedClient {
                client_id,
                info: entry.info,
                generation: entry.generation,
                subscriptions: entry
                    .subscriptions
                    .into_iter()
                    .map(|(filter, subscription)| (filter.into(), subscription))
                    .collect(),
            });
        CarriedClients {
            clients: clients.collect(),
            last_generation,
        }
    }
}
