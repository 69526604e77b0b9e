//! The session of a bridge at this broker: opened like that of a client, kept like one, and never without an owner in
//! between.

use std::{sync::Arc, time::Instant, time::SystemTime};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::{Bridge, Local, Remote};
use crate::{
    actors::{
        client_connection::{Opened, open_session},
        durable::unix_millis,
    },
    auth::acl::Subject,
    bridge::version,
    messages::{
        GetSubscriptions, KeepSession, KeptSession, OpenSession, Owner, Subscribe, Unsubscribe,
    },
    mqtt::{QoS, RetainHandling, SubscribeOptions},
    routing::ClientInfo,
    session::{Session, SubscribeRequest},
};

/// How long to wait before a session that could not be opened is tried again.
const OPEN_AGAIN: std::time::Duration = std::time::Duration::from_secs(1);
/// Bodies asked for at once.
const BODIES_PAGE: usize = 512;

impl Bridge {
    pub(super) fn open_session(&mut self, ctx: &mut Context<Self>) {
        self.local = Local::Opening;
        let ask = OpenSession {
            client_id: self.session_id.clone(),
            info: ClientInfo {
                username: None,
                keep_alive: 0,
                version: version(&self.config),
                clean_start: false,
                expiry_interval: u32::MAX,
                will_topic: None,
                // Its configuration says what it may do.
                superuser: true,
                peer: std::net::SocketAddr::from(([0, 0, 0, 0], 0)).into(),
                listener: "bridge".into(),
                connected_at: unix_millis(SystemTime::now()),
                connected: true,
            },
            start_anew: false,
            owner: ctx.address().recipient(),
            load: self.worker.load.clone(),
            part: None,
            will: None,
        };
        let registry = self.worker.shared.registry.open.clone();
        let store = self.worker.shared.store.clone();
        let opening = open_session(registry, ask, store, self.worker.counters.clone());
        let known = self.subscriptions.clone();
        let client_id = self.session_id.to_string();
        let opening = async move {
            let opened = opening.await?;
            let known = known.send(GetSubscriptions { client_id }).await;
            let rows = known.ok().flatten().unwrap_or_default();
            let filters = rows.into_iter().map(|row| row.topic.into()).collect();
            Ok((opened, filters))
        };
        ctx.spawn(opening.into_actor(self).map(|opened, bridge, ctx| {
            match opened {
                Ok((opened, filters)) => bridge.opened(opened, filters, ctx),
                Err(refusal) => {
                    let refusal: crate::session::Refusal = refusal;
                    bridge.begins = None;
                    bridge.note_fault(format!("no session at this broker: {}", refusal.why));
                    ctx.run_later(OPEN_AGAIN, |bridge, ctx| bridge.open_session(ctx));
                }
            }
            bridge.wake();
        }));
    }

    fn opened(
        &mut self,
        (opened, session): Opened,
        filters: Vec<Arc<str>>,
        ctx: &mut Context<Self>,
    ) {
        // Publishers never wait for a bridge, whose remote may be slow or away.
        opened.inbox.go_offline();
        let mut session = session.unwrap_or_default();
        session.expiry_interval = u32::MAX;
        if opened.inbox.durable().is_some() {
            session.outbound_mut().make_durable();
        }
        self.session = Some(session);
        self.drain = true;
        self.local = Local::Open {
            inbox: opened.inbox,
            generation: opened.generation,
            filters,
            asking: false,
        };
        self.change_forwards(ctx);
        if self.config.enable && matches!(self.remote, Remote::Off) && self.leaving.is_none() {
            self.remote = Remote::Waiting {
                until: Instant::now(),
            };
        }
    }

