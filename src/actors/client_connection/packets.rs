//! The packets of a connected client, and the answers of other actors that they wait for.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Instant};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use bytes::{Bytes, BytesMut};

use super::{
    ClientConnection, Connected, Phase, drive::count, hold::Hold, permissions::ClientGate,
};
use crate::{
    messages::{ReadBodies, RetainedPage, RetainedPageRequest, Subscribe, Unsubscribe},
    mqtt::{PacketType, QoS, decode, decode_publish, frame_header},
    routing::RetainedCursor,
    session::{
        CloseReason, Delivery, Granted, Published, Step, SubscribeJob, SubscribeRequest,
        UnsubscribeJob, Violation,
    },
    stats::{Counters, Metric},
    store::Outcome,
};

/// Retained messages asked for at once.
const RETAINED_PAGE: usize = 256;
/// Bodies asked for at once.
const BODIES_PAGE: usize = 512;
/// Bytes to be written above which no more retained messages are asked for.
const RETAINED_WIRE_MAX: usize = 256 * 1024;

/// QoS 1 and 2 messages of a publisher that are handled before their subscribers get their turn: what fits a queue
/// must not overflow it only because it came in one read.
const ACKNOWLEDGED_PER_TURN: u64 = 256;

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

impl Connected {
    /// Has the retained messages of new subscriptions sent.
    pub(super) fn want_retained(&mut self, subscriptions: Vec<SubscribeRequest>) {
        if subscriptions.is_empty() {
            return;
        }
        let retained = self.retained.get_or_insert_default();
        retained
            .waiting
            .extend(subscriptions.into_iter().map(|request| {
                let delivery = Delivery {
                    qos: request.options.qos,
                    retain_as_published: true,
                    subscription_ids: request.subscription_id.map(|id| Arc::from([id])),
                    group: None,
                    places: None,
                };
                (RetainedCursor::new(&request.filter), delivery)
            }));
    }

