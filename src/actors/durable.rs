//! What goes into the durable store and comes out of it: the broker's own types and those of the records.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use actix::{Recipient, clock::sleep};

use super::{Shared, clock, store_writer::limits as store_limits};
use crate::{
    auth::acl::Subject,
    config::Config,
    messages::{
        Inbox, KeptSession, MoveShared, Owner, Persist, ReadBodies, WorkerLoad, WriteRecord,
    },
    mqtt::{self, Message, MessageRef, ProtocolVersion},
    routing::{ClientDirectory, ClientInfo, RouteTable, StoredSubscription},
    session::{BRIDGE_SESSIONS, Bodies, Outbound, Place, Restored, Session, Will},
    store::{
        Body, Folder, Kept, LiveWill, MessageNumber, OwnedBody, Record, RecoveredSession,
        SessionInfo, Store, StoredBody, StoredWill, Subscription, WallClock,
    },
};

/// The folder of the store unless `store.path` names one.
const STORE_FOLDER: &str = "nanomq_store";
/// When bodies are asked for again that could not be read.
const READ_AGAIN: Duration = Duration::from_millis(500);

/// How the writer of the store is reached.
#[derive(Clone)]
pub struct StoreHandles {
    /// Stores messages for durable sessions.
    pub persist: Recipient<Persist>,
    /// Stores changes of state.
    pub record: Recipient<WriteRecord>,
    /// Reads bodies.
    pub bodies: Recipient<ReadBodies>,
    /// Moves shared messages to other members.
    pub moves: Recipient<MoveShared>,
    /// Who there is to move them to.
    pub routes: Arc<RouteTable<Inbox>>,
    /// Bytes of messages on their way to the disk, for which publishers pause.
    pub load: Arc<WorkerLoad>,
    /// What the time was when the broker started.
    pub clock: WallClock,
}

impl StoreHandles {
    /// Stores a change of state of a session, if it is a durable one, that nothing waits for.
    pub fn note(&self, inbox: &Inbox, record: impl FnOnce(u64) -> Option<Record<'static>>) {
        if let Some(record) = inbox.durable().and_then(|number| record(number.get())) {
            self.record.do_send(WriteRecord::new(&record));
        }
    }

    /// A session has ended, and what others are to have of it has been moved.
    pub fn note_ended(&self, inbox: &Inbox) {
        if let Some(number) = inbox.durable() {
            self.record.do_send(end_of(number));
        }
    }

    /// Reads bodies. When none come, because the disk cannot be read, that is said only after a while: who asks does so
    /// again at once.
    pub fn read(&self, missing: Vec<MessageNumber>) -> impl Future<Output = Bodies> + use<> {
        let ask = self.bodies.send(ReadBodies(missing));
        async move {
            let bodies = ask.await.unwrap_or_default();
            if bodies.is_empty() {
                sleep(READ_AGAIN).await;
            }
            bodies
        }
    }

    /// Stores what the outgoing messages of a session need no longer.
    pub fn note_settled(&self, inbox: &Inbox, outbound: &mut Outbound) {
        self.note(inbox, |session| {
            let settled = outbound.take_settled();
            (!settled.is_empty()).then_some(Record::Settled(session, settled))
        });
    }
}

/// The end of a session.
pub(super) fn end_of(number: NonZeroU64) -> WriteRecord {
    let mut told = WriteRecord::new(&Record::Ended(number.get()));
    told.ends = Some(number.get());
    told
}

/// A store that was opened, and what it holds.
pub struct OpenedStore {
    /// The store.
    pub store: Store,
    /// What it holds.
    pub recovered: Recovered,
    /// The time.
    pub clock: WallClock,
}

