//! Starts the keeper of the bridges when there is a bridge for the first time, with a thread for it: most brokers have
//! none, and need neither.

use std::{future::ready, io, path::PathBuf, sync::Arc};

use actix::{Actor, Addr, ArbiterHandle, Context, Handler, Recipient, ResponseFuture};

use super::{BridgeCounterList, BridgeKeeper, Shared, Worker, bridge_identity::BridgeIdentity};
use crate::messages::{
    ApplyBridges, BridgeView, CloseBridges, GetBridge, GetSubscriptions, ListBridges, WorkerLoad,
};

/// Starts a thread.
type StartThread = Box<dyn FnMut() -> io::Result<ArbiterHandle>>;

/// See the module's description. What it is asked and told goes on to the keeper, once there is one.
pub struct BridgeStarter {
    start_thread: StartThread,
    shared: Shared,
    subscriptions: Recipient<GetSubscriptions>,
    identity: BridgeIdentity,
    counters: BridgeCounterList,
    keeper: Option<Addr<BridgeKeeper>>,
    closed: bool,
}

impl BridgeStarter {
    /// Has the keeper run on a thread of its own, which `start_thread` starts, so that a slow remote delays nobody else.
    pub fn new(
        start_thread: impl FnMut() -> io::Result<ArbiterHandle> + 'static,
        shared: Shared,
        subscriptions: Recipient<GetSubscriptions>,
        config_file: Option<PathBuf>,
        counters: BridgeCounterList,
    ) -> Self {
        let identity = BridgeIdentity::of(config_file.as_deref());
        // Also without a bridge of its own: one of another broker may come.
        shared.marks.prepare_own_id(identity.id.clone());
        Self {
            start_thread: Box::new(start_thread),
            shared,
            subscriptions,
            identity,
            counters,
            keeper: None,
            closed: false,
        }
    }

    /// The keeper, which is started if there is none yet.
    ///
    /// # Errors
    /// No thread can be started.
    fn keeper(&mut self) -> io::Result<Addr<BridgeKeeper>> {
        if let Some(keeper) = &self.keeper {
            return Ok(keeper.clone());
        }
        let thread = (self.start_thread)()?;
        let (shared, subscriptions) = (self.shared.clone(), self.subscriptions.clone());
        let (identity, counters) = (self.identity.clone(), self.counters.clone());
        let keeper = BridgeKeeper::start_in_arbiter(&thread, move |_| {
            let backlog = shared.config.load().system.max_worker_backlog;
            let load = Arc::new(WorkerLoad::new(backlog));
            let worker = Worker::new(shared, counters.new_counters(), load);
            BridgeKeeper::new(worker, subscriptions, identity, counters)
        });
        Ok(self.keeper.insert(keeper).clone())
    }
}

impl Actor for BridgeStarter {
    type Context = Context<Self>;
}

impl Handler<ApplyBridges> for BridgeStarter {
    type Result = ResponseFuture<io::Result<()>>;

    fn handle(&mut self, message: ApplyBridges, _: &mut Self::Context) -> Self::Result {
        let is_needed = self.keeper.is_some() || !message.0.mqtt.is_empty();
        if self.closed || !is_needed {
            return Box::pin(ready(Ok(())));
        }
        let applied = match self.keeper() {
            Ok(keeper) => keeper.send(message),
            Err(error) => {
                log::error!("the bridges cannot be started: {error}");
                return Box::pin(ready(Err(error)));
            }
        };
        Box::pin(async { applied.await.map_err(io::Error::other)? })
    }
}

impl Handler<ListBridges> for BridgeStarter {
    type Result = ResponseFuture<Vec<BridgeView>>;

    fn handle(&mut self, message: ListBridges, _: &mut Self::Context) -> Self::Result {
        let asked = self.keeper.as_ref().map(|keeper| keeper.send(message));
        Box::pin(async {
            match asked {
                Some(asked) => asked.await.unwrap_or_default(),
                None => Vec::new(),
            }
        })
    }
}

impl Handler<GetBridge> for BridgeStarter {
    type Result = ResponseFuture<Option<BridgeView>>;

    fn handle(&mut self, message: GetBridge, _: &mut Self::Context) -> Self::Result {
        let asked = self.keeper.as_ref().map(|keeper| keeper.send(message));
        Box::pin(async { asked?.await.ok()? })
    }
}

impl Handler<CloseBridges> for BridgeStarter {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, message: CloseBridges, _: &mut Self::Context) -> Self::Result {
        self.closed = true;
        let left = self.keeper.as_ref().map(|keeper| keeper.send(message));
        Box::pin(async {
            if let Some(left) = left
                && let Err(error) = left.await
            {
                log::error!("the bridges have not left in order: {error}");
            }
        })
    }
}
