//! From the first packet to an open session.

use std::{
    future::poll_fn,
    sync::Arc,
    time::{Duration, SystemTime},
};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use bytes::Bytes;
use tokio::time::timeout;

use super::{ClientConnection, Connected, Login, Phase};
use crate::{
    actors::{StoreHandles, clock, durable::unix_millis, events},
    auth::{acl::Subject, permissions::Permissions, scram},
    config::CertUsername,
    messages::{OpenRefused, OpenSession, OpenedSession, SessionCommand, count_lost},
    mqtt::{
        Connect, Packet, PacketType, ProtocolVersion, ReasonCode, connect_is_bridge,
        connect_version, decode, frame_header,
    },
    routing::ClientInfo,
    session::{Admission, Channel, CloseReason, Refusal, Session, Violation, admit, refuse},
    stats::{Counters, Metric},
    store::{Outcome, Part},
};

/// How long the present owner of a session may take to hand it over. Workers never block, so only a fault takes
/// this long; the state is lost then.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(5);

impl ClientConnection {
    /// Handles the first packet, which must be CONNECT `[MQTT-3.1.0-1]`.
    pub(super) fn handle_first(&mut self, data: Bytes, ctx: &mut Context<Self>) {
        let config = self.worker.shared.config.load_full();
        if let Some(client) = self.transport.client() {
            self.peer = client;
        }
        // What is not CONNECT is refused at its first byte, whatever length it claims.
        if data.first().copied().map(|byte| byte >> 4) != Some(PacketType::Connect as u8) {
            return self.close(&CloseReason::Violation(Violation::ConnectExpected));
        }
        let header = match frame_header(&data, config.mqtt.max_packet_size) {
            Ok(Some(header)) => header,
            Ok(None) => {
                self.keep_partial(&data);
                return;
            }
            Err(error) => return self.close(&CloseReason::Violation(error.into())),
        };
        let packet_len = header.packet_len();
        let body = data.get(header.header_len..packet_len).unwrap_or_default();
        match decode(ProtocolVersion::V5, header.first_byte, body) {
            Ok(Packet::Connect(connect)) => {
                self.worker.counters.add(Metric::PacketsReceived, 1);
                let common_name = match self.door.cert_username {
                    CertUsername::Cn => self.transport.common_name(),
                    CertUsername::Disabled => None,
                };
                let mut connect = connect;
                connect.username = common_name.as_deref().or(connect.username);
                match self.admit(&connect) {
                    Ok((mut admission, info)) => {
                        admission.from_bridge |= connect_is_bridge(body);
                        if admission.from_bridge {
                            let id = self.worker.shared.marks.show_own_id();
                            admission.broker_id = id.cloned();
                            // As for CONNECT, which is the first thing that it has to say.
                            admission.bridge_silence = self.door.config.connect_timeout;
                        }
                        self.authenticate(&connect, admission, info, ctx);
                    }
                    Err(refusal) => {
                        let most = connect.properties.maximum_packet_size();
                        self.refuse(refusal, connect.version, most.unwrap_or(u32::MAX));
                    }
                }
                self.unread.wait(data.slice(packet_len..));
            }
            Ok(_) => self.close(&CloseReason::Violation(Violation::ConnectExpected)),
            Err(error) => {
                let version = connect_version(body);
                let unsupported = error.reason() == ReasonCode::UnsupportedProtocolVersion;
                if unsupported || version.is_some_and(ProtocolVersion::is_v5) {
                    refuse(
                        &Refusal::new(error.reason(), error.to_string()),
                        version,
                        u32::MAX,
                        &mut self.wire,
                    );
                }
                self.worker.counters.add(Metric::ConnectsRefused, 1);
                self.close(&CloseReason::Violation(error.into()));
            }
        }
    }

