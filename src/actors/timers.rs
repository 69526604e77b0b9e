//! The deadlines of the connections of one worker.
//!
//! A connection's deadline moves with every packet, so it asks to be woken for the first one only, and looks when it is
//! woken: one entry a connection, in lists by the tick of a clock. One timer of the runtime, which
//! [`super::ConnectionHost`] runs, serves them all: that takes a third of the memory of a timer of the runtime for each.

use std::{
    collections::BTreeMap,
    num::NonZeroU64,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use slab::Slab;
use tokio::time::{Sleep, sleep_until};

use super::clock;

/// Nothing is woken more exactly than this.
const TICK: Duration = Duration::from_millis(1000 / TICKS_PER_SECOND);
const TICKS_PER_SECOND: u64 = 50;

/// An entry of [`Timers`].
#[derive(Debug, PartialEq, Eq)]
pub struct TimerKey(u32);

/// See the module's description.
#[derive(Debug)]
pub struct Timers {
    start: Instant,
    entries: Slab<Entry>,
    /// Which entries are to be woken. One that was armed for an earlier tick since, or that is gone, is still in the list
    /// of the later tick, and is passed over there.
    due: BTreeMap<u64, Vec<u32>>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Wakes who polls, when there is an earlier tick than the one it waits for.
    poller: Option<Waker>,
}

#[derive(Debug)]
struct Entry {
    waker: Waker,
    tick: Option<NonZeroU64>,
}

impl Timers {
    /// No deadlines; the clock begins to tick at `start`.
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            entries: Slab::new(),
            due: BTreeMap::new(),
            sleep: None,
            poller: None,
        }
    }

    /// Has `waker` woken not before the deadline, or when it is to be woken earlier anyway.
    pub fn arm(&mut self, key: &mut Option<TimerKey>, deadline: Instant, waker: &Waker) {
        let tick = self.tick_after(deadline);
        let known = key
            .as_ref()
            .and_then(|key| Some((key.0, self.entries.get_mut(key.0 as usize)?)));
        let number = match known {
            Some((number, entry)) => {
                if !entry.waker.will_wake(waker) {
                    entry.waker = waker.clone();
                }
                if entry.tick.is_some_and(|armed| armed <= tick) {
                    return;
                }
                entry.tick = Some(tick);
                number
            }
            None => {
                let entry = Entry {
                    waker: waker.clone(),
                    tick: Some(tick),
                };
                // There are not so many sockets.
                let Ok(number) = u32::try_from(self.entries.insert(entry)) else {
                    return;
                };
                *key = Some(TimerKey(number));
                number
            }
        };
        let is_first = self
            .due
            .first_key_value()
            .is_none_or(|(at, _)| *at > tick.get());
        self.due.entry(tick.get()).or_default().push(number);
        if is_first && let Some(poller) = &self.poller {
            poller.wake_by_ref();
        }
    }

    /// Forgets an entry.
    pub fn remove(&mut self, key: TimerKey) {
        self.entries.try_remove(key.0 as usize);
    }

    /// Wakes what is due, as long as it is polled.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self
            .poller
            .as_ref()
            .is_some_and(|own| own.will_wake(cx.waker()))
        {
            self.poller = Some(cx.waker().clone());
        }
        loop {
            let Some(next) = self.fire(clock::now()) else {
                self.sleep = None;
                return Poll::Pending;
            };
            let sleep = self
                .sleep
                .get_or_insert_with(|| Box::pin(sleep_until(next.into())));
            if sleep.deadline() != next.into() {
                sleep.as_mut().reset(next.into());
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Wakes what is due; returns when the next is.
    pub(super) fn fire(&mut self, now: Instant) -> Option<Instant> {
        while let Some(first) = self.due.first_entry() {
            let tick = *first.key();
            let at = self
                .start
                .checked_add(TICK.saturating_mul(u32::try_from(tick).unwrap_or(u32::MAX)))?;
            if at > now {
                return Some(at);
            }
            for number in first.remove() {
                if let Some(entry) = self.entries.get_mut(number as usize)
                    && entry.tick.is_some_and(|armed| armed.get() == tick)
                {
                    entry.tick = None;
                    entry.waker.wake_by_ref();
                }
            }
        }
        None
    }

    /// The first tick not before a deadline.
    fn tick_after(&self, deadline: Instant) -> NonZeroU64 {
        let since = deadline.saturating_duration_since(self.start);
        // Division of 64 bits is an instruction, of 128 a loop.
        let whole = since.as_secs().saturating_mul(TICKS_PER_SECOND);
        let rest = u64::from(since.subsec_nanos().div_ceil(TICK.subsec_nanos()));
        NonZeroU64::new(whole.saturating_add(rest)).unwrap_or(NonZeroU64::MIN)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_is_woken_once_for_its_first_deadline_and_not_before() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut timers = Timers::new(start);
        let counts: Vec<Arc<Count>> = (0..4).map(|_| Arc::default()).collect();
        let wakers: Vec<Waker> = counts.iter().map(|count| count.clone().into()).collect();
        let mut keys = [None, None, None, None];
        for (index, deadlines) in [&[100, 90, 500][..], &[50], &[100], &[1_000]]
            .iter()
            .enumerate()
        {
            for &deadline in *deadlines {
                timers.arm(&mut keys[index], at(deadline), &wakers[index]);
            }
        }
        // Gone: its place is taken by another, which the old list does not wake.
        timers.remove(keys[2].take().unwrap());
        timers.arm(&mut keys[2], at(800), &wakers[2]);
        for (ms, woken) in [
            (40, [0, 0, 0, 0]),
            (59, [0, 0, 0, 0]),
            (60, [0, 1, 0, 0]),
            (99, [0, 1, 0, 0]),
            (100, [1, 1, 0, 0]),
            (500, [1, 1, 0, 0]),
            (800, [1, 1, 1, 0]),
            (2_000, [1, 1, 1, 1]),
        ] {
            timers.fire(at(ms));
            let seen: Vec<usize> = counts
                .iter()
                .map(|count| count.0.load(Ordering::Relaxed))
                .collect();
            assert_eq!(seen, woken, "{ms} ms");
        }
        assert_eq!(timers.fire(at(2_000)), None);
        timers.arm(&mut keys[1], at(3_000), &wakers[1]);
        assert_eq!(timers.fire(at(2_000)), Some(at(3_000)));
        assert_eq!(timers.entries.len(), 4);
    }
}
