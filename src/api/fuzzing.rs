//! What the fuzz target of HTTP bodies drives and nobody else sees: `tests/fuzz`.

use actix_web::web::Bytes;

use super::{ApiError, body::RawBody};
use crate::{
    config::{Config, Setting},
    mqtt::Message,
};

/// The body of `POST /mqtt/publish`: the messages that it asks for.
///
/// # Errors
/// As the request is refused.
pub fn publish(body: &[u8], config: &Config) -> Result<Vec<Message>, ApiError> {
    let fields = RawBody(Bytes::copy_from_slice(body)).json()?.object()?;
    super::publish::messages_of(fields, &config.mqtt)
}

/// The body of `POST /configuration`: the keys that it sets.
///
/// # Errors
/// As the request is refused.
pub fn configuration(body: &[u8], config: &Config) -> Result<Vec<Setting>, ApiError> {
    let mut fields = RawBody(Bytes::copy_from_slice(body)).json()?.object()?;
    super::configuration::settings_of(fields.rest().collect(), config)
}
