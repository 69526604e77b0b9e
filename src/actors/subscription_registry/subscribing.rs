//! SUBSCRIBE and UNSUBSCRIBE, of clients and of the HTTP API.

use std::sync::Arc;

use actix::{Handler, MessageResult};

use super::{SubscriptionRegistry, storing::refused_by_store, subject};
use crate::{
    actors::durable::subscription,
    messages::{AdminSubscribe, AdminUnsubscribe, SessionCommand, Subscribe, Unsubscribe},
    mqtt::ReasonCode,
    routing::{StoredSubscription, SubscribeError},
    session::{Granted, SubscribeRequest},
    stats::Metric,
    store::{Part, Record},
};

impl SubscriptionRegistry {
    /// Enters subscriptions; when this returns, publishers can see them.
    fn enter(
        &mut self,
        client_id: &str,
        generation: u64,
        requests: &[SubscribeRequest],
        part: Option<Part>,
        may: impl Fn(&SubscribeRequest) -> bool,
    ) -> Vec<Granted> {
        let max = self.shared.config.load().mqtt.max_subscriptions;
        if requests.len() > 1 {
            let filters: Vec<&str> = requests.iter().map(|request| &*request.filter).collect();
            self.directory.fetch(&filters);
        }
        let answers: Vec<Granted> = requests
            .iter()
            .map(|request| {
                if !may(request) {
                    self.counters.add(Metric::SubscribesDenied, 1);
                    return Granted {
                        code: ReasonCode::NotAuthorized,
                        is_new: false,
                    };
                }
                let subscription = StoredSubscription {
                    options: request.options,
                    subscription_id: request.subscription_id,
                };
                let entered = self.directory.subscribe(
                    client_id,
                    generation,
                    &request.filter,
                    subscription,
                    max,
                );
                let (code, is_new) = match entered {
                    Ok(is_new) => (ReasonCode::granted(request.options.qos), is_new),
                    Err(SubscribeError::TooMany) => (ReasonCode::QuotaExceeded, false),
                    Err(SubscribeError::Invalid) => (ReasonCode::TopicFilterInvalid, false),
                    Err(SubscribeError::NotOwner) => (ReasonCode::UnspecifiedError, false),
                };
                Granted { code, is_new }
            })
            .collect();
        let entered = answers.iter().filter(|answer| !answer.code.is_error());
        self.counters
            .add(Metric::Subscribes, entered.count() as u64);
        let number = self.durable_number(client_id);
        let entered = requests.iter().zip(&answers);
        let records = entered
            .filter(|(_, answer)| !answer.code.is_error())
            .map(|(request, _)| {
                let stored = StoredSubscription {
                    options: request.options,
                    subscription_id: request.subscription_id,
                };
                Record::Subscribed(number, &request.filter, subscription(&stored))
            });
        self.note_subscriptions(client_id, records, part);
        self.publish_routes();
        answers
    }

    /// Removes subscriptions; says of each whether it was there.
    fn remove(
        &mut self,
        client_id: &str,
        generation: u64,
        filters: &[Arc<str>],
        part: Option<Part>,
    ) -> Vec<bool> {
        let existed: Vec<bool> = filters
            .iter()
            .map(|filter| self.directory.unsubscribe(client_id, generation, filter))
            .collect();
        let removed = existed.iter().filter(|existed| **existed).count();
        self.counters.add(Metric::Unsubscribes, removed as u64);
        let number = self.durable_number(client_id);
        let gone = filters
            .iter()
            .zip(&existed)
            .filter(|(_, existed)| **existed);
        let records = gone.map(|(filter, _)| Record::Unsubscribed(number, filter));
        self.note_subscriptions(client_id, records, part);
        self.publish_routes();
        existed
    }
}

impl Handler<Subscribe> for SubscriptionRegistry {
    type Result = MessageResult<Subscribe>;

    fn handle(&mut self, ask: Subscribe, _: &mut Self::Context) -> Self::Result {
        let policy = self.shared.policy.load_full();
        let entry = self.directory.get(&ask.client_id);
        // Checked already, but by another policy.
        let subject = entry
            .filter(|_| policy.version != ask.policy)
            .map(|entry| subject(&ask.client_id, &entry.info));
        let may = |request: &SubscribeRequest| {
            let denied = |subject| !policy.may_keep(subject, &request.filter);
            !subject.as_ref().is_some_and(denied)
        };
        if self.store_refuses() && entry.is_some_and(|entry| entry.target.durable().is_some()) {
            ask.part.into_iter().for_each(Part::keep);
            return MessageResult(refused_by_store(&ask.requests));
        }
        MessageResult(self.enter(&ask.client_id, ask.generation, &ask.requests, ask.part, may))
    }
}

impl Handler<Unsubscribe> for SubscriptionRegistry {
    type Result = Vec<bool>;

    fn handle(&mut self, ask: Unsubscribe, _: &mut Self::Context) -> Self::Result {
        self.remove(&ask.client_id, ask.generation, &ask.filters, ask.part)
    }
}

impl Handler<AdminSubscribe> for SubscriptionRegistry {
    type Result = Option<Vec<Granted>>;

    fn handle(&mut self, ask: AdminSubscribe, _: &mut Self::Context) -> Self::Result {
        let entry = self.client(&ask.client_id)?;
        let (connected, target) = (entry.info.connected, entry.target.clone());
        let policy = self.shared.policy.load_full();
        let subject = subject(entry.target.client_id(), &entry.info);
        let may = |request: &SubscribeRequest| policy.may_keep(&subject, &request.filter);
        let generation = entry.generation;
        if self.store_refuses() && target.durable().is_some() {
            // The part is dropped with the question, which tells why.
            return Some(refused_by_store(&ask.requests));
        }
        let part = Some(ask.part);
        let answers = self.enter(&ask.client_id, generation, &ask.requests, part, may);
        if connected {
            let granted = ask.requests.into_iter().zip(&answers);
            let wanting: Vec<_> = granted
                .filter(|(request, answer)| request.wants_retained(answer))
                .map(|(request, _)| request)
                .collect();
            if !wanting.is_empty() {
                target.command(SessionCommand::Subscribed(wanting));
            }
        }
        Some(answers)
    }
}

impl Handler<AdminUnsubscribe> for SubscriptionRegistry {
    type Result = Option<Vec<bool>>;

    fn handle(&mut self, ask: AdminUnsubscribe, _: &mut Self::Context) -> Self::Result {
        let generation = self.client(&ask.client_id)?.generation;
        Some(self.remove(&ask.client_id, generation, &ask.filters, Some(ask.part)))
    }
}
