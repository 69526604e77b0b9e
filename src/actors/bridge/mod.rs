//! The actor of one bridge: a session at this broker, as a client has one, and a connection to a remote broker.
//!
//! ```text
//!  Off        Waiting --time--> Connecting --stream--> Greeting --CONNACK--> Up
//!   ^ |          ^                   |                     |                  |
//!   +-+-- switched off, changed -----+------ failed -------+----- broken -----+--> next server, or Waiting
//! ```
//!
//! The session is the bridge's own all the time, so that its messages wait here while the remote is away. One future
//! drives everything ([`drive`]); it runs after the mailbox in each turn of the actor.

mod change;
mod connect;
mod deliver;
mod drive;
mod ending;
mod local;
mod view;

pub use change::Configure;
pub use ending::LeaveBridge;
pub use view::View;

use std::{
    collections::VecDeque,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use actix::{Actor, AsyncContext, Context, Handler, Recipient};
use bytes::BytesMut;
use tokio::{sync::oneshot, time::Sleep};

use self::{connect::Attempt, drive::Drive};
use super::{
    Worker,
    client_connection::{Held, Hold},
};
use crate::{
    bridge::{Backoff, Bits, Introductions, Link, Servers, Subscribed, limits, session_id},
    config::{BridgeConfig, Config, Mqtt, RemoteUrl},
    messages::{GetSubscriptions, Inbox, InboxItem, SessionCommand},
    mqtt::ReasonCode,
    session::Session,
    stats::Counters,
    transport::RemoteStream,
};

/// How long the remote gets to take the last packet.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// What a bridge is made of.
pub struct BridgeParts {
    /// Its name.
    pub name: Arc<str>,
    /// Its number among the bridges of this process, from 1 on.
    pub number: u64,
    /// What it is.
    pub config: Arc<BridgeConfig>,
    /// The state of its thread.
    pub worker: Rc<Worker>,
    /// Its own counters.
    pub counters: Arc<Counters>,
    /// The identity of this broker.
    pub own_id: Arc<str>,
    /// Asks the registry what its session is subscribed to.
    pub subscriptions: Recipient<GetSubscriptions>,
    /// Dropped when what is published from then on finds the session, or when that could not be opened at once.
    pub begins: oneshot::Sender<()>,
}

/// See the module's description.
pub struct Bridge {
    name: Arc<str>,
    number: u64,
    config: Arc<BridgeConfig>,
    worker: Rc<Worker>,
    counters: Arc<Counters>,
    own_id: Arc<str>,
    subscriptions: Recipient<GetSubscriptions>,
    /// Client id of the session at this broker.
    session_id: Arc<str>,
    /// The limits of the session, and the configuration that they were made of.
    limits: (Arc<Config>, Mqtt),
    local: Local,
    /// The session, while there is no connection that has it.
    session: Option<Session>,
    /// Messages wait in the inbox.
    drain: bool,
    /// Messages taken from the inbox and not yet delivered.
    items: VecDeque<InboxItem>,
    /// Bodies of messages are on their way from the store.
    reading: bool,
    remote: Remote,
    servers: Servers,
    backoff: Backoff,
    /// Which servers take the bit of bridges.
    bits: Bits,
    /// Which servers are told with MQTT 3 who the bridge is.
    introductions: Introductions,
    /// It is time to connect, and something else has to be there first, which wakes the actor.
    blocked: bool,
    /// No remote has accepted since the bridge was made.
    first: bool,
    /// What the servers know that the bridge is subscribed to.
    subscribed: Subscribed,
    /// The beginning of a packet whose rest has not come.
    partial: BytesMut,
    /// Bytes to be written.
    wire: BytesMut,
    /// Acknowledgements that wait for the durable store.
    held: Held,
    /// What is waited for before the remote is read from again.
    hold: Option<Hold>,
    timer: Option<Pin<Box<Sleep>>>,
    waker: Option<Waker>,
    fault: Option<(Arc<str>, Instant)>,
    connects: u64,
    failed_connects: u64,
    /// Whoever waits for the bridge to have begun.
    begins: Option<oneshot::Sender<()>>,
    /// Whoever waits for the bridge to have left.
    leaving: Option<Leave>,
}

/// The session at this broker.
enum Local {
    /// It is being opened.
    Opening,
    /// It is the bridge's.
    Open {
        inbox: Arc<Inbox>,
        generation: u64,
        /// What is forwarded, as the registry knows it.
        filters: Vec<Arc<str>>,
        /// The registry is being told of a change.
        asking: bool,
    },
    /// It has ended, or another owner has it.
    Gone,
}

/// The connection to the remote.
enum Remote {
    /// The bridge is switched off, or has not begun.
    Off,
    /// Until it is time to try again.
    Waiting { until: Instant },
    /// A stream is being opened.
    Connecting(Attempt),
    /// CONNECT is sent, CONNACK is awaited.
    Greeting {
        stream: Box<RemoteStream>,
        url: RemoteUrl,
        deadline: Instant,
        /// CONNECT has the bit of bridges.
        bit: bool,
    },
    /// CONNACK has come.
    Up(Box<Up>),
    /// The last packet is being written.
    Closing {
        stream: Box<RemoteStream>,
        deadline: Instant,
        /// When to try again; none: not at all.
        again: Option<Instant>,
    },
}

/// A connection that the remote has accepted.
struct Up {
    stream: RemoteStream,
    link: Link,
    url: RemoteUrl,
    peer: IpAddr,
    since: Instant,
    /// The wanted server is tried at this time, or being tried.
    failback: Option<Instant>,
    probe: Option<Attempt>,
    /// Whole packets wait in `partial`.
    more: bool,
    received_bytes: u64,
}

/// How a bridge leaves.
struct Leave {
    /// Its session ends; else it is kept.
    ends: bool,
    told: oneshot::Sender<()>,
}

impl Bridge {
    /// A bridge that begins when its actor is started.
    pub fn new(parts: BridgeParts) -> Self {
        let config = parts.worker.shared.config.load_full();
        let limits = limits(&parts.config, &config.mqtt);
        Self {
            session_id: session_id(&parts.name).into(),
            name: parts.name,
            number: parts.number,
            config: parts.config,
            worker: parts.worker,
            counters: parts.counters,
            own_id: parts.own_id,
            subscriptions: parts.subscriptions,
            limits: (config, limits),
            local: Local::Opening,
            session: None,
            drain: false,
            items: VecDeque::new(),
            reading: false,
            remote: Remote::Off,
            servers: Servers::default(),
            backoff: Backoff::default(),
            bits: Bits::default(),
            introductions: Introductions::default(),
            blocked: false,
            first: true,
            subscribed: Subscribed::default(),
            partial: BytesMut::new(),
            wire: BytesMut::new(),
            held: Held::default(),
            hold: None,
            timer: None,
            waker: None,
            fault: None,
            connects: 0,
            failed_connects: 0,
            begins: Some(parts.begins),
            leaving: None,
        }
    }

    /// Has everything driven once more.
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// The limits of the session as they are now.
    fn limits(&mut self) -> &Mqtt {
        let now = self.worker.shared.config.load();
        if !Arc::ptr_eq(&now, &self.limits.0) {
            let made = limits(&self.config, &now.mqtt);
            self.limits = (Arc::clone(&now), made);
        }
        &self.limits.1
    }

    /// Makes the limits anew, because the bridge is another.
    fn renew_limits(&mut self) {
        let now = self.worker.shared.config.load_full();
        let made = limits(&self.config, &now.mqtt);
        self.limits = (now, made);
    }

    fn note_fault(&mut self, what: String) {
        log::warn!("bridge {:?}: {what}", self.name);
        self.fault = Some((what.into(), Instant::now()));
    }
}

impl Actor for Bridge {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.open_session(ctx);
        ctx.spawn(Drive);
    }
}

impl Handler<SessionCommand> for Bridge {
    type Result = ();

    fn handle(&mut self, command: SessionCommand, ctx: &mut Self::Context) {
        match command {
            SessionCommand::Drain => self.drain = true,
            SessionCommand::Evicted(places) => {
                let counters = self.counters.clone();
                if let Some(session) = self.session_mut() {
                    session.outbound_mut().evict(&places, &counters);
                }
            }
            // Nobody takes the session of a bridge over, and it is asked for nothing else.
            SessionCommand::HandOver(_)
            | SessionCommand::Close(_)
            | SessionCommand::Recheck
            | SessionCommand::AskAgain(_)
            | SessionCommand::Subscribed(_)
            | SessionCommand::Noted(_) => {}
            SessionCommand::Discard(reason) => {
                self.note_fault(format!("its session was ended: {reason}"));
                self.disconnect(ReasonCode::NormalDisconnection, None);
                let local = std::mem::replace(&mut self.local, Local::Gone);
                if let (Local::Open { inbox, .. }, Some(mut session)) = (local, self.session.take())
                {
                    let outbound = session.outbound_mut();
                    self.worker.settle_session(&inbox, outbound, Instant::now());
                }
                self.open_session(ctx);
            }
        }
    }
}
