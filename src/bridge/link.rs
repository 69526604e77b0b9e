//! An open connection to a remote broker, from CONNACK on: every packet of it and every message to it. No socket, no
//! clock.

mod receive;

use std::{sync::Arc, time::Instant};

use bytes::BytesMut;

pub use self::receive::{Received, Surroundings};
use super::{
    Broken,
    echoes::Echoes,
    greeting::{Accepted, version},
    incoming::Incoming,
    marks::{Marks, Origin},
    pings::{Pings, Silence},
    requests::{Answered, Form, Requests},
};
use crate::{
    config::{BridgeConfig, BridgeSubscription, Mqtt, RETAIN_KEPT},
    mqtt::{Disconnect, Packet, Properties, QoS, ReasonCode, encode},
    session::{Channel, ForwardRule, RemoteTerms, Session, ToRemote},
};

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
