//! What comes of time that passes.

use super::*;

impl Run {
    /// Time passes, and all that comes of it happens.
    pub(super) fn pass(&mut self) {
        let seconds = self.rng.u32(1..3) * AGE;
        for client in 0..self.clients.len() {
            if self.clients[client].peer.is_ready() && self.rng.bool() {
                self.clients[client].peer.ping();
            }
        }
        self.rest();
        for client in 0..self.clients.len() {
            self.have_heard(client);
        }
        let timeouts = self.world.count(Metric::KeepAliveTimeouts);
        self.world.pass(seconds);
        self.oracle.clock = self.world.clock();
        self.rest();
        let clock = self.world.clock();
        self.show(|| format!("it is {clock}"));
        let closed = self.world.count(Metric::KeepAliveTimeouts) - timeouts;
        self.end_silent(closed);
        for client in 0..self.clients.len() {
            let of = &mut self.clients[client];
            if of.peer.link.is_some() {
                continue;
            }
            let ended = of.kept && of.left_at + of.expiry <= clock;
            if ended {
                of.kept = false;
                self.oracle.has_ended(client, of.epoch);
            }
            if ended || of.pending_will.is_some_and(|(_, due)| due <= clock) {
                self.publish_will(client);
            }
        }
        self.oracle.rested();
    }

    /// The client knows that it is connected, and the broker has read all that it has sent, for which the client has to
    /// read, if its keep alive counts.
    fn have_heard(&mut self, client: usize) {
        let unheard = |of: &Client| {
            let link = of.peer.link.as_ref();
            let unheard = link.is_some_and(|link| !link.accepted || link.stream.unread() > 0);
            of.keep_alive > 0 && unheard
        };
        while unheard(&self.clients[client]) {
            self.read(client, usize::MAX);
            self.world.settle();
        }
        let of = &mut self.clients[client];
        if of.peer.has_spoken() {
            of.heard_at = self.oracle.clock;
        }
    }

    /// Who was silent for one and a half times its keep alive is closed by the broker, and nobody else `[MQTT-3.1.2-22]`.
    /// `closed`: how many were.
    fn end_silent(&mut self, closed: u64) {
        let mut silent = Vec::new();
        for (client, of) in self.clients.iter().enumerate() {
            let allowed = u32::from(of.keep_alive) * 3 / 2;
            let Some(link) = &of.peer.link else {
                continue;
            };
            if allowed > 0 && self.oracle.clock - of.heard_at >= allowed {
                silent.push(client);
            } else {
                assert!(!link.stream.is_ended(), "client {client} is closed");
            }
        }
        assert_eq!(closed, silent.len() as u64, "{silent:?} were silent");
        for client in silent {
            self.show(|| format!("{client} was silent for too long"));
            self.leave(client, false);
            self.clients[client].peer.lose().unwrap().end();
        }
        self.rest();
    }
}
