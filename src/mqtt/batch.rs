//! Consecutive messages of one publisher, which cross the broker together.
//!
//! A PUBLISH that arrives is not copied. Its topic, properties and payload stay where they were read, in one
//! chunk of bytes that a [`Batch`] shares with every subscriber. Only what outlives its batch (queued, in
//! flight, retained, a will) becomes a [`Message`] with bytes of its own.

use std::{ops::Range, sync::OnceLock, time::Instant};

use bytes::{Bytes, BytesMut};

use super::{
    ProtocolVersion, Publish, QoS,
    message::{
        Head, KEEP_SLICE_MIN, Layout, Message, MessageRef, Span, append, expires_at, needs_rewrite,
    },
};

/// One message of a batch: where it lies in the batch's bytes, and its flags.
#[derive(Clone, Copy, Debug)]
struct Entry {
    layout: Layout,
    /// The whole packet as it was read, for forwarding it unchanged.
    packet: Span,
    expiry_interval: u32,
    qos: QoS,
    retain: bool,
}

/// An `expiry_interval` that stands for "never".
const NO_EXPIRY: u32 = u32::MAX;

/// Consecutive messages of one publisher that go to the same subscribers.
#[derive(Debug)]
pub struct Batch {
    data: Bytes,
    entries: Vec<Entry>,
    received_at: Instant,
    /// Set when every packet can be forwarded byte for byte to a QoS 0 subscriber of this version.
    verbatim: Option<Verbatim>,
    /// Some message has QoS 1 or 2.
    acknowledged: bool,
    /// It goes to one subscriber, who has no copies to share.
    for_one: bool,
    kept: OnceLock<Box<[OnceLock<Message>]>>,
}

#[derive(Clone, Copy, Debug)]
struct Verbatim {
    v5: bool,
    longest_packet: u32,
}

impl Batch {
    /// A batch of one message that did not come from a socket.
    pub fn of_message(message: &Message, now: Instant) -> Self {
        let mut builder = BatchBuilder::default();
        builder.push_detached(&message.view(), now);
        builder.finish(now)
    }

    /// The same for so many subscribers, of which a single one has no copies to share.
    #[must_use]
    pub fn for_subscribers(self, number: usize) -> Self {
        Self {
            for_one: number == 1,
            ..self
        }
    }

    /// Number of messages.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when some message has QoS 1 or 2.
    pub fn is_acknowledged(&self) -> bool {
        self.acknowledged
    }

    /// True for a batch without messages.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of the messages in `range`, for limits.
    pub fn size(&self, range: &Range<usize>) -> usize {
        let Some(entries) = self.entries.get(range.clone()) else {
            return 0;
        };
        match (entries.first(), entries.last()) {
            (Some(first), Some(last)) => {
                last.packet.end.saturating_sub(first.packet.start) as usize
                    + std::mem::size_of_val(entries)
            }
            _ => 0,
        }
    }

    /// QoS and RETAIN flag of the message at `index`, as it was published.
    pub fn flags(&self, index: usize) -> Option<(QoS, bool)> {
        let entry = self.entries.get(index)?;
        Some((entry.qos, entry.retain))
    }

    /// The message at `index`.
    pub fn get(&self, index: usize) -> Option<MessageRef<'_>> {
        let entry = self.entries.get(index)?;
        let (topic, properties, payload) = entry.layout.view(&self.data);
        let interval = (entry.expiry_interval != NO_EXPIRY).then_some(entry.expiry_interval);
        Some(MessageRef {
            topic,
            properties,
            payload,
            qos: entry.qos,
            retain: entry.retain,
            expires_at: expires_at(interval, self.received_at),
        })
    }

    /// The message at `index` with bytes of its own; every subscriber that keeps it shares one copy.
    pub fn keep(&self, index: usize) -> Option<Message> {
        let entry = self.entries.get(index)?;
        if self.for_one {
            return Some(self.copy_out(entry));
        }
        let slots = self
            .kept
            .get_or_init(|| self.entries.iter().map(|_| OnceLock::new()).collect());
        let slot = slots.get(index)?;
        Some(slot.get_or_init(|| self.copy_out(entry)).clone())
    }

    fn copy_out(&self, entry: &Entry) -> Message {
        let by = entry.packet.start;
        let layout = Layout {
            topic: entry.layout.topic.moved_back(by),
            properties: entry.layout.properties.moved_back(by),
            payload: entry.layout.payload.moved_back(by),
        };
        let is_large = entry.layout.payload.len() >= KEEP_SLICE_MIN;
        let packet = entry.packet.start as usize..entry.packet.end as usize;
        let interval = (entry.expiry_interval != NO_EXPIRY).then_some(entry.expiry_interval);
        let head = Head {
            layout,
            qos: entry.qos,
            retain: entry.retain,
            expires_at: expires_at(interval, self.received_at),
            elsewhere: is_large.then(|| Box::new(self.data.slice(packet))),
        };
        Message::of(head, entry.packet.slice(&self.data))
    }

    /// The packets of `range` as they were read, where a subscriber at QoS 0 that speaks `version`, takes packets
    /// of up to `max_packet_size` bytes and wants nothing added may get them unchanged.
    pub fn verbatim(
        &self,
        range: &Range<usize>,
        version: ProtocolVersion,
        max_packet_size: u32,
    ) -> Option<&[u8]> {
        let verbatim = self.verbatim?;
        if verbatim.v5 != version.is_v5() || verbatim.longest_packet > max_packet_size {
            return None;
        }
        let entries = self.entries.get(range.clone())?;
        let whole = Span {
            start: entries.first()?.packet.start,
            end: entries.last()?.packet.end,
        };
        Some(whole.slice(&self.data))
    }
}

