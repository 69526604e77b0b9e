//! The configuration: its model, its readers and its checks.

mod model;
mod model_mqtt;
mod units;
mod values;

pub use model::{
    Auth, BadAddress, BindAddr, Config, DEFAULT_LISTENER, HttpAuth, HttpServer, Listeners, Log,
    LogLevel, LogTarget, Mqtt, MqueuePolicy, Secret, System, TcpListener,
};
pub use model_mqtt::MAX_PACKET_SIZE;
pub use units::{
    NEVER_EXPIRES, format_duration, format_size, parse_duration, parse_expiry, parse_seconds,
    parse_size,
};
