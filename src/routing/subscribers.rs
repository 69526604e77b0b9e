//! The subscriptions of one filter: of sessions, and of the members of shared ones.

use std::sync::Arc;

use super::{
    route_set::{FewRoutes, RouteSet, replace_or_push, take_out},
    routes::{Group, Groups, Route, Target},
};

/// The subscriptions of one filter.
#[derive(Debug)]
pub(super) enum Subscribers<T> {
    None,
    One(Route<T>),
    Many(Arc<Many<T>>),
}

#[derive(Debug)]
pub(super) struct Many<T> {
    pub(super) routes: RouteSet<T>,
    pub(super) groups: Groups<T>,
}

impl<T> Clone for Subscribers<T> {
    fn clone(&self) -> Self {
        match self {
            Self::None => Self::None,
            Self::One(route) => Self::One(route.clone()),
            Self::Many(many) => Self::Many(many.clone()),
        }
    }
}

impl<T> Clone for Many<T> {
    fn clone(&self) -> Self {
        Self {
            routes: self.routes.clone(),
            groups: self.groups.clone(),
        }
    }
}

impl<T: Target> Subscribers<T> {
    fn many_mut(&mut self) -> &mut Many<T> {
        if !matches!(self, Self::Many(_)) {
            let routes = match std::mem::replace(self, Self::None) {
                Self::One(route) => FewRoutes::from_buf([route]),
                _ => FewRoutes::new(),
            };
            *self = Self::Many(Arc::new(Many {
                routes: RouteSet::Few(routes),
                groups: Groups::new(),
            }));
        }
        match self {
            Self::Many(many) => Arc::make_mut(many),
            // Made just above.
            Self::None | Self::One(_) => unreachable!("subscribers were turned into many"),
        }
    }

    pub(super) fn insert(&mut self, route: Route<T>, is_new: bool) {
        match self {
            Self::None => *self = Self::One(route),
            Self::One(own) if Arc::ptr_eq(&own.target, &route.target) => *own = route,
            _ => self.many_mut().routes.insert(route, is_new),
        }
    }

    pub(super) fn insert_shared(&mut self, full_filter: &Arc<str>, route: Route<T>, is_new: bool) {
        let groups = &mut self.many_mut().groups;
        match groups
            .iter_mut()
            .find(|group| group.full_filter == *full_filter)
        {
            Some(group) => replace_or_push(&mut Arc::make_mut(group).members, route, is_new),
            None => groups.push(Arc::new(Group::new(full_filter.clone(), route))),
        }
    }

    pub(super) fn remove(&mut self, group: Option<&str>, target: &Arc<T>) -> bool {
        let removed = match (group, &mut *self) {
            (_, Self::None) => false,
            (None, Self::One(route)) => {
                let same = Arc::ptr_eq(&route.target, target);
                if same {
                    *self = Self::None;
                }
                return same;
            }
            (Some(_), Self::One(_)) => false,
            (None, Self::Many(many)) => Arc::make_mut(many).routes.remove(target),
            (Some(full_filter), Self::Many(many)) => {
                let groups = &mut Arc::make_mut(many).groups;
                let mut removed = false;
                groups.retain_mut(|group| {
                    if &*group.full_filter != full_filter {
                        return true;
                    }
                    let group = Arc::make_mut(group);
                    removed = take_out(&mut group.members, target);
                    !group.members.is_empty()
                });
                removed
            }
        };
        if let Self::Many(many) = self
            && many.groups.is_empty()
        {
            if many.routes.len() == 0 {
                *self = Self::None;
            } else if let Some(route) = many.routes.single() {
                *self = Self::One(route.clone());
            }
        }
        removed
    }
}
