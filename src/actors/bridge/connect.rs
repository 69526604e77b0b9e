//! From the wish for a connection to CONNACK.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{self, Poll},
    time::{Duration, Instant},
};

use super::{Bridge, FAREWELL_TIMEOUT, Local, Remote, Up};
use crate::{
    bridge::{Accepted, Answered, Closed, Greeting, Link, Opening, version},
    config::{BridgeConfig, RemoteUrl},
    mqtt::{
        Disconnect, Packet, Properties, ProtocolVersion, ReasonCode, Sender, decode_as, encode,
        frame_header,
    },
    transport::{RemoteStream, RemoteTls},
};

/// The largest CONNACK.
const CONNACK_MAX: u32 = 1 << 20;

/// A stream that is being opened.
pub(super) struct Attempt {
    opening: Pin<Box<dyn Future<Output = io::Result<RemoteStream>>>>,
    /// To whom.
    pub(super) url: RemoteUrl,
    /// When it is given up.
    pub(super) deadline: Instant,
}

impl Attempt {
    fn new(url: RemoteUrl, config: &BridgeConfig, now: Instant) -> Self {
        let (tls, to) = (config.ssl.clone(), url.clone());
        let opening = async move {
            let tls = match to.is_tls() {
                false => None,
                true => {
                    let read = tokio::task::spawn_blocking(move || RemoteTls::read(&tls));
                    let read = read.await.map_err(io::Error::other)?;
                    Some(read.map_err(io::Error::other)?)
                }
            };
            RemoteStream::connect(&to, tls).await
        };
        Self {
            opening: Box::pin(opening),
            url,
            deadline: now + config.connect_timeout,
        }
    }

    /// Drives it.
    pub(super) fn poll(
        &mut self,
        cx: &mut task::Context<'_>,
        now: Instant,
    ) -> Poll<io::Result<RemoteStream>> {
        match self.opening.as_mut().poll(cx) {
            Poll::Pending if now >= self.deadline => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "not connected within connect_timeout",
            ))),
            other => other,
        }
    }
}

impl Bridge {
    /// The server whose turn it is.
    pub(super) fn server(&self) -> Option<RemoteUrl> {
        let server = self.config.servers().nth(self.servers.current());
        server.or(self.config.server.as_ref()).cloned()
    }

    /// Begins with a connection, once it is clear which QoS 2 messages of the remote the store has.
    pub(super) fn connect(&mut self, now: Instant, cx: &mut task::Context<'_>) {
        let Local::Open { inbox, .. } = &self.local else {
            return;
        };
        let Poll::Ready(refused) = inbox.poll_refused(cx) else {
            return;
        };
        if let Some(session) = &mut self.session {
            for id in refused {
                session.forget_taken(id);
            }
        }
        let Some(url) = self.server() else {
            self.remote = Remote::Off;
            return;
        };
        log::debug!("bridge {:?} connects to {url}", self.name);
        self.partial.clear();
        self.wire.clear();
        self.remote = Remote::Connecting(Attempt::new(url, &self.config, now));
    }

    /// Says CONNECT over a new stream.
    pub(super) fn greet(&mut self, stream: RemoteStream, url: RemoteUrl, now: Instant) {
        let bit = self.config.no_local_v4
            && !version(&self.config).is_v5()
            && self.bits.takes(&url.to_string());
        let config = self.worker.shared.config.load();
        let client_id = self.client_id();
        let greeting = Greeting {
            config: &self.config,
            limits: &config.mqtt,
            client_id: &client_id,
            own_id: &self.own_id,
            first: self.first,
            bridge_bit: bit,
        };
        let mut connect = bytes::BytesMut::new();
        if let Err(error) = greeting.write(&mut connect) {
            return self.failed(format!("CONNECT cannot be written: {error}"), now);
        }
        self.wire = connect;
        self.partial.clear();
        self.remote = Remote::Greeting {
            stream: Box::new(stream),
            url,
            deadline: now + self.config.connect_timeout,
            bit,
        };
    }

