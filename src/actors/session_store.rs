//! The session store: owns the sessions whose clients are away, takes messages for them, ends them in time and
//! publishes their delayed wills.

use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use actix::{Actor, AsyncContext, Context, Handler, SpawnHandle};

use super::{Worker, clock, durable};
use crate::{
    auth::acl::Action,
    messages::{AddressedCommand, GiveUpSessions, Inbox, KeptSession, SessionCommand},
    session::Will,
    stats::Metric,
    store::Record,
};

/// Messages that wait in its mailbox before askers have to; nobody asks, so it bounds nothing.
const MAILBOX: usize = 4096;

/// See the module's description.
pub struct SessionStore {
    worker: Rc<Worker>,
    sessions: HashMap<Arc<str>, KeptSession>,
    /// When something is due for a session.
    deadlines: BTreeSet<(Instant, Arc<str>)>,
    timer: Option<(Instant, SpawnHandle)>,
    /// Sessions that had been replaced by new ones when the last process ended, and were not settled.
    replaced: Vec<KeptSession>,
}

impl SessionStore {
    /// A store on the thread of `worker`, with the sessions that outlived the last process.
    pub fn new(worker: Rc<Worker>, recovered: Vec<KeptSession>) -> Self {
        let mut store = Self {
            worker,
            sessions: HashMap::new(),
            deadlines: BTreeSet::new(),
            timer: None,
            replaced: Vec::new(),
        };
        for kept in recovered {
            if kept.inbox.has_ended() {
                store.replaced.push(kept);
                continue;
            }
            state_counters(&kept.inbox, kept.session.outbound());
            store.enter(kept);
        }
        store
    }

    fn enter(&mut self, kept: KeptSession) {
        let client_id = kept.inbox.client_id().clone();
        for at in deadlines(&kept) {
            self.deadlines.insert((at, client_id.clone()));
        }
        self.sessions.insert(client_id, kept);
    }

    /// Has the durable store, if the session is in it, know how it is kept.
    fn note_kept(&self, kept: &KeptSession, now: Instant) {
        if let Some(store) = &self.worker.shared.store {
            store.note(&kept.inbox, |session| {
                Some(Record::Kept(
                    session,
                    durable::kept(kept, &store.clock, now),
                ))
            });
        }
    }

    fn drain(&mut self, client_id: &str) {
        let Some(kept) = self.sessions.get_mut(client_id) else {
            return;
        };
        let now = clock::now();
        let config = self.worker.shared.config.load();
        for item in kept.inbox.take() {
            kept.session.deliver_offline(
                &item.batch,
                item.range,
                &item.delivery,
                &config.mqtt,
                now,
                &self.worker.counters,
            );
        }
        if let Some(store) = &self.worker.shared.store {
            store.note_settled(&kept.inbox, kept.session.outbound_mut());
        }
        state_counters(&kept.inbox, kept.session.outbound());
    }

    fn take(&mut self, client_id: &str) -> Option<KeptSession> {
        let kept = self.sessions.remove(client_id)?;
        for at in deadlines(&kept) {
            self.deadlines.remove(&(at, kept.inbox.client_id().clone()));
        }
        Some(kept)
    }

    /// Publishes wills and ends sessions whose time has come.
    pub(super) fn pass_time(&mut self, now: Instant) {
        while let Some((at, client_id)) = self.deadlines.first().cloned() {
            if at > now {
                break;
            }
            self.deadlines.pop_first();
            let Some(kept) = self.sessions.get_mut(&client_id) else {
                continue;
            };
            if let Some((_, will)) = kept.will.take_if(|(due, _)| *due <= now) {
                publish_will(&self.worker, kept, &will, now);
                if let Some(kept) = self.sessions.get(&client_id) {
                    self.note_kept(kept, now);
                }
            }
            let Some(kept) = self.sessions.get(&client_id) else {
                continue;
            };
            if kept.expires_at.is_some_and(|at| at <= now) {
                self.end(&client_id, now);
            }
        }
    }

    /// A session has expired.
    fn end(&mut self, client_id: &str, now: Instant) {
        let Some(mut kept) = self.take(client_id) else {
            return;
        };
        log::debug!("session of {client_id:?} has expired");
        let outbound = kept.session.outbound_mut();
        let worker = &self.worker;
        match worker.end_session(&kept.inbox, kept.generation, outbound, now) {
            true => self.publish_last_will(kept, now),
            false => {
                // The client was back in time: the registry has asked for it.
                self.sessions.insert(kept.inbox.client_id().clone(), kept);
            }
        }
    }

    /// What is left of a session that was ended: its unacknowledged shared messages go to others, its will is published.
    fn settle(&self, mut kept: KeptSession, now: Instant) {
        let outbound = kept.session.outbound_mut();
        self.worker.settle_session(&kept.inbox, outbound, now);
        self.publish_last_will(kept, now);
    }

    fn publish_last_will(&self, mut kept: KeptSession, now: Instant) {
        if let Some((_, will)) = kept.will.take() {
            publish_will(&self.worker, &kept, &will, now);
        }
    }

