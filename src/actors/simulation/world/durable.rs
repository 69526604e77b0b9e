//! The durable store: its real writer, on a disk in memory.

use super::*;
use crate::{
    actors::{StoreHandles, StoreWriter, durable::message, restore, store_limits},
    messages::{Inbox, KeptSession},
    mqtt::Message,
    routing::ClientDirectory,
    store::{Store, WallClock},
};

/// Milliseconds since 1970 when the simulation begins.
const BEGINNING: u64 = 1_700_000_000_000;
/// Bytes of a file, so few that there are several and space is given back.
const SEGMENT: u32 = 4096;

/// The writer before it begins, and what its store holds.
pub(super) struct Writer {
    pub(super) handles: StoreHandles,
    pub(super) context: Context<StoreWriter>,
    pub(super) actor: StoreWriter,
    sessions: Vec<crate::store::RecoveredSession>,
    retained: Vec<Message>,
    next_session: u64,
    last_generation: u64,
}

/// Clients, kept sessions, retained messages and the number of the next session.
type Found = (ClientDirectory<Inbox>, Vec<KeptSession>, Vec<Message>, u64);

impl Writer {
    pub(super) fn open(
        disk: FakeDisk,
        config: &Arc<ArcSwap<Config>>,
        counters: &Arc<Counters>,
        gauges: &Arc<Gauges>,
        start: Instant,
    ) -> Self {
        let clock = WallClock::new(start, BEGINNING);
        let (store, report) = Store::open(Box::new(disk), store_limits(&config.load())).unwrap();
        assert!(report.damages.is_empty(), "{:?}", report.damages);
        let mut retained = Vec::new();
        let unreadable = store.retained(|body| retained.push(message(body, &clock)));
        assert_eq!(unreadable.unwrap(), 0, "retained messages cannot be read");
        let (sessions, next_session) = (store.sessions(), store.next_session());
        let last_generation = store.last_generation();
        let load = WorkerLoad::new(config.load().system.max_worker_backlog);
        let load = Arc::new(load);
        let routes = Arc::<RouteTable<Inbox>>::default();
        let context = Context::<StoreWriter>::new();
        let actor = StoreWriter::new(
            store,
            config.clone(),
            counters.clone(),
            gauges.clone(),
            load.clone(),
            routes.clone(),
            clock,
        );
        Self {
            handles: StoreHandles {
                persist: context.address().recipient(),
                record: context.address().recipient(),
                moves: context.address().recipient(),
                routes,
                bodies: context.address().recipient(),
                load,
                clock,
            },
            context,
            actor,
            sessions,
            retained,
            next_session,
            last_generation,
        }
    }

    pub(super) fn recovered(&mut self, shared: &Shared) -> Found {
        let sessions = std::mem::take(&mut self.sessions);
        let (directory, kept) = restore(sessions, self.last_generation, shared);
        let retained = std::mem::take(&mut self.retained);
        (directory, kept, retained, self.next_session)
    }
}

impl World {
    /// A broker with a durable store that is empty.
    pub fn durable(limits: Mqtt, durability: Durability) -> Self {
        let config = Config {
            mqtt: limits,
            ..Config::default()
        };
        Self::with_store(config, durability)
    }

    pub(super) fn with_store(mut config: Config, durability: Durability) -> Self {
        config.store.enable = true;
        config.store.durability = durability;
        config.store.segment_size = SEGMENT;
        Self::start(config, Some(FakeDisk::default()), Instant::now(), 0)
    }

    pub fn is_durable(&self) -> bool {
        self.disk.is_some()
    }

    /// The broker is killed as it is, and started anew with what it has written.
    pub fn restart(&mut self) {
        let disk = self.disk.as_ref().map(FakeDisk::after_kill);
        *self = Self::start(self.config.clone(), disk, self.start, self.clock);
    }
}
