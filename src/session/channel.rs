//! The protocol of one connected client: every packet after CONNECT, and every message to it.

use std::{
    num::NonZeroU16,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;

use super::{
    Admission, CloseReason, Delivery, Session, SubscribeJob, UnsubscribeJob, Violation, Will,
    Writer,
    alias::{IncomingAliases, OutgoingAliases},
    keep_alive::KeepAlive,
    publish_topic::{TopicRefusal, check_topic},
    subscribe::{Granted, SubscribeRequest},
    to_remote::ToRemote,
    v3_bridge::{BridgeOf, V3Bridge},
    writer::{Broker, write_ack},
};
use crate::{
    config::Mqtt,
    mqtt::{
        Ack, Auth, Batch, Disconnect, Message, MessageRef, Packet, PacketId, Properties,
        PropertiesBuf, Property, ProtocolVersion, Publish, QoS, ReasonCode, SubAck, Subscribe,
        encode, packet_len,
    },
    stats::{Counters, Metric},
};

/// Takes application messages on to their subscribers. Both methods tell whether anybody is subscribed.
pub trait Publishing {
    /// A message as it was read: `publish` borrows from `packet`, the bytes of the whole packet.
    fn publish(&mut self, publish: &Publish<'_>, packet: &[u8], version: ProtocolVersion) -> bool;
    /// A message whose parts lie elsewhere, with the identifier of its packet.
    fn publish_detached(&mut self, message: &MessageRef<'_>, packet_id: Option<PacketId>) -> bool;
}

/// An acknowledgement that waits until the store has what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldAck {
    /// Of a QoS 1 message.
    PubAck(PacketId, ReasonCode),
    /// Of a QoS 2 message.
    PubRec(PacketId, ReasonCode),
    /// Of a PUBREC.
    PubRel(PacketId),
    /// Of a PUBREL.
    PubComp(PacketId, ReasonCode),
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
    v3_bridge: Option<V3Bridge>,
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

/// Acknowledgements that the connection lets go when the store has what they are about.
#[derive(Debug, Default)]
struct HeldAcks {
    /// Of messages.
    messages: Vec<HeldAck>,
    /// Set where the session is in the store: PUBCOMP, and the identifiers that it releases.
    released: Option<Vec<HeldAck>>,
}

impl Channel {
    /// A client that is accepted, with its session: a new one, or the one kept for it.
    pub fn open(admission: Admission, mut session: Session, limits: &Mqtt, now: Instant) -> Self {
        session.expiry_interval = admission.expiry_interval;
        let is_v3_bridge = admission.from_bridge && !admission.version.is_v5();
        let v3_bridge = is_v3_bridge.then(|| V3Bridge::new(admission.broker_id));
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

    /// Acknowledgements of messages are held back from now on, for [`Channel::take_held`]; if the `session` is in the
    /// store, those of PUBREC and PUBREL too, for [`Channel::take_answers`].
    pub fn hold_acknowledgements(&mut self, session: bool) {
        let held = self.held.insert(Box::default());
        if session {
            held.released = Some(Vec::new());
            self.session.outbound.make_durable();
        }
    }

    /// The acknowledgements of the messages since the last call.
    pub fn take_held(&mut self) -> Vec<HeldAck> {
        self.held
            .as_mut()
            .map(|held| std::mem::take(&mut held.messages))
            .unwrap_or_default()
    }

    /// The PUBCOMPs since the last call, each with the identifier that it releases.
    pub fn take_released(&mut self) -> Vec<HeldAck> {
        self.held
            .as_mut()
            .and_then(|held| held.released.as_mut())
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Writes acknowledgements that were held back, or, if what they are about was not `kept`, refuses the messages: a
    /// version 5 client is told (0x97), an earlier one has to send them again `[MQTT-4.4.0-1]`.
    pub fn write_held(&mut self, acks: &[HeldAck], kept: bool, wire: &mut BytesMut) {
        let v5 = self.version.is_v5();
        for ack in acks {
            let (kind, id, reason): (fn(Ack<'static>) -> Packet<'static>, _, _) = match *ack {
                HeldAck::PubAck(id, reason) => (Packet::PubAck, id, reason),
                HeldAck::PubRec(id, reason) => (Packet::PubRec, id, reason),
                HeldAck::PubRel(id) => (Packet::PubRel, id, ReasonCode::Success),
                HeldAck::PubComp(id, reason) => (Packet::PubComp, id, reason),
            };
            match ack {
                HeldAck::PubAck(..) | HeldAck::PubRec(..) if !kept => {
                    if let HeldAck::PubRec(..) = ack {
                        self.session.forget_taken(id);
                    }
                    if v5 {
                        self.answer(kind, id, ReasonCode::QuotaExceeded, wire);
                    }
                }
                _ => self.answer(kind, id, reason, wire),
            }
        }
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

    /// Whether a SUBSCRIBE is that by which a bridge says who it is; it is answered then.
    fn on_introduction(&mut self, subscribe: &Subscribe<'_>, wire: &mut BytesMut) -> bool {
        let special = self.special.as_deref_mut();
        let Some(bridge) = special.and_then(|special| special.v3_bridge.as_mut()) else {
            return false;
        };
        bridge.introduce(subscribe, self.version, wire)
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

    /// A PUBLISH, apart from the other packets since it is the one that counts.
    ///
    /// # Errors
    /// The breach for which the connection is to be closed.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of it is context of one step"
    )]
    pub fn on_publish<P: Publishing, G: Gate>(
        &mut self,
        publish: &Publish<'_>,
        packet: &[u8],
        limits: &Mqtt,
        now: Instant,
        wire: &mut BytesMut,
        gate: &mut G,
        publishing: &mut P,
        counters: &Counters,
    ) -> Result<Published, Violation> {
        if publish.qos as u8 > limits.max_qos {
            return Err(Violation::QoSNotSupported);
        }
        if publish.retain && !limits.retain_available {
            return Err(Violation::RetainNotSupported);
        }
        if limits.max_payload_size > 0 && publish.payload.len() > limits.max_payload_size as usize {
            return Err(Violation::PayloadTooLarge);
        }
        let alias = self.alias(publish, limits)?;
        if publish.qos == QoS::ExactlyOnce
            && let Some(id) = publish.packet_id
        {
            if self.session.awaiting_release.contains(id) {
                // Sent again: it was taken the first time [MQTT-4.3.3-10]. Its alias is new on a new connection.
                if let Some(alias) = alias {
                    let topics = self.topics.get_or_insert_default();
                    topics
                        .aliases
                        .get_or_insert_default()
                        .resolve(alias, publish.topic)
                        .ok_or(Violation::TopicAliasUnknown)?;
                }
                counters.add(Metric::MessagesDuplicate, 1);
                self.acknowledge(HeldAck::PubRec(id, ReasonCode::Success), wire);
                return Ok(Published::Done);
            }
            if self.session.awaiting_release.len() >= usize::from(limits.receive_maximum) {
                return Err(Violation::ReceiveMaximumExceeded);
            }
        }
        let reason = match alias {
            None => {
                let valid = &mut self.topics.get_or_insert_default().valid;
                match topic_code(valid, publish.topic, limits, gate, counters)? {
                    TopicCode::Reason(ReasonCode::Success) => {
                        matched(publishing.publish(publish, packet, self.version))
                    }
                    TopicCode::Reason(refused) => refused,
                    TopicCode::Ask => return Ok(Published::Ask(publish.topic.into())),
                }
            }
            Some(alias) => {
                match self
                    .publish_aliased(alias, publish, limits, now, gate, publishing, counters)?
                {
                    Ok(reason) => reason,
                    Err(topic) => return Ok(Published::Ask(topic)),
                }
            }
        };
        let Some(id) = publish.packet_id else {
            return Ok(Published::Done);
        };
        match publish.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.acknowledge(HeldAck::PubAck(id, reason), wire),
            QoS::ExactlyOnce => {
                if !reason.is_error() {
                    self.session.awaiting_release.insert(id);
                }
                self.acknowledge(HeldAck::PubRec(id, reason), wire);
            }
        }
        Ok(Published::Done)
    }

    /// Has the gate asked anew about the next topic, because its answers may be others now.
    pub fn forget_topic(&mut self) {
        if let Some(topics) = &mut self.topics {
            topics.valid.clear();
        }
    }

    /// Drops what waits for the client and is of a topic that `may_receive` says no to.
    pub fn purge(&mut self, may_receive: impl FnMut(&str) -> bool, counters: &Counters) {
        self.session.outbound.purge(may_receive, counters);
    }

    /// Acknowledges a message, now or when the store has it.
    fn acknowledge(&mut self, ack: HeldAck, wire: &mut BytesMut) {
        match &mut self.held {
            None => self.write_held(&[ack], true, wire),
            Some(held) => held.messages.push(ack),
        }
    }

    fn alias(&self, publish: &Publish<'_>, limits: &Mqtt) -> Result<Option<NonZeroU16>, Violation> {
        if publish.properties.is_empty() {
            return match publish.topic.is_empty() {
                true => Err(Violation::TopicNameMissing),
                false => Ok(None),
            };
        }
        if publish.properties.iter().count() > limits.max_properties {
            return Err(Violation::TooManyProperties);
        }
        match publish.properties.topic_alias() {
            None if publish.topic.is_empty() => Err(Violation::TopicNameMissing),
            None => Ok(None),
            Some(alias) => match NonZeroU16::new(alias) {
                Some(valid) if alias <= limits.max_topic_alias => Ok(Some(valid)),
                _ => Err(Violation::TopicAliasInvalid),
            },
        }
    }

    /// A message whose topic may be in the alias table instead of the packet. A topic in the place of the code has to be
    /// asked about.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of it is context of one step"
    )]
    fn publish_aliased<P: Publishing, G: Gate>(
        &mut self,
        alias: NonZeroU16,
        publish: &Publish<'_>,
        limits: &Mqtt,
        now: Instant,
        gate: &mut G,
        publishing: &mut P,
        counters: &Counters,
    ) -> Result<Result<ReasonCode, Box<str>>, Violation> {
        // The alias is set even where the message is then refused [MQTT-3.3.2-12].
        let PublishedTopics { valid, aliases } = &mut **self.topics.get_or_insert_default();
        let topic = aliases
            .get_or_insert_default()
            .resolve(alias, publish.topic)
            .ok_or(Violation::TopicAliasUnknown)?;
        match topic_code(valid, topic, limits, gate, counters)? {
            TopicCode::Reason(ReasonCode::Success) => {}
            TopicCode::Reason(refused) => return Ok(Ok(refused)),
            TopicCode::Ask => return Ok(Err(topic.into())),
        }
        let expires_at = publish
            .properties
            .message_expiry_interval()
            .and_then(|seconds| now.checked_add(Duration::from_secs(u64::from(seconds))));
        Ok(Ok(matched(publishing.publish_detached(
            &MessageRef {
                topic,
                properties: publish.properties,
                payload: publish.payload,
                qos: publish.qos,
                retain: publish.retain,
                expires_at,
            },
            publish.packet_id,
        ))))
    }

    /// Any packet but PUBLISH.
    ///
    /// # Errors
    /// The breach for which the connection is to be closed.
    pub fn on_packet(
        &mut self,
        packet: &Packet<'_>,
        limits: &Mqtt,
        now: Instant,
        wire: &mut BytesMut,
        counters: &Counters,
    ) -> Result<Step, Violation> {
        if packet.properties().iter().count() > limits.max_properties {
            return Err(Violation::TooManyProperties);
        }
        match packet {
            Packet::PubAck(ack) => {
                self.session.outbound.on_puback(ack.packet_id, counters);
            }
            Packet::PubRec(ack) => self.on_pubrec(ack, wire, counters),
            Packet::PubComp(ack) => {
                self.session.outbound.on_pubcomp(ack.packet_id, counters);
            }
            Packet::PubRel(ack) => {
                let known = self.session.awaiting_release.remove(ack.packet_id);
                let reason = match known {
                    true => ReasonCode::Success,
                    false => ReasonCode::PacketIdentifierNotFound,
                };
                match self.held.as_mut().and_then(|held| held.released.as_mut()) {
                    None => self.answer(Packet::PubComp, ack.packet_id, reason, wire),
                    Some(released) => released.push(HeldAck::PubComp(ack.packet_id, reason)),
                }
                return Ok(Step::Done);
            }
            Packet::Subscribe(subscribe) => {
                self.check_answer(subscribe.filters().count())?;
                if self.on_introduction(subscribe, wire) {
                    return Ok(Step::Done);
                }
                let mut job = SubscribeJob::new(subscribe, self.version, limits);
                if self.v3_bridge().is_some() {
                    job.serve_a_bridge();
                }
                return Ok(Step::Subscribe(job));
            }
            Packet::Unsubscribe(unsubscribe) => {
                self.check_answer(unsubscribe.filters().count())?;
                return Ok(Step::Unsubscribe(UnsubscribeJob::new(unsubscribe)));
            }
            Packet::PingReq => {
                // Two bytes.
                let _ = encode(&Packet::PingResp, self.version, wire);
                return Ok(Step::Done);
            }
            Packet::Disconnect(disconnect) => return self.on_disconnect(disconnect, limits),
            Packet::Connect(_) => return Err(Violation::SecondConnect),
            Packet::Auth(auth) => return self.on_auth(auth),
            Packet::Publish(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp => return Err(Violation::ServerPacket),
        }
        self.pump(wire, limits, now, counters);
        Ok(Step::Done)
    }

    fn on_auth(&self, auth: &Auth<'_>) -> Result<Step, Violation> {
        let special = self.special.as_deref();
        let method = special.and_then(|special| special.authentication_method.as_deref());
        let method = method.ok_or(Violation::AuthWithoutMethod)?;
        if auth.properties.authentication_method() != Some(method) {
            return Err(Violation::OtherAuthMethod);
        }
        let anew = match auth.reason {
            ReasonCode::ReAuthenticate => true,
            ReasonCode::ContinueAuthentication => false,
            _ => return Err(Violation::AuthUnexpected),
        };
        let data = auth.properties.authentication_data().unwrap_or_default();
        Ok(Step::Authenticate {
            anew,
            data: data.to_vec(),
        })
    }

    fn on_pubrec(&mut self, ack: &Ack<'_>, wire: &mut BytesMut, counters: &Counters) {
        let (outbound, mut writer) = self.outbound(wire);
        outbound.on_pubrec(ack.packet_id, ack.reason, &mut writer, counters);
    }

    /// Checks, before anything is changed, that the client takes an answer with `codes` codes `[MQTT-3.1.2-24]`.
    /// Every other answer is shorter than the CONNACK that it took.
    fn check_answer(&self, codes: usize) -> Result<(), Violation> {
        let answer = Packet::SubAck(SubAck {
            packet_id: PacketId::MIN,
            properties: Properties::EMPTY,
            reasons: &vec![0; codes],
        });
        match packet_len(&answer, self.version) > self.max_packet_size as usize {
            true => Err(Violation::AnswerTooLarge),
            false => Ok(()),
        }
    }

    fn on_disconnect(
        &mut self,
        disconnect: &Disconnect<'_>,
        limits: &Mqtt,
    ) -> Result<Step, Violation> {
        if let Some(asked) = disconnect.properties.session_expiry_interval() {
            if self.session.expiry_interval == 0 && asked > 0 {
                return Err(Violation::SessionExpiryRaised);
            }
            self.session.expiry_interval = asked.min(limits.max_session_expiry_interval);
        }
        Ok(Step::Close(CloseReason::Client(disconnect.reason)))
    }

    /// Writes SUBACK; returns the subscriptions whose retained messages are to be sent now.
    pub fn subscribed(
        &mut self,
        mut job: SubscribeJob,
        answers: &[Granted],
        wire: &mut BytesMut,
    ) -> Vec<SubscribeRequest> {
        let wanting_retained = job.granted(answers);
        self.write_codes(Packet::SubAck, job.packet_id, &bytes_of(&job.codes), wire);
        wanting_retained
    }

    /// Writes UNSUBACK; `existed` says of each filter whether it was subscribed to.
    pub fn unsubscribed(&mut self, job: &UnsubscribeJob, existed: &[bool], wire: &mut BytesMut) {
        let codes: Vec<_> = existed
            .iter()
            .map(|existed| match existed {
                true => ReasonCode::Success,
                false => ReasonCode::NoSubscriptionExisted,
            })
            .collect();
        self.write_codes(Packet::UnsubAck, job.packet_id, &bytes_of(&codes), wire);
    }

    fn write_codes<'r>(
        &self,
        kind: fn(SubAck<'r>) -> Packet<'r>,
        packet_id: PacketId,
        reasons: &'r [u8],
        wire: &mut BytesMut,
    ) {
        // Shorter than the packet that it answers.
        let _ = encode(
            &kind(SubAck {
                packet_id,
                properties: Properties::EMPTY,
                reasons,
            }),
            self.version,
            wire,
        );
    }

    /// Messages for the client.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of it is context of one step"
    )]
    pub fn deliver(
        &mut self,
        batch: &Batch,
        range: Range<usize>,
        delivery: &Delivery,
        limits: &Mqtt,
        now: Instant,
        wire: &mut BytesMut,
        counters: &Counters,
    ) {
        let (outbound, mut writer) = self.outbound(wire);
        outbound.deliver(
            batch,
            range,
            delivery,
            Some(&mut writer),
            limits,
            now,
            counters,
        );
    }

    /// A retained message for a new subscription.
    pub fn deliver_retained(
        &mut self,
        message: &Arc<Message>,
        delivery: &Delivery,
        limits: &Mqtt,
        now: Instant,
        wire: &mut BytesMut,
        counters: &Counters,
    ) {
        let (outbound, mut writer) = self.outbound(wire);
        outbound.deliver_retained(message, delivery, &mut writer, limits, now, counters);
    }

    /// Writes what waits, as far as the window and the output buffer have room: after an acknowledgement, after
    /// the output was written, and on a resumed session.
    pub fn pump(&mut self, wire: &mut BytesMut, limits: &Mqtt, now: Instant, counters: &Counters) {
        let (outbound, mut writer) = self.outbound(wire);
        outbound.pump(&mut writer, limits, now, counters);
    }

    fn outbound<'a>(
        &'a mut self,
        wire: &'a mut BytesMut,
    ) -> (&'a mut super::outbound::Outbound, Writer<'a>) {
        let (aliases, broker) = match self.special.as_deref_mut() {
            None => (None, None),
            Some(special) => (
                special.outgoing_aliases.as_mut(),
                match (&mut special.remote, &special.v3_bridge) {
                    (Some(remote), _) => Some(Broker::Remote(remote)),
                    (None, Some(bridge)) => bridge.of().map(|of| Broker::BridgeOf(of.id())),
                    (None, None) => None,
                },
            ),
        };
        let writer = Writer {
            wire,
            version: self.version,
            max_packet_size: self.max_packet_size,
            window: self.window,
            aliases,
            broker,
        };
        (&mut self.session.outbound, writer)
    }

    fn answer(
        &mut self,
        kind: fn(Ack<'static>) -> Packet<'static>,
        id: PacketId,
        reason: ReasonCode,
        wire: &mut BytesMut,
    ) {
        let (_, mut writer) = self.outbound(wire);
        write_ack(kind, id, reason, &mut writer);
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

/// Whether a message is taken.
enum TopicCode {
    /// Success, or why not.
    Reason(ReasonCode),
    /// It has to be asked.
    Ask,
}

/// Success, or why a message to this topic is not taken. `valid` is the last topic that was found valid and is always
/// let through.
fn topic_code<G: Gate>(
    valid: &mut String,
    topic: &str,
    limits: &Mqtt,
    gate: &mut G,
    counters: &Counters,
) -> Result<TopicCode, Violation> {
    if valid == topic {
        return Ok(TopicCode::Reason(ReasonCode::Success));
    }
    match check_topic(topic, limits) {
        Ok(()) => {}
        Err(TopicRefusal::Invalid(_)) => return Err(Violation::TopicNameInvalid),
        Err(TopicRefusal::System) => {
            counters.add(Metric::DroppedNotPermitted, 1);
            return Ok(TopicCode::Reason(ReasonCode::NotAuthorized));
        }
        Err(TopicRefusal::OverLimit) => {
            counters.add(Metric::DroppedTopicLimit, 1);
            return Ok(TopicCode::Reason(ReasonCode::TopicNameInvalid));
        }
    }
    match gate.may_publish(topic) {
        GateAnswer::Always => {}
        GateAnswer::Now => return Ok(TopicCode::Reason(ReasonCode::Success)),
        GateAnswer::Ask => return Ok(TopicCode::Ask),
        refused => {
            counters.add(Metric::DroppedNotPermitted, 1);
            return match refused {
                GateAnswer::Close => Err(Violation::NotPermitted),
                _ => Ok(TopicCode::Reason(ReasonCode::NotAuthorized)),
            };
        }
    }
    valid.clear();
    valid.push_str(topic);
    Ok(TopicCode::Reason(ReasonCode::Success))
}

fn bytes_of(codes: &[ReasonCode]) -> Vec<u8> {
    codes.iter().map(|code| code.as_u8()).collect()
}

fn matched(any: bool) -> ReasonCode {
    match any {
        true => ReasonCode::Success,
        false => ReasonCode::NoMatchingSubscribers,
    }
}
