//! The composition root: starts the actors, listeners and the HTTP API in order, and stops them in reverse.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    num::NonZeroU64,
    path::PathBuf,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use actix::{Actor, Addr, Arbiter, ArbiterHandle, AsyncContext, Context, Recipient};
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::{
    runtime::Handle,
    sync::{
        mpsc::{UnboundedReceiver, unbounded_channel},
        oneshot,
    },
    time::{sleep, timeout},
};

use crate::{
    actors::{
        ApiUsers, AuthHandles, Authenticator, BridgeCounterList, BridgeKeeper, Carried,
        ConfigManager, ConfigSource, ConnectionHost, Door, Life, PolicyKeeper, Publisher,
        Recovered, RegistryHandles, RetainedMessages, SessionStore, Shared, StatsCollector,
        StoreHandles, StoreWriter, SubscriptionRegistry, Worker, open_store, restore,
    },
    api::{Access, ApiState, Hashing, HttpServer},
    auth::policy::Policy,
    bridge::Marks,
    config::{AnyListener, BindAddr, Config, Problem},
    listeners::{self, Acceptor, Balance, Balancer, WorkerHandle},
    messages::{
        ApplyBridges, CloseBridges, CloseClients, CloseStore, GetQueueTotals, GetSubscriptions,
        StopAccepting, Wanted, WorkerLoad,
    },
    routing::RouteTable,
    session::CloseReason,
    stats::{Counters, Gauges},
    store::{Store, WallClock},
    transport::{IdentitySource, NewestCertificate, ServerIdentity},
};

/// How long clients get to read their farewell when the broker stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections to the HTTP API that may wait in the kernel to be accepted.
const HTTP_BACKLOG: u32 = 128;

/// A broker that runs. It belongs to the actix system of the thread that started it.
pub struct Broker {
    mqtt: Vec<(String, SocketAddr)>,
    http: Option<HttpServer>,
    /// Set when the broker begins to stop, for who asks for its health.
    stopping: Arc<AtomicBool>,
    shared: Shared,
    workers: Vec<WorkerHandle>,
    acceptors: Vec<Addr<Acceptor>>,
    balancer: Option<Addr<Balancer>>,
    /// Ends the threads when it is dropped.
    _threads: Threads,
    registry: Addr<SubscriptionRegistry>,
    sessions: Addr<SessionStore>,
    retained: Addr<RetainedMessages>,
    config: Addr<ConfigManager>,
    bridges: Addr<BridgeKeeper>,
    stats: Addr<StatsCollector>,
    wanted: UnboundedReceiver<Wanted>,
    store: Option<Addr<StoreWriter>>,
}

impl Broker {
    /// Starts a broker. Nothing accepts before everything it needs runs.
    ///
    /// # Errors
    /// When a listener cannot be opened, a file of the HTTP API not be used, or a thread not be started; nothing runs
    /// then.
    pub async fn start(config: Config, source: ConfigSource) -> io::Result<Self> {
        Self::start_again(config, source, &mut None).await
    }

