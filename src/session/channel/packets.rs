//! Every packet of the client but PUBLISH, and the answers to its subscriptions.

use std::time::Instant;

use bytes::BytesMut;

use super::{Channel, HeldAck, Step};
use crate::{
    config::Mqtt,
    mqtt::{
        Ack, AckType, Auth, Disconnect, Packet, PacketId, Properties, ReasonCode, SubAck, encode,
        packet_len,
    },
    session::{
        CloseReason, SubscribeJob, UnsubscribeJob, Violation,
        subscribe::{Granted, SubscribeRequest},
    },
    stats::Counters,
};

impl Channel {
    /// Any packet but PUBLISH; acknowledgements go to [`Channel::on_ack`].
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
                self.on_ack(AckType::PubAck, ack, limits, now, wire, counters)?
            }
            Packet::PubRec(ack) => {
                self.on_ack(AckType::PubRec, ack, limits, now, wire, counters)?
            }
            Packet::PubRel(ack) => {
                self.on_ack(AckType::PubRel, ack, limits, now, wire, counters)?
            }
            Packet::PubComp(ack) => {
                self.on_ack(AckType::PubComp, ack, limits, now, wire, counters)?
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
        Ok(Step::Done)
    }

    /// An acknowledgement, apart from the other packets since there is one for each message.
    ///
    /// # Errors
    /// As [`Channel::on_packet`].
    #[inline]
    pub fn on_ack(
        &mut self,
        kind: AckType,
        ack: &Ack<'_>,
        limits: &Mqtt,
        now: Instant,
        wire: &mut BytesMut,
        counters: &Counters,
    ) -> Result<(), Violation> {
        if ack.properties.iter().count() > limits.max_properties {
            return Err(Violation::TooManyProperties);
        }
        let id = ack.packet_id;
        let outbound = &mut self.session.outbound;
        match kind {
            AckType::PubAck => {
                outbound.on_puback(id, counters);
            }
            AckType::PubRec => {
                let (outbound, mut writer) = self.outbound(wire);
                outbound.on_pubrec(id, ack.reason, &mut writer, counters);
            }
            AckType::PubComp => {
                outbound.on_pubcomp(id, counters);
            }
            AckType::PubRel => {
                let reason = match self.session.awaiting_release.remove(id) {
                    true => ReasonCode::Success,
                    false => ReasonCode::PacketIdentifierNotFound,
                };
                match self.held.as_mut().and_then(|held| held.released.as_mut()) {
                    None => self.answer(AckType::PubComp, id, reason, wire),
                    Some(released) => released.push(HeldAck::PubComp(id, reason)),
                }
            }
        }
        if self.session.outbound.is_waiting() {
            self.pump(wire, limits, now, counters);
        }
        Ok(())
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
}

fn bytes_of(codes: &[ReasonCode]) -> Vec<u8> {
    codes.iter().map(|code| code.as_u8()).collect()
}
