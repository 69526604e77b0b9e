//! The table of metrics.

use crate::mqtt::QoS;

macro_rules! metrics {
    ($($metric:ident, $name:literal, $help:literal;)+) => {
        /// Something that is counted. All only grow.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Metric {
            $(#[doc = $help] $metric,)+
        }

        impl Metric {
            /// All metrics.
            pub const ALL: &'static [Self] = &[$(Self::$metric),+];

            /// Stable name: `snake_case`, parts separated by `.`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$metric => $name,)+ }
            }

            /// What it counts.
            pub fn help(self) -> &'static str {
                match self { $(Self::$metric => $help,)+ }
            }
        }
    };
}

metrics! {
    BytesReceived, "bytes.received", "bytes read from clients";
    BytesSent, "bytes.sent", "bytes written to clients";
    PacketsReceived, "packets.received", "packets read from clients";
    MessagesReceivedQoS0, "messages.qos0.received", "PUBLISH packets with QoS 0 read from clients";
    MessagesReceivedQoS1, "messages.qos1.received", "PUBLISH packets with QoS 1 read from clients";
    MessagesReceivedQoS2, "messages.qos2.received", "PUBLISH packets with QoS 2 read from clients";
    MessagesSentQoS0, "messages.qos0.sent", "PUBLISH packets with QoS 0 written to clients";
    MessagesSentQoS1, "messages.qos1.sent", "PUBLISH packets with QoS 1 written to clients";
    MessagesSentQoS2, "messages.qos2.sent", "PUBLISH packets with QoS 2 written to clients";
    MessagesRouted, "messages.routed", "messages that matched a subscription";
    MessagesDeliveries, "messages.deliveries", "messages given to sessions, each once for each of them";
    MessagesAcknowledged, "messages.acknowledged", "messages with QoS 1 and 2 that a session has done with since its client has them";
    MessagesHandedOver, "messages.handed_over", "messages of shared subscriptions taken from a member that left, and given to another";
    MessagesDuplicate, "messages.duplicate", "PUBLISH packets with QoS 2 whose message had been taken before";
    MessagesWithoutSubscriber, "messages.no_subscriber", "messages that matched no subscription";
    DroppedOutputFull, "messages.dropped.output_full", "QoS 0 messages dropped because the connection's output buffer was full";
    DroppedOffline, "messages.dropped.offline", "QoS 0 messages for a session without a connection";
    DroppedQueueFull, "messages.dropped.queue_full", "messages dropped because a session's queue was full";
    DroppedExpired, "messages.dropped.expired", "messages that expired before they were delivered";
    DroppedTooLarge, "messages.dropped.too_large", "messages larger than the client's maximum packet size";
    DroppedRetainedFull, "messages.dropped.retained_full", "messages not retained because a limit of the store was reached";
    DroppedRetainedExpired, "messages.dropped.retained_expired", "retained messages that expired";
    DroppedNotPermitted, "messages.dropped.not_permitted", "messages of topics that the client may not publish to, or no longer receive";
    DroppedTopicLimit, "messages.dropped.topic_limit", "messages whose topic exceeds the length or depth limit";
    DroppedProtocolError, "messages.dropped.protocol_error", "messages for which a client was closed, as it may not send them";
    DroppedUnreadable, "messages.dropped.unreadable", "messages that the store could not read again";
    DroppedStoreFull, "messages.dropped.store_full", "messages dropped to make room in the store for newer ones";
    DroppedStoreRefused, "messages.dropped.store_refused", "messages of the broker itself and wills that the store could not take";
    DroppedLoop, "messages.dropped.loop", "messages that had been at this broker before and came back";
    DroppedLoopToRemote, "messages.dropped.loop_to_remote", "messages that had been at the remote of a bridge before, and did not go there again";
    DroppedTopicOfRemote, "messages.dropped.remote_topic", "messages whose topic at the remote of a bridge would be none";
    DroppedRefused, "messages.dropped.refused", "messages that the remote of a bridge refused; they count as acknowledged too";
    DroppedNotSubscribed, "messages.dropped.not_subscribed", "messages of the remote of a bridge to which it is not subscribed";
    DroppedSessionEnded, "messages.dropped.session_ended", "messages that waited in a session when it ended";
    ConnectionsAccepted, "connections.accepted", "sockets accepted";
    ConnectionsRefused, "connections.refused", "sockets closed at once because a connection limit was reached";
    ConnectTimeouts, "connections.connect_timeout", "connections closed because no CONNECT came in time";
    ConnectsAccepted, "connects.accepted", "CONNECT packets answered with success";
    ConnectsRefused, "connects.refused", "CONNECT packets answered with an error";
    Disconnects, "disconnects", "connections closed after a successful CONNECT";
    Takeovers, "takeovers", "sessions taken over by a new connection of the same client id";
    KeepAliveTimeouts, "disconnects.keep_alive", "connections closed because the client was silent";
    ProtocolErrors, "protocol_errors", "connections closed because of a malformed packet or a protocol error";
    Subscribes, "subscribes", "topic filters subscribed to";
    SubscribesDenied, "subscribes.denied", "topic filters that a client may not subscribe to";
    LoginsExpired, "logins.expired", "Connections closed because the token that the client came in with has expired";
    LoginsFailed, "logins.failed", "CONNECT packets with a wrong user name, password, token or proof";
    LoginsRefused, "logins.refused", "CONNECT packets refused because of too many failed or waiting logins";
    AuthRequestsSent, "auth_requests.sent", "HTTP authentication requests sent";
    AuthRequestsFailed, "auth_requests.failed", "HTTP authentication requests without a usable answer";
    AuthRequestsNotSent, "auth_requests.not_sent", "HTTP authentication requests not sent because too many were waiting";
    Unsubscribes, "unsubscribes", "topic filters unsubscribed from";
    StoreCommits, "store.commits", "writes to the store, each for all that waited for it";
    StoreSyncs, "store.syncs", "times that the disk confirmed what the store has written";
    StoreMessages, "store.messages", "messages written to the store";
    StoreBytes, "store.bytes", "bytes written to the store, copies of a cleaning included";
    StoreRefused, "store.refused", "messages refused because the store could not take them";
    StoreFailures, "store.failures", "writes and syncs of the store that failed";
    WillsPublished, "wills.published", "will messages published";
}

