//! The subscription registry: owns the directory of clients and is the only writer of the subscription tree.

mod lists;
mod rechecking;

use std::{cell::Cell, collections::HashMap, num::NonZeroU64, sync::Arc};

use actix::{Actor, Context, Handler, MessageResult};
use tokio::sync::oneshot;

use super::{
    Shared,
    durable::{end_of, session_info, subscription},
};
use crate::{
    auth::acl::Subject,
    messages::{
        AdminSubscribe, AdminUnsubscribe, CarriedClient, CarriedClients, CloseClients, EndSession,
        GiveUpClients, HandOver, Inbox, KeepSession, KickClient, Kicked, OpenRefused, OpenSession,
        OpenedSession, Owner, Refused, SessionCommand, Subscribe, Unsubscribe, WriteRecord,
    },
    mqtt::ReasonCode,
    routing::{
        ClientDirectory, ClientEntry, ClientInfo, Opened, Previous, StoredSubscription,
        SubscribeError,
    },
    session::{BRIDGE_SESSIONS, CloseReason, Granted, SubscribeRequest, Will},
    stats::{Counters, Metric},
    store::{Part, Record},
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

    /// A number for a new session, if it is to be durable.
    fn number(&mut self, expiry_interval: u32) -> Option<NonZeroU64> {
        if self.shared.store.is_none() || expiry_interval == 0 {
            return None;
        }
        self.next_number()
    }

    fn next_number(&mut self) -> Option<NonZeroU64> {
        let number = self.next_session;
        self.next_session = number.checked_add(1)?;
        Some(number)
    }

    /// Has the durable store know that a session is open, with its will.
    fn note_opened(
        &mut self,
        client_id: &Arc<str>,
        opened: &Opened<Inbox>,
        info: &ClientInfo,
        will: Option<&Will>,
        part: Option<Part>,
    ) {
        if let Some((_, number)) = self.wills.remove(client_id) {
            self.note(end_of(number));
        }
        let mut number = opened.target.durable();
        if number.is_none() && will.is_some() {
            number = self.next_number();
            self.wills
                .extend(number.map(|number| (client_id.clone(), (opened.generation, number))));
        }
        let Some(number) = number else {
            return part.into_iter().for_each(Part::keep);
        };
        let info = session_info(client_id, opened.generation, info, will);
        let mut record = WriteRecord::new(&Record::Opened(number.get(), info));
        record.begins = Some(number.get());
        match &self.shared.store {
            Some(_) => self.note(record.if_refused(Refused::Wait).with(part)),
            None => part.into_iter().for_each(Part::keep),
        }
    }

    fn note(&self, record: WriteRecord) {
        if let Some(store) = &self.shared.store {
            store.record.do_send(record);
        }
    }

    /// Ends a session. Whoever has it settles what is left and has the durable store know; if nobody has it, nothing is
    /// left.
    fn take_away(&self, target: &Inbox, generation: u64, farewell: SessionCommand) {
        let is_told = target.give(Owner::Nobody, generation, farewell);
        if let (false, Some(number)) = (is_told, target.durable()) {
            self.note(end_of(number));
        }
    }

    /// Has the durable store know that a session has ended.
    fn note_ended(&mut self, client_id: &str, generation: u64, target: &Inbox) {
        self.note_will_gone(client_id, generation);
        if let Some(number) = target.durable() {
            self.note(end_of(number));
        }
    }

    /// Has the durable store know that a connection has ended whose will it has.
    fn note_will_gone(&mut self, client_id: &str, generation: u64) {
        let will = self.wills.get(client_id);
        if let Some((_, number)) = will.filter(|(of, _)| *of == generation).copied() {
            self.wills.remove(client_id);
            self.note(end_of(number));
        }
    }

    /// Whether the durable store takes no new sessions and subscriptions: those who ask for them are to learn it.
    fn store_refuses(&self) -> bool {
        self.shared.store.is_some() && self.shared.gauges.store_failing.get() > 0
    }

    /// Whether a session cannot be opened because the durable store takes nothing. One that is resumed changes little: as
    /// long as there is room for what waits for the disk it is opened, and CONNACK waits for it.
    fn refuses(&self, ask: &OpenSession) -> bool {
        if !self.store_refuses() {
            return false;
        }
        let before = self.directory.get(&ask.client_id);
        let is_stored = before.is_some_and(|entry| entry.target.durable().is_some());
        let is_new = before.is_none() || ask.start_anew;
        let most = self.shared.config.load().store.max_waiting_changes as u64;
        let may_wait = self.shared.gauges.store_waiting.get() < most;
        (is_new && ask.info.expiry_interval > 0) || (is_stored && !may_wait)
    }

    /// Has the durable store know of changes of the subscriptions of a session.
    fn note_subscriptions<'r>(
        &self,
        client_id: &str,
        records: impl IntoIterator<Item = Record<'r>>,
        part: Option<Part>,
    ) {
        let entry = self.directory.get(client_id);
        let durable = entry.is_some_and(|entry| entry.target.durable().is_some());
        let Some(store) = self.shared.store.as_ref().filter(|_| durable) else {
            return part.into_iter().for_each(Part::keep);
        };
        for record in records {
            let another = part.as_ref().map(Part::another);
            let record = WriteRecord::new(&record).if_refused(Refused::Wait);
            store.record.do_send(record.with(another));
        }
        part.into_iter().for_each(Part::keep);
    }

    fn durable_number(&self, client_id: &str) -> u64 {
        let number = self
            .directory
            .get(client_id)
            .and_then(|entry| entry.target.durable());
        number.map_or(0, NonZeroU64::get)
    }

    /// Lets publishers see the subscriptions as they are now.
    fn publish_routes(&self) {
        self.shared.routes.publish(self.directory.tree().clone());
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
        gauges.topics.set(self.directory.tree().filters());
    }
}

