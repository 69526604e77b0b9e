//! The keeper of the bridges: runs what the configuration says, and knows what they do.

use std::sync::Arc;

use actix::{Actor, Context, Handler};

use crate::{
    config::{BridgeConfig, Bridges},
    messages::{ApplyBridges, BridgeCounters, BridgeState, BridgeView, GetBridge, ListBridges},
};

/// See the module's description.
pub struct BridgeKeeper {
    bridges: Bridges,
}

impl BridgeKeeper {
    /// Keeps the bridges of a configuration.
    pub fn new(bridges: Bridges) -> Self {
        Self { bridges }
    }
}

impl Actor for BridgeKeeper {
    type Context = Context<Self>;
}

impl Handler<ApplyBridges> for BridgeKeeper {
    type Result = ();

    fn handle(&mut self, message: ApplyBridges, _: &mut Self::Context) {
        self.bridges = message.0;
    }
}

impl Handler<ListBridges> for BridgeKeeper {
    type Result = Vec<BridgeView>;

    fn handle(&mut self, _: ListBridges, _: &mut Self::Context) -> Self::Result {
        let bridges = self.bridges.mqtt.iter();
        bridges.map(|(name, config)| view(name, config)).collect()
    }
}

impl Handler<GetBridge> for BridgeKeeper {
    type Result = Option<BridgeView>;

    fn handle(&mut self, message: GetBridge, _: &mut Self::Context) -> Self::Result {
        let config = self.bridges.mqtt.get(&message.0)?;
        Some(view(&message.0, config))
    }
}

fn view(name: &str, config: &BridgeConfig) -> BridgeView {
    BridgeView {
        name: name.into(),
        config: Arc::new(config.clone()),
        state: match config.enable {
            true => BridgeState::Waiting,
            false => BridgeState::Disabled,
        },
        client_id: config.clientid.as_str().into(),
        server: config.server.clone(),
        backlog: 0,
        inflight: 0,
        backlog_bytes: 0,
        last_error: None,
        connected_for: None,
        next_attempt_in: None,
        counters: BridgeCounters::default(),
    }
}
