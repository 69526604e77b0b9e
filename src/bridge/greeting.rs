//! CONNECT as a bridge says it, and what the remote's CONNACK means for the connection.

use bytes::BytesMut;

use crate::{
    config::{BridgeConfig, MAX_PACKET_SIZE, Mqtt},
    mqtt::{
        ConnAck, Connect, EncodeError, Packet, PropertiesBuf, Property, ProtocolVersion, QoS,
        ReasonCode, Will, encode, hops, set_bridge_bit,
    },
};

/// Who greets, and how.
#[derive(Clone, Copy, Debug)]
pub struct Greeting<'a> {
    /// The bridge.
    pub config: &'a BridgeConfig,
    /// Limits of this broker.
    pub limits: &'a Mqtt,
    /// Client identifier at the remote.
    pub client_id: &'a str,
    /// The identity of this broker.
    pub own_id: &'a str,
    /// The remote has not been connected to since the bridge was made.
    pub first: bool,
    /// With MQTT 3: the bit that brokers know bridges by.
    pub bridge_bit: bool,
}

/// What the remote has agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// It has gone on with a session.
    pub session_present: bool,
    /// Most messages with QoS 1 and 2 unacknowledged.
    pub window: u16,
    /// Largest packet that it takes.
    pub max_packet_size: u32,
    /// Topic aliases that may be set towards it.
    pub topic_aliases: u16,
    /// Highest QoS.
    pub max_qos: QoS,
    /// Whether it takes retained messages.
    pub retain_available: bool,
    /// Whether subscriptions may have an identifier.
    pub subscription_identifiers: bool,
    /// Keep alive in seconds.
    pub keep_alive: u16,
    /// Its identity, if it is a broker like this one.
    pub remote_id: Option<Box<str>>,
}

/// The version that a bridge speaks.
pub fn version(config: &BridgeConfig) -> ProtocolVersion {
    match config.proto_ver {
        3 => ProtocolVersion::V31,
        4 => ProtocolVersion::V311,
        _ => ProtocolVersion::V5,
    }
}

/// Most messages of the remote with QoS 1 and 2 that are handled at once.
pub fn receive_maximum(config: &BridgeConfig) -> u16 {
    match version(config) {
        ProtocolVersion::V5 => config
            .max_recv_queue_len
            .min(config.conn_properties.receive_maximum),
        // Nobody tells the remote.
        _ => u16::MAX,
    }
}

/// The largest packet of the remote that is taken.
pub fn max_packet_size(config: &BridgeConfig, limits: &Mqtt) -> u32 {
    match config.conn_properties.maximum_packet_size {
        0 => limits.max_packet_size,
        size => size,
    }
}

impl Greeting<'_> {
    /// Writes CONNECT.
    ///
    /// # Errors
    /// When something in the configuration is too long for it.
    pub fn write(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        let config = self.config;
        let version = version(config);
        let (mut properties, mut will_properties) = Default::default();
        if version.is_v5() {
            self.properties(&mut properties);
            describe_will(config, &mut will_properties);
        }
        let will = (!config.will.topic.is_empty()).then(|| Will {
            topic: &config.will.topic,
            payload: config.will.payload.as_bytes(),
            qos: QoS::from_bits(config.will.qos).unwrap_or_default(),
            retain: config.will.retain,
            properties: will_properties.as_properties(),
        });
        let password = config.password.expose();
        let connect = Connect {
            version,
            clean_start: match version {
                ProtocolVersion::V5 => config.clean_start && self.first,
                _ => config.clean_start,
            },
            keep_alive: config.keepalive,
            client_id: self.client_id,
            username: (!config.username.is_empty()).then_some(&config.username),
            password: (!password.is_empty()).then_some(password.as_bytes()),
            will,
            properties: properties.as_properties(),
        };
        let begin = out.len();
        encode(&Packet::Connect(connect), version, out)?;
        if self.bridge_bit && !version.is_v5() {
            set_bridge_bit(out.get_mut(begin..).unwrap_or_default());
        }
        Ok(())
    }

    fn properties(&self, out: &mut PropertiesBuf) {
        let asked = &self.config.conn_properties;
        if asked.session_expiry_interval > 0 {
            out.push(Property::SessionExpiryInterval(
                asked.session_expiry_interval,
            ));
        }
        let receive_maximum = receive_maximum(self.config);
        if receive_maximum < u16::MAX {
            out.push(Property::ReceiveMaximum(receive_maximum));
        }
        let size = max_packet_size(self.config, self.limits);
        out.push(Property::MaximumPacketSize(size));
        if asked.topic_alias_maximum > 0 {
            out.push(Property::TopicAliasMaximum(asked.topic_alias_maximum));
        }
        if asked.request_response_information == 1 {
            out.push(Property::RequestResponseInformation(1));
        }
        if asked.request_problem_information == 0 {
            out.push(Property::RequestProblemInformation(0));
        }
        for (name, value) in &asked.user_property {
            out.push(Property::UserProperty(name, value));
        }
        out.push(Property::UserProperty(hops::BROKER_ID, self.own_id));
    }
}

