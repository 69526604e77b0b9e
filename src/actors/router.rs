//! The way of application messages from a publisher to the inboxes of their subscribers.

mod ahead;
mod delivering;
mod handing_over;
mod pass;

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::Recipient;
use arc_swap::ArcSwap;
use bytes::Bytes;

pub(super) use self::delivering::to_member;
use self::pass::Pass;
use super::{Shared, durable_routing::DurableRouting};
use crate::{
    bridge::Marks,
    config::Config,
    messages::{Inbox, StoreRetained, WorkerLoad},
    mqtt::{Batch, BatchBuilder, Message},
    routing::{RouteTable, Routes, Snapshot},
    session::Publishing,
    stats::Counters,
    store::Outcome,
};

/// Topics whose routes are remembered; at the bound all are forgotten and looked up anew.
const REMEMBERED_TOPICS: usize = 8192;
/// Places for the hashes of topics that were looked up.
const SEEN_TOPICS: usize = 8192;

/// Finds the subscribers of messages, groups consecutive messages with the same subscribers, and puts each group
/// into the subscribers' inboxes. One a thread, so that publishers of the same topics share what it remembers.
pub struct Router {
    table: Arc<RouteTable<Inbox>>,
    store_retained: Recipient<StoreRetained>,
    retained_load: Arc<WorkerLoad>,
    counters: Arc<Counters>,
    snapshot: Arc<Snapshot<Inbox>>,
    remembered: HashMap<Box<str>, Arc<Routes<Inbox>>, foldhash::fast::RandomState>,
    /// Hashes of topics that were looked up and not remembered: only what comes again is worth it.
    seen: Box<[u32]>,
    last_topic: String,
    last_routes: Arc<Routes<Inbox>>,
    batch: BatchBuilder,
    batch_routes: Arc<Routes<Inbox>>,
    /// Batches that are complete, each with whom it is for.
    complete: Vec<(Arc<Batch>, Arc<Routes<Inbox>>)>,
    unmatched: u64,
    /// The last worker found over its limit.
    overloaded: Option<Arc<WorkerLoad>>,
    /// The last subscriber found with nearly as much waiting as it may have, unless it has been so for longer than
    /// publishers wait.
    congested: Option<Arc<Inbox>>,
    config: Arc<ArcSwap<Config>>,
    durable: Option<DurableRouting>,
    marks: Arc<Marks>,
}

impl Router {
    /// A router that reads the broker's routes.
    pub fn new(shared: &Shared, counters: Arc<Counters>) -> Self {
        let nobody = Arc::new(Routes::default());
        Self {
            table: shared.routes.clone(),
            store_retained: shared.store_retained.clone(),
            retained_load: shared.retained_load.clone(),
            counters,
            snapshot: Arc::clone(&shared.routes.load()),
            remembered: HashMap::default(),
            seen: vec![0; SEEN_TOPICS].into(),
            last_topic: String::new(),
            last_routes: nobody.clone(),
            batch: BatchBuilder::default(),
            batch_routes: nobody,
            complete: Vec::new(),
            unmatched: 0,
            overloaded: None,
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
        self.refresh();
        Pass::new(self, Some(publisher), chunk, now)
    }

    /// Publishes a message of the broker itself.
    pub fn publish_own(&mut self, message: &Arc<Message>, now: Instant) {
        self.publish_all([message], now);
    }

    /// Publishes the will of `client`, whose own message it is where it asked for No Local `[MQTT-3.8.3-3]`.
    pub fn publish_will(&mut self, client: &Arc<Inbox>, message: &Arc<Message>, now: Instant) {
        self.publish_from(Some(client), [message], now);
    }

    /// Publishes messages that come from no client of the broker, in this order. Returns what becomes of those that go
    /// to the durable store, if any do.
    pub fn publish_all<'m>(
        &mut self,
        messages: impl IntoIterator<Item = &'m Arc<Message>>,
        now: Instant,
    ) -> Option<Arc<Outcome>> {
        self.publish_from(None, messages, now)
    }

    fn publish_from<'m>(
        &mut self,
        publisher: Option<&Arc<Inbox>>,
        messages: impl IntoIterator<Item = &'m Arc<Message>>,
        now: Instant,
    ) -> Option<Arc<Outcome>> {
        static EMPTY: Bytes = Bytes::new();
        self.refresh();
        let mut pass = Pass::new(self, publisher, &EMPTY, now);
        for message in messages {
            pass.publish_detached(&message.view(), None);
        }
        pass.finish();
        self.take_outcome()
    }

    /// True when somebody is subscribed to `topic`.
    pub fn has_subscribers(&mut self, topic: &str) -> bool {
        self.refresh();
        // Not remembered: such topics have the name of a client in them and hardly come twice.
        !self.snapshot.tree.routes(topic).is_empty()
    }

    /// The worker that publishers are to wait for, if one was found over its limit since the last call.
    pub fn take_overloaded(&mut self) -> Option<Arc<WorkerLoad>> {
        self.overloaded.take()
    }

    /// The subscriber that a publisher is to wait for, and for how long at most, if one was found nearly full
    /// since the last call.
    pub fn take_congested(&mut self, now: Instant) -> Option<(Arc<Inbox>, Duration)> {
        let inbox = self.congested.take()?;
        let max_pause = self.config.load().mqtt.max_publisher_pause;
        let left = max_pause.saturating_sub(inbox.congested_for(now)?);
        Some((inbox, left))
    }

    /// Looks at the newest routes from here on; true when they are others than before.
    fn refresh(&mut self) -> bool {
        let newest = self.table.load();
        let is_new = newest.version != self.snapshot.version;
        if is_new {
            self.snapshot = Arc::clone(&newest);
            self.remembered.clear();
            self.last_topic.clear();
        }
        is_new
    }

    /// True when the topic was asked about not long ago.
    fn is_seen(&mut self, topic: &str) -> bool {
        let hash = self.remembered.hasher().hash_one(topic);
        let mark = (hash >> 32) as u32 | 1;
        let place = self.seen.get_mut(hash as usize % SEEN_TOPICS);
        place.is_some_and(|place| std::mem::replace(place, mark) == mark)
    }

    /// Where messages to `topic` go; `look_up` finds out where that is not remembered.
    fn routes(
        &mut self,
        topic: &str,
        look_up: impl FnOnce(&Self) -> Arc<Routes<Inbox>>,
    ) -> &Arc<Routes<Inbox>> {
        if self.last_topic != topic {
            self.last_topic.clear();
            self.last_topic.push_str(topic);
            self.last_routes = match self.remembered.get(topic) {
                Some(routes) => routes.clone(),
                None => {
                    let routes = look_up(self);
                    if self.is_seen(topic) {
                        if self.remembered.len() >= REMEMBERED_TOPICS {
                            self.remembered.clear();
                        }
                        self.remembered.insert(topic.into(), routes.clone());
                    }
                    routes
                }
            };
        }
        &self.last_routes
    }
}
