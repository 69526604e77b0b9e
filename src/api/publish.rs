//! `POST /api/v4/mqtt/publish`, one message or a batch.

use std::time::Instant;

use actix_web::{HttpResponse, web::Data};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{
    ApiError, ApiState, answer,
    body::{Body, Fields},
    state::ask,
};
use crate::{
    config::Mqtt,
    messages::{GetConfig, NotStored, PublishMessages},
    mqtt::{
        Message, PropertiesBuf, Property, ProtocolVersion, Publish, QoS, TopicName, publish_len,
    },
    session::check_topic,
};

/// Messages of one request: entries of a batch, each once for each of its topics.
const MOST: usize = 1000;
/// Bytes after which the messages so far are published before more are made.
const PORTION: usize = 1 << 20;
/// The longest text that a property can have.
const TEXT_MAX: usize = 65_535;

/// Publishes a message to one topic or several.
pub async fn publish(state: Data<ApiState>, body: Body) -> Result<HttpResponse, ApiError> {
    let config = ask(&state.config, GetConfig).await?;
    let publication = Publication::read(body.object()?, MOST, &config.mqtt)?;
    send(&state, &[publication]).await?;
    Ok(answer::done())
}

/// Publishes those entries of a batch that can be; each entry is answered for itself.
pub async fn publish_batch(state: Data<ApiState>, body: Body) -> Result<HttpResponse, ApiError> {
    let config = ask(&state.config, GetConfig).await?;
    let mut publications = Vec::new();
    let mut answers = Vec::new();
    let mut left = MOST;
    for entry in body.array(MOST)? {
        let answer = answer::Entry::of(&entry);
        let read =
            Fields::new(entry).and_then(|fields| Publication::read(fields, left, &config.mqtt));
        answers.push(answer.ending(&read));
        if let Ok(publication) = read {
            left = left.saturating_sub(publication.topics.len());
            publications.push(publication);
        }
    }
    send(&state, &publications).await?;
    Ok(answer::batch(answers))
}

/// The messages of a request to publish.
#[cfg(fuzzing)]
pub fn messages_of(fields: Fields, limits: &Mqtt) -> Result<Vec<Message>, ApiError> {
    let publication = Publication::read(fields, MOST, limits)?;
    let topics = publication.topics.iter();
    Ok(topics.map(|topic| publication.message(topic)).collect())
}

/// Has messages published in their order, a portion at a time: the next is made when the workers have kept up with
/// the last.
async fn send(state: &ApiState, publications: &[Publication]) -> Result<(), ApiError> {
    let mut portion = Vec::new();
    let mut bytes = 0;
    for publication in publications {
        let (from, topics) = (&publication.client_id, publication.topics.len());
        log::debug!("http: {from:?} publishes to {topics} topics");
        for topic in &publication.topics {
            let message = publication.message(topic);
            bytes += message.size();
            portion.push(message);
            if bytes >= PORTION {
                bytes = 0;
                let told = PublishMessages(std::mem::take(&mut portion));
                ask(&state.publish, told).await?.map_err(not_stored)?;
            }
        }
    }
    match portion.is_empty() {
        true => Ok(()),
        false => ask(&state.publish, PublishMessages(portion))
            .await?
            .map_err(not_stored),
    }
}

fn not_stored(_: NotStored) -> ApiError {
    ApiError::NotStored
}

/// What a request wants published.
#[derive(Debug)]
struct Publication {
    client_id: String,
    topics: Vec<String>,
    payload: Vec<u8>,
    qos: QoS,
    retain: bool,
    properties: PropertiesBuf,
}

impl Publication {
    /// Reads an entry that may have up to `most` topics; what a client could not publish is refused.
    fn read(mut fields: Fields, most: usize, limits: &Mqtt) -> Result<Self, ApiError> {
        let client_id = fields.text("clientid")?;
        let topics = fields.topics(most)?;
        let payload = payload(&mut fields)?;
        let qos = fields.qos()?;
        let retain = fields.flag("retain")?.unwrap_or(false);
        let properties = match fields.object("properties")? {
            Some(members) => properties(members, &payload, limits)?,
            None => PropertiesBuf::new(),
        };
        if qos as u8 > limits.max_qos {
            return Err(fields.wrong("qos", format_args!("at most {}", limits.max_qos)));
        }
        if retain && !limits.retain_available {
            return Err(fields.wrong("retain", "false, as mqtt.retain_available is"));
        }
        if limits.max_payload_size > 0 && payload.len() > limits.max_payload_size as usize {
            return Err(fields.wrong("payload", "at most mqtt.max_payload_size bytes"));
        }
        for (name, topic) in &topics {
            check_topic(topic, limits).map_err(|refusal| ApiError::IllegalTopic {
                name: name.clone(),
                why: refusal.to_string(),
            })?;
            let packet = Publish {
                dup: false,
                qos,
                retain,
                topic,
                packet_id: None,
                properties: properties.as_properties(),
                payload: &payload,
            };
            if publish_len(&packet, ProtocolVersion::V5) > limits.max_packet_size as usize {
                return Err(fields.wrong("payload", "a packet within mqtt.max_packet_size"));
            }
        }
        Ok(Self {
            client_id: client_id.unwrap_or_else(|| "NanoMQ-HTTP-Client".to_owned()),
            topics: topics.into_iter().map(|(_, topic)| topic).collect(),
            payload,
            qos,
            retain,
            properties,
        })
    }

