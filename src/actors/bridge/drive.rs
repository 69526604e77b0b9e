//! The future that drives a bridge: delivers, writes, reads, and watches the time.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{self, Poll},
    time::Instant,
};

use actix::{Context, fut::ActorFuture};
use bytes::BytesMut;
use tokio::time::sleep_until;

use super::{Bridge, Hold, Local, Remote};
use crate::{
    bridge::{Origin, Surroundings},
    stats::Metric,
};

/// Room for a read.
const READ_SIZE: usize = 64 * 1024;
/// Rounds of a turn.
const ROUNDS_PER_TURN: usize = 4;

/// Drives the bridge as long as its actor lives. It is polled after the mailbox whenever the actor wakes.
pub(super) struct Drive;

impl ActorFuture<Bridge> for Drive {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        bridge: &mut Bridge,
        ctx: &mut Context<Bridge>,
        cx: &mut task::Context<'_>,
    ) -> Poll<()> {
        bridge.drive(ctx, cx);
        Poll::Pending
    }
}

/// Whether there is more to do at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    More,
    Rest,
}

impl Bridge {
    fn drive(&mut self, ctx: &mut Context<Self>, cx: &mut task::Context<'_>) {
        let is_own = |own: &task::Waker| own.will_wake(cx.waker());
        if !self.waker.as_ref().is_some_and(is_own) {
            self.waker = Some(cx.waker().clone());
        }
        let mut round = Round::More;
        for _ in 0..ROUNDS_PER_TURN {
            let now = Instant::now();
            self.deliver(now, cx);
            round = self.step(now, cx);
            self.fetch_bodies(ctx);
            if round == Round::Rest {
                break;
            }
        }
        self.state();
        match round {
            Round::More => cx.waker().wake_by_ref(),
            Round::Rest => self.watch_time(cx),
        }
        if let Some(leave) = self.leaving.take_if(|_| matches!(self.remote, Remote::Off)) {
            self.part(leave.ends);
            // Nobody waits for it only if the broker has given up.
            let _ = leave.told.send(());
        }
    }

    /// One step of whatever the connection is about.
    fn step(&mut self, now: Instant, cx: &mut task::Context<'_>) -> Round {
        match &mut self.remote {
            Remote::Off => Round::Rest,
            Remote::Waiting { until } => {
                self.blocked = false;
                if *until > now {
                    return Round::Rest;
                }
                self.connect(now, cx);
                match self.remote {
                    Remote::Connecting(_) => Round::More,
                    _ => {
                        self.blocked = true;
                        Round::Rest
                    }
                }
            }
            Remote::Connecting(attempt) => {
                let url = attempt.url.clone();
                match attempt.poll(cx, now) {
                    Poll::Pending => return Round::Rest,
                    Poll::Ready(Ok(stream)) => self.greet(stream, url, now),
                    Poll::Ready(Err(error)) => self.failed(format!("{url}: {error}"), now),
                }
                Round::More
            }
            Remote::Greeting { .. } => self.await_connack(now, cx),
            Remote::Up(_) => self.go_on(now, cx),
            Remote::Closing {
                stream,
                deadline,
                again,
            } => {
                let done = match stream.poll_write(cx, &mut self.wire) {
                    Poll::Ready(Ok(_)) if self.wire.is_empty() => {
                        stream.poll_shutdown(cx).is_ready()
                    }
                    Poll::Ready(Ok(_)) => false,
                    Poll::Ready(Err(_)) => true,
                    Poll::Pending => false,
                };
                if !done && *deadline > now {
                    return Round::Rest;
                }
                self.wire.clear();
                self.remote = match *again {
                    Some(until) => Remote::Waiting { until },
                    None => Remote::Off,
                };
                Round::More
            }
        }
    }

    fn await_connack(&mut self, now: Instant, cx: &mut task::Context<'_>) -> Round {
        let Remote::Greeting {
            stream,
            url,
            deadline,
            bit,
        } = &mut self.remote
        else {
            return Round::More;
        };
        let (url, bit, late) = (url.clone(), *bit, *deadline <= now);
        let written = stream.poll_write(cx, &mut self.wire);
        if let Poll::Ready(Ok(written)) = written {
            self.counters.add(Metric::BytesSent, written as u64);
        }
        self.partial.reserve(READ_SIZE);
        let read = match written {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => stream.poll_read(cx, &mut self.partial),
        };
        match read {
            Poll::Ready(Ok(n)) if n > 0 => {
                self.counters.add(Metric::BytesReceived, n as u64);
                self.read_connack(now);
            }
            Poll::Ready(closed) => {
                let what = match closed {
                    Ok(_) => format!("{url} closed the connection before CONNACK"),
                    Err(error) => format!("{url}: {error}"),
                };
                match bit {
                    // Some do not answer a level that they do not know.
                    true => self.closed_on_bit(&url, what, now),
                    false => self.failed(what, now),
                }
            }
            Poll::Pending if late => {
                self.failed(format!("{url}: no CONNACK within connect_timeout"), now);
            }
            Poll::Pending => return Round::Rest,
        }
        Round::More
    }

