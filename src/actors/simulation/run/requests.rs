//! What clients publish, subscribe to and read.

use super::*;
use crate::mqtt::matches;

impl Run {
    pub(super) fn topic(&mut self) -> &'static str {
        self.rng.choice(TOPICS).unwrap()
    }

    pub(super) fn qos(&mut self) -> QoS {
        self.rng.choice(EVERY_QOS).unwrap()
    }

    pub(super) fn add_message(
        &mut self,
        client: usize,
        topic: &'static str,
        qos: QoS,
        retain: bool,
        empty: bool,
    ) -> usize {
        self.oracle.messages.push(Message {
            publisher: client,
            epoch: self.clients[client].epoch,
            topic,
            qos,
            retain,
            empty,
            is_will: false,
            expiry: None,
            sent_clock: self.world.clock(),
            taken_clock: None,
            attempts: 1,
            sent_at: self.oracle.now,
            taken_at: None,
            interrupted: false,
            never: false,
        });
        self.oracle.messages.len() - 1
    }

    pub(super) fn publish(&mut self, client: usize) {
        for _ in 0..self.rng.usize(1..4) {
            if !self.clients[client].peer.may_publish() {
                return;
            }
            let (topic, qos) = (self.topic(), self.qos());
            let retain = self.rng.u8(..5) == 0;
            let empty = retain && self.rng.u8(..4) == 0;
            let number = self.add_message(client, topic, qos, retain, empty);
            let mut outgoing = Outgoing::new(number, topic, qos, retain, empty);
            if self.clients[client].peer.version.is_v5() {
                outgoing.expiry = self
                    .rng
                    .choice([None, None, Some(AGE), Some(2 * AGE)])
                    .unwrap();
                outgoing.aliased = self.rng.u8(..3) == 0;
            }
            self.send(client, outgoing);
        }
    }

    pub(super) fn send(&mut self, client: usize, outgoing: Outgoing) {
        let number = outgoing.number;
        self.oracle.messages[number].expiry = outgoing.expiry;
        self.show(|| format!("{client} publishes {:?}", self.oracle.messages[number]));
        let of = &mut self.clients[client];
        of.peer.publish(outgoing);
        if outgoing.qos == QoS::AtMostOnce {
            of.unread.push(number);
        }
    }

    /// Messages to two topics in turn: they come to their subscribers one by one, and wait for them together. `towards`:
    /// to a topic that this client has subscribed to, by another one.
    pub(super) fn publish_many(&mut self, towards: Option<usize>) {
        let ready: Vec<_> = (0..self.clients.len())
            .filter(|client| self.clients[*client].peer.is_ready() && Some(*client) != towards)
            .collect();
        let Some(client) = self.rng.choice(ready) else {
            return;
        };
        let mut topics = [self.topic(), self.topic()];
        if let Some(towards) = towards {
            let filters = self.oracle.filters(towards, self.clients[towards].epoch);
            let wanted = |topic: &&&str| filters.iter().any(|filter| matches(filter, topic));
            let wanted: Vec<_> = TOPICS.iter().filter(wanted).collect();
            topics[0] = self.rng.choice(wanted).copied().unwrap_or(topics[0]);
        }
        let qos = self.rng.choice(&EVERY_QOS[1..]).copied().unwrap();
        for index in 0..self.rng.usize(3..8) {
            if self.clients[client].peer.may_publish() {
                let topic = topics[index % 2];
                let number = self.add_message(client, topic, qos, false, false);
                self.send(client, Outgoing::new(number, topic, qos, false, false));
            }
        }
    }

    pub(super) fn subscribe(&mut self, client: usize) {
        let filter = self.rng.choice(FILTERS).unwrap();
        self.subscribe_to(client, filter);
    }

    pub(super) fn subscribe_to(&mut self, client: usize, filter: &'static str) {
        let shared = filter.starts_with('$');
        let qos = self.rng.choice(&EVERY_QOS[usize::from(shared)..]).copied();
        let qos = qos.unwrap();
        let v5 = self.clients[client].peer.version.is_v5();
        let no_local = v5 && !shared && self.rng.u8(..4) == 0;
        self.show(|| format!("{client} subscribes to {filter} with {qos:?}, no local: {no_local}"));
        let now = self.oracle.now;
        let of = &mut self.clients[client];
        if of.requests.values().any(|other| *other == filter) {
            return;
        }
        self.oracle.change(client, of.epoch, filter, |interval| {
            interval.ending_at.get_or_insert(now);
        });
        self.oracle.intervals.push(Interval {
            client,
            epoch: of.epoch,
            filter,
            qos,
            no_local,
            asked_at: now,
            asked_clock: self.oracle.clock,
            granted_at: None,
            ending_at: None,
            gone_at: None,
        });
        of.requests
            .insert(of.peer.subscribe(filter, qos, no_local), filter);
    }

    pub(super) fn unsubscribe(&mut self, client: usize) {
        let of = &mut self.clients[client];
        let Some(filter) = self.rng.choice(self.oracle.filters(client, of.epoch)) else {
            return;
        };
        if of.requests.values().any(|other| *other == filter) {
            return;
        }
        let now = self.oracle.now;
        self.oracle.change(client, of.epoch, filter, |interval| {
            interval.ending_at.get_or_insert(now);
        });
        of.requests.insert(of.peer.unsubscribe(filter), filter);
        self.show(|| format!("{client} unsubscribes from {filter}"));
    }

    pub(super) fn read(&mut self, client: usize, most: usize) {
        let events = self.clients[client].peer.read(most);
        for event in events {
            self.show(|| format!("{client} reads {event:?}"));
            self.take(client, event);
        }
    }

    pub(super) fn take(&mut self, client: usize, event: Event) {
        let now = self.oracle.now;
        let of = &mut self.clients[client];
        match event {
            Event::Connected { session_present } => self.connected(client, session_present),
            Event::Message(received) => {
                let (epoch, v5, since) = (of.epoch, of.peer.version.is_v5(), of.connected_clock);
                self.oracle.delivered(client, epoch, v5, since, &received);
            }
            Event::Taken(number) => {
                let clock = self.oracle.clock;
                let message = &mut self.oracle.messages[number];
                message.taken_at = Some(now);
                message.taken_clock = Some(clock);
            }
            Event::Subscribed(id) => {
                let filter = of.requests.remove(&id).unwrap();
                self.oracle.granted(client, of.epoch, filter);
            }
            Event::Unsubscribed(id) => {
                let filter = of.requests.remove(&id).unwrap();
                self.oracle.change(client, of.epoch, filter, |interval| {
                    interval.gone_at.get_or_insert(now);
                });
            }
        }
    }

    pub(super) fn connected(&mut self, client: usize, session_present: bool) {
        let of = &mut self.clients[client];
        assert_eq!(of.kept, session_present, "client {client}: session present");
        if session_present {
            for number in of.peer.resume() {
                self.oracle.messages[number].attempts += 1;
            }
            if let Some((number, _)) = of.pending_will.take() {
                // The client was back in time.
                self.oracle.messages[number].never = true;
            }
            return;
        }
        of.peer.forget_session();
        self.oracle.has_ended(client, of.epoch);
        of.epoch += 1;
        self.publish_will(client);
    }
}
