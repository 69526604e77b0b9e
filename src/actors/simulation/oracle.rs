//! What clients may get, and what they must: every message, subscription and delivery with the step in which it was
//! asked for and the one in which it was confirmed.
//!
//! What the broker does happens at some step between the two. So a message *may* reach a subscription that could have
//! been there when the message could have been routed, and *must* reach one that was there for sure.

mod complete;
mod expiry;
mod groups;

use std::collections::BTreeMap;

use self::groups::End;
use super::peer::Received;
use crate::mqtt::{QoS, matches};

/// A message, by its number.
#[derive(Clone, Debug)]
pub struct Message {
    pub publisher: usize,
    /// Session of the publisher.
    pub epoch: u32,
    pub topic: &'static str,
    pub qos: QoS,
    pub retain: bool,
    pub empty: bool,
    pub is_will: bool,
    /// Seconds until it expires, where the publisher says so.
    pub expiry: Option<u32>,
    /// How often it was sent.
    pub attempts: usize,
    pub sent_at: u64,
    /// By the clock, when it was sent first.
    pub sent_clock: u32,
    /// The broker has it for sure.
    pub taken_at: Option<u64>,
    /// By the clock, when that was known.
    pub taken_clock: Option<u32>,
    /// The broker was killed before it was known to have it: what it gave on without storing it comes again.
    pub interrupted: bool,
    /// It must not reach anybody: a will that was deleted.
    pub never: bool,
}

