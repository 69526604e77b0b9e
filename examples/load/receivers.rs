//! The subscribers of a flood: they check, count and acknowledge what arrives.

use std::cell::RefCell;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Sender;

use futures::future::{Either, select};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::oneshot;

use crate::conn::{Conn, KEEP_ALIVE};
use crate::flood::{Event, Shared};
use crate::tally::{Arrivals, Tally};
use crate::wire::{self, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Session, Stamp};
use crate::{Failure, Result};

/// Receive buffers of all subscribers together.
const INBOX_BYTES: usize = 16 * 1024 * 1024;

/// Subscribes everyone, says so, and receives until `stop`.
pub async fn receive_all(
    shared: &Shared,
    events: &Sender<Event>,
    stop: oneshot::Receiver<()>,
) -> Result<Tally> {
    let options = &shared.options;
    let inbox = (INBOX_BYTES / options.subs as usize)
        .clamp(4 * 1024, 256 * 1024)
        .max(2 * options.size);
    let mut conns = Vec::new();
    for index in 0..options.subs {
        let (mut conn, _) = Conn::open(
            &options.target,
            &format!("load{:x}s{index}", shared.run),
            match options.kept {
                true => Session::Kept,
                false => Session::Clean,
            },
            KEEP_ALIVE,
        )
        .await?;
        let (first, _) = options.sources(index);
        conn.subscribe(
            &options.target,
            &options.topic(shared.run, first),
            options.qos,
        )
        .await?;
        conn.reserve_inbox(inbox);
        conns.push(conn);
    }
    let mut slow = Vec::new();
    for index in 0..options.slow {
        let name = format!("load{:x}slow{index}", shared.run);
        let (mut conn, _) = Conn::open(&options.target, &name, Session::Clean, KEEP_ALIVE).await?;
        conn.subscribe(&options.target, &options.topic(shared.run, 0), options.qos)
            .await?;
        slow.push(conn);
    }
    let _ = events.send(Event::SubscribersReady);

    let tally = RefCell::new(Tally::default());
    {
        let mut all: FuturesUnordered<_> = conns
            .into_iter()
            .zip(0..)
            .map(|(conn, index)| receive(shared, conn, index, &tally))
            .collect();
        if let Either::Left((Some(result), _)) = select(all.next(), stop).await {
            result?;
        }
    }
    Ok(tally.into_inner())
}

/// Receives, checks and acknowledges for one subscriber; ends only with an error.
async fn receive(
    shared: &Shared,
    mut conn: Conn,
    index: u32,
    tally: &RefCell<Tally>,
) -> Result<()> {
    let options = &shared.options;
    let (first, count) = options.sources(index);
    let mut arrivals: Vec<Arrivals> = (0..count).map(|_| Arrivals::default()).collect();
    let stream = conn.stream();
    loop {
        stream.ready(conn.interest()).await?;
        let mut sums = tally.borrow_mut();
        let before = sums.received;
        let now_us = shared.now_us();
        conn.read_frames(|frame, out| {
            match frame.kind() {
                PUBLISH => {
                    let publish = wire::parse_publish(frame, options.target.version)?;
                    let stamp = Stamp::read(publish.payload)
                        .filter(|_| publish.payload.len() == options.size);
                    let (stamp, arrivals) = stamp
                        .and_then(|stamp| {
                            let slot = stamp.publisher.checked_sub(first)?;
                            Some((stamp, arrivals.get_mut(slot as usize)?))
                        })
                        .ok_or_else(|| {
                            Failure::protocol(format!(
                                "subscriber {index} got a message that is not its own"
                            ))
                        })?;
                    sums.add(arrivals.note(stamp.seq));
                    if options.rate.is_some() {
                        // The stamp is the low half of the same clock.
                        sums.latency
                            .record(u64::from((now_us as u32).wrapping_sub(stamp.due_us)));
                    }
                    match publish.qos {
                        1 => wire::push_ack(out, PUBACK, publish.packet_id),
                        2 => wire::push_ack(out, PUBREC, publish.packet_id),
                        _ => {}
                    }
                }
                PUBREL => wire::push_ack(out, PUBCOMP, wire::parse_ack(frame)?),
                kind => {
                    return Err(Failure::protocol(format!(
                        "packet type {kind} for a subscriber"
                    )));
                }
            }
            Ok(())
        })?;
        if sums.received > before {
            shared.last_arrival_us.store(now_us, Relaxed);
            shared.received.store(sums.received, Relaxed);
        }
        drop(sums);
        conn.flush()?;
    }
}
