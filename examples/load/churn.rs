//! `churn`: clients that come, subscribe, perhaps publish to themselves, and go, one session after another.

use std::cell::Cell;
use std::time::Instant;

use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;

use crate::conn::{Conn, KEEP_ALIVE};
use crate::cost::{Usage, per};
use crate::wire::{self, Session};
use crate::{Failure, Result, Target, bounded};

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    target: Target,
    /// Clients at the same time.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    clients: u32,
    /// Sessions in all.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rounds: u32,
    /// Each session also publishes a message at QoS 1 to its own subscription and waits for it.
    #[arg(long)]
    publish: bool,
    /// The whole run ends with an error after so many seconds.
    #[arg(long, default_value_t = 120)]
    timeout: u64,
}

pub fn run(options: &Options) -> Result<()> {
    let (usage, started) = (Usage::from_now(options.target.broker()), Instant::now());
    let done = Cell::new(0_u32);
    let all = stream::iter(0..options.rounds)
        .map(|index| session(options, index, &done))
        .buffer_unordered(options.clients as usize)
        .try_for_each(async |()| Ok(()));
    bounded(options.timeout, all)?;
    let (generator_us, broker_us) = (usage.generator_us(), usage.broker_us());
    let (seconds, rounds) = (started.elapsed().as_secs_f64(), f64::from(done.get()));
    println!(
        "{}",
        json!({
            "rounds": done.get(),
            "rounds_per_sec": per(rounds, seconds),
            "broker_cpu_us": per(broker_us, rounds),
            "generator_cpu_us": per(generator_us, rounds),
        })
    );
    Ok(())
}

async fn session(options: &Options, index: u32, done: &Cell<u32>) -> Result<()> {
    let (target, process) = (&options.target, std::process::id());
    let name = format!("churn{process:x}i{index}");
    let (mut conn, _) = Conn::open(target, &name, Session::Clean, KEEP_ALIVE).await?;
    let topic = format!("load/{name}");
    conn.subscribe(target, &topic, 1).await?;
    if options.publish {
        conn.out
            .extend(wire::publish(target.version, &topic, 1, false, 1, b"x"));
        let (mut acknowledged, mut arrived) = (false, false);
        while !(acknowledged && arrived) {
            conn.exchange(|frame, out| {
                match frame.kind() {
                    wire::PUBACK => acknowledged = true,
                    wire::PUBLISH => {
                        let publish = wire::parse_publish(frame, target.version)?;
                        wire::push_ack(out, wire::PUBACK, publish.packet_id);
                        arrived = true;
                    }
                    kind => return Err(Failure::protocol(format!("packet type {kind}"))),
                }
                Ok(())
            })
            .await?;
        }
    }
    conn.close().await?;
    done.set(done.get() + 1);
    Ok(())
}
