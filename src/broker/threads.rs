//! The threads of a broker, and starting actors on them.

use std::{cell::RefCell, io, rc::Rc};

use actix::{Arbiter, ArbiterHandle};
use tokio::sync::oneshot;

/// The threads of a broker; they end when this is dropped.
#[derive(Default)]
pub(super) struct Threads(RefCell<Vec<Arbiter>>);

impl Threads {
    pub(super) fn start(&self) -> io::Result<ArbiterHandle> {
        let arbiter = Arbiter::try_new()?;
        let handle = arbiter.handle();
        self.0.borrow_mut().push(arbiter);
        Ok(handle)
    }

    /// What starts further threads while the broker runs.
    pub(super) fn starter(self: &Rc<Self>) -> impl FnMut() -> io::Result<ArbiterHandle> + 'static {
        let threads = Rc::downgrade(self);
        move || match threads.upgrade() {
            Some(threads) => threads.start(),
            None => Err(io::Error::other("the broker has ended")),
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for arbiter in self.0.get_mut() {
            arbiter.stop();
        }
    }
}

/// Runs `f` on an arbiter's thread and brings back what it returns.
pub(super) async fn on<T: Send + 'static>(
    arbiter: &ArbiterHandle,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (reply, answer) = oneshot::channel();
    arbiter.spawn_fn(move || {
        // Nobody waits for it only if the broker's start was given up.
        let _ = reply.send(f());
    });
    answer
        .await
        .map_err(|_| io::Error::other("a thread of the broker could not be started"))
}
