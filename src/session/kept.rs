//! What outlives a connection `[MQTT-4.1.0-1]`.

use std::{ops::Range, time::Instant};

use super::{
    awaiting_release::AwaitingRelease,
    outbound::{Delivery, Outbound},
};
use crate::{
    config::Mqtt,
    mqtt::{Batch, PacketId},
    stats::Counters,
};

/// The session state of a client, but for its subscriptions, which the registry keeps.
#[derive(Debug, Default)]
pub struct Session {
    pub(super) outbound: Outbound,
    pub(super) awaiting_release: AwaitingRelease,
    /// Seconds to keep it after the connection ends; `u32::MAX`: for ever `[MQTT-3.1.2-23]`.
    pub expiry_interval: u32,
}

impl Session {
    /// A session as the durable store gives it back: what is to be sent, and identifiers of unreleased QoS 2 messages of
    /// the client.
    pub fn restored(outbound: Outbound, taken: &[u16], expiry_interval: u32) -> Self {
        let mut awaiting_release = AwaitingRelease::default();
        for id in taken.iter().filter_map(|id| PacketId::new(*id)) {
            awaiting_release.insert(id);
        }
        Self {
            outbound,
            awaiting_release,
            expiry_interval,
        }
    }

    /// A QoS 2 message that was taken could not be stored: it is as if it had not come.
    pub fn forget_taken(&mut self, id: PacketId) {
        self.awaiting_release.remove(id);
    }

    /// Takes messages while nobody is connected.
    pub fn deliver_offline(
        &mut self,
        batch: &Batch,
        range: Range<usize>,
        delivery: &Delivery,
        limits: &Mqtt,
        now: Instant,
        counters: &Counters,
    ) {
        self.outbound
            .deliver(batch, range, delivery, None, limits, now, counters);
    }

    /// Messages to and from the client in their present state.
    pub fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    /// See [`Outbound::take_orphans`].
    pub fn outbound_mut(&mut self) -> &mut Outbound {
        &mut self.outbound
    }
}
