//! The end of a connection: what the client is told, and what becomes of its session and its will.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{ClientConnection, Closing, Connected, Phase, unread::Unread};
use crate::{
    actors::{clock, events, session_store::state_counters},
    auth::{acl::Subject, permissions::Permissions},
    messages::{EndSession, HandOver, Inbox, KeepSession, KeptSession, Owner, SessionCommand},
    session::{CloseReason, Session, Will},
    stats::Metric,
};

/// How long a peer may take to read its last packets and to close.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);

/// What becomes of the session.
pub(super) enum Disposal {
    /// It ends now, or is kept for a while, as its expiry interval says.
    ByExpiry,
    /// Another connection goes on with it.
    HandOver(HandOver),
    /// It has ended: another connection of the client starts anew, or somebody dropped it.
    Discard,
}

impl ClientConnection {
    /// Closes the connection. Its session goes where its expiry interval says.
    pub(super) fn close(&mut self, reason: &CloseReason) {
        self.leave(reason, Disposal::ByExpiry);
    }

    /// Closes the connection; nothing but the farewell is written from here on.
    pub(super) fn leave(&mut self, reason: &CloseReason, disposal: Disposal) {
        if let Phase::Closing(_) | Phase::Moved(_) = self.phase {
            return;
        }
        let now = clock::now();
        let before = std::mem::replace(
            &mut self.phase,
            Phase::Closing(Box::new(Closing {
                deadline: now + FAREWELL_TIMEOUT,
                peer_is_done: match reason {
                    // Behind its DISCONNECT a client ends TLS and WebSocket, which takes a socket that is there.
                    CloseReason::Client(_) => self.transport.is_plain(),
                    CloseReason::PeerClosed | CloseReason::Socket(_) => true,
                    _ => false,
                },
                awaited: None,
                finished: false,
            })),
        );
        self.worker.shared.gauges.closing.increment();
        self.unread = Unread::default();
        self.hold = None;
        match reason {
            CloseReason::Violation(violation) => {
                self.worker.counters.add_error(violation.kind_name());
            }
            CloseReason::Transport(kind, _) => self.worker.counters.add_error(kind),
            CloseReason::ConnectTimeout => {
                self.worker.counters.add(Metric::ConnectTimeouts, 1);
            }
            _ => {}
        }
        match before {
            Phase::Connected(connected) | Phase::Arriving(connected, _) => {
                self.part(*connected, reason, disposal, now)
            }
            Phase::AwaitingConnect(_)
            | Phase::Authenticating(_)
            | Phase::Opening(_)
            | Phase::Closing(_)
            | Phase::Moved(_) => {
                log::info!("{} closed before a session was opened: {reason}", self.peer);
            }
        }
    }

    fn part(
        &mut self,
        connected: Connected,
        reason: &CloseReason,
        disposal: Disposal,
        now: Instant,
    ) {
        let client_id = connected.channel.client_id().clone();
        let level = match reason {
            CloseReason::Violation(_)
            | CloseReason::TakenOver
            | CloseReason::Kicked
            | CloseReason::Revoked
            | CloseReason::LoginExpired => log::Level::Info,
            _ => log::Level::Debug,
        };
        log::log!(
            level,
            "{client_id:?} disconnected from {}: {reason}",
            self.peer
        );
        connected.channel.write_disconnect(reason, &mut self.wire);
        self.worker.counters.add(Metric::Disconnects, 1);
        let (mut session, will) = connected.channel.close(reason);
        let mut permissions = connected.permissions;
        permissions.renew(&self.worker.shared.policy.load());
        let will = will.filter(|will| self.may_publish_will(&permissions, will));
        connected.inbox.set_congested(false, now);
        // What another connection goes on with stays in the inbox, in order; anything else is settled here.
        let mut items = connected.items;
        if !matches!(disposal, Disposal::HandOver(_)) {
            connected.inbox.go_offline();
            items.extend(connected.inbox.take());
        }
        let config = self.worker.shared.config.load();
        for item in items {
            session.deliver_offline(
                &item.batch,
                item.range,
                &item.delivery,
                &config.mqtt,
                now,
                &self.worker.counters,
            );
        }
        connected.inbox.doubt(connected.held.into_doubtful());
        if let Some(store) = &self.worker.shared.store {
            store.note_settled(&connected.inbox, session.outbound_mut());
        }
        state_counters(&connected.inbox, session.outbound());
        let parting = Parting {
            session,
            will,
            generation: connected.generation,
            inbox: connected.inbox.clone(),
            subject: permissions.subject().clone(),
        };
        match disposal {
            Disposal::ByExpiry => self.by_expiry(parting, now),
            Disposal::Discard => self.discard(parting, now),
            Disposal::HandOver(hand_over) => self.hand_over(parting, hand_over, now),
        }
        events::disconnected(
            &self.worker,
            &client_id,
            permissions.subject().username.as_deref(),
            self.peer,
            reason.code(),
            now,
        );
    }

