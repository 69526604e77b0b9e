//! Power failures at any moment: of what was not synced, anything may be left. What was acknowledged has to be there, and
//! nothing that never was.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use super::{fake_disk::FakeDisk, *};

/// What a store says, one thing a line.
fn facts(store: &Store) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    for session in store.sessions() {
        let number = session.number;
        facts.insert(format!("{number} is {}", session.info.client_id));
        facts.extend(session.taken.iter().map(|id| format!("{number} took {id}")));
        let filters = session.subscriptions.iter();
        facts.extend(filters.map(|(filter, _)| format!("{number} subscribed to {filter}")));
        assert!(session.queue.is_sorted_by_key(|entry| entry.sequence));
        for entry in session.queue {
            let body = match entry.received {
                true => None,
                false => Some(store.read(entry.message).unwrap().expect("a body")),
            };
            let payload = body.map(|body| body.message.view().payload.to_vec());
            facts.insert(format!("{number}: {} {payload:?}", entry.sequence));
        }
    }
    let mut retained = Vec::new();
    store
        .retained(|body| {
            let view = body.message.view();
            retained.push(format!("retained {} {:?}", view.topic, view.payload));
        })
        .unwrap();
    facts.extend(retained);
    facts
}

/// The store after a step.
struct Known {
    /// Changes of the disk by then.
    changes: usize,
    /// What the step has written may be acknowledged.
    synced: bool,
    facts: BTreeSet<String>,
}

struct Life {
    disk: FakeDisk,
    store: Store,
    rng: Rng,
    queues: BTreeMap<SessionNumber, Vec<u64>>,
    ledger: Vec<Known>,
}

impl Life {
    fn new(seed: u64) -> Self {
        let disk = FakeDisk::default();
        let (store, _) = Store::open(Box::new(disk.clone()), LIMITS).unwrap();
        disk.state().moments_kept = 110;
        disk.state().rng = Rng::with_seed(!seed);
        let mut life = Self {
            disk,
            store,
            rng: Rng::with_seed(seed),
            queues: BTreeMap::new(),
            ledger: Vec::new(),
        };
        life.know(true);
        life
    }

    fn know(&mut self, synced: bool) {
        let changes = self.disk.state().changes;
        self.ledger.push(Known {
            changes,
            synced,
            facts: facts(&self.store),
        });
    }

    fn session(&mut self) -> Option<SessionNumber> {
        let at = self.rng.usize(..self.queues.len().max(1));
        self.queues.keys().copied().nth(at)
    }

    /// One of the waiting messages of a session.
    fn place(&mut self) -> Option<(SessionNumber, u64)> {
        let session = self.session()?;
        let queue = self.queues.get(&session)?;
        let at = self.rng.usize(..queue.len().max(1));
        Some((session, *queue.get(at)?))
    }