    /// A connection that is up.
    fn go_on(&mut self, now: Instant, cx: &mut task::Context<'_>) -> Round {
        if let Remote::Up(up) = &mut self.remote {
            self.held.release(up.link.channel(), &mut self.wire, cx);
            let was_held = up.link.is_introducing();
            if let Err(broken) = up.link.on_time(now, &mut self.wire) {
                self.broken(&broken, now);
                return Round::More;
            }
            if was_held && !up.link.is_introducing() {
                self.pump(now);
            }
        }
        self.write(now, cx);
        if self.is_held(cx, now) {
            return Round::Rest;
        }
        let round = self.read(now, cx);
        self.write(now, cx);
        self.fail_back(now, cx);
        match self.remote {
            Remote::Up(_) => round,
            _ => Round::More,
        }
    }

    fn is_held(&mut self, cx: &mut task::Context<'_>, now: Instant) -> bool {
        let is_held = self.hold.as_mut().is_some_and(|hold| hold.holds(cx, now));
        if !is_held {
            self.hold = None;
        }
        // What the store has not taken yet is bounded as for a client.
        is_held || self.held.len() >= usize::from(self.config.max_recv_queue_len)
    }

    fn read(&mut self, now: Instant, cx: &mut task::Context<'_>) -> Round {
        let most = self.limits().max_output_buffer;
        let Remote::Up(up) = &mut self.remote else {
            return Round::More;
        };
        if self.wire.len() > most.saturating_mul(2) {
            return Round::Rest;
        }
        if !std::mem::take(&mut up.more) {
            self.partial.reserve(READ_SIZE);
            match up.stream.poll_read(cx, &mut self.partial) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.counters.add(Metric::BytesReceived, n as u64);
                    up.received_bytes = up.received_bytes.saturating_add(n as u64);
                    up.link.heard(now);
                }
                Poll::Ready(Ok(_)) => {
                    let end = io::Error::new(io::ErrorKind::UnexpectedEof, "the remote closed it");
                    self.lost(&end, now);
                    return Round::More;
                }
                Poll::Ready(Err(error)) => {
                    self.lost(&error, now);
                    return Round::More;
                }
                Poll::Pending => {
                    if self.partial.is_empty() {
                        self.partial = BytesMut::new();
                    }
                    return Round::Rest;
                }
            }
        }
        self.handle(now);
        Round::More
    }

    /// Handles the packets in what was read.
    fn handle(&mut self, now: Instant) {
        let Local::Open { inbox, .. } = &self.local else {
            return;
        };
        let inbox = inbox.clone();
        self.limits();
        let Remote::Up(up) = &mut self.remote else {
            return;
        };
        let data = self.partial.split().freeze();
        let mut router = self.worker.router.borrow_mut();
        let mut pass = router.start(&inbox, &data, now);
        let received = up.link.receive(
            &data,
            &self.config,
            Surroundings {
                limits: &self.limits.1,
                now,
                wire: &mut self.wire,
                publishing: &mut pass,
                counters: &self.counters,
                marks: &self.worker.shared.marks,
                origin: Origin {
                    bridge: self.number,
                    peer: up.peer,
                },
            },
        );
        pass.finish();
        self.held.answers(up.link.channel(), &inbox, &mut router);
        self.hold = Hold::new(&mut router);
        drop(router);
        up.more = received.more;
        let may_send = received.answered.iter().any(|answered| answered.introduced);
        if may_send {
            self.introductions.answered(&up.url.to_string());
        }
        let rest = data.get(received.used..).unwrap_or_default();
        if !rest.is_empty() {
            self.partial = BytesMut::from(rest);
        }
        for answered in received.answered {
            self.answered(answered);
        }
        if let Some(broken) = received.broken {
            self.broken(&broken, now);
        } else if may_send {
            self.pump(now);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.remote {
            Remote::Off => None,
            Remote::Waiting { until } => (!self.blocked).then_some(*until),
            Remote::Connecting(attempt) => Some(attempt.deadline),
            Remote::Greeting { deadline, .. } | Remote::Closing { deadline, .. } => Some(*deadline),
            Remote::Up(up) => {
                let probe = up.probe.as_ref().map(|probe| probe.deadline);
                let hold = self.hold.as_ref().and_then(Hold::until);
                [up.link.deadline(), probe.or(up.failback), hold]
                    .into_iter()
                    .flatten()
                    .min()
            }
        }
    }

    /// Arms the timer for the deadline.
    fn watch_time(&mut self, cx: &mut task::Context<'_>) {
        let Some(deadline) = self.deadline() else {
            self.timer = None;
            return;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        if timer.deadline() != deadline.into() {
            timer.as_mut().reset(deadline.into());
        }
        if timer.as_mut().poll(cx).is_ready() {
            self.timer = None;
            cx.waker().wake_by_ref();
        }
    }
}
