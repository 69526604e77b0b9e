//! What the registry shows of its clients: lists, made from what it keeps and from the figures in the inboxes.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use actix::Handler;
use smol_str::SmolStr;

use super::SubscriptionRegistry;
use crate::{
    messages::{
        ClientRow, GetClient, GetQueueTotals, GetSubscriptions, GetTopicTree, Inbox, ListClients,
        ListSlowClients, ListSubscriptions, Page, QueueTotals, SubscriptionRow,
    },
    routing::ClientEntry,
    session::BRIDGE_SESSIONS,
};

/// Clients looked at for one page.
const PAGE_CLIENTS: usize = 128;
/// Rows after which a page ends, with the client that has them.
const PAGE_ROWS: usize = 512;

impl Handler<ListClients> for SubscriptionRegistry {
    type Result = Page<ClientRow>;

    fn handle(&mut self, ask: ListClients, _: &mut Self::Context) -> Self::Result {
        let after = ask.after.as_deref();
        match ask.username {
            None => page(self.directory.iter_after(after), |(id, entry), rows| {
                rows.push(row(id, entry));
            }),
            Some(name) => {
                let clients = self.directory.of_user_after(&name, after);
                page(clients, |(id, entry), rows| rows.push(row(id, entry)))
            }
        }
    }
}

/// A client and what is known of it.
type Client<'a> = (&'a Arc<str>, &'a ClientEntry<Inbox>);

/// A page of the rows that `put` makes of each client.
fn page<'a, T>(
    clients: impl Iterator<Item = Client<'a>>,
    put: impl Fn(Client<'a>, &mut Vec<T>),
) -> Page<T> {
    let mut page = Page {
        rows: Vec::new(),
        next: None,
    };
    for (looked_at, client) in clients.enumerate() {
        if looked_at >= PAGE_CLIENTS || page.rows.len() >= PAGE_ROWS {
            return page;
        }
        // Bridges are no clients, and are shown elsewhere.
        if !client.0.starts_with(BRIDGE_SESSIONS) {
            put(client, &mut page.rows);
        }
        page.next = Some(client.0.clone());
    }
    page.next = None;
    page
}

impl Handler<GetClient> for SubscriptionRegistry {
    type Result = Option<ClientRow>;

    fn handle(&mut self, ask: GetClient, _: &mut Self::Context) -> Self::Result {
        let entry = self.client(&ask.client_id)?;
        Some(row(entry.target.client_id(), entry))
    }
}

impl Handler<ListSubscriptions> for SubscriptionRegistry {
    type Result = Page<SubscriptionRow>;

    fn handle(&mut self, ask: ListSubscriptions, _: &mut Self::Context) -> Self::Result {
        let Some(topic) = ask.topic else {
            let clients = self.directory.iter_after(ask.after.as_deref());
            return page(clients, |(id, entry), rows| {
                rows.extend(subscriptions(id, entry));
            });
        };
        let subscribed = self.directory.routes().read().subscribers(&topic);
        let mut rows: Vec<SubscriptionRow> = subscribed
            .iter()
            .filter_map(|target| {
                let id = target.client_id();
                let (topic, subscription) = self
                    .client(id)?
                    .subscriptions
                    .get_key_value(topic.as_str())?;
                Some(SubscriptionRow {
                    client_id: id.clone(),
                    topic: topic.clone(),
                    qos: subscription.options.qos,
                })
            })
            .collect();
        rows.sort_unstable_by(|a, b| a.client_id.cmp(&b.client_id));
        Page { rows, next: None }
    }
}

impl Handler<GetSubscriptions> for SubscriptionRegistry {
    type Result = Option<Vec<SubscriptionRow>>;

    fn handle(&mut self, ask: GetSubscriptions, _: &mut Self::Context) -> Self::Result {
        let entry = self.directory.get(&ask.client_id)?;
        Some(subscriptions(entry.target.client_id(), entry).collect())
    }
}

fn subscriptions<'a>(
    id: &'a Arc<str>,
    entry: &'a ClientEntry<Inbox>,
) -> impl Iterator<Item = SubscriptionRow> + 'a {
    entry
        .subscriptions
        .iter()
        .map(|(topic, subscription)| SubscriptionRow {
            client_id: id.clone(),
            topic: topic.clone(),
            qos: subscription.options.qos,
        })
}

impl Handler<GetTopicTree> for SubscriptionRegistry {
    type Result = Page<(Arc<str>, SmolStr)>;

    fn handle(&mut self, ask: GetTopicTree, _: &mut Self::Context) -> Self::Result {
        let clients = self.directory.iter_after(ask.after.as_deref());
        page(clients, |(id, entry), rows| {
            let filters = entry.subscriptions.keys();
            rows.extend(filters.map(|filter| (id.clone(), filter.clone())));
        })
    }
}

impl Handler<ListSlowClients> for SubscriptionRegistry {
    type Result = Page<ClientRow>;

    fn handle(&mut self, ask: ListSlowClients, _: &mut Self::Context) -> Self::Result {
        let clients = self.directory.iter_after(ask.after.as_deref());
        page(clients, |(id, entry), rows| {
            let counters = &entry.target.counters;
            if counters.queued.load(Relaxed) > 0 || counters.dropped.load(Relaxed) > 0 {
                rows.push(row(id, entry));
            }
        })
    }
}

impl Handler<GetQueueTotals> for SubscriptionRegistry {
    type Result = Page<QueueTotals>;

    fn handle(&mut self, ask: GetQueueTotals, _: &mut Self::Context) -> Self::Result {
        let clients = self.directory.iter_after(ask.after.as_deref());
        page(clients, |(_, entry), rows| {
            let counters = &entry.target.counters;
            let queued = counters.queued.load(Relaxed);
            let own = QueueTotals {
                sessions: u64::from(queued > 0),
                messages: u64::from(queued),
                bytes: counters.queued_bytes.load(Relaxed),
                inflight: u64::from(counters.inflight.load(Relaxed)),
            };
            let before: QueueTotals = rows.pop().unwrap_or_default();
            rows.push(before.and(&own));
        })
    }
}

fn row(client_id: &Arc<str>, entry: &ClientEntry<Inbox>) -> ClientRow {
    let counters = &entry.target.counters;
    ClientRow {
        client_id: client_id.clone(),
        connected: entry.info.connected,
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