    fn admit(&self, connect: &Connect<'_>) -> Result<(Admission, ClientInfo), Refusal> {
        let config = self.worker.shared.config.load();
        let admission = admit(connect, &config.mqtt, &[scram::METHOD], assigned_id)?;
        let info = ClientInfo {
            username: admission.username.clone(),
            keep_alive: admission.keep_alive,
            version: admission.version,
            clean_start: admission.clean_start,
            expiry_interval: admission.expiry_interval,
            will_topic: admission.will.as_ref().map(|will| will.topic().into()),
            superuser: false,
            peer: self.peer.into(),
            listener: self.door.id.clone(),
            connected_at: unix_millis(SystemTime::now()),
            connected: true,
        };
        Ok((admission, info))
    }

    pub(super) fn refuse(
        &mut self,
        refusal: Refusal,
        version: ProtocolVersion,
        max_packet_size: u32,
    ) {
        refuse(&refusal, Some(version), max_packet_size, &mut self.wire);
        self.worker.counters.add(Metric::ConnectsRefused, 1);
        self.close(&CloseReason::Refused(refusal.reason, refusal.why));
    }

    /// Opens the session of a client that may come in.
    pub(super) fn open(&mut self, admission: Admission, info: ClientInfo, ctx: &mut Context<Self>) {
        self.phase = Phase::Opening(Vec::new());
        let store = self.worker.shared.store.clone();
        let ask = OpenSession {
            client_id: admission.client_id.clone(),
            info: info.clone(),
            will: admission.will.clone().filter(|_| store.is_some()),
            start_anew: admission.clean_start,
            owner: ctx.address().recipient(),
            load: self.worker.load.clone(),
            part: None,
        };
        let registry = self.worker.shared.registry.open.clone();
        let opening = open_session(registry, ask, store, self.worker.counters.clone())
            .into_actor(self)
            .map(move |opened, connection, ctx| {
                match opened {
                    Ok((opened, session)) => {
                        connection.opened(opened, session, admission, info, ctx);
                    }
                    Err(refusal) => {
                        connection.refuse(refusal, admission.version, admission.max_packet_size);
                    }
                }
                connection.wake();
            });
        ctx.spawn(opening);
    }

    fn opened(
        &mut self,
        opened: OpenedSession,
        session: Option<Session>,
        admission: Admission,
        info: ClientInfo,
        ctx: &mut Context<Self>,
    ) {
        let now = clock::now();
        let config = self.worker.shared.config.load_full();
        admission.accept(session.is_some(), &config.mqtt, &mut self.wire);
        log::debug!(
            "{:?} connected from {} with {} {}, keep alive {} s{}",
            admission.client_id,
            self.peer,
            info.version.name(),
            info.version.level(),
            info.keep_alive,
            match session {
                Some(_) => ", session resumed",
                None => "",
            }
        );
        let client_id = admission.client_id.clone();
        let subject = Subject {
            client_id: client_id.clone(),
            username: info.username.clone(),
            address: self.peer.ip(),
            superuser: info.superuser,
        };
        let permissions = Permissions::new(self.worker.shared.policy.load_full(), subject);
        let resumed = session.is_some();
        let login = admission.until.map(|end| Box::new(Login::Until(end)));
        let mut channel = Channel::open(admission, session.unwrap_or_default(), &config.mqtt, now);
        if self.worker.shared.store.is_some() {
            channel.hold_acknowledgements(opened.inbox.durable().is_some());
        }
        if resumed && permissions.policy().restricts() {
            // It may be another user who goes on with the session.
            channel.purge(
                |topic| match opened.other_user {
                    true => permissions.may_receive_unasked(topic),
                    false => permissions.may_receive(topic),
                },
                &self.worker.counters,
            );
        }
        channel.pump(&mut self.wire, &config.mqtt, now, &self.worker.counters);
        opened.inbox.counters.begin_connection();
        let before = std::mem::replace(
            &mut self.phase,
            Phase::Connected(Box::new(Connected {
                channel,
                inbox: opened.inbox,
                generation: opened.generation,
                permissions,
                login,
                asking: false,
                drain: true,
                acknowledges: false,
                backed_up: false,
                items: Default::default(),
                retained: None,
                held: Default::default(),
                reading: false,
                is_followed: false,
            })),
        );
        self.worker.counters.add(Metric::ConnectsAccepted, 1);
        events::connected(&self.worker, &client_id, &info, now);
        if let Phase::Opening(deferred) = before {
            for command in deferred {
                actix::Handler::<SessionCommand>::handle(self, command, ctx);
            }
        }
    }
}

