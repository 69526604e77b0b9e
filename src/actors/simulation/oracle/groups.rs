//! Shared subscriptions: one member gets a message, and another one when the first leaves or its session ends with it.

use super::*;

/// A client leaves, or its session ends: what is not acknowledged goes to other members that are there.
#[derive(Debug)]
pub(super) struct End {
    client: usize,
    epoch: u32,
    /// The session ends: what goes to nobody is lost.
    of_session: bool,
    /// The step from which on the broker may know, and that moment.
    step: u64,
    began: u64,
    /// The step and the moment at which it knows.
    ended: Option<(u64, u64)>,
}

/// A client that is connected for sure, from one moment to another.
#[derive(Debug)]
pub(super) struct Presence {
    client: usize,
    epoch: u32,
    from: u64,
    to: Option<u64>,
}

impl Oracle {
    /// A moment after all others.
    pub(super) fn moment(&mut self) -> u64 {
        self.moments += 1;
        self.moments
    }

    /// A client was let in to a session.
    pub fn came(&mut self, client: usize, epoch: u32) {
        let from = self.moment();
        self.presences.push(Presence {
            client,
            epoch,
            from,
            to: None,
        });
    }

    /// A client has left, which the broker may notice only later.
    pub fn departed(&mut self, client: usize) {
        self.has_departing = true;
        let now = self.moment();
        let lasts = |presence: &&mut Presence| presence.client == client && presence.to.is_none();
        for presence in self.presences.iter_mut().filter(lasts) {
            presence.to = Some(now);
            self.ends.push(End {
                client,
                epoch: presence.epoch,
                of_session: false,
                step: self.now,
                began: now,
                ended: None,
            });
        }
    }

    /// A session may end from now on, if it has not ended already.
    pub(super) fn note_end(&mut self, client: usize, epoch: u32) {
        let began = self.moment();
        let is_it = |end: &End| end.of_session && (end.client, end.epoch) == (client, epoch);
        if !self.ends.iter().any(is_it) {
            self.ends.push(End {
                client,
                epoch,
                of_session: true,
                step: self.now,
                began,
                ended: None,
            });
        }
    }

    /// The broker has noticed everything.
    pub fn rested(&mut self) {
        self.has_departing = false;
        let now = (self.now, self.moment());
        for end in &mut self.ends {
            end.ended.get_or_insert(now);
        }
        self.rests.push(now);
    }

    /// Those of members of a group that were not over at a step.
    fn ends_since(&self, filter: &str, step: u64) -> impl Iterator<Item = &End> {
        let of_member = move |end: &&End| {
            end.ended.is_none_or(|(ended, _)| ended >= step) && self.membership(end, filter) > None
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

    /// True when a message to a group may have been lost with the session of a member: it was on its way into the session,
    /// nobody else was there to take it, it was in the middle of QoS 2 with its member `[MQTT-4.8.2-5]`, or another
    /// member left at the same time.
    pub(super) fn may_be_lost(&self, message: &Message, taken_at: u64, filter: &str) -> bool {
        let ends: Vec<_> = self.ends_since(filter, message.sent_at).collect();
        let lost_with = |end: &&End| {
            let Some((_, ended)) = end.ended else {
                return true;
            };
            let arrived = |(step, at): &(u64, u64)| *step > taken_at && *at < end.began;
            let overlaps = |other: &&End| {
                (other.client, other.epoch) != (end.client, end.epoch)
                    && other.began < ended
                    && other.ended.is_none_or(|(_, at)| at > end.began)
            };
            let exactly_once = message.qos == QoS::ExactlyOnce
                && self.membership(end, filter) == Some(QoS::ExactlyOnce);
            exactly_once
                || !self.rests.iter().any(arrived)
                || ends.iter().any(overlaps)
                || !self.has_other_member(end, filter)
        };
        let mut of_sessions = ends.iter().copied().filter(|end| end.of_session);
        of_sessions.any(|end| lost_with(&end))
    }

    /// Whether somebody else is connected and a member of a group all the time while a session ends.
    fn has_other_member(&self, end: &End, filter: &str) -> bool {
        let Some((ended_step, ended)) = end.ended else {
            return false;
        };
        let is_member = |presence: &Presence| {
            self.intervals.iter().any(|interval| {
                (interval.client, interval.epoch) == (presence.client, presence.epoch)
                    && interval.filter == filter
                    && interval.granted_at.is_some_and(|at| at < end.step)
                    && interval.ending_at.is_none_or(|at| at > ended_step)
            })
        };
        self.presences.iter().any(|presence| {
            presence.client != end.client
                && presence.from < end.began
                && presence.to.is_none_or(|at| at > ended)
                && is_member(presence)
        })
    }
}
