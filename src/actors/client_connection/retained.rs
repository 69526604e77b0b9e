//! Retained messages for new subscriptions, a page at a time.

use std::{future::poll_fn, sync::Arc, task::Poll};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::{ClientConnection, Connected, Phase};
use crate::{
    actors::clock,
    messages::{RetainedPage, RetainedPageRequest},
    mqtt::QoS,
    routing::RetainedCursor,
    session::{Delivery, SubscribeRequest},
    stats::Metric,
};

/// Retained messages asked for at once.
const RETAINED_PAGE: usize = 256;
/// Bytes to be written above which no more retained messages are asked for.
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
        let now = clock::now();
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
