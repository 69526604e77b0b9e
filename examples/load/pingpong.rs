//! `pingpong`: one publisher, one subscriber, one message under way.

use std::time::{Duration, Instant};

use clap::Args;
use futures::future::try_join;
use serde_json::json;
use tokio::time::timeout;

use crate::conn::{Conn, KEEP_ALIVE};
use crate::cost::{Usage, per};
use crate::tally::Histogram;
use crate::wire::{
    self, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, PublishTemplate, STAMP_LEN, Session, Stamp,
    Version,
};
use crate::{Failure, Result, Target, bounded};

/// How long one message may take.
const ROUND_LIMIT: Duration = Duration::from_secs(5);

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    target: Target,
    /// Quality of service of the PUBLISH and of the subscription.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// How many messages, one after the other.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The whole run ends with an error after so many seconds.
    #[arg(long, default_value_t = 120)]
    timeout: u64,
}

pub fn run(options: &Options) -> Result<()> {
    bounded(options.timeout, play(options))
}

async fn play(options: &Options) -> Result<()> {
    let (target, process) = (&options.target, std::process::id());
    let topic = format!("load/{process:x}/pingpong");
    let (mut subscriber, _) = Conn::open(
        target,
        &format!("pp{process:x}s"),
        Session::Clean,
        KEEP_ALIVE,
    )
    .await?;
    subscriber.subscribe(target, &topic, options.qos).await?;
    let (mut publisher, _) = Conn::open(
        target,
        &format!("pp{process:x}p"),
        Session::Clean,
        KEEP_ALIVE,
    )
    .await?;
    let template = PublishTemplate::new(target.version, &topic, options.qos, STAMP_LEN);

    let mut latency = Histogram::default();
    let usage = Usage::from_now(target.broker());
    for seq in 0..options.rounds {
        let started = Instant::now();
        template.push(
            &mut publisher.out,
            1,
            Stamp {
                publisher: 0,
                seq,
                due_us: 0,
            },
        );
        publisher.flush()?;
        // A QoS 2 message may be delivered only after its PUBREL, so both sides go on at the same time.
        let arrival = async {
            receive(&mut subscriber, target.version, seq).await?;
            latency.record(started.elapsed().as_micros() as u64);
            Ok(())
        };
        let round = try_join(arrival, finish(&mut publisher, options.qos));
        timeout(ROUND_LIMIT, round).await.map_err(|_| {
            Failure::protocol(format!(
                "message {seq} took longer than {} s",
                ROUND_LIMIT.as_secs()
            ))
        })??;
    }
    let (generator_us, broker_us) = (usage.generator_us(), usage.broker_us());
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| latency.quantile(share));
    let rounds = f64::from(options.rounds);
    println!(
        "{}",
        json!({
            "rounds": options.rounds,
            "qos": options.qos,
            "p50_us": p50,
            "p99_us": p99,
            "p99.9_us": p999,
            "broker_cpu_us": per(broker_us, rounds),
            "generator_cpu_us": per(generator_us, rounds),
        })
    );
    Ok(())
}

/// Waits for the message `seq` at the subscriber and for the end of its handshake there.
async fn receive(conn: &mut Conn, version: Version, seq: u32) -> Result<()> {
    let mut arrived = false;
    while !arrived {
        conn.stream().readable().await?;
        conn.read_frames(|frame, out| {
            match frame.kind() {
                PUBLISH => {
                    let publish = wire::parse_publish(frame, version)?;
                    if Stamp::read(publish.payload).is_none_or(|stamp| stamp.seq != seq) {
                        return Err(Failure::protocol(format!(
                            "another message where number {seq} was due"
                        )));
                    }
                    match publish.qos {
                        1 => wire::push_ack(out, PUBACK, publish.packet_id),
                        2 => wire::push_ack(out, PUBREC, publish.packet_id),
                        _ => {}
                    }
                    arrived = true;
                }
                // Of this message or of the one before: it may come after the next PUBLISH was read.
                PUBREL => wire::push_ack(out, PUBCOMP, wire::parse_ack(frame)?),
                kind => {
                    return Err(Failure::protocol(format!(
                        "packet type {kind} for a subscriber"
                    )));
                }
            }
            Ok(())
        })?;
        conn.flush()?;
    }
    Ok(())
}

/// Completes the publisher's side of the message under way.
async fn finish(conn: &mut Conn, qos: u8) -> Result<()> {
    let last = match qos {
        0 => return Ok(()),
        1 => PUBACK,
        _ => PUBCOMP,
    };
    let mut done = false;
    while !done {
        conn.stream().readable().await?;
        conn.read_frames(|frame, out| {
            let id = wire::parse_ack(frame)?;
            match frame.kind() {
                PUBREC if qos == 2 => wire::push_ack(out, PUBREL, id),
                kind if kind == last => done = true,
                kind => {
                    return Err(Failure::protocol(format!(
                        "packet type {kind} for a publisher"
                    )));
                }
            }
            Ok(())
        })?;
        conn.flush()?;
    }
    Ok(())
}
