//! What stands in the place of actors that are not part of the simulation, or before those that are.

use super::*;

/// Time has come to this.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(super) struct TimeIs(pub(super) Instant);

impl Handler<TimeIs> for SessionStore {
    type Result = ();

    fn handle(&mut self, told: TimeIs, _: &mut Self::Context) {
        self.pass_time(told.0);
    }
}

impl Handler<TimeIs> for RetainedMessages {
    type Result = ();

    fn handle(&mut self, told: TimeIs, ctx: &mut Self::Context) {
        self.expire(told.0, ctx);
    }
}

/// Takes in connections that move to a worker.
pub(super) struct Arrivals {
    pub(super) worker: Rc<Worker>,
    pub(super) begun: Begun,
}

impl Actor for Arrivals {
    type Context = Context<Self>;
}

impl Handler<MovedConnection> for Arrivals {
    type Result = ();

    fn handle(&mut self, moved: MovedConnection, _: &mut Self::Context) {
        let connection = ClientConnection::from_moved(self.worker.clone(), moved).unwrap();
        let future = Context::new().into_future(connection);
        self.begun.borrow_mut().push(Box::pin(future));
    }
}

/// Is asked nothing: everybody may do everything.
pub(super) struct Nobody;

impl Actor for Nobody {
    type Context = Context<Self>;
}

macro_rules! never_asked {
    ($($message:ty),+) => {$(
        impl Handler<$message> for Nobody {
            type Result = MessageResult<$message>;

            fn handle(&mut self, _: $message, _: &mut Self::Context) -> Self::Result {
                panic!("nobody is to be asked")
            }
        }
    )+};
}

never_asked!(
    LogIn,
    AskPermissions,
    AskAgain,
    AskSuperuser,
    StartScram,
    CountClientFailure
);
