//! The broker's side of one client: a channel and what surrounds it, without socket and clock.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use bytes::BytesMut;

use super::{Seen, connect, delivery, read_all};
use crate::{
    config::Mqtt,
    mqtt::{
        Batch, Connect, Message, MessageRef, Packet, PacketId, ProtocolVersion, Publish, QoS,
        decode, decode_publish, encode, frame_header,
    },
    session::{
        Channel, CloseReason, Delivery, Gate, GateAnswer, Outbound, Published, Publishing, Session,
        Step, Violation, Will, admit,
    },
    stats::{Counters, Metric, Totals},
};

/// Takes messages and keeps them.
#[derive(Debug)]
pub struct Recorder {
    /// Whether anybody is subscribed.
    pub matches: bool,
    /// Topic, payload, QoS of each message.
    pub routed: Vec<(String, Vec<u8>, QoS)>,
    pub last_expiry: Option<Instant>,
}

impl Publishing for Recorder {
    fn publish(&mut self, publish: &Publish<'_>, _: &[u8], _: ProtocolVersion) -> bool {
        let (topic, payload) = (publish.topic.to_owned(), publish.payload.to_vec());
        self.routed.push((topic, payload, publish.qos));
        self.matches
    }

    fn publish_detached(&mut self, message: &MessageRef<'_>, _: Option<PacketId>) -> bool {
        let (topic, payload) = (message.topic.to_owned(), message.payload.to_vec());
        self.routed.push((topic, payload, message.qos));
        self.last_expiry = message.expires_at;
        self.matches
    }
}

enum State {
    Up(Box<Channel>),
    Down(Session),
}

pub struct Broker {
    pub limits: Mqtt,
    pub now: Instant,
    /// What the client has not read yet.
    pub wire: BytesMut,
    pub recorder: Recorder,
    counters: Counters,
    state: State,
    pub gate: TestGate,
    /// The topic of the last PUBLISH, if it has to be asked about.
    pub asked: Option<Box<str>>,
}

/// Gives one answer, and counts how often it was asked.
pub struct TestGate {
    pub answer: GateAnswer,
    pub asked: usize,
}

impl Gate for TestGate {
    fn may_publish(&mut self, _: &str) -> GateAnswer {
        self.asked += 1;
        self.answer
    }
}

impl Broker {
    /// A session without a client.
    pub fn new(limits: Mqtt) -> Self {
        Self {
            limits,
            now: Instant::now(),
            wire: BytesMut::new(),
            recorder: Recorder {
                matches: true,
                routed: Vec::new(),
                last_expiry: None,
            },
            gate: TestGate {
                answer: GateAnswer::Always,
                asked: 0,
            },
            asked: None,
            counters: Counters::default(),
            state: State::Down(Session::default()),
        }
    }

    /// A session with its client.
    pub fn connected(version: ProtocolVersion, limits: Mqtt) -> Self {
        let mut broker = Self::new(limits);
        broker.connect(&connect(version));
        broker
    }

    /// The client comes, or comes back. CONNACK is left out.
    pub fn connect(&mut self, connect: &Connect<'_>) {
        self.admitted(connect, false);
    }

    /// The bridge of another broker comes, or comes back. It may be silent for ten seconds.
    pub fn connect_as_bridge(&mut self, connect: &Connect<'_>) {
        self.admitted(connect, true);
    }

    fn admitted(&mut self, connect: &Connect<'_>, from_bridge: bool) {
        let mut admission =
            admit(connect, &self.limits, &[], || "assigned".into()).expect("admitted");
        if from_bridge {
            admission.from_bridge = true;
            admission.bridge_silence = Duration::from_secs(10);
        }
        let state = std::mem::replace(&mut self.state, State::Down(Session::default()));
        let State::Down(session) = state else {
            panic!("connected twice");
        };
        let channel = Channel::open(admission, session, &self.limits, self.now);
        self.wire.clear();
        self.state = State::Up(Box::new(channel));
        self.pump();
    }

    /// The connection ends; what the client has not read is lost.
    pub fn close(&mut self, reason: &CloseReason) -> Option<Box<Will>> {
        let state = std::mem::replace(&mut self.state, State::Down(Session::default()));
        let State::Up(channel) = state else {
            panic!("not connected");
        };
        let (session, will) = channel.close(reason);
        self.state = State::Down(session);
        self.wire.clear();
        will
    }

    /// As [`Self::close`], for a lost connection.
    pub fn lose(&mut self) {
        self.close(&CloseReason::PeerClosed);
    }

    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    pub fn channel(&self) -> &Channel {
        match &self.state {
            State::Up(channel) => channel,
            State::Down(_) => panic!("not connected"),
        }
    }

