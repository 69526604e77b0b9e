//! The end of a connection: the session comes back, the remote is told where it can be, and it is settled when to try
//! again.

use std::{
    io,
    time::{Duration, Instant},
};

use actix::{
    ActorContext, ActorFutureExt, Context, Handler, Message, ResponseActFuture, WrapFuture,
};
use tokio::sync::oneshot;

use super::{Bridge, FAREWELL_TIMEOUT, Leave, Local, Remote, Up};
use crate::{
    bridge::{Backoff, Broken, Link},
    mqtt::ReasonCode,
};

/// How long a connection has to hold before failing is counted from the beginning.
const HOLDS: Duration = Duration::from_secs(1);

impl Bridge {
    /// Takes the session back from a connection.
    fn take_down(&mut self) -> Option<Box<Up>> {
        let remote = std::mem::replace(&mut self.remote, Remote::Off);
        let Remote::Up(up) = remote else {
            self.remote = remote;
            return None;
        };
        Some(up)
    }

    fn keep_session(&mut self, link: Link) {
        if let Local::Open { inbox, .. } = &self.local {
            inbox.doubt(std::mem::take(&mut self.held).into_doubtful());
        }
        self.held = Default::default();
        self.hold = None;
        self.session = Some(link.into_session());
    }

    /// A connection has broken.
    pub(super) fn broken(&mut self, broken: &Broken, now: Instant) {
        let Some(up) = self.take_down() else {
            return;
        };
        if let Some(kind) = broken.kind_name() {
            self.counters.add_error(kind);
        }
        let what = format!("{}: {broken}", up.url);
        self.end_up(up, broken.disconnect(), what, now);
    }

    /// The stream of a connection has ended, or cannot be used any more.
    pub(super) fn lost(&mut self, error: &io::Error, now: Instant) {
        if let Some(up) = self.take_down() {
            let what = format!("{}: the connection is lost: {error}", up.url);
            self.end_up(up, None, what, now);
        }
    }

    fn end_up(&mut self, up: Box<Up>, farewell: Option<ReasonCode>, what: String, now: Instant) {
        let Up {
            stream,
            link,
            url,
            since,
            ..
        } = *up;
        self.note_fault(what);
        self.wire.clear();
        if let Some(reason) = farewell {
            link.write_disconnect(reason, &mut self.wire);
        }
        if link.is_introducing() {
            self.introductions.ended(&url.to_string());
        }
        self.keep_session(link);
        if now.saturating_duration_since(since) >= HOLDS {
            self.backoff = Backoff::default();
        }
        self.next_server(now);
        if farewell.is_some() {
            let again = match self.remote {
                Remote::Waiting { until } => Some(until),
                _ => None,
            };
            self.remote = Remote::Closing {
                stream: Box::new(stream),
                deadline: now + FAREWELL_TIMEOUT,
                again,
            };
        }
    }

    /// Ends a connection, or the attempt at one, from this side.
    pub(super) fn disconnect(&mut self, reason: ReasonCode, again: Option<Instant>) {
        let again = again.filter(|_| self.leaving.is_none());
        let now = Instant::now();
        if let Some(up) = self.take_down() {
            let Up { stream, link, .. } = *up;
            link.write_disconnect(reason, &mut self.wire);
            self.keep_session(link);
            self.remote = Remote::Closing {
                stream: Box::new(stream),
                deadline: now + FAREWELL_TIMEOUT,
                again,
            };
            return;
        }
        match &mut self.remote {
            Remote::Closing { again: other, .. } => *other = again,
            remote => {
                *remote = match again {
                    Some(until) => Remote::Waiting { until },
                    None => Remote::Off,
                };
            }
        }
    }
}

/// The bridge leaves, its session being kept for the next life of the broker or, if it `ends`, not. The answer comes
/// when it has left.
#[derive(Message)]
#[rtype(result = "()")]
pub struct LeaveBridge {
    /// Whether the session ends.
    pub ends: bool,
}

impl Handler<LeaveBridge> for Bridge {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, told: LeaveBridge, _: &mut Self::Context) -> Self::Result {
        let (reply, left) = oneshot::channel();
        self.leaving = Some(Leave {
            ends: told.ends,
            told: reply,
        });
        let reason = ReasonCode::NormalDisconnection;
        self.disconnect(reason, None);
        self.wake();
        Box::pin(
            async move {
                // Whether it has left in order or its actor has ended.
                let _ = left.await;
            }
            .into_actor(self)
            .map(|(), _, ctx: &mut Context<Self>| ctx.stop()),
        )
    }
}
