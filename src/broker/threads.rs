//! The threads of a broker, and starting actors on them.

use std::io;

use actix::{Arbiter, ArbiterHandle};
use tokio::sync::oneshot;

/// The threads of a broker; they end when this is dropped.
pub(super) struct Threads(pub(super) Vec<Arbiter>);

impl Threads {
    pub(super) fn start(&mut self) -> io::Result<ArbiterHandle> {
        let arbiter = Arbiter::try_new()?;
        let handle = arbiter.handle();
        self.0.push(arbiter);
        Ok(handle)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for arbiter in &self.0 {
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
