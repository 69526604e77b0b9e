//! The actor that keeps the retained messages.

use std::{sync::Arc, time::Instant};

use actix::{Actor, AsyncContext, Context, Handler, SpawnHandle};

use super::Shared;
use crate::{
    config::Mqtt,
    messages::{RemoveRetained, RetainedPage, RetainedPageRequest, RetainedRemoved, StoreRetained},
    routing::{RetainedLimits, RetainedStore, StoreOutcome},
    stats::{Counters, Metric},
};

/// Requests that wait in its mailbox before askers have to.
const MAILBOX: usize = 4096;

/// Owns the [`RetainedStore`].
pub struct RetainedMessages {
    store: RetainedStore,
    shared: Shared,
    counters: Arc<Counters>,
    /// The timer of the next expiry, and when that is.
    expiry: Option<(Instant, SpawnHandle)>,
}

impl RetainedMessages {
    /// An empty store.
    pub fn new(shared: Shared, counters: Arc<Counters>) -> Self {
        let store = RetainedStore::new(limits(&shared.config.load().mqtt));
        Self {
            store,
            shared,
            counters,
            expiry: None,
        }
    }

    fn changed(&mut self, ctx: &mut Context<Self>) {
        self.shared.gauges.retained.set(self.store.len());
        self.shared.gauges.retained_bytes.set(self.store.bytes());
        let next = self.store.next_expiry();
        if self.expiry.as_ref().map(|(at, _)| *at) == next {
            return;
        }
        if let Some((_, timer)) = self.expiry.take() {
            ctx.cancel_future(timer);
        }
        self.expiry = next.map(|at| {
            let wait = at.saturating_duration_since(Instant::now());
            let timer = ctx.run_later(wait, |actor, ctx| {
                actor.expiry = None;
                let expired = actor.store.expire(Instant::now());
                actor.counters.add(Metric::DroppedExpired, expired as u64);
                actor.changed(ctx);
            });
            (at, timer)
        });
    }
}

fn limits(mqtt: &Mqtt) -> RetainedLimits {
    RetainedLimits {
        messages: mqtt.max_retained_messages,
        bytes: mqtt.max_retained_bytes,
    }
}

impl Actor for RetainedMessages {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<StoreRetained> for RetainedMessages {
    type Result = ();

    fn handle(&mut self, told: StoreRetained, ctx: &mut Self::Context) {
        let config = self.shared.config.load();
        self.store.set_limits(limits(&config.mqtt));
        let lifetime = config.mqtt.retained_expiry_interval;
        drop(config);
        let mut message = told.0;
        self.shared.retained_load.remove(message.size());
        if !lifetime.is_zero()
            && let Some(at) = Instant::now().checked_add(lifetime)
        {
            message = Arc::new(Arc::unwrap_or_clone(message).expiring_by(at));
        }
        let outcome = self.store.store(message);
        if outcome == StoreOutcome::Full {
            log::debug!(
                "a message was not retained: mqtt.max_retained_messages or max_retained_bytes is reached"
            );
            self.counters.add(Metric::DroppedRetainedFull, 1);
        }
        self.changed(ctx);
    }
}

impl Handler<RetainedPageRequest> for RetainedMessages {
    type Result = RetainedPage;

    fn handle(&mut self, ask: RetainedPageRequest, _: &mut Self::Context) -> Self::Result {
        let mut cursor = ask.cursor;
        let (messages, more) = self.store.page(&mut cursor, ask.limit, Instant::now());
        RetainedPage {
            messages,
            next: more.then_some(cursor),
        }
    }
}

impl Handler<RemoveRetained> for RetainedMessages {
    type Result = RetainedRemoved;

    fn handle(&mut self, ask: RemoveRetained, ctx: &mut Self::Context) -> Self::Result {
        let mut cursor = ask.cursor;
        let (messages, more) = self.store.page(&mut cursor, ask.limit, Instant::now());
        for message in &messages {
            self.store.clear(message.topic());
        }
        self.changed(ctx);
        RetainedRemoved {
            removed: messages.len(),
            next: more.then_some(cursor),
        }
    }
}
