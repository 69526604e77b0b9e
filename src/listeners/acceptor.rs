//! The actor that accepts the connections of one listening socket.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    pin::Pin,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    task::{self, Poll, ready},
    time::{Duration, Instant},
};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, fut::ActorFuture};
use rustix::net::{SocketFlags, acceptfrom_with};
use tokio::{
    net::TcpListener,
    time::{Sleep, sleep},
};

use super::Balance;
use crate::{
    actors::{Accepted, Door},
    messages::StopAccepting,
    stats::{Counters, Metric},
};

/// How long accepting pauses when the process has no more open files.
const PAUSE: Duration = Duration::from_millis(200);
/// Connections accepted before the other actors of the thread get their turn.
const ACCEPTS_PER_TURN: usize = 64;
/// How often a limit that is reached is logged.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Accepts, holds the listener's limits, and hands sockets to workers.
///
/// At `max_connections` a new socket is closed at once. At `max_connection_rate` accepting waits, so that clients
/// queue up in the backlog. Without open files accepting pauses and tries again.
pub struct Acceptor {
    listener: TcpListener,
    door: Arc<Door>,
    balance: Rc<Balance>,
    counters: Arc<Counters>,
    bucket: Bucket,
    pause: Option<Pin<Box<Sleep>>>,
    last_log: Option<Instant>,
}

impl Acceptor {
    /// Accepts on `listener`.
    ///
    /// # Errors
    /// When the socket cannot be watched.
    pub fn new(
        listener: std::net::TcpListener,
        door: Arc<Door>,
        balance: Rc<Balance>,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let bucket = Bucket::new(door.config.max_connection_rate, Instant::now());
        Ok(Self {
            listener: TcpListener::from_std(listener)?,
            door,
            balance,
            counters,
            bucket,
            pause: None,
            last_log: None,
        })
    }

    /// Accepts what waits, with pauses where they are due.
    fn poll_accept(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        for _ in 0..ACCEPTS_PER_TURN {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            let accepted = match accept_waiting(&self.listener) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let accepted = ready!(self.listener.poll_accept(cx));
                    accepted.and_then(|(socket, peer)| Ok((socket.into_std()?, peer)))
                }
                accepted => accepted,
            };
            let wait = self.take(accepted, Instant::now());
            if !wait.is_zero() {
                self.pause = Some(Box::pin(sleep(wait)));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Hands a connection to a worker, if the limits allow; returns how long to wait before the next.
    fn take(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>, now: Instant) -> Duration {
        let mut wait = self.bucket.take(now);
        match accepted {
            Ok((socket, peer)) => {
                let most = self.door.config.max_connections;
                if most > 0 && self.door.open.load(Ordering::Relaxed) >= most {
                    self.counters.add(Metric::ConnectionsRefused, 1);
                    self.log(
                        now,
                        "max_connections is reached: new connections are closed",
                    );
                } else if let Some(worker) = self.balance.pick(now) {
                    self.counters.add(Metric::ConnectionsAccepted, 1);
                    worker.accepted.do_send(Accepted {
                        socket,
                        peer,
                        door: self.door.clone(),
                    });
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                self.log(now, &format!("accepting pauses: {error}"));
                wait = wait.max(PAUSE);
            }
        }
        wait
    }

    fn log(&mut self, now: Instant, what: &str) {
        if self
            .last_log
            .is_none_or(|last| now.duration_since(last) >= LOG_EVERY)
        {
            self.last_log = Some(now);
            log::warn!("listener {}: {what}", self.door.id);
        }
    }
}

/// Accepts a connection that waits already. Unlike one that was waited for, the event loop of this thread, which may be
/// another than that of its worker, never gets to know it.
fn accept_waiting(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (socket, peer) = acceptfrom_with(listener, flags)?;
    let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok((socket.into(), peer.try_into()?))
}

/// True for an error that concerns the accepted socket only, which its peer has left.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Accepts as long as the actor lives.
struct Accepting;

impl ActorFuture<Acceptor> for Accepting {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        acceptor: &mut Acceptor,
        _: &mut Context<Acceptor>,
        cx: &mut task::Context<'_>,
    ) -> Poll<()> {
        acceptor.poll_accept(cx)
    }
}

impl Actor for Acceptor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(Accepting);
    }
}

impl Handler<StopAccepting> for Acceptor {
    type Result = ();

    fn handle(&mut self, _: StopAccepting, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

/// A token bucket: `rate` connections a second, bursts of up to a tenth of a second's worth.
#[derive(Debug)]
struct Bucket {
    rate: f64,
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    /// `rate` 0: no limit.
    fn new(rate: u32, now: Instant) -> Self {
        let rate = f64::from(rate);
        Self {
            rate,
            tokens: burst(rate),
            filled_at: now,
        }
    }

    /// Takes a token; returns how long to wait before the next.
    fn take(&mut self, now: Instant) -> Duration {
        if self.rate <= 0.0 {
            return Duration::ZERO;
        }
        let elapsed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.rate).min(burst(self.rate)) - 1.0;
        self.filled_at = now;
        let missing = (1.0 - self.tokens).max(0.0);
        Duration::from_secs_f64(missing / self.rate)
    }
}

fn burst(rate: f64) -> f64 {
    (rate / 10.0).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_lets_through_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(100, start);
        let mut now = start;
        let mut taken = 0;
        while now < start + Duration::from_secs(10) {
            now += bucket.take(now).max(Duration::from_micros(10));
            taken += 1;
        }
        assert!((1000..=1011).contains(&taken), "{taken}");
        assert_eq!(Bucket::new(0, start).take(start), Duration::ZERO);
    }
}
