//! What the connections of one worker thread share.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use actix::Recipient;
use arc_swap::ArcSwap;
use bytes::BytesMut;
use tokio::sync::oneshot;

use slab::Slab;

use super::{MoveRequest, Router, StoreHandles, awaiting::Awaiting, clock, timers::Timers};
use crate::{
    auth::policy::Policy,
    bridge::Marks,
    config::Config,
    messages::{
        AddressedCommand, AskAgain, AskPermissions, AskSuperuser, CountClientFailure,
        DurableTarget, EndSession, Inbox, InboxItem, KeepSession, KeptSession, LogIn, OpenSession,
        RetainedPagesRequest, SessionCommand, StartScram, StoreRetained, Subscribe, Unsubscribe,
        WorkerLoad,
    },
    mqtt::{BatchBuilder, Message},
    routing::{RetainedCursor, RouteTable},
    session::{Delivery, Outbound, Will},
    stats::{Counters, Gauges, Metric},
    store::{Outcome, Part},
};

/// Bytes of messages of a batch beyond which the next is begun.
const COPIED_AT_ONCE: usize = 16 << 20;

/// What every thread of the broker holds: handles of the actors and of what they publish for all to read.
#[derive(Clone)]
pub struct Shared {
    /// The running configuration, which the config manager publishes.
    pub config: Arc<ArcSwap<Config>>,
    /// The subscriptions, which the registry publishes.
    pub routes: Arc<RouteTable<Inbox>>,
    /// Sizes.
    pub gauges: Arc<Gauges>,
    /// Who may come in and who may do what, which the config manager publishes.
    pub policy: Arc<ArcSwap<Policy>>,
    /// To the actor that knows who may come in.
    pub auth: AuthHandles,
    /// To the registry.
    pub registry: RegistryHandles,
    /// To the retained messages.
    pub store_retained: Recipient<StoreRetained>,
    /// Bytes on the way to the retained messages, for which publishers pause.
    pub retained_load: Arc<WorkerLoad>,
    /// To the retained messages.
    pub retained_pages: Recipient<RetainedPagesRequest>,
    /// To the durable store, if there is one.
    pub store: Option<StoreHandles>,
    /// What all bridges know together.
    pub marks: Arc<Marks>,
}

impl Shared {
    /// Waits until the session store and the retained messages have had the durable store know all that they were told.
    pub async fn kept_are_noted(&self) -> bool {
        let (reply, noted) = oneshot::channel();
        let page = RetainedPagesRequest {
            cursors: vec![RetainedCursor::new("$none")],
            limit: 1,
            max_bytes: usize::MAX,
        };
        self.registry.kept.do_send(AddressedCommand {
            client_id: "".into(),
            command: SessionCommand::Noted(reply),
        });
        noted.await.is_ok() & self.retained_pages.send(page).await.is_ok()
    }
}

/// How connections reach the actor that knows who may come in.
#[derive(Clone)]
pub struct AuthHandles {
    /// Lets clients in.
    pub log_in: Recipient<LogIn>,
    /// Asks the HTTP server.
    pub ask: Recipient<AskPermissions>,
    /// Asks the HTTP server again.
    pub ask_again: Recipient<AskAgain>,
    /// Asks the HTTP server whether a client may do anything.
    pub ask_superuser: Recipient<AskSuperuser>,
    /// Begins an exchange of SCRAM.
    pub start_scram: Recipient<StartScram>,
    /// Counts failed logins.
    pub count_failure: Recipient<CountClientFailure>,
}

/// How connections reach the registry and the session store.
#[derive(Clone)]
pub struct RegistryHandles {
    /// Opens a session.
    pub open: Recipient<OpenSession>,
    /// Tells that a session is kept.
    pub keep: Recipient<KeepSession>,
    /// Tells that a session has ended.
    pub end: Recipient<EndSession>,
    /// Subscribes.
    pub subscribe: Recipient<Subscribe>,
    /// Unsubscribes.
    pub unsubscribe: Recipient<Unsubscribe>,
    /// Keeps a session.
    pub store: Recipient<KeptSession>,
    /// Commands to kept sessions.
    pub kept: Recipient<AddressedCommand>,
    /// Load of the session store.
    pub store_load: Arc<WorkerLoad>,
}

/// The state of one worker thread.
pub struct Worker {
    /// Handles.
    pub shared: Shared,
    /// This worker's counters.
    pub counters: Arc<Counters>,
    /// What waits for this worker.
    pub load: Arc<WorkerLoad>,
    /// Publishes for the connections of this worker.
    pub router: RefCell<Router>,
    /// Bytes are read into this buffer, one for all connections.
    pub scratch: RefCell<BytesMut>,
    /// An output buffer that no connection has: hardly any needs one for longer than a turn.
    pub output: RefCell<BytesMut>,
    /// Number of the current count of busy connections.
    pub census: Cell<u32>,
    /// Connections that did something since the current count began.
    pub busy_connections: Cell<usize>,
    /// Sockets whose CONNECT has not come.
    pub awaiting: RefCell<Slab<Awaiting>>,
    /// Deadlines of connections.
    pub timers: RefCell<Timers>,
    /// Set while connections are to leave for another worker.
    pub moving: RefCell<Option<MoveRequest>>,
}