/// Opens the durable store that the configuration names, if it is on, and says in the log what could not be read.
///
/// # Errors
/// When it cannot be used; the text names its folder.
pub fn open_store(config: &Config, config_file: Option<&Path>) -> io::Result<Option<OpenedStore>> {
    if !config.store.enable {
        return Ok(None);
    }
    let path = store_path(config, config_file);
    let named = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("cannot use the store {}: {error}", path.display()),
        )
    };
    let clock = wall_clock();
    let began = Instant::now();
    let folder = Folder::lock(&path).map_err(named)?;
    let (store, report) = Store::open(Box::new(folder), store_limits(config)).map_err(named)?;
    let mut retained = Vec::new();
    let unreadable = store
        .retained(|body| retained.push(message(body, &clock)))
        .map_err(named)?;
    for damage in &report.damages {
        log::error!("store: {damage}");
    }
    if !report.damages.is_empty() && report.nameless_sessions > 0 {
        log::error!(
            "store: {} sessions with {} messages are lost with it, because what says whose they are cannot be read",
            report.nameless_sessions,
            report.nameless_messages
        );
    }
    if unreadable > 0 {
        log::error!("store: {unreadable} retained messages cannot be read");
    }
    let recovered = Recovered {
        sessions: store.sessions(),
        retained,
        next_session: store.next_session(),
        last_generation: store.last_generation(),
    };
    log::info!(
        "store {} opened in {} ms: {} sessions, {} messages waiting, {} retained; durability {:?}",
        path.display(),
        began.elapsed().as_millis(),
        recovered.sessions.len(),
        store.queued(),
        recovered.retained.len(),
        config.store.durability
    );
    Ok(Some(OpenedStore {
        store,
        recovered,
        clock,
    }))
}

/// The folder of the store.
pub fn store_path(config: &Config, config_file: Option<&Path>) -> PathBuf {
    match config.store.path.as_os_str().is_empty() {
        false => config.store.path.clone(),
        true => config_file
            .and_then(Path::parent)
            .unwrap_or(Path::new(""))
            .join(STORE_FOLDER),
    }
}

/// Makes the clients and sessions of a store known again. Sessions that have ended with the connections that there were
/// are left out. The inboxes of those that were replaced belong to nobody.
pub fn restore(
    sessions: Vec<RecoveredSession>,
    last_generation: u64,
    shared: &Shared,
) -> (ClientDirectory<Inbox>, Vec<KeptSession>) {
    let mut directory = ClientDirectory::new(shared.routes.clone(), last_generation);
    let mut all = Vec::new();
    let Some(store) = &shared.store else {
        return (directory, all);
    };
    let now = clock::now();
    let window = usize::from(shared.config.load().mqtt.max_inflight_window);
    let numbers = sessions
        .iter()
        .map(|of| (of.info.client_id.clone(), of.number));
    // They are in the order of their numbers.
    let last: HashMap<_, _> = numbers.collect();
    for recovered in sessions {
        let handles = &shared.registry;
        let is_replaced = last.get(&recovered.info.client_id) != Some(&recovered.number);
        let owner = match is_replaced {
            true => Owner::Nobody,
            false => Owner::Store(handles.kept.clone(), handles.store_load.clone()),
        };
        let inbox = inbox_of(&recovered, owner);
        let (number, generation) = (recovered.number, recovered.info.generation);
        let info = client_info(&recovered);
        let subscriptions: Vec<_> = recovered
            .subscriptions
            .iter()
            .map(|(filter, subscription)| {
                (
                    Arc::from(filter.as_str()),
                    stored_subscription(subscription),
                )
            })
            .collect();
        let was_connected = recovered.kept.is_none();
        let subject = Subject {
            client_id: inbox.client_id().clone(),
            username: info.username.clone(),
            address: info.peer.ip,
            superuser: info.superuser,
        };
        let is_wanted = is_wanted(inbox.client_id(), &shared.config.load());
        let kept = kept_session(recovered, subject, &inbox, window, &store.clock, now);
        match kept.filter(|_| is_wanted) {
            None => {
                NonZeroU64::new(number)
                    .into_iter()
                    .for_each(|number| store.record.do_send(end_of(number)));
            }
            Some(kept) if is_replaced => all.push(kept),
            Some(kept) => {
                if was_connected {
                    store.note(&inbox, |session| {
                        Some(Record::Kept(session, self::kept(&kept, &store.clock, now)))
                    });
                }
                let client_id = inbox.client_id().clone();
                directory.restore(client_id, info, generation, inbox, subscriptions);
                all.push(kept);
            }
        }
    }
    (directory, all)
}