    /// The session ends now, or is kept, unless the registry has given it to another connection already.
    fn by_expiry(&mut self, mut parting: Parting, now: Instant) {
        self.worker
            .hand_orphans_over(&parting.inbox, parting.session.outbound_mut(), now);
        let given_away = match parting.session.expiry_interval {
            0 => self.end_if_own(parting, now),
            expiry_interval => self.keep_if_own(parting, expiry_interval, now),
        };
        if let Phase::Closing(closing) = &mut self.phase {
            closing.awaited = given_away;
        }
    }

    fn end_if_own(&self, mut parting: Parting, now: Instant) -> Option<Parting> {
        let outbound = parting.session.outbound_mut();
        let (inbox, generation) = (&parting.inbox, parting.generation);
        if !self.worker.end_session(inbox, generation, outbound, now) {
            return Some(parting);
        }
        self.publish_last_will(parting, now);
        None
    }

    /// Gives the session to the session store, which learns of it before it can be asked for it: only then does
    /// the inbox lead there.
    fn keep_if_own(&self, parting: Parting, expiry_interval: u32, now: Instant) -> Option<Parting> {
        let after = |seconds: u32| now.checked_add(Duration::from_secs(u64::from(seconds)));
        let (inbox, generation) = (parting.inbox.clone(), parting.generation);
        let (mut at_once, mut delayed) = (None, None);
        match parting.will {
            // The earlier of the delay and the end of the session [MQTT-3.1.3-9].
            Some(will) if will.delay > 0 => {
                delayed = after(will.delay.min(expiry_interval)).map(|at| (at, will));
            }
            will => at_once = will,
        }
        let mut kept = Some(KeptSession {
            inbox: parting.inbox,
            generation,
            session: parting.session,
            subject: parting.subject,
            expires_at: (expiry_interval != u32::MAX)
                .then(|| after(expiry_interval))
                .flatten(),
            will: delayed,
        });
        let handles = &self.worker.shared.registry;
        // Under the inbox's lock: nothing here may publish.
        inbox.pass_on(generation, || {
            handles.keep.do_send(KeepSession {
                client_id: inbox.client_id().clone(),
                generation,
                expiry_interval,
            });
            if let Some(kept) = kept.take() {
                handles.store.do_send(kept);
            }
            Owner::Store(handles.kept.clone(), handles.store_load.clone())
        });
        match kept {
            None => {
                if let Some(will) = at_once {
                    self.worker.publish_will(&inbox, &will, now);
                }
                None
            }
            Some(kept) => Some(Parting {
                session: kept.session,
                will: at_once.or(kept.will.map(|(_, will)| will)),
                generation,
                inbox,
                subject: kept.subject,
            }),
        }
    }

    /// The registry's farewell to a connection that was closing already.
    pub(super) fn settle(&mut self, parting: Parting, command: SessionCommand) {
        let now = clock::now();
        match command {
            SessionCommand::HandOver(hand_over) => self.hand_over(parting, hand_over, now),
            SessionCommand::Discard(_) => self.discard(parting, now),
            SessionCommand::Drain
            | SessionCommand::Noted(_)
            | SessionCommand::Close(_)
            | SessionCommand::Recheck
            | SessionCommand::Evicted(_)
            | SessionCommand::AskAgain(_)
            | SessionCommand::Subscribed(_) => {
                if let Phase::Closing(closing) = &mut self.phase {
                    closing.awaited = Some(parting);
                }
            }
        }
    }

    /// Another connection goes on with the session: a will with a delay is not published `[MQTT-3.1.3-9]`.
    fn hand_over(&self, parting: Parting, hand_over: HandOver, now: Instant) {
        if let Some(will) = parting.will.filter(|will| will.delay == 0) {
            self.worker.publish_will(&parting.inbox, &will, now);
        }
        hand_over.answer(parting.session, &self.worker.counters);
    }

    /// The registry has ended the session: its unacknowledged shared messages go to others, its will is published now.
    fn discard(&self, mut parting: Parting, now: Instant) {
        let outbound = parting.session.outbound_mut();
        self.worker.settle_session(&parting.inbox, outbound, now);
        self.worker.shared.registry.end.do_send(EndSession {
            client_id: parting.inbox.client_id().clone(),
            generation: parting.generation,
        });
        self.publish_last_will(parting, now);
    }

    fn publish_last_will(&self, parting: Parting, now: Instant) {
        if let Some(will) = parting.will {
            self.worker.publish_will(&parting.inbox, &will, now);
        }
    }

    /// The rules may have changed since CONNECT.
    fn may_publish_will(&self, permissions: &Permissions, will: &Will) -> bool {
        let may = permissions.may_publish_will(will.topic());
        if !may {
            self.worker.counters.add(Metric::DroppedNotPermitted, 1);
        }
        may
    }
}

/// What is left of a client whose connection has ended.
pub(super) struct Parting {
    session: Session,
    will: Option<Box<Will>>,
    generation: u64,
    inbox: Arc<Inbox>,
    subject: Subject,
}
