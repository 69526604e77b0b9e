//! How the config manager changes single bridges.

use actix::Handler;

use super::{ConfigManager, config_changes::log_change};
use crate::{
    config::{
        BridgeChanges, BridgeConfig, BridgeSubscription, Bridges, MAX_BRIDGES, Refusal,
        is_bridge_name,
    },
    messages::{
        BridgePut, BridgeRefused, ChangeConfig, ChangeRefused, DeleteBridge, Expect, Lasting,
        PutBridge, SubscribeBridge, SwitchBridge, UnsubscribeBridge,
    },
};

impl ConfigManager {
    fn bridges(&self) -> Bridges {
        self.running.load().bridges.clone()
    }

    fn known_bridge(&self, name: &str) -> Result<BridgeConfig, BridgeRefused> {
        let running = self.running.load();
        let bridge = running.bridges.mqtt.get(name);
        bridge.cloned().ok_or(BridgeRefused::Unknown)
    }

    /// Makes a bridge what it is to be, or ends it, in the file and at once.
    fn change_bridge(&self, name: &str, to: Option<BridgeConfig>) -> Result<(), BridgeRefused> {
        let changed = self.change(&ChangeConfig {
            settings: Vec::new(),
            texts: Vec::new(),
            bridges: BridgeChanges::from([(name.to_owned(), to)]),
            lasting: Lasting::InFile,
        });
        log_change(&changed);
        match changed {
            Ok(_) => Ok(()),
            Err(ChangeRefused::Keys(refused)) => Err(BridgeRefused::Keys(
                refused
                    .into_iter()
                    .map(|refusal| below(name, refusal))
                    .collect(),
            )),
            Err(ChangeRefused::NotWritten(why)) => Err(BridgeRefused::NotWritten(why)),
            Err(ChangeRefused::Text(_) | ChangeRefused::NoFile) => {
                let why = "the configuration file cannot be read".to_owned();
                Err(BridgeRefused::NotWritten(why))
            }
        }
    }
}

/// A refusal with the part of its key that is below the bridge's name.
fn below(name: &str, refusal: Refusal) -> Refusal {
    let prefix = format!("bridges.mqtt.{name}");
    let key = match refusal.key.strip_prefix(&prefix) {
        Some(key) => key.trim_start_matches('.').to_owned(),
        None => refusal.key,
    };
    Refusal { key, ..refusal }
}

/// What a bridge that is put becomes of.
fn put(bridges: &Bridges, put: &PutBridge) -> Result<BridgePut, BridgeRefused> {
    let known = bridges.mqtt.get(&put.name);
    match (known, put.expect) {
        (None, Expect::Known) => return Err(BridgeRefused::Unknown),
        (Some(_), Expect::New) => return Err(BridgeRefused::Exists),
        _ => {}
    }
    if !is_bridge_name(&put.name) {
        return Err(BridgeRefused::BadName);
    }
    if known.is_none() && bridges.mqtt.len() >= MAX_BRIDGES {
        return Err(BridgeRefused::TooMany);
    }
    let refused = put.config.refusals();
    if !refused.is_empty() {
        return Err(BridgeRefused::Keys(refused));
    }
    Ok(match known {
        None => BridgePut::Created,
        Some(known) if *known == put.config => BridgePut::Unchanged,
        Some(_) => BridgePut::Changed,
    })
}

/// Adds subscriptions; one to the same topic of the remote is replaced.
fn subscribe(bridge: &mut BridgeConfig, new: Vec<BridgeSubscription>) {
    for subscription in new {
        let mut known = bridge.subscription.iter_mut();
        match known.find(|known| known.remote_topic == subscription.remote_topic) {
            Some(known) => *known = subscription,
            None => bridge.subscription.push(subscription),
        }
    }
}

impl Handler<PutBridge> for ConfigManager {
    type Result = Result<BridgePut, BridgeRefused>;

    fn handle(&mut self, message: PutBridge, _: &mut Self::Context) -> Self::Result {
        let becomes = put(&self.bridges(), &message)?;
        self.change_bridge(&message.name, Some(message.config))?;
        Ok(becomes)
    }
}

impl Handler<DeleteBridge> for ConfigManager {
    type Result = Result<(), BridgeRefused>;

    fn handle(&mut self, message: DeleteBridge, _: &mut Self::Context) -> Self::Result {
        self.known_bridge(&message.0)?;
        self.change_bridge(&message.0, None)
    }
}

impl Handler<SwitchBridge> for ConfigManager {
    type Result = Result<(), BridgeRefused>;

    fn handle(&mut self, message: SwitchBridge, _: &mut Self::Context) -> Self::Result {
        let mut bridge = self.known_bridge(&message.name)?;
        if bridge.enable == message.on {
            return Err(BridgeRefused::SwitchedAlready);
        }
        bridge.enable = message.on;
        self.change_bridge(&message.name, Some(bridge))
    }
}

impl Handler<SubscribeBridge> for ConfigManager {
    type Result = Result<(), BridgeRefused>;

    fn handle(&mut self, message: SubscribeBridge, _: &mut Self::Context) -> Self::Result {
        let mut bridge = self.known_bridge(&message.name)?;
        subscribe(&mut bridge, message.subscriptions);
        if let Some(properties) = message.properties {
            bridge.sub_properties = properties;
        }
        self.change_bridge(&message.name, Some(bridge))
    }
}

impl Handler<UnsubscribeBridge> for ConfigManager {
    type Result = Result<usize, BridgeRefused>;

    fn handle(&mut self, message: UnsubscribeBridge, _: &mut Self::Context) -> Self::Result {
        let mut bridge = self.known_bridge(&message.name)?;
        let before = bridge.subscription.len();
        bridge
            .subscription
            .retain(|known| !message.topics.contains(&known.remote_topic));
        let gone = before.saturating_sub(bridge.subscription.len());
        self.change_bridge(&message.name, Some(bridge))?;
        Ok(gone)
    }
}
