//! What a bridge shows of itself.

use std::time::Instant;

use actix::{Context, Handler, Message};

use super::{Bridge, Remote};
use crate::{
    messages::{BridgeCounters, BridgeDrop, BridgeFault, BridgeState, BridgeView},
    stats::{DropReason, Metric, Totals},
};

/// Asks a bridge for what lists show of it.
#[derive(Message)]
#[rtype(result = "BridgeView")]
pub struct View;

/// Reasons for which messages do not get to the remote.
const UP: &[DropReason] = &[
    DropReason::OutputFull,
    DropReason::Offline,
    DropReason::QueueFull,
    DropReason::Expired,
    DropReason::TooLarge,
    DropReason::SessionEnded,
    DropReason::Unreadable,
    DropReason::StoreFull,
    DropReason::NotPermitted,
];

impl Handler<View> for Bridge {
    type Result = BridgeView;

    fn handle(&mut self, _: View, _: &mut Context<Self>) -> BridgeView {
        let now = Instant::now();
        let mut totals = Totals::default();
        self.counters.add_to(&mut totals);
        let session = match &self.remote {
            Remote::Up(up) => Some(up.link.session()),
            _ => self.session.as_ref(),
        };
        let outbound = session.map(|session| session.outbound());
        let inflight = outbound.map_or(0, |outbound| outbound.inflight());
        let queued = outbound.map_or(0, |outbound| outbound.queue_len());
        let bytes = outbound.map_or(0, |outbound| outbound.waiting_bytes());
        let (state, server) = match &self.remote {
            _ if !self.config.enable => (BridgeState::Disabled, None),
            Remote::Off | Remote::Waiting { .. } | Remote::Closing { .. } => {
                (BridgeState::Waiting, self.server())
            }
            Remote::Connecting(attempt) => (BridgeState::Connecting, Some(attempt.url.clone())),
            Remote::Greeting { url, .. } => (BridgeState::Connecting, Some(url.clone())),
            Remote::Up(up) => {
                // Not before what it asked for holds.
                let is_ready = up.link.unanswered() == 0 && self.is_forwarding();
                let state = match is_ready {
                    true => BridgeState::Connected,
                    false => BridgeState::Connecting,
                };
                (state, Some(up.url.clone()))
            }
        };
        BridgeView {
            name: self.name.clone(),
            config: self.config.clone(),
            state,
            client_id: self.client_id().into(),
            server,
            backlog: (inflight + queued) as u64,
            inflight: inflight as u64,
            window: match &self.remote {
                Remote::Up(up) => up.link.window(),
                _ => self.config.inflight_window(),
            },
            backlog_bytes: bytes as u64,
            last_error: self.fault.as_ref().map(|(what, at)| BridgeFault {
                what: what.clone(),
                ago: now.saturating_duration_since(*at),
            }),
            connected_for: match &self.remote {
                Remote::Up(up) => Some(now.saturating_duration_since(up.since)),
                _ => None,
            },
            next_attempt_in: match &self.remote {
                Remote::Waiting { until } => Some(until.saturating_duration_since(now)),
                _ => None,
            },
            counters: self.figures(&totals),
        }
    }
}

impl Bridge {
    fn figures(&self, totals: &Totals) -> BridgeCounters {
        let counted = |drop: BridgeDrop, metric: Metric| {
            let n = totals.get(metric);
            (n > 0).then_some((drop, n))
        };
        let mut dropped_up: Vec<_> = UP
            .iter()
            .filter_map(|reason| counted((*reason).into(), reason.metric()))
            .collect();
        dropped_up.extend(counted(BridgeDrop::Refused, Metric::DroppedRefused));
        dropped_up.extend(counted(BridgeDrop::Loop, Metric::DroppedLoopToRemote));
        dropped_up.extend(counted(BridgeDrop::Topic, Metric::DroppedTopicOfRemote));
        let dropped_down = [
            (BridgeDrop::Loop, Metric::DroppedLoop),
            (BridgeDrop::NotSubscribed, Metric::DroppedNotSubscribed),
            (BridgeDrop::Topic, Metric::DroppedTopicLimit),
        ];
        let dropped_down = dropped_down.into_iter();
        BridgeCounters {
            sent_messages: totals.messages_sent(),
            received_messages: totals.messages_received(),
            sent_bytes: totals.get(Metric::BytesSent),
            received_bytes: totals.get(Metric::BytesReceived),
            acknowledged: totals.get(Metric::MessagesAcknowledged),
            connects: self.connects,
            reconnects: self.connects.saturating_sub(1),
            failed_connects: self.failed_connects,
            protocol_errors: totals.get(Metric::ProtocolErrors),
            dropped_up,
            dropped_down: dropped_down
                .filter_map(|(drop, metric)| counted(drop, metric))
                .collect(),
        }
    }
}