    /// Adds a record; false when there is nothing that it could be about.
    fn add(&mut self) -> Option<()> {
        match self.rng.u8(..16) {
            0 if self.queues.len() < 5 => {
                let number = self.store.next_session();
                let client = info(&format!("client{number}"), number);
                self.store.add(&Record::Opened(number, client));
                self.queues.insert(number, Vec::new());
            }
            1 if self.rng.u8(..4) == 0 => {
                let session = self.session()?;
                self.store.add(&Record::Ended(session));
                self.queues.remove(&session);
            }
            2 => {
                let filter = format!("f/{}", self.rng.u8(..4));
                let session = self.session()?;
                match self.rng.bool() {
                    true => self
                        .store
                        .add(&Record::Subscribed(session, &filter, subscription())),
                    false => self.store.add(&Record::Unsubscribed(session, &filter)),
                }
            }
            3 => {
                let (session, ids) = (self.session()?, vec![self.rng.u16(1..9)]);
                self.store.add(&match self.rng.bool() {
                    true => Record::Taken(session, ids),
                    false => Record::Released(session, ids),
                });
            }
            4 | 5 => {
                let topic = format!("r/{}", self.rng.u8(..4));
                let payload = vec![self.rng.u8(..); self.rng.usize(..900)];
                let message = message(&topic, &payload, QoS::AtLeastOnce);
                self.store.add(&match self.rng.u8(..3) {
                    0 => Record::Unretained(&topic),
                    _ => Record::Retained(Body::of(&message, None)),
                });
            }
            6 => {
                let (session, sequence) = self.place()?;
                self.store.add(&Record::Received(session, vec![sequence]));
            }
            7..=10 => {
                let (session, sequence) = self.place()?;
                self.queues
                    .get_mut(&session)?
                    .retain(|other| *other != sequence);
                self.store.add(&Record::Settled(session, vec![sequence]));
            }
            _ => {
                let payload = vec![self.rng.u8(..); self.rng.usize(..1200)];
                let message = message("t", &payload, QoS::ExactlyOnce);
                let origin = self.session().filter(|_| self.rng.bool());
                let origin = origin.map(|session| (session, self.rng.u16(1..9)));
                let all: Vec<SessionNumber> = self.queues.keys().copied().collect();
                let to_some: Vec<_> = all.into_iter().filter(|_| self.rng.bool()).collect();
                let recipients = to_some.iter().map(|session| to(*session)).collect();
                let published = self.store.publish(&message, None, origin, recipients);
                for (session, sequence) in to_some.iter().zip(published.sequences) {
                    self.queues.get_mut(session)?.extend(sequence);
                }
            }
        }
        Some(())
    }

    /// A record, and its commit. One at a time, so that there is no state between two that the ledger does not know.
    fn step(&mut self) {
        if self.add().is_none() {
            return;
        }
        let synced = self.rng.u8(..4) > 0;
        let sureness = match synced {
            true => Sureness::Synced,
            false => Sureness::Written,
        };
        self.store.commit(sureness).unwrap();
        self.know(synced);
        while self.rng.bool() && self.store.wants_cleaning() {
            self.store.clean(self.rng.usize(1..3000)).unwrap();
            self.know(false);
        }
    }

    /// The power fails at the moments that were kept.
    fn check(&mut self, seed: u64) -> usize {
        let moments = std::mem::take(&mut self.disk.state().moments);
        for moment in &moments {
            let before = |known: &Known| known.changes <= moment.changes;
            let last = self.ledger.partition_point(before) - 1;
            let sure = self.ledger[..=last].iter().rposition(|known| known.synced);
            let until = (last + 2).min(self.ledger.len());
            let between = &self.ledger[sure.unwrap()..until];
            let disk = moment.without_power(&mut self.rng);
            let at = format!("seed {seed}, after {} changes", moment.changes);
            let (mut store, _) = Store::open(Box::new(disk.clone()), LIMITS)
                .unwrap_or_else(|error| panic!("{at}: {error}"));
            let found = facts(&store);
            let [first, rest @ ..] = between else {
                panic!("{at}: nothing is known");
            };
            let acknowledged = first
                .facts
                .iter()
                .filter(|fact| rest.iter().all(|known| known.facts.contains(*fact)));
            for fact in acknowledged {
                assert!(found.contains(fact), "{at}: lost: {fact:.60}");
            }
            for fact in &found {
                let known = between.iter().any(|known| known.facts.contains(fact));
                assert!(known, "{at}: never was, or is back: {fact:.60}");
            }
            // It goes on from there, and the next end of the process finds it as it was.
            store.add(&Record::Opened(store.next_session(), info("later", 1)));
            store.commit(Sureness::Synced).unwrap();
            let (again, _) = Store::open(Box::new(disk.after_power_failure(0)), LIMITS).unwrap();
            assert_eq!(facts(&again), facts(&store), "{at}");
        }
        moments.len()
    }
}

#[test]
fn what_was_acknowledged_survives_the_power() {
    let mut failures = 0;
    for seed in 0..200 {
        let mut life = Life::new(seed);
        for _ in 0..80 {
            life.step();
        }
        failures += life.check(seed);
    }
    assert!(failures > 5000, "{failures}");
}
