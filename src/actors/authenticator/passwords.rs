//! Checks passwords: at most a few at once, off the actor's thread, since each takes tens of milliseconds and strangers can
//! ask for it. One that was right is remembered under a key of this process, so that clients that come back cost nothing.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::Arc,
};

use aws_lc_rs::{hmac, rand};
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::auth::verifier::Verifier;

/// Users whose passwords are remembered; at the bound all are forgotten.
const MAX_REMEMBERED: usize = 100_000;

pub(super) struct Passwords {
    turns: Arc<Semaphore>,
    waiting: Cell<usize>,
    secret: [u8; 32],
    key: hmac::Key,
    remembered: RefCell<HashMap<String, Remembered>>,
}

/// A password that was right.
struct Remembered {
    /// What it was held against. While it is the user's, the password still is.
    verifier: Verifier,
    tag: hmac::Tag,
}

impl Passwords {
    pub(super) fn new() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut secret = [0; 32];
        rand::fill(&mut secret)?;
        // Half of the cores, so that the workers have the others.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            turns: Arc::new(Semaphore::new((cores / 2).max(1))),
            waiting: Cell::new(0),
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            secret,
            remembered: RefCell::default(),
        })
    }

    /// Random bytes, the same for the life of the process.
    pub(super) fn secret(&self) -> &[u8] {
        &self.secret
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
        if self.is_remembered(username, &verifier, &password) {
            return Some(true);
        }
        if self.waiting.get() >= most {
            return None;
        }
        let _waiting = Waiting::begin(&self.waiting);
        let turn = self.turns.clone().acquire_owned().await.ok()?;
        // Those who were before may have had the same password.
        if self.is_remembered(username, &verifier, &password) {
            return Some(true);
        }
        let tag = hmac::sign(&self.key, &password);
        let checked = spawn_blocking(move || {
            let right = verifier.verify(&password);
            drop(turn);
            (verifier, right)
        });
        let (verifier, right) = checked.await.ok()?;
        if right {
            let mut remembered = self.remembered.borrow_mut();
            if remembered.len() >= MAX_REMEMBERED {
                remembered.clear();
            }
            remembered.insert(username.to_owned(), Remembered { verifier, tag });
        }
        Some(right)
    }

    fn is_remembered(&self, username: &str, verifier: &Verifier, password: &[u8]) -> bool {
        let remembered = self.remembered.borrow();
        remembered.get(username).is_some_and(|known| {
            known.verifier == *verifier
                && hmac::verify(&self.key, password, known.tag.as_ref()).is_ok()
        })
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
