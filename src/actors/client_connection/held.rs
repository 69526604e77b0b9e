//! Acknowledgements that wait for the durable store.

use std::{collections::VecDeque, sync::Arc, task, task::Poll};

use bytes::BytesMut;

use super::{ClientConnection, Connected, Phase};
use crate::{
    actors::Router,
    messages::Inbox,
    mqtt::PacketId,
    session::{Channel, HeldAck},
    store::{Outcome, Record},
};

/// What leaves in this order, each when the store has what it is about.
#[derive(Debug, Default)]
pub(in crate::actors) struct Held(Option<Box<Queue>>);

/// Made when there is something to hold back.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    acknowledgements: usize,
}

#[derive(Debug)]
struct Waiting {
    /// None: nothing, but that those before it leave.
    outcome: Option<Arc<Outcome>>,
    acknowledgements: Vec<HeldAck>,
    /// A packet that is already encoded.
    packet: BytesMut,
}

impl Held {
    /// Holds back a packet.
    pub(super) fn packet(&mut self, outcome: Arc<Outcome>, packet: BytesMut) {
        let queue = self.0.get_or_insert_default();
        queue.waiting.push_back(Waiting {
            outcome: Some(outcome),
            acknowledgements: Vec::new(),
            packet,
        });
    }

    fn push(&mut self, outcome: Option<Arc<Outcome>>, acknowledgements: Vec<HeldAck>) {
        if acknowledgements.is_empty() {
            return;
        }
        let queue = self.0.get_or_insert_default();
        queue.acknowledgements += acknowledgements.len();
        queue.waiting.push_back(Waiting {
            outcome,
            acknowledgements,
            packet: BytesMut::new(),
        });
    }

    /// Number of acknowledgements that wait.
    pub(in crate::actors) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.acknowledgements)
    }

    /// The connection ends: identifiers of QoS 2 messages of which the client has not learnt what became of them.
    pub(in crate::actors) fn into_doubtful(self) -> impl Iterator<Item = (Arc<Outcome>, PacketId)> {
        let waiting = self.0.map(|queue| queue.waiting).unwrap_or_default();
        waiting.into_iter().flat_map(|waiting| {
            let outcome = waiting.outcome;
            waiting
                .acknowledgements
                .into_iter()
                .filter_map(move |ack| match ack {
                    HeldAck::PubRec(id, _) => Some((outcome.clone()?, id)),
                    HeldAck::PubAck(..) | HeldAck::PubRel(_) | HeldAck::PubComp(..) => None,
                })
        })
    }

    /// Holds back what the client's last packets are answered with, and has the store know of them.
    pub(in crate::actors) fn answers(
        &mut self,
        channel: &mut Channel,
        inbox: &Inbox,
        router: &mut Router,
    ) {
        let outcome = router.take_outcome();
        let Some(durable) = router.durable() else {
            return;
        };
        self.push(outcome, channel.take_held());
        let Some(session) = inbox.durable() else {
            return;
        };
        let released = channel.take_released();
        if !released.is_empty() {
            let ids = released.iter().filter_map(|ack| match ack {
                HeldAck::PubComp(id, _) => Some(id.get()),
                HeldAck::PubAck(..) | HeldAck::PubRec(..) | HeldAck::PubRel(_) => None,
            });
            let outcome = durable.note(&Record::Released(session.get(), ids.collect()));
            self.push(Some(outcome), released);
        }
        let received = channel.session_mut().outbound_mut().take_received();
        if !received.is_empty() {
            let places = received.iter().map(|(place, _)| *place).collect();
            let outcome = durable.note(&Record::Received(session.get(), places));
            let answers = received.into_iter().map(|(_, id)| HeldAck::PubRel(id));
            self.push(Some(outcome), answers.collect());
        }
    }

    /// Lets go what need not wait any longer; the task is woken when there is more of it.
    pub(in crate::actors) fn release(
        &mut self,
        channel: &mut Channel,
        wire: &mut BytesMut,
        cx: &mut task::Context<'_>,
    ) {
        let Some(queue) = &mut self.0 else {
            return;
        };
        while let Some(waiting) = queue.waiting.front() {
            let kept = match &waiting.outcome {
                None => true,
                Some(outcome) => match outcome.poll(cx) {
                    Poll::Ready(kept) => kept,
                    Poll::Pending => return,
                },
            };
            let Some(waiting) = queue.waiting.pop_front() else {
                break;
            };
            queue.acknowledgements -= waiting.acknowledgements.len();
            channel.write_held(&waiting.acknowledgements, kept, wire);
            if kept {
                wire.extend_from_slice(&waiting.packet);
            }
        }
        self.0 = None;
    }
}

impl ClientConnection {
    /// Writes the acknowledgements that need not wait for the store any longer.
    pub(super) fn release_held(&mut self, cx: &mut task::Context<'_>) {
        if let Phase::Connected(connected) = &mut self.phase {
            let Connected { channel, held, .. } = &mut **connected;
            held.release(channel, &mut self.wire, cx);
        }
    }
}
