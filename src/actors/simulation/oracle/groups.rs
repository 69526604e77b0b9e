//! Shared subscriptions: one member gets a message, and another one when the first leaves or its session ends with it.

use super::*;

/// A client leaves, or its session ends: what is not acknowledged goes to other members, if it leaves to those that are
/// there.
#[derive(Debug)]
pub(super) struct End {
    client: usize,
    epoch: u32,
    /// The session ends: what goes to nobody is lost.
    of_session: bool,
    /// The broker was killed meanwhile, and what it had of the session in memory alone is lost.
    interrupted: bool,
    /// The step from which on the broker may know.
    step: u64,
    /// The step at which it knows.
    ended: Option<u64>,
}

impl Oracle {
    /// A client has left a session, which the broker may notice only later.
    pub fn departed(&mut self, client: usize, epoch: u32) {
        self.has_departing = true;
        self.add_end(client, epoch, false);
    }

    fn add_end(&mut self, client: usize, epoch: u32, of_session: bool) {
        self.ends.push(End {
            client,
            epoch,
            of_session,
            interrupted: false,
            step: self.now,
            ended: None,
        });
    }

    /// A session may end from now on, if it has not ended already.
    pub(super) fn note_end(&mut self, client: usize, epoch: u32) {
        let is_it = |end: &End| end.of_session && (end.client, end.epoch) == (client, epoch);
        if !self.ends.iter().any(is_it) {
            self.add_end(client, epoch, true);
        }
    }

    /// The broker is killed: what was about to end has ended by that.
    pub(super) fn interrupt_ends(&mut self) {
        let open = self.ends.iter_mut().filter(|end| end.ended.is_none());
        open.for_each(|end| end.interrupted = true);
    }

    /// The broker has noticed everything.
    pub fn rested(&mut self) {
        self.has_departing = false;
        let now = self.now;
        for end in &mut self.ends {
            end.ended.get_or_insert(now);
        }
    }

    /// Those of members of a group that were not over at a step.
    fn ends_since(&self, filter: &str, step: u64) -> impl Iterator<Item = &End> {
        let of_member = move |end: &&End| {
            end.ended.is_none_or(|ended| ended >= step) && self.membership(end, filter) > None
        };
        self.ends.iter().filter(of_member)
    }

    /// The highest QoS that a session that ends had as a member of a group.
    fn membership(&self, end: &End, filter: &str) -> Option<QoS> {
        let of_session = |interval: &&Interval| {
            (interval.client, interval.epoch, interval.filter) == (end.client, end.epoch, filter)
        };
        let memberships = self.intervals.iter().filter(of_session);
        memberships.map(|interval| interval.qos).max()
    }

    /// How often a message that was sent at a step may have gone from one member of a group to another: where one leaves
    /// or its session ends.
    pub(super) fn handed_on(&self, filter: &str, step: u64) -> usize {
        self.ends_since(filter, step).count()
    }

    /// True when a message to a group may have been lost with the session of a member: it was in the middle of QoS 2 with
    /// its member `[MQTT-4.8.2-5]`, there was no other one, or the broker was killed.
    pub(super) fn may_be_lost(&self, message: &Message, filter: &str) -> bool {
        let lost_with = |end: &End| {
            let exactly_once = message.qos == QoS::ExactlyOnce
                && self.membership(end, filter) == Some(QoS::ExactlyOnce);
            exactly_once || end.interrupted || !self.has_other_member(end, filter)
        };
        let mut of_sessions = self
            .ends_since(filter, message.sent_at)
            .filter(|end| end.of_session);
        of_sessions.any(lost_with)
    }

    /// Whether somebody else is a member of a group all the time while a session ends, connected or not.
    fn has_other_member(&self, end: &End, filter: &str) -> bool {
        let Some(ended) = end.ended else {
            return false;
        };
        self.intervals.iter().any(|interval| {
            interval.client != end.client
                && interval.filter == filter
                && interval.qos > QoS::AtMostOnce
                && interval.granted_at.is_some_and(|at| at < end.step)
                && interval.ending_at.is_none_or(|at| at > ended)
        })
    }
}
