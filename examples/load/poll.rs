//! `poll`: reads an HTTP API without a pause, as a monitoring program that has lost all measure would.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cost::per;
use crate::tally::Histogram;
use crate::{Failure, Result, bounded};

/// How long one answer may take, and the last one may take longer than the run.
const ANSWER_LIMIT: u64 = 30;
/// Bytes read at once.
const READ_SIZE: usize = 256 * 1024;

#[derive(Args)]
pub struct Options {
    /// Address of the HTTP API.
    #[arg(long, default_value = "127.0.0.1:8081")]
    api: std::net::SocketAddr,
    /// What is asked for.
    #[arg(long, default_value = "/api/v4/clients")]
    path: String,
    /// The value of the header Authorization.
    #[arg(long, default_value = "Basic YWRtaW46cHVibGlj")]
    authorization: String,
    /// For so many seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
}

pub fn run(options: &Options) -> Result<()> {
    bounded(options.seconds + ANSWER_LIMIT, play(options))
}

async fn play(options: &Options) -> Result<()> {
    let started = Instant::now();
    let (mut answers, mut bytes, mut times) = (0u32, 0u64, Histogram::default());
    let mut buffer = vec![0; READ_SIZE];
    while started.elapsed() < Duration::from_secs(options.seconds) {
        let asked = Instant::now();
        bytes += exchange(options, &mut buffer).await?;
        times.record(asked.elapsed().as_micros() as u64);
        answers += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({
            "answers": answers,
            "answers_per_sec": per(f64::from(answers), seconds),
            "bytes_per_answer": per(bytes as f64, f64::from(answers)),
            "answer_p50_us": times.quantile(0.5),
            "answer_p99_us": times.quantile(0.99),
        })
    );
    Ok(())
}

/// One request; returns the size of the answer, whose end is that of the connection. Its last byte has to be that of a
/// JSON object or of the last chunk.
async fn exchange(options: &Options, buffer: &mut [u8]) -> Result<u64> {
    let mut stream = TcpStream::connect(options.api).await?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\nConnection: close\r\n\r\n",
        options.path, options.api, options.authorization
    );
    stream.write_all(request.as_bytes()).await?;
    let (mut bytes, mut last) = (0, 0);
    loop {
        let count = stream.read(buffer).await?;
        let read = buffer.get(..count).unwrap_or_default();
        if bytes == 0 && !read.starts_with(b"HTTP/1.1 200 ") {
            let head = String::from_utf8_lossy(read);
            let line = head.lines().next().unwrap_or_default();
            return Err(Failure::protocol(format!("{}: {line}", options.path)));
        }
        bytes += count as u64;
        match read.last() {
            Some(byte) => last = *byte,
            None if last == b'}' || last == b'\n' => return Ok(bytes),
            None => return Err(Failure::protocol("an answer that was broken off")),
        }
    }
}
