//! Starts the authenticator when somebody is to be asked for a password for the first time, with a thread for it: a
//! broker that is open to all needs neither.

use std::{io, sync::Arc};

use actix::{
    Actor, Addr, ArbiterHandle, Context, Handler, Message,
    dev::{MessageResponse, OneshotSender, Request, ToEnvelope},
};

use super::Authenticator;
use crate::stats::Counters;

/// Starts a thread.
type StartThread = Box<dyn FnMut() -> io::Result<ArbiterHandle>>;

/// See the module's description. What it is asked goes on to the authenticator.
pub struct AuthStarter {
    start_thread: StartThread,
    counters: Arc<Counters>,
    authenticator: Option<Addr<Authenticator>>,
}

impl AuthStarter {
    /// Has the authenticator run on a thread that `start_thread` starts.
    pub fn new(
        start_thread: impl FnMut() -> io::Result<ArbiterHandle> + 'static,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            start_thread: Box::new(start_thread),
            counters,
            authenticator: None,
        }
    }

    /// The authenticator, which is started if there is none yet.
    fn authenticator(&mut self) -> &Addr<Authenticator> {
        let (start_thread, counters) = (&mut self.start_thread, &self.counters);
        self.authenticator.get_or_insert_with(|| {
            let counters = counters.clone();
            match start_thread() {
                Ok(thread) => {
                    Authenticator::start_in_arbiter(&thread, |_| Authenticator::new(counters))
                }
                Err(error) => {
                    log::warn!("logins share the thread of the HTTP API's actors: {error}");
                    Authenticator::new(counters).start()
                }
            }
        })
    }
}

impl Actor for AuthStarter {
    type Context = Context<Self>;
}

/// The answer of the authenticator. Without one the asker learns that nobody answers.
pub struct Forwarded<M>(Request<Authenticator, M>)
where
    M: Message + Send + 'static,
    M::Result: Send,
    Authenticator: Handler<M>,
    Context<Authenticator>: ToEnvelope<Authenticator, M>;

impl<M> MessageResponse<AuthStarter, M> for Forwarded<M>
where
    M: Message + Send + Unpin + 'static,
    M::Result: Send,
    Authenticator: Handler<M>,
    Context<Authenticator>: ToEnvelope<Authenticator, M>,
{
    fn handle(self, _: &mut Context<AuthStarter>, answer: Option<OneshotSender<M::Result>>) {
        actix::spawn(async move {
            if let (Ok(answered), Some(answer)) = (self.0.await, answer) {
                // Who asked may have left.
                let _ = answer.send(answered);
            }
        });
    }
}

impl<M> Handler<M> for AuthStarter
where
    M: Message + Send + Unpin + 'static,
    M::Result: Send,
    Authenticator: Handler<M>,
    Context<Authenticator>: ToEnvelope<Authenticator, M>,
{
    type Result = Forwarded<M>;

    fn handle(&mut self, message: M, _: &mut Self::Context) -> Self::Result {
        Forwarded(self.authenticator().send(message))
    }
}
