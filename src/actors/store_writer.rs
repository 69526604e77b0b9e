//! The writer of the durable store, alone on its thread, which may block on the disk.
//!
//! What its mailbox holds when it begins is written, synced if `store.durability` says so, and told as one: while the
//! disk works, the next group gathers.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, AsyncContext, Context, Handler, Message, MessageResult};
use arc_swap::ArcSwap;

use super::durable;
use crate::{
    config::{Config, Durability},
    messages::{
        CloseStore, DurableTarget, InboxItem, Patience, Persist, Pushed, ReadBodies, Refused,
        WorkerLoad, WriteRecord,
    },
    mqtt::QoS,
    session::{Bodies, Place},
    stats::{Counters, Gauges, Metric},
    store::{Figures, Full, Limits, Recipient, Store, Sureness, WallClock},
};

/// Requests that wait in its mailbox before askers have to; who publishes does not ask and pauses by the load.
const MAILBOX: usize = 4096;
/// Bytes that are copied between two groups while space is given back.
const CLEANING_STEP: usize = 1 << 20;
/// How long a disk that has failed is left alone before it is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// See the module's description.
pub struct StoreWriter {
    /// None after it was closed.
    store: Option<Store>,
    config: Arc<ArcSwap<Config>>,
    counters: Arc<Counters>,
    gauges: Arc<Gauges>,
    load: Arc<WorkerLoad>,
    clock: WallClock,
    /// What has come since the last group.
    jobs: Vec<Job>,
    /// Changes of state that the disk has refused, to be written before anything else.
    backlog: Vec<WriteRecord>,
    /// A [`Commit`] is on its way.
    is_called: bool,
    /// A sync is due within `store.sync_interval`.
    sync_is_due: bool,
    /// Set while the disk refuses: when it is tried again.
    retry_at: Option<Instant>,
    cleaning_is_called: bool,
    told: Figures,
}

enum Job {
    Persist(Persist),
    Record(WriteRecord),
}

/// A batch that was given its places.
struct Placed {
    persist: Persist,
    /// Of each target's messages.
    places: Vec<Arc<[Place]>>,
}

/// Writes what has come. It is sent when the first of it comes, so that all that comes meanwhile goes with it.
#[derive(Message)]
#[rtype(result = "()")]
struct Commit;

/// Goes on with giving space back.
#[derive(Message)]
#[rtype(result = "()")]
struct Clean;

/// The bounds of a store as the configuration has them.
pub fn limits(config: &Config) -> Limits {
    Limits {
        segment: config.store.segment_size,
        bytes: config.store.max_bytes,
        messages: config.store.max_messages,
    }
}

impl StoreWriter {
    /// A writer for an open store.
    pub fn new(
        store: Store,
        config: Arc<ArcSwap<Config>>,
        counters: Arc<Counters>,
        gauges: Arc<Gauges>,
        load: Arc<WorkerLoad>,
        clock: WallClock,
    ) -> Self {
        let told = store.figures();
        let mut writer = Self {
            store: Some(store),
            config,
            counters,
            gauges,
            load,
            clock,
            jobs: Vec::new(),
            backlog: Vec::new(),
            is_called: false,
            sync_is_due: false,
            retry_at: None,
            cleaning_is_called: false,
            told,
        };
        writer.tell();
        writer
    }

