//! The way of messages to the durable store.

use std::{sync::Arc, time::Instant};

use super::{StoreHandles, durable};
use crate::{
    messages::{
        DurableTarget, Inbox, InboxItem, MoveShared, Origin, Persist, Refused, WorkerLoad,
        WriteRecord,
    },
    mqtt::{Batch, MessageRef, PacketId, QoS},
    routing::OFFERS,
    store::{Outcome, Part, Record},
};

/// What a [`Router`](super::Router) needs where there is a durable store.
pub struct DurableRouting {
    handles: StoreHandles,
    /// The outcome of what was sent to the store since it was last asked for.
    part: Option<Part>,
    /// Identifiers of the QoS 2 messages in the router's batch, by their index.
    pub(super) ids: Vec<(usize, PacketId)>,
    /// Identifiers of QoS 2 messages that are not stored.
    pub(super) taken: Vec<PacketId>,
}

impl DurableRouting {
    pub(super) fn new(handles: StoreHandles) -> Self {
        Self {
            handles,
            part: None,
            ids: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// A part of the present outcome.
    pub(super) fn part(&mut self) -> Part {
        self.part.get_or_insert_with(Outcome::begin).another()
    }

    pub(super) fn take_outcome(&mut self) -> Option<Arc<Outcome>> {
        let part = self.part.take()?;
        let outcome = part.outcome();
        part.keep();
        Some(outcome)
    }

    /// The store, if it has more to do than it may.
    pub(super) fn overloaded(&self) -> Option<Arc<WorkerLoad>> {
        self.handles
            .load
            .is_over()
            .then(|| self.handles.load.clone())
    }

    /// The target of messages that are for a durable session and have to be stored.
    pub(super) fn wants(&self, inbox: &Arc<Inbox>, item: &InboxItem) -> Option<DurableTarget> {
        inbox.durable()?;
        let acknowledged = item.batch.is_acknowledged() && item.delivery.qos > QoS::AtMostOnce;
        acknowledged.then(|| DurableTarget {
            inbox: inbox.clone(),
            range: item.range.clone(),
            delivery: item.delivery.clone(),
        })
    }

    /// Gives messages to the store. If somebody `waits` for them they belong to the present outcome.
    pub(super) fn persist(
        &mut self,
        batch: &Arc<Batch>,
        to: Vec<DurableTarget>,
        publisher: Option<&Arc<Inbox>>,
        now: Instant,
        waits: bool,
    ) {
        let ids = std::mem::take(&mut self.ids);
        let session = publisher.and_then(|publisher| publisher.durable());
        let origin = session.filter(|_| !ids.is_empty()).map(|session| Origin {
            session: session.get(),
            ids,
        });
        let part = waits.then(|| self.part());
        self.handles.load.add(batch.size(&(0..batch.len())));
        self.handles.persist.do_send(Persist {
            batch: batch.clone(),
            to,
            origin,
            now,
            part,
            from: None,
            offers: OFFERS,
        });
    }

    /// Has the store move a shared message to another member.
    pub(super) fn move_shared(&self, moved: MoveShared) {
        self.handles.load.add(moved.size);
        self.handles.moves.do_send(moved);
    }

    /// Stores a retained message ahead of its identifier, by which it would not be taken again.
    pub(super) fn note_retained(&mut self, message: &MessageRef<'_>) {
        let record = durable::retained(message, &self.handles.clock);
        let told = WriteRecord::new(&record).if_refused(Refused::Refuse);
        let told = told.with(Some(self.part()));
        self.handles.record.do_send(told);
    }

    /// Nothing of the batch is stored: its identifiers are by themselves.
    pub(super) fn only_ids(&mut self) {
        self.taken.extend(self.ids.drain(..).map(|(_, id)| id));
    }

    /// Stores the identifiers of QoS 2 messages that are not stored.
    pub(super) fn note_taken(&mut self, publisher: Option<&Arc<Inbox>>) {
        if self.taken.is_empty() {
            return;
        }
        let ids = self.taken.drain(..).map(PacketId::get).collect();
        if let Some(session) = publisher.and_then(|publisher| publisher.durable()) {
            let record = WriteRecord::new(&Record::Taken(session.get(), ids));
            let told = record.if_refused(Refused::Refuse).with(Some(self.part()));
            self.handles.record.do_send(told);
        }
    }

    /// Stores a change of state that an answer waits for, however long it takes. Returns when it is stored.
    pub(super) fn note(&self, record: &Record<'_>) -> Arc<Outcome> {
        let part = Outcome::begin();
        let outcome = part.outcome();
        let told = WriteRecord::new(record)
            .if_refused(Refused::Wait)
            .with(Some(part));
        self.handles.record.do_send(told);
        outcome
    }
}