    pub fn channel_mut(&mut self) -> &mut Channel {
        match &mut self.state {
            State::Up(channel) => channel,
            State::Down(_) => panic!("not connected"),
        }
    }

    pub fn session(&self) -> &Session {
        match &self.state {
            State::Up(channel) => channel.session(),
            State::Down(session) => session,
        }
    }

    /// The session of a client that is away.
    pub fn session_mut(&mut self) -> &mut Session {
        match &mut self.state {
            State::Up(_) => panic!("connected"),
            State::Down(session) => session,
        }
    }

    pub fn outbound(&self) -> &Outbound {
        self.session().outbound()
    }

    /// A PUBLISH of the client.
    pub fn publish(&mut self, publish: &Publish<'_>) -> Result<(), Violation> {
        let State::Up(channel) = &mut self.state else {
            panic!("not connected");
        };
        let version = channel.version();
        let mut bytes = BytesMut::new();
        encode(&Packet::Publish(*publish), version, &mut bytes).expect("a PUBLISH that fits");
        let header = frame_header(&bytes, u32::MAX)?.expect("a whole packet");
        let publish = decode_publish(version, header.first_byte, &bytes[header.header_len..])?;
        let published = channel.on_publish(
            &publish,
            &bytes,
            &self.limits,
            self.now,
            &mut self.wire,
            &mut self.gate,
            &mut self.recorder,
            &self.counters,
        )?;
        self.asked = match published {
            Published::Done => None,
            Published::Ask(topic) => Some(topic),
        };
        Ok(())
    }

    /// Any other packet of the client.
    pub fn handle(&mut self, packet: &Packet<'_>) -> Result<Step, Violation> {
        let State::Up(channel) = &mut self.state else {
            panic!("not connected");
        };
        let version = channel.version();
        let mut bytes = BytesMut::new();
        encode(packet, version, &mut bytes).expect("a packet that fits");
        let header = frame_header(&bytes, u32::MAX)?.expect("a whole packet");
        let packet = decode(version, header.first_byte, &bytes[header.header_len..])?;
        channel.on_packet(
            &packet,
            &self.limits,
            self.now,
            &mut self.wire,
            &self.counters,
        )
    }

    /// Messages for the client, here or not.
    pub fn deliver(&mut self, batch: &Batch, delivery: &Delivery) {
        self.deliver_range(batch, 0..batch.len(), delivery);
    }

    pub fn deliver_range(&mut self, batch: &Batch, range: Range<usize>, delivery: &Delivery) {
        let (limits, now, counters) = (&self.limits, self.now, &self.counters);
        match &mut self.state {
            State::Up(channel) => channel.deliver(
                batch,
                range,
                delivery,
                limits,
                now,
                &mut self.wire,
                counters,
            ),
            State::Down(session) => {
                session.deliver_offline(batch, range, delivery, limits, now, counters);
            }
        }
    }

    /// One message, by a plain subscription for everything.
    pub fn deliver_one(&mut self, publish: &Publish<'_>) {
        let batch = super::batch(&[*publish], super::V5, self.now);
        self.deliver(&batch, &delivery(QoS::ExactlyOnce));
    }

    pub fn deliver_retained(&mut self, message: Message, delivery: &Delivery) {
        let State::Up(channel) = &mut self.state else {
            panic!("not connected");
        };
        channel.deliver_retained(
            &message,
            delivery,
            &self.limits,
            self.now,
            &mut self.wire,
            &self.counters,
        );
    }

    pub fn pump(&mut self) {
        if let State::Up(channel) = &mut self.state {
            channel.pump(&mut self.wire, &self.limits, self.now, &self.counters);
        }
    }

    /// What a connection does when the socket has taken something.
    pub fn flushed(&mut self) {
        if self.outbound().is_waiting() {
            self.pump();
        }
    }

    /// Reads what was written since; what waits behind it is not written yet.
    pub fn written(&mut self) -> Vec<Seen> {
        read_all(self.channel().version(), &self.wire.split())
    }

    pub fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    pub fn count(&self, metric: Metric) -> u64 {
        let mut totals = Totals::default();
        self.counters.add_to(&mut totals);
        totals.get(metric)
    }

    /// The session ends.
    pub fn discard(&mut self) {
        let State::Down(session) = &mut self.state else {
            panic!("connected");
        };
        session.outbound_mut().discard(&self.counters);
    }
}
