//! The broker without threads, sockets and clock: its actors, polled one by one in the order that the test chooses.
//!
//! The actors are those of the real broker. What is not here: listeners, authentication by others, and
//! timers of the runtime, which never fire: the clock stands still until the test moves it on, and then all that is due
//! happens ([`World::pass`]). The disk of the durable store, if there is one, is in memory; the broker may be killed and
//! started anew with what is on it ([`World::restart`]).

mod durable;
mod stand_ins;

use durable::Writer;
use stand_ins::{Arrivals, Nobody, TimeIs};

use std::{
    cell::RefCell,
    future::Future,
    net::SocketAddr,
    num::NonZeroU64,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context as TaskContext, Poll},
    time::{Duration, Instant},
};

use actix::{
    Actor, Addr, AsyncContext, Context, Handler, MessageResult, Recipient, dev::ToEnvelope,
    prelude::Request,
};
use arc_swap::ArcSwap;
use fastrand::Rng;
use futures::task::{ArcWake, waker};

use crate::{
    actors::{
        AuthHandles, ClientConnection, Door, MoveRequest, MovedConnection, RegistryHandles,
        RetainedMessages, SessionStore, Shared, SubscriptionRegistry, Worker, clock,
    },
    auth::policy::Policy,
    config::{AnyListener, Config, Durability, Listener, ListenerKind, Mqtt},
    messages::{
        AskAgain, AskPermissions, AskSuperuser, CountClientFailure, GetQueueTotals, GiveUpSessions,
        KickClient, LogIn, StartScram, WorkerLoad,
    },
    routing::{ClientDirectory, RouteTable},
    stats::{Counters, Gauges, Metric, Totals},
    store::tests::fake_disk::FakeDisk,
    transport::{Detached, Memory},
};

/// Turns of the actors after which it is not believed that they ever come to rest.
const TURNS_MAX: usize = 100_000;
/// Time passes by whole ages, which are seconds.
pub const AGE: u32 = 1000;
const WORKERS: usize = 2;

/// An actor, and whether it has something to do.
struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    awake: Arc<Awake>,
}

struct Awake(AtomicBool);

impl ArcWake for Awake {
    fn wake_by_ref(arc_self: &Arc<Self>) {
        arc_self.0.store(true, Ordering::Relaxed);
    }
}

/// Actors that have begun since the last turn.
type Begun = Rc<RefCell<Vec<Pin<Box<dyn Future<Output = ()>>>>>>;

/// See the module's description.
pub struct World {
    pub counters: Arc<Counters>,
    pub gauges: Arc<Gauges>,
    workers: Vec<Rc<Worker>>,
    loads: Vec<Arc<WorkerLoad>>,
    arrivals: Vec<Recipient<MovedConnection>>,
    registry: Addr<SubscriptionRegistry>,
    store: Addr<SessionStore>,
    retained: Addr<RetainedMessages>,
    door: Arc<Door>,
    config: Config,
    disk: Option<FakeDisk>,
    /// Messages that waited for clients when the broker was started.
    pub restored: u64,
    tasks: Vec<Task>,
    begun: Begun,
    /// Tasks that last as long as the broker.
    lasting: usize,
    start: Instant,
    /// Seconds since then.
    clock: u32,
}

impl World {
    pub fn new(limits: Mqtt) -> Self {
        let config = Config {
            mqtt: limits,
            ..Config::default()
        };
        Self::of(config, None)
    }

    pub fn of(config: Config, durability: Option<Durability>) -> Self {
        match durability {
            None => Self::start(config, None, Instant::now(), 0),
            Some(durability) => Self::with_store(config, durability),
        }
    }

