//! Routes that lead to one session by one subscription: one object for all topics of which that is true.
//!
//! Where many topics go to few sessions, each its own, this saves making routes for each topic, and messages to different
//! topics that go to the same session share a batch.

use std::sync::Arc;

use crate::routing::{Routes, Target, subscription_tree::Matches};

/// Places, as a power of two. A place holds the routes of one subscriber, the last one that was looked up.
const PLACES_BITS: u32 = 10;

/// See the module's description.
#[derive(Debug)]
pub(super) struct SingleRoutes<T> {
    /// None until something is looked up.
    places: Box<[Option<Arc<Routes<T>>>]>,
}

impl<T> Default for SingleRoutes<T> {
    fn default() -> Self {
        Self {
            places: Box::default(),
        }
    }
}

impl<T: Target> SingleRoutes<T> {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.places = Box::default();
    }

    /// The routes of a topic that is matched by these.
    pub(super) fn routes(&mut self, found: Matches<'_, T>) -> Arc<Routes<T>> {
        let Some(route) = found.single() else {
            return Arc::new(found.routes());
        };
        if self.places.is_empty() {
            self.places = (0..1 << PLACES_BITS).map(|_| None).collect();
        }
        // Sessions lie at multiples of a power of two: the upper bits of a product with an odd number depend on all.
        let spread = (Arc::as_ptr(&route.target).addr() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let Some(place) = self
            .places
            .get_mut((spread >> (u64::BITS - PLACES_BITS)) as usize)
        else {
            return Arc::new(found.routes());
        };
        match place {
            Some(routes) if routes.are_of(route) => routes.clone(),
            _ => place.insert(Arc::new(found.routes())).clone(),
        }
    }
}
