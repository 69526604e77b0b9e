//! What outlives a connection `[MQTT-4.1.0-1]`.

use std::{ops::Range, time::Instant};

use super::{
    awaiting_release::AwaitingRelease,
    outbound::{Delivery, Outbound},
};
use crate::{config::Mqtt, mqtt::Batch, stats::Counters};

/// The session state of a client, but for its subscriptions, which the registry keeps.
#[derive(Debug, Default)]
pub struct Session {
    pub(super) outbound: Outbound,
    pub(super) awaiting_release: AwaitingRelease,
    /// Seconds to keep it after the connection ends; `u32::MAX`: for ever `[MQTT-3.1.2-23]`.
    pub expiry_interval: u32,
}

impl Session {
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