    /// Starts a broker that goes on with what another life has left, see [`Broker::stop_to_restart`]. That is taken only
    /// when everything that may fail because of the configuration has been done.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub async fn start_again(
        config: Config,
        source: ConfigSource,
        carried: &mut Option<Carried>,
    ) -> io::Result<Self> {
        let mut sockets = Vec::new();
        let mut known = Vec::new();
        let mut identities = Vec::new();
        for listener in config.listeners.all() {
            let identity = listener_identity(&listener)?;
            identities.extend(identity.clone());
            let door = Arc::new(Door::new(listener, identity));
            let opened = match door.config.enable {
                true => listeners::open(&door)
                    .map_err(|error| cannot_listen(&door.config.bind, &error))?,
                false => Vec::new(),
            };
            known.push(listeners::describe(&door, &opened)?);
            sockets.extend(opened);
        }
        let http_sockets = open_http(&config)?;
        let http_identity = http_identity(&config)?;
        identities.extend(http_identity.clone());
        let identities: Arc<[_]> = identities.into();
        let http_config = config.http_server.clone();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = config.system.workers(cores);
        let backlog = config.system.max_worker_backlog;
        let config = Arc::new(config);
        let users = match http_config.enable {
            true => Some(ApiUsers::open(config.clone(), source.path.as_deref())?),
            false => None,
        };
        let policy = PolicyKeeper::first(config.clone(), source.path.as_deref());
        let policy = policy.map_err(|problems| in_lines(&problems))?;
        let policy = Arc::new(ArcSwap::from_pointee(policy));
        let config = Arc::new(ArcSwap::new(config));

        let gauges = Arc::new(Gauges::default());
        let opened = open_store(&config.load(), source.path.as_deref())?;
        let mut threads = Threads(Vec::new());
        let mut counters = Vec::new();
        let mut store = None;
        let mut recovered = Recovered::default();
        if let Some(opened) = opened {
            let own = Arc::new(Counters::default());
            let arbiter = threads.start()?;
            store = Some(
                start_store(&arbiter, opened.store, &config, &gauges, &own, opened.clock).await?,
            );
            recovered = opened.recovered;
            counters.push(own);
        }
        let first = threads.start()?;
        let knowing_counters = Arc::new(Counters::default());
        let auth_counters = Arc::new(Counters::default());
        let auth = start_auth(&threads.start()?, auth_counters.clone()).await?;
        let access = (policy.clone(), auth);
        let durable = store.as_ref().map(|(handles, _)| handles.clone());
        let (shared, registry, sessions, retained) = start_knowing(
            &first,
            &config,
            access,
            &knowing_counters,
            gauges,
            durable,
            (recovered, carried.take()),
        )
        .await?;

        let mut handles = Vec::new();
        counters.extend([knowing_counters, auth_counters]);
        for number in 0..workers {
            let arbiter = match number {
                0 => first.clone(),
                _ => threads.start()?,
            };
            let own = Arc::new(Counters::default());
            handles.push(start_worker(&arbiter, shared.clone(), own.clone(), backlog).await?);
            counters.push(own);
        }

        let own = Arc::new(Counters::default());
        counters.push(own.clone());
        let load = Arc::new(WorkerLoad::new(backlog));
        let worker = Worker::new(shared.clone(), own.clone(), load);
        let publisher = Publisher::new(worker.clone()).start();
        let bridge_counters = BridgeCounterList::default();
        let all_counters = (counters, bridge_counters.clone());
        let stats = StatsCollector::new(all_counters, known, identities.clone(), worker).start();
        let (owner, wanted) = unbounded_channel();
        let life = Life::new(source.clone(), owner).start();
        let users = users.map(ApiUsers::start);
        let recheck = registry.clone().recipient();
        let keeper = PolicyKeeper::new(policy, source.path.clone(), recheck);
        let bridges = start_bridges(
            &threads.start()?,
            shared.clone(),
            registry.clone().recipient(),
            source.path.clone(),
            bridge_counters,
        )
        .await?;
        // Before clients come, so that what they publish finds the sessions of the bridges.
        let first_bridges = config.load().bridges.clone();
        let manager = ConfigManager::new(source, config, keeper, identities)
            .telling(bridges.clone().recipient())
            .start();
        let begun = bridges.send(ApplyBridges(first_bridges)).await;
        begun.map_err(|_| io::Error::other("the bridges could not be started"))?;

        let worker_handles = handles.clone();
        let balancer = (handles.len() > 1).then(|| Balancer::new(handles.clone()).start());
        let mut mqtt = Vec::new();
        for (socket, door) in &sockets {
            let address = socket.local_addr()?;
            let kind = door.kind.as_str();
            log::info!("listening mqtt {kind} {} {address}", door.name);
            mqtt.push((door.id.to_string(), address));
        }
        let acceptors = start_acceptors(&first, sockets, handles, own).await?;
        let stopping = Arc::new(AtomicBool::new(false));
        let http = match users {
            None => None,
            Some(users) => {
                let state = ApiState {
                    auth_type: http_config.auth_type,
                    config: manager.clone().recipient(),
                    stats: stats.clone().recipient(),
                    clients: registry.clone().recipient(),
                    idle: worker_handles
                        .iter()
                        .map(|worker| worker.idle.clone())
                        .collect(),
                    client: registry.clone().recipient(),
                    subscriptions: registry.clone().recipient(),
                    subscriptions_of: registry.clone().recipient(),
                    publish: publisher.recipient(),
                    subscribe: registry.clone().recipient(),
                    unsubscribe: registry.clone().recipient(),
                    topic_tree: registry.clone().recipient(),
                    slow_clients: registry.clone().recipient(),
                    queues: registry.clone().recipient(),
                    kick: registry.clone().recipient(),
                    process: stats.clone().recipient(),
                    listeners: stats.clone().recipient(),
                    retained: shared.retained_pages.clone(),
                    remove_retained: retained.clone().recipient(),
                    stopping: stopping.clone(),
                    reload: manager.clone().recipient(),
                    change: manager.clone().recipient(),
                    replace: manager.clone().recipient(),
                    pending: manager.clone().recipient(),
                    bridges: bridges.clone().recipient(),
                    bridge: bridges.clone().recipient(),
                    put_bridge: manager.clone().recipient(),
                    delete_bridge: manager.clone().recipient(),
                    switch_bridge: manager.clone().recipient(),
                    subscribe_bridge: manager.clone().recipient(),
                    unsubscribe_bridge: manager.clone().recipient(),
                    certificates: manager.clone().recipient(),
                    policy: manager.clone().recipient(),
                    change_client_users: manager.clone().recipient(),
                    life: life.recipient(),
                    access: access_by(&users),
                };
                Some(HttpServer::start(
                    http_sockets,
                    state,
                    &http_config,
                    http_identity.map(http_tls),
                )?)
            }
        };
        Ok(Self {
            mqtt,
            http,
            stopping,
            shared,
            workers: worker_handles,
            acceptors,
            balancer,
            _threads: threads,
            registry,
            sessions,
            retained,
            config: manager,
            bridges,
            stats,
            wanted,
            store: store.map(|(_, writer)| writer),
        })
    }

    /// Where the MQTT listeners listen, by name; those of other kinds than TCP as `ssl:NAME`.
    pub fn mqtt(&self) -> &[(String, SocketAddr)] {
        &self.mqtt
    }

    /// Where the HTTP API listens, unless it is switched off.
    pub fn http(&self) -> Option<SocketAddr> {
        self.http.as_ref()?.addresses().first().copied()
    }

    /// The workers.
    pub fn workers(&self) -> &[WorkerHandle] {
        &self.workers
    }

    /// The registry.
    pub fn registry(&self) -> &Addr<SubscriptionRegistry> {
        &self.registry
    }

    /// The config manager.
    pub fn config(&self) -> &Addr<ConfigManager> {
        &self.config
    }

    /// The stats collector.
    pub fn stats(&self) -> &Addr<StatsCollector> {
        &self.stats
    }

    /// What the broker asks its owner to do with it. While nobody looks, nothing happens.
    pub async fn wanted(&mut self) -> Wanted {
        match self.wanted.recv().await {
            Some(wanted) => wanted,
            // The actor that would send it ends with the broker, and never without the HTTP API.
            None => std::future::pending().await,
        }
    }

    /// Stops accepting, tells every client `[MQTT-4.13.2-1]`, and ends the threads. The HTTP API answers until the
    /// clients have left.
    pub async fn stop(self) {
        self.end(false).await;
    }

    /// As [`Broker::stop`]; brings what the next life in this process goes on with: sessions and retained messages, where
    /// no durable store has them.
    pub async fn stop_to_restart(self) -> Option<Carried> {
        self.end(true).await
    }

    async fn end(self, carry: bool) -> Option<Carried> {
        self.stopping.store(true, Ordering::Release);
        for acceptor in &self.acceptors {
            acceptor.do_send(StopAccepting);
        }
        if let Some(balancer) = &self.balancer {
            balancer.do_send(StopAccepting);
        }
        // The registry knows the clients; when it has answered, all of them are told.
        let told = self.registry.send(CloseClients(CloseReason::ShuttingDown));
        let deadline = Instant::now() + STOP_TIMEOUT;
        if told.await.is_ok() {
            let gauges = &self.shared.gauges;
            while gauges.connections.get() + gauges.closing.get() > 0 && Instant::now() < deadline {
                sleep(Duration::from_millis(10)).await;
            }
        }
        if let Some(http) = self.http {
            http.stop().await;
        }
        // What the clients published last has reached the bridges.
        let left = timeout(STOP_TIMEOUT, self.bridges.send(CloseBridges)).await;
        if !matches!(left, Ok(Ok(()))) {
            log::error!("the bridges have not left in order");
        }
        if let Some(store) = &self.store {
            // What the actors of the control thread were told by the clients that have left goes to the store first:
            // each has handled it when it answers.
            let settled = [
                self.registry
                    .send(GetQueueTotals { after: None })
                    .await
                    .is_ok(),
                self.shared.kept_are_noted().await,
            ];
            if settled.contains(&false) || store.send(CloseStore).await.is_err() {
                log::error!("store: it was not closed in order");
            }
        }
        if !carry {
            return None;
        }
        let has_store = self.store.is_some();
        let carried =
            Carried::take(&self.registry, &self.sessions, &self.retained, has_store).await;
        carried
            .inspect_err(|error| log::error!("sessions are lost: {error}"))
            .ok()
    }
}

