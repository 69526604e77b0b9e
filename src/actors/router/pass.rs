//! The messages of a publisher on their way into batches.

use std::{
    net::IpAddr,
    ptr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    Router,
    delivering::{complete, deliver},
};
use crate::{
    bridge::Origin,
    messages::{Inbox, StoreRetained},
    mqtt::{BatchBuilder, MessageRef, PacketId, Properties, ProtocolVersion, Publish, QoS, hops},
    session::{BridgeOf, Publishing, digest},
    stats::Metric,
};

/// The messages of one publisher's chunk on their way.
pub struct Pass<'a> {
    router: &'a mut Router,
    publisher: Option<&'a Arc<Inbox>>,
    chunk: &'a Bytes,
    now: Instant,
    /// The publisher is a bridge of another broker that speaks MQTT 3.
    v3_bridge: Option<V3Publisher>,
}

/// A bridge of another broker that speaks MQTT 3.
enum V3Publisher {
    /// It has said which broker it is of.
    Known(Arc<BridgeOf>),
    /// It has not, and is known by its address.
    Unknown(Origin),
}

impl<'a> Pass<'a> {
    /// The beginning of one; the routes are up to date.
    pub(super) fn new(
        router: &'a mut Router,
        publisher: Option<&'a Arc<Inbox>>,
        chunk: &'a Bytes,
        now: Instant,
    ) -> Self {
        router.routes.begin_chunk();
        Self {
            router,
            publisher,
            chunk,
            now,
            v3_bridge: None,
        }
    }

    /// The publisher is a bridge of another broker, at this address, that speaks MQTT 3, and may have said which broker
    /// it is `of`.
    #[must_use]
    pub fn of_v3_bridge(self, peer: IpAddr, of: Option<Arc<BridgeOf>>) -> Self {
        let publisher = match of {
            Some(of) => V3Publisher::Known(of),
            None => V3Publisher::Unknown(Origin { bridge: 0, peer }),
        };
        Self {
            v3_bridge: Some(publisher),
            ..self
        }
    }

    /// A message of a bridge that speaks MQTT 3 and has said which broker it is of: it gets the mark that it could not
    /// bring.
    fn publish_marked(&mut self, publish: &Publish<'_>, of: &BridgeOf) -> bool {
        let message = MessageRef {
            topic: publish.topic,
            properties: of.mark(),
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            expires_at: None,
        };
        self.publish_detached(&message, publish.packet_id)
    }

    /// Whether a message has been at this broker before, by its marks. Such a one is counted.
    fn has_been_here(&self, properties: Properties<'_>) -> bool {
        let own_id = || self.router.marks.own_id();
        let has_been = !properties.is_empty()
            && own_id().is_some_and(|id: &Arc<str>| hops::has_been(properties, id));
        if has_been {
            self.router.counters.add(Metric::DroppedLoop, 1);
        }
        has_been
    }

    /// Whether a message of a bridge without marks is a copy of one that was sent to its broker. Such a one is counted.
    fn is_echo(&self, from: Origin, publish: &Publish<'_>) -> bool {
        let payload = digest(publish.payload);
        let marks = &self.router.marks;
        let is_echo = marks.is_echo(from, publish.topic, payload, self.now);
        if is_echo {
            self.router.counters.add(Metric::DroppedLoop, 1);
        }
        is_echo
    }

    /// Delivers what was collected.
    pub fn finish(self) {
        let Self {
            router,
            publisher,
            now,
            ..
        } = self;
        complete(router, publisher, now);
        deliver(router, publisher, now);
        if let Some(durable) = &mut router.durable {
            durable.note_taken(publisher);
        }
        let unmatched = std::mem::take(&mut router.unmatched);
        router
            .counters
            .add(Metric::MessagesWithoutSubscriber, unmatched);
    }

    /// Makes room in the batch for a message to `topic`; false when nobody is subscribed. `behind` is what follows its
    /// packet in the chunk, if it lies there.
    ///
    /// Acknowledged messages may go by way of the durable store, the others do not. They are in batches of their own, so
    /// that no message with QoS 0 takes the longer way and comes behind a later one `[MQTT-4.6.0-5]`.
    fn prepare(
        &mut self,
        topic: &str,
        qos: QoS,
        behind: Option<&[u8]>,
        fits: impl FnOnce(&BatchBuilder, &Bytes) -> bool,
    ) -> bool {
        let routes = self.router.routes.routes(topic, behind);
        if routes.is_empty() {
            self.router.unmatched += 1;
            return false;
        }
        let same = ptr::eq(Arc::as_ptr(routes), Arc::as_ptr(&self.router.batch_routes));
        let batch = &self.router.batch;
        let one_way = self.router.durable.is_none() || batch.stays_uniform(qos);
        if !same || !one_way || !fits(batch, self.chunk) {
            complete(self.router, self.publisher, self.now);
            self.router.batch_routes = self.router.routes.last().clone();
        }
        true
    }