    fn message(&self, topic: &str) -> Message {
        Message::new(
            topic,
            &self.payload,
            self.qos,
            self.retain,
            self.properties.as_properties(),
            Instant::now(),
        )
    }
}

/// As with NanoMQ, `decoding` says what the payload is decoded from, and `encoding` what it is encoded to then.
fn payload(fields: &mut Fields) -> Result<Vec<u8>, ApiError> {
    let text = fields.required_text("payload")?;
    let from_base64 = is_base64(fields, "decoding")?;
    let to_base64 = is_base64(fields, "encoding")?;
    let payload = match from_base64 {
        false => text.into_bytes(),
        true => STANDARD
            .decode(text)
            .map_err(|error| fields.wrong("payload", format_args!("base64: {error}")))?,
    };
    Ok(match to_base64 {
        false => payload,
        true => STANDARD.encode(payload).into_bytes(),
    })
}

fn is_base64(fields: &mut Fields, name: &str) -> Result<bool, ApiError> {
    match fields.text(name)?.as_deref() {
        None | Some("plain") => Ok(false),
        Some("base64") => Ok(true),
        Some(_) => Err(fields.wrong(name, "one of plain, base64")),
    }
}

/// The properties of a PUBLISH, as a client may send them.
fn properties(
    mut members: Fields,
    payload: &[u8],
    limits: &Mqtt,
) -> Result<PropertiesBuf, ApiError> {
    let mut properties = PropertiesBuf::new();
    if let Some(indicator) = members.number("payload_format_indicator", 0..=1)? {
        if indicator == 1 && std::str::from_utf8(payload).is_err() {
            let expected = "0, as the payload is not UTF-8 [MQTT-3.3.2-4]";
            return Err(members.wrong("payload_format_indicator", expected));
        }
        properties.push(Property::PayloadFormatIndicator(u8::from(indicator == 1)));
    }
    if let Some(seconds) = members.number("message_expiry_interval", 0..=u32::MAX.into())? {
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        properties.push(Property::MessageExpiryInterval(seconds));
    }
    if let Some(topic) = members.text("response_topic")? {
        TopicName::parse(&topic).map_err(|error| ApiError::IllegalTopic {
            name: members.name("response_topic"),
            why: error.to_string(),
        })?;
        properties.push(Property::ResponseTopic(&topic));
    }
    if let Some(data) = members.text("correlation_data")? {
        if data.len() > TEXT_MAX {
            return Err(members.wrong("correlation_data", "at most 65535 bytes"));
        }
        properties.push(Property::CorrelationData(data.as_bytes()));
    }
    if members.has("subscription_identifier") {
        let expected = "none: a publisher has no subscription identifier [MQTT-3.3.4-6]";
        return Err(members.wrong("subscription_identifier", expected));
    }
    if let Some(kind) = members.text("content_type")? {
        check_text(&members, "content_type", &kind)?;
        properties.push(Property::ContentType(&kind));
    }
    if let Some(mut user) = members.object("user_properties")? {
        for (key, value) in user.rest() {
            let value = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                _ => return Err(user.wrong(&key, "a string, a number, true or false")),
            };
            check_text(&members, "user_properties", &key)?;
            check_text(&user, &key, &value)?;
            properties.push(Property::UserProperty(&key, &value));
        }
    }
    if properties.as_properties().iter().count() > limits.max_properties {
        return Err(members.wrong("user_properties", "no more than mqtt.max_properties"));
    }
    Ok(properties)
}

/// `[MQTT-1.5.4-2]`.
fn check_text(fields: &Fields, name: &str, text: &str) -> Result<(), ApiError> {
    match text.len() > TEXT_MAX || text.contains('\0') {
        true => Err(fields.wrong(name, "at most 65535 bytes without U+0000")),
        false => Ok(()),
    }
}
