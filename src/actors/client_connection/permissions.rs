//! What the client of a connection may do: the gate of its PUBLISH packets, its SUBSCRIBE packets, and what becomes of
//! what waits for it when the rules change.

use std::{sync::Arc, time::Instant};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::{ClientConnection, Connected, Phase};
use crate::{
    actors::clock,
    actors::permitted::permitted,
    auth::{
        acl::Action,
        http_request::Facts,
        permissions::{Allowed, Permissions},
        policy::without_share,
    },
    messages::{AskAgain, AskPermissions, HttpAnswer, Unsubscribe},
    session::{CloseReason, Gate, GateAnswer, SubscribeJob, SubscribeRequest, Violation},
    stats::Metric,
};

/// Lets the PUBLISH packets of a client through.
pub(super) struct ClientGate<'a> {
    pub(super) permissions: &'a mut Permissions,
    pub(super) now: Instant,
}

impl Gate for ClientGate<'_> {
    fn may_publish(&mut self, topic: &str) -> GateAnswer {
        match self.permissions.may(Action::Publish, topic, self.now) {
            Allowed::Always => GateAnswer::Always,
            Allowed::Now => GateAnswer::Now,
            Allowed::Ask => GateAnswer::Ask,
            Allowed::No if self.permissions.policy().disconnects() => GateAnswer::Close,
            Allowed::No => GateAnswer::Drop,
        }
    }
}

impl Connected {
    /// What is known of the client, for requests; `facts` is what the connection knows.
    fn facts(&self, facts: Facts) -> Facts {
        let subject = self.permissions.subject();
        Facts {
            username: subject.username.as_deref().unwrap_or_default().to_owned(),
            client_id: subject.client_id.to_string(),
            protocol: self.channel.version().name(),
            ..facts
        }
    }
}

impl ClientConnection {
    /// What a request can tell of a client before its CONNECT is looked at. Its password is not kept after CONNECT.
    pub(super) fn facts_of_connection(&self) -> Facts {
        Facts {
            address: Some(self.peer.ip()),
            port: self.door.config.bind.port(),
            common_name: self.transport.common_name().unwrap_or_default(),
            subject: self.transport.subject().unwrap_or_default(),
            ..Facts::default()
        }
    }

    /// Asks whether the client may publish to a topic; its packets wait for the answer.
    pub(super) fn ask_publish(&mut self, topic: Box<str>, ctx: &mut Context<Self>) {
        let facts = self.facts_of_connection();
        let Phase::Connected(connected) = &mut self.phase else {
            return;
        };
        connected.asking = true;
        let ask = self.worker.shared.auth.ask.send(AskPermissions {
            policy: connected.permissions.policy().clone(),
            facts: connected.facts(facts),
            action: Action::Publish,
            topics: vec![topic.to_string()],
        });
        ctx.spawn(ask.into_actor(self).map(move |answers, connection, _| {
            if let Phase::Connected(connected) = &mut connection.phase {
                connected.asking = false;
                let answers = answers.unwrap_or_default();
                let answer = answers.first().copied().unwrap_or(HttpAnswer::FAILED);
                let now = clock::now();
                connected.permissions.told(
                    Action::Publish,
                    &topic,
                    answer.allowed,
                    answer.failed,
                    now,
                );
            }
            connection.wake();
        }));
    }

    /// Takes out of SUBSCRIBEs what the client may not have, and has the rest entered.
    pub(super) fn check_subscribes(
        &mut self,
        mut jobs: Vec<SubscribeJob>,
        ctx: &mut Context<Self>,
    ) {
        let Phase::Connected(connected) = &mut self.phase else {
            return;
        };
        let (permissions, now) = (&mut connected.permissions, clock::now());
        let mut unknown = Vec::new();
        let mut may = |request: &SubscribeRequest| {
            let pattern = without_share(&request.filter);
            match permissions.may(Action::Subscribe, pattern, now) {
                Allowed::Always | Allowed::Now => true,
                Allowed::No => false,
                Allowed::Ask => {
                    unknown.push(pattern.to_owned());
                    true
                }
            }
        };
        let refused = jobs.iter_mut().map(|job| job.refuse(&mut may)).sum();
        if self.refused_subscriptions(refused) {
            return;
        }
        if unknown.is_empty() {
            return self.subscribe(jobs, ctx);
        }
        let facts = self.facts_of_connection();
        let Phase::Connected(connected) = &mut self.phase else {
            return;
        };
        connected.asking = true;
        let ask = self.worker.shared.auth.ask.send(AskPermissions {
            policy: connected.permissions.policy().clone(),
            facts: connected.facts(facts),
            action: Action::Subscribe,
            topics: unknown.clone(),
        });
        ctx.spawn(ask.into_actor(self).map(move |answers, connection, ctx| {
            connection.subscribe_asked(jobs, &unknown, &answers.unwrap_or_default(), ctx);
            connection.wake();
        }));
    }

