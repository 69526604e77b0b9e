//! Whether what was given to the store is kept: how an acknowledgement waits for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use futures::task::AtomicWaker;

/// What becomes of several records, which may take different ways to the store. One task waits for it.
#[derive(Debug, Default)]
pub struct Outcome {
    open: AtomicUsize,
    failed: AtomicBool,
    waker: AtomicWaker,
}

/// One of the records whose [`Outcome`] is awaited. Unless it says that it is kept before it is dropped, it was not.
#[derive(Debug)]
pub struct Part {
    outcome: Arc<Outcome>,
    kept: bool,
}

impl Outcome {
    /// The first part of a new outcome.
    pub fn begin() -> Part {
        Arc::<Self>::default().part()
    }

    /// Another part.
    fn part(self: Arc<Self>) -> Part {
        self.open.fetch_add(1, Ordering::AcqRel);
        Part {
            outcome: self,
            kept: false,
        }
    }

    /// None while records are on their way; then whether all of them are kept.
    pub fn settled(&self) -> Option<bool> {
        match self.open.load(Ordering::Acquire) {
            0 => Some(!self.failed.load(Ordering::Acquire)),
            _ => None,
        }
    }

    /// As [`Outcome::settled`]; the task is woken when there is an answer.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<bool> {
        self.waker.register(cx.waker());
        // Looked at after registering: whoever settles it wakes those who are registered by then.
        self.settled().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Part {
    /// Another record of the same outcome.
    pub fn another(&self) -> Self {
        self.outcome.clone().part()
    }

    /// What all parts come to.
    pub fn outcome(&self) -> Arc<Outcome> {
        self.outcome.clone()
    }

    /// The record is kept, or needs not be.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.kept {
            self.outcome.failed.store(true, Ordering::Release);
        }
        if self.outcome.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.outcome.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_have_to_be_kept() {
        for kept in [[true, true], [true, false], [false, true]] {
            let first = Outcome::begin();
            let second = first.another();
            let outcome = first.outcome();
            let mut expected = true;
            for (part, keep) in [first, second].into_iter().zip(kept) {
                assert_eq!(outcome.settled(), None);
                expected &= keep;
                match keep {
                    true => part.keep(),
                    false => drop(part),
                }
            }
            assert_eq!(outcome.settled(), Some(expected));
        }
    }
}
