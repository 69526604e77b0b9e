//! The composition root: starts the actors, listeners and the HTTP API in order, and stops them in reverse.

mod identities;
mod sockets;
mod starting;
mod threads;

use std::{
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use actix::{Actor, Addr};
use arc_swap::ArcSwap;
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{sleep, timeout},
};

pub use self::identities::check_identities;
use self::{
    identities::{http_identity, http_tls, listener_identity},
    sockets::{cannot_listen, open_http},
    starting::{start_acceptors, start_auth, start_knowing, start_store, start_worker},
    threads::Threads,
};
use crate::{
    actors::{
        ApiUsers, BridgeCounterList, BridgeStarter, Carried, ConfigManager, ConfigSource, Door,
        Life, PolicyKeeper, Publisher, Recovered, RetainedMessages, SessionStore, Shared,
        StatsCollector, StoreWriter, SubscriptionRegistry, Worker, open_store,
    },
    api::{Access, ApiState, Hashing, HttpServer},
    config::{Config, Problem},
    listeners::{self, Acceptor, Balancer, WorkerHandle},
    messages::{
        ApplyBridges, CloseBridges, CloseClients, CloseStore, GetQueueTotals, StopAccepting,
        Wanted, WorkerLoad,
    },
    session::CloseReason,
    stats::{Counters, Gauges},
};

/// How long clients get to read their farewell when the broker stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

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
    _threads: Rc<Threads>,
    registry: Addr<SubscriptionRegistry>,
    sessions: Addr<SessionStore>,
    retained: Addr<RetainedMessages>,
    config: Addr<ConfigManager>,
    bridges: Addr<BridgeStarter>,
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
        let threads = Rc::new(Threads::default());
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
        let auth = start_auth(&threads, &policy.load(), auth_counters.clone()).await?;
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
        let bridges = BridgeStarter::new(
            threads.starter(),
            shared.clone(),
            registry.clone().recipient(),
            source.path.clone(),
            bridge_counters,
        )
        .start();
        // Before clients come, so that what they publish finds the sessions of the bridges.
        let first_bridges = config.load().bridges.clone();
        let manager = ConfigManager::new(source, config, keeper, identities)
            .telling(bridges.clone().recipient())
            .start();
        let begun = bridges.send(ApplyBridges(first_bridges)).await;
        begun.map_err(io::Error::other)??;

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
