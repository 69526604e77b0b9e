//! What the servers of a bridge know that it is subscribed to, as far as this process has told them: so that a session which
//! a server has kept is brought to what is wanted now.

use super::Answered;
use crate::config::{BridgeSubscription, MAX_HYBRID_SERVERS, RemoteUrl};

/// Servers that are remembered; the one that was not connected to for the longest time is forgotten first.
const SERVERS_MAX: usize = MAX_HYBRID_SERVERS + 1;

/// See the module's description.
#[derive(Debug, Default)]
pub struct Subscribed {
    /// The one that is connected to stands last.
    servers: Vec<Server>,
}

#[derive(Debug)]
struct Server {
    url: RemoteUrl,
    /// Filters that it was asked for and was not told to end, or has not said so.
    asked: Vec<String>,
    /// What it has granted and is still wanted.
    granted: Vec<BridgeSubscription>,
}

/// What a server is to be asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Requested {
    /// Filters that it is subscribed to, or may be, and is not to be any more.
    pub stale: Vec<String>,
    /// Subscriptions that it does not have, or has otherwise.
    pub missing: Vec<BridgeSubscription>,
}

impl Subscribed {
    /// A server is connected to, which has gone on with a session, or has none; with MQTT 3.1 it does not say.
    pub fn connected(
        &mut self,
        url: &RemoteUrl,
        session_present: Option<bool>,
        wanted: &[BridgeSubscription],
    ) -> Requested {
        let at = self.servers.iter().position(|server| server.url == *url);
        let known = at.map(|at| self.servers.remove(at));
        let known = known.filter(|_| session_present != Some(false));
        let mut server = known.unwrap_or(Server {
            url: url.clone(),
            asked: Vec::new(),
            granted: Vec::new(),
        });
        let is_sure = session_present.is_some();
        server.granted.retain(|one| is_sure && wanted.contains(one));
        let is_granted = |one: &&BridgeSubscription| server.granted.contains(one);
        let missing: Vec<_> = wanted
            .iter()
            .filter(|one| !is_granted(one))
            .cloned()
            .collect();
        let stale = server.stale(wanted);
        server.ask(&missing);
        if self.servers.len() >= SERVERS_MAX {
            self.servers.remove(0);
        }
        self.servers.push(server);
        Requested { stale, missing }
    }

    /// Other subscriptions are wanted of the server that is connected to; those that are new are asked for.
    pub fn changed(
        &mut self,
        before: &[BridgeSubscription],
        wanted: &[BridgeSubscription],
    ) -> Requested {
        let Some(server) = self.servers.last_mut() else {
            return Requested::default();
        };
        let new = wanted.iter().filter(|one| !before.contains(one));
        let missing: Vec<_> = new.cloned().collect();
        let stale = server.stale(wanted);
        server.granted.retain(|one| wanted.contains(one));
        server.ask(&missing);
        Requested { stale, missing }
    }

    /// The server that is connected to has answered.
    pub fn answered(&mut self, answered: &Answered, wanted: &[BridgeSubscription]) {
        let Some(server) = self.servers.last_mut() else {
            return;
        };
        let is_ended = |filter: &String| {
            let refused = answered
                .refused
                .iter()
                .any(|(refused, _)| refused == filter);
            refused || answered.ended.contains(filter)
        };
        server.asked.retain(|filter| !is_ended(filter));
        let is_again = |known: &BridgeSubscription| {
            let mut granted = answered.granted.iter();
            granted.any(|one| one.remote_topic == known.remote_topic)
        };
        let granted = &mut server.granted;
        granted.retain(|known| !is_again(known) && !is_ended(&known.remote_topic));
        let new = answered.granted.iter().filter(|one| wanted.contains(one));
        granted.extend(new.cloned());
    }

    /// The bridge has another client identifier, for which no server knows anything.
    pub fn forget(&mut self) {
        self.servers.clear();
    }
}

