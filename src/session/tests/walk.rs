//! A long random walk: messages, acknowledgements in any order, lost connections, full outputs, time that passes.
//! The client notices breaches of the protocol; here every message is accounted for.

use std::collections::BTreeSet;

use fastrand::Rng;

use super::kit::*;
use crate::{
    config::{Mqtt, MqueuePolicy},
    mqtt::{Connect, Property, Publish, QoS},
    session::Delivery,
    stats::Metric,
};

const SEEDS: u64 = 300;
const STEPS: usize = 400;
const GROUP: &str = "$share/group/#";
const TOPICS: [&str; 5] = ["a", "b/c", "long/topic/name", "d", "e"];

/// Tells which seed has failed.
struct Announce(u64);

impl Drop for Announce {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the walk failed with seed {}", self.0);
        }
    }
}

struct Walk {
    rng: Rng,
    broker: Broker,
    client: Client,
    asked: Connect<'static>,
    /// Acknowledgements on their way to the broker.
    outbox: Vec<Reply>,
    /// QoS of each message that was sent; its number is its payload.
    sent: Vec<QoS>,
    arrived: BTreeSet<usize>,
    /// Taken over by another member of the group.
    taken: BTreeSet<usize>,
    /// QoS 0 messages that were written but not read when the connection was lost.
    lost: u64,
    /// Messages of the client that were looked at.
    checked: usize,
    last: [Option<usize>; 2],
}

#[test]
fn every_message_is_accounted_for() {
    for seed in 0..SEEDS {
        let _announce = Announce(seed);
        let mut walk = Walk::new(seed);
        for _ in 0..STEPS {
            walk.step();
            walk.check();
        }
        walk.finish();
    }
}

