//! The writer of the durable store, alone on its thread, which may block on the disk.
//!
//! What its mailbox holds when it begins is written, synced if `store.durability` says so, and told as one: while the
//! disk works, the next group gathers.

mod moving;
mod placing;
mod refusing;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, io, sync::Arc, time::Instant};

use actix::{Actor, AsyncContext, Context, Handler, Message, MessageResult};
use arc_swap::ArcSwap;

use self::{
    moving::{redirect, to_persist},
    placing::place_by_policy,
    refusing::is_full,
};
use super::durable;
use crate::{
    config::{Config, Durability},
    messages::{
        CloseStore, Inbox, MoveShared, Patience, Persist, ReadBodies, Refused, WorkerLoad,
        WriteRecord,
    },
    routing::RouteTable,
    session::{Bodies, Place},
    stats::{Counters, DropReason, Gauges, Metric},
    store::{Figures, Full, Limits, Store, Sureness, WallClock},
};

/// Requests that wait in its mailbox before askers have to; who publishes does not ask and pauses by the load.
const MAILBOX: usize = 4096;
/// Bytes that are copied between two groups while space is given back.
const CLEANING_STEP: usize = 1 << 20;
/// Bytes that a group is to have before what has come goes into the next one.
const GROUP: usize = 256 << 20;

/// See the module's description.
pub struct StoreWriter {
    /// None after it was closed.
    store: Option<Store>,
    config: Arc<ArcSwap<Config>>,
    counters: Arc<Counters>,
    gauges: Arc<Gauges>,
    load: Arc<WorkerLoad>,
    routes: Arc<RouteTable<Inbox>>,
    clock: WallClock,
    /// What has come since the last group.
    jobs: Vec<Job>,
    /// See [`GROUP`].
    group: usize,
    /// Changes of state that the disk has refused, to be written before anything else.
    backlog: Vec<WriteRecord>,
    /// A [`Commit`] is on its way.
    is_called: bool,
    /// A sync is due within `store.sync_interval`.
    sync_is_due: bool,
    /// Set while the disk refuses: when it is tried again.
    retry_at: Option<Instant>,
    cleaning_is_called: bool,
    /// When it was last said that the disk refuses, and whether it has not been said since that it no longer does.
    complained: Option<(Instant, bool)>,
    /// The disk is to be looked at again in a while.
    looks_again: bool,
    told: Figures,
}

