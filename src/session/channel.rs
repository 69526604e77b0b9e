//! The protocol of one connected client: every packet after CONNECT, and every message to it.

mod held;
mod outgoing;
mod packets;
mod publishing;

use std::{sync::Arc, time::Instant};

use bytes::BytesMut;

pub use self::held::HeldAck;
use self::held::HeldAcks;
use super::{
    Admission, CloseReason, Session, SubscribeJob, UnsubscribeJob, Will,
    alias::{IncomingAliases, OutgoingAliases},
    keep_alive::KeepAlive,
    to_remote::ToRemote,
    v3_bridge::{BridgeOf, V3Bridge},
};
use crate::{
    config::Mqtt,
    mqtt::{
        Disconnect, MessageRef, Packet, PacketId, Properties, PropertiesBuf, Property,
        ProtocolVersion, Publish, Subscribe, encode, packet_len,
    },
};

/// Takes application messages on to their subscribers. Both methods tell whether anybody is subscribed.
pub trait Publishing {
    /// A message as it was read: `publish` borrows from `packet`, the bytes of the whole packet.
    fn publish(&mut self, publish: &Publish<'_>, packet: &[u8], version: ProtocolVersion) -> bool;
    /// A message whose parts lie elsewhere, with the identifier of its packet.
    fn publish_detached(&mut self, message: &MessageRef<'_>, packet_id: Option<PacketId>) -> bool;
}

/// Says whether a client may publish to a topic.
pub trait Gate {
    /// About a topic that is not the same as the last one that it let through always.
    fn may_publish(&mut self, topic: &str) -> GateAnswer;
}

/// What a [`Gate`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateAnswer {
    /// Yes, and to this topic until [`Channel::forget_topic`].
    Always,
    /// Yes, this time.
    Now,
    /// No: the message is dropped.
    Drop,
    /// No, and the client is to be closed.
    Close,
    /// It has to ask somebody. The packet is to be handled again when it knows.
    Ask,
}

/// What became of a PUBLISH.
#[derive(Debug, PartialEq, Eq)]
pub enum Published {
    /// It is done.
    Done,
    /// Nothing yet: whether the client may publish to this topic has to be asked first.
    Ask(Box<str>),
}

/// What is to be done after a packet.
#[derive(Debug)]
pub enum Step {
    /// Nothing: go on with the next packet.
    Done,
    /// Enter subscriptions; [`Channel::subscribed`] takes the answer. Packets behind this one wait for it.
    Subscribe(SubscribeJob),
    /// Find out whether the client may publish to this topic, and handle the packet again.
    AskPublish(Box<str>),
    /// Remove subscriptions; [`Channel::unsubscribed`] takes the answer.
    Unsubscribe(UnsubscribeJob),
    /// The client authenticates anew: its first message, or the next one.
    Authenticate {
        /// The first.
        anew: bool,
        /// The message.
        data: Vec<u8>,
    },
    /// The client has said goodbye.
    Close(CloseReason),
}

/// Everything about a connected client that its socket does not know.
#[derive(Debug)]
pub struct Channel {
    client_id: Arc<str>,
    version: ProtocolVersion,
    session: Session,
    will: Option<Box<Will>>,
    keep_alive: KeepAlive,
    window: u16,
    max_packet_size: u32,
    /// Made for the first PUBLISH.
    topics: Option<Box<PublishedTopics>>,
    /// Made for a client that needs any of it.
    special: Option<Box<Special>>,
    problem_information: bool,
    /// Set where there is a durable store.
    held: Option<Box<HeldAcks>>,
}

/// What few clients ask for.
#[derive(Debug, Default)]
struct Special {
    outgoing_aliases: Option<OutgoingAliases>,
    /// Of enhanced authentication, if the client came in by it.
    authentication_method: Option<Box<str>>,
    /// A bridge of another broker that speaks MQTT 3: it gets back nothing of what it sends, and RETAIN as it was
    /// published, as one with MQTT 5 asks for.
    v3_bridge: Option<Box<V3Bridge>>,
    /// Set where the peer is not a client but the remote broker of a bridge.
    remote: Option<ToRemote>,
}

/// What a remote broker said in CONNACK, brought within the limits of its bridge.
#[derive(Debug)]
pub struct RemoteTerms {
    /// Protocol version.
    pub version: ProtocolVersion,
    /// Most messages with QoS 1 and 2 that may be unacknowledged `[MQTT-3.2.2-14]`.
    pub window: u16,
    /// Largest packet that it takes, in bytes `[MQTT-3.2.2-15]`.
    pub max_packet_size: u32,
    /// Topic aliases that may be set towards it `[MQTT-3.2.2-17]`.
    pub topic_aliases: u16,
    /// What is changed in the messages that it gets.
    pub to_remote: ToRemote,
}

impl Special {
    /// In a box, if there is any of it.
    fn boxed(self) -> Option<Box<Self>> {
        let any = self.outgoing_aliases.is_some()
            || self.authentication_method.is_some()
            || self.v3_bridge.is_some()
            || self.remote.is_some();
        any.then(|| Box::new(self))
    }
}

fn outgoing(topic_aliases: u16) -> Option<OutgoingAliases> {
    (topic_aliases > 0).then(|| OutgoingAliases::new(topic_aliases))
}

/// What is remembered of the topics that a client publishes to.
#[derive(Debug, Default)]
struct PublishedTopics {
    /// The last one that was found valid: publishers repeat themselves.
    valid: String,
    aliases: Option<IncomingAliases>,
}

impl Channel {
    /// A client that is accepted, with its session: a new one, or the one kept for it.
    pub fn open(admission: Admission, mut session: Session, limits: &Mqtt, now: Instant) -> Self {
        session.expiry_interval = admission.expiry_interval;
        let is_v3_bridge = admission.from_bridge && !admission.version.is_v5();
        let v3_bridge = is_v3_bridge.then(|| {
            let silent_until = now.checked_add(admission.bridge_silence);
            Box::new(V3Bridge::new(admission.broker_id, silent_until))
        });
        Self {
            client_id: admission.client_id,
            version: admission.version,
            session,
            will: admission.will,
            keep_alive: KeepAlive::new(admission.keep_alive, limits.keepalive_multiplier, now),
            window: admission.receive_maximum.min(limits.max_inflight_window),
            max_packet_size: admission.max_packet_size,
            topics: None,
            special: Special {
                outgoing_aliases: outgoing(admission.topic_aliases),
                authentication_method: admission.authentication.map(|(method, _)| method),
                v3_bridge,
                remote: None,
            }
            .boxed(),
            problem_information: admission.problem_information,
            held: None,
        }
    }

