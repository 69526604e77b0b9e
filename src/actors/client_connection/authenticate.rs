//! Whether a client may come in, between its CONNECT and the opening of its session; and enhanced authentication
//! `[MQTT-4.12.0-1]` to `[MQTT-4.12.1-2]`.
//!
//! A broker that knows no users decides at once. Else the actor that knows them is asked; nothing is read meanwhile.

use std::time::{Instant, SystemTime};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use bytes::{Bytes, BytesMut};

use super::{ClientConnection, Login, Phase};
use crate::{
    actors::clock,
    auth::{
        acl::{Action, Subject},
        http_request::Facts,
        permissions::{Allowed, Permissions},
        policy::{ChainStep, Credentials, Denied, WRONG_PASSWORD},
        scram::{self, Exchange},
    },
    messages::{
        AskPermissions, AskSuperuser, CountClientFailure, LogIn, LoginAnswer, ScramRefused,
        StartScram,
    },
    mqtt::{
        Auth, Connect, Packet, PropertiesBuf, Property, ProtocolVersion, ReasonCode, decode,
        encode, frame_header, packet_len,
    },
    routing::ClientInfo,
    session::{Admission, CloseReason, Refusal, Violation},
    stats::Metric,
};

/// A client whose last message is awaited.
pub(super) struct Authenticating {
    pub(super) deadline: Instant,
    admission: Admission,
    info: ClientInfo,
    exchange: Exchange,
}

const STOPPING: Denied = Denied {
    reason: ReasonCode::ServerShuttingDown,
    why: "the broker is stopping",
};

const CONNACK_TOO_LARGE: Denied = Denied {
    reason: ReasonCode::PacketTooLarge,
    why: "the client's maximum packet size is less than CONNACK needs",
};

impl ClientConnection {
    /// Lets a client in, turns it away, or asks.
    pub(super) fn authenticate(
        &mut self,
        connect: &Connect<'_>,
        admission: Admission,
        info: ClientInfo,
        ctx: &mut Context<Self>,
    ) {
        if connect.properties.authentication_method().is_some() {
            let data = connect.properties.authentication_data();
            return self.start_scram(data.unwrap_or_default(), admission, info, ctx);
        }
        let policy = self.worker.shared.policy.load_full();
        let given = Credentials {
            client_id: &admission.client_id,
            username: connect.username,
            password: connect.password,
        };
        let facts = self.facts(&admission, connect.password);
        if policy.is_open() {
            return match policy.begin(given, SystemTime::now()) {
                ChainStep::Allow { .. } => self.let_in(admission, info, facts, ctx),
                ChainStep::Deny(denied) => self.deny(denied, &admission),
                ChainStep::Check(_) | ChainStep::Ask => self.deny(WRONG_PASSWORD, &admission),
            };
        }
        self.phase = Phase::Opening(Vec::new());
        let ask = self.worker.shared.auth.log_in.send(LogIn {
            policy,
            username: admission.username.clone(),
            password: connect.password.map(<[u8]>::to_vec),
            facts: facts.clone(),
            address: self.peer.ip(),
        });
        ctx.spawn(ask.into_actor(self).map(move |answer, connection, ctx| {
            match answer {
                Ok(LoginAnswer::Allowed { superuser, until }) => {
                    let info = ClientInfo { superuser, ..info };
                    let mut admission = admission;
                    admission.until = until;
                    connection.let_in(admission, info, facts, ctx);
                }
                Ok(LoginAnswer::Denied(denied)) => connection.deny(denied, &admission),
                Err(_) => connection.deny(STOPPING, &admission),
            }
            connection.wake();
        }));
    }

    fn facts(&self, admission: &Admission, password: Option<&[u8]>) -> Facts {
        Facts {
            username: admission.username.as_deref().unwrap_or_default().to_owned(),
            password: password.unwrap_or_default().to_vec(),
            client_id: admission.client_id.to_string(),
            protocol: admission.version.name(),
            ..self.facts_of_connection()
        }
    }

    /// Opens the session of a client that may come in, if its will may be published.
    fn let_in(
        &mut self,
        admission: Admission,
        info: ClientInfo,
        facts: Facts,
        ctx: &mut Context<Self>,
    ) {
        let Some(will) = &admission.will else {
            return self.open(admission, info, ctx);
        };
        let policy = self.worker.shared.policy.load_full();
        let subject = Subject {
            client_id: admission.client_id.clone(),
            username: info.username.clone(),
            address: self.peer.ip(),
            superuser: info.superuser,
        };
        let topic = will.topic().to_owned();
        let mut permissions = Permissions::new(policy.clone(), subject);
        match permissions.may(Action::Publish, &topic, clock::now()) {
            Allowed::Always | Allowed::Now => self.open(admission, info, ctx),
            Allowed::No => self.deny_will(&admission),
            Allowed::Ask => {
                self.phase = Phase::Opening(Vec::new());
                let ask = self.worker.shared.auth.ask.send(AskPermissions {
                    policy,
                    facts,
                    action: Action::Publish,
                    topics: vec![topic],
                });
                ctx.spawn(ask.into_actor(self).map(move |answers, connection, ctx| {
                    let answers = answers.unwrap_or_default();
                    match answers.first().is_some_and(|answer| answer.allowed) {
                        true => connection.open(admission, info, ctx),
                        false => connection.deny_will(&admission),
                    }
                    connection.wake();
                }));
            }
        }
    }