/// A session that was opened, with its state if it is resumed.
pub(in crate::actors) type Opened = (OpenedSession, Option<Session>);

/// Opens the session, with the state that its present owner hands over. A session whose state is lost starts anew.
/// With a durable store this ends when the store knows.
pub(in crate::actors) async fn open_session(
    registry: actix::Recipient<OpenSession>,
    mut ask: OpenSession,
    store: Option<StoreHandles>,
    counters: Arc<Counters>,
) -> Result<Opened, Refusal> {
    let is_stored = store.is_some();
    // Nobody hands a session over to a client that starts anew.
    let again = (!ask.start_anew).then(|| OpenSession {
        client_id: ask.client_id.clone(),
        info: ask.info.clone(),
        will: ask.will.clone(),
        start_anew: true,
        owner: ask.owner.clone(),
        load: ask.load.clone(),
        part: None,
    });
    ask.part = is_stored.then(Outcome::begin);
    let outcome = ask.part.as_ref().map(Part::outcome);
    let mut opened = answer(registry.send(ask).await)?;
    let session = match opened.resumed.take().zip(again) {
        None => None,
        Some((resumed, mut again)) => match timeout(HAND_OVER_TIMEOUT, resumed).await {
            Ok(Ok(session)) => Some(session),
            Ok(Err(_)) | Err(_) => {
                // So that the end of the lost session is not taken for the end of this connection.
                let own = opened
                    .inbox
                    .end(opened.generation, |items| count_lost(&items, &counters));
                if !own {
                    if opened.inbox.has_ended() {
                        // What the farewell asks for: there is nothing of the session but what waits.
                        count_lost(&opened.inbox.take(), &counters);
                        store
                            .iter()
                            .for_each(|store| store.note_ended(&opened.inbox));
                    }
                    // A newer connection would lose what is begun here.
                    return Err(Refusal::new(
                        ReasonCode::ServerUnavailable,
                        "the session was taken over while it was opened",
                    ));
                }
                again.part = is_stored.then(Outcome::begin);
                let outcome = again.part.as_ref().map(Part::outcome);
                let opened = answer(registry.send(again).await)?;
                stored(outcome).await?;
                return Ok((opened, None));
            }
        },
    };
    stored(outcome).await?;
    let Some(mut session) = session else {
        return Ok((opened, None));
    };
    if is_stored {
        let inbox = opened.inbox.clone();
        for id in poll_fn(move |cx| inbox.poll_refused(cx)).await {
            session.forget_taken(id);
        }
    }
    Ok((opened, Some(session)))
}

/// Waits for the durable store.
async fn stored(outcome: Option<Arc<Outcome>>) -> Result<(), Refusal> {
    let Some(outcome) = outcome else {
        return Ok(());
    };
    match poll_fn(|cx| outcome.poll(cx)).await {
        true => Ok(()),
        false => Err(Refusal::new(
            ReasonCode::ServerUnavailable,
            "the session cannot be stored",
        )),
    }
}

/// An identifier for a client without one: of so many that none is met twice, in the 23 bytes that every server takes
/// `[MQTT-3.2.2-16]`, `[MQTT-3.1.3-5]`.
fn assigned_id() -> String {
    format!("nanomq-{:016x}", fastrand::u64(..))
}

fn answer(
    result: Result<Result<OpenedSession, OpenRefused>, actix::MailboxError>,
) -> Result<OpenedSession, Refusal> {
    match result {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(OpenRefused::NotStored)) => Err(Refusal::new(
            ReasonCode::QuotaExceeded,
            "the store takes no sessions now",
        )),
        Ok(Err(OpenRefused::TooMany)) => Err(Refusal::new(
            ReasonCode::QuotaExceeded,
            "mqtt.max_sessions is reached",
        )),
        Err(_) => Err(Refusal::new(
            ReasonCode::ServerShuttingDown,
            "the broker is stopping",
        )),
    }
}