    fn subscribe_asked(
        &mut self,
        mut jobs: Vec<SubscribeJob>,
        asked: &[String],
        answers: &[HttpAnswer],
        ctx: &mut Context<Self>,
    ) {
        let Phase::Connected(connected) = &mut self.phase else {
            return;
        };
        connected.asking = false;
        let now = clock::now();
        let mut denied = Vec::new();
        for (index, filter) in asked.iter().enumerate() {
            let answer = answers.get(index).copied().unwrap_or(HttpAnswer::FAILED);
            if !answer.failed {
                let permissions = &mut connected.permissions;
                permissions.remember_answer(Action::Subscribe, filter, answer.allowed, now);
            }
            if !answer.allowed {
                denied.push(filter.as_str());
            }
        }
        let may = |request: &SubscribeRequest| !denied.contains(&without_share(&request.filter));
        let refused = jobs.iter_mut().map(|job| job.refuse(may)).sum();
        if !self.refused_subscriptions(refused) {
            self.subscribe(jobs, ctx);
        }
    }

    /// Has the HTTP server asked again about subscriptions that it has granted; packets do not wait for the answer.
    pub(super) fn ask_again(&mut self, filters: Vec<Arc<str>>, ctx: &mut Context<Self>) {
        let facts = self.facts_of_connection();
        let Phase::Connected(connected) = &mut self.phase else {
            return;
        };
        let topics = filters
            .iter()
            .map(|filter| without_share(filter).to_owned());
        let ask = self
            .worker
            .shared
            .auth
            .ask_again
            .send(AskAgain(AskPermissions {
                policy: self.worker.shared.policy.load_full(),
                facts: connected.facts(facts),
                action: Action::Subscribe,
                topics: topics.collect(),
            }));
        ctx.spawn(ask.into_actor(self).map(move |answers, connection, _| {
            let answers = answers.unwrap_or_default();
            let denied = |(filter, answer): (Arc<str>, HttpAnswer)| {
                (!answer.allowed && !answer.failed).then_some(filter)
            };
            let lost = filters.into_iter().zip(answers).filter_map(denied);
            connection.lose(lost.collect());
            connection.wake();
        }));
    }

    /// Ends subscriptions that the client may no longer have.
    fn lose(&mut self, filters: Vec<Arc<str>>) {
        let Phase::Connected(connected) = &mut self.phase else {
            return;
        };
        if filters.is_empty() {
            return;
        }
        let client_id = connected.channel.client_id();
        log::info!("{client_id:?} may no longer subscribe to {filters:?}");
        let number = filters.len();
        self.worker
            .shared
            .registry
            .unsubscribe
            .do_send(Unsubscribe {
                client_id: client_id.clone(),
                generation: connected.generation,
                filters,
                part: None,
            });
        self.refused_subscriptions(number);
    }

    /// Counts subscriptions that were refused; true when the client is closed for it.
    fn refused_subscriptions(&mut self, number: usize) -> bool {
        if number == 0 {
            return false;
        }
        self.worker
            .counters
            .add(Metric::SubscribesDenied, number as u64);
        let closes = self.worker.shared.policy.load().disconnects();
        if closes {
            self.close(&CloseReason::Violation(Violation::NotPermitted));
        }
        closes
    }

    /// The rules have changed: what waits for the client and it may no longer receive is dropped.
    pub(super) fn recheck(&mut self) {
        let Phase::Connected(connected) = &mut self.phase else {
            return;
        };
        let Connected {
            channel,
            inbox,
            items,
            permissions,
            ..
        } = &mut **connected;
        if permissions.renew(&self.worker.shared.policy.load()) {
            channel.forget_topic();
        }
        let counters = &self.worker.counters;
        let may = |topic: &str| permissions.may_receive(topic);
        items.extend(inbox.take());
        let mut settled = Vec::new();
        *items = permitted(std::mem::take(items), may, &mut settled, counters).into();
        channel.session_mut().outbound_mut().settle_places(settled);
        channel.purge(may, counters);
        self.wake();
    }
}
