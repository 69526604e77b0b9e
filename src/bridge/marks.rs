//! What all bridges of a broker know together, to find messages that come back.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Instant,
};

use super::echoes::Echoes;

/// See the module's description. A broker without bridges has no identity, and looks for nothing.
#[derive(Debug, Default)]
pub struct Marks {
    prepared: OnceLock<Arc<str>>,
    own_id: OnceLock<Arc<str>>,
    echoes: Mutex<Echoes>,
}

/// Who sends or receives over MQTT 3: a bridge by its number, or 0 for a client that is a bridge of another broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The number of the bridge.
    pub bridge: u64,
    /// The address of the other broker.
    pub peer: IpAddr,
}

impl Marks {
    /// The identity of this broker in marks, if it has bridges.
    pub fn own_id(&self) -> Option<&Arc<str>> {
        self.own_id.get()
    }

    /// Gives the broker its identity, unless it has one already.
    pub fn set_own_id(&self, id: impl FnOnce() -> Arc<str>) -> &Arc<str> {
        self.own_id.get_or_init(id)
    }

    /// The identity that the broker is to have as soon as it has anything to do with bridges. Counts once.
    pub fn prepare_own_id(&self, id: Arc<str>) {
        self.prepared.get_or_init(|| id);
    }

    /// The identity of this broker for a bridge of another one, which has come; it has it from now on.
    pub fn show_own_id(&self) -> Option<&Arc<str>> {
        let prepared = || self.prepared.get().cloned();
        match self.own_id.get() {
            None => prepared().map(|id| self.set_own_id(|| id)),
            known => known,
        }
    }

    /// A message has gone to another broker over MQTT 3; `topic` is the one here.
    pub fn sent(&self, to: Origin, topic: &str, payload: u64, now: Instant) {
        let peer = to.peer.to_string();
        self.echoes().sent(to.bridge, &peer, topic, payload, now);
    }

    /// Whether a message that comes over MQTT 3 is one that another bridge has sent to that broker.
    pub fn is_echo(&self, from: Origin, topic: &str, payload: u64, now: Instant) -> bool {
        let mut echoes = self.echoes();
        if echoes.is_empty() {
            return false;
        }
        let peer = from.peer.to_string();
        echoes.is_echo(from.bridge, &peer, topic, payload, now)
    }

    fn echoes(&self) -> std::sync::MutexGuard<'_, Echoes> {
        self.echoes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_another_bridge_sent_to_the_same_broker_is_an_echo() {
        let now = Instant::now();
        let marks = Marks::default();
        let at = |bridge, peer: [u8; 4]| Origin {
            bridge,
            peer: peer.into(),
        };
        let (here, there) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        marks.sent(at(1, here), "a", 5, now);
        for (from, topic, found) in [
            (at(1, here), "a", false),
            (at(2, there), "a", false),
            (at(0, here), "b", false),
            (at(0, here), "a", true),
            (at(0, here), "a", false),
        ] {
            assert_eq!(
                marks.is_echo(from, topic, 5, now),
                found,
                "{from:?} {topic}"
            );
        }
        assert_eq!(marks.own_id(), None);
        assert_eq!(&**marks.set_own_id(|| "x".into()), "x");
        assert_eq!(&**marks.set_own_id(|| "y".into()), "x");
    }
}
