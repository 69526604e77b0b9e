//! Application messages on their way through the broker: borrowed, kept, and in batches.
//!
//! A PUBLISH that arrives is not copied. Its topic, properties and payload stay where they were read, in one
//! chunk of bytes that a [`Batch`] shares with every subscriber. Only what outlives its batch (queued, in
//! flight, retained, a will) becomes a [`Message`] with bytes of its own.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};

use super::{Properties, PropertiesBuf, Property, ProtocolVersion, Publish, QoS};

/// Payloads of at least this many bytes are kept as a slice of what was read instead of being copied: below it a
/// kept message would pin a chunk many times its size.
const KEEP_SLICE_MIN: usize = 16 * 1024;

/// Where the parts of a message lie in the bytes that hold it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Layout {
    topic: Span,
    properties: Span,
    payload: Span,
}

/// A byte range in 32 bits: a packet has at most 268,435,460 bytes, and a chunk holds one or a 64 KiB read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The place of `part`, a sub-slice of `whole`.
    fn locate(whole: &[u8], part: &[u8]) -> Option<Self> {
        let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
        let end = start.checked_add(part.len())?;
        if end > whole.len() {
            return None;
        }
        Some(Self {
            start: u32::try_from(start).ok()?,
            end: u32::try_from(end).ok()?,
        })
    }

    fn slice(self, whole: &[u8]) -> &[u8] {
        whole
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    fn moved_back(self, by: u32) -> Self {
        Self {
            start: self.start.saturating_sub(by),
            end: self.end.saturating_sub(by),
        }
    }

    fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }
}

impl Layout {
    fn view<'a>(&self, data: &'a [u8]) -> (&'a str, Properties<'a>, &'a [u8]) {
        // The decoder has checked the topic's UTF-8; an empty topic would match nothing.
        let topic = std::str::from_utf8(self.topic.slice(data)).unwrap_or_default();
        let properties = Properties::from_validated(self.properties.slice(data));
        (topic, properties, self.payload.slice(data))
    }
}

/// An application message, borrowed from a batch or from a kept [`Message`].
#[derive(Clone, Copy, Debug)]
pub struct MessageRef<'a> {
    /// Topic name, never empty.
    pub topic: &'a str,
    /// What the publisher sent; [`MessageRef::forwarded_properties`] is what a subscriber gets.
    pub properties: Properties<'a>,
    /// Application message.
    pub payload: &'a [u8],
    /// The publisher's QoS.
    pub qos: QoS,
    /// The publisher's RETAIN flag.
    pub retain: bool,
    /// When the message expires, if ever `[MQTT-3.3.2-5]`.
    pub expires_at: Option<Instant>,
}

impl<'a> MessageRef<'a> {
    /// True when the message's time has come `[MQTT-3.3.2-5]`.
    pub fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// The properties a subscriber gets: those of the publisher without its topic alias, the expiry interval less
    /// the time spent here `[MQTT-3.3.2-6]`, and the subscription identifiers `[MQTT-3.3.4-3]`.
    ///
    /// Writes them to `buffer` only where they differ from what the publisher sent.
    pub fn forwarded_properties<'b>(
        &self,
        subscription_ids: &[u32],
        now: Instant,
        buffer: &'b mut PropertiesBuf,
    ) -> Properties<'b>
    where
        'a: 'b,
    {
        if subscription_ids.is_empty() && !needs_rewrite(self.properties) {
            return self.properties;
        }
        for property in self.properties.iter() {
            match property {
                Property::TopicAlias(_) | Property::SubscriptionIdentifier(_) => {}
                Property::MessageExpiryInterval(interval) => {
                    let left = self.expires_at.map_or(interval, |at| {
                        let left = at.saturating_duration_since(now);
                        u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(interval)
                    });
                    buffer.push(Property::MessageExpiryInterval(left.min(interval)));
                }
                other => buffer.push(other),
            }
        }
        for id in subscription_ids {
            buffer.push(Property::SubscriptionIdentifier(*id));
        }
        buffer.as_properties()
    }

    /// A copy that outlives the batch.
    pub fn to_message(&self) -> Message {
        let mut data = BytesMut::new();
        let layout = append(&mut data, self.topic, self.properties, self.payload);
        Message {
            data: data.freeze(),
            layout,
            qos: self.qos,
            retain: self.retain,
            expires_at: self.expires_at,
        }
    }
}

