//! What the registry shows of its clients: lists, made from what it keeps and from the figures in the inboxes.

use std::{
    cmp::Reverse,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use actix::Handler;

use super::SubscriptionRegistry;
use crate::{
    messages::{
        ClientRow, GetClient, GetQueueTotals, GetTopicTree, Inbox, ListClients, ListSlowClients,
        ListSubscriptions, QueueTotals, SubscriptionRow,
    },
    routing::ClientEntry,
};

impl Handler<ListClients> for SubscriptionRegistry {
    type Result = Vec<ClientRow>;

    fn handle(&mut self, ask: ListClients, _: &mut Self::Context) -> Self::Result {
        self.directory
            .iter_after(None)
            .filter(|(_, entry)| match &ask.username {
                None => true,
                wanted => entry.info.username.as_deref() == wanted.as_deref(),
            })
            .map(|(id, entry)| row(id, entry))
            .collect()
    }
}

impl Handler<GetClient> for SubscriptionRegistry {
    type Result = Option<ClientRow>;

    fn handle(&mut self, ask: GetClient, _: &mut Self::Context) -> Self::Result {
        let entry = self.directory.get(&ask.client_id)?;
        Some(row(entry.target.client_id(), entry))
    }
}

impl Handler<ListSubscriptions> for SubscriptionRegistry {
    type Result = Option<Vec<SubscriptionRow>>;

    fn handle(&mut self, ask: ListSubscriptions, _: &mut Self::Context) -> Self::Result {
        let rows = |id: &Arc<str>, entry: &ClientEntry<Inbox>| -> Vec<SubscriptionRow> {
            entry
                .subscriptions
                .iter()
                .map(|(topic, subscription)| SubscriptionRow {
                    client_id: id.clone(),
                    topic: topic.clone(),
                    qos: subscription.options.qos,
                })
                .collect()
        };
        match ask.client_id {
            Some(id) => {
                let entry = self.directory.get(&id)?;
                Some(rows(entry.target.client_id(), entry))
            }
            None => Some(
                self.directory
                    .iter_after(None)
                    .flat_map(|(id, entry)| rows(id, entry))
                    .collect(),
            ),
        }
    }
}

impl Handler<GetTopicTree> for SubscriptionRegistry {
    type Result = Vec<(Arc<str>, Arc<str>)>;

    fn handle(&mut self, _: GetTopicTree, _: &mut Self::Context) -> Self::Result {
        self.directory
            .iter_after(None)
            .flat_map(|(id, entry)| {
                let filters = entry.subscriptions.keys();
                filters.map(|filter| (id.clone(), filter.clone()))
            })
            .collect()
    }
}

impl Handler<ListSlowClients> for SubscriptionRegistry {
    type Result = Vec<ClientRow>;

    fn handle(&mut self, ask: ListSlowClients, _: &mut Self::Context) -> Self::Result {
        let mut slow: Vec<_> = self
            .directory
            .iter_after(None)
            .filter_map(|(id, entry)| {
                let counters = &entry.target.counters;
                let queued = counters.queued.load(Relaxed);
                let dropped = counters.dropped.load(Relaxed);
                (queued > 0 || dropped > 0).then_some((Reverse((queued, dropped)), id))
            })
            .collect();
        slow.sort_unstable();
        slow.truncate(ask.limit);
        slow.into_iter()
            .filter_map(|(_, id)| Some(row(id, self.directory.get(id)?)))
            .collect()
    }
}

impl Handler<GetQueueTotals> for SubscriptionRegistry {
    type Result = QueueTotals;

    fn handle(&mut self, _: GetQueueTotals, _: &mut Self::Context) -> Self::Result {
        let mut totals = QueueTotals::default();
        for (_, entry) in self.directory.iter_after(None) {
            let counters = &entry.target.counters;
            let queued = counters.queued.load(Relaxed);
            totals.sessions += u64::from(queued > 0);
            totals.messages += u64::from(queued);
            totals.bytes += counters.queued_bytes.load(Relaxed);
            totals.inflight += u64::from(counters.inflight.load(Relaxed));
        }
        totals
    }
}

fn row(client_id: &Arc<str>, entry: &ClientEntry<Inbox>) -> ClientRow {
    let counters = &entry.target.counters;
    ClientRow {
        client_id: client_id.clone(),
        connected: entry.connected,
        info: entry.info.clone(),
        received_messages: counters.received_messages.load(Relaxed),
        sent_messages: counters.sent_messages.load(Relaxed),
        received_bytes: counters.received_bytes.load(Relaxed),
        sent_bytes: counters.sent_bytes.load(Relaxed),
        queued: counters.queued.load(Relaxed),
        queued_bytes: counters.queued_bytes.load(Relaxed),
        inflight: counters.inflight.load(Relaxed),
        dropped: counters.dropped.load(Relaxed),
    }
}