/// Collects the messages of a [`Batch`] while a chunk is decoded.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    /// Bytes of messages that do not lie in a chunk as they have to be forwarded (topic aliases).
    detached: BytesMut,
    chunk: Bytes,
    entries: Vec<Entry>,
    verbatim: Option<Verbatim>,
    acknowledged: bool,
    /// Number of messages of the last batch: the next one may have as many.
    last_len: usize,
}

/// Messages for which room is made at once, if the batch before had so many.
const ROOM_MAX: usize = 64;

impl BatchBuilder {
    /// Number of messages collected.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when nothing was collected.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// True when a message with this QoS leaves the batch acknowledged as a whole, or not at all.
    pub fn stays_uniform(&self, qos: QoS) -> bool {
        self.entries.is_empty() || self.acknowledged == (qos > QoS::AtMostOnce)
    }

    /// True when a packet that lies in `chunk` can join the batch.
    pub fn takes_from(&self, chunk: &Bytes) -> bool {
        self.entries.is_empty()
            || (self.detached.is_empty()
                && self.chunk.as_ptr() == chunk.as_ptr()
                && self.chunk.len() == chunk.len())
    }

    /// True when a message with bytes of its own can join the batch.
    pub fn takes_detached(&self) -> bool {
        self.entries.is_empty() || !self.detached.is_empty()
    }

    /// Adds a PUBLISH that was decoded from `packet`, a slice of `chunk`. The caller has asked
    /// [`BatchBuilder::takes_from`]; a packet from elsewhere is left out.
    pub fn push(
        &mut self,
        chunk: &Bytes,
        packet: &[u8],
        publish: &Publish<'_>,
        version: ProtocolVersion,
    ) {
        let spans = (
            Span::locate(chunk, packet),
            Span::locate(chunk, publish.topic.as_bytes()),
            Span::locate(chunk, publish.payload),
        );
        let (Some(packet_span), Some(topic), Some(payload)) = spans else {
            return;
        };
        let raw = publish.properties.raw();
        // Absent properties may be an empty slice that lies anywhere.
        let properties = match raw.is_empty() {
            true => Span::default(),
            false => Span::locate(chunk, raw).unwrap_or_default(),
        };
        let plain = publish.qos == QoS::AtMostOnce
            && !publish.retain
            && !publish.dup
            && (raw.is_empty() || !needs_rewrite(publish.properties));
        let mut follows = true;
        if let Some(last) = self.entries.last() {
            follows = last.packet.end == packet_span.start;
        } else {
            self.entries.reserve_exact(self.last_len.min(ROOM_MAX));
            self.chunk = chunk.clone();
            self.verbatim = Some(Verbatim {
                v5: version.is_v5(),
                longest_packet: 0,
            });
        }
        match &mut self.verbatim {
            Some(verbatim) if plain && follows => {
                verbatim.longest_packet = verbatim.longest_packet.max(packet.len() as u32);
            }
            other => *other = None,
        }
        self.acknowledged |= publish.qos > QoS::AtMostOnce;
        let expiry_interval = match raw.is_empty() {
            true => NO_EXPIRY,
            false => publish
                .properties
                .message_expiry_interval()
                .unwrap_or(NO_EXPIRY),
        };
        self.entries.push(Entry {
            layout: Layout {
                topic,
                properties,
                payload,
            },
            packet: packet_span,
            expiry_interval,
            qos: publish.qos,
            retain: publish.retain,
        });
    }

    /// Adds a message by copying it.
    pub fn push_detached(&mut self, message: &MessageRef<'_>, now: Instant) {
        self.acknowledged |= message.qos > QoS::AtMostOnce;
        let start = self.detached.len() as u32;
        let layout = append(
            &mut self.detached,
            message.topic,
            message.properties,
            message.payload,
        );
        let expiry_interval = message.expires_at.map_or(NO_EXPIRY, |at| {
            let left = at.saturating_duration_since(now).as_millis().div_ceil(1000);
            u32::try_from(left).unwrap_or(NO_EXPIRY)
        });
        self.entries.push(Entry {
            layout,
            packet: Span {
                start,
                end: self.detached.len() as u32,
            },
            expiry_interval,
            qos: message.qos,
            retain: message.retain,
        });
    }

    /// The batch; the builder is empty afterwards.
    pub fn finish(&mut self, received_at: Instant) -> Batch {
        let data = if self.detached.is_empty() {
            std::mem::take(&mut self.chunk)
        } else {
            self.chunk = Bytes::new();
            self.detached.split().freeze()
        };
        let verbatim = self.verbatim.take();
        self.last_len = self.entries.len();
        Batch {
            data,
            entries: std::mem::take(&mut self.entries),
            received_at,
            verbatim,
            acknowledged: std::mem::take(&mut self.acknowledged),
            for_one: false,
            kept: OnceLock::new(),
        }
    }
}
