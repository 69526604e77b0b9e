//! The actor that keeps the retained messages.

use std::{sync::Arc, time::Instant};

use actix::{Actor, AsyncContext, Context, Handler, SpawnHandle};

use super::{Shared, clock, durable};
use crate::{
    config::Mqtt,
    messages::{
        GiveUpRetained, Refused, RemoveRetained, RetainedPages, RetainedPagesRequest,
        RetainedRemoved, StoreRetained, WriteRecord,
    },
    mqtt::{Message, MessageRef},
    routing::{RetainedBudget, RetainedLimits, RetainedStore, StoreOutcome},
    stats::{Counters, Metric},
    store::{Part, Record},
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
    /// A store with the messages that outlived the last process.
    pub fn new(shared: Shared, counters: Arc<Counters>, recovered: Vec<Message>) -> Self {
        let mut store = RetainedStore::new(limits(&shared.config.load().mqtt));
        for message in recovered {
            store.store(message);
        }
        Self {
            store,
            shared,
            counters,
            expiry: None,
        }
    }

    /// Has the durable store, if there is one, know of a change before the publisher does.
    fn note(&self, record: &Record<'_>, part: Option<Part>, refused: Refused) {
        let topic = match record {
            Record::Retained(body) => body.topic,
            Record::Unretained(topic) => topic,
            _ => return,
        };
        match &self.shared.store {
            // What the broker says of itself is said anew after a restart.
            Some(store) if !topic.starts_with('$') => {
                store
                    .record
                    .do_send(WriteRecord::new(record).if_refused(refused).with(part));
            }
            _ => part.into_iter().for_each(Part::keep),
        }
    }

    /// Has the durable store know what is retained.
    fn note_retained(&self, message: &MessageRef<'_>, part: Option<Part>) {
        match &self.shared.store {
            Some(store) => {
                let record = durable::retained(message, &store.clock);
                self.note(&record, part, Refused::Refuse);
            }
            None => part.into_iter().for_each(Part::keep),
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
            let wait = at.saturating_duration_since(clock::now());
            let timer = ctx.run_later(wait, |actor, ctx| {
                actor.expiry = None;
                actor.expire(clock::now(), ctx);
            });
            (at, timer)
        });
    }

    /// Drops what has expired.
    pub(super) fn expire(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let expired = self.store.expire(now);
        for topic in &expired {
            self.note(&Record::Unretained(topic), None, Refused::GoOn);
        }
        let number = expired.len() as u64;
        self.counters.add(Metric::DroppedRetainedExpired, number);
        self.changed(ctx);
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
        self.changed(ctx);
    }
}

impl Handler<StoreRetained> for RetainedMessages {
    type Result = ();

    fn handle(&mut self, told: StoreRetained, ctx: &mut Self::Context) {
        let config = self.shared.config.load();
        self.store.set_limits(limits(&config.mqtt));
        drop(config);
        let message = told.message;
        self.shared.retained_load.remove(message.size());
        match self.store.store(message.clone()) {
            StoreOutcome::Stored | StoreOutcome::Cleared => {
                self.note_retained(&message.view(), told.part);
            }
            StoreOutcome::Full => {
                log::debug!(
                    "a message was not retained: mqtt.max_retained_messages or max_retained_bytes is reached"
                );
                self.counters.add(Metric::DroppedRetainedFull, 1);
                match self.store.get(message.topic()) {
                    _ if !told.stored => told.part.into_iter().for_each(Part::keep),
                    Some(before) => self.note_retained(&before.view(), told.part),
                    None => {
                        let record = Record::Unretained(message.topic());
                        self.note(&record, told.part, Refused::Refuse);
                    }
                }
            }
        }
        self.changed(ctx);
    }
}

impl Handler<RetainedPagesRequest> for RetainedMessages {
    type Result = RetainedPages;

    fn handle(&mut self, ask: RetainedPagesRequest, _: &mut Self::Context) -> Self::Result {
        let (now, mut budget) = (clock::now(), RetainedBudget::new(ask.limit, ask.max_bytes));
        let mut found = RetainedPages::default();
        for mut cursor in ask.cursors {
            let (messages, more) = self.store.page(&mut cursor, &mut budget, now);
            found.pages.push(messages);
            found.next = more.then_some(cursor);
            if more || budget.is_spent() {
                break;
            }
        }
        found
    }
}

impl Handler<RemoveRetained> for RetainedMessages {
    type Result = RetainedRemoved;

    fn handle(&mut self, ask: RemoveRetained, ctx: &mut Self::Context) -> Self::Result {
        let mut cursor = ask.cursor;
        let mut budget = RetainedBudget::new(ask.limit, usize::MAX);
        let (messages, more) = self.store.page(&mut cursor, &mut budget, clock::now());
        for message in &messages {
            self.store.clear(message.topic());
            let part = Some(ask.part.another());
            self.note(&Record::Unretained(message.topic()), part, Refused::Wait);
        }
        ask.part.keep();
        self.changed(ctx);
        RetainedRemoved {
            removed: messages.len(),
            next: more.then_some(cursor),
        }
    }
}

impl Handler<GiveUpRetained> for RetainedMessages {
    type Result = Vec<Message>;

    fn handle(&mut self, _: GiveUpRetained, _: &mut Self::Context) -> Self::Result {
        let messages = self.store.messages();
        // What the broker says of itself is said anew.
        messages
            .filter(|message| !message.topic().starts_with('$'))
            .cloned()
            .collect()
    }
}