fn limits(rng: &mut Rng) -> Mqtt {
    Mqtt {
        max_inflight_window: rng.u16(1..8),
        max_inflight_bytes: rng.choice([300, 100_000]).unwrap(),
        max_mqueue_len: rng.usize(0..20),
        max_mqueue_bytes: rng.choice([500, 2000, 1_000_000]).unwrap(),
        mqueue_policy: rng
            .choice([MqueuePolicy::DropOldest, MqueuePolicy::Reject])
            .unwrap(),
        max_output_buffer: rng.choice([1, 60, 300, 100_000]).unwrap(),
        max_topic_alias_out: rng.choice([0, 2, 10]).unwrap(),
        ..Mqtt::default()
    }
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let version = rng.choice(VERSIONS).unwrap();
        Self {
            broker: Broker::new(limits(&mut rng)),
            client: Client::new(version).topic_alias_maximum(3),
            asked: connect(version),
            rng,
            outbox: Vec::new(),
            sent: Vec::new(),
            arrived: BTreeSet::new(),
            taken: BTreeSet::new(),
            lost: 0,
            checked: 0,
            last: [None; 2],
        }
    }

    fn step(&mut self) {
        let up = self.broker.is_connected();
        match self.rng.u8(0..100) {
            0..40 => self.deliver(),
            40..60 if up => {
                let most = self.rng.usize(1..5);
                self.client.read(&mut self.broker.wire, most);
                self.broker.flushed();
            }
            60..75 if !self.client.owed.is_empty() => {
                // Most clients answer in order.
                let index = match self.rng.bool() {
                    true => 0,
                    false => self.rng.usize(..self.client.owed.len()),
                };
                self.outbox.push(self.client.reply(index));
            }
            75..92 if up && !self.outbox.is_empty() => {
                let reply = self.outbox.remove(0);
                self.broker.replied(reply);
            }
            92..94 if up => self.lose(),
            94..97 if !up => self.connect(),
            97 if !up => self.take_orphans(),
            98.. => self.broker.pass(self.rng.u64(0..3)),
            _ => {}
        }
    }

    fn deliver(&mut self) {
        let n = self.rng.usize(1..4);
        let delivery = Delivery {
            subscription_ids: self.rng.bool().then(|| [7].into()),
            group: (self.rng.u8(..4) == 0).then(|| GROUP.into()),
            ..delivery(Q2)
        };
        let first = self.sent.len();
        let texts: Vec<_> = (first..first + n)
            .map(|number| number.to_string())
            .collect();
        let mut messages = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let qos = self.rng.choice(EVERY_QOS).unwrap();
            let expiry = [Property::MessageExpiryInterval(self.rng.u32(0..8))];
            let expires = self.rng.u8(..5) == 0;
            self.sent.push(qos);
            messages.push(Publish {
                properties: properties(if expires { &expiry } else { &[] }),
                ..message(topic(first + index), text.as_bytes(), qos)
            });
        }
        let batch = batch(&messages, V5, self.broker.now);
        self.broker.deliver(&batch, &delivery);
    }

    fn lose(&mut self) {
        let unread = read_all(self.asked.version, &self.broker.wire);
        let qos_0 = |seen: &&Seen| matches!(seen, Seen::Publish(publish) if publish.id.is_none());
        self.lost += unread.iter().filter(qos_0).count() as u64;
        self.broker.lose();
        self.client.lose();
        self.outbox.clear();
    }

    fn connect(&mut self) {
        let own = self.broker.limits.max_inflight_window;
        let mut window = own;
        if self.asked.version == V5 {
            let receive_maximum = self.rng.u16(1..10);
            window = own.min(receive_maximum);
            self.asked.properties = properties(&[
                Property::ReceiveMaximum(receive_maximum),
                Property::TopicAliasMaximum(3),
            ]);
        }
        self.client.set_receive_maximum(window.into());
        self.broker.connect(&self.asked);
    }

    fn take_orphans(&mut self) {
        let before = self.broker.outbound().inflight() + self.broker.outbound().queue_len();
        let orphans = self.broker.session_mut().outbound_mut().take_orphans(GROUP);
        let after = self.broker.outbound().inflight() + self.broker.outbound().queue_len();
        assert_eq!(before - after, orphans.len());
        let mut last = None;
        for orphan in orphans {
            let number = number(orphan.message.unwrap().view().payload);
            assert!(last < Some(number), "orphans in order");
            assert!(self.taken.insert(number), "{number} is taken twice");
            last = Some(number);
        }
    }

    /// What must hold after every step.
    fn check(&mut self) {
        let (limits, outbound) = (&self.broker.limits, self.broker.outbound());
        assert!(outbound.queue_len() <= limits.max_mqueue_len);
        assert!(outbound.queue_bytes() <= limits.max_mqueue_bytes);
        assert_eq!(outbound.queue_len() == 0, outbound.queue_bytes() == 0);
        for seen in &self.client.messages[self.checked..] {
            let number = number(&seen.payload);
            assert_eq!(
                Some(&seen.qos),
                self.sent.get(number),
                "what was sent: {seen:?}"
            );
            assert_eq!(seen.topic, topic(number));
            if self.arrived.insert(number) {
                assert!(!self.taken.contains(&number), "{number} went to another");
                let last = &mut self.last[usize::from(seen.qos != Q0)];
                assert!(*last < Some(number), "{number} after {last:?}");
                *last = Some(number);
            } else {
                assert_eq!((seen.qos, seen.dup), (Q1, true), "{number} came twice");
            }
        }
        self.checked = self.client.messages.len();
    }

    /// Everything settles, and what did not arrive was counted.
    fn finish(mut self) {
        if !self.broker.is_connected() {
            self.connect();
        }
        for reply in self.outbox.split_off(0) {
            self.broker.replied(reply);
        }
        drive_bounded(&mut self.broker, &mut self.client, 500);
        self.check();
        let outbound = self.broker.outbound();
        assert_eq!((outbound.inflight(), outbound.queue_len()), (0, 0));
        assert_eq!(outbound.queue_bytes(), 0);
        let dropped = [
            Metric::DroppedQueueFull,
            Metric::DroppedExpired,
            Metric::DroppedOutputFull,
            Metric::DroppedOffline,
        ]
        .map(|metric| self.broker.count(metric));
        let total: u64 = dropped.iter().sum();
        assert_eq!(outbound.dropped(), total);
        let elsewhere = self.taken.difference(&self.arrived).count();
        assert_eq!(
            (self.arrived.len() + elsewhere) as u64 + total + self.lost,
            self.sent.len() as u64,
            "dropped: {dropped:?}, lost: {}",
            self.lost
        );
    }
}

fn topic(number: usize) -> &'static str {
    TOPICS[number % TOPICS.len()]
}

fn number(payload: &[u8]) -> usize {
    std::str::from_utf8(payload).unwrap().parse().unwrap()
}
