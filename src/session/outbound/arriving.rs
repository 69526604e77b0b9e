//! A message arrives: it is written at once, waits in the queue, or is dropped.

use std::{ops::Range, time::Instant};

use super::{Delivery, Outbound, Queued};
use crate::{
    config::{Mqtt, MqueuePolicy},
    mqtt::{Batch, Message, MessageRef, QoS},
    session::{
        durable::Content,
        writer::{Head, Writer},
    },
    stats::{Counters, DropReason, Metric},
};

impl Outbound {
    /// Delivers the messages of `batch` in `range`. Without a `writer` nobody is connected: QoS 0 is dropped, the
    /// rest queued.
    #[expect(
        clippy::too_many_arguments,
        reason = "all of it is context of one step"
    )]
    pub fn deliver(
        &mut self,
        batch: &Batch,
        range: Range<usize>,
        delivery: &Delivery,
        mut writer: Option<&mut Writer<'_>>,
        limits: &Mqtt,
        now: Instant,
        counters: &Counters,
    ) {
        if let Some(writer) = writer.as_deref_mut()
            && writer.wire.len() < limits.max_output_buffer
            && let Some(bytes) = writer.verbatim(batch, &range, delivery)
        {
            writer.wire.extend_from_slice(bytes);
            return self.count_written(range.len() as u64, counters);
        }
        let ids = delivery.subscription_ids.as_deref().unwrap_or_default();
        let mut places = delivery.places.iter().flat_map(|places| places.iter());
        let mut sent = 0;
        for index in range {
            let Some((published_qos, published_retain)) = batch.flags(index) else {
                return;
            };
            let qos = published_qos.min(delivery.qos);
            let retain = published_retain && delivery.retain_as_published;
            if qos == QoS::AtMostOnce {
                let Some(message) = batch.get(index) else {
                    return;
                };
                match self.send_qos0(&message, retain, ids, writer.as_deref_mut(), limits, now) {
                    Ok(()) => sent += 1,
                    Err(reason) => self.drop_one(reason, counters),
                }
                continue;
            }
            let Some(kept) = batch.keep(index) else {
                return;
            };
            let queued = Queued {
                content: Content::new(kept, places.next().copied()),
                subscription_ids: delivery.subscription_ids.clone(),
                group: delivery.group.clone(),
                qos,
                retain,
            };
            self.send_or_queue(queued, writer.as_deref_mut(), limits, now, counters);
        }
        self.count_written(sent, counters);
    }

    /// Counts messages with QoS 0 that were written.
    pub fn count_written(&mut self, number: u64, counters: &Counters) {
        self.written += number;
        counters.add(Metric::MessagesSentQoS0, number);
    }

    /// Delivers a retained message to a new subscription, with RETAIN set `[MQTT-3.3.1-8]`.
    pub fn deliver_retained(
        &mut self,
        message: &Message,
        delivery: &Delivery,
        writer: &mut Writer<'_>,
        limits: &Mqtt,
        now: Instant,
        counters: &Counters,
    ) {
        counters.add(Metric::MessagesDeliveries, 1);
        let qos = message.qos().min(delivery.qos);
        if qos == QoS::AtMostOnce {
            let ids = delivery.subscription_ids.as_deref().unwrap_or_default();
            match self.send_qos0(&message.view(), true, ids, Some(writer), limits, now) {
                Ok(()) => self.count_written(1, counters),
                Err(reason) => self.drop_one(reason, counters),
            }
            return;
        }
        let queued = Queued {
            content: Content::new(message.clone(), None),
            subscription_ids: delivery.subscription_ids.clone(),
            group: None,
            qos,
            retain: true,
        };
        self.send_or_queue(queued, Some(writer), limits, now, counters);
    }

    fn send_qos0(
        &mut self,
        message: &MessageRef<'_>,
        retain: bool,
        subscription_ids: &[u32],
        writer: Option<&mut Writer<'_>>,
        limits: &Mqtt,
        now: Instant,
    ) -> Result<(), DropReason> {
        let Some(writer) = writer else {
            return Err(DropReason::Offline);
        };
        if message.is_expired(now) {
            return Err(DropReason::Expired);
        }
        if writer.wire.len() >= limits.max_output_buffer {
            return Err(DropReason::OutputFull);
        }
        let head = Head {
            qos: QoS::AtMostOnce,
            retain,
            dup: false,
            packet_id: None,
        };
        writer.write(message, head, subscription_ids, now)
    }

    fn send_or_queue(
        &mut self,
        queued: Queued,
        writer: Option<&mut Writer<'_>>,
        limits: &Mqtt,
        now: Instant,
        counters: &Counters,
    ) {
        match writer {
            Some(writer) if self.queue.is_empty() && self.may_send_new(&queued, writer, limits) => {
                self.send_new(queued, writer, now, counters);
            }
            _ => self.enqueue(queued, limits, counters),
        }
    }

    fn enqueue(&mut self, mut queued: Queued, limits: &Mqtt, counters: &Counters) {
        let size = queued.content.size();
        if size > limits.max_mqueue_bytes {
            // No room that others could make would be enough.
            self.settle(&queued);
            return self.drop_one(DropReason::QueueFull, counters);
        }
        let over = |of: &Self| {
            of.queue.len() >= limits.max_mqueue_len
                || of.queue_bytes.saturating_add(size) > limits.max_mqueue_bytes
        };
        while over(self) {
            let oldest = match limits.mqueue_policy {
                MqueuePolicy::DropOldest => self.queue.pop_front(),
                MqueuePolicy::Reject => None,
            };
            self.drop_one(DropReason::QueueFull, counters);
            match oldest {
                Some(oldest) => {
                    self.queue_bytes -= oldest.content.size();
                    self.forget(&oldest);
                    self.settle(&oldest);
                }
                // The message itself is the one that is dropped.
                None => return self.settle(&queued),
            }
        }
        self.queue_bytes += size;
        if let Some(durable) = &mut self.durable {
            durable.queue(&mut queued.content);
        }
        self.queue.push_back(queued);
    }
}
