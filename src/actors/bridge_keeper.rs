//! The keeper of the bridges: runs one actor for each that the configuration describes, and knows what they do.

use std::{
    collections::BTreeMap,
    io,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
};

use actix::{Actor, Addr, Context, Handler, Recipient, ResponseFuture};
use futures::future::join_all;
use tokio::sync::oneshot;

use super::{
    Worker,
    bridge::{Bridge, BridgeParts, Configure, LeaveBridge, View},
    bridge_identity::BridgeIdentity,
};
use crate::{
    config::{BridgeConfig, Bridges},
    messages::{ApplyBridges, BridgeView, CloseBridges, GetBridge, GetSubscriptions, ListBridges},
    stats::Counters,
};

/// The counters of bridges, for sums over the broker.
#[derive(Clone, Debug, Default)]
pub struct BridgeCounterList(Arc<Mutex<Vec<Arc<Counters>>>>);

impl BridgeCounterList {
    /// All of them, also of bridges that have ended.
    pub fn all(&self) -> Vec<Arc<Counters>> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Counters>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counters that are among them from now on.
    pub fn new_counters(&self) -> Arc<Counters> {
        let counters = Arc::new(Counters::default());
        self.lock().push(counters.clone());
        counters
    }

    /// A bridge has ended: what it counted stays in the sums.
    fn end(&self, ended: &Arc<Counters>, sum: &Counters) {
        sum.absorb(ended);
        self.lock().retain(|counters| !Arc::ptr_eq(counters, ended));
    }
}

/// See the module's description.
pub struct BridgeKeeper {
    worker: Rc<Worker>,
    subscriptions: Recipient<GetSubscriptions>,
    identity: BridgeIdentity,
    bridges: BTreeMap<String, Kept>,
    counters: BridgeCounterList,
    /// Of bridges that have ended.
    ended: Arc<Counters>,
    last_number: u64,
    closed: bool,
}

struct Kept {
    config: Arc<BridgeConfig>,
    actor: Addr<Bridge>,
    counters: Arc<Counters>,
}

impl BridgeKeeper {
    /// A keeper of no bridges yet, on the thread of `worker`.
    pub fn new(
        worker: Rc<Worker>,
        subscriptions: Recipient<GetSubscriptions>,
        identity: BridgeIdentity,
        counters: BridgeCounterList,
    ) -> Self {
        let ended = counters.new_counters();
        Self {
            worker,
            subscriptions,
            identity,
            bridges: BTreeMap::new(),
            counters,
            ended,
            last_number: 0,
            closed: false,
        }
    }

    /// Runs the bridges of a configuration: those that are the same go on undisturbed. Returns what ends when those that
    /// are new have begun.
    fn apply(&mut self, bridges: Bridges) -> Vec<oneshot::Receiver<()>> {
        let mut beginning = Vec::new();
        if self.closed {
            return beginning;
        }
        let gone: Vec<String> = self
            .bridges
            .keys()
            .filter(|name| !bridges.mqtt.contains_key(*name))
            .cloned()
            .collect();
        for name in gone {
            if let Some(kept) = self.bridges.remove(&name) {
                log::info!("bridge {name:?} ends");
                let (all, ended) = (self.counters.clone(), self.ended.clone());
                actix::spawn(async move {
                    // An actor that has ended already has left.
                    let _ = kept.actor.send(LeaveBridge { ends: true }).await;
                    all.end(&kept.counters, &ended);
                });
            }
        }
        for (name, config) in bridges.mqtt {
            match self.bridges.get_mut(&name) {
                Some(kept) if *kept.config == config => {}
                Some(kept) => {
                    kept.config = Arc::new(config);
                    kept.actor.do_send(Configure(kept.config.clone()));
                }
                None => beginning.push(self.start(name, Arc::new(config))),
            }
        }
        beginning
    }

    /// Starts a bridge; what is returned ends when it has begun.
    fn start(&mut self, name: String, config: Arc<BridgeConfig>) -> oneshot::Receiver<()> {
        let marks = &self.worker.shared.marks;
        let own_id = marks.set_own_id(|| self.identity.id.clone()).clone();
        self.identity.keep();
        let counters = self.counters.new_counters();
        self.last_number = self.last_number.saturating_add(1);
        let (begins, begun) = oneshot::channel();
        let bridge = Bridge::new(BridgeParts {
            name: name.as_str().into(),
            number: self.last_number,
            config: config.clone(),
            worker: self.worker.clone(),
            counters: counters.clone(),
            own_id,
            subscriptions: self.subscriptions.clone(),
            begins,
        });
        let actor = bridge.start();
        self.bridges.insert(
            name,
            Kept {
                config,
                actor,
                counters,
            },
        );
        begun
    }
}

impl Actor for BridgeKeeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // No bound: who asks waits for the answer, and a configuration must not wait for room while a later one comes.
        ctx.set_mailbox_capacity(0);
    }
}

impl Handler<ApplyBridges> for BridgeKeeper {
    type Result = ResponseFuture<io::Result<()>>;

    fn handle(&mut self, message: ApplyBridges, _: &mut Self::Context) -> Self::Result {
        let begun = join_all(self.apply(message.0));
        Box::pin(async {
            // One that does not say so has ended already.
            begun.await;
            Ok(())
        })
    }
}

impl Handler<ListBridges> for BridgeKeeper {
    type Result = ResponseFuture<Vec<BridgeView>>;

    fn handle(&mut self, _: ListBridges, _: &mut Self::Context) -> Self::Result {
        let asked: Vec<_> = self
            .bridges
            .values()
            .map(|kept| kept.actor.send(View))
            .collect();
        Box::pin(async { join_all(asked).await.into_iter().flatten().collect() })
    }
}

impl Handler<GetBridge> for BridgeKeeper {
    type Result = ResponseFuture<Option<BridgeView>>;

    fn handle(&mut self, message: GetBridge, _: &mut Self::Context) -> Self::Result {
        let asked = self
            .bridges
            .get(&message.0)
            .map(|kept| kept.actor.send(View));
        Box::pin(async { asked?.await.ok() })
    }
}

impl Handler<CloseBridges> for BridgeKeeper {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: CloseBridges, _: &mut Self::Context) -> Self::Result {
        self.closed = true;
        let kept = self.bridges.values();
        let left: Vec<_> = kept
            .map(|kept| kept.actor.send(LeaveBridge { ends: false }))
            .collect();
        Box::pin(async { drop(join_all(left).await) })
    }
}
