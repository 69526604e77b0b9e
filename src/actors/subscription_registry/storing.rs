//! What the durable store is told of sessions and subscriptions.

use std::{num::NonZeroU64, sync::Arc};

use super::SubscriptionRegistry;
use crate::{
    actors::durable::{end_of, session_info},
    messages::{Inbox, OpenSession, Owner, Refused, SessionCommand, WriteRecord},
    mqtt::ReasonCode,
    routing::{ClientInfo, Opened},
    session::{Granted, SubscribeRequest, Will},
    store::{Part, Record},
};

impl SubscriptionRegistry {
    /// A number for a new session, if it is to be durable.
    pub(super) fn number(&mut self, expiry_interval: u32) -> Option<NonZeroU64> {
        if self.shared.store.is_none() || expiry_interval == 0 {
            return None;
        }
        self.next_number()
    }

    pub(super) fn next_number(&mut self) -> Option<NonZeroU64> {
        let number = self.next_session;
        self.next_session = number.checked_add(1)?;
        Some(number)
    }

    /// Has the durable store know that a session is open, with its will.
    pub(super) fn note_opened(
        &mut self,
        client_id: &Arc<str>,
        opened: &Opened<Inbox>,
        info: &ClientInfo,
        will: Option<&Will>,
        part: Option<Part>,
    ) {
        if let Some((_, number)) = self.wills.remove(client_id) {
            self.note(end_of(number));
        }
        let mut number = opened.target.durable();
        if number.is_none() && will.is_some() {
            number = self.next_number();
            self.wills
                .extend(number.map(|number| (client_id.clone(), (opened.generation, number))));
        }
        let Some(number) = number else {
            return part.into_iter().for_each(Part::keep);
        };
        let info = session_info(client_id, opened.generation, info, will);
        let mut record = WriteRecord::new(&Record::Opened(number.get(), info));
        record.begins = Some(number.get());
        match &self.shared.store {
            Some(_) => self.note(record.if_refused(Refused::Wait).with(part)),
            None => part.into_iter().for_each(Part::keep),
        }
    }

    pub(super) fn note(&self, record: WriteRecord) {
        if let Some(store) = &self.shared.store {
            store.record.do_send(record);
        }
    }

    /// Ends a session. Whoever has it settles what is left and has the durable store know; if nobody has it, nothing is
    /// left.
    pub(super) fn take_away(&self, target: &Inbox, generation: u64, farewell: SessionCommand) {
        let is_told = target.give(Owner::Nobody, generation, farewell);
        if let (false, Some(number)) = (is_told, target.durable()) {
            self.note(end_of(number));
        }
    }

    /// Has the durable store know that a session has ended.
    pub(super) fn note_ended(&mut self, client_id: &str, generation: u64, target: &Inbox) {
        self.note_will_gone(client_id, generation);
        if let Some(number) = target.durable() {
            self.note(end_of(number));
        }
    }

    /// Has the durable store know that a connection has ended whose will it has.
    pub(super) fn note_will_gone(&mut self, client_id: &str, generation: u64) {
        let will = self.wills.get(client_id);
        if let Some((_, number)) = will.filter(|(of, _)| *of == generation).copied() {
            self.wills.remove(client_id);
            self.note(end_of(number));
        }
    }

    /// Whether the durable store takes no new sessions and subscriptions: those who ask for them are to learn it.
    pub(super) fn store_refuses(&self) -> bool {
        self.shared.store.is_some() && self.shared.gauges.store_failing.get() > 0
    }

    /// Whether a session cannot be opened because the durable store takes nothing. One that is resumed changes little: as
    /// long as there is room for what waits for the disk it is opened, and CONNACK waits for it.
    pub(super) fn refuses(&self, ask: &OpenSession) -> bool {
        if !self.store_refuses() {
            return false;
        }
        let before = self.directory.get(&ask.client_id);
        let is_stored = before.is_some_and(|entry| entry.target.durable().is_some());
        let is_new = before.is_none() || ask.start_anew;
        let most = self.shared.config.load().store.max_waiting_changes as u64;
        let may_wait = self.shared.gauges.store_waiting.get() < most;
        (is_new && ask.info.expiry_interval > 0) || (is_stored && !may_wait)
    }

    /// Has the durable store know of changes of the subscriptions of a session.
    pub(super) fn note_subscriptions<'r>(
        &self,
        client_id: &str,
        records: impl IntoIterator<Item = Record<'r>>,
        part: Option<Part>,
    ) {
        let entry = self.directory.get(client_id);
        let durable = entry.is_some_and(|entry| entry.target.durable().is_some());
        let Some(store) = self.shared.store.as_ref().filter(|_| durable) else {
            return part.into_iter().for_each(Part::keep);
        };
        for record in records {
            let another = part.as_ref().map(Part::another);
            let record = WriteRecord::new(&record).if_refused(Refused::Wait);
            store.record.do_send(record.with(another));
        }
        part.into_iter().for_each(Part::keep);
    }

    pub(super) fn durable_number(&self, client_id: &str) -> u64 {
        let number = self
            .directory
            .get(client_id)
            .and_then(|entry| entry.target.durable());
        number.map_or(0, NonZeroU64::get)
    }
}

/// What is answered to subscriptions that the durable store does not take.
pub(super) fn refused_by_store(requests: &[SubscribeRequest]) -> Vec<Granted> {
    let refused = Granted {
        code: ReasonCode::QuotaExceeded,
        is_new: false,
    };
    vec![refused; requests.len()]
}
