//! The bound on what waits for a worker.
//!
//! `do_send` knows no bound, so the bound is kept here: every inbox adds the bytes that wait in it to the load of
//! the worker that is to drain it, and a publisher that finds a worker over its limit stops reading its socket
//! until the worker has caught up. Workers never block, so that ends.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
};

/// Bytes that wait in the inboxes of one worker, and who waits for them to shrink.
#[derive(Debug)]
pub struct WorkerLoad {
    pending: AtomicUsize,
    limit: usize,
    waiting: Mutex<Vec<Waker>>,
}

impl WorkerLoad {
    /// No publisher goes on while more than `limit` bytes wait.
    pub fn new(limit: usize) -> Self {
        Self {
            pending: AtomicUsize::new(0),
            limit,
            waiting: Mutex::default(),
        }
    }

    /// Bytes have come to wait.
    pub fn add(&self, bytes: usize) {
        self.pending.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes wait no longer.
    pub fn remove(&self, bytes: usize) {
        let before = self.pending.fetch_sub(bytes, Ordering::AcqRel);
        let after = before.saturating_sub(bytes);
        if before > self.limit / 2 && after <= self.limit / 2 {
            self.wake_all();
        }
    }

    /// Bytes that wait.
    #[cfg(test)]
    pub fn pending(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }

    /// True when publishers are to pause.
    pub fn is_over(&self) -> bool {
        self.pending.load(Ordering::Acquire) > self.limit
    }

    /// Wakes `waker` when the worker has caught up; false when it has already.
    pub fn wait(&self, waker: &Waker) -> bool {
        let mut waiting = self.lock();
        // Looked at under the lock: `remove` takes the list after it has lowered the sum.
        let over = self.pending.load(Ordering::Acquire) > self.limit / 2;
        if over && !waiting.iter().any(|other| other.will_wake(waker)) {
            waiting.push(waker.clone());
        }
        over
    }

    /// Wakes `waker` with the others at the next occasion.
    pub fn park(&self, waker: &Waker) {
        let mut waiting = self.lock();
        if !waiting.iter().any(|other| other.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }

    /// Wakes everybody who waits, to look again.
    pub fn wake_all(&self) {
        let waiting = std::mem::take(&mut *self.lock());
        waiting.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::task::{ArcWake, waker};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl ArcWake for Woken {
        fn wake_by_ref(arc_self: &Arc<Self>) {
            arc_self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn waiters_are_woken_once_when_half_is_drained() {
        let load = WorkerLoad::new(100);
        let woken = Arc::new(Woken::default());
        load.add(100);
        assert!(!load.is_over());
        load.add(50);
        assert!(load.is_over());
        assert!(load.wait(&waker(woken.clone())));
        assert!(load.wait(&waker(woken.clone())));
        load.remove(60);
        assert_eq!(woken.0.load(Ordering::SeqCst), 0);
        load.remove(60);
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert!(!load.wait(&waker(woken)));
    }
}
