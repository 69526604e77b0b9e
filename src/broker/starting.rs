//! Starting the actors, each where it belongs.

use std::{io, net::TcpListener, num::NonZeroU64, rc::Rc, sync::Arc};

use actix::{Actor, Addr, ArbiterHandle, AsyncContext, Context, Handler};
use arc_swap::ArcSwap;
use tokio::runtime::Handle;

use super::threads::{Threads, on};
use crate::{
    actors::{
        AuthHandles, AuthStarter, Authenticator, Carried, ConnectionHost, Door, Recovered,
        RegistryHandles, RetainedMessages, SessionStore, Shared, StoreHandles, StoreWriter,
        SubscriptionRegistry, Worker, restore,
    },
    auth::policy::Policy,
    bridge::Marks,
    config::Config,
    listeners::{Acceptor, Balance, WorkerHandle},
    messages::{
        AskAgain, AskPermissions, AskSuperuser, CountClientFailure, LogIn, StartScram, WorkerLoad,
    },
    routing::RouteTable,
    stats::{Counters, Gauges},
    store::{Store, WallClock},
};

/// Starts the actor that knows who may come in, on a thread of its own; where nobody is asked, only when that changes.
pub(super) async fn start_auth(
    threads: &Rc<Threads>,
    policy: &Policy,
    counters: Arc<Counters>,
) -> io::Result<AuthHandles> {
    if policy.is_open() && !policy.asks() {
        let starter = AuthStarter::new(threads.starter(), counters);
        return Ok(auth_handles(&starter.start()));
    }
    on(&threads.start()?, move || {
        auth_handles(&Authenticator::new(counters).start())
    })
    .await
}

fn auth_handles<A>(actor: &Addr<A>) -> AuthHandles
where
    A: Actor<Context = Context<A>>
        + Handler<LogIn>
        + Handler<AskPermissions>
        + Handler<StartScram>
        + Handler<AskAgain>
        + Handler<AskSuperuser>
        + Handler<CountClientFailure>,
{
    AuthHandles {
        log_in: actor.clone().recipient(),
        ask: actor.clone().recipient(),
        start_scram: actor.clone().recipient(),
        ask_again: actor.clone().recipient(),
        ask_superuser: actor.clone().recipient(),
        count_failure: actor.clone().recipient(),
    }
}

/// Starts the actors that know all clients and what is kept for them.
///
/// They run on the thread of the first worker, which serves most clients: a CONNECT or SUBSCRIBE wakes no other thread
/// then, which would cost several times what it is asked for. In return each of their messages is short: lists are
/// given in pages.
pub(super) async fn start_knowing(
    arbiter: &ArbiterHandle,
    config: &Arc<ArcSwap<Config>>,
    (policy, auth): (Arc<ArcSwap<Policy>>, AuthHandles),
    counters: &Arc<Counters>,
    gauges: Arc<Gauges>,
    durable: Option<StoreHandles>,
    (recovered, carried): (Recovered, Option<Carried>),
) -> io::Result<(
    Shared,
    Addr<SubscriptionRegistry>,
    Addr<SessionStore>,
    Addr<RetainedMessages>,
)> {
    let backlog = config.load().system.max_worker_backlog;
    let (config, counters) = (config.clone(), counters.clone());
    on(arbiter, move || {
        // Each needs the addresses of the others, so the contexts are made before the actors.
        let registry = Context::<SubscriptionRegistry>::new();
        let retained = Context::<RetainedMessages>::new();
        let store = Context::<SessionStore>::new();
        let shared = Shared {
            config,
            // The writer of the store reads them too.
            routes: durable
                .as_ref()
                .map_or_else(Arc::default, |store| store.routes.clone()),
            gauges,
            policy,
            auth,
            registry: RegistryHandles {
                open: registry.address().recipient(),
                keep: registry.address().recipient(),
                end: registry.address().recipient(),
                subscribe: registry.address().recipient(),
                unsubscribe: registry.address().recipient(),
                store: store.address().recipient(),
                kept: store.address().recipient(),
                store_load: Arc::new(WorkerLoad::new(backlog)),
            },
            store_retained: retained.address().recipient(),
            retained_load: Arc::new(WorkerLoad::new(backlog)),
            retained_pages: retained.address().recipient(),
            store: durable,
            marks: Arc::new(Marks::default()),
        };
        let load = shared.registry.store_load.clone();
        let worker = Worker::new(shared.clone(), counters.clone(), load);
        let (messages, next_session) = (recovered.retained, recovered.next_session);
        let last = carried.as_ref().map_or(0, Carried::last_generation);
        let last = last.max(recovered.last_generation);
        let (mut directory, mut sessions) = restore(recovered.sessions, last, &shared);
        let retained = retained.run(RetainedMessages::new(
            shared.clone(),
            counters.clone(),
            messages,
        ));
        if let Some(mut carried) = carried {
            carried.retain(&shared);
            carried.enter(&shared, &mut directory, &mut sessions);
        }
        let sessions = store.run(SessionStore::new(worker, sessions));
        let registry = registry.run(SubscriptionRegistry::new(
            shared.clone(),
            counters,
            directory,
            NonZeroU64::new(next_session).unwrap_or(NonZeroU64::MIN),
        ));
        (shared, registry, sessions, retained)
    })
    .await
}

