//! The way of application messages from a publisher to the inboxes of their subscribers.

mod delivering;
mod handing_over;
mod pass;

use std::{sync::Arc, time::Instant};

use actix::Recipient;
use arc_swap::ArcSwap;
use bytes::Bytes;

pub(super) use self::delivering::to_member;
use self::pass::Pass;
use super::{Shared, durable_routing::DurableRouting};
use crate::{
    bridge::Marks,
    config::Config,
    messages::{Inbox, Overloaded, StoreRetained, Turn, WorkerLoad},
    mqtt::{Batch, BatchBuilder, Message},
    routing::{Routes, TopicRoutes},
    session::Publishing,
    stats::Counters,
    store::Outcome,
};

/// Finds the subscribers of messages, groups consecutive messages with the same subscribers, and puts each group
/// into the subscribers' inboxes. One a thread, so that publishers of the same topics share what it remembers.
pub struct Router {
    routes: TopicRoutes<Inbox>,
    store_retained: Recipient<StoreRetained>,
    retained_load: Arc<WorkerLoad>,
    counters: Arc<Counters>,
    batch: BatchBuilder,
    batch_routes: Arc<Routes<Inbox>>,
    /// Batches that are complete, each with whom it is for.
    complete: Vec<(Arc<Batch>, Arc<Routes<Inbox>>)>,
    unmatched: u64,
    /// The workers found over their limits.
    overloaded: Overloaded,
    /// A subscriber found with nearly as much waiting as it may have, and until when publishers wait for it.
    congested: Option<(Arc<Inbox>, Instant)>,
    config: Arc<ArcSwap<Config>>,
    durable: Option<DurableRouting>,
    marks: Arc<Marks>,
}

impl Router {
    /// A router that reads the broker's routes.
    pub fn new(shared: &Shared, counters: Arc<Counters>) -> Self {
        Self {
            routes: TopicRoutes::new(shared.routes.clone()),
            store_retained: shared.store_retained.clone(),
            retained_load: shared.retained_load.clone(),
            counters,
            batch: BatchBuilder::default(),
            batch_routes: Arc::default(),
            complete: Vec::new(),
            unmatched: 0,
            overloaded: Overloaded::default(),
            congested: None,
            config: shared.config.clone(),
            durable: shared.store.clone().map(DurableRouting::new),
            marks: shared.marks.clone(),
        }
    }

    /// The durable store, if there is one, for changes whose outcome is that of the messages since the last
    /// [`Router::take_outcome`].
    pub fn durable(&mut self) -> Option<&mut DurableRouting> {
        self.durable.as_mut()
    }

    /// What becomes of the messages since the last call that went to the durable store; none if there were none.
    pub fn take_outcome(&mut self) -> Option<Arc<Outcome>> {
        self.durable.as_mut()?.take_outcome()
    }

    /// Begins with the messages of one chunk.
    pub fn start<'a>(
        &'a mut self,
        publisher: &'a Arc<Inbox>,
        chunk: &'a Bytes,
        now: Instant,
    ) -> Pass<'a> {
        self.routes.refresh();
        Pass::new(self, Some(publisher), chunk, now)
    }

    /// Publishes a message of the broker itself.
    pub fn publish_own(&mut self, message: &Message, now: Instant) {
        self.publish_all([message], now);
    }

    /// Publishes the will of `client`, whose own message it is where it asked for No Local `[MQTT-3.8.3-3]`.
    pub fn publish_will(&mut self, client: &Arc<Inbox>, message: &Message, now: Instant) {
        self.publish_from(Some(client), [message], now);
    }

    /// Publishes messages that come from no client of the broker, in this order. Returns what becomes of those that go
    /// to the durable store, if any do.
    pub fn publish_all<'m>(
        &mut self,
        messages: impl IntoIterator<Item = &'m Message>,
        now: Instant,
    ) -> Option<Arc<Outcome>> {
        self.publish_from(None, messages, now)
    }

    fn publish_from<'m>(
        &mut self,
        publisher: Option<&Arc<Inbox>>,
        messages: impl IntoIterator<Item = &'m Message>,
        now: Instant,
    ) -> Option<Arc<Outcome>> {
        static EMPTY: Bytes = Bytes::new();
        self.routes.refresh();
        let mut pass = Pass::new(self, publisher, &EMPTY, now);
        for message in messages {
            pass.publish_detached(&message.view(), None);
        }
        pass.finish();
        // Nobody is there to wait for a slow subscriber, and another publisher is not to do it instead.
        self.congested = None;
        self.take_outcome()
    }

    /// True when somebody is subscribed to topics that start with `$`.
    pub fn has_system_subscribers(&self) -> bool {
        self.routes.tree().has_system_filters()
    }

    /// True when somebody is subscribed to `topic`.
    pub fn has_subscribers(&mut self, topic: &str) -> bool {
        self.routes.refresh();
        // Not remembered: such topics have the name of a client in them and hardly come twice.
        !self.routes.tree().routes(topic).is_empty()
    }

    /// What publishers are to wait for, if workers were found over their limits since the last call.
    pub fn take_turn(&mut self) -> Option<Turn> {
        Turn::new(std::mem::take(&mut self.overloaded))
    }

    /// The subscriber that a publisher is to wait for, and until when at most, if one was found nearly full since the
    /// last call.
    pub fn take_congested(&mut self) -> Option<(Arc<Inbox>, Instant)> {
        self.congested.take()
    }
}