fn describe_will(config: &BridgeConfig, out: &mut PropertiesBuf) {
    let will = &config.will.properties;
    if will.payload_format_indicator == 1 {
        out.push(Property::PayloadFormatIndicator(1));
    }
    if will.message_expiry_interval > 0 {
        out.push(Property::MessageExpiryInterval(
            will.message_expiry_interval,
        ));
    }
    if !will.content_type.is_empty() {
        out.push(Property::ContentType(&will.content_type));
    }
    if !will.response_topic.is_empty() {
        out.push(Property::ResponseTopic(&will.response_topic));
    }
    if !will.correlation_data.is_empty() {
        out.push(Property::CorrelationData(will.correlation_data.as_bytes()));
    }
    if will.will_delay_interval > 0 {
        out.push(Property::WillDelayInterval(will.will_delay_interval));
    }
    for (name, value) in &will.user_property {
        out.push(Property::UserProperty(name, value));
    }
}

impl Accepted {
    /// What a CONNACK means.
    ///
    /// # Errors
    /// The code with which the remote refuses.
    pub fn read(
        connack: &ConnAck<'_>,
        config: &BridgeConfig,
        limits: &Mqtt,
    ) -> Result<Self, ReasonCode> {
        if connack.reason.is_error() {
            return Err(connack.reason);
        }
        let said = connack.properties;
        let remote_id = said
            .user_properties()
            .find(|(name, _)| *name == hops::BROKER_ID)
            .map(|(_, id)| id.into());
        let receive_maximum = said.receive_maximum().unwrap_or(u16::MAX).max(1);
        Ok(Self {
            session_present: connack.session_present,
            window: receive_maximum.min(config.inflight_window()),
            max_packet_size: said
                .maximum_packet_size()
                .unwrap_or(u32::MAX)
                .min(MAX_PACKET_SIZE.saturating_add(5)),
            topic_aliases: said
                .topic_alias_maximum()
                .unwrap_or(0)
                .min(limits.max_topic_alias_out),
            max_qos: said
                .maximum_qos()
                .and_then(QoS::from_bits)
                .unwrap_or(QoS::ExactlyOnce),
            retain_available: said.retain_available() != Some(0),
            subscription_identifiers: said.subscription_identifier_available() != Some(0),
            keep_alive: said.server_keep_alive().unwrap_or(config.keepalive),
            remote_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Secret,
        mqtt::{Properties, connect_is_bridge, decode, frame_header},
    };

    fn limits() -> Mqtt {
        Mqtt {
            max_topic_alias_out: 5,
            ..Mqtt::default()
        }
    }

    fn written(config: &BridgeConfig, first: bool, bridge_bit: bool) -> BytesMut {
        let greeting = Greeting {
            config,
            limits: &limits(),
            client_id: "me",
            own_id: "id",
            first,
            bridge_bit,
        };
        let mut out = BytesMut::new();
        greeting.write(&mut out).unwrap();
        out
    }

    fn read(bytes: &[u8]) -> (Connect<'_>, bool) {
        let header = frame_header(bytes, u32::MAX).unwrap().unwrap();
        let body = &bytes[header.header_len..];
        match decode(ProtocolVersion::V5, header.first_byte, body).unwrap() {
            Packet::Connect(connect) => (connect, connect_is_bridge(body)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn connect_says_what_the_configuration_does() {
        let mut config = BridgeConfig {
            proto_ver: 5,
            clean_start: true,
            keepalive: 7,
            username: "u".to_owned(),
            password: Secret::new("p"),
            ..BridgeConfig::default()
        };
        config.will.topic = "gone".to_owned();
        config.will.qos = 1;
        config.will.properties.will_delay_interval = 3;
        config.conn_properties.topic_alias_maximum = 9;
        let name = "k".to_owned();
        config
            .conn_properties
            .user_property
            .insert(name, "v".to_owned());
        let bytes = written(&config, true, true);
        let (connect, is_bridge) = read(&bytes);
        assert!(connect.clean_start && !is_bridge);
        assert_eq!((connect.client_id, connect.keep_alive), ("me", 7));
        assert_eq!(
            (connect.username, connect.password),
            (Some("u"), Some(&b"p"[..]))
        );
        let will = connect.will.unwrap();
        assert_eq!((will.topic, will.qos), ("gone", QoS::AtLeastOnce));
        assert_eq!(will.properties.will_delay_interval(), Some(3));
        let said = connect.properties;
        assert_eq!(said.session_expiry_interval(), Some(604_800));
        assert_eq!(said.receive_maximum(), Some(1024));
        assert_eq!(said.topic_alias_maximum(), Some(9));
        assert_eq!(said.maximum_packet_size(), Some(1 << 20));
        let user: Vec<_> = said.user_properties().collect();
        assert_eq!(user, [("k", "v"), (hops::BROKER_ID, "id")]);
        assert!(!read(&written(&config, false, false)).0.clean_start);

        config.proto_ver = 4;
        for bit in [false, true] {
            let bytes = written(&config, false, bit);
            let (connect, is_bridge) = read(&bytes);
            assert_eq!(is_bridge, bit);
            assert!(connect.clean_start && connect.properties.is_empty());
            assert_eq!(connect.version, ProtocolVersion::V311);
        }
    }

    #[test]
    fn connack_sets_the_terms() {
        let config = BridgeConfig {
            proto_ver: 5,
            max_inflight_window: 100,
            ..BridgeConfig::default()
        };
        let connack = |properties| ConnAck {
            session_present: true,
            reason: ReasonCode::Success,
            properties,
        };
        let plain = Accepted::read(&connack(Properties::EMPTY), &config, &limits()).unwrap();
        assert_eq!(plain.window, 100);
        assert_eq!(plain.max_qos, QoS::ExactlyOnce);
        assert!(plain.session_present && plain.retain_available && plain.topic_aliases == 0);
        assert_eq!((plain.keep_alive, plain.remote_id), (60, None));
        let mut said = PropertiesBuf::default();
        for property in [
            Property::ReceiveMaximum(3),
            Property::MaximumQoS(1),
            Property::RetainAvailable(0),
            Property::MaximumPacketSize(50),
            Property::TopicAliasMaximum(10),
            Property::ServerKeepAlive(2),
            Property::SubscriptionIdentifierAvailable(0),
            Property::UserProperty(hops::BROKER_ID, "other"),
        ] {
            said.push(property);
        }
        let strict = Accepted::read(&connack(said.as_properties()), &config, &limits());
        let expected = Accepted {
            session_present: true,
            window: 3,
            max_packet_size: 50,
            topic_aliases: 5,
            max_qos: QoS::AtLeastOnce,
            retain_available: false,
            subscription_identifiers: false,
            keep_alive: 2,
            remote_id: Some("other".into()),
        };
        assert_eq!(strict, Ok(expected));
        let refused = ConnAck {
            session_present: false,
            reason: ReasonCode::NotAuthorized,
            properties: Properties::EMPTY,
        };
        let refused = Accepted::read(&refused, &config, &limits());
        assert_eq!(refused, Err(ReasonCode::NotAuthorized));
    }
}
