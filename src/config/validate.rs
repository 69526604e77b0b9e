//! Checks that look at more than one key.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use super::model::{CertUsername, Config, HttpAuth};
use super::problem::{Place, Problem};
use super::units::format_size;

/// Reports what is wrong with a configuration as a whole. `places` says where each key was set.
pub(crate) fn whole(config: &Config, places: &HashMap<String, Place>, problems: &mut Vec<Problem>) {
    let place = |key: &str| {
        let other_name = || {
            let bridge = key.strip_suffix(".server")?;
            places.get(&format!("{bridge}.address"))
        };
        let own = places.get(key).or_else(other_name);
        let own = own.or_else(|| of_section(key, places));
        own.cloned().unwrap_or_default()
    };
    let mqtt = &config.mqtt;
    let mut warn =
        |key: &str, message: String| problems.push(place(key).warning(Some(key), message));

    if mqtt.max_payload_size > mqtt.max_packet_size {
        warn(
            "mqtt.max_payload_size",
            "has no effect: it is larger than mqtt.max_packet_size".to_owned(),
        );
    }
    if usize::try_from(mqtt.max_packet_size).is_ok_and(|size| size > mqtt.max_mqueue_bytes) {
        let limit = format_size(u64::try_from(mqtt.max_mqueue_bytes).unwrap_or(u64::MAX));
        let message = format!(
            "a message larger than mqtt.max_mqueue_bytes ({limit}) cannot wait for its subscriber"
        );
        warn("mqtt.max_packet_size", message);
    }
    if mqtt.session_expiry_interval > mqtt.max_session_expiry_interval {
        warn(
            "mqtt.session_expiry_interval",
            "is bounded by mqtt.max_session_expiry_interval, which is shorter".to_owned(),
        );
    }
    if config.system.max_taskq_thread != 0
        && config.system.num_taskq_thread > config.system.max_taskq_thread
    {
        warn(
            "system.num_taskq_thread",
            "is bounded by system.max_taskq_thread, which is smaller".to_owned(),
        );
    }
    if !config.listeners.all().any(|any| any.common.enable) {
        warn(
            "listeners",
            "no listener is enabled, so no client can connect".to_owned(),
        );
    }
    let auth = &config.auth;
    let knows_nobody = auth.password.is_empty()
        && auth.password_file.as_os_str().is_empty()
        && auth.jwt.public.keyfile.as_os_str().is_empty()
        && auth.http_auth.auth_req.url.is_empty();
    if !auth.allow_anonymous && knows_nobody {
        let message = "nobody is in auth.password and nothing else says who may connect, so that only users of the file \
                       nanomq_passwd may, if it is there";
        warn("auth.allow_anonymous", message.to_owned());
    }
    for (user, _) in config
        .auth
        .password
        .iter()
        .filter(|(user, _)| user.is_empty())
    {
        warn(
            &format!("auth.password.{user}"),
            "a user name that is empty matches no client".to_owned(),
        );
    }
    requests(config, &place, problems);
    super::validate_bridges::all(config, &place, problems);
    listeners(config, &place, problems);
    http(config, &place, problems);
    addresses(config, &place, problems);
}

/// Where the listener or bridge begins that a key is missing in.
fn of_section<'p>(key: &str, places: &'p HashMap<String, Place>) -> Option<&'p Place> {
    let (section, _) = key.rsplit_once('.')?;
    let depth = match section.split('.').next()? {
        "listeners" | "bridges" => section.split('.').count(),
        _ => return None,
    };
    let is_in = |other: &str| {
        depth == 3
            && other
                .strip_prefix(section)
                .is_some_and(|rest| rest.starts_with('.'))
    };
    let within = places.iter().filter(|(other, _)| is_in(other));
    within
        .map(|(_, place)| place)
        .filter(|place| place.line.is_some())
        .min_by_key(|place| (place.file.clone(), place.line, place.column))
}

