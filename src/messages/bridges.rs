//! Messages about bridges. The keeper of the bridges is asked what they do, and told by the config manager what they
//! are. Everybody else has the config manager change them, the only one to change the running configuration: a change
//! touches only the bridge it is about, is written to the configuration file if there is one, and is in force when the
//! answer comes.

use std::{io, sync::Arc, time::Duration};

use actix::{Message, MessageResponse};

use crate::{
    config::{
        BridgeConfig, BridgeSubscribeProperties, BridgeSubscription, Bridges, Refusal, RemoteUrl,
    },
    stats::DropReason,
};

/// Asks for all bridges, those that are switched off too, by name.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<BridgeView>")]
pub struct ListBridges;

/// Asks for one bridge.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Option<BridgeView>")]
pub struct GetBridge(pub String);

/// Makes a bridge, or changes the one there is: what waits in it is kept. One whose configuration does not change is
/// left alone.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<BridgePut, BridgeRefused>")]
pub struct PutBridge {
    /// Its name.
    pub name: String,
    /// What it is to be.
    pub config: BridgeConfig,
    /// What to do when there is one of that name already, or none.
    pub expect: Expect,
}

/// What is expected of a bridge that is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// There is none: else [`BridgeRefused::Exists`].
    New,
    /// There is one: else [`BridgeRefused::Unknown`].
    Known,
    /// Either.
    Any,
}

/// What became of a bridge that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BridgePut {
    /// It is new.
    Created,
    /// It was there and is another now.
    Changed,
    /// It was there and is the same.
    Unchanged,
}

/// Ends a bridge. What waits in it is dropped and counted.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), BridgeRefused>")]
pub struct DeleteBridge(pub String);

/// Switches a bridge on or off. While it is off nothing is forwarded, and what waits in it is kept.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), BridgeRefused>")]
pub struct SwitchBridge {
    /// Its name.
    pub name: String,
    /// What it is to be.
    pub on: bool,
}

/// Subscribes to further topics of the remote, without reconnecting. A subscription to the same `remote_topic` is
/// replaced.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), BridgeRefused>")]
pub struct SubscribeBridge {
    /// The bridge.
    pub name: String,
    /// The topics.
    pub subscriptions: Vec<BridgeSubscription>,
    /// Properties that SUBSCRIBE is to have from now on; none = as before.
    pub properties: Option<BridgeSubscribeProperties>,
}

/// Unsubscribes from topics of the remote, without reconnecting. Topics that are not subscribed to are left out.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<usize, BridgeRefused>")]
pub struct UnsubscribeBridge {
    /// The bridge.
    pub name: String,
    /// Topic filters, each the `remote_topic` of a subscription.
    pub topics: Vec<String>,
}

/// The bridges of a configuration that was read anew: those that differ are changed, the others go on undisturbed. The
/// answer comes when what is published from then on finds the sessions of those that are new. An error is that they can
/// have no thread.
#[derive(Clone, Debug, Message)]
#[rtype(result = "io::Result<()>")]
pub struct ApplyBridges(pub Bridges);

/// The broker stops: all bridges leave. What waits in them is kept for its next life. The answer comes when they have
/// left.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct CloseBridges;

/// Why a bridge was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BridgeRefused {
    /// There is no bridge of that name.
    Unknown,
    /// There is one already.
    Exists,
    /// It is switched so already.
    SwitchedAlready,
    /// The name cannot be one.
    BadName,
    /// There are as many as there may be.
    TooMany,
    /// What does not go together, with the keys below `bridges.mqtt.NAME`.
    Keys(Vec<Refusal>),
    /// The configuration file cannot be written: why.
    NotWritten(String),
}

/// A bridge as lists show it.
#[derive(Clone, Debug, MessageResponse)]
pub struct BridgeView {
    /// Its name.
    pub name: Arc<str>,
    /// As it runs.
    pub config: Arc<BridgeConfig>,
    /// What it does.
    pub state: BridgeState,
    /// The client identifier at the remote.
    pub client_id: Arc<str>,
    /// The server it is connected to, or tries.
    pub server: Option<RemoteUrl>,
    /// Messages that wait for the remote, those that are not acknowledged included.
    pub backlog: u64,
    /// Of them, those sent and not acknowledged.
    pub inflight: u64,
    /// Most of those at once: what the configuration says, or, of a connection, what the remote has lowered it to.
    pub window: u16,
    /// Bytes of the messages that wait.
    pub backlog_bytes: u64,
    /// What went wrong last.
    pub last_error: Option<BridgeFault>,
    /// For how long it has been connected.
    pub connected_for: Option<Duration>,
    /// Until it tries again.
    pub next_attempt_in: Option<Duration>,
    /// Figures since it was made.
    pub counters: BridgeCounters,
}

/// What a bridge does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BridgeState {
    /// It is switched off.
    Disabled,
    /// It opens a connection.
    Connecting,
    /// CONNACK has come.
    Connected,
    /// It waits until it tries again.
    Waiting,
}

impl BridgeState {
    /// The word for it: `disabled`, `connecting`, `connected` or `waiting`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Waiting => "waiting",
        }
    }
}

/// What went wrong with a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeFault {
    /// What, and with which server. No password stands in it.
    pub what: Arc<str>,
    /// How long ago.
    pub ago: Duration,
}

/// Figures of a bridge since it was made. All only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgeCounters {
    /// PUBLISH packets sent to the remote, those sent again included.
    pub sent_messages: u64,
    /// PUBLISH packets of the remote.
    pub received_messages: u64,
    /// Bytes written to the remote.
    pub sent_bytes: u64,
    /// Bytes read from the remote.
    pub received_bytes: u64,
    /// Messages with QoS 1 and 2 that the remote acknowledged.
    pub acknowledged: u64,
    /// Connections opened, with CONNACK.
    pub connects: u64,
    /// Of them, all but the first.
    pub reconnects: u64,
    /// Attempts that failed.
    pub failed_connects: u64,
    /// Connections closed because the remote broke the protocol.
    pub protocol_errors: u64,
    /// Messages that did not get to the remote, by reason.
    pub dropped_up: Vec<(BridgeDrop, u64)>,
    /// Messages of the remote that did not get to this broker, by reason.
    pub dropped_down: Vec<(BridgeDrop, u64)>,
}

impl BridgeCounters {
    /// The messages that did not get to the remote.
    pub fn all_dropped_up(&self) -> u64 {
        self.dropped_up.iter().map(|(_, n)| n).sum()
    }

    /// The messages of the remote that did not get to this broker.
    pub fn all_dropped_down(&self) -> u64 {
        self.dropped_down.iter().map(|(_, n)| n).sum()
    }
}

/// Why a message did not get over a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BridgeDrop {
    /// A session would have dropped it for the same reason.
    Session(&'static str),
    /// It has come over this broker, or over the remote, before.
    Loop,
    /// What its topic becomes is no topic.
    Topic,
    /// The remote refused it with this reason code.
    Refused,
    /// Nothing was subscribed to that it matches.
    NotSubscribed,
    /// The remote takes no messages with this QoS or RETAIN.
    NotTaken,
}

impl BridgeDrop {
    /// The word for it, in `snake_case`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Session(word) => word,
            Self::Loop => "loop",
            Self::Topic => "topic",
            Self::Refused => "refused",
            Self::NotSubscribed => "not_subscribed",
            Self::NotTaken => "not_taken",
        }
    }
}

impl From<DropReason> for BridgeDrop {
    fn from(reason: DropReason) -> Self {
        let name = reason.metric().name();
        Self::Session(name.rsplit('.').next().unwrap_or(name))
    }
}
