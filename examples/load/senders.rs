//! The publishers of a flood: as fast as they can, or each message at its time.

use std::cell::RefCell;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use futures::future::{Either, select};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::oneshot;

use crate::Result;
use crate::conn::{Conn, KEEP_ALIVE};
use crate::flood::Shared;
use crate::publisher::{Plan, Publisher};
use crate::wire::{PublishTemplate, Session};

/// The longest sleep of the pacer, which keeps acknowledgements moving between messages.
const PACER_NAP: Duration = Duration::from_micros(500);

/// Connects everyone and publishes until all are finished or `stop`; returns what each sent.
pub async fn publish_all(shared: &Shared, stop: oneshot::Receiver<()>) -> Result<Vec<u32>> {
    let options = &shared.options;
    let plan = options.plan();
    let mut publishers = Vec::new();
    for index in 0..options.pubs {
        let (conn, limit) = Conn::open(
            &options.target,
            &format!("load{:x}p{index}", shared.run),
            Session::Clean,
            KEEP_ALIVE,
        )
        .await?;
        let topic = options.topic(shared.run, index);
        let template =
            PublishTemplate::new(options.target.version, &topic, options.qos, options.size);
        let window = options.window.min(limit);
        publishers.push(Publisher::new(
            conn,
            (index, options.pubs),
            template,
            options.qos,
            window,
            plan,
        ));
    }
    let start_us = shared.now_us();
    shared.started_us.store(start_us, Relaxed);
    let publishers: Vec<RefCell<Publisher>> = publishers
        .into_iter()
        .map(|mut publisher| {
            publisher.start(start_us);
            RefCell::new(publisher)
        })
        .collect();

    let work = async {
        let mut all: FuturesUnordered<_> = publishers
            .iter()
            .map(|publisher| drive(shared, publisher))
            .collect();
        let drive_all = async {
            while let Some(result) = all.next().await {
                result?;
            }
            Ok(())
        };
        if let Plan::Schedule { total, .. } = plan {
            let (drive_all, pace) = (
                std::pin::pin!(drive_all),
                std::pin::pin!(pace(shared, &publishers, plan, total)),
            );
            select(drive_all, pace).await.factor_first().0
        } else {
            drive_all.await
        }
    };
    if let Either::Left((result, _)) = select(std::pin::pin!(work), stop).await {
        result?;
    }
    Ok(publishers
        .iter()
        .map(|publisher| publisher.borrow().sent())
        .collect())
}

/// Keeps one publisher going until it is finished; with a schedule, [`pace`] sends and this only reads.
async fn drive(shared: &Shared, publisher: &RefCell<Publisher>) -> Result<()> {
    let stream = publisher.borrow().conn.stream();
    loop {
        let interest = {
            let mut publisher = publisher.borrow_mut();
            publisher.pump(shared.now_us())?;
            if publisher.finished() {
                return Ok(());
            }
            publisher.interest()
        };
        let ready = stream.ready(interest).await?;
        if ready.is_readable() {
            publisher.borrow_mut().read_acks()?;
        }
        shared.publisher_steps.fetch_add(1, Relaxed);
        if interest.is_writable() {
            // A socket that never fills up must not keep the others from theirs.
            tokio::task::yield_now().await;
        }
    }
}

/// Sends each message of a schedule when it is due, and ends when all publishers are finished.
///
/// tokio's timer counts milliseconds, so this sleeps on the thread and lets the event loop run in between.
async fn pace(
    shared: &Shared,
    publishers: &[RefCell<Publisher>],
    plan: Plan,
    total: u64,
) -> Result<()> {
    let start_us = shared.started_us.load(Relaxed);
    let mut next = 0;
    let mut order = publishers.iter().cycle();
    let acknowledged = shared.options.qos > 0;
    let mut turned = Instant::now();
    loop {
        let now_us = shared.now_us();
        let due = plan.due_in_all(now_us.saturating_sub(start_us));
        while next < due {
            if let Some(publisher) = order.next() {
                publisher.borrow_mut().pump(now_us)?;
            }
            next += 1;
        }
        if next >= total {
            // What a full socket or window held back.
            for publisher in publishers {
                publisher.borrow_mut().pump(now_us)?;
            }
            if publishers
                .iter()
                .all(|publisher| publisher.borrow().finished())
            {
                return Ok(());
            }
        }
        let wait_us = if next < total {
            (start_us + plan.due_at_us(next)).saturating_sub(shared.now_us())
        } else {
            u64::MAX
        };
        if wait_us > 0 {
            thread::sleep(PACER_NAP.min(Duration::from_micros(wait_us)));
        }
        // Without acknowledgements there is nothing to read between messages but a closed connection.
        if acknowledged || turned.elapsed() >= PACER_NAP {
            tokio::task::yield_now().await;
            turned = Instant::now();
        }
    }
}
