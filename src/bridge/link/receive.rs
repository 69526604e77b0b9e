//! What a remote sends: its packets, one after the other.

use std::time::Instant;

use bytes::BytesMut;

use super::Link;
use crate::{
    bridge::{
        Answered, Broken,
        greeting::max_packet_size,
        incoming::{Into, Taken, dropped},
        marks::{Marks, Origin},
    },
    config::{BridgeConfig, Mqtt},
    mqtt::{Ack, Packet, Publish, QoS, ReasonCode, Sender, decode_as, frame_header, hops},
    session::{Gate, GateAnswer, Publishing, Violation, digest},
    stats::{Counters, Metric},
};

/// Messages of the remote with QoS 1 and 2 that are handled before the subscribers get their turn.
const ACKNOWLEDGED_PER_TURN: u32 = 256;

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
}

/// A bridge may publish what its configuration says.
struct Open;

impl Gate for Open {
    fn may_publish(&mut self, _: &str) -> GateAnswer {
        GateAnswer::Now
    }
}
