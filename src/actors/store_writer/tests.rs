//! The writer on a disk that does as it is told.

use std::{num::NonZeroU64, sync::Arc, time::Instant};

use actix::Addr;
use futures::future::poll_fn;

use super::*;
use crate::{
    config::MqueuePolicy,
    messages::{DurableTarget, Inbox, Owner, SessionCommand},
    mqtt::{Batch, Message as Publication, Properties, QoS},
    session::Delivery,
    store::{Outcome, Record, SessionInfo, Subscription, tests::fake_disk::FakeDisk},
};

struct Bench {
    disk: FakeDisk,
    owner: Addr<Nobody>,
    writer: Addr<StoreWriter>,
    inbox: Arc<Inbox>,
    counters: Arc<Counters>,
    gauges: Arc<Gauges>,
}

/// A session's owner that only remembers what has made room.
#[derive(Default)]
struct Nobody(Vec<u64>);

impl Actor for Nobody {
    type Context = Context<Self>;
}

impl Handler<SessionCommand> for Nobody {
    type Result = ();

    fn handle(&mut self, command: SessionCommand, _: &mut Self::Context) {
        if let SessionCommand::Evicted(places) = command {
            self.0.extend(places);
        }
    }
}

/// Asks it for what has made room since it was asked last.
#[derive(actix::Message)]
#[rtype(result = "Vec<u64>")]
struct TakeEvicted;

impl Handler<TakeEvicted> for Nobody {
    type Result = Vec<u64>;

    fn handle(&mut self, _: TakeEvicted, _: &mut Self::Context) -> Vec<u64> {
        std::mem::take(&mut self.0)
    }
}

impl Bench {
    async fn new() -> Self {
        Self::with(Config::default(), GROUP).await
    }

    async fn with(config: Config, group: usize) -> Self {
        let disk = FakeDisk::default();
        let (store, _) = Store::open(Box::new(disk.clone()), limits(&config)).unwrap();
        let load = Arc::new(WorkerLoad::new(1 << 30));
        let counters = Arc::new(Counters::default());
        let gauges = Arc::new(Gauges::default());
        let mut writer = StoreWriter::new(
            store,
            Arc::new(ArcSwap::from_pointee(config)),
            counters.clone(),
            gauges.clone(),
            load.clone(),
            Arc::default(),
            WallClock::new(Instant::now(), 1),
        );
        writer.group = group;
        let writer = writer.start();
        let owner = Nobody::default().start();
        let owned = Owner::Connection(owner.clone().recipient(), load);
        let inbox = Arc::new(Inbox::new("c".into(), owned, 1, NonZeroU64::new(1)));
        let bench = Self {
            disk,
            owner,
            writer,
            inbox,
            counters,
            gauges,
        };
        let info = SessionInfo {
            client_id: "c".into(),
            generation: 1,
            expiry_interval: 60,
            ..SessionInfo::default()
        };
        let opened = bench.record(&Record::Opened(1, info), Refused::GoOn);
        assert!(settled(&opened).await);
        bench
    }

    fn record(&self, record: &Record<'_>, refused: Refused) -> Arc<Outcome> {
        let part = Outcome::begin();
        let outcome = part.outcome();
        let mut told = WriteRecord::new(record)
            .if_refused(refused)
            .with(Some(part));
        if let Record::Opened(number, _) = record {
            told.begins = Some(*number);
        }
        self.writer.do_send(told);
        outcome
    }

    fn publish(&self, payload: &[u8]) -> Arc<Outcome> {
        let now = Instant::now();
        let message = Publication::new(
            "t",
            payload,
            QoS::AtLeastOnce,
            false,
            Properties::EMPTY,
            now,
        );
        let batch = Arc::new(Batch::of_message(&message, now));
        let part = Outcome::begin();
        let outcome = part.outcome();
        self.writer.do_send(Persist {
            to: vec![DurableTarget {
                inbox: self.inbox.clone(),
                range: 0..1,
                delivery: Delivery {
                    qos: QoS::ExactlyOnce,
                    retain_as_published: false,
                    subscription_ids: None,
                    group: None,
                    places: None,
                },
            }],
            batch,
            origin: None,
            now,
            part: Some(part),
            from: None,
            offers: 0,
        });
        outcome
    }