/// Starts the writer of the durable store.
pub(super) async fn start_store(
    arbiter: &ArbiterHandle,
    store: Store,
    config: &Arc<ArcSwap<Config>>,
    gauges: &Arc<Gauges>,
    counters: &Arc<Counters>,
    clock: WallClock,
) -> io::Result<(StoreHandles, Addr<StoreWriter>)> {
    let load = Arc::new(WorkerLoad::new(config.load().system.max_worker_backlog));
    let (config, gauges, counters) = (config.clone(), gauges.clone(), counters.clone());
    on(arbiter, move || {
        let routes = Arc::<RouteTable<_>>::default();
        let (of_writer, writer_load) = (routes.clone(), load.clone());
        let writer = StoreWriter::new(
            store,
            config,
            counters,
            gauges,
            writer_load,
            of_writer,
            clock,
        );
        let writer = writer.start();
        let handles = StoreHandles {
            moves: writer.clone().recipient(),
            routes,
            persist: writer.clone().recipient(),
            record: writer.clone().recipient(),
            bodies: writer.clone().recipient(),
            load,
            clock,
        };
        (handles, writer)
    })
    .await
}

pub(super) async fn start_worker(
    arbiter: &ArbiterHandle,
    shared: Shared,
    counters: Arc<Counters>,
    backlog: usize,
) -> io::Result<WorkerHandle> {
    on(arbiter, move || {
        let load = Arc::new(WorkerLoad::new(backlog));
        let host = ConnectionHost::new(Worker::new(shared, counters, load)).start();
        WorkerHandle {
            accepted: host.clone().recipient(),
            moved: host.clone().recipient(),
            count_busy: host.clone().recipient(),
            relieve: host.clone().recipient(),
            idle: host.recipient(),
            metrics: Handle::current().metrics(),
        }
    })
    .await
}

/// Starts the acceptors on the thread of the first worker, which gets most connections: handing one over wakes no other
/// thread then.
pub(super) async fn start_acceptors(
    arbiter: &ArbiterHandle,
    sockets: Vec<(TcpListener, Arc<Door>)>,
    workers: Vec<WorkerHandle>,
    counters: Arc<Counters>,
) -> io::Result<Vec<Addr<Acceptor>>> {
    on(arbiter, move || {
        let balance = Rc::new(Balance::new(workers));
        sockets
            .into_iter()
            .map(|(socket, door)| {
                let acceptor = Acceptor::new(socket, door, balance.clone(), counters.clone())?;
                Ok(acceptor.start())
            })
            .collect()
    })
    .await?
}
