//! SUBSCRIBE and UNSUBSCRIBE, which the registry answers.

use std::sync::Arc;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use bytes::BytesMut;

use super::{ClientConnection, Connected, Phase};
use crate::{
    messages::{Subscribe, Unsubscribe},
    session::{CloseReason, Granted, SubscribeJob, SubscribeRequest, UnsubscribeJob},
    store::Outcome,
};

impl ClientConnection {
    /// Enters subscriptions that the client may have; each SUBSCRIBE is answered for itself.
    pub(super) fn subscribe(&mut self, jobs: Vec<SubscribeJob>, ctx: &mut Context<Self>) {
        let Phase::Connected(connected) = &mut self.phase else {
            return;
        };
        let requests = jobs.iter().flat_map(SubscribeJob::requests);
        let requests: Vec<SubscribeRequest> = requests.cloned().collect();
        if requests.is_empty() {
            for job in jobs {
                connected.channel.subscribed(job, &[], &mut self.wire);
            }
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
                Ok(answers) => connection.subscribed(jobs, &answers, outcome),
                Err(_) => connection.close(&CloseReason::ShuttingDown),
            }
            connection.wake();
        }));
    }

    fn subscribed(
        &mut self,
        jobs: Vec<SubscribeJob>,
        mut answers: &[Granted],
        outcome: Option<Arc<Outcome>>,
    ) {
        let Phase::Connected(connected) = &mut self.phase else {
            return;
        };
        connected.asking = false;
        let Connected { channel, held, .. } = &mut **connected;
        let mut held_back = BytesMut::new();
        let subacks = match &outcome {
            None => &mut self.wire,
            Some(_) => &mut held_back,
        };
        let mut wanting = Vec::new();
        for job in jobs {
            let (own, others) = answers
                .split_at_checked(job.requests().count())
                .unwrap_or((answers, &[]));
            answers = others;
            wanting.extend(channel.subscribed(job, own, subacks));
        }
        if let Some(outcome) = outcome {
            held.packet(outcome, held_back);
        }
        connected.want_retained(wanting);
    }

    pub(super) fn unsubscribe(&mut self, job: UnsubscribeJob, ctx: &mut Context<Self>) {
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
}
