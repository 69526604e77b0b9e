//! Messages of a shared subscription that go from one member to another.

use std::{sync::Arc, time::Instant};

use super::{Router, to_member};
use crate::{
    messages::{Inbox, InboxItem, MoveShared, Patience, Pushed},
    mqtt::Batch,
    routing::{Group, OFFERS, Route, Target},
    session::Orphan,
    stats::Metric,
};

impl Router {
    /// Gives messages of a shared subscription to other members than `leaving`: to those that are connected or, where its
    /// session `ends`, to any. They stay where they are if there is none.
    pub fn hand_over(
        &mut self,
        group: &str,
        (leaving, ends): (&Arc<Inbox>, bool),
        orphans: impl FnOnce() -> Vec<Orphan>,
        now: Instant,
    ) {
        self.routes.refresh();
        let Some(group) = self.routes.tree().group(group) else {
            return;
        };
        let other = group.others(leaving).next();
        if !other.is_some_and(|member| ends || member.target.is_online()) {
            return;
        }
        let patience = Patience::new(&self.config.load().mqtt, now);
        let orphans = orphans();
        let number = orphans.len() as u64;
        self.counters.add(Metric::MessagesHandedOver, number);
        self.counters.add(Metric::MessagesDeliveries, number);
        for orphan in orphans {
            let mut turn = None;
            group.share_out(1, |member, _| turn = Some(member));
            let turn = turn.filter(|member| !Arc::ptr_eq(&member.target, leaving));
            let member = turn.or_else(|| group.others(leaving).next());
            let is_given = member
                .is_some_and(|member| self.give_orphan(&group, member, orphan, leaving, patience));
            if !is_given {
                self.counters.add(Metric::DroppedSessionEnded, 1);
            }
        }
    }

    /// False when the members that were asked have ended.
    fn give_orphan(
        &mut self,
        group: &Group<Inbox>,
        member: &Route<Inbox>,
        orphan: Orphan,
        leaving: &Arc<Inbox>,
        patience: Patience,
    ) -> bool {
        let now = patience.now;
        let placed = orphan.place.zip(leaving.durable());
        if let (Some((place, number)), Some(durable)) = (placed, &self.durable) {
            durable.move_shared(MoveShared {
                from: Some((number.get(), place)),
                message: orphan.message,
                size: orphan.size,
                inbox: member.target.clone(),
                delivery: to_member(group, member),
                now,
                part: None,
                offers: OFFERS,
            });
            return true;
        }
        let Some(message) = orphan.message else {
            return false;
        };
        let batch = Arc::new(Batch::of_message(&message, now));
        group.offer(member, |member| {
            if Arc::ptr_eq(&member.target, leaving) {
                return false;
            }
            let item = InboxItem {
                batch: batch.clone(),
                range: 0..1,
                delivery: to_member(group, member),
            };
            if let Some(durable) = &mut self.durable
                && let Some(target) = durable.wants(&member.target, &item)
            {
                durable.persist(&item.batch, vec![target], None, now, false);
                return true;
            }
            !matches!(member.target.push(item, patience), Pushed::Ended)
        })
    }
}