    fn deny_will(&mut self, admission: &Admission) {
        let denied = Denied {
            reason: ReasonCode::NotAuthorized,
            why: "the will is of a topic that the client may not publish to",
        };
        self.deny(denied, admission);
    }

    /// Turns a client away. It is told the code only; why stands in the log.
    fn deny(&mut self, denied: Denied, admission: &Admission) {
        log::info!(
            "{:?} as {:?} from {} may not come in: {}",
            admission.client_id,
            admission.username.as_deref().unwrap_or_default(),
            self.peer,
            denied.why
        );
        let refusal = Refusal::new(denied.reason, denied.reason.description());
        self.refuse(refusal, admission.version, admission.max_packet_size);
    }

    fn start_scram(
        &mut self,
        data: &[u8],
        admission: Admission,
        info: ClientInfo,
        ctx: &mut Context<Self>,
    ) {
        let deadline = match self.phase {
            Phase::AwaitingConnect(ref seat) => seat.deadline(),
            _ => return,
        };
        self.phase = Phase::Opening(Vec::new());
        let ask = self.ask_scram(data);
        ctx.spawn(ask.into_actor(self).map(move |started, connection, _| {
            match started {
                Ok(Ok(started)) => {
                    let (mut admission, mut info) = (admission, info);
                    // Whom the exchange is about is who comes in.
                    admission.username = Some(started.username.clone());
                    info.username = Some(started.username);
                    let reason = ReasonCode::ContinueAuthentication;
                    connection.write_auth(reason, &started.data, admission.max_packet_size);
                    connection.phase = Phase::Authenticating(Box::new(Authenticating {
                        deadline,
                        admission,
                        info,
                        exchange: started.exchange,
                    }));
                }
                Ok(Err(refused)) => connection.deny(scram_denied(refused), &admission),
                Err(_) => connection.deny(STOPPING, &admission),
            }
            connection.wake();
        }));
    }

    fn ask_scram(
        &self,
        data: &[u8],
    ) -> impl Future<
        Output = Result<Result<crate::messages::ScramStarted, ScramRefused>, actix::MailboxError>,
    > + use<> {
        self.worker.shared.auth.start_scram.send(StartScram {
            policy: self.worker.shared.policy.load_full(),
            data: data.to_vec(),
            address: self.peer.ip(),
        })
    }

    /// Handles what comes between CONNECT and CONNACK: AUTH, or DISCONNECT `[MQTT-3.1.2-30]`.
    pub(super) fn handle_auth(&mut self, data: Bytes, ctx: &mut Context<Self>) {
        let most = self.worker.shared.config.load().mqtt.max_packet_size;
        let header = match frame_header(&data, most) {
            Ok(Some(header)) if data.len() >= header.packet_len() => header,
            Ok(_) => return self.keep_partial(&data),
            Err(error) => return self.close(&CloseReason::Violation(error.into())),
        };
        let len = header.packet_len();
        let body = data.get(header.header_len..len).unwrap_or_default();
        match decode(ProtocolVersion::V5, header.first_byte, body) {
            Ok(Packet::Auth(auth)) => {
                self.worker.counters.add(Metric::PacketsReceived, 1);
                self.finish_scram(&auth, ctx);
                self.unread.wait(data.slice(len..));
            }
            Ok(Packet::Disconnect(disconnect)) => {
                self.close(&CloseReason::Client(disconnect.reason));
            }
            Ok(_) => self.close(&CloseReason::Violation(Violation::AuthUnexpected)),
            Err(error) => self.close(&CloseReason::Violation(error.into())),
        }
    }

