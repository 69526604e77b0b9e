//! CONNECT: what is accepted, what is refused, and what CONNACK says.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;

use super::will::Will;
use crate::{
    config::Mqtt,
    mqtt::{
        ConnAck, Connect, Packet, Properties, PropertiesBuf, Property, ProtocolVersion, QoS,
        ReasonCode, TopicName, encode, hops, packet_len,
    },
};

/// Bytes of a CONNACK that refuses a client, reason string included.
const LONGEST_REFUSAL: usize = 1024;
/// An expiry interval that stands for "never" `[MQTT-3.1.2.11.2]`.
const NEVER: u32 = u32::MAX;

/// What the client ids of the sessions of bridges begin with; no client may have such a one.
pub const BRIDGE_SESSIONS: &str = "$bridge/";

/// Where a Mosquitto says with a will that its bridge has gone, unless it is configured not to. As what it publishes there,
/// that goes nowhere, and is no reason to refuse the bridge.
const BRIDGE_NOTICES: &str = "$SYS/broker/connection/";

/// What a CONNECT asks for, checked and brought within the broker's limits.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The client's, or the one the broker gave it.
    pub client_id: Arc<str>,
    /// True when the broker gave the client its id `[MQTT-3.1.3-6]`.
    pub assigned: bool,
    /// Protocol version.
    pub version: ProtocolVersion,
    /// The session starts anew `[MQTT-3.1.2-4]`.
    pub clean_start: bool,
    /// User name, if one was given.
    pub username: Option<Arc<str>>,
    /// In seconds, as it holds; 0 for none.
    pub keep_alive: u16,
    /// In seconds; `u32::MAX` for never.
    pub expiry_interval: u32,
    /// Will.
    pub will: Option<Box<Will>>,
    /// The client's receive maximum.
    pub receive_maximum: u16,
    /// Largest packet the client takes, in bytes.
    pub max_packet_size: u32,
    /// Topic aliases the broker may use towards the client.
    pub topic_aliases: u16,
    /// The client wants reason strings `[MQTT-3.1.2-29]`.
    pub problem_information: bool,
    /// Method of enhanced authentication and the last message to the client, if it came in by it `[MQTT-4.12.0-5]`.
    pub authentication: Option<(Box<str>, Vec<u8>)>,
    /// The client is a bridge of another broker, and says so.
    pub from_bridge: bool,
    /// The identity of this broker, which such a one is told.
    pub broker_id: Option<Arc<str>>,
    /// How long such a one with MQTT 3 may be silent before it gets what waits for it.
    pub bridge_silence: Duration,
    /// When what it came in with ends, and its connection with it.
    pub until: Option<Instant>,
    /// What of the above differs from what the client asked for.
    keep_alive_changed: bool,
    expiry_changed: bool,
}

/// Why a CONNECT is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// CONNACK's code; for versions before 5 the codec finds the nearest one.
    pub reason: ReasonCode,
    /// For the log and, in version 5, the reason string.
    pub why: String,
}

impl Refusal {
    /// A refusal with a text for the log.
    pub fn new(reason: ReasonCode, why: impl Into<String>) -> Self {
        Self {
            reason,
            why: why.into(),
        }
    }
}

