//! Messages to the client.

use std::{ops::Range, time::Instant};

use bytes::BytesMut;

use super::Channel;
use crate::{
    config::Mqtt,
    mqtt::{AckType, Batch, Message, PacketId, ReasonCode, encode_ack},
    session::{Delivery, Outbound, Writer, writer::Broker},
    stats::Counters,
};

impl Channel {
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

    /// The packets of messages for the client, if it gets them as they came. Whoever has the socket take them without
    /// [`Channel::deliver`] says so with [`Channel::count_written`].
    pub fn verbatim<'b>(
        &mut self,
        batch: &'b Batch,
        range: &Range<usize>,
        delivery: &Delivery,
        wire: &mut BytesMut,
    ) -> Option<&'b [u8]> {
        self.outbound(wire).1.verbatim(batch, range, delivery)
    }

    /// Counts messages with QoS 0 that were written.
    pub fn count_written(&mut self, number: usize, counters: &Counters) {
        let outbound = &mut self.session.outbound;
        outbound.count_written(number as u64, counters);
    }

    /// A retained message for a new subscription.
    pub fn deliver_retained(
        &mut self,
        message: &Message,
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

    /// Drops what waits for the client and is of a topic that `may_receive` says no to.
    pub fn purge(&mut self, may_receive: impl FnMut(&str) -> bool, counters: &Counters) {
        self.session.outbound.purge(may_receive, counters);
    }

    pub(super) fn outbound<'a>(
        &'a mut self,
        wire: &'a mut BytesMut,
    ) -> (&'a mut Outbound, Writer<'a>) {
        let (aliases, broker, window) = match self.special.as_deref_mut() {
            None => (None, None, self.window),
            Some(special) => {
                let broker = match (&mut special.remote, &special.v3_bridge) {
                    (Some(remote), _) => Some(Broker::Remote(remote)),
                    (None, Some(bridge)) if bridge.silent_until().is_some() => Some(Broker::Silent),
                    (None, Some(bridge)) => bridge.of().map(|of| Broker::BridgeOf(of.id())),
                    (None, None) => None,
                };
                let window = match broker {
                    Some(Broker::Silent) => 0,
                    _ => self.window,
                };
                (special.outgoing_aliases.as_mut(), broker, window)
            }
        };
        let writer = Writer {
            wire,
            version: self.version,
            max_packet_size: self.max_packet_size,
            window,
            aliases,
            broker,
        };
        (&mut self.session.outbound, writer)
    }

    pub(super) fn answer(
        &self,
        kind: AckType,
        id: PacketId,
        reason: ReasonCode,
        wire: &mut BytesMut,
    ) {
        encode_ack(kind, id, reason, self.version, wire);
    }
}