    fn finish_scram(&mut self, auth: &Auth<'_>, ctx: &mut Context<Self>) {
        let before = std::mem::replace(&mut self.phase, Phase::Opening(Vec::new()));
        let Phase::Authenticating(authenticating) = before else {
            return;
        };
        let Authenticating {
            mut admission,
            info,
            exchange,
            ..
        } = *authenticating;
        let is_step = auth.reason == ReasonCode::ContinueAuthentication
            && auth.properties.authentication_method() == Some(scram::METHOD);
        if !is_step {
            return self.close(&CloseReason::Violation(Violation::OtherAuthMethod));
        }
        let data = auth.properties.authentication_data().unwrap_or_default();
        match exchange.finish(data) {
            Ok(last) => {
                admission.authentication = Some((scram::METHOD.into(), last.into_bytes()));
                let mut connack = BytesMut::new();
                let config = self.worker.shared.config.load_full();
                admission.accept(false, &config.mqtt, &mut connack);
                if connack.len() > admission.max_packet_size as usize {
                    // Larger than the one that was held against it at CONNECT [MQTT-3.1.2-24].
                    return self.deny(CONNACK_TOO_LARGE, &admission);
                }
                self.authenticated(admission, info, ctx);
            }
            Err(error) => {
                log::debug!("{}: {error}", self.peer);
                self.count_failure();
                self.deny(WRONG_PASSWORD, &admission);
            }
        }
    }

    /// Lets in who has shown who it is; whether it may do anything is asked as for anybody else.
    fn authenticated(&mut self, admission: Admission, info: ClientInfo, ctx: &mut Context<Self>) {
        let facts = self.facts(&admission, None);
        let policy = self.worker.shared.policy.load_full();
        if !policy.asks_for_superuser() {
            return self.let_in(admission, info, facts, ctx);
        }
        let ask = self.worker.shared.auth.ask_superuser.send(AskSuperuser {
            policy,
            facts: facts.clone(),
        });
        ctx.spawn(ask.into_actor(self).map(move |answer, connection, ctx| {
            match answer {
                Ok(superuser) => {
                    let info = ClientInfo { superuser, ..info };
                    connection.let_in(admission, info, facts, ctx);
                }
                Err(_) => connection.deny(STOPPING, &admission),
            }
            connection.wake();
        }));
    }

    fn count_failure(&self) {
        let failure = CountClientFailure {
            policy: self.worker.shared.policy.load_full(),
            address: self.peer.ip(),
        };
        self.worker.shared.auth.count_failure.do_send(failure);
    }

    /// A client that came in by enhanced authentication shows anew who it is `[MQTT-4.12.1-1]`.
    pub(super) fn authenticate_anew(&mut self, anew: bool, data: Vec<u8>, ctx: &mut Context<Self>) {
        if anew {
            return self.start_anew(&data, ctx);
        }
        let Phase::Connected(connected) = &mut self.phase else {
            return;
        };
        let Some(Login::Exchange(exchange)) = connected.login.take().map(|login| *login) else {
            return self.close(&CloseReason::Violation(Violation::AuthUnexpected));
        };
        let most = connected.channel.max_packet_size();
        match exchange.finish(&data) {
            Ok(last) => self.write_auth(ReasonCode::Success, &last, most),
            Err(error) => {
                log::info!("{}: {error}", self.peer);
                self.count_failure();
                self.close(&CloseReason::Violation(Violation::AuthFailed));
            }
        }
    }

    fn start_anew(&mut self, data: &[u8], ctx: &mut Context<Self>) {
        let ask = self.ask_scram(data);
        let Phase::Connected(connected) = &mut self.phase else {
            return;
        };
        connected.asking = true;
        ctx.spawn(ask.into_actor(self).map(|started, connection, _| {
            let Phase::Connected(connected) = &mut connection.phase else {
                return;
            };
            connected.asking = false;
            let own = connected.permissions.subject().username.clone();
            let most = connected.channel.max_packet_size();
            match started {
                // Somebody else may not take the place of who came in.
                Ok(Ok(started)) if Some(&started.username) == own.as_ref() => {
                    connected.login = Some(Box::new(Login::Exchange(started.exchange)));
                    let reason = ReasonCode::ContinueAuthentication;
                    connection.write_auth(reason, &started.data, most);
                }
                Ok(_) => connection.close(&CloseReason::Violation(Violation::AuthFailed)),
                Err(_) => connection.close(&CloseReason::ShuttingDown),
            }
            connection.wake();
        }));
    }

    /// Writes AUTH, if the client takes one that large `[MQTT-3.1.2-24]`; else it has to give up.
    fn write_auth(&mut self, reason: ReasonCode, data: &str, max_packet_size: u32) {
        let mut properties = PropertiesBuf::default();
        properties.push(Property::AuthenticationMethod(scram::METHOD));
        properties.push(Property::AuthenticationData(data.as_bytes()));
        let auth = Packet::Auth(Auth {
            reason,
            properties: properties.as_properties(),
        });
        if packet_len(&auth, ProtocolVersion::V5) <= max_packet_size as usize {
            // Far shorter than 65,535 bytes.
            let _ = encode(&auth, ProtocolVersion::V5, &mut self.wire);
        }
    }
}

fn scram_denied(refused: ScramRefused) -> Denied {
    match refused {
        ScramRefused::Failed(_) => WRONG_PASSWORD,
        ScramRefused::TooMany(denied) => denied,
    }
}