    /// Drops what waits for a client and it may not receive.
    fn recheck(&mut self, client_id: &str) {
        let policy = self.worker.shared.policy.load();
        let Some(kept) = self.sessions.get_mut(client_id) else {
            return;
        };
        if policy.restricts() {
            let may = |topic: &str| policy.may_keep(&kept.subject, topic);
            let outbound = kept.session.outbound_mut();
            outbound.purge(may, &self.worker.counters);
            if let Some(store) = &self.worker.shared.store {
                store.note_settled(&kept.inbox, outbound);
            }
            state_counters(&kept.inbox, kept.session.outbound());
        }
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        let next = self.deadlines.first().map(|(at, _)| *at);
        if self.timer.as_ref().map(|(at, _)| *at) == next {
            return;
        }
        if let Some((_, timer)) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.timer = next.map(|at| {
            let wait = at.saturating_duration_since(clock::now());
            let timer = ctx.run_later(wait, |actor, ctx| {
                actor.timer = None;
                actor.pass_time(clock::now());
                actor.arm(ctx);
            });
            (at, timer)
        });
    }
}

/// Publishes a will, if its client may still do so.
fn publish_will(worker: &Worker, of: &KeptSession, will: &Will, now: Instant) {
    let may = worker.shared.policy.load();
    if may.decide(&of.subject, Action::Publish, will.topic()) == Some(false) {
        worker.counters.add(Metric::DroppedNotPermitted, 1);
        return;
    }
    worker.publish_will(&of.inbox, will, now);
}

fn deadlines(kept: &KeptSession) -> impl Iterator<Item = Instant> + use<> {
    let will = kept.will.as_ref().map(|(at, _)| *at);
    [will, kept.expires_at].into_iter().flatten()
}

/// Brings the figures of a client that lists show up to date.
pub(super) fn state_counters(inbox: &Inbox, outbound: &crate::session::Outbound) {
    let counters = &inbox.counters;
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    counters.queued.store(small(outbound.queue_len()), Relaxed);
    let bytes = outbound.queue_bytes() as u64;
    counters.queued_bytes.store(bytes, Relaxed);
    counters.inflight.store(small(outbound.inflight()), Relaxed);
    counters.dropped.store(outbound.dropped(), Relaxed);
    counters.sent_messages.store(outbound.written(), Relaxed);
}

impl Actor for SessionStore {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        for kept in std::mem::take(&mut self.replaced) {
            self.settle(kept, clock::now());
        }
        // What was due while there was no broker, before anybody connects.
        self.pass_time(clock::now());
        self.arm(ctx);
    }
}

impl Handler<KeptSession> for SessionStore {
    type Result = ();

    fn handle(&mut self, mut kept: KeptSession, ctx: &mut Self::Context) {
        let client_id = kept.inbox.client_id().clone();
        self.take(&client_id);
        self.note_kept(&kept, clock::now());
        kept.session.outbound_mut().unload();
        self.enter(kept);
        self.drain(&client_id);
        // The rules may have changed while it was on its way.
        self.recheck(&client_id);
        self.arm(ctx);
    }
}

impl Handler<AddressedCommand> for SessionStore {
    type Result = ();

    fn handle(&mut self, told: AddressedCommand, ctx: &mut Self::Context) {
        match told.command {
            SessionCommand::Drain => self.drain(&told.client_id),
            SessionCommand::HandOver(hand_over) => {
                // A will whose delay has not passed is not published when the session goes on [MQTT-3.1.3-9].
                if let Some(kept) = self.take(&told.client_id) {
                    hand_over.answer(kept.session, &self.worker.counters);
                }
                self.arm(ctx);
            }
            SessionCommand::Discard(_) => {
                if let Some(kept) = self.take(&told.client_id) {
                    self.settle(kept, clock::now());
                }
                self.arm(ctx);
            }
            SessionCommand::Noted(reply) => {
                // Nobody waits for it only if the broker was ended by force.
                let _ = reply.send(());
            }
            SessionCommand::Evicted(places) => {
                self.drain(&told.client_id);
                if let Some(kept) = self.sessions.get_mut(&told.client_id) {
                    let outbound = kept.session.outbound_mut();
                    outbound.evict(&places, &self.worker.counters);
                    state_counters(&kept.inbox, outbound);
                }
            }
            SessionCommand::Recheck => {
                self.drain(&told.client_id);
                self.recheck(&told.client_id);
            }
            SessionCommand::Close(_)
            | SessionCommand::Subscribed(_)
            | SessionCommand::AskAgain(_) => {}
        }
    }
}

impl Handler<GiveUpSessions> for SessionStore {
    type Result = Vec<KeptSession>;

    fn handle(&mut self, _: GiveUpSessions, _: &mut Self::Context) -> Self::Result {
        let client_ids: Vec<_> = self.sessions.keys().cloned().collect();
        for client_id in client_ids {
            self.drain(&client_id);
        }
        self.deadlines.clear();
        self.sessions.drain().map(|(_, kept)| kept).collect()
    }
}
