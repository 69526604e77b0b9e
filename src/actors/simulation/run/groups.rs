//! What becomes of a group's messages when a member leaves: clients do it on purpose, since by chance it hardly comes up
//! that they all do their part.

use super::*;

const GROUPS: [(&str, &str); 3] = [
    ("$share/g/g/+", "g/1"),
    ("$share/g/g/+", "g/2"),
    ("$share/h/h/1", "h/1"),
];

impl Run {
    /// Messages wait for a member, who is perhaps away; another member is there, and the session of the first one ends, or
    /// only its connection.
    pub(super) fn forsake_a_group(&mut self, member: usize) {
        let (filter, topic) = self.rng.choice(GROUPS).unwrap();
        if !self.joins(member, filter) {
            return;
        }
        let is_away = self.rng.bool();
        if is_away {
            self.lose(member);
            self.rest();
        }
        let others = (0..self.clients.len()).filter(|other| *other != member);
        let ready: Vec<_> = others
            .filter(|other| self.clients[*other].peer.is_ready())
            .collect();
        let Some(other) = self.rng.choice(ready) else {
            return;
        };
        for _ in 0..self.rng.usize(1..4) {
            if self.clients[other].peer.may_publish() {
                let qos = self.rng.choice(&EVERY_QOS[1..]).copied().unwrap();
                let number = self.add_message(other, topic, qos, false, false);
                self.send(other, Outgoing::new(number, topic, qos, false, false));
            }
        }
        if !self.joins(other, filter) {
            return;
        }
        if self.rng.bool() {
            self.read(other, usize::MAX);
        }
        self.oracle.now += 1;
        self.rest();
        match (is_away, self.rng.bool()) {
            (true, true) => self.pass(),
            (_, true) => self.begin_anew(member),
            (true, false) => self.connect(member),
            (false, false) => self.lose(member),
        }
    }

    /// A client is a member of a group for sure; false when it cannot be made one.
    fn joins(&mut self, client: usize, filter: &'static str) -> bool {
        let epoch = self.clients[client].epoch;
        if !self.clients[client].peer.is_ready() {
            return false;
        }
        // What was sent in the step before was sent before the subscription is there.
        self.oracle.now += 1;
        if !self.oracle.filters(client, epoch).contains(&filter) {
            self.subscribe_to(client, filter);
        }
        self.rest();
        self.read(client, usize::MAX);
        self.oracle.now += 1;
        self.rest();
        true
    }

    fn begin_anew(&mut self, client: usize) {
        let mut hello = self.hello(client);
        hello.clean = true;
        if !self.clients[client].peer.version.is_v5() {
            hello.expiry = 0;
        }
        self.connect_with(client, &hello);
    }
}