/// Problems as one error.
fn in_lines(problems: &[Problem]) -> io::Error {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    io::Error::new(io::ErrorKind::InvalidData, lines.join("; "))
}

/// Says what an error of a listener is about.
fn cannot_listen(bind: &BindAddr, error: &io::Error) -> io::Error {
    // The error begins with the address, which is another than `bind` only if that is a name.
    let (bind, text) = (bind.to_string(), error.to_string());
    let rest = text
        .strip_prefix(&bind)
        .and_then(|rest| rest.strip_prefix(": "));
    let why = rest.unwrap_or(&text);
    io::Error::new(error.kind(), format!("cannot listen on {bind}: {why}"))
}

/// What the HTTP API asks about its users.
fn access_by(users: &Addr<ApiUsers>) -> Access {
    Access {
        begin: users.clone().recipient(),
        finish: users.clone().recipient(),
        count_failed: users.clone().recipient(),
        token_key: users.clone().recipient(),
        users: users.clone().recipient(),
        change: users.clone().recipient(),
        hashing: Hashing::default(),
    }
}

/// Opens the sockets of the HTTP API: one for each address that its host name stands for, none if it is off.
fn open_http(config: &Config) -> io::Result<Vec<TcpListener>> {
    let http = &config.http_server;
    if !http.enable {
        return Ok(Vec::new());
    }
    let bind = http
        .bind()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let open = |addresses: Vec<SocketAddr>| {
        addresses
            .into_iter()
            .map(|address| listeners::listen(address, HTTP_BACKLOG))
            .collect()
    };
    bind.resolve()
        .and_then(open)
        .map_err(|error| cannot_listen(&bind, &error))
}

