//! An open connection to a remote broker, from CONNACK on: every packet of it and every message to it. No socket, no
//! clock.

use std::{sync::Arc, time::Instant};

use bytes::BytesMut;

use super::{
    Broken,
    echoes::Echoes,
    greeting::{Accepted, max_packet_size, version},
    incoming::{Incoming, Into, Taken, dropped},
    marks::{Marks, Origin},
    pings::{Pings, Silence},
    requests::{Answered, Form, Requests},
};
use crate::{
    config::{BridgeConfig, BridgeSubscription, Mqtt, RETAIN_KEPT},
    mqtt::{
        Ack, Disconnect, Packet, Properties, Publish, QoS, ReasonCode, Sender, decode_as, encode,
        frame_header, hops,
    },
    session::{
        Channel, ForwardRule, Gate, GateAnswer, Publishing, RemoteTerms, Session, ToRemote,
        Violation, digest,
    },
    stats::{Counters, Metric},
};

/// Messages of the remote with QoS 1 and 2 that are handled before the subscribers get their turn.
const ACKNOWLEDGED_PER_TURN: u32 = 256;

/// What a connection is opened with.
#[derive(Debug)]
pub struct Opening<'a> {
    /// The bridge.
    pub config: &'a BridgeConfig,
    /// Client id of its session at this broker.
    pub session_id: Arc<str>,
    /// The session.
    pub session: Session,
    /// What the remote has agreed to.
    pub accepted: Accepted,
    /// The remote knows that it is a bridge that greets, and sends nothing back.
    pub bridge_bit: bool,
    /// The identity of this broker.
    pub own_id: Arc<str>,
}

/// See the module's description.
#[derive(Debug)]
pub struct Link {
    channel: Channel,
    incoming: Incoming,
    requests: Requests,
    pings: Pings,
    form: Form,
    own_id: Arc<str>,
    remote_id: Option<Box<str>>,
    /// Set where the remote may send back what this bridge sent: those messages by their topic there.
    echoes: Option<Echoes>,
    /// MQTT 3 is spoken with a remote that is not known, and what was sent is remembered.
    remembers: bool,
    /// The remote is being told who the bridge is, until then. Nothing is sent before, as it may have been there.
    introduction: Option<Instant>,
}

/// What came of bytes that were received.
#[derive(Debug, Default)]
pub struct Received {
    /// How many of the bytes are done with.
    pub used: usize,
    /// There may be whole packets in the rest.
    pub more: bool,
    /// What the remote answered to requests.
    pub answered: Vec<Answered>,
    /// The connection has to end.
    pub broken: Option<Broken>,
}

/// What a PUBLISH goes through.
struct Scope<'a, P> {
    limits: &'a Mqtt,
    now: Instant,
    wire: &'a mut BytesMut,
    publishing: &'a mut P,
    counters: &'a Counters,
    marks: &'a Marks,
    origin: Origin,
}

/// What the bytes of the remote are handled with.
#[derive(Debug)]
pub struct Surroundings<'a, P> {
    /// Limits of the bridge.
    pub limits: &'a Mqtt,
    /// The time.
    pub now: Instant,
    /// The connection's output.
    pub wire: &'a mut BytesMut,
    /// Takes messages on.
    pub publishing: &'a mut P,
    /// The bridge's.
    pub counters: &'a Counters,
    /// Those of all bridges.
    pub marks: &'a Marks,
    /// This bridge and its remote.
    pub origin: Origin,
}

impl Link {
    /// A connection that the remote has accepted.
    pub fn open(opening: Opening<'_>, now: Instant) -> Self {
        let Opening {
            config,
            session_id,
            session,
            accepted,
            bridge_bit,
            own_id,
        } = opening;
        let version = version(config);
        let form = Form {
            version,
            max_packet_size: accepted.max_packet_size,
            identifiers: accepted.subscription_identifiers,
        };
        let v3 = !version.is_v5() && config.no_local_v4;
        let ids = (own_id.clone(), accepted.remote_id.clone());
        let to_remote = ToRemote::new(
            rules(config),
            accepted.max_qos,
            accepted.retain_available,
            ids,
            v3,
        );
        let keep_alive = accepted.keep_alive;
        Self {
            incoming: Incoming::new(
                &config.subscription,
                config.conn_properties.topic_alias_maximum,
            ),
            requests: Requests::default(),
            pings: Pings::new(keep_alive, config.ping_timeout, now),
            form,
            own_id,
            remote_id: accepted.remote_id,
            remembers: v3,
            introduction: None,
            echoes: (v3 && !bridge_bit).then(Echoes::default),
            channel: Channel::to_remote(
                session_id,
                RemoteTerms {
                    version,
                    window: accepted.window,
                    max_packet_size: accepted.max_packet_size,
                    topic_aliases: accepted.topic_aliases,
                    to_remote,
                },
                session,
                now,
            ),
        }
    }

