//! Bytes into an established session: whatever a client sends, the answers are packets of its version, messages are
//! accounted for, and the limits hold.
#![no_main]

use std::time::{Duration, Instant};

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use nanomq::{
    config::Mqtt,
    mqtt::{
        Batch, Message, MessageRef, Packet, PacketId, PacketType, ProtocolVersion, Publish, QoS,
        Sender, decode, decode_as, decode_publish, encode_publish, frame_header,
    },
    session::{
        Channel, CloseReason, Delivery, Gate, GateAnswer, Published, Publishing, Session, Step,
        admit, refuse,
    },
    stats::{Counters, Metric, Totals},
};

const GROUP: &str = "$share/g/#";

/// Everything that is published comes back to the client.
#[derive(Default)]
struct Echo(Vec<Message>);

impl Publishing for Echo {
    fn publish(&mut self, publish: &Publish<'_>, packet: &[u8], version: ProtocolVersion) -> bool {
        let mut again = BytesMut::new();
        encode_publish(publish, version, &mut again).expect("it can be written");
        assert!(packet.len() <= again.len() + 4);
        let message = MessageRef {
            topic: publish.topic,
            properties: publish.properties,
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            expires_at: None,
        };
        self.publish_detached(&message, publish.packet_id)
    }

    fn publish_detached(&mut self, message: &MessageRef<'_>, _: Option<PacketId>) -> bool {
        self.0.push(message.to_message());
        true
    }
}

struct Open;

impl Gate for Open {
    fn may_publish(&mut self, topic: &str) -> GateAnswer {
        match topic.len() % 8 {
            7 => GateAnswer::Drop,
            6 => GateAnswer::Now,
            _ => GateAnswer::Always,
        }
    }
}

fn limits() -> Mqtt {
    Mqtt {
        max_inflight_window: 4,
        max_mqueue_len: 6,
        max_mqueue_bytes: 4096,
        max_output_buffer: 2048,
        max_topic_alias_out: 3,
        receive_maximum: 5,
        ..Mqtt::default()
    }
}

/// Reads what the broker has written; a client that gets something else closes the connection.
fn read(version: ProtocolVersion, wire: &mut BytesMut, max_packet_size: u32) {
    let mut rest: &[u8] = wire;
    while !rest.is_empty() {
        let header = frame_header(rest, u32::MAX)
            .expect("a header")
            .expect("a whole packet");
        let (packet, behind) = rest.split_at(header.packet_len());
        assert!(
            packet.len() <= max_packet_size as usize,
            "larger than the client takes"
        );
        let body = &packet[header.header_len..];
        decode_as(Sender::Server, version, header.first_byte, body).expect("a packet");
        rest = behind;
    }
    wire.clear();
}

fn account(counters: &Counters, session: &Session) {
    let mut totals = Totals::default();
    counters.add_to(&mut totals);
    let sum =
        |metrics: &[Metric]| -> u64 { metrics.iter().map(|metric| totals.get(*metric)).sum() };
    let left = sum(&[
        Metric::MessagesSentQoS0,
        Metric::MessagesAcknowledged,
        Metric::DroppedOutputFull,
        Metric::DroppedOffline,
        Metric::DroppedQueueFull,
        Metric::DroppedExpired,
        Metric::DroppedTooLarge,
        Metric::DroppedSessionEnded,
    ]);
    let outbound = session.outbound();
    let here = (outbound.queue_len() + outbound.inflight()) as u64;
    assert_eq!(totals.get(Metric::MessagesDeliveries), left + here);
    assert!(outbound.inflight() <= 4 && outbound.queue_len() <= 6);
}

fuzz_target!(|data: &[u8]| {
    let (limits, counters) = (limits(), Counters::default());
    let mut now = Instant::now();
    let (mut rest, mut session) = (data, Session::default());
    while let Some(left) = connection(rest, &mut session, &limits, &mut now, &counters) {
        rest = left;
        account(&counters, &session);
    }
});

