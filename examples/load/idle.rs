//! `idle`: many clients that do nothing.

use std::io::{Read, Write, stdin, stdout};
use std::time::Duration;

use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

use crate::conn::Conn;
use crate::wire::{DISCONNECT_PACKET, PINGREQ_PACKET, PINGRESP};
use crate::{Failure, Result, Target, event_loop};

/// Connections that wait for CONNACK at the same time.
const CONNECTING: usize = 64;

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    target: Target,
    /// How many clients.
    #[arg(long, default_value_t = 10_000)]
    clients: u32,
    /// Keep the connections until standard input ends; otherwise close them at once.
    #[arg(long)]
    hold_until_stdin_closes: bool,
    /// Let each client subscribe to a topic of its own.
    #[arg(long)]
    subscribe: bool,
    /// Keep alive in seconds; 0 for none, otherwise each client pings at three quarters of it.
    #[arg(long, default_value_t = 0)]
    keepalive: u16,
}

pub fn run(options: &Options) -> Result<()> {
    event_loop()?.block_on(async {
        let mut clients: Vec<Conn> = stream::iter(0..options.clients)
            .map(|i| connect(options, i))
            .buffer_unordered(CONNECTING)
            .try_collect()
            .await?;
        println!("connected {}", clients.len());
        stdout().flush()?;
        if options.hold_until_stdin_closes {
            hold(&mut clients, options.keepalive).await?;
        }
        // Nobody may have read for a long time, so a client that the broker dropped is noticed here.
        let mut dropped = 0;
        for client in &mut clients {
            if read_pings(client).is_err() {
                dropped += 1;
                continue;
            }
            client.out.extend_from_slice(&DISCONNECT_PACKET);
            if client.flush().is_err() {
                dropped += 1;
            }
        }
        if dropped > 0 {
            return Err(Failure::protocol(format!(
                "the broker closed {dropped} of {} connections",
                clients.len()
            )));
        }
        Ok(())
    })
}

async fn connect(options: &Options, index: u32) -> Result<Conn> {
    let process = std::process::id();
    let (mut conn, _) = Conn::open(
        &options.target,
        &format!("idle{process:x}i{index}"),
        options.keepalive,
    )
    .await?;
    if options.subscribe {
        conn.subscribe(
            &options.target,
            &format!("load/{process:x}/idle/{index}"),
            0,
        )
        .await?;
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
    let mut ticks = interval(Duration::from_secs(u64::from(keepalive)) * 3 / 4);
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
