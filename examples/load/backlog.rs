//! `backlog`: messages that the broker keeps, and the cost of handing them out.

use std::time::Instant;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::conn::{Conn, KEEP_ALIVE};
use crate::cost::{Usage, per};
use crate::tally::{Arrival, Arrivals};
use crate::wire::{self, Session, Stamp};
use crate::{Failure, Result, Target, bounded};

/// Unacknowledged messages of the publisher.
const WINDOW: u32 = 100;
/// Subscriptions under way at the same time.
const LOOKUPS_AHEAD: u32 = 50;
/// Receive buffer of the client that takes the backlog.
const INBOX_BYTES: usize = 256 * 1024;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Retained messages, which one new subscription takes all.
    Retained,
    /// Retained messages, each asked for by a subscription of its own.
    Lookup,
    /// Messages at QoS 1 for a session whose client is away and comes back.
    Queued,
}

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    target: Target,
    /// What waits.
    #[arg(long, value_enum)]
    kind: Kind,
    /// How many messages.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    count: u32,
    /// How many of them are looked up.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    lookups: u32,
    /// How many new clients take all that is retained, one after the other.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    takers: u32,
    /// Payload in bytes, at least 12.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(12..=100_000))]
    size: u32,
    /// The whole run ends with an error after so many seconds.
    #[arg(long, default_value_t = 240)]
    timeout: u64,
}

pub fn run(options: &Options) -> Result<()> {
    bounded(options.timeout, play(options))
}

async fn play(options: &Options) -> Result<()> {
    let (target, process) = (&options.target, std::process::id());
    let (broker, away) = (target.broker(), format!("back{process:x}s"));
    if options.kind == Kind::Queued {
        let (mut conn, _) = Conn::open(target, &away, Session::Kept, KEEP_ALIVE).await?;
        conn.subscribe(target, "load/back/#", 1).await?;
        conn.close().await?;
    }
    let (rss, usage) = (broker.rss_kb(), Usage::from_now(broker));
    fill(options).await?;
    let filled = usage.broker_us();
    let bytes = (broker.rss_kb().saturating_sub(rss) * 1024) as f64;

    let (usage, started) = (Usage::from_now(broker), Instant::now());
    let mut first = None;
    let taken = match options.kind {
        Kind::Retained => {
            let mut taken = 0;
            for _ in 0..options.takers {
                let (mut conn, _) = Conn::open(target, &away, Session::Clean, KEEP_ALIVE).await?;
                conn.out
                    .extend(wire::subscribe(target.version, "load/back/#", 1));
                taken += take(options, &mut conn, options.count).await?;
                conn.close().await?;
                first.get_or_insert(per(usage.broker_us(), f64::from(options.count)));
            }
            taken
        }
        Kind::Lookup => look_up(options, &away).await?,
        Kind::Queued => {
            let (mut conn, _) = Conn::open(target, &away, Session::Kept, KEEP_ALIVE).await?;
            take(options, &mut conn, options.count).await?
        }
    };
    let (generator_us, broker_us) = (usage.generator_us(), usage.broker_us());
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({
            "messages": options.count,
            "taken": taken,
            "broker_cpu_us_per_kept": per(filled, f64::from(options.count)),
            "broker_bytes_per_kept": per(bytes, f64::from(options.count)),
            "broker_cpu_us": per(broker_us, f64::from(taken)),
            "generator_cpu_us": per(generator_us, f64::from(taken)),
            "broker_cpu_us_first_taker": first,
            "msgs_per_sec": per(f64::from(taken), seconds),
        })
    );
    Ok(())
}

fn topic(number: u32) -> String {
    format!("load/back/{}/{number}", number % 100)
}

/// Publishes all messages at QoS 1 and waits for every acknowledgement.
async fn fill(options: &Options) -> Result<()> {
    let (target, process) = (&options.target, std::process::id());
    let (mut conn, limit) = Conn::open(
        target,
        &format!("back{process:x}p"),
        Session::Clean,
        KEEP_ALIVE,
    )
    .await?;
    conn.reserve_inbox(16 * 1024);
    let window = WINDOW.min(u32::from(limit));
    let retain = options.kind != Kind::Queued;
    let (mut sent, mut acknowledged) = (0, 0);
    let mut payload = vec![b'.'; options.size as usize];
    while acknowledged < options.count {
        while sent < options.count && sent - acknowledged < window {
            Stamp {
                publisher: 0,
                seq: sent,
                due_us: 0,
            }
            .write(&mut payload);
            let id = (sent % u32::from(u16::MAX)) as u16 + 1;
            let packet = wire::publish(target.version, &topic(sent), 1, retain, id, &payload);
            conn.out.extend(packet);
            sent += 1;
        }
        conn.exchange(|frame, _| {
            acknowledged += 1;
            wire::expect(frame, wire::PUBACK)?;
            wire::parse_ack(frame).map(|_| ())
        })
        .await?;
    }
    conn.close().await
}

/// Takes `count` messages, each once.
async fn take(options: &Options, conn: &mut Conn, count: u32) -> Result<u32> {
    conn.reserve_inbox(INBOX_BYTES);
    let (mut arrivals, mut taken) = (Arrivals::default(), 0);
    while taken < count {
        conn.exchange(|frame, out| {
            if frame.kind() == wire::SUBACK {
                return wire::parse_suback(frame, options.target.version, 1);
            }
            wire::expect(frame, wire::PUBLISH)?;
            let publish = wire::parse_publish(frame, options.target.version)?;
            let stamp = Stamp::read(publish.payload)
                .filter(|_| publish.payload.len() == options.size as usize)
                .ok_or_else(|| Failure::protocol("a message that is not of this run"))?;
            if arrivals.note(stamp.seq) == Arrival::Duplicate {
                return Err(Failure::protocol(format!("message {} twice", stamp.seq)));
            }
            taken += 1;
            if publish.qos > 0 {
                wire::push_ack(out, wire::PUBACK, publish.packet_id);
            }
            Ok(())
        })
        .await?;
    }
    Ok(taken)
}

/// Subscribes to single topics far apart and waits for the message of each.
async fn look_up(options: &Options, name: &str) -> Result<u32> {
    let target = &options.target;
    let (mut conn, _) = Conn::open(target, name, Session::Clean, KEEP_ALIVE).await?;
    let lookups = options.lookups.min(options.count);
    let step = (options.count / lookups).max(1);
    let mut done = 0;
    while done < lookups {
        // Several at a time, as a client that waits for each would measure the network.
        let some = LOOKUPS_AHEAD.min(lookups - done);
        for number in done..done + some {
            let filter = topic(number * step);
            conn.out.extend(wire::subscribe(target.version, &filter, 1));
        }
        done += take(options, &mut conn, some).await?;
    }
    Ok(done)
}
