//! The subscriptions of one filter: of sessions, and of the members of shared ones.

use std::sync::Arc;

use super::{
    route_set::{FewRoutes, RouteSet, replace_or_push, take_out},
    routes::{Group, Groups, Route, SharedGroup, Target},
};

/// The subscriptions of one filter.
#[derive(Debug)]
pub(super) enum Subscribers<T> {
    None,
    One(Route<T>),
    /// A group and nobody else.
    Shared(SharedGroup<T>),
    Many(Box<Many<T>>),
}

#[derive(Debug)]
pub(super) struct Many<T> {
    pub(super) routes: RouteSet<T>,
    pub(super) groups: Groups<T>,
}

impl<T: Target> Subscribers<T> {
    /// The groups.
    pub(super) fn groups(&self) -> &[SharedGroup<T>] {
        match self {
            Self::None | Self::One(_) => &[],
            Self::Shared(group) => std::slice::from_ref(group),
            Self::Many(many) => &many.groups,
        }
    }

    fn many_mut(&mut self) -> &mut Many<T> {
        if !matches!(self, Self::Many(_)) {
            let (mut routes, mut groups) = (FewRoutes::new(), Groups::new());
            match std::mem::replace(self, Self::None) {
                Self::One(route) => routes.push(route),
                Self::Shared(group) => groups.push(group),
                Self::None | Self::Many(_) => {}
            }
            let routes = RouteSet::Few(routes);
            *self = Self::Many(Box::new(Many { routes, groups }));
        }
        match self {
            Self::Many(many) => many,
            // Made just above.
            Self::None | Self::One(_) | Self::Shared(_) => {
                unreachable!("subscribers were turned into many")
            }
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
        let is_it = |group: &SharedGroup<T>| *group.full_filter == **full_filter;
        let new = |route| SharedGroup::new(Group::new(full_filter.clone().into(), route));
        match self {
            Self::None => *self = Self::Shared(new(route)),
            Self::Shared(group) if is_it(group) => {
                replace_or_push(&mut SharedGroup::make_mut(group).members, route, is_new);
            }
            _ => {
                let groups = &mut self.many_mut().groups;
                match groups.iter_mut().find(|group| is_it(group)) {
                    Some(group) => {
                        replace_or_push(&mut SharedGroup::make_mut(group).members, route, is_new);
                    }
                    None => groups.push(new(route)),
                }
            }
        }
    }

    /// Takes a session's subscription out, or its membership in a group; false when it has none.
    pub(super) fn remove(&mut self, group: Option<&str>, target: &Arc<T>) -> bool {
        let removed = match (group, &mut *self) {
            (_, Self::None) | (Some(_), Self::One(_)) | (None, Self::Shared(_)) => false,
            (None, Self::One(route)) => Arc::ptr_eq(&route.target, target),
            (None, Self::Many(many)) => many.routes.remove(target),
            (Some(full_filter), Self::Shared(group)) => {
                *group.full_filter == *full_filter
                    && take_out(&mut SharedGroup::make_mut(group).members, target)
            }
            (Some(full_filter), Self::Many(many)) => {
                let groups = &mut many.groups;
                let mut removed = false;
                groups.retain(|group| {
                    if *group.full_filter != *full_filter {
                        return true;
                    }
                    let group = SharedGroup::make_mut(group);
                    removed = take_out(&mut group.members, target);
                    !group.members.is_empty()
                });
                removed
            }
        };
        if removed {
            self.shrink();
        }
        removed
    }

    /// Becomes as small as what is left.
    fn shrink(&mut self) {
        match self {
            Self::None => {}
            Self::One(_) => *self = Self::None,
            Self::Shared(group) if group.members.is_empty() => *self = Self::None,
            Self::Shared(_) => {}
            Self::Many(many) => {
                let smaller = match (many.routes.len(), many.routes.single(), &many.groups[..]) {
                    (0, _, []) => Self::None,
                    (_, Some(route), []) => Self::One(route.clone()),
                    (0, _, [group]) => Self::Shared(group.clone()),
                    _ => return,
                };
                *self = smaller;
            }
        }
    }
}