/// Whether a session is to be kept: that of a bridge is while the configuration has the bridge.
fn is_wanted(client_id: &str, config: &Config) -> bool {
    let bridge = client_id.strip_prefix(BRIDGE_SESSIONS);
    bridge.is_none_or(|name| config.bridges.mqtt.contains_key(name))
}

/// What a store holds when the broker starts.
#[derive(Default)]
pub struct Recovered {
    /// The sessions.
    pub sessions: Vec<RecoveredSession>,
    /// The retained messages.
    pub retained: Vec<Message>,
    /// The number of the next session.
    pub next_session: u64,
    /// The highest number of a connection.
    pub last_generation: u64,
}

/// The milliseconds since 1970 of a moment of the system's clock.
pub(super) fn unix_millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A clock for the life of a broker.
fn wall_clock() -> WallClock {
    WallClock::new(clock::now(), unix_millis(SystemTime::now()))
}

/// What the store keeps of a client.
pub(super) fn session_info(
    client_id: &Arc<str>,
    generation: u64,
    info: &ClientInfo,
    will: Option<&Will>,
) -> SessionInfo {
    SessionInfo {
        will: will.map(|will| {
            Box::new(LiveWill {
                delay: will.delay,
                // Its expiry counts from when it is published.
                body: Body::of(&will.message(clock::now()).view(), None).to_owned(),
            })
        }),
        client_id: client_id.clone(),
        generation,
        username: info.username.clone(),
        superuser: info.superuser,
        version: info.version.level(),
        clean_start: info.clean_start,
        keep_alive: info.keep_alive,
        expiry_interval: info.expiry_interval,
        peer: info.peer.to_string(),
        listener: info.listener.clone(),
        connected_at: info.connected_at,
    }
}

/// A client that was known before the broker started.
pub(super) fn client_info(recovered: &RecoveredSession) -> ClientInfo {
    let info = &recovered.info;
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let kept = recovered.kept.as_ref();
    ClientInfo {
        username: info.username.clone(),
        superuser: info.superuser,
        keep_alive: info.keep_alive,
        version: match info.version {
            3 => ProtocolVersion::V31,
            4 => ProtocolVersion::V311,
            _ => ProtocolVersion::V5,
        },
        clean_start: info.clean_start,
        expiry_interval: kept.map_or(info.expiry_interval, |kept| kept.expiry_interval),
        will_topic: None,
        peer: info.peer.parse().unwrap_or(nowhere).into(),
        listener: info.listener.clone(),
        connected_at: info.connected_at,
        connected: false,
    }
}

pub(super) fn subscription(stored: &StoredSubscription) -> Subscription {
    Subscription {
        options: stored.options,
        subscription_id: stored.subscription_id,
    }
}

pub(super) fn stored_subscription(subscription: &Subscription) -> StoredSubscription {
    StoredSubscription {
        options: subscription.options,
        subscription_id: subscription.subscription_id,
    }
}

/// The record of a session whose connection has ended.
pub(super) fn kept(kept: &KeptSession, clock: &WallClock, now: Instant) -> Kept {
    Kept {
        generation: kept.generation,
        expiry_interval: kept.session.expiry_interval,
        expires_at: kept.expires_at.map(|at| clock.millis(at)),
        will: kept.will.as_ref().map(|(due, will)| StoredWill {
            due_at: clock.millis(*due),
            // Its expiry counts from when it is published.
            body: Body::of(&will.message(now).view(), None).to_owned(),
        }),
        unsent: Some(kept.session.outbound().unsent()),
    }
}

