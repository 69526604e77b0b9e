//! The way of application messages from a publisher to the inboxes of their subscribers.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    net::IpAddr,
    ptr,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::Recipient;
use arc_swap::ArcSwap;
use bytes::Bytes;

use super::{Shared, durable_routing::DurableRouting};
use crate::{
    bridge::{Marks, Origin},
    config::Config,
    messages::{Inbox, InboxItem, MoveShared, Patience, Pushed, StoreRetained, WorkerLoad},
    mqtt::{
        Batch, BatchBuilder, Message, MessageRef, PacketId, Properties, ProtocolVersion, Publish,
        QoS, hops,
    },
    routing::{Group, OFFERS, Route, RouteTable, Routes, Snapshot, Target},
    session::{BridgeOf, Delivery, Orphan, Publishing, digest},
    stats::{Counters, Metric},
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
        Pass {
            router: self,
            publisher: Some(publisher),
            chunk,
            now,
            v3_bridge: None,
        }
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
        let mut pass = Pass {
            router: self,
            publisher,
            chunk: &EMPTY,
            now,
            v3_bridge: None,
        };
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

    /// Gives messages of a shared subscription to other members than `leaving`: to those that are connected or, where its
    /// session `ends`, to any. They stay where they are if there is none.
    pub fn hand_over(
        &mut self,
        group: &str,
        (leaving, ends): (&Arc<Inbox>, bool),
        orphans: impl FnOnce() -> Vec<Orphan>,
        now: Instant,
    ) {
        self.refresh();
        let Some(group) = self.snapshot.tree.group(group) else {
            return;
        };
        let other = group.others(leaving).next();
        if !other.is_some_and(|member| ends || member.target.is_online()) {
            return;
        }
        let patience = Patience::new(&self.config.load().mqtt, now);
        let orphans = orphans();
        let number = orphans.len() as u64;
        self.counters.add(Metric::MessagesHandedOver, number);
        self.counters.add(Metric::MessagesDeliveries, number);
        for orphan in orphans {
            let mut turn = None;
            group.share_out(1, |member, _| turn = Some(member));
            let turn = turn.filter(|member| !Arc::ptr_eq(&member.target, leaving));
            let member = turn.or_else(|| group.others(leaving).next());
            let is_given = member
                .is_some_and(|member| self.give_orphan(&group, member, orphan, leaving, patience));
            if !is_given {
                self.counters.add(Metric::DroppedSessionEnded, 1);
            }
        }
    }

    /// False when the members that were asked have ended.
    fn give_orphan(
        &mut self,
        group: &Group<Inbox>,
        member: &Route<Inbox>,
        orphan: Orphan,
        leaving: &Arc<Inbox>,
        patience: Patience,
    ) -> bool {
        let now = patience.now;
        let placed = orphan.place.zip(leaving.durable());
        if let (Some((place, number)), Some(durable)) = (placed, &self.durable) {
            durable.move_shared(MoveShared {
                from: Some((number.get(), place)),
                message: orphan.message,
                size: orphan.size,
                inbox: member.target.clone(),
                delivery: to_member(group, member),
                now,
                part: None,
                offers: OFFERS,
            });
            return true;
        }
        let Some(message) = orphan.message else {
            return false;
        };
        let batch = Arc::new(Batch::of_message(&message, now));
        group.offer(member, |member| {
            if Arc::ptr_eq(&member.target, leaving) {
                return false;
            }
            let item = InboxItem {
                batch: batch.clone(),
                range: 0..1,
                delivery: to_member(group, member),
            };
            if let Some(durable) = &mut self.durable
                && let Some(target) = durable.wants(&member.target, &item)
            {
                durable.persist(&item.batch, vec![target], None, now, false);
                return true;
            }
            !matches!(member.target.push(item, patience), Pushed::Ended)
        })
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

    /// Looks at the newest routes from here on.
    fn refresh(&mut self) {
        let newest = self.table.load();
        if newest.version != self.snapshot.version {
            self.snapshot = Arc::clone(&newest);
            self.remembered.clear();
            self.last_topic.clear();
        }
    }

    /// True when the topic was asked about not long ago.
    fn is_seen(&mut self, topic: &str) -> bool {
        let hash = self.remembered.hasher().hash_one(topic);
        let mark = (hash >> 32) as u32 | 1;
        let place = self.seen.get_mut(hash as usize % SEEN_TOPICS);
        place.is_some_and(|place| std::mem::replace(place, mark) == mark)
    }

    fn routes(&mut self, topic: &str) -> &Arc<Routes<Inbox>> {
        if self.last_topic != topic {
            self.last_topic.clear();
            self.last_topic.push_str(topic);
            self.last_routes = match self.remembered.get(topic) {
                Some(routes) => routes.clone(),
                None => {
                    let routes = Arc::new(self.snapshot.tree.routes(topic));
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

/// The messages of one publisher's chunk on their way.
pub struct Pass<'a> {
    router: &'a mut Router,
    publisher: Option<&'a Arc<Inbox>>,
    chunk: &'a Bytes,
    now: Instant,
    /// The publisher is a bridge of another broker that speaks MQTT 3.
    v3_bridge: Option<V3Publisher>,
}

/// A bridge of another broker that speaks MQTT 3.
enum V3Publisher {
    /// It has said which broker it is of.
    Known(Arc<BridgeOf>),
    /// It has not, and is known by its address.
    Unknown(Origin),
}

impl Pass<'_> {
    /// The publisher is a bridge of another broker, at this address, that speaks MQTT 3, and may have said which broker
    /// it is `of`.
    #[must_use]
    pub fn of_v3_bridge(self, peer: IpAddr, of: Option<Arc<BridgeOf>>) -> Self {
        let publisher = match of {
            Some(of) => V3Publisher::Known(of),
            None => V3Publisher::Unknown(Origin { bridge: 0, peer }),
        };
        Self {
            v3_bridge: Some(publisher),
            ..self
        }
    }

    /// A message of a bridge that speaks MQTT 3 and has said which broker it is of: it gets the mark that it could not
    /// bring.
    fn publish_marked(&mut self, publish: &Publish<'_>, of: &BridgeOf) -> bool {
        let message = MessageRef {
            topic: publish.topic,
            properties: of.mark(),
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            expires_at: None,
        };
        self.publish_detached(&message, publish.packet_id)
    }

    /// Whether a message has been at this broker before, by its marks. Such a one is counted.
    fn has_been_here(&self, properties: Properties<'_>) -> bool {
        let own_id = || self.router.marks.own_id();
        let has_been = !properties.is_empty()
            && own_id().is_some_and(|id: &Arc<str>| hops::has_been(properties, id));
        if has_been {
            self.router.counters.add(Metric::DroppedLoop, 1);
        }
        has_been
    }

    /// Whether a message of a bridge without marks is a copy of one that was sent to its broker. Such a one is counted.
    fn is_echo(&self, from: Origin, publish: &Publish<'_>) -> bool {
        let payload = digest(publish.payload);
        let marks = &self.router.marks;
        let is_echo = marks.is_echo(from, publish.topic, payload, self.now);
        if is_echo {
            self.router.counters.add(Metric::DroppedLoop, 1);
        }
        is_echo
    }

    /// Delivers what was collected.
    pub fn finish(self) {
        let Self {
            router,
            publisher,
            now,
            ..
        } = self;
        deliver(router, publisher, now);
        if let Some(durable) = &mut router.durable {
            durable.note_taken(publisher);
        }
        let unmatched = std::mem::take(&mut router.unmatched);
        router
            .counters
            .add(Metric::MessagesWithoutSubscriber, unmatched);
    }

    /// Makes room in the batch for a message to `topic`; false when nobody is subscribed.
    ///
    /// Acknowledged messages may go by way of the durable store, the others do not. They are in batches of their own, so
    /// that no message with QoS 0 takes the longer way and comes behind a later one `[MQTT-4.6.0-5]`.
    fn prepare(
        &mut self,
        topic: &str,
        qos: QoS,
        fits: impl FnOnce(&BatchBuilder, &Bytes) -> bool,
    ) -> bool {
        let routes = self.router.routes(topic);
        if routes.is_empty() {
            self.router.unmatched += 1;
            return false;
        }
        let same = ptr::eq(Arc::as_ptr(routes), Arc::as_ptr(&self.router.batch_routes));
        let batch = &self.router.batch;
        let one_way = self.router.durable.is_none() || batch.stays_uniform(qos);
        if !same || !one_way || !fits(batch, self.chunk) {
            deliver(self.router, self.publisher, self.now);
            self.router.batch_routes = self.router.last_routes.clone();
        }
        true
    }

    /// Whether the durable store learns the identifier of a message.
    fn is_noted(&self, qos: QoS, packet_id: Option<PacketId>) -> bool {
        let session = self.publisher.and_then(|publisher| publisher.durable());
        qos == QoS::ExactlyOnce
            && packet_id.is_some()
            && self.router.durable.is_some()
            && session.is_some()
    }

    /// Remembers the identifier of a QoS 2 message, which is stored with it or, where it is not stored, by itself.
    fn note_taken(&mut self, qos: QoS, packet_id: Option<PacketId>, matched: bool) {
        if self.is_noted(qos, packet_id)
            && let Some(durable) = &mut self.router.durable
            && let Some(id) = packet_id
        {
            match matched {
                true => durable.ids.push((self.router.batch.len(), id)),
                false => durable.taken.push(id),
            }
        }
    }

    /// Retains a message before the routes are read for it.
    fn retain(&mut self, message: &MessageRef<'_>, packet_id: Option<PacketId>) {
        let lifetime = self.router.config.load().mqtt.retained_expiry_interval;
        let mut message = message.to_message();
        if !lifetime.is_zero()
            && let Some(at) = self.now.checked_add(lifetime)
        {
            message = message.expiring_by(at);
        }
        let message = Arc::new(message);
        let load = &self.router.retained_load;
        load.add(message.size());
        if load.is_over() {
            self.router.overloaded = Some(load.clone());
        }
        let view = message.view();
        let has_id = self.is_noted(view.qos, packet_id) && !view.topic.starts_with('$');
        let (part, stored) = match &mut self.router.durable {
            Some(durable) if view.qos > QoS::AtMostOnce => {
                if has_id {
                    durable.note_retained(&view);
                }
                (Some(durable.part()), has_id)
            }
            _ => (None, false),
        };
        let told = StoreRetained {
            message,
            part,
            stored,
        };
        self.router.store_retained.do_send(told);
        self.router.refresh();
    }
}

impl Publishing for Pass<'_> {
    fn publish(&mut self, publish: &Publish<'_>, packet: &[u8], version: ProtocolVersion) -> bool {
        let comes_back = match &self.v3_bridge {
            None => self.has_been_here(publish.properties),
            Some(V3Publisher::Unknown(from)) => self.is_echo(*from, publish),
            Some(V3Publisher::Known(of)) => {
                let of = of.clone();
                return self.publish_marked(publish, &of);
            }
        };
        if comes_back {
            return true;
        }
        if publish.retain {
            let interval = publish.properties.message_expiry_interval();
            self.retain(
                &MessageRef {
                    topic: publish.topic,
                    properties: publish.properties,
                    payload: publish.payload,
                    qos: publish.qos,
                    retain: true,
                    expires_at: interval.and_then(|seconds| {
                        self.now
                            .checked_add(Duration::from_secs(u64::from(seconds)))
                    }),
                },
                publish.packet_id,
            );
        }
        let matched = self.prepare(publish.topic, publish.qos, BatchBuilder::takes_from);
        self.note_taken(publish.qos, publish.packet_id, matched);
        if matched {
            self.router.batch.push(self.chunk, packet, publish, version);
        }
        matched
    }

    fn publish_detached(&mut self, message: &MessageRef<'_>, packet_id: Option<PacketId>) -> bool {
        if self.has_been_here(message.properties) {
            return true;
        }
        if message.retain {
            self.retain(message, packet_id);
        }
        let matched = self.prepare(message.topic, message.qos, |batch, _| {
            batch.takes_detached()
        });
        self.note_taken(message.qos, packet_id, matched);
        if matched {
            self.router.batch.push_detached(message, self.now);
        }
        matched
    }
}

/// Puts the collected batch into the inboxes of its subscribers.
fn deliver(router: &mut Router, publisher: Option<&Arc<Inbox>>, now: Instant) {
    if router.batch.is_empty() {
        return;
    }
    let batch = Arc::new(router.batch.finish(now));
    let config = router.config.load();
    let patience = Patience::new(&config.mqtt, now);
    let max_pause = config.mqtt.max_publisher_pause;
    let all = 0..batch.len();
    let origin = publisher;
    let publisher = publisher.map(Arc::as_ptr);
    let mut stored = Vec::new();
    let durable = &mut router.durable;
    let (mut overloaded, mut congested) = (None, None);
    let (mut deliveries, mut ended) = (0, 0);
    // False when the session has ended.
    let mut push = |target: &Arc<Inbox>, item: InboxItem| {
        match durable
            .as_mut()
            .and_then(|durable| durable.wants(target, &item))
        {
            Some(to) => {
                stored.push(to);
                overloaded = target.overloaded().or(overloaded.take());
            }
            None => match target.push(item, patience) {
                Pushed::Taken => {}
                Pushed::Overloaded(load) => overloaded = Some(load),
                Pushed::Ended => return false,
            },
        }
        // A client that publishes to itself has to be read from to catch up.
        if target
            .congested_for(now)
            .is_some_and(|since| since < max_pause)
            && publisher != Some(Arc::as_ptr(target))
        {
            congested = Some(target.clone());
        }
        true
    };
    for to in &router.batch_routes.deliveries {
        if !to.serves(publisher) {
            continue;
        }
        let item = InboxItem {
            batch: batch.clone(),
            range: all.clone(),
            delivery: Delivery {
                qos: to.qos,
                retain_as_published: to.retain_as_published,
                subscription_ids: to.subscription_ids.clone(),
                group: None,
                places: None,
            },
        };
        deliveries += all.len() as u64;
        if !push(&to.target, item) {
            ended += all.len() as u64;
        }
    }
    for group in &router.batch_routes.groups {
        group.share_out(batch.len(), |member, range| {
            let number = range.len() as u64;
            deliveries += number;
            let is_taken = group.offer(member, |member| {
                let item = InboxItem {
                    batch: batch.clone(),
                    range: range.clone(),
                    delivery: to_member(group, member),
                };
                push(&member.target, item)
            });
            if !is_taken {
                ended += number;
            }
        });
    }
    if let Some(durable) = durable {
        overloaded = durable.overloaded().or(overloaded);
        match stored.is_empty() {
            true => durable.only_ids(),
            false => durable.persist(&batch, stored, origin, now, true),
        }
    }
    let counters = &router.counters;
    counters.add(Metric::MessagesRouted, batch.len() as u64);
    counters.add(Metric::MessagesDeliveries, deliveries);
    counters.add(Metric::DroppedSessionEnded, ended);
    router.overloaded = overloaded.or(router.overloaded.take());
    router.congested = congested.or(router.congested.take());
}

/// How a member of a shared subscription is served.
pub(super) fn to_member(group: &Group<Inbox>, member: &Route<Inbox>) -> Delivery {
    Delivery {
        qos: member.qos,
        retain_as_published: member.retain_as_published,
        subscription_ids: (member.subscription_id != 0).then(|| [member.subscription_id].into()),
        group: Some(group.full_filter.clone()),
        places: None,
    }
}
