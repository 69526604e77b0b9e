//! Application messages beyond their packet: borrowed, or kept with bytes of their own.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use triomphe::ThinArc;

use super::{Properties, PropertiesBuf, Property, QoS};

/// Where the parts of a message lie in the bytes that hold it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) topic: Span,
    pub(super) properties: Span,
    pub(super) payload: Span,
}

/// A byte range in 32 bits: a packet has at most 268,435,460 bytes, and a chunk holds one or a 64 KiB read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    /// The place of `part`, a sub-slice of `whole`.
    pub(super) fn locate(whole: &[u8], part: &[u8]) -> Option<Self> {
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

    pub(super) fn slice(self, whole: &[u8]) -> &[u8] {
        whole
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    pub(super) fn moved_back(self, by: u32) -> Self {
        Self {
            start: self.start.saturating_sub(by),
            end: self.end.saturating_sub(by),
        }
    }

    pub(super) fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }
}

impl Layout {
    pub(super) fn view<'a>(&self, data: &'a [u8]) -> (&'a str, Properties<'a>, &'a [u8]) {
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
        let size = self.topic.len() + self.properties.raw().len() + self.payload.len();
        let mut data = BytesMut::with_capacity(size);
        let layout = append(&mut data, self.topic, self.properties, self.payload);
        let data = data.freeze();
        let head = Head {
            layout,
            qos: self.qos,
            retain: self.retain,
            expires_at: self.expires_at,
            elsewhere: (self.payload.len() >= KEEP_SLICE_MIN).then(|| Box::new(data.clone())),
        };
        Message::of(head, &data)
    }

    /// The same message expiring no later than `at`.
    #[must_use]
    pub fn expiring_by(self, at: Instant) -> Self {
        Self {
            expires_at: Some(self.expires_at.map_or(at, |own| own.min(at))),
            ..self
        }
    }
}

/// True when a publisher's properties cannot be forwarded byte for byte.
pub(super) fn needs_rewrite(properties: Properties<'_>) -> bool {
    properties.iter().any(|property| {
        matches!(
            property,
            Property::TopicAlias(_)
                | Property::MessageExpiryInterval(_)
                | Property::SubscriptionIdentifier(_)
        )
    })
}

pub(super) fn append(
    data: &mut BytesMut,
    topic: &str,
    properties: Properties<'_>,
    payload: &[u8],
) -> Layout {
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

/// Payloads of at least this many bytes are kept as a slice of what was read instead of being copied: below it a kept message
/// would pin a chunk many times its size.
pub(super) const KEEP_SLICE_MIN: usize = 16 * 1024;

/// An application message with bytes of its own. Clones are the same message.
#[derive(Clone, Debug)]
pub struct Message(
    /// With the bytes, unless they are elsewhere: reading a message in no cache then takes one look at memory less.
    ThinArc<Head, u8>,
);

/// What a message has besides its bytes.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) layout: Layout,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) expires_at: Option<Instant>,
    /// The bytes, if the message is large.
    pub(super) elsewhere: Option<Box<Bytes>>,
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

    /// A message whose parts lie in `data`.
    pub(super) fn of(head: Head, data: &[u8]) -> Self {
        let own = match head.elsewhere {
            None => data,
            Some(_) => &[],
        };
        Self(ThinArc::from_header_and_slice(head, own))
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }

    fn data(&self) -> &[u8] {
        match &self.head().elsewhere {
            None => &self.0.slice,
            Some(data) => data,
        }
    }

    /// The message as it is delivered.
    pub fn view(&self) -> MessageRef<'_> {
        let head = self.head();
        let (topic, properties, payload) = head.layout.view(self.data());
        MessageRef {
            topic,
            properties,
            payload,
            qos: head.qos,
            retain: head.retain,
            expires_at: head.expires_at,
        }
    }

    /// The publisher's QoS.
    pub fn qos(&self) -> QoS {
        self.head().qos
    }

    /// Topic name.
    pub fn topic(&self) -> &str {
        self.view().topic
    }

    /// Bytes that the message holds, for limits.
    pub fn size(&self) -> usize {
        let layout = &self.head().layout;
        layout.topic.len()
            + layout.properties.len()
            + layout.payload.len()
            + std::mem::size_of::<Head>()
    }

    /// Reads a little of the message: who is going to read many messages that are in no cache reads them all so before,
    /// which waits for all of them at once instead of for each by itself.
    pub fn fetch(&self) {
        std::hint::black_box((
            ThinArc::strong_count(&self.0),
            self.head().expires_at,
            self.0.slice.last(),
        ));
    }

    /// True when the message's time has come `[MQTT-3.3.2-5]`.
    pub fn is_expired(&self, now: Instant) -> bool {
        self.expires_at().is_some_and(|at| at <= now)
    }

    /// When the message expires, if ever.
    pub fn expires_at(&self) -> Option<Instant> {
        self.head().expires_at
    }
}

pub(super) fn expires_at(interval: Option<u32>, now: Instant) -> Option<Instant> {
    now.checked_add(Duration::from_secs(u64::from(interval?)))
}