/// A session out of the store, with its place for messages; none if it has ended with the connection that was there to
/// the end.
pub(super) fn kept_session(
    recovered: RecoveredSession,
    subject: Subject,
    inbox: &Arc<Inbox>,
    window: usize,
    clock: &WallClock,
    now: Instant,
) -> Option<KeptSession> {
    // A clock that was set back gives no session more time than it has.
    let longest = |interval: u32| match interval {
        u32::MAX => None,
        seconds => now.checked_add(Duration::from_secs(seconds.into())),
    };
    let unsent = recovered.kept.as_ref().and_then(|kept| kept.unsent);
    let (expiry_interval, expires_at, will) = match recovered.kept {
        Some(kept) => {
            let expires_at = kept.expires_at.and_then(|at| clock.instant(at));
            let longest = longest(kept.expiry_interval);
            let expires_at = expires_at.map(|at| longest.map_or(at, |longest| at.min(longest)));
            let will = kept.will.and_then(|will| {
                let due = clock.instant(will.due_at)?;
                let due = expires_at.map_or(due, |at| due.min(at));
                Some((due, restored_will(&will.body)))
            });
            (kept.expiry_interval, expires_at, will)
        }
        None => {
            let interval = recovered.info.expiry_interval;
            let will = recovered.info.will.as_ref();
            if interval == 0 && will.is_none() {
                return None;
            }
            // Its connection ended with the last process, and the session too if it was to end with it.
            let due = |delay: u32| now.checked_add(Duration::from_secs(delay.into()));
            let will = will.and_then(|will| Some((due(will.delay)?, restored_will(&will.body))));
            (interval, longest(interval), will)
        }
    };
    let entries = recovered.queue.into_iter().map(|entry| Restored {
        place: Place {
            message: entry.message,
            sequence: entry.sequence,
        },
        size: entry.size as usize,
        qos: entry.qos,
        retain: entry.retain,
        received: entry.received,
        subscription_ids: entry.subscription_ids,
        group: entry.group,
    });
    let outbound = Outbound::restored(entries.collect(), window, unsent);
    Some(KeptSession {
        inbox: inbox.clone(),
        generation: recovered.info.generation,
        session: Session::restored(outbound, &recovered.taken, expiry_interval),
        subject,
        expires_at,
        will,
    })
}

fn restored_will(body: &OwnedBody) -> Box<Will> {
    let body = body.view();
    Box::new(Will::new(&mqtt::Will {
        topic: body.topic,
        payload: body.payload,
        qos: body.qos,
        retain: body.retain,
        properties: body.properties(),
    }))
}

/// The inbox of a session out of the store.
pub(super) fn inbox_of(recovered: &RecoveredSession, owner: Owner) -> Arc<Inbox> {
    Arc::new(Inbox::new(
        recovered.info.client_id.clone(),
        owner,
        recovered.info.generation,
        NonZeroU64::new(recovered.number),
    ))
}

/// A message as the store gives it back.
pub(super) fn message(body: StoredBody, clock: &WallClock) -> Message {
    let expires_at = body.expires_at.and_then(|at| clock.instant(at));
    match expires_at {
        Some(at) => body.message.view().expiring_by(at).to_message(),
        None => body.message,
    }
}

/// What the store keeps of a message that is retained: an empty payload clears its topic `[MQTT-3.3.1-6]`.
pub(super) fn retained<'m>(message: &MessageRef<'m>, clock: &WallClock) -> Record<'m> {
    match message.payload {
        [] => Record::Unretained(message.topic),
        _ => Record::Retained(Body::of(message, expiry(message, clock))),
    }
}

/// When a message expires, as the store keeps it.
pub(super) fn expiry(message: &MessageRef<'_>, clock: &WallClock) -> Option<u64> {
    message.expires_at.map(|at| clock.millis(at))
}

#[cfg(test)]
mod tests;