    /// The session and what is sent.
    pub fn channel(&mut self) -> &mut Channel {
        &mut self.channel
    }

    /// As [`Link::channel`], to look at.
    pub fn session(&self) -> &Session {
        self.channel.session()
    }

    /// Most messages with QoS 1 and 2 that are sent and not acknowledged.
    pub fn window(&self) -> u16 {
        self.channel.window()
    }

    /// Takes the session back.
    pub fn into_session(self) -> Session {
        self.channel
            .close(&crate::session::CloseReason::PeerClosed)
            .0
    }

    /// Requests that the remote has not answered.
    pub fn unanswered(&self) -> usize {
        let introduction = usize::from(self.introduction.is_some());
        self.requests.len().saturating_add(introduction)
    }

    /// Says with MQTT 3 which broker the bridge is of. The remote may take until `deadline` to answer.
    pub fn introduce(&mut self, deadline: Instant, wire: &mut BytesMut) {
        let outbound = self.channel.session().outbound();
        let id = |number| outbound.free_id(number);
        self.requests.introduce(&self.own_id, self.form, id, wire);
        self.introduction = Some(deadline);
    }

    /// Whether the remote is being told who the bridge is, so that nothing is to be sent yet.
    pub fn is_introducing(&self) -> bool {
        self.introduction.is_some()
    }

    /// A message that says who the remote is.
    fn on_introduction(&mut self, publish: &Publish<'_>) -> bool {
        let of = publish.topic.strip_prefix(hops::INTRODUCTION);
        if of != Some(&*self.own_id) || publish.qos > QoS::AtMostOnce {
            return false;
        }
        let id = std::str::from_utf8(publish.payload).unwrap_or_default();
        // A bridge of this broker to itself is one like others.
        if hops::is_id(id) && id != &*self.own_id {
            self.remote_id = Some(id.into());
            self.remembers = false;
            self.echoes = None;
            if let Some(to_remote) = self.channel.remote_mut() {
                to_remote.know(id);
            }
        }
        true
    }

    /// Subscribes to topics of the remote.
    pub fn subscribe(
        &mut self,
        config: &BridgeConfig,
        subscriptions: &[BridgeSubscription],
        wire: &mut BytesMut,
    ) -> Answered {
        let outbound = self.channel.session().outbound();
        let id = |number| outbound.free_id(number);
        self.requests
            .subscribe(config, subscriptions, self.form, id, wire)
    }

    /// Ends subscriptions.
    pub fn unsubscribe(&mut self, topics: &[String], wire: &mut BytesMut) {
        let outbound = self.channel.session().outbound();
        let id = |number| outbound.free_id(number);
        self.requests.unsubscribe(topics, self.form, id, wire);
    }

    /// The bridge is subscribed to these from now on, whatever the remote knows.
    pub fn change_subscriptions(&mut self, subscriptions: &[BridgeSubscription]) {
        self.incoming.change(subscriptions);
    }

    /// Writes DISCONNECT.
    pub fn write_disconnect(&self, reason: ReasonCode, wire: &mut BytesMut) {
        let packet = Packet::Disconnect(Disconnect {
            reason,
            properties: Properties::EMPTY,
        });
        // A few bytes.
        let _ = encode(&packet, self.form.version, wire);
    }

    /// Packets were written.
    pub fn sent(&mut self, now: Instant) {
        self.pings.sent(now);
    }

    /// Bytes have come.
    pub fn heard(&mut self, now: Instant) {
        self.pings.received(now);
    }

    fn is_waiting(&self) -> bool {
        !self.requests.is_empty()
            || self.introduction.is_some()
            || self.channel.session().outbound().inflight() > 0
    }