/// What is answered to subscriptions that the durable store does not take.
fn refused_by_store(requests: &[SubscribeRequest]) -> Vec<Granted> {
    let refused = Granted {
        code: ReasonCode::QuotaExceeded,
        is_new: false,
    };
    vec![refused; requests.len()]
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

impl SubscriptionRegistry {
    /// Enters subscriptions; when this returns, publishers can see them.
    fn enter(
        &mut self,
        client_id: &str,
        generation: u64,
        requests: &[SubscribeRequest],
        part: Option<Part>,
        may: impl Fn(&SubscribeRequest) -> bool,
    ) -> Vec<Granted> {
        let max = self.shared.config.load().mqtt.max_subscriptions;
        let answers: Vec<Granted> = requests
            .iter()
            .map(|request| {
                if !may(request) {
                    self.counters.add(Metric::SubscribesDenied, 1);
                    return Granted {
                        code: ReasonCode::NotAuthorized,
                        is_new: false,
                    };
                }
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
        let number = self.durable_number(client_id);
        let entered = requests.iter().zip(&answers);
        let records = entered
            .filter(|(_, answer)| !answer.code.is_error())
            .map(|(request, _)| {
                let stored = StoredSubscription {
                    options: request.options,
                    subscription_id: request.subscription_id,
                };
                Record::Subscribed(number, &request.filter, subscription(&stored))
            });
        self.note_subscriptions(client_id, records, part);
        self.publish_routes();
        answers
    }

    /// Removes subscriptions; says of each whether it was there.
    fn remove(
        &mut self,
        client_id: &str,
        generation: u64,
        filters: &[Arc<str>],
        part: Option<Part>,
    ) -> Vec<bool> {
        let existed: Vec<bool> = filters
            .iter()
            .map(|filter| self.directory.unsubscribe(client_id, generation, filter))
            .collect();
        let removed = existed.iter().filter(|existed| **existed).count();
        self.counters.add(Metric::Unsubscribes, removed as u64);
        let number = self.durable_number(client_id);
        let gone = filters
            .iter()
            .zip(&existed)
            .filter(|(_, existed)| **existed);
        let records = gone.map(|(filter, _)| Record::Unsubscribed(number, filter));
        self.note_subscriptions(client_id, records, part);
        self.publish_routes();
        existed
    }
}

impl Handler<Subscribe> for SubscriptionRegistry {
    type Result = MessageResult<Subscribe>;

    fn handle(&mut self, ask: Subscribe, _: &mut Self::Context) -> Self::Result {
        let policy = self.shared.policy.load_full();
        let entry = self.directory.get(&ask.client_id);
        // Checked already, but by another policy.
        let subject = entry
            .filter(|_| policy.version != ask.policy)
            .map(|entry| subject(&ask.client_id, &entry.info));
        let may = |request: &SubscribeRequest| {
            let denied = |subject| !policy.may_keep(subject, &request.filter);
            !subject.as_ref().is_some_and(denied)
        };
        if self.store_refuses() && entry.is_some_and(|entry| entry.target.durable().is_some()) {
            ask.part.into_iter().for_each(Part::keep);
            return MessageResult(refused_by_store(&ask.requests));
        }
        MessageResult(self.enter(&ask.client_id, ask.generation, &ask.requests, ask.part, may))
    }
}

impl Handler<Unsubscribe> for SubscriptionRegistry {
    type Result = Vec<bool>;

    fn handle(&mut self, ask: Unsubscribe, _: &mut Self::Context) -> Self::Result {
        self.remove(&ask.client_id, ask.generation, &ask.filters, ask.part)
    }
}

impl Handler<AdminSubscribe> for SubscriptionRegistry {
    type Result = Option<Vec<Granted>>;

    fn handle(&mut self, ask: AdminSubscribe, _: &mut Self::Context) -> Self::Result {
        let entry = self.client(&ask.client_id)?;
        let (connected, target) = (entry.info.connected, entry.target.clone());
        let policy = self.shared.policy.load_full();
        let subject = subject(entry.target.client_id(), &entry.info);
        let may = |request: &SubscribeRequest| policy.may_keep(&subject, &request.filter);
        let generation = entry.generation;
        if self.store_refuses() && target.durable().is_some() {
            // The part is dropped with the question, which tells why.
            return Some(refused_by_store(&ask.requests));
        }
        let part = Some(ask.part);
        let answers = self.enter(&ask.client_id, generation, &ask.requests, part, may);
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
        let generation = self.client(&ask.client_id)?.generation;
        Some(self.remove(&ask.client_id, generation, &ask.filters, Some(ask.part)))
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
        let directory = std::mem::take(&mut self.directory);
        let last_generation = directory.last_generation();
        let clients = directory
            .into_clients()
            .map(|(client_id, entry)| CarriedClient {
                client_id,
                info: entry.info,
                generation: entry.generation,
                subscriptions: entry.subscriptions.into_iter().collect(),
            });
        CarriedClients {
            clients: clients.collect(),
            last_generation,
        }
    }
}