    fn count(&self, metric: Metric) -> u64 {
        let mut totals = crate::stats::Totals::default();
        self.counters.add_to(&mut totals);
        totals.get(metric)
    }
}

fn subscription() -> Subscription {
    Subscription {
        options: crate::mqtt::SubscribeOptions::default(),
        subscription_id: None,
    }
}

async fn settled(outcome: &Outcome) -> bool {
    poll_fn(|cx| outcome.poll(cx)).await
}

#[actix::test]
async fn all_that_waits_shares_one_sync() {
    let bench = Bench::new().await;
    let before = bench.disk.state().syncs;
    let outcomes: Vec<_> = (0..500u16)
        .map(|n| bench.publish(&n.to_be_bytes()))
        .collect();
    for outcome in &outcomes {
        assert!(settled(outcome).await);
    }
    assert_eq!(bench.disk.state().syncs - before, 1);
    // All of them are in the inbox, in order and with their places.
    let items = bench.inbox.take();
    let sequences: Vec<u64> = items
        .iter()
        .flat_map(|item| item.delivery.places.iter().flat_map(|places| places.iter()))
        .map(|place| place.sequence)
        .collect();
    assert_eq!(sequences, (1..=500).collect::<Vec<u64>>());
}

#[actix::test]
async fn a_group_ends_when_it_is_large_enough() {
    let bench = Bench::with(Config::default(), 10_000).await;
    let before = bench.disk.state().syncs;
    let mut outcomes: Vec<_> = (0..40).map(|_| bench.publish(&[b'x'; 1000])).collect();
    outcomes.push(bench.record(&Record::Taken(1, vec![3]), Refused::Refuse));
    for outcome in &outcomes {
        assert!(settled(outcome).await);
    }
    assert_eq!(bench.disk.state().syncs - before, 5);
    let places = bench
        .inbox
        .take()
        .into_iter()
        .filter_map(|item| item.delivery.places);
    let sequences: Vec<u64> = places
        .flat_map(|places| places.iter().map(|at| at.sequence).collect::<Vec<_>>())
        .collect();
    assert_eq!(sequences, (1..=40).collect::<Vec<u64>>());
    // What has waited for the disk comes before what has come since, in groups as well; the end waits for all of them.
    bench.disk.state().room = Some(0);
    bench.disk.state().reserved = 0;
    let last = Record::Subscribed(1, "last", subscription());
    let filters: Vec<String> = (0..30)
        .map(|n| format!("{n:02}{}", "x".repeat(1000)))
        .collect();
    for filter in &filters {
        bench.record(
            &Record::Subscribed(1, filter, subscription()),
            Refused::GoOn,
        );
    }
    assert!(!settled(&bench.publish(b"refused")).await);
    assert_eq!(bench.gauges.store_waiting.get(), 30);
    bench.record(&last, Refused::GoOn);
    bench.disk.state().room = None;
    bench.writer.send(CloseStore).await.unwrap();
    let (store, _) = Store::open(
        Box::new(bench.disk.after_kill()),
        limits(&Config::default()),
    )
    .unwrap();
    assert_eq!(store.sessions().remove(0).subscriptions.len(), 31);
}

#[actix::test]
async fn a_full_disk_has_room_for_what_is_known_of_sessions() {
    let bench = Bench::new().await;
    bench.disk.state().room = Some(0);
    assert!(!settled(&bench.publish(b"refused")).await);
    assert_eq!(bench.gauges.store_failing.get(), 1);
    let released = bench.record(&Record::Released(1, vec![3]), Refused::Wait);
    assert!(settled(&released).await);
    assert!(!settled(&bench.publish(b"refused")).await);
    bench.disk.state().room = None;
    assert!(settled(&bench.publish(b"taken")).await);
    assert_eq!(bench.gauges.store_failing.get(), 0);
}