    /// The broker is started when so many seconds have passed since `start`.
    fn start(config: Config, disk: Option<FakeDisk>, start: Instant, seconds: u32) -> Self {
        clock::stand_at(Some(start + Duration::from_secs(seconds.into())));
        let policy = Policy::of(Arc::new(config.clone())).unwrap();
        let begun = Begun::default();
        let nobody = Context::<Nobody>::new();
        let registry = Context::<SubscriptionRegistry>::new();
        let retained = Context::<RetainedMessages>::new();
        let store = Context::<SessionStore>::new();
        let gauges = Arc::new(Gauges::default());
        let counters = Arc::new(Counters::default());
        let load = || Arc::new(WorkerLoad::new(config.system.max_worker_backlog));
        let running = Arc::new(ArcSwap::from_pointee(config.clone()));
        let mut writer = disk
            .as_ref()
            .map(|disk| Writer::open(disk.clone(), &running, &counters, &gauges, start));
        let shared = Shared {
            config: running,
            routes: writer
                .as_ref()
                .map_or_else(Arc::default, |writer| writer.handles.routes.clone()),
            gauges: gauges.clone(),
            policy: Arc::new(ArcSwap::from_pointee(policy)),
            auth: AuthHandles {
                log_in: nobody.address().recipient(),
                ask: nobody.address().recipient(),
                start_scram: nobody.address().recipient(),
                count_failure: nobody.address().recipient(),
                ask_again: nobody.address().recipient(),
                ask_superuser: nobody.address().recipient(),
            },
            registry: RegistryHandles {
                open: registry.address().recipient(),
                keep: registry.address().recipient(),
                end: registry.address().recipient(),
                subscribe: registry.address().recipient(),
                unsubscribe: registry.address().recipient(),
                store: store.address().recipient(),
                kept: store.address().recipient(),
                store_load: load(),
            },
            store_retained: retained.address().recipient(),
            retained_load: load(),
            retained_pages: retained.address().recipient(),
            store: writer.as_ref().map(|writer| writer.handles.clone()),
            marks: Arc::default(),
        };
        let mut loads = vec![
            shared.registry.store_load.clone(),
            shared.retained_load.clone(),
        ];
        let mut worker = || {
            let load = load();
            loads.push(load.clone());
            Worker::new(shared.clone(), counters.clone(), load)
        };
        let workers: Vec<_> = (0..WORKERS).map(|_| worker()).collect();
        let (registry_address, store_address) = (registry.address(), store.address());
        let own_load = shared.registry.store_load.clone();
        let own_worker = Worker::new(shared.clone(), counters.clone(), own_load);
        let found = writer.as_mut().map(|writer| writer.recovered(&shared));
        let none = || ClientDirectory::new(shared.routes.clone(), 0);
        let (directory, kept, retained_before, next) =
            found.unwrap_or_else(|| (none(), Vec::new(), Vec::new(), 0));
        let waited = kept.iter().map(|kept| {
            let outbound = kept.session.outbound();
            outbound.queue_len() + outbound.inflight()
        });
        let restored = waited.sum::<usize>() as u64;
        loads.extend(writer.as_ref().map(|writer| writer.handles.load.clone()));
        let (all, counted) = (shared.clone(), counters.clone());
        let next = NonZeroU64::new(next).unwrap_or(NonZeroU64::MIN);
        let registry_actor = SubscriptionRegistry::new(all, counted, directory, next);
        let retained_actor = RetainedMessages::new(shared, counters.clone(), retained_before);
        let mut world = Self {
            counters,
            gauges,
            loads,
            arrivals: Vec::new(),
            registry: registry_address,
            store: store_address,
            retained: retained.address(),
            door: Arc::new(door()),
            tasks: Vec::new(),
            begun,
            lasting: 0,
            start,
            clock: seconds,
            config,
            disk,
            restored,
            workers,
        };
        world.begin(nobody.into_future(Nobody));
        world.begin(registry.into_future(registry_actor));
        world.begin(retained.into_future(retained_actor));
        world.begin(store.into_future(SessionStore::new(own_worker, kept)));
        if let Some(writer) = writer {
            world.begin(writer.context.into_future(writer.actor));
        }
        for worker in world.workers.clone() {
            let context = Context::<Arrivals>::new();
            world.arrivals.push(context.address().recipient());
            let begun = world.begun.clone();
            world.begin(context.into_future(Arrivals { worker, begun }));
        }
        world.lasting = world.tasks.len();
        world.settle();
        world
    }

    fn begin(&mut self, future: impl Future<Output = ()> + 'static) {
        self.add(Box::pin(future));
    }

    fn add(&mut self, future: Pin<Box<dyn Future<Output = ()>>>) {
        let awake = Arc::new(Awake(AtomicBool::new(true)));
        self.tasks.push(Task { future, awake });
    }

    /// A client's socket is accepted for a worker; at most `room` bytes wait in it for the client.
    pub fn accept(&mut self, worker: usize, room: usize) -> Memory {
        let stream = Memory::new(room);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let (worker, door) = (self.workers[worker % WORKERS].clone(), self.door.clone());
        let detached = Detached::in_memory(stream.clone());
        let connection = ClientConnection::new(worker, door, detached, peer).unwrap();
        self.begin(Context::new().into_future(connection));
        stream
    }

    /// The next connection of a worker that does something is to move to the other.
    pub fn relieve(&mut self, worker: usize) {
        let from = worker % WORKERS;
        let request = MoveRequest {
            to: self.arrivals[(from + 1) % WORKERS].clone(),
            connections: 1,
        };
        *self.workers[from].moving.borrow_mut() = Some(request);
    }

    /// True when no connection of a worker has been asked to move that has not.
    pub fn is_relieved(&self, worker: usize) -> bool {
        self.workers[worker % WORKERS].moving.borrow().is_none()
    }

    /// Bytes that wait for a worker.
    pub fn backlog(&self, worker: usize) -> usize {
        self.workers[worker % WORKERS].load.pending()
    }