/// Why a message did not reach a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The connection's output buffer is full and the message has QoS 0.
    OutputFull,
    /// Nobody is connected and the message has QoS 0.
    Offline,
    /// The session's queue is full.
    QueueFull,
    /// It expired while it waited.
    Expired,
    /// It is larger than the client takes.
    TooLarge,
    /// The session it waited in has ended.
    SessionEnded,
    /// The store could not read it again.
    Unreadable,
    /// A newer one took its room in the store.
    StoreFull,
    /// The client may no longer receive it.
    NotPermitted,
    /// It had been at the remote of the bridge before.
    Loop,
    /// What its topic becomes at the remote of the bridge is no topic.
    Topic,
}

impl DropReason {
    /// The metric that counts it.
    pub fn metric(self) -> Metric {
        match self {
            Self::OutputFull => Metric::DroppedOutputFull,
            Self::Offline => Metric::DroppedOffline,
            Self::QueueFull => Metric::DroppedQueueFull,
            Self::Expired => Metric::DroppedExpired,
            Self::TooLarge => Metric::DroppedTooLarge,
            Self::SessionEnded => Metric::DroppedSessionEnded,
            Self::Unreadable => Metric::DroppedUnreadable,
            Self::StoreFull => Metric::DroppedStoreFull,
            Self::NotPermitted => Metric::DroppedNotPermitted,
            Self::Loop => Metric::DroppedLoopToRemote,
            Self::Topic => Metric::DroppedTopicOfRemote,
        }
    }
}

impl Metric {
    /// Every reason for which a message is dropped.
    pub const DROPPED: &'static [Self] = &[
        Self::DroppedOutputFull,
        Self::DroppedOffline,
        Self::DroppedQueueFull,
        Self::DroppedExpired,
        Self::DroppedTooLarge,
        Self::DroppedRetainedFull,
        Self::DroppedRetainedExpired,
        Self::DroppedNotPermitted,
        Self::DroppedTopicLimit,
        Self::DroppedProtocolError,
        Self::DroppedUnreadable,
        Self::DroppedStoreFull,
        Self::DroppedStoreRefused,
        Self::DroppedLoop,
        Self::DroppedLoopToRemote,
        Self::DroppedTopicOfRemote,
        Self::DroppedNotSubscribed,
        Self::DroppedSessionEnded,
    ];

    /// PUBLISH packets read, by QoS.
    pub fn received(qos: QoS) -> Self {
        match qos {
            QoS::AtMostOnce => Self::MessagesReceivedQoS0,
            QoS::AtLeastOnce => Self::MessagesReceivedQoS1,
            QoS::ExactlyOnce => Self::MessagesReceivedQoS2,
        }
    }

    /// PUBLISH packets written, by QoS.
    pub fn sent(qos: QoS) -> Self {
        match qos {
            QoS::AtMostOnce => Self::MessagesSentQoS0,
            QoS::AtLeastOnce => Self::MessagesSentQoS1,
            QoS::ExactlyOnce => Self::MessagesSentQoS2,
        }
    }
}