/// Holds a CONNECT against the limits. `methods` are those of enhanced authentication; `assign_id` makes an id for a client without one.
///
/// # Errors
/// A [`Refusal`] with the code that CONNACK is to carry.
pub fn admit(
    connect: &Connect<'_>,
    limits: &Mqtt,
    methods: &[&str],
    assign_id: impl FnOnce() -> String,
) -> Result<Admission, Refusal> {
    let version = connect.version;
    if !limits.protocol_versions.contains(&version.level()) {
        return Err(Refusal::new(
            ReasonCode::UnsupportedProtocolVersion,
            format!(
                "version {} is not in mqtt.protocol_versions",
                version.level()
            ),
        ));
    }
    if let Some(method) = connect.properties.authentication_method()
        && !methods.contains(&method)
    {
        return Err(Refusal::new(
            ReasonCode::BadAuthenticationMethod,
            "this method of authentication is not known",
        ));
    }
    let count = connect.properties.iter().count()
        + connect
            .will
            .map_or(0, |will| will.properties.iter().count());
    if count > limits.max_properties {
        return Err(Refusal::new(
            ReasonCode::QuotaExceeded,
            format!("{count} properties are more than mqtt.max_properties"),
        ));
    }
    let assigned = connect.client_id.is_empty();
    let client_id: Arc<str> = match assigned {
        false => checked_client_id(connect.client_id, limits)?.into(),
        true => {
            may_be_empty(connect, limits)?;
            assign_id().into()
        }
    };
    let will = connect
        .will
        .filter(|will| !will.topic.starts_with(BRIDGE_NOTICES))
        .map(|will| checked_will(&will, limits).map(Box::new))
        .transpose()?;
    let keep_alive = match limits.max_keepalive {
        0 => connect.keep_alive,
        maximum if connect.keep_alive == 0 => maximum,
        maximum => connect.keep_alive.min(maximum),
    };
    let asked_expiry = match version {
        ProtocolVersion::V5 => connect.properties.session_expiry_interval().unwrap_or(0),
        _ if connect.clean_start => 0,
        _ => limits.session_expiry_interval,
    };
    let expiry_interval = asked_expiry.min(limits.max_session_expiry_interval);
    let asked_aliases = connect.properties.topic_alias_maximum().unwrap_or(0);
    let admission = Admission {
        client_id,
        assigned,
        version,
        clean_start: connect.clean_start,
        username: connect.username.map(Arc::from),
        keep_alive,
        expiry_interval,
        will,
        receive_maximum: connect.properties.receive_maximum().unwrap_or(u16::MAX),
        max_packet_size: connect.properties.maximum_packet_size().unwrap_or(u32::MAX),
        topic_aliases: asked_aliases.min(limits.max_topic_alias_out),
        problem_information: connect.properties.request_problem_information() != Some(0),
        authentication: None,
        from_bridge: connect
            .properties
            .user_properties()
            .any(|(name, _)| name == hops::BROKER_ID),
        broker_id: None,
        bridge_silence: Duration::ZERO,
        until: None,
        keep_alive_changed: keep_alive != connect.keep_alive,
        expiry_changed: expiry_interval != asked_expiry,
    };
    let mut connack = BytesMut::new();
    admission.accept(false, limits, &mut connack);
    if connack.len() > admission.max_packet_size as usize {
        return Err(Refusal::new(
            ReasonCode::PacketTooLarge,
            format!(
                "the client's maximum packet size of {} is less than CONNACK needs",
                admission.max_packet_size
            ),
        ));
    }
    Ok(admission)
}

fn checked_client_id<'a>(client_id: &'a str, limits: &Mqtt) -> Result<&'a str, Refusal> {
    if client_id.len() > usize::from(limits.max_clientid_len) {
        return Err(Refusal::new(
            ReasonCode::ClientIdentifierNotValid,
            format!(
                "client id of {} bytes is longer than mqtt.max_clientid_len",
                client_id.len()
            ),
        ));
    }
    if client_id.starts_with(BRIDGE_SESSIONS) {
        return Err(Refusal::new(
            ReasonCode::ClientIdentifierNotValid,
            format!("client ids that begin with {BRIDGE_SESSIONS} are those of bridges"),
        ));
    }
    Ok(client_id)
}

/// A client id may be left out only for a session that ends with the connection `[MQTT-3.1.3-8]` of 3.1.1; version
/// 3.1 wants one always.
fn may_be_empty(connect: &Connect<'_>, limits: &Mqtt) -> Result<(), Refusal> {
    let allowed = limits.allow_empty_clientid
        && match connect.version {
            ProtocolVersion::V31 => false,
            ProtocolVersion::V311 => connect.clean_start,
            ProtocolVersion::V5 => true,
        };
    match allowed {
        true => Ok(()),
        false => Err(Refusal::new(
            ReasonCode::ClientIdentifierNotValid,
            "empty client id",
        )),
    }
}

fn checked_will(will: &crate::mqtt::Will<'_>, limits: &Mqtt) -> Result<Will, Refusal> {
    let refuse = |reason, why: &str| Err(Refusal::new(reason, why));
    match TopicName::parse(will.topic) {
        Ok(topic) if topic.is_system() => {
            return refuse(ReasonCode::TopicNameInvalid, "will topic starts with $");
        }
        Ok(topic)
            if will.topic.len() > usize::from(limits.max_topic_length)
                || topic.levels().count() > limits.max_topic_levels =>
        {
            return refuse(
                ReasonCode::TopicNameInvalid,
                "will topic exceeds mqtt.max_topic_length or mqtt.max_topic_levels",
            );
        }
        Ok(_) => {}
        Err(_) => return refuse(ReasonCode::TopicNameInvalid, "will topic is not valid"),
    }
    if will.qos as u8 > limits.max_qos {
        return refuse(ReasonCode::QoSNotSupported, "will QoS above mqtt.max_qos");
    }
    if will.retain && !limits.retain_available {
        return refuse(
            ReasonCode::RetainNotSupported,
            "will is retained but mqtt.retain_available is false",
        );
    }
    if limits.max_payload_size > 0 && will.payload.len() > limits.max_payload_size as usize {
        return refuse(
            ReasonCode::PacketTooLarge,
            "will payload larger than mqtt.max_payload_size",
        );
    }
    Ok(Will::new(will))
}

