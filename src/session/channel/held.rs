//! Acknowledgements that wait for the durable store.

use bytes::BytesMut;

use super::Channel;
use crate::mqtt::{AckType, PacketId, ReasonCode};

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

/// Acknowledgements that the connection lets go when the store has what they are about.
#[derive(Debug, Default)]
pub(super) struct HeldAcks {
    /// Of messages.
    pub(super) messages: Vec<HeldAck>,
    /// Set where the session is in the store: PUBCOMP, and the identifiers that it releases.
    pub(super) released: Option<Vec<HeldAck>>,
}

impl Channel {
    /// Acknowledgements of messages are held back from now on, for [`Channel::take_held`]; if the `session` is in the
    /// store, those of PUBREC and PUBREL too, for [`Channel::take_released`].
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
            let (kind, id, reason) = match *ack {
                HeldAck::PubAck(id, reason) => (AckType::PubAck, id, reason),
                HeldAck::PubRec(id, reason) => (AckType::PubRec, id, reason),
                HeldAck::PubRel(id) => (AckType::PubRel, id, ReasonCode::Success),
                HeldAck::PubComp(id, reason) => (AckType::PubComp, id, reason),
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

    /// Acknowledges a message, now or when the store has it.
    pub(super) fn acknowledge(&mut self, ack: HeldAck, wire: &mut BytesMut) {
        match &mut self.held {
            None => self.write_held(&[ack], true, wire),
            Some(held) => held.messages.push(ack),
        }
    }
}