#[actix::test]
async fn a_disk_that_takes_nothing_refuses_messages_and_comes_back() {
    let bench = Bench::new().await;
    bench.disk.state().room = Some(0);
    bench.disk.state().reserved = 0;
    assert!(!settled(&bench.publish(b"refused")).await);
    assert_eq!(bench.inbox.take().len(), 0);
    assert_eq!(bench.gauges.store_failing.get(), 1);
    assert_eq!(bench.count(Metric::StoreRefused), 1);
    // What is known of sessions goes on or waits, as it was asked.
    let settled_record = Record::Settled(1, vec![9]);
    assert!(settled(&bench.record(&settled_record, Refused::GoOn)).await);
    let waits = bench.record(&Record::Released(1, vec![3]), Refused::Wait);
    let refused = bench.record(&Record::Taken(1, vec![3]), Refused::Refuse);
    assert!(!settled(&refused).await);
    assert_eq!(waits.settled(), None);
    bench.disk.state().room = None;
    // It is tried again by itself.
    assert!(settled(&waits).await);
    assert_eq!(bench.gauges.store_failing.get(), 0);
    assert!(settled(&bench.publish(b"taken")).await);
    assert_eq!(bench.inbox.take().len(), 1);
}

#[actix::test]
async fn a_failed_sync_refuses_the_group_and_no_other() {
    let bench = Bench::new().await;
    bench.disk.state().failing_syncs = 1;
    let group = [bench.publish(b"1"), bench.publish(b"2")];
    for outcome in &group {
        assert!(!settled(outcome).await);
    }
    let waits = bench.record(&Record::Released(1, vec![3]), Refused::Wait);
    assert!(settled(&waits).await);
    assert!(settled(&bench.publish(b"3")).await);
    let places = bench.inbox.take().remove(0).delivery.places.unwrap();
    assert_eq!(places.len(), 1);
    bench.writer.send(CloseStore).await.unwrap();
    let (store, _) = Store::open(
        Box::new(bench.disk.after_power_failure(0)),
        limits(&Config::default()),
    )
    .unwrap();
    let queue = store.sessions().remove(0).queue;
    assert_eq!(queue.len(), 1);
    assert_eq!(queue[0].sequence, places[0].sequence);
}

#[actix::test]
async fn a_store_that_is_closed_refuses() {
    let bench = Bench::new().await;
    let last = bench.publish(b"last");
    bench.writer.send(CloseStore).await.unwrap();
    assert!(settled(&last).await);
    assert!(!settled(&bench.publish(b"late")).await);
}

#[actix::test]
async fn nothing_makes_room_where_it_would_not_be_enough() {
    let mut config = Config::default();
    config.store.max_bytes = 10_000;
    config.store.policy = MqueuePolicy::DropOldest;
    let bench = Bench::with(config, GROUP).await;
    for _ in 0..4 {
        assert!(settled(&bench.publish(&[b'x'; 2000])).await);
    }
    // As when the first two are on their way to the client: with the others alone there is not enough room.
    bench
        .inbox
        .counters
        .inflight
        .store(2, std::sync::atomic::Ordering::Relaxed);
    assert!(!settled(&bench.publish(&[b'x'; 6000])).await);
    assert_eq!(bench.owner.send(TakeEvicted).await.unwrap(), [0u64; 0]);
    assert_eq!(bench.gauges.stored_messages.get(), 4);
    assert!(settled(&bench.publish(&[b'x'; 5000])).await);
    assert_eq!(bench.owner.send(TakeEvicted).await.unwrap(), [3, 4]);
    assert_eq!(bench.gauges.stored_messages.get(), 3);
}