    /// The client's side: a remote broker that has accepted, with the session that its bridge has at this one.
    /// PUBLISH and the acknowledgements of both directions go through it as those of a client do; other packets do not.
    pub fn to_remote(
        client_id: Arc<str>,
        terms: RemoteTerms,
        session: Session,
        now: Instant,
    ) -> Self {
        Self {
            client_id,
            version: terms.version,
            session,
            will: None,
            keep_alive: KeepAlive::new(0, 1.0, now),
            window: terms.window,
            max_packet_size: terms.max_packet_size,
            topics: None,
            special: Special {
                outgoing_aliases: outgoing(terms.topic_aliases),
                remote: Some(terms.to_remote),
                ..Special::default()
            }
            .boxed(),
            problem_information: false,
            held: None,
        }
    }

    /// What is changed in messages to a remote broker, if the peer is one.
    pub fn remote_mut(&mut self) -> Option<&mut ToRemote> {
        self.special.as_mut()?.remote.as_mut()
    }

    /// The session's state, to tell the store of it.
    pub fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Client id.
    pub fn client_id(&self) -> &Arc<str> {
        &self.client_id
    }

    /// Set if the client is a bridge of another broker that speaks MQTT 3: the broker, if it has said which.
    pub fn v3_bridge(&self) -> Option<Option<Arc<BridgeOf>>> {
        let bridge = self.special.as_ref()?.v3_bridge.as_ref()?;
        Some(bridge.of().cloned())
    }

    /// As [`Channel::v3_bridge`], to change it.
    fn v3_bridge_mut(&mut self) -> Option<&mut V3Bridge> {
        self.special.as_mut()?.v3_bridge.as_deref_mut()
    }

    /// Until when messages for a bridge of another broker are held back, if they are; see [`V3Bridge`].
    pub fn silent_until(&self) -> Option<Instant> {
        self.special.as_ref()?.v3_bridge.as_ref()?.silent_until()
    }

    /// Packets of such a bridge have been handled, or the time has come: its messages are held back no longer. True when
    /// they were, and [`Channel::pump`] is to be called.
    pub fn end_silence(&mut self) -> bool {
        self.v3_bridge_mut().is_some_and(V3Bridge::end_silence)
    }

    /// Whether a SUBSCRIBE is that by which a bridge says who it is; it is answered then.
    fn on_introduction(&mut self, subscribe: &Subscribe<'_>, wire: &mut BytesMut) -> bool {
        let version = self.version;
        let bridge = self.v3_bridge_mut();
        bridge.is_some_and(|bridge| bridge.introduce(subscribe, version, wire))
    }

    /// Protocol version.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Largest packet that the client takes, in bytes.
    pub fn max_packet_size(&self) -> u32 {
        self.max_packet_size
    }

    /// Most messages with QoS 1 and 2 that are sent to the peer and not acknowledged.
    pub fn window(&self) -> u16 {
        self.window
    }

    /// The session's state.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// When the client is silent for too long.
    pub fn deadline(&self) -> Option<Instant> {
        self.keep_alive.deadline()
    }

    /// A packet has come; any counts `[MQTT-3.1.2-22]`.
    pub fn seen(&mut self, now: Instant) {
        self.keep_alive.seen(now);
    }

    /// Writes the DISCONNECT that tells a version 5 client why the connection ends `[MQTT-4.13.1-1]`; earlier
    /// versions have none from the server.
    pub fn write_disconnect(&self, reason: &CloseReason, wire: &mut BytesMut) {
        let Some(code) = reason.disconnect() else {
            return;
        };
        if !self.version.is_v5() {
            return;
        }
        let mut reason_string = PropertiesBuf::default();
        if self.problem_information && matches!(reason, CloseReason::Violation(_)) {
            reason_string.push(Property::ReasonString(&reason.to_string()));
        }
        let mut disconnect = Disconnect {
            reason: code,
            properties: reason_string.as_properties(),
        };
        if packet_len(&Packet::Disconnect(disconnect), self.version) > self.max_packet_size as usize
        {
            // [MQTT-3.14.2-3]
            disconnect.properties = Properties::EMPTY;
        }
        // Violations describe themselves in far less than 65,535 bytes.
        let _ = encode(&Packet::Disconnect(disconnect), self.version, wire);
    }

    /// The connection has ended: what is left of the client, and its will unless the way it ended discards that.
    pub fn close(mut self, reason: &CloseReason) -> (Session, Option<Box<Will>>) {
        self.session.outbound.detach();
        let will = self.will.filter(|_| !reason.discards_will());
        (self.session, will)
    }
}