/// A subscription while it lasts with these options.
#[derive(Clone, Debug)]
pub struct Interval {
    pub client: usize,
    pub epoch: u32,
    pub filter: &'static str,
    pub qos: QoS,
    /// The client's own messages do not count.
    pub no_local: bool,
    pub asked_at: u64,
    /// By the clock.
    pub asked_clock: u32,
    pub granted_at: Option<u64>,
    /// From here on it may be gone.
    pub ending_at: Option<u64>,
    /// From here on it is.
    pub gone_at: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Got {
    client: usize,
    epoch: u32,
    qos: QoS,
    dup: bool,
    retain: bool,
}

/// Subscriber and its session, publisher and its session, topic, QoS as published and as delivered.
type Stream = (usize, u32, usize, u32, &'static str, QoS, QoS);

#[derive(Default)]
pub struct Oracle {
    pub now: u64,
    /// Seconds that have passed.
    pub clock: u32,
    pub messages: Vec<Message>,
    pub intervals: Vec<Interval>,
    got: BTreeMap<usize, Vec<Got>>,
    last: BTreeMap<Stream, usize>,
    /// A client has left and the broker may not have noticed.
    has_departing: bool,
    /// Of sessions: their shared messages go to others, the rest is lost.
    ends: Vec<End>,
    /// Deliveries looked at, ...
    pub deliveries: u64,
    /// ... and what they come to: another number for others, or in another order.
    pub fingerprint: u64,
}

/// The filter without `$share/group/`.
fn plain(filter: &str) -> &str {
    match filter.strip_prefix("$share/") {
        Some(rest) => rest.split_once('/').map_or("", |(_, filter)| filter),
        None => filter,
    }
}

fn is_shared(filter: &str) -> bool {
    filter.starts_with("$share/")
}

impl Interval {
    fn matches(&self, topic: &str) -> bool {
        matches(plain(self.filter), topic)
    }

    /// Whether a message that is published now is for this subscription.
    fn wants(&self, message: &Message) -> bool {
        self.matches(message.topic) && !(self.no_local && message.publisher == self.client)
    }
}

impl Oracle {
    /// True when a client has left and the broker may not have noticed.
    pub fn has_departing(&self) -> bool {
        self.has_departing
    }

    /// The broker is killed.
    pub fn interrupted(&mut self) {
        let taken = |message: &&mut Message| message.taken_at.is_none();
        let open = self.messages.iter_mut().filter(taken);
        open.for_each(|message| message.interrupted = true);
        self.interrupt_ends();
    }

    /// A client's session may end from now on.
    pub fn may_end(&mut self, client: usize, epoch: u32) {
        self.note_end(client, epoch);
        let now = self.now;
        for interval in self.of_session(client, epoch) {
            interval.ending_at.get_or_insert(now);
        }
    }

    /// A client's session has ended.
    pub fn has_ended(&mut self, client: usize, epoch: u32) {
        self.may_end(client, epoch);
        let now = self.now;
        for interval in self.of_session(client, epoch) {
            interval.gone_at.get_or_insert(now);
        }
    }

    /// Changes what is known of a client's subscriptions with a filter.
    pub fn change(
        &mut self,
        client: usize,
        epoch: u32,
        filter: &str,
        change: impl FnMut(&mut Interval),
    ) {
        self.of_session(client, epoch)
            .filter(|interval| interval.filter == filter)
            .for_each(change);
    }

    /// The newest subscription of a client with a filter is there, in the place of the one before.
    pub fn granted(&mut self, client: usize, epoch: u32, filter: &str) {
        let now = self.now;
        let of_filter = |interval: &&mut Interval| interval.filter == filter;
        let mut of_filter = self
            .of_session(client, epoch)
            .filter(of_filter)
            .collect::<Vec<_>>();
        if let Some(newest) = of_filter.pop() {
            newest.granted_at = Some(now);
        }
        for before in of_filter {
            before.gone_at.get_or_insert(now);
        }
    }

    fn of_session(&mut self, client: usize, epoch: u32) -> impl Iterator<Item = &mut Interval> {
        self.intervals
            .iter_mut()
            .filter(move |interval| interval.client == client && interval.epoch == epoch)
    }

    /// The filters of a session that are granted, or asked for.
    pub fn filters(&self, client: usize, epoch: u32) -> Vec<&'static str> {
        let lasting = |interval: &&Interval| {
            interval.client == client && interval.epoch == epoch && interval.ending_at.is_none()
        };
        let lasting = self.intervals.iter().filter(lasting);
        lasting.map(|interval| interval.filter).collect()
    }

    /// A message has reached a client, which has connected at `since` by the clock.
    pub fn delivered(
        &mut self,
        client: usize,
        epoch: u32,
        v5: bool,
        since: u32,
        received: &Received,
    ) {
        self.deliveries += 1;
        let what = (client as u64) << 32 | received.number.unwrap_or(usize::MAX) as u64;
        self.fingerprint = (self.fingerprint ^ what ^ self.now << 40)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(31);
        let Some(number) = received.number else {
            return;
        };
        let message = self.messages.get(number).expect("a message that was sent");
        let context = || {
            format!(
                "step {}, client {client} (session {epoch}): {received:?} of {message:?}",
                self.now
            )
        };
        assert_eq!(message.topic, received.topic, "{}", context());
        assert!(!message.never, "a deleted will: {}", context());
        assert!(message.sent_at <= self.now, "too early: {}", context());
        let got = Got {
            client,
            epoch,
            qos: received.qos,
            dup: received.dup,
            retain: received.retain,
        };
        let expiry = match received.retain {
            true => self.check_expiry(number, received, v5, since.max(self.asked(number, &got))),
            false => self.check_expiry(number, received, v5, since),
        };
        expiry.unwrap_or_else(|why| panic!("{why}: {}, clock {}", context(), self.clock));
        let granted = match received.retain {
            true => self.check_retained(number, &got),
            false => self.check_live(number, &got),
        };
        let granted = granted.unwrap_or_else(|why| panic!("{why}: {}", context()));
        let (least, most) = (granted.0.min(message.qos), granted.1.min(message.qos));
        assert!(
            (least..=most).contains(&received.qos),
            "the QoS is {least:?} to {most:?}: {}",
            context()
        );
        if !received.retain {
            self.check_order(number, &got);
        }
        self.got.entry(number).or_default().push(got);
    }

    /// The lowest and the highest QoS that the client may have been granted for a message.
    fn check_live(&self, number: usize, got: &Got) -> Result<(QoS, QoS), &'static str> {
        let message = &self.messages[number];
        let handed_on = |filter: &str| match is_shared(filter) {
            true => self.handed_on(filter, message.sent_at),
            false => 0,
        };
        let until = message.taken_at.unwrap_or(u64::MAX);
        let may = |interval: &&Interval| {
            interval.client == got.client
                && interval.epoch == got.epoch
                && interval.wants(message)
                && (interval.asked_at <= until || handed_on(interval.filter) > 0)
                && interval.gone_at.is_none_or(|at| at > message.sent_at)
        };
        let possible: Vec<_> = self.intervals.iter().filter(may).collect();
        let qos = possible.iter().map(|interval| interval.qos);
        let (Some(least), Some(most)) = (qos.clone().min(), qos.max()) else {
            return Err("nobody is subscribed");
        };
        let shared = is_shared(possible[0].filter);
        let handed_on = handed_on(possible[0].filter);
        let before = self.live(number);
        let of_session = |other: &&Got| !message.interrupted || other.epoch == got.epoch;
        let own = before
            .iter()
            .filter(|other| other.client == got.client)
            .filter(of_session);
        if got.qos == QoS::ExactlyOnce && own.clone().any(|other| other.qos == got.qos) {
            return Err("QoS 2 twice");
        }
        let anew = own.clone().filter(|other| !other.dup).count() + usize::from(!got.dup);
        let mut sent = message.attempts;
        if message.qos == QoS::ExactlyOnce && !message.interrupted {
            sent = 1;
        }
        if anew > sent + handed_on {
            return Err("more often than it was sent");
        }
        if shared {
            let others = before.iter().filter(|other| other.client != got.client);
            if got.qos == QoS::ExactlyOnce && others.clone().any(|other| other.qos == got.qos) {
                return Err("two members of the group with QoS 2");
            }
            if others.filter(|other| !other.dup).count() >= sent + handed_on {
                return Err("more members of the group than may be");
            }
        }
        Ok((least, most))
    }

