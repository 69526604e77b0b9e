//! A bridge whose configuration changes: it goes on with its connection where that can be.

use std::{sync::Arc, time::Instant};

use actix::{Handler, Message};

use super::{Bridge, Remote};
use crate::{
    bridge::{Backoff, Servers, rules},
    config::BridgeConfig,
    mqtt::ReasonCode,
};

/// A bridge is another from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Configure(pub Arc<BridgeConfig>);

impl Handler<Configure> for Bridge {
    type Result = ();

    fn handle(&mut self, told: Configure, ctx: &mut Self::Context) {
        let before = std::mem::replace(&mut self.config, told.0);
        if before == self.config {
            return;
        }
        self.renew_limits();
        self.change_forwards(ctx);
        if speaks_the_same(&before, &self.config) {
            self.change_link(&before);
        } else {
            log::info!("bridge {:?} has changed", self.name);
            if before.clientid != self.config.clientid {
                self.subscribed.forget();
            }
            self.servers = Servers::default();
            self.backoff = Backoff::default();
            self.bits.forget();
            self.introductions.forget();
            let again = self.config.enable.then(Instant::now);
            self.disconnect(ReasonCode::NormalDisconnection, again);
        }
        self.wake();
    }
}

/// Whether two configurations differ in nothing that a connection has to be opened anew for.
fn speaks_the_same(a: &BridgeConfig, b: &BridgeConfig) -> bool {
    let b = BridgeConfig {
        forwards: a.forwards.clone(),
        subscription: a.subscription.clone(),
        sub_properties: a.sub_properties.clone(),
        max_send_queue_len: a.max_send_queue_len,
        max_send_queue_bytes: a.max_send_queue_bytes,
        queue_policy: a.queue_policy,
        backoff_min: a.backoff_min,
        backoff_max: a.backoff_max,
        ..b.clone()
    };
    *a == b
}

impl Bridge {
    /// Has an open connection go on with other topics.
    fn change_link(&mut self, before: &BridgeConfig) {
        let Remote::Up(up) = &mut self.remote else {
            return;
        };
        if let Some(to_remote) = up.link.channel().remote_mut() {
            to_remote.rules = rules(&self.config);
        }
        let (old, new) = (&before.subscription, &self.config.subscription);
        up.link.change_subscriptions(new);
        let requested = self.subscribed.changed(old, new);
        up.link.unsubscribe(&requested.stale, &mut self.wire);
        let missing = &requested.missing;
        let told = up.link.subscribe(&self.config, missing, &mut self.wire);
        self.answered(told);
    }
}