    /// When [`Link::on_time`] is to be called at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        let pings = self.pings.deadline(self.is_waiting());
        [pings, self.introduction].into_iter().flatten().min()
    }

    /// Writes PINGREQ when it is time.
    ///
    /// # Errors
    /// [`Broken::Silent`] when the last one was not answered.
    pub fn on_time(&mut self, now: Instant, wire: &mut BytesMut) -> Result<(), Broken> {
        // Who does not answer does not know either.
        self.introduction = self.introduction.filter(|deadline| *deadline > now);
        match self.pings.check(self.is_waiting(), now) {
            Silence::Bearable => Ok(()),
            Silence::Ping => {
                // Two bytes.
                let _ = encode(&Packet::PingReq, self.form.version, wire);
                self.pings.pinged(now);
                Ok(())
            }
            Silence::Dead => Err(Broken::Silent),
        }
    }

    /// Remembers what was sent since the last call, where copies of it may come back: at this connection, and, by the
    /// marks of all bridges, at others.
    pub fn note_sent(&mut self, to: Origin, marks: &Marks, now: Instant) {
        let Some(to_remote) = self.channel.remote_mut() else {
            return;
        };
        for sent in to_remote.take_sent() {
            // Under another topic there it would have to be renamed back to be a copy: rather than that, an equal message
            // is a message of somebody else's.
            if sent.local_topic == sent.remote_topic {
                marks.sent(to, &sent.local_topic, sent.payload, now);
            }
            if let Some(echoes) = &mut self.echoes
                && self.incoming.is_subscribed(&sent.remote_topic)
            {
                echoes.sent(0, "", &sent.remote_topic, sent.payload, now);
            }
        }
    }

    /// Handles the packets in what was received.
    pub fn receive<P: Publishing>(
        &mut self,
        data: &[u8],
        config: &BridgeConfig,
        around: Surroundings<'_, P>,
    ) -> Received {
        let mut received = Received::default();
        let mut acknowledged = 0;
        let most = max_packet_size(config, around.limits);
        let mut scope = Scope {
            limits: around.limits,
            now: around.now,
            wire: around.wire,
            publishing: around.publishing,
            counters: around.counters,
            marks: around.marks,
            origin: around.origin,
        };
        loop {
            let rest = data.get(received.used..).unwrap_or_default();
            let header = match frame_header(rest, most) {
                Ok(Some(header)) => header,
                Ok(None) => return received,
                Err(error) => {
                    received.broken = Some(Broken::Violation(error.into()));
                    return received;
                }
            };
            if acknowledged >= ACKNOWLEDGED_PER_TURN {
                received.more = true;
                return received;
            }
            let body = rest.get(header.header_len..header.packet_len());
            let body = body.unwrap_or_default();
            scope.counters.add(Metric::PacketsReceived, 1);
            let handled = decode_as(Sender::Server, self.form.version, header.first_byte, body)
                .map_err(|error| Broken::Violation(error.into()))
                .and_then(|packet| {
                    if let Packet::Publish(publish) = &packet {
                        acknowledged += u32::from(publish.qos > QoS::AtMostOnce);
                    }
                    self.on_packet(&packet, &mut scope)
                });
            match handled {
                Ok(answered) => received.answered.extend(answered),
                Err(broken) => {
                    received.broken = Some(broken);
                    return received;
                }
            }
            received.used = received.used.saturating_add(header.packet_len());
        }
    }

    fn on_packet<P: Publishing>(
        &mut self,
        packet: &Packet<'_>,
        scope: &mut Scope<'_, P>,
    ) -> Result<Option<Answered>, Broken> {
        if packet.properties().iter().count() > scope.limits.max_properties {
            return Err(Broken::Violation(Violation::TooManyProperties));
        }
        match packet {
            Packet::Publish(publish) => self.on_publish(publish, scope)?,
            Packet::PubAck(ack) | Packet::PubRec(ack) => {
                self.on_refusal(ack, scope.counters)?;
                self.pass_on(packet, scope)?;
            }
            Packet::PubRel(_) | Packet::PubComp(_) => self.pass_on(packet, scope)?,
            Packet::SubAck(ack) => {
                let answered = self.requests.on_suback(ack).ok_or(Broken::WrongAnswer)?;
                if answered.introduced {
                    self.introduction = None;
                }
                return Ok(Some(answered));
            }
            Packet::UnsubAck(ack) => {
                let answered = self.requests.on_unsuback(ack);
                return answered.map(Some).ok_or(Broken::WrongAnswer);
            }
            Packet::PingResp => {}
            Packet::Disconnect(disconnect) => {
                let why = disconnect.properties.reason_string().unwrap_or_default();
                let moved = disconnect.properties.server_reference();
                let why = match moved {
                    Some(server) => format!("{why} (it names {server})"),
                    None => why.to_owned(),
                };
                return Err(Broken::Closed(disconnect.reason, why));
            }
            Packet::Auth(_) => return Err(Broken::Violation(Violation::AuthWithoutMethod)),
            // A second CONNACK; the others are not sent by servers, and not decoded.
            Packet::ConnAck(_)
            | Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq => return Err(Broken::Violation(Violation::SecondConnect)),
        }
        Ok(None)
    }

    /// Acknowledgements of both directions.
    fn pass_on<P>(&mut self, packet: &Packet<'_>, scope: &mut Scope<'_, P>) -> Result<(), Broken> {
        let handled =
            self.channel
                .on_packet(packet, scope.limits, scope.now, scope.wire, scope.counters);
        handled.map(drop).map_err(Broken::Violation)
    }

    /// A message that the remote does not take.
    fn on_refusal(&self, ack: &Ack<'_>, counters: &Counters) -> Result<(), Broken> {
        match ack.reason {
            ReasonCode::QuotaExceeded => Err(Broken::Busy(ack.reason)),
            reason if reason.is_error() => {
                counters.add(Metric::DroppedRefused, 1);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn on_publish<P: Publishing>(
        &mut self,
        publish: &Publish<'_>,
        scope: &mut Scope<'_, P>,
    ) -> Result<(), Broken> {
        if self.introduction.is_some() && self.on_introduction(publish) {
            return Ok(());
        }
        scope.counters.add(Metric::received(publish.qos), 1);
        // With MQTT 3 the topic is in the packet.
        let payload = self.remembers.then(|| digest(publish.payload));
        let is_own = match (&mut self.echoes, payload) {
            (Some(echoes), Some(payload)) => {
                echoes.is_echo(1, "", publish.topic, payload, scope.now)
            }
            _ => false,
        };
        let remote_id = self.remote_id.as_deref();
        let taken = self.incoming.take(publish, &self.own_id, remote_id);
        let (publish, drop) = match taken.map_err(Broken::Violation)? {
            Taken::Publish(publish) => {
                let (origin, topic) = (scope.origin, publish.topic);
                let is_echo = payload
                    .is_some_and(|payload| scope.marks.is_echo(origin, topic, payload, scope.now));
                match is_own || is_echo {
                    true => (dropped(&publish), Some(Metric::DroppedLoop)),
                    false => (publish, None),
                }
            }
            Taken::Drop(metric) => (dropped(publish), Some(metric)),
        };
        let mut into = Into {
            inner: scope.publishing,
            drop,
            counters: scope.counters,
            now: scope.now,
        };
        let handled = self.channel.on_publish(
            &publish,
            &[],
            scope.limits,
            scope.now,
            scope.wire,
            &mut Open,
            &mut into,
            scope.counters,
        );
        handled.map(|_| ()).map_err(Broken::Violation)
    }
}

/// A bridge may publish what its configuration says.
struct Open;

impl Gate for Open {
    fn may_publish(&mut self, _: &str) -> GateAnswer {
        GateAnswer::Now
    }
}

/// How forwarded messages change.
pub fn rules(config: &BridgeConfig) -> Arc<[ForwardRule]> {
    // Those whose topics cannot be changed are refused when the configuration is read.
    let rules = config.forwards.iter().filter_map(|forward| {
        Some(ForwardRule {
            map: forward.map().ok()?,
            retain: match forward.retain {
                RETAIN_KEPT => None,
                retain => Some(retain == 1),
            },
        })
    });
    rules.collect()
}

/// The limits of a bridge's session, where they differ from those of clients.
pub fn limits(config: &BridgeConfig, limits: &Mqtt) -> Mqtt {
    Mqtt {
        max_mqueue_len: config.max_send_queue_len,
        max_mqueue_bytes: config.max_send_queue_bytes,
        mqueue_policy: config.queue_policy,
        max_inflight_window: config.inflight_window(),
        // A remote that sends more than it was told costs an identifier for each, and no more; some do after a
        // reconnect (Mosquitto 2.0.11), and would never get on.
        receive_maximum: u16::MAX,
        max_qos: QoS::ExactlyOnce as u8,
        retain_available: true,
        max_payload_size: 0,
        ..limits.clone()
    }
}

#[cfg(test)]
mod tests;
