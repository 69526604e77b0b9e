//! `idle`: many clients that do nothing.

use std::io::{Read, Write, stdin, stdout};
use std::time::{Duration, Instant};

use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval_at, sleep};

use crate::conn::{Conn, KEEP_ALIVE};
use crate::cost::{Usage, per};
use crate::wire::{DISCONNECT_PACKET, PINGREQ_PACKET, PINGRESP, Session};
use crate::{Failure, Result, Target, event_loop};

/// Connections that wait for CONNACK at the same time.
const CONNECTING: usize = 64;
/// Clients that come and leave before memory is measured.
const FIRST: u32 = 64;
/// What the broker gets to finish its work before its memory is read.
const SETTLE: Duration = Duration::from_secs(1);

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    target: Target,
    /// How many clients.
    #[arg(long, default_value_t = 10_000)]
    clients: u32,
    /// Keep the connections until standard input ends instead of measuring.
    #[arg(long)]
    hold_until_stdin_closes: bool,
    /// How long they do nothing while the broker is measured, in seconds.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How often all leave and come again before memory is measured once more.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100))]
    churn: u32,
    /// Let each client subscribe to so many topics of its own.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000))]
    subscriptions: u32,
    /// Let all clients subscribe to one and the same topic.
    #[arg(long)]
    broadcast: bool,
    /// Keep alive in seconds; each client pings at three quarters of it while it is held.
    #[arg(long, default_value_t = KEEP_ALIVE)]
    keepalive: u16,
}

pub fn run(options: &Options) -> Result<()> {
    event_loop()?.block_on(play(options))
}

async fn play(options: &Options) -> Result<()> {
    let broker = options.target.broker();
    let rss = broker.rss_kb();
    // The program's code that serves clients is read with the first ones, and is no part of what each takes.
    let mut first = connect_all(options, options.clients.min(FIRST)).await?;
    leave_all(&mut first)?;
    drop(first);
    sleep(SETTLE).await;
    let without = broker.rss_kb();
    let (usage, started) = (Usage::from_now(broker), Instant::now());
    let count = f64::from(options.clients);
    let kb_each = || {
        let grown = broker.rss_kb().saturating_sub(without);
        per(grown as f64, count)
    };
    let mut clients = connect_all(options, options.clients).await?;
    let (generator_us, broker_us) = (usage.generator_us(), usage.broker_us());
    let seconds = started.elapsed().as_secs_f64();
    println!("connected {}", clients.len());
    stdout().flush()?;
    if options.hold_until_stdin_closes {
        hold(&mut clients, options.keepalive).await?;
        return leave_all(&mut clients);
    }
    sleep(SETTLE).await;
    let (usage, kb) = (Usage::from_now(broker), kb_each());
    sleep(Duration::from_secs(options.seconds)).await;
    let idle_us = usage.broker_us();
    for _ in 0..options.churn {
        leave_all(&mut clients)?;
        drop(clients);
        sleep(SETTLE).await;
        clients = connect_all(options, options.clients).await?;
    }
    sleep(SETTLE).await;
    let kb_after_churn = kb_each();
    let usage = Usage::from_now(broker);
    leave_all(&mut clients)?;
    drop(clients);
    sleep(SETTLE).await;
    let leaving_us = usage.broker_us();
    println!(
        "{}",
        json!({
            "clients": options.clients,
            "connects_per_sec": per(count, seconds),
            "broker_cpu_us_per_connect": per(broker_us, count),
            "generator_cpu_us_per_connect": per(generator_us, count),
            "broker_cpu_us_per_leave": per(leaving_us, count),
            "broker_rss_kb_before": rss,
            "broker_kb_per_client": kb,
            "broker_idle_cpu_ms_per_s": per(idle_us / 1000.0, options.seconds as f64),
            "broker_kb_per_client_after_churn": kb_after_churn,
            "broker_rss_kb_after": broker.rss_kb(),
        })
    );
    Ok(())
}

async fn connect_all(options: &Options, count: u32) -> Result<Vec<Conn>> {
    stream::iter(0..count)
        .map(|i| connect(options, i))
        .buffer_unordered(CONNECTING)
        .try_collect()
        .await
}

/// Says goodbye for all. Nobody may have read for a long time, so clients that the broker dropped are noticed here.
fn leave_all(clients: &mut [Conn]) -> Result<()> {
    let mut dropped = 0;
    for client in &mut *clients {
        if read_pings(client).is_err() {
            dropped += 1;
            continue;
        }
        client.out.extend_from_slice(&DISCONNECT_PACKET);
        if client.flush().is_err() {
            dropped += 1;
        }
    }
    match dropped {
        0 => Ok(()),
        _ => Err(Failure::protocol(format!(
            "the broker closed {dropped} of {} connections",
            clients.len()
        ))),
    }
}

async fn connect(options: &Options, index: u32) -> Result<Conn> {
    let process = std::process::id();
    let (mut conn, _) = Conn::open(
        &options.target,
        &format!("idle{process:x}i{index}"),
        Session::Clean,
        options.keepalive,
    )
    .await?;
    for number in 0..options.subscriptions {
        let filter = format!("load/{process:x}/idle/{index}/{number}");
        conn.subscribe(&options.target, &filter, 0).await?;
    }
    if options.broadcast {
        let filter = format!("load/{process:x}/all");
        conn.subscribe(&options.target, &filter, 0).await?;
    }
    Ok(conn)
}

/// Returns when standard input ends.
async fn hold(clients: &mut [Conn], keepalive: u16) -> Result<()> {
    let (ended, mut end) = oneshot::channel();
    // Standard input has no readiness that works for every kind of file, so a thread waits for its end.
    std::thread::spawn(move || {
        let mut sink = [0; 1024];
        let mut input = stdin();
        while input.read(&mut sink).is_ok_and(|count| count > 0) {}
        let _ = ended.send(());
    });
    if keepalive == 0 {
        let _ = end.await;
        return Ok(());
    }
    let period = Duration::from_secs(u64::from(keepalive)) * 3 / 4;
    let mut ticks = interval_at(tokio::time::Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let tick = std::pin::pin!(ticks.tick());
        if let futures::future::Either::Right(_) = futures::future::select(tick, &mut end).await {
            return Ok(());
        }
        for client in &mut *clients {
            read_pings(client)?;
            client.out.extend_from_slice(&PINGREQ_PACKET);
            client.flush()?;
        }
    }
}

/// Takes what came in since the last look; only PINGRESP is expected.
fn read_pings(client: &mut Conn) -> Result<()> {
    client.read_frames(|frame, _| match frame.kind() {
        PINGRESP => Ok(()),
        kind => Err(Failure::protocol(format!(
            "packet type {kind} for an idle client"
        ))),
    })
}