/// What a listener is known by in TLS, if it is switched on and speaks that.
fn listener_identity(listener: &AnyListener<'_>) -> io::Result<Option<Arc<ServerIdentity>>> {
    match listener.tls {
        Some(tls) if listener.common.enable => {
            let name = format!("listeners.{}.{}", listener.kind.as_str(), listener.name);
            identity(name, IdentitySource::Listener(tls.clone())).map(Some)
        }
        _ => Ok(None),
    }
}

/// What the HTTP API is known by in TLS, if it speaks that.
fn http_identity(config: &Config) -> io::Result<Option<Arc<ServerIdentity>>> {
    let tls = &config.http_server.tls;
    if !config.http_server.enable || !tls.enable {
        return Ok(None);
    }
    identity(
        "http_server.tls".to_owned(),
        IdentitySource::Http(tls.clone()),
    )
    .map(Some)
}

fn identity(name: String, source: IdentitySource) -> io::Result<Arc<ServerIdentity>> {
    let identity = ServerIdentity::open(name.clone(), source).map_err(|error| {
        let why = format!("{name}: {error}");
        io::Error::new(io::ErrorKind::InvalidInput, why)
    })?;
    Ok(Arc::new(identity))
}

/// How the HTTP API speaks TLS, with the certificate that is the newest at the time of each handshake.
fn http_tls(identity: Arc<ServerIdentity>) -> ServerConfig {
    let mut config = ServerConfig::clone(&identity.config());
    config.cert_resolver = Arc::new(NewestCertificate(identity));
    config
}

