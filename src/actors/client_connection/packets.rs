//! The packets of a connected client, and the answers of other actors that they wait for.

use std::time::Instant;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use bytes::Bytes;

use super::{
    ClientConnection, Connected, Phase, drive::count, hold::Hold, permissions::ClientGate,
};
use crate::{
    actors::clock,
    mqtt::{AckType, PacketType, QoS, decode, decode_ack, decode_publish, frame_header},
    session::{CloseReason, Published, Step, SubscribeJob, Violation},
    stats::{Counters, Metric},
};

/// Filters of SUBSCRIBE packets behind one another that the registry is asked about at once: who comes back with many
/// subscriptions costs it one question for all of them, and publishers look up once more what they remember.
const JOINED_FILTERS: usize = 64;
/// Bodies asked for at once.
const BODIES_PAGE: usize = 512;

/// QoS 1 and 2 messages of a publisher that are handled before their subscribers get their turn: what fits a queue
/// must not overflow it only because it came in one read.
const ACKNOWLEDGED_PER_TURN: u64 = 256;

/// QoS 1 and 2 messages in one read that are acknowledged when their subscribers have had their turn. Of more than these none
/// is waited for by itself, and one turn for all that they are about costs less.
const ACKNOWLEDGED_LATER: u64 = 4;

/// How the packets of a chunk ended.
enum End {
    /// All handled; what is left is the beginning of a packet.
    Partial,
    /// The rest waits until others had their turn.
    Pause,
    /// The rest waits until this is done.
    Step(Step),
    Violation(Violation),
}

impl ClientConnection {
    /// Handles bytes that were read, or waited.
    pub(super) fn handle_bytes(&mut self, data: Bytes, now: Instant, ctx: &mut Context<Self>) {
        match &self.phase {
            Phase::AwaitingConnect(_) => self.handle_first(data, ctx),
            Phase::Authenticating(_) => self.handle_auth(data, ctx),
            Phase::Connected(_) => self.handle_packets(data, now, ctx),
            Phase::Opening(_) | Phase::Arriving(..) | Phase::Closing(_) | Phase::Moved(_) => {}
        }
    }

