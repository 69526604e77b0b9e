//! A disk that refuses: what becomes of what was to be written, and when it is tried again.

use std::{
    io,
    time::{Duration, Instant},
};

use actix::{AsyncContext, Context};

use super::{Job, StoreWriter};
use crate::{
    messages::{Refused, WriteRecord},
    stats::Metric,
    store::{Record, SessionNumber, Store},
};

/// How long a disk that has failed is left alone before it is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// How often it is said at most that the disk refuses: one that is nearly full does so now and then.
const COMPLAINTS: Duration = Duration::from_secs(10);

impl StoreWriter {
    /// The disk does not take these now. Messages are refused; changes of state wait for it.
    pub(super) fn refuse(&mut self, jobs: impl IntoIterator<Item = Job>) {
        for job in jobs {
            match job {
                Job::Persist(persist) => {
                    let number = persist.batch.len() as u64;
                    let size = persist.batch.size(&(0..persist.batch.len()));
                    self.refuse_messages(number, size, persist.part.is_some(), persist.from);
                }
                Job::Move(moved) => {
                    let from = moved.from.map(|(session, place)| (session, place.sequence));
                    self.refuse_messages(1, moved.size, moved.part.is_some(), from);
                }
                Job::Record(mut told) => match told.refused {
                    Refused::GoOn => {
                        told.part.take().into_iter().for_each(|part| part.keep());
                        self.backlog.push(told);
                    }
                    Refused::Wait => self.backlog.push(told),
                    Refused::Refuse => self.counters.add(Metric::StoreRefused, 1),
                },
            }
        }
    }

    /// Messages are refused, of which their publisher learns, if it `waits`, by the part that is dropped. One that was to
    /// leave a session has left it all the same.
    fn refuse_messages(
        &mut self,
        number: u64,
        size: usize,
        waits: bool,
        from: Option<(SessionNumber, u64)>,
    ) {
        self.counters.add(Metric::StoreRefused, number);
        if !waits {
            self.counters.add(Metric::DroppedStoreRefused, number);
        }
        self.load.remove(size);
        if let Some((session, sequence)) = from {
            let left = Record::Settled(session, vec![sequence]);
            self.backlog.push(WriteRecord::new(&left));
        }
    }

    pub(super) fn succeeded(&mut self) {
        self.retry_at = None;
        let is_short = self.store.as_mut().is_some_and(Store::is_short);
        if !is_short && self.gauges.store_failing.get() > 0 {
            self.gauges.store_failing.set(0);
            if let Some((_, is_open @ true)) = &mut self.complained {
                *is_open = false;
                log::warn!("store: the disk takes what is written again");
            }
        }
    }

    pub(super) fn failed(&mut self, error: &io::Error, ctx: &mut Context<Self>) {
        self.retry_at = Some(Instant::now() + RETRY);
        if is_full(error) {
            self.store.iter_mut().for_each(Store::go_short);
        }
        self.complain(error, ctx);
    }

    /// Says that the disk refuses, and looks again after a while.
    pub(super) fn complain(&mut self, error: &io::Error, ctx: &mut Context<Self>) {
        let now = Instant::now();
        self.gauges.store_failing.set(1);
        if self.complained.is_none_or(|(at, _)| now >= at + COMPLAINTS) {
            self.complained = Some((now, true));
            log::error!(
                "store: cannot write: {error}; messages for durable sessions are refused until it can"
            );
        }
        // Changes of state wait, and nobody may publish meanwhile.
        if !std::mem::replace(&mut self.looks_again, true) {
            ctx.run_later(RETRY, Self::look_again);
        }
    }

    fn look_again(&mut self, ctx: &mut Context<Self>) {
        self.looks_again = false;
        self.call(ctx);
        self.clean_later(ctx);
        if self.store.as_mut().is_some_and(Store::is_short) {
            self.looks_again = true;
            ctx.run_later(RETRY, Self::look_again);
        }
    }
}

/// True for errors that more space would cure.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