enum Job {
    Persist(Persist),
    Move(MoveShared),
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
        routes: Arc<RouteTable<Inbox>>,
        clock: WallClock,
    ) -> Self {
        let told = store.figures();
        let mut writer = Self {
            store: Some(store),
            config,
            counters,
            gauges,
            load,
            routes,
            clock,
            jobs: Vec::new(),
            group: GROUP,
            backlog: Vec::new(),
            is_called: false,
            sync_is_due: false,
            retry_at: None,
            cleaning_is_called: false,
            complained: None,
            looks_again: false,
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
        let takes_messages = !store.is_short();
        let (mut refused, mut lost) = (Vec::new(), Vec::new());
        let mut placed = Vec::new();
        let mut records = Vec::new();
        let mut backlog = std::mem::take(&mut self.backlog).into_iter();
        while store.pending() < self.group
            && let Some(told) = backlog.next()
        {
            store.expect(told.begins, told.ends);
            store.add_encoded(&told.record);
            records.push(told);
        }
        let mut jobs = jobs.into_iter();
        while store.pending() < self.group
            && let Some(job) = jobs.next()
        {
            let job = match job {
                Job::Move(moved) if takes_messages => {
                    let size = moved.size;
                    match to_persist(store, moved, &self.clock) {
                        Ok(persist) => {
                            self.load.remove(size);
                            self.load.add(persist.batch.size(&(0..persist.batch.len())));
                            Job::Persist(persist)
                        }
                        Err(reason) => {
                            lost.push((reason, size));
                            continue;
                        }
                    }
                }
                other => other,
            };
            match job {
                Job::Record(told) if takes_messages || told.refused != Refused::Refuse => {
                    store.expect(told.begins, told.ends);
                    store.add_encoded(&told.record);
                    records.push(told);
                }
                Job::Record(_) => self.counters.add(Metric::StoreRefused, 1),
                Job::Persist(mut persist) if takes_messages => {
                    redirect(&mut persist, &self.routes);
                    match place_by_policy(store, &persist, &self.clock, config.store.policy) {
                        Ok(places) => placed.push(Placed { persist, places }),
                        Err(Full) => {
                            log::debug!("messages are refused: store.max_bytes or max_messages");
                            refused.push(Job::Persist(persist));
                        }
                    }
                }
                Job::Persist(_) | Job::Move(_) => refused.push(job),
            }
        }
        // What nobody waits for is synced with the next group.
        let waits = !placed.is_empty() || records.iter().any(|told| told.part.is_some());
        let sureness = match config.store.durability {
            Durability::Sync if waits => Sureness::Synced,
            Durability::Sync | Durability::Async | Durability::None => Sureness::Written,
        };
        let mut done = commit(store, sureness);
        let full = done.as_ref().err().filter(|error| is_full(error));
        let full = full.map(|error| io::Error::new(error.kind(), error.to_string()));
        if full.is_some() {
            // There is room set aside for what is known of sessions, not for messages.
            store.discard();
            store.go_short();
            let messages = placed.drain(..).map(|placed| Job::Persist(placed.persist));
            refused.extend(messages);
            records.retain(|told| told.refused != Refused::Refuse);
            for told in &records {
                store.add_encoded(&told.record);
            }
            done = commit(store, sureness);
        }
        if done.is_err() {
            store.discard();
        }
        self.refuse(refused);
        for (reason, size) in lost {
            self.lose(reason, size);
        }
        if let Some(error) = &full {
            self.complain(error, ctx);
        }
        match done {
            Ok(()) => {
                self.succeeded();
                for told in records {
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
                self.failed(&error, ctx);
                let placed = placed
                    .into_iter()
                    .map(|placed| Job::Persist(placed.persist));
                self.refuse(placed.chain(records.into_iter().map(Job::Record)));
            }
        }
        self.backlog.extend(backlog);
        match self.retry_at {
            Some(_) => self.refuse(jobs),
            None => self.jobs.extend(jobs),
        }
        if self.has_more() {
            self.call(ctx);
        }
        self.tell();
    }

    /// There is something to be written, and the disk takes it.
    fn has_more(&self) -> bool {
        self.retry_at.is_none() && !(self.jobs.is_empty() && self.backlog.is_empty())
    }

    /// Puts a batch into the inboxes, and lets its publisher's acknowledgements go.
    fn deliver(&mut self, placed: Placed, patience: Patience) {
        let Placed { persist, places } = placed;
        let bytes = persist.batch.size(&(0..persist.batch.len()));
        let (batch, again) = (persist.batch, (persist.part.as_ref(), persist.offers));
        let mut ended = 0;
        for (target, places) in persist.to.into_iter().zip(places) {
            ended += self.push(&batch, target, &places, patience, again);
        }
        self.counters.add(Metric::DroppedSessionEnded, ended);
        self.load.remove(bytes);
        persist.part.into_iter().for_each(|part| part.keep());
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
        self.gauges.store_waiting.set(self.backlog.len());
        self.gauges.stored_messages.set(small(store.queued()));
        self.gauges.stored_bytes.set(small(store.live_bytes()));
        self.gauges.stored_disk_bytes.set(small(store.disk_bytes()));
    }
}

fn commit(store: &mut Store, sureness: Sureness) -> io::Result<()> {
    match store.pending() {
        0 => Ok(()),
        _ => store.commit(sureness),
    }
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

impl Handler<MoveShared> for StoreWriter {
    type Result = ();

    fn handle(&mut self, moved: MoveShared, ctx: &mut Self::Context) {
        self.jobs.push(Job::Move(moved));
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
                    bodies.insert(number, Ok(durable::message(body, &self.clock)));
                }
                Some(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    log::error!("store: a message is dropped because it cannot be read: {error}");
                    bodies.insert(number, Err(DropReason::Unreadable));
                }
                Some(Err(error)) => log::error!("store: a message cannot be read now: {error}"),
                Some(Ok(None)) => {
                    // It has made room for others since it was put into the inbox.
                    bodies.insert(number, Err(DropReason::StoreFull));
                }
                None => {}
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
        while self.store.is_some() && self.has_more() {
            self.commit(ctx);
        }
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