    /// Has no more retained messages sent for subscriptions that are gone `[MQTT-3.10.4-2]`.
    fn forget_retained(&mut self, filters: &[Arc<str>]) {
        let Some(retained) = &mut self.retained else {
            return;
        };
        let is_gone = |filter: &str| filters.iter().any(|gone| **gone == *filter);
        let waiting = &mut retained.waiting;
        waiting.retain(|(cursor, _)| !is_gone(cursor.filter()));
        if retained.fetching {
            retained.gone.extend_from_slice(filters);
        }
    }
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
        if let Some(of) = channel.v3_bridge() {
            pass = pass.of_v3_bridge(self.peer.ip(), of);
        }
        let mut rest: &[u8] = &data;
        let mut packets = 0;
        let mut published = [0u64; 3];
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
                Ok(step) => {
                    rest = behind;
                    break End::Step(step);
                }
                Err(violation) => break End::Violation(violation),
            }
        };
        pass.finish();
        held.answers(channel, inbox, &mut router);
        // The beginning of a packet does not count: a packet that never ends keeps no connection.
        if packets > 0 {
            channel.seen(now);
        }
        self.hold = Hold::new(&mut router, now).map(Box::new);
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
        let rest = data.slice(data.len() - rest.len()..);
        match end {
            End::Partial => self.unread.keep_partial(rest),
            End::Pause => self.unread.wait(rest),
            End::Violation(violation) => self.close(&CloseReason::Violation(violation)),
            End::Step(step) => {
                self.unread.wait(rest);
                match step {
                    Step::Done => {}
                    Step::AskPublish(topic) => self.ask_publish(topic, ctx),
                    Step::Subscribe(job) => self.check_subscribe(job, ctx),
                    Step::Unsubscribe(job) => self.unsubscribe(job, ctx),
                    Step::Authenticate { anew, data } => self.authenticate_anew(anew, data, ctx),
                    Step::Close(reason) => self.close(&reason),
                }
            }
        }
    }

    /// Enters subscriptions that the client may have.
    pub(super) fn subscribe(&mut self, job: SubscribeJob, ctx: &mut Context<Self>) {
        let Phase::Connected(connected) = &mut self.phase else {
            return;
        };
        let requests: Vec<SubscribeRequest> = job.requests().cloned().collect();
        if requests.is_empty() {
            connected.channel.subscribed(job, &[], &mut self.wire);
            return;
        }
        connected.asking = true;
        let (part, outcome) = self.worker.awaited_by(&connected.inbox);
        let ask = self.worker.shared.registry.subscribe.send(Subscribe {
            client_id: connected.channel.client_id().clone(),
            generation: connected.generation,
            requests,
            part,
            policy: connected.permissions.policy().version,
        });
        ctx.spawn(ask.into_actor(self).map(|answers, connection, _| {
            match answers {
                Ok(answers) => connection.subscribed(job, &answers, outcome),
                Err(_) => connection.close(&CloseReason::ShuttingDown),
            }
            connection.wake();
        }));
    }

    fn subscribed(
        &mut self,
        job: SubscribeJob,
        answers: &[Granted],
        outcome: Option<Arc<Outcome>>,
    ) {
        let Phase::Connected(connected) = &mut self.phase else {
            return;
        };
        connected.asking = false;
        let Connected { channel, held, .. } = &mut **connected;
        let wanting = match outcome {
            None => channel.subscribed(job, answers, &mut self.wire),
            Some(outcome) => {
                let mut suback = BytesMut::new();
                let wanting = channel.subscribed(job, answers, &mut suback);
                held.packet(outcome, suback);
                wanting
            }
        };
        connected.want_retained(wanting);
    }

    fn unsubscribe(&mut self, job: UnsubscribeJob, ctx: &mut Context<Self>) {
        let Phase::Connected(connected) = &mut self.phase else {
            return;
        };
        connected.asking = true;
        let (part, outcome) = self.worker.awaited_by(&connected.inbox);
        let ask = self.worker.shared.registry.unsubscribe.send(Unsubscribe {
            client_id: connected.channel.client_id().clone(),
            generation: connected.generation,
            filters: job.filters.clone(),
            part,
        });
        ctx.spawn(ask.into_actor(self).map(move |existed, connection, _| {
            match (&mut connection.phase, existed) {
                (Phase::Connected(connected), Ok(existed)) => {
                    connected.asking = false;
                    connected.forget_retained(&job.filters);
                    let Connected { channel, held, .. } = &mut **connected;
                    match outcome {
                        None => channel.unsubscribed(&job, &existed, &mut connection.wire),
                        Some(outcome) => {
                            let mut unsuback = BytesMut::new();
                            channel.unsubscribed(&job, &existed, &mut unsuback);
                            held.packet(outcome, unsuback);
                        }
                    }
                }
                _ => connection.close(&CloseReason::ShuttingDown),
            }
            connection.wake();
        }));
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
        let ask = store.bodies.send(ReadBodies(missing));
        ctx.spawn(ask.into_actor(self).map(|bodies, connection, _| {
            let Phase::Connected(connected) = &mut connection.phase else {
                return;
            };
            connected.reading = false;
            if let Ok(bodies) = bodies {
                let counters = &connection.worker.counters;
                let permissions = &connected.permissions;
                let restricts = permissions.policy().restricts();
                let may_receive = |topic: &str| !restricts || permissions.may_receive(topic);
                let outbound = connected.channel.session_mut().outbound_mut();
                outbound.provide(&bodies, may_receive, counters);
                let config = connection.worker.shared.config.load();
                let now = Instant::now();
                connected
                    .channel
                    .pump(&mut connection.wire, &config.mqtt, now, counters);
            }
            connection.wake();
        }));
    }

    /// Asks for the next retained messages of new subscriptions, when the client has taken the last ones.
    pub(super) fn fetch_retained(&mut self, ctx: &mut Context<Self>) {
        let Phase::Connected(connected) = &mut self.phase else {
            return;
        };
        let Some(retained) = &mut connected.retained else {
            return;
        };
        if retained.fetching
            || self.wire.len() > RETAINED_WIRE_MAX
            || connected.channel.session().outbound().queue_len() > 0
        {
            return;
        }
        let Some((cursor, delivery)) = retained.waiting.pop_front() else {
            connected.retained = None;
            return;
        };
        retained.fetching = true;
        retained.gone.clear();
        let filter: Box<str> = cursor.filter().into();
        let room = self.worker.shared.config.load().mqtt.max_mqueue_len;
        let ask = self.worker.shared.retained_pages.send(RetainedPageRequest {
            cursor,
            limit: RETAINED_PAGE.min(room).max(1),
        });
        ctx.spawn(ask.into_actor(self).map(move |page, connection, ctx| {
            if let Ok(page) = page {
                connection.deliver_retained(page, &filter, delivery, ctx);
                connection.wake();
            }
        }));
    }

    fn deliver_retained(
        &mut self,
        page: RetainedPage,
        filter: &str,
        delivery: Delivery,
        ctx: &mut Context<Self>,
    ) {
        let Phase::Connected(connected) = &mut self.phase else {
            return;
        };
        let retained = connected.retained.get_or_insert_default();
        retained.fetching = false;
        let gone = std::mem::take(&mut retained.gone);
        if gone.iter().any(|gone| **gone == *filter) {
            return;
        }
        let config = self.worker.shared.config.load();
        let now = Instant::now();
        let permissions = &connected.permissions;
        let restricts = permissions.policy().restricts();
        let received = page
            .messages
            .iter()
            .filter(|message| !restricts || permissions.may_receive(message.topic()));
        let is_durable = connected.inbox.durable().is_some();
        let (stored, rest): (Vec<_>, Vec<_>) = received.partition(|message| {
            is_durable && message.view().qos.min(delivery.qos) > QoS::AtMostOnce
        });
        for message in rest {
            connected.channel.deliver_retained(
                message,
                &delivery,
                &config.mqtt,
                now,
                &mut self.wire,
                &self.worker.counters,
            );
        }
        let stored: Vec<_> = stored.into_iter().cloned().collect();
        let retained = connected.retained.get_or_insert_default();
        if let Some(next) = page.next {
            retained.waiting.push_front((next, delivery.clone()));
        }
        if !stored.is_empty() {
            let number = stored.len() as u64;
            self.worker.counters.add(Metric::MessagesDeliveries, number);
            let outcome = self.worker.store_retained_copies(
                stored.iter().map(|message| &**message),
                &connected.inbox,
                &delivery,
                now,
            );
            // The next page is for when this one has come through the store.
            retained.fetching = true;
            let stored = poll_fn(move |cx| match &outcome {
                Some(outcome) => outcome.poll(cx).map(|_| ()),
                None => Poll::Ready(()),
            });
            ctx.spawn(stored.into_actor(self).map(|(), connection, _| {
                if let Phase::Connected(connected) = &mut connection.phase
                    && let Some(retained) = &mut connected.retained
                {
                    retained.fetching = false;
                }
                connection.wake();
            }));
        }
    }
}

/// A PUBLISH for which its client is closed was received and goes no further. What is not permitted is counted as that.
fn count_violating(violation: &Violation, counters: &Counters) {
    if !matches!(violation, Violation::NotPermitted) {
        counters.add(Metric::DroppedProtocolError, 1);
    }
}