    fn call(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.is_called, true) {
            ctx.notify(Commit);
        }
    }

    fn commit(&mut self, ctx: &mut Context<Self>) {
        self.is_called = false;
        let jobs = std::mem::take(&mut self.jobs);
        if self.store.is_none() {
            // The broker has stopped; who waits learns it by the parts that are dropped.
            return;
        }
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return self.refuse(jobs);
        }
        let config = self.config.load_full();
        let Some(store) = &mut self.store else {
            return;
        };
        store.set_limits(limits(&config));
        for told in &self.backlog {
            store.expect(told.begins, told.ends);
            store.add_encoded(&told.record);
        }
        let mut placed = Vec::new();
        let mut records = Vec::new();
        for job in jobs {
            match job {
                Job::Record(told) => {
                    store.expect(told.begins, told.ends);
                    store.add_encoded(&told.record);
                    records.push(told);
                }
                Job::Persist(persist) => match place(store, &persist, &self.clock) {
                    Ok(places) => placed.push(Placed { persist, places }),
                    Err(Full) => {
                        let full = "store.max_bytes or store.max_messages is reached";
                        log::debug!("messages are refused: {full}");
                        refuse(persist, &self.counters, &self.load);
                    }
                },
            }
        }
        let sureness = match config.store.durability {
            Durability::Sync => Sureness::Synced,
            Durability::Async | Durability::None => Sureness::Written,
        };
        let done = match store.pending() {
            0 => Ok(()),
            _ => store.commit(sureness),
        };
        match done {
            Ok(()) => {
                self.succeeded();
                for told in self.backlog.drain(..).chain(records) {
                    told.part.into_iter().for_each(|part| part.keep());
                }
                let patience = Patience::new(&config.mqtt, Instant::now());
                for placed in placed {
                    self.deliver(placed, patience);
                }
                self.sync_later(&config, ctx);
                self.clean_later(ctx);
            }
            Err(error) => {
                store.discard();
                self.failed(&error, ctx);
                let jobs = placed
                    .into_iter()
                    .map(|placed| Job::Persist(placed.persist));
                self.refuse(jobs.chain(records.into_iter().map(Job::Record)));
            }
        }
        self.tell();
    }

    /// Puts a batch into the inboxes, and lets its publisher's acknowledgements go.
    fn deliver(&self, placed: Placed, patience: Patience) {
        let Placed { persist, places } = placed;
        let mut ended = 0;
        let bytes = persist.batch.size(&(0..persist.batch.len()));
        for (target, places) in persist.to.into_iter().zip(places) {
            let DurableTarget {
                inbox,
                range,
                mut delivery,
            } = target;
            let number = range.len() as u64;
            delivery.places = Some(places);
            let item = InboxItem {
                batch: persist.batch.clone(),
                range,
                delivery,
            };
            if let Pushed::Ended = inbox.push(item, patience) {
                ended += number;
            }
        }
        self.counters.add(Metric::DroppedSessionEnded, ended);
        self.load.remove(bytes);
        persist.part.into_iter().for_each(|part| part.keep());
    }

    /// The disk does not take these now. Messages are refused; changes of state wait for it.
    fn refuse(&mut self, jobs: impl IntoIterator<Item = Job>) {
        for job in jobs {
            match job {
                Job::Persist(persist) => refuse(persist, &self.counters, &self.load),
                Job::Record(mut told) => match told.refused {
                    Refused::GoOn => {
                        told.part.take().into_iter().for_each(|part| part.keep());
                        self.backlog.push(told);
                    }
                    Refused::Wait => self.backlog.push(told),
                    Refused::Refuse => self.counters.add(Metric::StoreRefused, 1),
                },
            }
        }
    }

    fn succeeded(&mut self) {
        if self.retry_at.take().is_some() {
            log::warn!("store: the disk takes what is written again");
            self.gauges.store_failing.set(0);
        }
    }

    fn failed(&mut self, error: &io::Error, ctx: &mut Context<Self>) {
        if self.retry_at.is_none() {
            log::error!(
                "store: cannot write: {error}; messages for durable sessions are refused until it can"
            );
            self.gauges.store_failing.set(1);
        }
        self.retry_at = Some(Instant::now() + RETRY);
        // Changes of state wait, and nobody may publish meanwhile.
        ctx.run_later(RETRY, |writer, ctx| writer.call(ctx));
    }

    fn sync_later(&mut self, config: &Config, ctx: &mut Context<Self>) {
        let unsynced = self.store.as_ref().is_some_and(Store::is_unsynced);
        if config.store.durability != Durability::Async || !unsynced || self.sync_is_due {
            return;
        }
        self.sync_is_due = true;
        ctx.run_later(config.store.sync_interval, |writer, ctx| {
            writer.sync_is_due = false;
            if let Some(Err(error)) = writer.store.as_mut().map(Store::sync) {
                writer.failed(&error, ctx);
            }
            writer.tell();
        });
    }

    fn clean_later(&mut self, ctx: &mut Context<Self>) {
        let wanted = self.store.as_ref().is_some_and(Store::wants_cleaning);
        if wanted && !std::mem::replace(&mut self.cleaning_is_called, true) {
            ctx.notify(Clean);
        }
    }

    fn clean(&mut self, ctx: &mut Context<Self>) {
        self.cleaning_is_called = false;
        if self.retry_at.is_some() {
            return;
        }
        match self.store.as_mut().map(|store| store.clean(CLEANING_STEP)) {
            Some(Ok(())) => self.clean_later(ctx),
            Some(Err(error)) => self.failed(&error, ctx),
            None => {}
        }
        self.tell();
    }

    /// Brings the figures up to date.
    fn tell(&mut self) {
        let Some(store) = &self.store else {
            return;
        };
        let now = store.figures();
        let before = std::mem::replace(&mut self.told, now);
        for (metric, now, before) in [
            (Metric::StoreCommits, now.commits, before.commits),
            (Metric::StoreSyncs, now.syncs, before.syncs),
            (Metric::StoreMessages, now.messages, before.messages),
            (Metric::StoreBytes, now.bytes, before.bytes),
            (Metric::StoreFailures, now.failures, before.failures),
        ] {
            self.counters.add(metric, now.saturating_sub(before));
        }
        let small = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        self.gauges.stored_messages.set(small(store.queued()));
        self.gauges.stored_bytes.set(small(store.live_bytes()));
        self.gauges.stored_disk_bytes.set(small(store.disk_bytes()));
    }
}