    /// The client identifier at the remote.
    pub(super) fn client_id(&self) -> String {
        if !self.config.clientid.is_empty() {
            return self.config.clientid.clone();
        }
        // In the 23 bytes that every server takes [MQTT-3.1.3-5], always the same.
        let digest = aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA256,
            format!("{}/{}", self.own_id, self.name).as_bytes(),
        );
        let bytes = digest.as_ref().iter().take(8);
        let hex: String = bytes.map(|byte| format!("{byte:02x}")).collect();
        format!("nanomq-{hex}")
    }

    /// Reads CONNACK from what has come; true when it has.
    pub(super) fn read_connack(&mut self, now: Instant) -> bool {
        let Remote::Greeting { url, bit, .. } = &self.remote else {
            return false;
        };
        let (url, bit) = (url.clone(), *bit);
        let header = match frame_header(&self.partial, CONNACK_MAX) {
            Ok(Some(header)) => header,
            Ok(None) => return false,
            Err(error) => {
                self.counters.add_error(error.kind_name());
                self.failed(format!("{url}: {error}"), now);
                return true;
            }
        };
        let data = self.partial.split_to(header.packet_len()).freeze();
        let body = data.get(header.header_len..).unwrap_or_default();
        let packet = decode_as(
            Sender::Server,
            version(&self.config),
            header.first_byte,
            body,
        );
        let accepted = match packet {
            Ok(Packet::ConnAck(connack)) => {
                let config = self.worker.shared.config.load();
                let read = Accepted::read(&connack, &self.config, &config.mqtt);
                let why = connack.properties.reason_string().unwrap_or_default();
                read.map_err(|reason| (reason, why.to_owned()))
            }
            Ok(_) => {
                self.counters.add_error("connack_expected");
                self.failed(format!("{url}: the first packet is not CONNACK"), now);
                return true;
            }
            Err(error) => {
                self.counters.add_error(error.kind_name());
                self.failed(format!("{url}: {error}"), now);
                return true;
            }
        };
        match accepted {
            Ok(_) if !self.bits.accepted(&url.to_string(), bit) => self.greet_with_bit(now),
            Ok(accepted) => self.go_up(accepted, now),
            Err((ReasonCode::UnsupportedProtocolVersion, _)) if bit => {
                self.bits.refused(&url.to_string());
                self.note_refused_bit(&url);
                self.remote = Remote::Waiting { until: now };
            }
            Err((reason, why)) => {
                let why = match why.is_empty() {
                    true => why,
                    false => format!(": {why}"),
                };
                let reason = format!("{} (0x{:02X})", reason.description(), reason.as_u8());
                self.failed(format!("{url} refuses the bridge: {reason}{why}"), now);
            }
        }
        true
    }

    /// The server has closed the connection instead of answering CONNECT with the bit of bridges.
    pub(super) fn closed_on_bit(&mut self, url: &RemoteUrl, what: String, now: Instant) {
        match self.bits.closed(&url.to_string()) {
            Closed::Fails => return self.failed(what, now),
            Closed::IsDoubted => {}
            Closed::Refuses => self.note_refused_bit(url),
        }
        self.remote = Remote::Waiting { until: now };
    }

    /// The server has accepted the bridge without its bit, after it had closed a connection with it. Perhaps it was not there
    /// then.
    fn greet_with_bit(&mut self, now: Instant) {
        let Remote::Greeting { stream, .. } = std::mem::replace(&mut self.remote, Remote::Off)
        else {
            return;
        };
        self.wire.clear();
        let packet = Packet::Disconnect(Disconnect {
            reason: ReasonCode::NormalDisconnection,
            properties: Properties::EMPTY,
        });
        // Two bytes.
        let _ = encode(&packet, version(&self.config), &mut self.wire);
        self.remote = Remote::Closing {
            stream,
            deadline: now + FAREWELL_TIMEOUT,
            again: Some(now),
        };
    }

    fn note_refused_bit(&self, url: &RemoteUrl) {
        log::info!(
            "bridge {:?}: {url} does not take the bit of bridges; copies that it sends back are dropped here",
            self.name
        );
    }

    fn go_up(&mut self, accepted: Accepted, now: Instant) {
        let remote = std::mem::replace(&mut self.remote, Remote::Off);
        let (
            Remote::Greeting {
                stream, url, bit, ..
            },
            Some(session),
        ) = (remote, self.session.take())
        else {
            return;
        };
        let session_present = accepted.session_present;
        log::info!(
            "bridge {:?} is connected to {url}{}",
            self.name,
            match session_present {
                true => ", session resumed",
                false => "",
            }
        );
        self.connects = self.connects.saturating_add(1);
        self.first = false;
        let opening = Opening {
            config: &self.config,
            session_id: self.session_id.clone(),
            session,
            accepted,
            bridge_bit: bit,
            own_id: self.own_id.clone(),
        };
        let mut link = Link::open(opening, now);
        if self.worker.shared.store.is_some()
            && let Local::Open { inbox, .. } = &self.local
        {
            link.channel()
                .hold_acknowledgements(inbox.durable().is_some());
        }
        if bit && self.introductions.begin(&url.to_string()) {
            link.introduce(now + self.config.ping_timeout, &mut self.wire);
        }
        let wanted = &self.config.subscription;
        let said = match version(&self.config) {
            ProtocolVersion::V31 if !self.config.clean_start => None,
            _ => Some(session_present),
        };
        let requested = self.subscribed.connected(&url, said, wanted);
        link.unsubscribe(&requested.stale, &mut self.wire);
        let told = link.subscribe(&self.config, &requested.missing, &mut self.wire);
        let failback = self.servers.is_away() && !self.config.failback_interval.is_zero();
        let peer = stream.peer();
        self.remote = Remote::Up(Box::new(Up {
            stream: *stream,
            link,
            url,
            peer,
            since: now,
            failback: failback.then(|| now + self.config.failback_interval),
            probe: None,
            more: !self.partial.is_empty(),
            received_bytes: 0,
        }));
        self.answered(told);
        self.pump(now);
    }

    /// The remote has answered requests.
    pub(super) fn answered(&mut self, answered: Answered) {
        self.subscribed
            .answered(&answered, &self.config.subscription);
        for (filter, reason) in answered.refused {
            let why = format!("{} (0x{:02X})", reason.description(), reason.as_u8());
            self.note_fault(format!(
                "the remote refuses the subscription to {filter:?}: {why}"
            ));
        }
    }

    /// An attempt has failed: the next server is tried, or, when all have been, time has to pass.
    pub(super) fn failed(&mut self, what: String, now: Instant) {
        self.failed_connects = self.failed_connects.saturating_add(1);
        self.bits.failed();
        self.note_fault(what);
        self.next_server(now);
    }

    pub(super) fn next_server(&mut self, now: Instant) {
        let count = self.config.servers().count();
        let until = match self.servers.failed(count) {
            false => now,
            true => now + self.pause(),
        };
        self.remote = match self.config.enable && self.leaving.is_none() {
            true => Remote::Waiting { until },
            false => Remote::Off,
        };
    }

    fn pause(&mut self) -> Duration {
        let (least, most) = (self.config.backoff_min, self.config.backoff_max);
        self.backoff.next(least, most, fastrand::f64())
    }

    /// While another server stands in for the wanted one: tries whether that answers again, and goes back to it.
    pub(super) fn fail_back(&mut self, now: Instant, cx: &mut task::Context<'_>) {
        let Remote::Up(up) = &mut self.remote else {
            return;
        };
        let Some(due) = up.failback else {
            return;
        };
        if up.probe.is_none() && due <= now {
            let wanted = self.config.server.clone();
            up.probe = wanted.map(|url| Attempt::new(url, &self.config, now));
        }
        let Some(probe) = &mut up.probe else {
            return;
        };
        let Poll::Ready(opened) = probe.poll(cx, now) else {
            return;
        };
        let url = probe.url.clone();
        up.probe = None;
        up.failback = Some(now + self.config.failback_interval);
        match opened {
            Err(error) => log::debug!("bridge {:?}: {url} is still away: {error}", self.name),
            Ok(_) => {
                log::info!("bridge {:?} goes back to {url}", self.name);
                self.servers.back();
                self.disconnect(ReasonCode::NormalDisconnection, Some(now));
            }
        }
    }
}
