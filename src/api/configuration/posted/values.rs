//! How a value of a member reads as the text of its key; none for one that the member does not take.

use std::time::Duration;

use serde_json::Value;

use crate::config::{BindAddr, ListenerKind};

pub(super) fn number(value: &Value) -> Option<String> {
    value.as_u64().map(|number| number.to_string())
}

pub(super) fn kilobytes(value: &Value) -> Option<String> {
    value.as_u64().map(|number| format!("{number}KB"))
}

pub(super) fn fraction(value: &Value) -> Option<String> {
    // Always with a point: the flat form takes whole numbers as thousandths.
    value.as_f64().map(|number| format!("{number:?}"))
}

pub(super) fn seconds(value: &Value) -> Option<String> {
    let time = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    Some(format!("{}ms", time.as_millis()))
}

pub(super) fn flag(value: &Value) -> Option<String> {
    value.as_bool().map(|flag| flag.to_string())
}

pub(super) fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

pub(super) fn address(value: &Value) -> Option<String> {
    let address = value.as_str()?.strip_prefix("nmq-tcp://")?;
    let address: BindAddr = address.trim_end_matches('/').parse().ok()?;
    Some(address.to_string())
}

pub(super) fn tls_address(value: &Value) -> Option<String> {
    address_of(value, ListenerKind::Ssl)
}

pub(super) fn ws_address(value: &Value) -> Option<String> {
    address_of(value, ListenerKind::Ws)
}

pub(super) fn wss_address(value: &Value) -> Option<String> {
    address_of(value, ListenerKind::Wss)
}

/// An address with the scheme of a kind, without it. Whether the rest is one is seen when it is set.
fn address_of(value: &Value, kind: ListenerKind) -> Option<String> {
    let (scheme, address) = value.as_str()?.split_once("://")?;
    let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic());
    (ListenerKind::of_scheme(scheme) == Some(kind) && is_plain).then(|| address.to_owned())
}
