//! The end of a run: everybody comes back, and the books are closed.

use super::*;

/// Rounds in which everything must have come to rest.
const ROUNDS_MAX: usize = 2000;
/// Metrics of messages that were received and went no further.
const REFUSED: &[Metric] = &[
    Metric::MessagesRouted,
    Metric::MessagesDuplicate,
    Metric::MessagesWithoutSubscriber,
];
/// Metrics of what becomes of messages that were given to a session.
const DONE: &[Metric] = &[
    Metric::MessagesSentQoS0,
    Metric::MessagesAcknowledged,
    Metric::MessagesHandedOver,
    Metric::DroppedOutputFull,
    Metric::DroppedOffline,
    Metric::DroppedQueueFull,
    Metric::DroppedSessionEnded,
    Metric::DroppedExpired,
];

impl Run {
    /// Everybody comes back, reads and answers all there is; then the books are closed.
    pub(super) fn finish(&mut self) {
        self.oracle.now += 1;
        for client in 0..self.clients.len() {
            if self.clients[client].peer.link.is_none() {
                let hello = Hello {
                    clean: false,
                    expiry: FOR_EVER,
                    receive_maximum: u16::MAX,
                    alias_maximum: 0,
                    keep_alive: 0,
                    will: None,
                };
                self.connect_with(client, &hello);
            }
        }
        self.drain();
        let epochs: Vec<u32> = self.clients.iter().map(|client| client.epoch).collect();
        let now = self.oracle.now;
        for number in &self.wills {
            self.oracle.messages[*number].taken_at = Some(now);
        }
        let [wills, dropped] = self.counted();
        let roomy = self.limits.max_mqueue_len > 1000;
        assert!(
            !roomy || dropped == 0,
            "{dropped} dropped from queues with room"
        );
        self.oracle.check_complete(&epochs, dropped);
        check_sums(&mut self.world);
        assert_eq!(wills, self.wills.len() as u64, "wills");
        self.check_retained();
        self.leave_nothing();
    }

    pub(super) fn drain(&mut self) {
        for _ in 0..ROUNDS_MAX {
            self.oracle.now += 1;
            self.rest();
            let mut quiet = true;
            for client in 0..self.clients.len() {
                let before = self.clients[client].peer.packets;
                self.read(client, usize::MAX);
                quiet &= self.clients[client].peer.packets == before;
                while self.clients[client].peer.owes() {
                    quiet = false;
                    self.clients[client].peer.reply(&mut self.rng, true);
                }
            }
            if quiet {
                let done = self.clients.iter().all(|client| client.peer.is_done());
                assert!(done, "an acknowledgement never comes");
                assert_eq!(self.world.waiting(), 0, "waiting, though all is taken");
                return;
            }
        }
        panic!("it never ends");
    }

    pub(super) fn check_retained(&mut self) {
        let mut peer = Peer::new("witness", ProtocolVersion::V5, TOPICS);
        let hello = Hello {
            clean: true,
            expiry: 0,
            receive_maximum: u16::MAX,
            alias_maximum: 0,
            keep_alive: 0,
            will: None,
        };
        let stream = self.world.accept(0, usize::MAX);
        peer.connect(stream, &hello, self.limits.max_inflight_window);
        self.world.settle();
        peer.read(usize::MAX);
        let mut found = BTreeMap::new();
        // One by one, so that none is dropped where the output has hardly any room.
        for topic in TOPICS {
            peer.subscribe(topic, QoS::AtMostOnce, false);
            self.world.settle();
            for event in peer.read(usize::MAX) {
                if let Event::Message(received) = event {
                    assert!(received.retain);
                    let number = received.number.expect("a payload");
                    assert_eq!(found.insert(received.topic, number), None, "twice");
                }
            }
        }
        self.oracle.check_what_is_retained(&found);
        let kept = self.world.gauges.retained.get();
        assert_eq!(
            kept,
            found.len() as u64,
            "retained messages, those that can be got"
        );
        peer.lose().unwrap().end();
        self.world.settle();
    }

    pub(super) fn leave_nothing(&mut self) {
        for client in 0..self.clients.len() {
            let hello = Hello {
                clean: true,
                expiry: 0,
                receive_maximum: u16::MAX,
                alias_maximum: 0,
                keep_alive: 0,
                will: None,
            };
            self.connect_with(client, &hello);
            self.world.settle();
            self.read(client, usize::MAX);
            self.lose(client);
        }
        for stream in self.half_open.drain(..) {
            stream.end();
        }
        self.world.check_nothing_left();
    }
}

/// When all is at rest: what was received went on or was refused; what was given to sessions waits, is sent,
/// acknowledged or dropped.
pub fn check_sums(world: &mut World) {
    let waiting = world.waiting();
    let received = world.sum(&EVERY_QOS.map(Metric::received));
    let wills = world.count(Metric::WillsPublished);
    assert_eq!(received + wills, world.sum(REFUSED), "received");
    let deliveries = world.count(Metric::MessagesDeliveries);
    let done: Vec<_> = DONE.iter().map(|of| (*of, world.count(*of))).collect();
    assert_eq!(
        deliveries + world.restored,
        world.sum(DONE) + waiting,
        "delivered, of which {waiting} wait: {done:?}"
    );
}
