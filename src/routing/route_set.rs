//! The subscriptions of one filter, one a session: a list while they are few, a map by session once they are many.
//!
//! In a list, one of ten thousand devices that listen to one topic would be searched for among all whenever it goes.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{linear_hash_map::LinearHashMap, routes::Route};

/// Subscriptions that are kept as a list.
const FEW: usize = 32;

/// A list of subscriptions; most hold one.
pub(super) type FewRoutes<T> = SmallVec<[Route<T>; 1]>;

/// See the module's description.
#[derive(Debug)]
pub(super) enum RouteSet<T> {
    Few(FewRoutes<T>),
    Many(LinearHashMap<Session, Route<T>>),
}

/// Where a session's [`Route::target`] is, which no other has while the set holds it.
type Session = usize;

fn session<T>(target: &Arc<T>) -> Session {
    Arc::as_ptr(target).addr()
}

impl<T> RouteSet<T> {
    /// Number of subscriptions.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(routes) => routes.len(),
            Self::Many(by_session) => by_session.len(),
        }
    }

    /// Enters a subscription, or replaces the session's; `is_new` says that it has none, so that none is looked for.
    pub(super) fn insert(&mut self, route: Route<T>, is_new: bool) {
        match self {
            Self::Few(routes) if routes.len() < FEW || !is_new => {
                replace_or_push(routes, route, is_new);
            }
            Self::Few(routes) => {
                let mut by_session = LinearHashMap::default();
                for route in std::mem::take(routes).into_iter().chain([route]) {
                    put(&mut by_session, route);
                }
                *self = Self::Many(by_session);
            }
            Self::Many(by_session) => put(by_session, route),
        }
    }

    /// Takes a session's subscription out; false when it has none.
    pub(super) fn remove(&mut self, target: &Arc<T>) -> bool {
        match self {
            Self::Few(routes) => take_out(routes, target),
            Self::Many(by_session) => {
                if by_session.remove(&session(target)).is_none() {
                    return false;
                }
                // Half, so that one that comes and goes does not turn the list into a map and back each time.
                if by_session.len() <= FEW / 2 {
                    *self = Self::Few(by_session.take_values().collect());
                }
                true
            }
        }
    }

    /// Every subscription, in an order of its own.
    pub(super) fn for_each<'a>(&'a self, mut visit: impl FnMut(&'a Route<T>)) {
        match self {
            Self::Few(routes) => routes.iter().for_each(visit),
            Self::Many(by_session) => by_session.iter().for_each(|(_, route)| visit(route)),
        }
    }

    /// The subscription, where it is the only one.
    pub(super) fn single(&self) -> Option<&Route<T>> {
        match self {
            Self::Few(routes) => match routes.as_slice() {
                [route] => Some(route),
                _ => None,
            },
            Self::Many(_) => None,
        }
    }
}

fn put<T>(by_session: &mut LinearHashMap<Session, Route<T>>, route: Route<T>) {
    let slot = by_session.get_or_insert_with(session(&route.target), || route.clone());
    *slot = route;
}

/// Enters a session's subscription into a list, or replaces the one it has.
pub(super) fn replace_or_push<T>(routes: &mut FewRoutes<T>, route: Route<T>, is_new: bool) {
    let same = |own: &&mut Route<T>| Arc::ptr_eq(&own.target, &route.target);
    match (!is_new).then(|| routes.iter_mut().find(same)).flatten() {
        Some(own) => *own = route,
        None => routes.push(route),
    }
}

/// Takes a session's subscription out of a list; false when it has none.
pub(super) fn take_out<T>(routes: &mut FewRoutes<T>, target: &Arc<T>) -> bool {
    let before = routes.len();
    routes.retain(|route| !Arc::ptr_eq(&route.target, target));
    routes.len() != before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::{QoS, SubscribeOptions};

    fn route(target: &Arc<usize>, qos: QoS) -> Route<usize> {
        Route::new(target.clone(), SubscribeOptions::with_qos(qos), None)
    }

    fn shown(set: &RouteSet<usize>) -> Vec<(usize, QoS)> {
        let mut shown = Vec::new();
        set.for_each(|route| shown.push((*route.target, route.qos)));
        shown.sort_unstable();
        shown
    }

    #[test]
    fn a_set_of_any_size_holds_one_subscription_a_session() {
        let targets: Vec<_> = (0..10 * FEW).map(Arc::new).collect();
        let mut set = RouteSet::Few(FewRoutes::new());
        let mut expected = Vec::new();
        for target in &targets {
            set.insert(route(target, QoS::AtMostOnce), true);
            assert_eq!(shown(&set)[**target], (**target, QoS::AtMostOnce));
            // Again, with another QoS.
            set.insert(route(target, QoS::AtLeastOnce), false);
            expected.push((**target, QoS::AtLeastOnce));
            assert_eq!(set.len(), expected.len());
        }
        assert_eq!(shown(&set), expected);
        assert_eq!(set.single().map(|route| *route.target), None);
        for target in targets.iter().skip(1) {
            assert!(set.remove(target));
            assert!(!set.remove(target));
            expected.retain(|(number, _)| *number != **target);
            assert_eq!(shown(&set), expected);
        }
        assert_eq!(set.single().map(|route| *route.target), Some(0));
    }
}
