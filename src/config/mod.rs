//! The configuration: its model, its readers and its checks.
//!
//! Values come from four places, the later winning: the defaults of the model, the file, environment variables that begin
//! with `NANOMQ_`, and the command line. (NanoMQ lets the file win over the environment; a container needs the opposite.)
//! All of them become entries (`entry`), are named by one table of keys (`keys`, `aliases`) and are put into the model by
//! one function (`apply`), which reports every problem and not only the first:
//!
//! ```text
//! HOCON file --hocon_file+scan--+
//! flat file ---flat-------------+--> entries --apply (keys, aliases)--> Config --validate--> Loaded
//! environment, command line ----+                    `--> problems
//! ```

mod aliases;
mod apply;
mod auth_values;
mod bridge_json;
mod bridge_topics;
mod change;
mod check;
mod edit;
mod edit_bridge;
mod entry;
mod flat;
mod flat_bridges;
mod hocon_file;
mod keys;
mod keys_auth;
mod keys_bridges;
mod keys_listeners;
mod load;
mod model;
mod model_auth;
mod model_bridges;
mod model_http;
mod model_listeners;
mod model_mqtt;
mod model_store;
mod nearest;
mod network;
mod problem;
mod remote;
mod render;
mod replace;
mod scan;
mod units;
mod validate;
mod validate_bridges;
mod values;

#[cfg(test)]
mod tests;

pub use bridge_topics::{BridgeForward, BridgeSubscription, MAX_BRIDGE_TOPICS, RETAIN_KEPT};
pub use change::{
    BridgeChanges, EditedFile, Refusal, Setting, edit_file, refusals, with_bridges, with_settings,
};
pub use check::{Report, check};
pub use load::{FileForm, Loaded, Overrides, Strictness};
pub use model::{
    AnyListener, Auth, BadAddress, BindAddr, Bridges, CertUsername, Config, DEFAULT_LISTENER,
    Durability, HttpAuth, HttpServer, HttpTls, Jwt, JwtAlgorithm, JwtPublic, Listener,
    ListenerKind, ListenerTls, Listeners, Log, LogLevel, LogTarget, Mqtt, MqueuePolicy, Secret,
    SslListener, Store, System, WebSocket, WsListener, WssListener,
};
pub use model_auth::{
    Acl, AclRule, AclWho, AuthRequest, AuthRequests, BadRules, ClientJwt, DecisionCache,
    MAX_ACL_RULES, RequestTls,
};
pub use model_bridges::{
    BridgeConfig, BridgeConnectProperties, BridgeSubscribeProperties, BridgeTls, BridgeWill,
    BridgeWillProperties, DEFAULT_BRIDGE, MAX_BRIDGE_NAME, MAX_BRIDGES, MAX_HYBRID_SERVERS,
    is_bridge_name,
};
pub use model_mqtt::MAX_PACKET_SIZE;
pub use network::Network;
pub use problem::{Problem, Severity, any_error};
pub use remote::{BadRemote, RemoteUrl};
pub use render::{Change, changes, render_effective};
pub use replace::replace_file;
pub use units::{
    NEVER_EXPIRES, format_duration, format_size, parse_duration, parse_expiry, parse_seconds,
    parse_size,
};
pub use values::{AclAction, DenyAction, HttpMethod, Permit};

/// The environment, for [`Config::load`], without variables that are not UTF-8.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
