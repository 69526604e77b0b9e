//! The publisher: publishes messages that come from no client of the broker, those of the HTTP API.

use std::{future::poll_fn, rc::Rc, task::Poll};

use actix::{Actor, AtomicResponse, Context, Handler, WrapFuture};

use super::{Worker, clock};
use crate::messages::{NotStored, PublishMessages};

/// See the module's description. Like a connection it goes on only when the workers have caught up; until then
/// askers wait.
pub struct Publisher {
    worker: Rc<Worker>,
}

impl Publisher {
    /// A publisher on the thread of `worker`.
    pub fn new(worker: Rc<Worker>) -> Self {
        Self { worker }
    }
}

impl Actor for Publisher {
    type Context = Context<Self>;
}

impl Handler<PublishMessages> for Publisher {
    type Result = AtomicResponse<Self, Result<(), NotStored>>;

    fn handle(&mut self, told: PublishMessages, _: &mut Self::Context) -> Self::Result {
        let mut router = self.worker.router.borrow_mut();
        let outcome = router.publish_all(&told.0, clock::now());
        let mut turn = router.take_turn();
        drop(router);
        // Workers never block, so this ends; asker and mailbox wait meanwhile.
        let caught_up = poll_fn(move |cx| {
            if turn.as_mut().is_some_and(|turn| turn.wait(cx.waker())) {
                return Poll::Pending;
            }
            turn = None;
            match &outcome {
                Some(outcome) => outcome.poll(cx).map(|kept| match kept {
                    true => Ok(()),
                    false => Err(NotStored),
                }),
                None => Poll::Ready(Ok(())),
            }
        });
        AtomicResponse::new(Box::pin(caught_up.into_actor(self)))
    }
}
