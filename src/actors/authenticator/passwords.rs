//! Checks passwords: at most a few at once, off the actor's thread, since each takes tens of milliseconds and strangers can
//! ask for it. One that was right is remembered under a key of this process, so that clients that come back cost nothing.

use std::{
    cell::{Cell, OnceCell, RefCell},
    sync::Arc,
};

use aws_lc_rs::{error::Unspecified, rand};
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::auth::{remembered::RememberedPasswords, verifier::Verifier};

pub(super) struct Passwords {
    turns: Arc<Semaphore>,
    waiting: Cell<usize>,
    secret: OnceCell<[u8; 32]>,
    remembered: RefCell<RememberedPasswords<Verifier>>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        // Half of the cores, so that the workers have the others.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            turns: Arc::new(Semaphore::new((cores / 2).max(1))),
            waiting: Cell::new(0),
            secret: OnceCell::new(),
            remembered: RefCell::default(),
        }
    }

    /// Random bytes, the same for the life of the process from the first time on that they are asked for.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub(super) fn secret(&self) -> Result<&[u8], Unspecified> {
        if self.secret.get().is_none() {
            let mut secret = [0; 32];
            rand::fill(&mut secret)?;
            // It was empty: nobody else is on this thread.
            let _ = self.secret.set(secret);
        }
        let secret = self.secret.get().ok_or(Unspecified)?;
        Ok(secret)
    }

    /// Whether a password is the user's; none when `most` are waiting already.
    pub(super) async fn check(
        &self,
        username: &str,
        verifier: Verifier,
        password: Vec<u8>,
        most: usize,
    ) -> Option<bool> {
        if !verifier.is_slow() {
            return Some(verifier.verify(&password));
        }
        let is_remembered = || {
            let remembered = self.remembered.borrow();
            remembered.knows(username, &verifier, &password)
        };
        if is_remembered() {
            return Some(true);
        }
        if self.waiting.get() >= most {
            return None;
        }
        let _waiting = Waiting::begin(&self.waiting);
        let turn = self.turns.clone().acquire_owned().await.ok()?;
        // Those who were before may have had the same password.
        if is_remembered() {
            return Some(true);
        }
        let checked = spawn_blocking(move || {
            let right = verifier.verify(&password);
            drop(turn);
            (verifier, password, right)
        });
        let (verifier, password, right) = checked.await.ok()?;
        if right {
            let mut remembered = self.remembered.borrow_mut();
            remembered.add(username.to_owned(), verifier, &password);
        }
        Some(right)
    }
}

/// Counts one as long as it lasts.
pub(super) struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    pub(super) fn begin(count: &'a Cell<usize>) -> Self {
        count.set(count.get().saturating_add(1));
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
