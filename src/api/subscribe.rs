//! `POST /api/v4/mqtt/subscribe` and `/unsubscribe`, one or a batch: changes the subscriptions of a client that is
//! connected, or of a session that is kept.

use std::sync::Arc;

use actix_web::{HttpResponse, web::Data};

use super::{
    ApiError, ApiState, answer,
    body::{Body, Fields},
    state::{ask, stored},
};
use crate::{
    config::Mqtt,
    messages::{AdminSubscribe, AdminUnsubscribe, GetConfig},
    mqtt::{ProtocolVersion, QoS, ReasonCode, SubscribeOptions, TopicFilter},
    session::SubscribeRequest,
    store::Outcome,
};

/// Entries of a batch, and filters of an entry.
const MOST: usize = 1000;

/// Subscribes a client as a SUBSCRIBE of its own would.
pub async fn subscribe(state: Data<ApiState>, body: Body) -> Result<HttpResponse, ApiError> {
    enter(&state, body.object()?).await?;
    Ok(answer::done())
}

/// Subscribes clients, one after the other; each entry is answered for itself.
pub async fn subscribe_batch(state: Data<ApiState>, body: Body) -> Result<HttpResponse, ApiError> {
    each(body, async |fields| enter(&state, fields).await).await
}

/// Unsubscribes a client. That it was not subscribed is no error.
pub async fn unsubscribe(state: Data<ApiState>, body: Body) -> Result<HttpResponse, ApiError> {
    remove(&state, body.object()?).await?;
    Ok(answer::done())
}

/// Unsubscribes clients, one after the other; each entry is answered for itself.
pub async fn unsubscribe_batch(
    state: Data<ApiState>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    each(body, async |fields| remove(&state, fields).await).await
}

/// Does what `act` does to each entry of a batch. Only an actor that does not answer ends it early.
async fn each(
    body: Body,
    act: impl AsyncFn(Fields) -> Result<(), ApiError>,
) -> Result<HttpResponse, ApiError> {
    let mut answers = Vec::new();
    for entry in body.array(MOST)? {
        let answer = answer::Entry::of(&entry).with_client(&entry);
        let result = match Fields::new(entry) {
            Ok(fields) => act(fields).await,
            Err(error) => Err(error),
        };
        if result == Err(ApiError::NoAnswer) {
            return Err(ApiError::NoAnswer);
        }
        answers.push(answer.ending(&result));
    }
    Ok(answer::batch(answers))
}

/// Nothing is entered when a filter is illegal; when the client has too many subscriptions, as many as it may have
/// are.
async fn enter(state: &ApiState, mut fields: Fields) -> Result<(), ApiError> {
    let client_id = fields.required_text("clientid")?;
    let topics = fields.topics(MOST)?;
    let qos = fields.qos()?;
    let config = ask(&state.config, GetConfig).await?;
    let requests: Result<Vec<_>, _> = topics
        .iter()
        .map(|(name, topic)| check(name, topic, qos, &config.mqtt))
        .collect();
    let part = Outcome::begin();
    let outcome = part.outcome();
    let ask_for = AdminSubscribe {
        client_id,
        requests: requests?,
        part,
    };
    let answers = ask(&state.subscribe, ask_for).await?;
    let answers = answers.ok_or(ApiError::NoSuchClient)?;
    stored(&outcome).await?;
    for ((name, _), answer) in topics.iter().zip(answers) {
        if answer.code.is_error() {
            return Err(refused(name, answer.code));
        }
    }
    Ok(())
}

fn check(name: &str, topic: &str, qos: QoS, limits: &Mqtt) -> Result<SubscribeRequest, ApiError> {
    let parsed = TopicFilter::parse(topic);
    parsed.map_err(|error| ApiError::IllegalTopic {
        name: name.to_owned(),
        why: error.to_string(),
    })?;
    let options = SubscribeOptions::with_qos(qos);
    SubscribeRequest::check(topic, options, None, ProtocolVersion::V5, limits)
        .map_err(|code| refused(name, code))
}

/// What a SUBACK with this code would say.
fn refused(name: &str, code: ReasonCode) -> ApiError {
    let name = name.to_owned();
    match code {
        ReasonCode::TopicFilterInvalid => ApiError::IllegalTopic {
            name,
            why: "over mqtt.max_topic_length or mqtt.max_topic_levels".to_owned(),
        },
        ReasonCode::QuotaExceeded => ApiError::WrongMember {
            name,
            expected: "no more than mqtt.max_subscriptions subscriptions of the client".to_owned(),
        },
        other => ApiError::WrongMember {
            name,
            expected: format!("a filter the broker allows: {}", other.description()),
        },
    }
}

async fn remove(state: &ApiState, mut fields: Fields) -> Result<(), ApiError> {
    let client_id = fields.required_text("clientid")?;
    let topics = fields.topics(MOST)?;
    let filters: Result<Vec<Arc<str>>, _> = topics
        .into_iter()
        .map(|(name, topic)| match TopicFilter::parse(&topic) {
            Ok(_) => Ok(topic.into()),
            Err(error) => Err(ApiError::IllegalTopic {
                name,
                why: error.to_string(),
            }),
        })
        .collect();
    let part = Outcome::begin();
    let outcome = part.outcome();
    let ask_for = AdminUnsubscribe {
        client_id,
        filters: filters?,
        part,
    };
    let existed = ask(&state.unsubscribe, ask_for).await?;
    existed.ok_or(ApiError::NoSuchClient)?;
    stored(&outcome).await
}