/// One connection, from its CONNECT to its end; what is behind it belongs to the next one. None when there is no CONNECT.
fn connection<'a>(
    data: &'a [u8],
    kept: &mut Session,
    limits: &Mqtt,
    now: &mut Instant,
    counters: &Counters,
) -> Option<&'a [u8]> {
    let header = frame_header(data, limits.max_packet_size).ok()??;
    let (packet, mut rest) = data.split_at_checked(header.packet_len())?;
    let body = &packet[header.header_len..];
    let Ok(Packet::Connect(connect)) = decode(ProtocolVersion::V5, header.first_byte, body) else {
        return None;
    };
    let mut wire = BytesMut::new();
    let admission = match admit(&connect, limits, &[], || "given".into()) {
        Ok(admission) => admission,
        Err(refusal) => {
            refuse(&refusal, Some(connect.version), u32::MAX, &mut wire);
            read(connect.version, &mut wire, u32::MAX);
            return Some(rest);
        }
    };
    let (version, largest) = (connect.version, admission.max_packet_size);
    admission.accept(!admission.clean_start, limits, &mut wire);
    let mut session = std::mem::take(kept);
    if admission.clean_start {
        session.outbound_mut().discard(counters);
        session = Session::default();
    }
    let mut channel = Channel::open(admission, session, limits, *now);
    let mut reason = CloseReason::PeerClosed;
    loop {
        channel.pump(&mut wire, limits, *now, counters);
        account(counters, channel.session());
        read(version, &mut wire, largest);
        let Ok(Some(header)) = frame_header(rest, limits.max_packet_size) else {
            break;
        };
        let Some((packet, behind)) = rest.split_at_checked(header.packet_len()) else {
            break;
        };
        let body = &packet[header.header_len..];
        let mut echo = Echo::default();
        let step = if header.first_byte >> 4 == PacketType::Publish as u8 {
            decode_publish(version, header.first_byte, body)
                .map_err(Into::into)
                .and_then(|publish| {
                    channel.on_publish(
                        &publish, packet, limits, *now, &mut wire, &mut Open, &mut echo, counters,
                    )
                })
                .map(|published| match published {
                    Published::Done => Step::Done,
                    Published::Ask(topic) => Step::AskPublish(topic),
                })
        } else if header.first_byte >> 4 == PacketType::Connect as u8 {
            // The next connection, which takes the session over.
            break;
        } else {
            decode(version, header.first_byte, body)
                .map_err(Into::into)
                .and_then(|packet| channel.on_packet(&packet, limits, *now, &mut wire, counters))
        };
        rest = behind;
        match step {
            Ok(Step::Done | Step::AskPublish(_) | Step::Authenticate { .. }) => {}
            Ok(Step::Subscribe(job)) => {
                let answers: Vec<_> = job.requests().map(granted).collect();
                channel.subscribed(job, &answers, &mut wire);
            }
            Ok(Step::Unsubscribe(job)) => {
                let existed: Vec<_> = job.filters.iter().map(|_| true).collect();
                channel.unsubscribed(&job, &existed, &mut wire);
            }
            Ok(Step::Close(close)) => {
                reason = close;
                break;
            }
            Err(violation) => {
                reason = CloseReason::Violation(violation);
                channel.write_disconnect(&reason, &mut wire);
                break;
            }
        }
        for message in echo.0 {
            let number = message.view().payload.len();
            let delivery = Delivery {
                qos: QoS::ExactlyOnce,
                retain_as_published: number % 2 == 0,
                subscription_ids: (number % 3 == 0).then(|| [7, 300].into()),
                group: (number % 5 == 0).then(|| GROUP.into()),
                places: None,
            };
            let batch = Batch::of_message(&message.into(), *now);
            let range = 0..batch.len();
            counters.add(Metric::MessagesDeliveries, batch.len() as u64);
            channel.deliver(&batch, range, &delivery, limits, *now, &mut wire, counters);
        }
        *now += Duration::from_millis(300);
        channel.seen(*now);
        let _ = channel.deadline();
    }
    read(version, &mut wire, largest);
    (*kept, _) = channel.close(&reason);
    Some(rest)
}

fn granted(request: &nanomq::session::SubscribeRequest) -> nanomq::session::Granted {
    nanomq::session::Granted {
        code: nanomq::mqtt::ReasonCode::granted(request.options.qos),
        is_new: true,
    }
}
