//! Where messages for a session wait until the actor that owns the session takes them.
//!
//! The inbox belongs to the session, not to an actor: it stays the same through disconnects and takeovers, so a
//! publisher need not know who owns the session, and messages keep their order when the owner changes. Its owner
//! gets one [`SessionCommand::Drain`] when the first batch arrives, and takes all that is there.
//!
//! Bound: the sum over all inboxes of a worker is bounded by its [`WorkerLoad`], for which publishers pause.

use std::{
    num::NonZeroU64,
    ops::Range,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{self, Poll, Waker, ready},
    time::{Duration, Instant},
};

use actix::Recipient;

use super::{AddressedCommand, ClientCounters, Patience, SessionCommand, WorkerLoad};
use crate::{
    mqtt::{Batch, PacketId, QoS},
    routing::Target,
    session::Delivery,
    stats::{Counters, Metric},
    store::Outcome,
};

/// A run of messages for one session.
#[derive(Debug)]
pub struct InboxItem {
    /// The messages, shared by all subscribers.
    pub batch: Arc<Batch>,
    /// Which of them.
    pub range: Range<usize>,
    /// How the session wants them.
    pub delivery: Delivery,
}

impl InboxItem {
    /// True when the session has to acknowledge the messages.
    pub fn is_acknowledged(&self) -> bool {
        self.batch.is_acknowledged() && self.delivery.qos > QoS::AtMostOnce
    }
}

/// Counts messages that are lost because their session has ended.
pub fn count_lost(items: &[InboxItem], counters: &Counters) {
    let lost: usize = items.iter().map(|item| item.range.len()).sum();
    counters.add(Metric::DroppedSessionEnded, lost as u64);
}

/// Who drains an inbox.
#[derive(Debug)]
pub enum Owner {
    /// The actor of a connection.
    Connection(Recipient<SessionCommand>, Arc<WorkerLoad>),
    /// The session store, for a session without a connection.
    Store(Recipient<AddressedCommand>, Arc<WorkerLoad>),
    /// The session has ended.
    Nobody,
}

impl Owner {
    fn load(&self) -> Option<&Arc<WorkerLoad>> {
        match self {
            Self::Connection(_, load) | Self::Store(_, load) => Some(load),
            Self::Nobody => None,
        }
    }
}

/// What became of messages for a session.
#[derive(Debug)]
pub enum Pushed {
    /// They wait in the inbox.
    Taken,
    /// They do, and the owner's worker, whose load this is, has more to do than it may.
    Overloaded(Arc<WorkerLoad>),
    /// The session has ended: they are gone.
    Ended,
}

/// See the module's description.
#[derive(Debug)]
pub struct Inbox {
    client_id: Arc<str>,
    /// Number of the session in the durable store, if it is there.
    durable: Option<NonZeroU64>,
    state: Mutex<State>,
    online: AtomicBool,
    /// Milliseconds after [`EPOCH`] since when the session has nearly as much waiting as it may; 0: it has not.
    congested_since: AtomicU64,
    /// What the owner counts for this client.
    pub counters: ClientCounters,
}

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

#[derive(Debug)]
struct State {
    items: Vec<InboxItem>,
    bytes: usize,
    /// The bytes are no load of the owner's worker: they wait for the client.
    aside: bool,
    /// Of the messages that wait, those that will be queued if they cannot be sent.
    acknowledged: usize,
    owner: Owner,
    /// Number of the connection that the registry gave the session to last. An owner may pass the inbox on only
    /// as long as this is its own number.
    generation: u64,
    /// Identifiers of QoS 2 messages that were not acknowledged when their connection ended, because the store had not
    /// said yet whether it has them.
    doubtful: Box<[(Arc<Outcome>, PacketId)]>,
}

impl State {
    /// What waits is no longer among what the owner's worker has to do.
    fn unload(&mut self) {
        if let Some(load) = self.owner.load().filter(|_| !self.aside) {
            load.remove(self.bytes);
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.unload();
    }
}

impl Inbox {
    /// An empty inbox that belongs to the connection with this number.
    pub fn new(
        client_id: Arc<str>,
        owner: Owner,
        generation: u64,
        durable: Option<NonZeroU64>,
    ) -> Self {
        Self {
            client_id,
            durable,
            online: AtomicBool::new(matches!(owner, Owner::Connection(..))),
            state: Mutex::new(State {
                items: Vec::new(),
                bytes: 0,
                aside: false,
                acknowledged: 0,
                owner,
                generation,
                doubtful: Box::default(),
            }),
            congested_since: AtomicU64::new(0),
            counters: ClientCounters::default(),
        }
    }