    fn handle_packets(&mut self, data: Bytes, now: Instant, ctx: &mut Context<Self>) {
        let Phase::Connected(connected) = &mut self.phase else {
            return;
        };
        let Connected {
            channel,
            inbox,
            permissions,
            held,
            drain,
            acknowledges,
            ..
        } = &mut **connected;
        let worker = &*self.worker;
        if permissions.renew(&worker.shared.policy.load()) {
            channel.forget_topic();
        }
        let mut gate = ClientGate { permissions, now };
        let counters = &worker.counters;
        let config = worker.shared.config.load();
        let limits = &config.mqtt;
        let version = channel.version();
        let mut router = worker.router.borrow_mut();
        let mut pass = router.start(inbox, &data, now);
        let bridge = channel.v3_bridge();
        let is_bridge = bridge.is_some();
        if let Some(of) = bridge {
            pass = pass.of_v3_bridge(self.peer.ip(), of);
        }
        let mut rest: &[u8] = &data;
        let mut packets = 0;
        let mut published = [0u64; 3];
        let mut jobs: Vec<SubscribeJob> = Vec::new();
        let mut filters = 0;
        let end = loop {
            let header = match frame_header(rest, limits.max_packet_size) {
                Ok(Some(header)) => header,
                Ok(None) => break End::Partial,
                Err(error) => break End::Violation(error.into()),
            };
            if published[1] + published[2] >= ACKNOWLEDGED_PER_TURN {
                break End::Pause;
            }
            let Some((packet, behind)) = rest.split_at_checked(header.packet_len()) else {
                break End::Partial;
            };
            let body = packet.get(header.header_len..).unwrap_or_default();
            packets += 1;
            if let Some(kind) = AckType::from_first_byte(header.first_byte) {
                let handled = decode_ack(kind, version, header.first_byte, body)
                    .map_err(Violation::from)
                    .and_then(|ack| {
                        channel.on_ack(kind, &ack, limits, now, &mut self.wire, counters)
                    });
                match handled {
                    Ok(()) => rest = behind,
                    Err(violation) => break End::Violation(violation),
                }
                continue;
            }
            let step = if header.first_byte >> 4 == PacketType::Publish as u8 {
                decode_publish(version, header.first_byte, body)
                    .map_err(Violation::from)
                    .and_then(|publish| {
                        if let Some(count) = published.get_mut(publish.qos as usize) {
                            *count += 1;
                        }
                        channel
                            .on_publish(
                                &publish,
                                packet,
                                limits,
                                now,
                                &mut self.wire,
                                &mut gate,
                                &mut pass,
                                counters,
                            )
                            .inspect_err(|violation| count_violating(violation, counters))
                    })
                    .map(|published| match published {
                        Published::Done => Step::Done,
                        Published::Ask(topic) => Step::AskPublish(topic),
                    })
            } else {
                decode(version, header.first_byte, body)
                    .map_err(Violation::from)
                    .and_then(|packet| {
                        channel.on_packet(&packet, limits, now, &mut self.wire, counters)
                    })
            };
            match step {
                Ok(Step::Done) => rest = behind,
                Ok(step @ Step::AskPublish(_)) => {
                    // The packet is handled, and counted, when the answer is there.
                    packets -= 1;
                    let qos = header.first_byte >> 1 & 3;
                    if let Some(count) = published.get_mut(usize::from(qos)) {
                        *count = count.saturating_sub(1);
                    }
                    break End::Step(step);
                }
                Ok(Step::Subscribe(job)) => {
                    rest = behind;
                    filters += job.filters();
                    jobs.push(job);
                    let more = rest.first() == Some(&header.first_byte);
                    // One by which a bridge says who it is has no answer of the registry to wait for.
                    if !more || filters >= JOINED_FILTERS || is_bridge {
                        break End::Pause;
                    }
                }
                Ok(step) => {
                    rest = behind;
                    break End::Step(step);
                }
                Err(_) if !jobs.is_empty() => {
                    // It is read, and counted, again when what came before it is answered.
                    packets -= 1;
                    break End::Pause;
                }
                Err(violation) => break End::Violation(violation),
            }
        };
        pass.finish();
        held.answers(channel, inbox, &mut router);
        // The beginning of a packet does not count: a packet that never ends keeps no connection.
        if packets > 0 {
            channel.seen(now);
            if is_bridge && channel.end_silence() {
                channel.pump(&mut self.wire, limits, now, counters);
            }
        }
        self.hold = Hold::new(&mut router).map(Box::new);
        drop(router);
        counters.add(Metric::PacketsReceived, packets);
        for (qos, n) in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]
            .into_iter()
            .zip(published)
        {
            counters.add(Metric::received(qos), n);
        }
        let received = published.iter().sum();
        count(&inbox.counters.received_messages, received);
        // A client that gets what it publishes gets it with the acknowledgements, in one write.
        *drain |= received > 0 && inbox.holds_items();
        *acknowledges = (1..=ACKNOWLEDGED_LATER).contains(&(published[1] + published[2]));
        let rest = data.slice(data.len() - rest.len()..);
        if !jobs.is_empty() {
            self.unread.wait(rest);
            return self.check_subscribes(jobs, ctx);
        }
        match end {
            End::Partial => self.keep_partial(&rest),
            End::Pause => self.unread.wait(rest),
            End::Violation(violation) => self.close(&CloseReason::Violation(violation)),
            End::Step(step) => {
                self.unread.wait(rest);
                match step {
                    Step::Done | Step::Subscribe(_) => {}
                    Step::AskPublish(topic) => self.ask_publish(topic, ctx),
                    Step::Unsubscribe(job) => self.unsubscribe(job, ctx),
                    Step::Authenticate { anew, data } => self.authenticate_anew(anew, data, ctx),
                    Step::Close(reason) => self.close(&reason),
                }
            }
        }
    }

    /// Asks the durable store for the bodies that are to be sent next, where they are not in memory.
    pub(super) fn fetch_bodies(&mut self, ctx: &mut Context<Self>) {
        let (Phase::Connected(connected), Some(store)) =
            (&mut self.phase, &self.worker.shared.store)
        else {
            return;
        };
        if connected.reading {
            return;
        }
        let missing = connected.channel.session().outbound().missing(BODIES_PAGE);
        if missing.is_empty() {
            return;
        }
        connected.reading = true;
        let read = store.read(missing);
        ctx.spawn(read.into_actor(self).map(|bodies, connection, _| {
            let Phase::Connected(connected) = &mut connection.phase else {
                return;
            };
            connected.reading = false;
            let counters = &connection.worker.counters;
            let permissions = &connected.permissions;
            let restricts = permissions.policy().restricts();
            let may_receive = |topic: &str| !restricts || permissions.may_receive(topic);
            let outbound = connected.channel.session_mut().outbound_mut();
            outbound.provide(&bodies, may_receive, counters);
            let config = connection.worker.shared.config.load();
            let now = clock::now();
            connected
                .channel
                .pump(&mut connection.wire, &config.mqtt, now, counters);
            connection.wake();
        }));
    }
}

/// A PUBLISH for which its client is closed was received and goes no further. What is not permitted is counted as that.
fn count_violating(violation: &Violation, counters: &Counters) {
    if !matches!(violation, Violation::NotPermitted) {
        counters.add(Metric::DroppedProtocolError, 1);
    }
}