/// The threads of a broker; they end when this is dropped.
struct Threads(Vec<Arbiter>);

impl Threads {
    fn start(&mut self) -> io::Result<ArbiterHandle> {
        let arbiter = Arbiter::try_new()?;
        let handle = arbiter.handle();
        self.0.push(arbiter);
        Ok(handle)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for arbiter in &self.0 {
            arbiter.stop();
        }
    }
}

/// Starts the actor that knows who may come in, on a thread of its own.
async fn start_auth(arbiter: &ArbiterHandle, counters: Arc<Counters>) -> io::Result<AuthHandles> {
    on(arbiter, move || {
        let authenticator = Authenticator::new(counters).start();
        AuthHandles {
            log_in: authenticator.clone().recipient(),
            ask: authenticator.clone().recipient(),
            start_scram: authenticator.clone().recipient(),
            ask_again: authenticator.clone().recipient(),
            ask_superuser: authenticator.clone().recipient(),
            count_failure: authenticator.recipient(),
        }
    })
    .await
}

/// Starts the actors that know all clients and what is kept for them.
///
/// They run on the thread of the first worker, which serves most clients: a CONNECT or SUBSCRIBE wakes no other thread
/// then, which would cost several times what it is asked for. In return each of their messages is short: lists are
/// given in pages.
async fn start_knowing(
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
            routes: Arc::new(RouteTable::default()),
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
async fn start_store(
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
        let writer = StoreWriter::new(store, config, counters, gauges, load.clone(), clock).start();
        let handles = StoreHandles {
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

async fn start_worker(
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

/// Starts the keeper of the bridges on a thread of its own, so that a slow remote delays nobody else.
async fn start_bridges(
    arbiter: &ArbiterHandle,
    shared: Shared,
    subscriptions: Recipient<GetSubscriptions>,
    config_file: Option<PathBuf>,
    counters: BridgeCounterList,
) -> io::Result<Addr<BridgeKeeper>> {
    on(arbiter, move || {
        let backlog = shared.config.load().system.max_worker_backlog;
        let own = counters.new_counters();
        let load = Arc::new(WorkerLoad::new(backlog));
        let worker = Worker::new(shared, own, load);
        BridgeKeeper::new(worker, subscriptions, config_file, counters).start()
    })
    .await
}

/// Starts the acceptors on the thread of the first worker, which gets most connections: handing one over wakes no other
/// thread then.
async fn start_acceptors(
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

/// Runs `f` on an arbiter's thread and brings back what it returns.
async fn on<T: Send + 'static>(
    arbiter: &ArbiterHandle,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (reply, answer) = oneshot::channel();
    arbiter.spawn_fn(move || {
        // Nobody waits for it only if the broker's start was given up.
        let _ = reply.send(f());
    });
    answer
        .await
        .map_err(|_| io::Error::other("a thread of the broker could not be started"))
}
