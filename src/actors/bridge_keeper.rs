//! The keeper of the bridges: runs one actor for each that the configuration describes, and knows what they do.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
};

use actix::{Actor, Addr, Context, Handler, Recipient, ResponseFuture};
use futures::future::join_all;
use tokio::sync::oneshot;

use super::{
    Worker,
    bridge::{Bridge, BridgeParts, Configure, LeaveBridge, View},
    private_file,
};
use crate::{
    config::{BridgeConfig, Bridges},
    messages::{ApplyBridges, BridgeView, CloseBridges, GetBridge, GetSubscriptions, ListBridges},
    stats::Counters,
};

/// The file beside the configuration that holds what the identity of a broker with bridges is made of.
const ID_FILE: &str = "nanomq_id";

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
    /// The identity of this broker.
    own_id: Arc<str>,
    /// What it is made of is to be written to this file as soon as there is a bridge.
    unwritten: Option<(PathBuf, String)>,
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
        config_file: Option<PathBuf>,
        counters: BridgeCounterList,
    ) -> Self {
        let ended = counters.new_counters();
        let id_file = config_file
            .as_deref()
            .map(|file| file.with_file_name(ID_FILE));
        let known = id_file.as_deref().and_then(known_id);
        let new = || format!("{:016x}", fastrand::u64(..));
        let (id, is_known) = known.map_or_else(|| (new(), false), |id| (id, true));
        let own_id = own_id(&id, config_file.as_deref());
        let unwritten = id_file.filter(|_| !is_known).map(|file| (file, id));
        worker.shared.marks.prepare_own_id(own_id.clone());
        Self {
            worker,
            subscriptions,
            own_id,
            unwritten,
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

    /// Keeps the identity of this broker beside its configuration, so that remotes know its bridges again.
    fn keep_own_id(&mut self) {
        let Some((file, id)) = self.unwritten.take() else {
            return;
        };
        if let Err(error) = private_file::replace(&file, &format!("{id}\n")) {
            log::warn!(
                "{} cannot be written, so that remotes do not know the bridges of this broker again after a restart, \
                 unless they have a clientid: {error}",
                file.display()
            );
        }
    }

    /// Starts a bridge; what is returned ends when it has begun.
    fn start(&mut self, name: String, config: Arc<BridgeConfig>) -> oneshot::Receiver<()> {
        let marks = &self.worker.shared.marks;
        let own_id = marks.set_own_id(|| self.own_id.clone()).clone();
        self.keep_own_id();
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

/// The identity of a broker: other brokers may have their configuration in the same folder, and that file with it.
fn own_id(id: &str, config_file: Option<&Path>) -> Arc<str> {
    let name = config_file.and_then(Path::file_name).unwrap_or_default();
    let text = [id.as_bytes(), b"/", name.as_encoded_bytes()].concat();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &text);
    let bytes = digest.as_ref().iter().take(8);
    bytes
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>()
        .into()
}

/// What the identity of this broker is made of, in its file.
fn known_id(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let known = text.trim();
    let is_one = known.len() == 16 && known.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| known.to_owned())
}

impl Actor for BridgeKeeper {
    type Context = Context<Self>;
}

impl Handler<ApplyBridges> for BridgeKeeper {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, message: ApplyBridges, _: &mut Self::Context) -> Self::Result {
        let begun = join_all(self.apply(message.0));
        Box::pin(async { drop(begun.await) })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_in_one_folder_have_identities_of_their_own() {
        let of = |file: &str| own_id("0123456789abcdef", Some(Path::new(file)));
        assert_eq!(of("/etc/a.conf"), of("/other/a.conf"));
        assert_ne!(of("/etc/a.conf"), of("/etc/b.conf"));
        assert_eq!(of("/etc/a.conf").len(), 16);
        assert!(crate::mqtt::hops::is_id(&of("/etc/a.conf")));
    }
}