    /// Has the registry know what is forwarded: nothing while the bridge is switched off.
    pub(super) fn change_forwards(&mut self, ctx: &mut Context<Self>) {
        let Local::Open {
            generation,
            filters,
            asking,
            ..
        } = &mut self.local
        else {
            return;
        };
        if *asking {
            return;
        }
        let forwards = self.config.forwards.iter().filter(|_| self.config.enable);
        let wanted: Vec<SubscribeRequest> = forwards
            .map(|forward| SubscribeRequest {
                filter: forward.local_topic.as_str().into(),
                options: SubscribeOptions {
                    qos: forward
                        .qos
                        .and_then(QoS::from_bits)
                        .unwrap_or(QoS::ExactlyOnce),
                    // What the bridge itself brings in does not go back.
                    no_local: !forward.local_topic.starts_with("$share/"),
                    retain_as_published: true,
                    retain_handling: RetainHandling::Never,
                },
                subscription_id: None,
            })
            .collect();
        let is_wanted = |filter: &Arc<str>| wanted.iter().any(|one| one.filter == *filter);
        let gone: Vec<Arc<str>> = filters
            .iter()
            .filter(|filter| !is_wanted(filter))
            .cloned()
            .collect();
        *asking = true;
        let wanted_filters: Vec<Arc<str>> = wanted.iter().map(|one| one.filter.clone()).collect();
        let registry = &self.worker.shared.registry;
        let unsubscribe = registry.unsubscribe.send(Unsubscribe {
            client_id: self.session_id.clone(),
            generation: *generation,
            filters: gone,
            part: None,
        });
        let subscribe = registry.subscribe.send(Subscribe {
            client_id: self.session_id.clone(),
            generation: *generation,
            requests: wanted,
            part: None,
            policy: self.worker.shared.policy.load().version,
        });
        let made_of = self.config.clone();
        let asked = async move { (unsubscribe.await, subscribe.await) };
        let asked = asked.into_actor(self);
        ctx.spawn(asked.map(move |(_, granted), bridge: &mut Self, ctx| {
            for (filter, granted) in wanted_filters.iter().zip(granted.unwrap_or_default()) {
                if granted.code.is_error() {
                    let why = granted.code.description();
                    bridge.note_fault(format!("{filter:?} cannot be forwarded: {why}"));
                }
            }
            if let Local::Open {
                filters, asking, ..
            } = &mut bridge.local
            {
                *asking = false;
                *filters = wanted_filters;
            }
            bridge.begins = None;
            let same = made_of.forwards == bridge.config.forwards
                && made_of.enable == bridge.config.enable;
            if !same {
                bridge.change_forwards(ctx);
            }
            bridge.wake();
        }));
    }

    /// Whether what is forwarded is what the configuration says.
    pub(super) fn is_forwarding(&self) -> bool {
        matches!(&self.local, Local::Open { asking: false, .. })
    }

    /// Asks the durable store for the bodies that are to be sent next, where they are not in memory.
    pub(super) fn fetch_bodies(&mut self, ctx: &mut Context<Self>) {
        let (Remote::Up(up), Some(store)) = (&self.remote, &self.worker.shared.store) else {
            return;
        };
        if self.reading {
            return;
        }
        let missing = up.link.session().outbound().missing(BODIES_PAGE);
        if missing.is_empty() {
            return;
        }
        self.reading = true;
        let read = store.read(missing);
        ctx.spawn(read.into_actor(self).map(|bodies, bridge, _| {
            bridge.reading = false;
            let counters = bridge.counters.clone();
            if let Some(outbound) = bridge.session_mut().map(Session::outbound_mut) {
                outbound.provide(&bodies, |_| true, &counters);
            }
            bridge.pump(Instant::now());
            bridge.wake();
        }));
    }

    /// The session, wherever it is.
    pub(super) fn session_mut(&mut self) -> Option<&mut Session> {
        match &mut self.remote {
            Remote::Up(up) => Some(up.link.channel().session_mut()),
            _ => self.session.as_mut(),
        }
    }

    /// Parts from the session: it ends, or is kept without an owner for the next life of the broker.
    pub(super) fn part(&mut self, ends: bool) {
        let local = std::mem::replace(&mut self.local, Local::Gone);
        let (
            Local::Open {
                inbox, generation, ..
            },
            Some(mut session),
        ) = (local, self.session.take())
        else {
            return;
        };
        let handles = &self.worker.shared.registry;
        if ends {
            let outbound = session.outbound_mut();
            if !self
                .worker
                .end_session(&inbox, generation, outbound, Instant::now())
            {
                outbound.discard(&self.counters);
            }
            return;
        }
        if let Some(store) = &self.worker.shared.store {
            store.note_settled(&inbox, session.outbound_mut());
        }
        let mut kept = Some(KeptSession {
            inbox: inbox.clone(),
            generation,
            session,
            subject: Subject {
                client_id: inbox.client_id().clone(),
                username: None,
                address: [0, 0, 0, 0].into(),
                superuser: true,
            },
            expires_at: None,
            will: None,
        });
        inbox.pass_on(generation, || {
            handles.keep.do_send(KeepSession {
                client_id: inbox.client_id().clone(),
                generation,
                expiry_interval: u32::MAX,
            });
            if let Some(kept) = kept.take() {
                handles.store.do_send(kept);
            }
            Owner::Store(handles.kept.clone(), handles.store_load.clone())
        });
    }
}