/// Tells a publisher, by the part that is dropped, that its messages are not stored.
fn refuse(persist: Persist, counters: &Counters, load: &WorkerLoad) {
    let number = persist.batch.len() as u64;
    counters.add(Metric::StoreRefused, number);
    if persist.part.is_none() {
        counters.add(Metric::DroppedStoreRefused, number);
    }
    load.remove(persist.batch.size(&(0..persist.batch.len())));
}

/// Adds the messages of a batch to the store. Returns the places of each target's messages.
fn place(
    store: &mut Store,
    persist: &Persist,
    clock: &WallClock,
) -> Result<Vec<Arc<[Place]>>, Full> {
    let mark = store.mark();
    let mut places: Vec<Vec<Place>> = persist.to.iter().map(|_| Vec::new()).collect();
    let mut ids = persist.origin.iter().flat_map(|origin| {
        let session = origin.session;
        origin
            .ids
            .iter()
            .map(move |(at, id)| (*at, (session, id.get())))
    });
    let mut next_id = ids.next();
    for index in 0..persist.batch.len() {
        let Some(message) = persist.batch.get(index) else {
            break;
        };
        let origin = next_id.filter(|(at, _)| *at == index).map(|(_, id)| id);
        if origin.is_some() {
            next_id = ids.next();
        }
        let takers = |to: &DurableTarget| {
            to.range.contains(&index) && message.qos.min(to.delivery.qos) > QoS::AtMostOnce
        };
        let recipients: Vec<Recipient<'_>> = persist
            .to
            .iter()
            .filter(|to| takers(to))
            .map(|to| Recipient {
                session: to.inbox.durable().map_or(0, |number| number.get()),
                sequence: 0,
                qos: message.qos.min(to.delivery.qos),
                retain: message.retain && to.delivery.retain_as_published,
                subscription_ids: to
                    .delivery
                    .subscription_ids
                    .as_deref()
                    .unwrap_or(&[])
                    .to_vec(),
                group: to.delivery.group.as_deref(),
            })
            .collect();
        if recipients.is_empty() && origin.is_none() {
            continue;
        }
        let expires_at = durable::expiry(&message, clock);
        let published = match store.publish(&message, expires_at, origin, recipients) {
            Ok(published) => published,
            Err(full) => {
                store.roll_back(mark);
                return Err(full);
            }
        };
        let mut sequences = published.sequences.into_iter();
        for (to, places) in persist.to.iter().zip(&mut places) {
            if takers(to) {
                // A session that has ended gets a place that leads nowhere; so does its inbox.
                places.push(Place {
                    message: published.message,
                    sequence: sequences.next().flatten().unwrap_or(0),
                });
            }
        }
    }
    Ok(places.into_iter().map(Arc::from).collect())
}

impl Actor for StoreWriter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Persist> for StoreWriter {
    type Result = ();

    fn handle(&mut self, persist: Persist, ctx: &mut Self::Context) {
        self.jobs.push(Job::Persist(persist));
        self.call(ctx);
    }
}

impl Handler<WriteRecord> for StoreWriter {
    type Result = ();

    fn handle(&mut self, told: WriteRecord, ctx: &mut Self::Context) {
        self.jobs.push(Job::Record(told));
        self.call(ctx);
    }
}

impl Handler<Commit> for StoreWriter {
    type Result = ();

    fn handle(&mut self, _: Commit, ctx: &mut Self::Context) {
        self.commit(ctx);
    }
}

impl Handler<Clean> for StoreWriter {
    type Result = ();

    fn handle(&mut self, _: Clean, ctx: &mut Self::Context) {
        self.clean(ctx);
    }
}

impl Handler<ReadBodies> for StoreWriter {
    type Result = MessageResult<ReadBodies>;

    fn handle(&mut self, ask: ReadBodies, _: &mut Self::Context) -> Self::Result {
        let mut bodies: Bodies = HashMap::new();
        for number in ask.0 {
            match self.store.as_ref().map(|store| store.read(number)) {
                Some(Ok(Some(body))) => {
                    bodies.insert(number, Some(durable::message(body, &self.clock)));
                }
                Some(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    log::error!("store: a message is dropped because it cannot be read: {error}");
                    bodies.insert(number, None);
                }
                Some(Err(error)) => log::error!("store: a message cannot be read now: {error}"),
                Some(Ok(None)) | None => {}
            }
        }
        MessageResult(bodies)
    }
}

impl Handler<CloseStore> for StoreWriter {
    type Result = ();

    fn handle(&mut self, _: CloseStore, ctx: &mut Self::Context) {
        self.retry_at = None;
        self.commit(ctx);
        if let Some(mut store) = self.store.take() {
            if !self.backlog.is_empty() {
                log::error!(
                    "store: {} changes could not be written before the end",
                    self.backlog.len()
                );
            }
            if let Err(error) = store.sync() {
                log::error!("store: cannot confirm what was written: {error}");
            }
        }
    }
}