/// True when a publisher's properties cannot be forwarded byte for byte.
fn needs_rewrite(properties: Properties<'_>) -> bool {
    properties.iter().any(|property| {
        matches!(
            property,
            Property::TopicAlias(_)
                | Property::MessageExpiryInterval(_)
                | Property::SubscriptionIdentifier(_)
        )
    })
}

fn append(data: &mut BytesMut, topic: &str, properties: Properties<'_>, payload: &[u8]) -> Layout {
    let mut put = |part: &[u8]| {
        let start = data.len() as u32;
        data.extend_from_slice(part);
        Span {
            start,
            end: data.len() as u32,
        }
    };
    Layout {
        topic: put(topic.as_bytes()),
        properties: put(properties.raw()),
        payload: put(payload),
    }
}

/// An application message with bytes of its own.
#[derive(Clone, Debug)]
pub struct Message {
    data: Bytes,
    layout: Layout,
    qos: QoS,
    retain: bool,
    expires_at: Option<Instant>,
}

impl Message {
    /// A message that the broker itself publishes, or a will. The expiry interval is read from `properties` and
    /// counts from `now`.
    pub fn new(
        topic: &str,
        payload: &[u8],
        qos: QoS,
        retain: bool,
        properties: Properties<'_>,
        now: Instant,
    ) -> Self {
        MessageRef {
            topic,
            properties,
            payload,
            qos,
            retain,
            expires_at: expires_at(properties.message_expiry_interval(), now),
        }
        .to_message()
    }

    /// The message as it is delivered.
    pub fn view(&self) -> MessageRef<'_> {
        let (topic, properties, payload) = self.layout.view(&self.data);
        MessageRef {
            topic,
            properties,
            payload,
            qos: self.qos,
            retain: self.retain,
            expires_at: self.expires_at,
        }
    }

    /// Topic name.
    pub fn topic(&self) -> &str {
        self.view().topic
    }

    /// Bytes that the message holds, for limits.
    pub fn size(&self) -> usize {
        self.layout.topic.len()
            + self.layout.properties.len()
            + self.layout.payload.len()
            + std::mem::size_of::<Self>()
    }

    /// True when the message's time has come `[MQTT-3.3.2-5]`.
    pub fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// When the message expires, if ever.
    pub fn expires_at(&self) -> Option<Instant> {
        self.expires_at
    }

    /// The same message expiring no later than `at`.
    #[must_use]
    pub fn expiring_by(mut self, at: Instant) -> Self {
        self.expires_at = Some(self.expires_at.map_or(at, |own| own.min(at)));
        self
    }
}

fn expires_at(interval: Option<u32>, now: Instant) -> Option<Instant> {
    now.checked_add(Duration::from_secs(u64::from(interval?)))
}

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
    kept: OnceLock<Box<[OnceLock<Arc<Message>>]>>,
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
    pub fn keep(&self, index: usize) -> Option<Arc<Message>> {
        let entry = self.entries.get(index)?;
        let slots = self
            .kept
            .get_or_init(|| self.entries.iter().map(|_| OnceLock::new()).collect());
        let slot = slots.get(index)?;
        Some(slot.get_or_init(|| Arc::new(self.copy_out(entry))).clone())
    }

    fn copy_out(&self, entry: &Entry) -> Message {
        let interval = (entry.expiry_interval != NO_EXPIRY).then_some(entry.expiry_interval);
        let packet = entry.packet.start as usize..entry.packet.end as usize;
        let data = if entry.layout.payload.len() >= KEEP_SLICE_MIN {
            self.data.slice(packet)
        } else {
            Bytes::copy_from_slice(entry.packet.slice(&self.data))
        };
        let by = entry.packet.start;
        Message {
            data,
            layout: Layout {
                topic: entry.layout.topic.moved_back(by),
                properties: entry.layout.properties.moved_back(by),
                payload: entry.layout.payload.moved_back(by),
            },
            qos: entry.qos,
            retain: entry.retain,
            expires_at: expires_at(interval, self.received_at),
        }
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
}

impl BatchBuilder {
    /// Number of messages collected.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when nothing was collected.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
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
    /// [`BatchBuilder::takes_from`]; a packet from elsewhere is copied.
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
        Batch {
            data,
            entries: std::mem::take(&mut self.entries),
            received_at,
            verbatim,
            acknowledged: std::mem::take(&mut self.acknowledged),
            kept: OnceLock::new(),
        }
    }
}