    /// The session's client id.
    pub fn client_id(&self) -> &Arc<str> {
        &self.client_id
    }

    /// Number of the session in the durable store, if it is there: QoS 1 and 2 messages for it go to the writer of the
    /// store, who puts them here.
    pub fn durable(&self) -> Option<NonZeroU64> {
        self.durable
    }

    /// The worker of the owner, if it has more to do than it may.
    pub fn overloaded(&self) -> Option<Arc<WorkerLoad>> {
        let state = self.lock();
        state.owner.load().filter(|load| load.is_over()).cloned()
    }

    /// The connection ends before these are acknowledged.
    pub fn doubt(&self, ids: impl IntoIterator<Item = (Arc<Outcome>, PacketId)>) {
        let mut state = self.lock();
        let before = std::mem::take(&mut state.doubtful);
        state.doubtful = before.into_iter().chain(ids).collect();
    }

    /// Identifiers that were doubtful, and whose messages the store does not have. Ready when it has said so of all.
    pub fn poll_refused(&self, cx: &mut task::Context<'_>) -> Poll<Vec<PacketId>> {
        let mut state = self.lock();
        for (outcome, _) in &state.doubtful {
            ready!(outcome.poll(cx));
        }
        let settled = std::mem::take(&mut state.doubtful).into_iter();
        let refused = settled.filter(|(outcome, _)| outcome.settled() == Some(false));
        Poll::Ready(refused.map(|(_, id)| id).collect())
    }

    /// Adds messages. A session with nearly as much waiting as `patience` allows becomes congested.
    pub fn push(&self, item: InboxItem, patience: Patience) -> Pushed {
        let bytes = item.batch.size(&item.range);
        let mut state = self.lock();
        let State {
            items,
            bytes: waiting,
            aside,
            acknowledged,
            owner,
            ..
        } = &mut *state;
        let Some(load) = owner.load() else {
            return Pushed::Ended;
        };
        let first = items.is_empty();
        if item.is_acknowledged() {
            *acknowledged += item.range.len();
            let queued = self.counters.queued.load(Ordering::Relaxed) as usize;
            if queued + *acknowledged > patience.queue {
                self.mark_congested(patience.now);
            }
        }
        items.push(item);
        let before = *waiting;
        *waiting += bytes;
        if !*aside {
            load.add(bytes);
        }
        // What was set aside is looked at again once, when it becomes too much.
        let is_too_much = *aside && before <= patience.output && *waiting > patience.output;
        if first || is_too_much {
            self.send(owner, SessionCommand::Drain);
        }
        match load.is_over() {
            true => Pushed::Overloaded(load.clone()),
            false => Pushed::Taken,
        }
    }

    /// The owner says whether the session has nearly as much waiting as it may.
    pub fn set_congested(&self, congested: bool, now: Instant) {
        if congested {
            return self.mark_congested(now);
        }
        if self.congested_since.load(Ordering::Relaxed) != 0 {
            self.congested_since.store(0, Ordering::SeqCst);
            if let Some(load) = self.lock().owner.load() {
                load.wake_parked();
            }
        }
    }

    fn mark_congested(&self, now: Instant) {
        if self.congested_since.load(Ordering::Relaxed) == 0 && self.is_online() {
            let since = now.saturating_duration_since(*EPOCH).as_millis();
            let since = u64::try_from(since).unwrap_or(u64::MAX).max(1);
            self.congested_since.store(since, Ordering::SeqCst);
        }
    }

    /// For how long the session has had nearly as much waiting as it may.
    pub fn congested_for(&self, now: Instant) -> Option<Duration> {
        match self.congested_since.load(Ordering::SeqCst) {
            0 => None,
            since => {
                let now = now.saturating_duration_since(*EPOCH);
                Some(now.saturating_sub(Duration::from_millis(since)))
            }
        }
    }

    /// When the session has had nearly as much waiting as it may for so long, if it has.
    pub fn congested_until(&self, max: Duration) -> Option<Instant> {
        match self.congested_since.load(Ordering::SeqCst) {
            0 => None,
            since => EPOCH.checked_add(Duration::from_millis(since).saturating_add(max)),
        }
    }

