//! Retained messages for new subscriptions, a page at a time.

use std::{future::poll_fn, sync::Arc, task::Poll};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::{ClientConnection, Connected, Phase, Retrieval};
use crate::{
    actors::clock,
    messages::RetainedPagesRequest,
    mqtt::{Message, QoS},
    routing::RetainedCursor,
    session::{Delivery, SubscribeRequest},
    stats::Metric,
};

/// Retained messages asked for at once.
const RETAINED_PAGE: usize = 512;
/// Subscriptions whose retained messages are asked for at once.
const SUBSCRIPTIONS: usize = 64;
/// Bytes to be written above which no more retained messages are asked for, and about as many as are asked for at once:
/// so they fit what may be written, however large each is.
const RETAINED_WIRE_MAX: usize = 256 * 1024;

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
    pub(super) fn forget_retained(&mut self, filters: &[Arc<str>]) {
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

impl Retrieval {
    /// True when the subscription has gone since its messages were asked for.
    fn is_gone(&self, filter: &str) -> bool {
        self.gone.iter().any(|gone| **gone == *filter)
    }
}

impl ClientConnection {
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
        // What goes by way of the store goes one by one.
        let room = self.worker.shared.config.load().mqtt.max_mqueue_len;
        let most = match connected.inbox.durable() {
            None => SUBSCRIPTIONS.min(room).max(1),
            Some(_) => 1,
        };
        let most = most.min(retained.waiting.len());
        if most == 0 {
            connected.retained = None;
            return;
        }
        let mut asked: Vec<_> = retained.waiting.drain(..most).collect();
        retained.fetching = true;
        retained.gone.clear();
        let ask = self
            .worker
            .shared
            .retained_pages
            .send(RetainedPagesRequest {
                cursors: asked.iter().map(|(cursor, _)| cursor.clone()).collect(),
                limit: RETAINED_PAGE.min(room).max(1),
                max_bytes: RETAINED_WIRE_MAX,
            });
        ctx.spawn(ask.into_actor(self).map(move |found, connection, ctx| {
            let Ok(found) = found else {
                return;
            };
            let Some(retained) = connection.retrieval() else {
                return;
            };
            retained.fetching = false;
            // What the last one that was come to has left is next, and then those behind it.
            let behind = asked.split_off(found.pages.len().min(asked.len()));
            let last = asked.last().map(|(_, delivery)| delivery.clone());
            for next in found.next.zip(last).into_iter().chain(behind).rev() {
                if !retained.is_gone(next.0.filter()) {
                    retained.waiting.push_front(next);
                }
            }
            for ((cursor, delivery), messages) in asked.into_iter().zip(found.pages) {
                let retained = connection.retrieval();
                if retained.is_some_and(|retained| !retained.is_gone(cursor.filter())) {
                    connection.deliver_retained(&messages, &delivery, ctx);
                }
            }
            connection.wake();
        }));
    }

    fn retrieval(&mut self) -> Option<&mut Retrieval> {
        match &mut self.phase {
            Phase::Connected(connected) => Some(connected.retained.get_or_insert_default()),
            _ => None,
        }
    }

    fn deliver_retained(
        &mut self,
        messages: &[Message],
        delivery: &Delivery,
        ctx: &mut Context<Self>,
    ) {
        let Phase::Connected(connected) = &mut self.phase else {
            return;
        };
        let config = self.worker.shared.config.load();
        let now = clock::now();
        let permissions = &connected.permissions;
        let restricts = permissions.policy().restricts();
        let received = messages
            .iter()
            .filter(|message| !restricts || permissions.may_receive(message.topic()));
        let is_durable = connected.inbox.durable().is_some();
        let (stored, rest): (Vec<_>, Vec<_>) = received
            .partition(|message| is_durable && message.qos().min(delivery.qos) > QoS::AtMostOnce);
        for message in rest {
            connected.channel.deliver_retained(
                message,
                delivery,
                &config.mqtt,
                now,
                &mut self.wire,
                &self.worker.counters,
            );
        }
        let stored: Vec<_> = stored.into_iter().cloned().collect();
        if !stored.is_empty() {
            let number = stored.len() as u64;
            self.worker.counters.add(Metric::MessagesDeliveries, number);
            let outcome =
                self.worker
                    .store_retained_copies(stored.iter(), &connected.inbox, delivery, now);
            // The next page is for when this one has come through the store.
            connected.retained.get_or_insert_default().fetching = true;
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
