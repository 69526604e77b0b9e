//! What becomes of subscriptions when there is another policy, or another user goes on with a session.

use std::sync::Arc;

use actix::{AsyncContext, Handler};
use smol_str::SmolStr;

use super::{RECHECKED_AT_ONCE, SubscriptionRegistry, subject};
use crate::{
    auth::{acl::Subject, policy::Policy},
    messages::{Inbox, RecheckClients, SessionCommand},
    routing::ClientEntry,
    session::{CloseReason, Violation},
    stats::Metric,
    store::Record,
};

impl SubscriptionRegistry {
    /// Removes the subscriptions that a client may not have; says how many. What the HTTP server has granted stays, except
    /// to another user. The routes are not published.
    pub(super) fn recheck(
        &mut self,
        client_id: &Arc<str>,
        subject: &Subject,
        other_user: bool,
    ) -> usize {
        let policy = self.shared.policy.load();
        let Some(entry) = self.directory.get(client_id).filter(|_| policy.restricts()) else {
            return 0;
        };
        let generation = entry.generation;
        let lost: Vec<SmolStr> = entry
            .subscriptions
            .keys()
            .filter(|filter| {
                !policy.may_keep(subject, filter)
                    || (other_user && policy.leaves_to_http(subject, filter))
            })
            .cloned()
            .collect();
        for filter in &lost {
            log::info!("{client_id:?} may no longer subscribe to {filter:?}");
            self.directory.unsubscribe(client_id, generation, filter);
        }
        let number = self.durable_number(client_id);
        let records = lost
            .iter()
            .map(|filter| Record::Unsubscribed(number, filter));
        self.note_subscriptions(client_id, records, None);
        self.counters
            .add(Metric::SubscribesDenied, lost.len() as u64);
        lost.len()
    }
}

/// Has a connection ask the HTTP server anew about the subscriptions that only it has granted.
pub(super) fn ask_again(policy: &Policy, subject: &Subject, entry: &ClientEntry<Inbox>) {
    let filters = entry.subscriptions.keys();
    let granted: Vec<Arc<str>> = filters
        .filter(|filter| policy.leaves_to_http(subject, filter))
        .map(|filter| filter.clone().into())
        .collect();
    if !granted.is_empty() {
        entry.target.command(SessionCommand::AskAgain(granted));
    }
}

impl Handler<RecheckClients> for SubscriptionRegistry {
    type Result = ();

    fn handle(&mut self, told: RecheckClients, ctx: &mut Self::Context) {
        let policy = self.shared.policy.load_full();
        let clients = self.directory.iter_after(told.after.as_deref());
        let clients: Vec<(Arc<str>, Subject, bool)> = clients
            .take(RECHECKED_AT_ONCE)
            .map(|(id, entry)| (id.clone(), subject(id, &entry.info), entry.info.connected))
            .collect();
        let rules_changed = policy.restricts() && !policy.permits_the_same(&told.before);
        let mut lost = Vec::new();
        for (id, subject, _) in &clients {
            lost.push(match rules_changed {
                true => self.recheck(id, subject, false),
                false => 0,
            });
        }
        if lost.iter().any(|lost| *lost > 0) {
            self.publish_routes();
        }
        // Only now, so that nothing is routed to the removed subscriptions behind the command.
        for ((id, subject, connected), lost) in clients.iter().zip(lost) {
            let Some(entry) = self.directory.get(id) else {
                continue;
            };
            let revoked = policy.revokes(&told.before, subject.username.as_deref());
            if rules_changed {
                entry.target.command(SessionCommand::Recheck);
            }
            if *connected && told.ask_again {
                ask_again(&policy, subject, entry);
            }
            if *connected && revoked {
                let close = SessionCommand::Close(CloseReason::Revoked);
                entry.target.command(close);
            } else if *connected && lost > 0 && policy.disconnects() {
                let reason = CloseReason::Violation(Violation::NotPermitted);
                entry.target.command(SessionCommand::Close(reason));
            }
        }
        if clients.len() == RECHECKED_AT_ONCE {
            let after = clients.last().map(|(id, ..)| id.clone());
            ctx.notify(RecheckClients { after, ..told });
        }
    }
}