impl Worker {
    /// A worker's state, made on its thread.
    pub fn new(shared: Shared, counters: Arc<Counters>, load: Arc<WorkerLoad>) -> Rc<Self> {
        Rc::new(Self {
            router: RefCell::new(Router::new(&shared, counters.clone())),
            shared,
            counters,
            load,
            scratch: RefCell::default(),
            output: RefCell::default(),
            census: Cell::new(0),
            busy_connections: Cell::new(0),
            awaiting: RefCell::default(),
            timers: RefCell::new(Timers::new(clock::now())),
            moving: RefCell::default(),
        })
    }

    /// Gives the messages of shared subscriptions that a client who leaves has not got acknowledged to members that
    /// are connected.
    pub fn hand_orphans_over(&self, leaving: &Arc<Inbox>, outbound: &mut Outbound, now: Instant) {
        self.hand_over(leaving, false, outbound, now);
    }

    fn hand_over(&self, leaving: &Arc<Inbox>, ends: bool, outbound: &mut Outbound, now: Instant) {
        for group in outbound.groups() {
            let mut router = self.router.borrow_mut();
            let orphans = || outbound.take_orphans(&group);
            router.hand_over(&group, (leaving, ends), orphans, now);
        }
    }

    /// The owner of a session ends it, if it has it still. Its shared messages go to others, what is left of its messages
    /// is lost.
    pub fn end_session(
        &self,
        inbox: &Arc<Inbox>,
        generation: u64,
        outbound: &mut Outbound,
        now: Instant,
    ) -> bool {
        let own = inbox.end(generation, |items| {
            self.take_in(items, outbound, now);
            if inbox.durable().is_some() {
                // The store has them, and moves them: before anybody can have it end the session.
                self.hand_over(inbox, true, outbound, now);
            }
            self.shared.registry.end.do_send(EndSession {
                client_id: inbox.client_id().clone(),
                generation,
            });
        });
        if own {
            self.hand_over(inbox, true, outbound, now);
            outbound.discard(&self.counters);
        }
        own
    }

    /// The registry has ended a session and told its owner so, which settles what is left: as [`Worker::end_session`].
    pub fn settle_session(&self, inbox: &Arc<Inbox>, outbound: &mut Outbound, now: Instant) {
        self.take_in(inbox.take(), outbound, now);
        self.hand_over(inbox, true, outbound, now);
        outbound.discard(&self.counters);
        if let Some(store) = &self.shared.store {
            store.note_ended(inbox);
        }
    }

    /// What waited for a session joins its queue.
    fn take_in(&self, items: Vec<InboxItem>, outbound: &mut Outbound, now: Instant) {
        let config = self.shared.config.load();
        for item in items {
            let (batch, range) = (&item.batch, item.range);
            let limits = &config.mqtt;
            outbound.deliver(
                batch,
                range,
                &item.delivery,
                None,
                limits,
                now,
                &self.counters,
            );
        }
    }

    /// What an answer waits for that is about a durable session: a part for the message to the actor who changes it, and
    /// its outcome. None for other sessions.
    pub fn awaited_by(&self, inbox: &Inbox) -> (Option<Part>, Option<Arc<Outcome>>) {
        match self.shared.store.is_some() && inbox.durable().is_some() {
            true => {
                let part = Outcome::begin();
                let outcome = part.outcome();
                (Some(part), Some(outcome))
            }
            false => (None, None),
        }
    }

    /// Has retained messages reach the queue of a durable session by way of the store. Returns when they are there.
    pub fn store_retained_copies<'m>(
        &self,
        messages: impl Iterator<Item = &'m Message>,
        inbox: &Arc<Inbox>,
        delivery: &Delivery,
        now: Instant,
    ) -> Option<Arc<Outcome>> {
        let mut router = self.router.borrow_mut();
        let durable = router.durable()?;
        let mut messages = messages.peekable();
        while messages.peek().is_some() {
            let mut builder = BatchBuilder::default();
            let mut bytes = 0;
            while bytes < COPIED_AT_ONCE
                && let Some(message) = messages.next()
            {
                bytes += message.size();
                builder.push_detached(&message.view(), now);
            }
            let batch = Arc::new(builder.finish(now));
            let target = DurableTarget {
                inbox: inbox.clone(),
                range: 0..batch.len(),
                delivery: delivery.clone(),
            };
            durable.persist(&batch, vec![target], None, now, true);
        }
        router.take_outcome()
    }

    /// Publishes the will of a client.
    pub fn publish_will(&self, client: &Arc<Inbox>, will: &Will, now: Instant) {
        self.counters.add(Metric::WillsPublished, 1);
        let message = will.message(now);
        self.router.borrow_mut().publish_will(client, &message, now);
    }

    /// Publishes a message that does not come from a PUBLISH of a client.
    pub fn publish(&self, message: &crate::mqtt::Message, now: Instant) {
        self.router.borrow_mut().publish_own(message, now);
    }
}