    /// An administrator ends a client's connection, and perhaps its session.
    pub fn kick(&mut self, client_id: &str, end_session: bool) {
        self.registry.do_send(KickClient {
            client_id: client_id.to_owned(),
            end_session,
        });
    }

    /// One of the actors that have something to do has its turn; false when none has.
    pub fn turn(&mut self, rng: &mut Rng) -> bool {
        let awake = |task: &Task| task.awake.0.load(Ordering::Relaxed);
        let able = self.tasks.iter().filter(|task| awake(task)).count();
        if able == 0 {
            return false;
        }
        let chosen = rng.usize(..able);
        let mut able = (0..self.tasks.len()).filter(|index| awake(&self.tasks[*index]));
        let index = able.nth(chosen).unwrap();
        self.poll(index);
        true
    }

    fn poll(&mut self, index: usize) {
        let task = &mut self.tasks[index];
        task.awake.0.store(false, Ordering::Relaxed);
        let waker = waker(task.awake.clone());
        let ended = task
            .future
            .as_mut()
            .poll(&mut TaskContext::from_waker(&waker));
        if let Poll::Ready(()) = ended {
            assert!(index >= self.lasting, "an actor of the broker has ended");
            let _ = self.tasks.remove(index);
        }
        let begun = std::mem::take(&mut *self.begun.borrow_mut());
        begun.into_iter().for_each(|future| self.add(future));
    }

    /// All actors do what they have to do.
    pub fn settle(&mut self) {
        let mut rng = Rng::with_seed(0);
        for _ in 0..TURNS_MAX {
            if !self.turn(&mut rng) {
                return;
            }
        }
        panic!("the actors never come to rest");
    }

    /// Seconds since the world began.
    pub fn clock(&self) -> u32 {
        self.clock
    }

    /// Time passes; connections and those who keep things for a while learn of it in their turn.
    pub fn pass(&mut self, seconds: u32) {
        self.clock += seconds;
        let now = self.start + Duration::from_secs(self.clock.into());
        clock::stand_at(Some(now));
        self.store.do_send(TimeIs(now));
        self.retained.do_send(TimeIs(now));
        for worker in &self.workers {
            worker.timers.borrow_mut().fire(now);
        }
    }

    pub fn count(&self, metric: Metric) -> u64 {
        let mut totals = Totals::default();
        self.counters.add_to(&mut totals);
        totals.get(metric)
    }

    pub fn sum(&self, metrics: &[Metric]) -> u64 {
        let mut totals = Totals::default();
        self.counters.add_to(&mut totals);
        metrics.iter().map(|metric| totals.get(*metric)).sum()
    }

    /// Messages that wait for clients or are not acknowledged, when all is at rest.
    pub fn waiting(&mut self) -> u64 {
        let page = ask(self, |world| {
            world.registry.send(GetQueueTotals { after: None })
        });
        let totals = page.rows.iter();
        totals.map(|row| row.messages + row.inflight).sum()
    }

    /// Nothing is left of clients that are gone.
    pub fn check_nothing_left(&mut self) {
        self.settle();
        assert_eq!(self.tasks.len(), self.lasting, "connections");
        let gauges = &self.gauges;
        for (what, gauge) in [
            ("sockets", &gauges.sockets),
            ("closing", &gauges.closing),
            ("connections", &gauges.connections),
            ("sessions", &gauges.sessions),
            ("subscriptions", &gauges.subscriptions),
            ("topics", &gauges.topics),
            ("stored messages", &gauges.stored_messages),
        ] {
            assert_eq!(gauge.get(), 0, "{what}");
        }
        let kept = ask(self, |world| world.store.send(GiveUpSessions));
        assert!(kept.is_empty(), "kept without a client: {kept:?}");
        for load in &self.loads {
            assert_eq!(load.pending(), 0, "bytes that wait for a worker");
        }
    }
}

/// Asks an actor, and lets all of them have their turns until it has answered.
fn ask<A, M>(world: &mut World, send: impl FnOnce(&World) -> Request<A, M>) -> M::Result
where
    A: Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: actix::Message + Send + 'static,
    M::Result: Send,
{
    let mut answer = Box::pin(send(world));
    world.settle();
    let waker = futures::task::noop_waker();
    match answer.as_mut().poll(&mut TaskContext::from_waker(&waker)) {
        Poll::Ready(Ok(answer)) => answer,
        Poll::Ready(Err(error)) => panic!("an actor does not answer: {error}"),
        Poll::Pending => panic!("an actor does not answer"),
    }
}

fn door() -> Door {
    let listener = Listener::default();
    let any = AnyListener {
        kind: ListenerKind::Tcp,
        name: "default",
        common: &listener,
        tls: None,
        websocket: None,
    };
    Door::new(any, None)
}