    fn live(&self, number: usize) -> Vec<Got> {
        let all = self.got.get(&number).into_iter().flatten();
        all.filter(|other| !other.retain).copied().collect()
    }

    fn check_retained(&self, number: usize, got: &Got) -> Result<(QoS, QoS), &'static str> {
        let message = &self.messages[number];
        if !message.retain {
            return Err("it was not retained");
        }
        let of_client = |interval: &&Interval| {
            interval.client == got.client
                && interval.epoch == got.epoch
                && !is_shared(interval.filter)
                && interval.matches(message.topic)
        };
        let asked: Vec<_> = self.intervals.iter().filter(of_client).collect();
        // What waited in the session when the subscription ended may still come.
        let waited = got.qos > QoS::AtMostOnce;
        let lasts = |filter: &str| {
            asked
                .iter()
                .any(|other| other.filter == filter && other.gone_at.is_none())
        };
        let fresh = |interval: &&&Interval| {
            (waited || lasts(interval.filter)) && !self.is_superseded(number, interval.asked_at)
        };
        let possible: Vec<_> = asked.iter().filter(fresh).collect();
        let qos = possible.iter().map(|interval| interval.qos);
        let (Some(least), Some(most)) = (qos.clone().min(), qos.max()) else {
            return Err("no subscription asks for what is retained, or for something newer");
        };
        let all = self.got.get(&number).into_iter().flatten();
        let own = all.filter(|other| other.client == got.client && other.epoch == got.epoch);
        let before = own.filter(|other| other.retain && !other.dup).count();
        if !got.dup && before >= asked.len() {
            return Err("retained, more often than it was asked for");
        }
        Ok((least, most))
    }

    /// True when another message was retained for sure after this one and before the step.
    fn is_superseded(&self, number: usize, step: u64) -> bool {
        let message = &self.messages[number];
        let newer = |other: &Message| {
            other.retain
                && other.topic == message.topic
                && message.taken_at.is_some_and(|at| at < other.sent_at)
                && other.taken_at.is_some_and(|at| at < step)
        };
        self.messages.iter().any(newer)
    }

    fn check_order(&mut self, number: usize, got: &Got) {
        let message = &self.messages[number];
        let first = self
            .live(number)
            .iter()
            .all(|other| (other.client, other.epoch) != (got.client, got.epoch));
        let handed_on = self.intervals.iter().any(|interval| {
            interval.client == got.client
                && is_shared(interval.filter)
                && interval.matches(message.topic)
                && self.handed_on(interval.filter, message.sent_at) > 0
        });
        // Who did not get it when it was sent first may get it where it was sent again.
        let again = message.interrupted || message.qos == QoS::AtLeastOnce && message.attempts > 1;
        if !first || again || message.is_will || handed_on {
            return;
        }
        let stream = (
            got.client,
            got.epoch,
            message.publisher,
            message.epoch,
            message.topic,
            message.qos,
            got.qos,
        );
        let last = self.last.insert(stream, number);
        assert!(
            last < Some(number),
            "{number} comes behind {last:?}: {got:?}"
        );
    }
}