impl Admission {
    /// Writes the CONNACK that accepts the client. Every property in it is what the broker then keeps to.
    pub fn accept(&self, session_present: bool, limits: &Mqtt, wire: &mut BytesMut) {
        let mut properties = PropertiesBuf::default();
        if self.version.is_v5() {
            self.describe(limits, &mut properties);
        }
        if let Some(id) = &self.broker_id
            && self.version.is_v5()
        {
            let mut more = properties.clone();
            more.push(Property::UserProperty(hops::BROKER_ID, id));
            // Left out where it would not fit `[MQTT-3.1.2-24]`; the packet has less than 16 bytes beside it.
            if more.len().saturating_add(16) <= self.max_packet_size as usize {
                properties = more;
            }
        }
        let connack = ConnAck {
            session_present,
            reason: ReasonCode::Success,
            properties: properties.as_properties(),
        };
        // The client id, the one text in it, was shorter than 65,536 bytes when it came.
        let _ = encode(&Packet::ConnAck(connack), self.version, wire);
    }

    fn describe(&self, limits: &Mqtt, properties: &mut PropertiesBuf) {
        if self.expiry_changed {
            properties.push(Property::SessionExpiryInterval(self.expiry_interval));
        }
        properties.push(Property::ReceiveMaximum(limits.receive_maximum));
        if limits.max_qos < QoS::ExactlyOnce as u8 {
            properties.push(Property::MaximumQoS(limits.max_qos));
        }
        if !limits.retain_available {
            properties.push(Property::RetainAvailable(0));
        }
        properties.push(Property::MaximumPacketSize(limits.max_packet_size));
        if self.assigned {
            properties.push(Property::AssignedClientIdentifier(&self.client_id));
        }
        properties.push(Property::TopicAliasMaximum(limits.max_topic_alias));
        properties.push(Property::WildcardSubscriptionAvailable(
            limits.wildcard_subscription_available.into(),
        ));
        properties.push(Property::SubscriptionIdentifierAvailable(
            limits.subscription_identifier_available.into(),
        ));
        properties.push(Property::SharedSubscriptionAvailable(
            limits.shared_subscription_available.into(),
        ));
        if self.keep_alive_changed {
            properties.push(Property::ServerKeepAlive(self.keep_alive));
        }
        if let Some((method, data)) = &self.authentication {
            properties.push(Property::AuthenticationMethod(method));
            properties.push(Property::AuthenticationData(data));
        }
    }

    /// How long the session is kept after the connection ends; none: for ever.
    pub fn expiry(&self) -> Option<Duration> {
        (self.expiry_interval != NEVER)
            .then(|| Duration::from_secs(u64::from(self.expiry_interval)))
    }
}

/// Writes the CONNACK that refuses a client. For one whose version is not known it is that of 3.1.1
/// `[MQTT-3.1.2-2]`, which every client can read. Without its reason string, or not at all, where it would be larger
/// than `max_packet_size`, the client's `[MQTT-3.2.2-19]`.
pub fn refuse(
    refusal: &Refusal,
    version: Option<ProtocolVersion>,
    max_packet_size: u32,
    wire: &mut BytesMut,
) {
    let version = version.unwrap_or(ProtocolVersion::V311);
    let mut reason_string = PropertiesBuf::default();
    if version.is_v5() {
        reason_string.push(Property::ReasonString(&refusal.why));
    }
    let mut connack = ConnAck {
        session_present: false,
        reason: refusal.reason,
        properties: reason_string.as_properties(),
    };
    let most = (max_packet_size as usize).min(LONGEST_REFUSAL);
    if packet_len(&Packet::ConnAck(connack), version) > most {
        connack.properties = Properties::EMPTY;
    }
    if packet_len(&Packet::ConnAck(connack), version) <= most {
        // Short enough for any encoding.
        let _ = encode(&Packet::ConnAck(connack), version, wire);
    }
}