impl Server {
    fn stale(&self, wanted: &[BridgeSubscription]) -> Vec<String> {
        let is_wanted = |filter: &&String| wanted.iter().any(|one| one.remote_topic == **filter);
        let asked = self.asked.iter().filter(|filter| !is_wanted(filter));
        asked.cloned().collect()
    }

    fn ask(&mut self, subscriptions: &[BridgeSubscription]) {
        for one in subscriptions {
            if !self.asked.contains(&one.remote_topic) {
                self.asked.push(one.remote_topic.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::ReasonCode;

    fn to(filters: &[&str]) -> Vec<BridgeSubscription> {
        let subscriptions = filters.iter().map(|filter| BridgeSubscription::to(filter));
        subscriptions.collect()
    }

    fn requested(stale: &[&str], missing: &[&str]) -> Requested {
        Requested {
            stale: stale.iter().map(|filter| (*filter).to_owned()).collect(),
            missing: to(missing),
        }
    }

    #[test]
    fn a_kept_session_is_brought_to_what_is_wanted_now() {
        let (here, there): (RemoteUrl, RemoteUrl) =
            ("h:1".parse().unwrap(), "h:2".parse().unwrap());
        let mut known = Subscribed::default();
        let wanted = to(&["a", "b", "c"]);
        assert_eq!(
            known.connected(&here, Some(false), &wanted),
            requested(&[], &["a", "b", "c"])
        );
        let answered = Answered {
            granted: to(&["a"]),
            refused: vec![("b".to_owned(), ReasonCode::NotAuthorized)],
            ..Answered::default()
        };
        known.answered(&answered, &wanted);
        // "c" was asked for, and may have been granted.
        assert_eq!(
            known.connected(&here, Some(true), &to(&["b", "d"])),
            requested(&["a", "c"], &["b", "d"])
        );
        // Another server meanwhile, and back, the end of "a" being confirmed only.
        let ended = Answered {
            ended: vec!["a".to_owned()],
            ..Answered::default()
        };
        known.answered(&ended, &to(&["b", "d"]));
        known.connected(&there, Some(true), &to(&["e"]));
        assert_eq!(
            known.connected(&here, Some(true), &to(&["b"])),
            requested(&["c", "d"], &["b"])
        );
        let granted = Answered {
            granted: to(&["b"]),
            ..Answered::default()
        };
        known.answered(&granted, &to(&["b"]));
        assert_eq!(
            known.connected(&here, None, &to(&["b"])),
            requested(&["c", "d"], &["b"])
        );
        // It has forgotten the session.
        assert_eq!(
            known.connected(&here, Some(false), &to(&["b"])),
            requested(&[], &["b"])
        );
    }

    #[test]
    fn a_change_asks_for_what_is_new_and_ends_what_is_gone() {
        let mut known = Subscribed::default();
        let (before, after) = (to(&["a", "b"]), to(&["b", "c"]));
        assert_eq!(known.changed(&before, &after), Requested::default());
        known.connected(&"h:1".parse().unwrap(), Some(false), &before);
        let granted = Answered {
            granted: before.clone(),
            ..Answered::default()
        };
        known.answered(&granted, &before);
        assert_eq!(known.changed(&before, &after), requested(&["a"], &["c"]));
        // With another QoS it is asked for again.
        let mut other = after.clone();
        other[0].qos = 2;
        let asked = known.changed(&after, &other);
        assert_eq!(asked.missing, other[..1]);
    }

    #[test]
    fn servers_are_remembered_up_to_a_bound() {
        let mut known = Subscribed::default();
        for port in 1..=SERVERS_MAX + 5 {
            known.connected(
                &format!("h:{port}").parse().unwrap(),
                Some(false),
                &to(&["a"]),
            );
        }
        assert_eq!(known.servers.len(), SERVERS_MAX);
        known.forget();
        assert!(known.servers.is_empty());
    }
}