    /// Whether the durable store learns the identifier of a message.
    fn is_noted(&self, qos: QoS, packet_id: Option<PacketId>) -> bool {
        let session = self.publisher.and_then(|publisher| publisher.durable());
        qos == QoS::ExactlyOnce
            && packet_id.is_some()
            && self.router.durable.is_some()
            && session.is_some()
    }

    /// Remembers the identifier of a QoS 2 message, which is stored with it or, where it is not stored, by itself.
    fn note_taken(&mut self, qos: QoS, packet_id: Option<PacketId>, matched: bool) {
        if self.is_noted(qos, packet_id)
            && let Some(durable) = &mut self.router.durable
            && let Some(id) = packet_id
        {
            match matched {
                true => durable.ids.push((self.router.batch.len(), id)),
                false => durable.taken.push(id),
            }
        }
    }

    /// Retains a message before the routes are read for it.
    fn retain(&mut self, message: &MessageRef<'_>, packet_id: Option<PacketId>) {
        let lifetime = self.router.config.load().mqtt.retained_expiry_interval;
        let mut message = *message;
        if !lifetime.is_zero()
            && let Some(at) = self.now.checked_add(lifetime)
        {
            message = message.expiring_by(at);
        }
        let message = message.to_message();
        let load = &self.router.retained_load;
        load.add(message.size());
        if load.is_over() {
            self.router.overloaded.note(load.clone());
        }
        let view = message.view();
        let has_id = self.is_noted(view.qos, packet_id) && !view.topic.starts_with('$');
        let (part, stored) = match &mut self.router.durable {
            Some(durable) if view.qos > QoS::AtMostOnce => {
                if has_id {
                    durable.note_retained(&view);
                }
                (Some(durable.part()), has_id)
            }
            _ => (None, false),
        };
        let told = StoreRetained {
            message,
            part,
            stored,
        };
        self.router.store_retained.do_send(told);
        self.router.routes.refresh();
    }
}

/// What follows `packet` in `chunk`, of which it is a slice.
fn behind<'a>(chunk: &'a [u8], packet: &[u8]) -> &'a [u8] {
    let end = packet.as_ptr_range().end.addr();
    let at = end.checked_sub(chunk.as_ptr().addr());
    at.and_then(|at| chunk.get(at..)).unwrap_or_default()
}

impl Publishing for Pass<'_> {
    fn publish(&mut self, publish: &Publish<'_>, packet: &[u8], version: ProtocolVersion) -> bool {
        let comes_back = match &self.v3_bridge {
            None => self.has_been_here(publish.properties),
            Some(V3Publisher::Unknown(from)) => self.is_echo(*from, publish),
            Some(V3Publisher::Known(of)) => {
                let of = of.clone();
                return self.publish_marked(publish, &of);
            }
        };
        if comes_back {
            return true;
        }
        if publish.retain {
            let interval = publish.properties.message_expiry_interval();
            self.retain(
                &MessageRef {
                    topic: publish.topic,
                    properties: publish.properties,
                    payload: publish.payload,
                    qos: publish.qos,
                    retain: true,
                    expires_at: interval.and_then(|seconds| {
                        self.now
                            .checked_add(Duration::from_secs(u64::from(seconds)))
                    }),
                },
                publish.packet_id,
            );
        }
        let matched = self.prepare(
            publish.topic,
            publish.qos,
            Some(behind(self.chunk, packet)),
            BatchBuilder::takes_from,
        );
        self.note_taken(publish.qos, publish.packet_id, matched);
        if matched {
            self.router.batch.push(self.chunk, packet, publish, version);
        }
        matched
    }

    fn publish_detached(&mut self, message: &MessageRef<'_>, packet_id: Option<PacketId>) -> bool {
        if self.has_been_here(message.properties) {
            return true;
        }
        if message.retain {
            self.retain(message, packet_id);
        }
        let matched = self.prepare(message.topic, message.qos, None, |batch, _| {
            batch.takes_detached()
        });
        self.note_taken(message.qos, packet_id, matched);
        if matched {
            self.router.batch.push_detached(message, self.now);
        }
        matched
    }
}