    /// Wakes `waker` when the session is congested no longer; false when it is not.
    pub fn wait_uncongested(&self, waker: &Waker, now: Instant) -> bool {
        if let Some(load) = self.lock().owner.load() {
            load.park(waker);
        }
        // Looked at after parking: whoever clears the flag wakes those who are parked by then.
        self.congested_for(now).is_some()
    }

    /// True when something waits.
    pub fn holds_items(&self) -> bool {
        !self.lock().items.is_empty()
    }

    /// Takes everything that waits.
    pub fn take(&self) -> Vec<InboxItem> {
        let mut state = self.lock();
        let bytes = std::mem::take(&mut state.bytes);
        let aside = std::mem::take(&mut state.aside);
        state.acknowledged = 0;
        let items = std::mem::take(&mut state.items);
        let load = state.owner.load().filter(|_| !aside).cloned();
        drop(state);
        if let Some(load) = load {
            load.remove(bytes);
        }
        items
    }

    /// What waits, now and from here on, waits for the client to read, until it is taken: nobody else is to wait for that.
    /// False when it is more than `most` bytes.
    pub fn set_aside(&self, most: usize) -> bool {
        let mut state = self.lock();
        if state.bytes > most {
            return false;
        }
        state.unload();
        state.aside = true;
        true
    }

    /// What waits is the owner's work again, and counts as that.
    pub fn set_to_work(&self) {
        let mut state = self.lock();
        if std::mem::take(&mut state.aside)
            && let Some(load) = state.owner.load()
        {
            load.add(state.bytes);
        }
    }

    /// Sends a command to the owner; one for a session that has ended is dropped.
    pub fn command(&self, command: SessionCommand) {
        self.send(&self.lock().owner, command);
    }

    /// The registry gives the inbox to a new connection, or to nobody; it sends what the old owner has to know
    /// with `farewell`, after which nothing reaches that one. What waits for a session that ends stays here for the old
    /// owner to take. False when there was none.
    pub fn give(&self, owner: Owner, generation: u64, farewell: SessionCommand) -> bool {
        let mut state = self.lock();
        let is_told = state.owner.load().is_some();
        self.send(&state.owner, farewell);
        state.generation = generation;
        self.change_owner(&mut state, owner);
        is_told
    }

    /// The owner with this number passes the inbox on to the one that `next` returns, who is told at once if
    /// anything waits. False when the registry has given it to another connection meanwhile: then the registry's
    /// farewell is on its way to the owner, and `next` was not called.
    pub fn pass_on(&self, generation: u64, next: impl FnOnce() -> Owner) -> bool {
        let mut state = self.lock();
        if state.generation != generation {
            return false;
        }
        let owner = next();
        self.change_owner(&mut state, owner);
        true
    }

    /// The owner with this number ends the session. False as for [`Inbox::pass_on`]; else `end` is given what waited, and
    /// nobody sees that the session has ended before that returns. It must not reach for an inbox.
    pub fn end(&self, generation: u64, end: impl FnOnce(Vec<InboxItem>)) -> bool {
        let mut state = self.lock();
        if state.generation != generation {
            return false;
        }
        let items = std::mem::take(&mut state.items);
        state.unload();
        state.bytes = 0;
        end(items);
        self.change_owner(&mut state, Owner::Nobody);
        true
    }

    /// True when the session has ended.
    pub fn has_ended(&self) -> bool {
        self.lock().owner.load().is_none()
    }

    fn change_owner(&self, state: &mut State, owner: Owner) {
        state.unload();
        state.aside = false;
        match owner.load() {
            Some(load) => load.add(state.bytes),
            None => state.bytes = 0,
        }
        self.online
            .store(matches!(owner, Owner::Connection(..)), Ordering::Release);
        state.owner = owner;
        if !state.items.is_empty() {
            self.send(&state.owner, SessionCommand::Drain);
        }
    }

    /// The owner's connection ends: shared subscriptions prefer other members from here on.
    pub fn go_offline(&self) {
        self.online.store(false, Ordering::Release);
    }

    fn send(&self, owner: &Owner, command: SessionCommand) {
        match owner {
            Owner::Connection(connection, _) => connection.do_send(command),
            Owner::Store(store, _) => store.do_send(AddressedCommand {
                client_id: self.client_id.clone(),
                command,
            }),
            Owner::Nobody => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Target for Inbox {
    fn is_online(&self) -> bool {
        self.online.load(Ordering::Acquire)
    }
}