/// A certificate and its key go together.
fn requests(config: &Config, place: &impl Fn(&str) -> Place, problems: &mut Vec<Problem>) {
    let http = &config.auth.http_auth;
    for (name, request) in [
        ("auth_req", &http.auth_req),
        ("super_req", &http.super_req),
        ("acl_req", &http.acl_req),
    ] {
        let is_set = |file: &Path| !file.as_os_str().is_empty();
        let missing = match (is_set(&request.tls.certfile), is_set(&request.tls.keyfile)) {
            (true, false) => "keyfile",
            (false, true) => "certfile",
            _ => {
                if !request.tls.is_default() && request.url.starts_with("http://") {
                    let key = format!("auth.http_auth.{name}.url");
                    let message = "is not https://, so that the files of tls have no effect";
                    problems.push(place(&key).warning(Some(&key), message));
                }
                continue;
            }
        };
        let key = format!("auth.http_auth.{name}.tls.{missing}");
        let message = "must name a PEM file: a certificate and its key go together";
        problems.push(place(&key).error(Some(&key), message));
    }
}

fn listeners(config: &Config, place: &impl Fn(&str) -> Place, problems: &mut Vec<Problem>) {
    for any in config.listeners.all().filter(|any| any.common.enable) {
        if let Some(websocket) = any.websocket
            && websocket.max_frame_size < u64::from(config.mqtt.max_packet_size)
        {
            let key = any.key("max_frame_size");
            let message = "is smaller than mqtt.max_packet_size: a client that sends a packet in one frame cannot send \
                           the largest";
            problems.push(place(&key).warning(Some(&key), message));
        }
        let Some(tls) = any.tls else {
            continue;
        };
        let mut refuse = |field: &str, message: &str| {
            let key = any.key(field);
            problems.push(place(&key).error(Some(&key), message));
        };
        for (field, file) in [("certfile", &tls.certfile), ("keyfile", &tls.keyfile)] {
            if file.as_os_str().is_empty() {
                refuse(field, "must name a PEM file for a listener over TLS");
            }
        }
        if tls.verify_peer && tls.cacertfile.as_os_str().is_empty() {
            let message =
                "must name the file with the authorities of client certificates for verify_peer";
            refuse("cacertfile", message);
        }
        if !tls.verify_peer {
            for (field, set) in [
                ("fail_if_no_peer_cert", tls.fail_if_no_peer_cert),
                (
                    "peer_cert_as_username",
                    tls.peer_cert_as_username != CertUsername::Disabled,
                ),
            ] {
                if set {
                    let key = any.key(field);
                    let message =
                        "has no effect without verify_peer: clients are asked for no certificate";
                    problems.push(place(&key).warning(Some(&key), message));
                }
            }
        }
    }
}

fn http(config: &Config, place: &impl Fn(&str) -> Place, problems: &mut Vec<Problem>) {
    let http = &config.http_server;
    match http.auth_type {
        _ if !http.enable => return,
        HttpAuth::NoAuth => return,
        HttpAuth::Jwt => {
            if let Err(message) = readable(&http.jwt.public.keyfile) {
                let key = "http_server.jwt.public.keyfile";
                problems.push(place(key).error(Some(key), message));
            }
            return;
        }
        HttpAuth::Basic => {}
    }
    if http.username.is_empty() || http.username.contains(':') {
        let key = "http_server.username";
        let message = "must not be empty or contain a colon when auth_type is basic";
        problems.push(place(key).error(Some(key), message));
    }
    if http.password.expose().is_empty() {
        let key = "http_server.password";
        problems.push(place(key).error(Some(key), "must not be empty when auth_type is basic"));
    }
}

/// Says why a key file cannot be used, as far as that shows without looking at what is in it.
fn readable(keyfile: &Path) -> Result<(), String> {
    if keyfile.as_os_str().is_empty() {
        return Err("must name the file with the public key when auth_type is jwt".to_owned());
    }
    match File::open(keyfile) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{} cannot be read: {error}", keyfile.display())),
    }
}

/// Reports two enabled listeners on one address. Port 0 is a different port each time.
fn addresses(config: &Config, place: &impl Fn(&str) -> Place, problems: &mut Vec<Problem>) {
    let mut taken: HashMap<String, String> = HashMap::new();
    let enabled = config.listeners.all().filter(|any| any.common.enable);
    let mut all: Vec<(String, _)> = enabled
        .map(|any| (any.key("bind"), any.common.bind.clone()))
        .collect();
    if config.http_server.enable
        && let Ok(bind) = config.http_server.bind()
    {
        all.push(("http_server.port".to_owned(), bind));
    }
    for (key, bind) in all.into_iter().filter(|(_, bind)| bind.port() != 0) {
        if let Some(other) = taken.insert(bind.to_string(), key.clone()) {
            problems.push(place(&key).error(
                Some(&key),
                format!("the address {bind} is already that of {other}"),
            ));
        }
    }
}
