//! `/api/v4/retained`: the retained messages.
//!
//! They are asked for page by page, so that neither a long list nor a removal keeps those who wait for the same
//! actor from being served.

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web::Data};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;

use super::{
    ApiError, ApiState,
    answer::{self, Meta},
    query::Parameters,
    state::{ask, stored},
};
use crate::{
    messages::{RemoveRetained, RetainedPagesRequest},
    mqtt::{Message, TopicFilter},
    routing::RetainedCursor,
    store::Outcome,
};

/// Messages that the actor is asked for at once.
const PAGE: usize = 1024;
/// Messages shown unless `_limit` says otherwise, and the most it may say.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 10_000;
/// Bytes of payloads in one answer; the payloads that would exceed it are left out.
const MAX_PAYLOADS: usize = 16 << 20;

/// A retained message as the list shows it.
#[derive(Serialize)]
struct Row<'a> {
    topic: &'a str,
    qos: u8,
    /// None when it was not asked for, or does not fit.
    payload: Option<String>,
    /// How `payload` is to be read: `text`, `base64`, or `none`.
    payload_encoding: &'static str,
    /// Bytes.
    payload_size: usize,
    /// Seconds until it expires; none: it does not.
    expires_in: Option<u64>,
}

/// The values of `payload`.
#[derive(Clone, Copy, Debug)]
enum Encoding {
    /// As it is where it is UTF-8, else as base64.
    Text,
    Base64,
    /// Left out.
    None,
}

impl Encoding {
    fn apply(self, payload: &[u8]) -> (Option<String>, &'static str) {
        match (self, std::str::from_utf8(payload)) {
            (Self::None, _) => (None, "none"),
            (Self::Text, Ok(text)) => (Some(text.to_owned()), "text"),
            (Self::Text, Err(_)) | (Self::Base64, _) => (Some(STANDARD.encode(payload)), "base64"),
        }
    }
}

/// The messages that match `topic`, in the order of their topics. Those of the broker itself, below `$SYS`, are
/// among them only if the filter begins so.
pub async fn list(request: HttpRequest, state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    let mut parameters = Parameters::once(request.query_string())?;
    let cursor = match read_filter(&mut parameters)? {
        Some(filter) => RetainedCursor::new(&filter),
        None => RetainedCursor::new("#"),
    };
    let encodings = [
        ("text", Encoding::Text),
        ("base64", Encoding::Base64),
        ("none", Encoding::None),
    ];
    let encoding = parameters.one_of("payload", &encodings)?;
    let page = parameters.number_in("_page", 1..=usize::MAX)?.unwrap_or(1);
    let limit = parameters.number_in("_limit", 1..=MAX_LIMIT)?;
    parameters.finish()?;
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    let end = page.saturating_mul(limit);

    let mut count = 0;
    let mut messages: Vec<Message> = Vec::new();
    let mut next = Some(cursor);
    while let Some(cursor) = next {
        let ask_for = RetainedPagesRequest {
            cursors: vec![cursor],
            limit: PAGE,
            max_bytes: usize::MAX,
        };
        let found = ask(&state.retained, ask_for).await?;
        for message in found.pages.into_iter().flatten() {
            if count >= end - limit && count < end {
                messages.push(message);
            }
            count += 1;
        }
        next = found.next;
    }
    let meta = Meta {
        page,
        limit,
        count,
        hasnext: end < count,
    };
    let rows = rows(&messages, encoding.unwrap_or(Encoding::Text));
    Ok(answer::page(rows, Some(meta)))
}

fn rows(messages: &[Message], encoding: Encoding) -> Vec<Row<'_>> {
    let now = Instant::now();
    let mut room = MAX_PAYLOADS;
    let mut rows = Vec::with_capacity(messages.len());
    for message in messages {
        let view = message.view();
        let left = room.checked_sub(view.payload.len());
        let encoding = left.map_or(Encoding::None, |_| encoding);
        room = left.unwrap_or(room);
        let (payload, payload_encoding) = encoding.apply(view.payload);
        let expires_in = |at: Instant| at.saturating_duration_since(now).as_secs();
        rows.push(Row {
            topic: view.topic,
            qos: view.qos as u8,
            payload,
            payload_encoding,
            payload_size: view.payload.len(),
            expires_in: view.expires_at.map(expires_in),
        });
    }
    rows
}

/// Removes the messages that match `topic`.
pub async fn remove(request: HttpRequest, state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    let mut parameters = Parameters::once(request.query_string())?;
    let filter = read_filter(&mut parameters)?;
    parameters.finish()?;
    let filter = filter.ok_or(ApiError::MissingParameter("topic"))?;
    if filter.starts_with("$SYS") {
        return Err(illegal("what is below $SYS belongs to the broker"));
    }
    let mut removed = 0;
    let mut next = Some(RetainedCursor::new(&filter));
    let part = Outcome::begin();
    while let Some(cursor) = next {
        let ask_for = RemoveRetained {
            cursor,
            limit: PAGE,
            part: part.another(),
        };
        let page = ask(&state.remove_retained, ask_for).await?;
        removed += page.removed;
        next = page.next;
    }
    let outcome = part.outcome();
    part.keep();
    stored(&outcome).await?;
    log::info!("http: {removed} retained messages removed that match {filter:?}");
    Ok(answer::data(Removed { deleted: removed }))
}

#[derive(Serialize)]
struct Removed {
    deleted: usize,
}

fn read_filter(parameters: &mut Parameters) -> Result<Option<String>, ApiError> {
    let Some(text) = parameters.text("topic") else {
        return Ok(None);
    };
    let literal = TopicFilter::parse(text.literal());
    // A plus sign that cannot be a wildcard where it stands was a space.
    let spaced = text
        .spaced()
        .map(|spaced| (spaced, TopicFilter::parse(spaced)));
    let (filter, parsed) = match (literal, spaced) {
        (Err(_), Some((spaced, Ok(parsed)))) => (spaced, parsed),
        (literal, _) => (
            text.literal(),
            literal.map_err(|error| illegal(&error.to_string()))?,
        ),
    };
    match parsed.share() {
        Some(_) => Err(illegal("a shared subscription gets no retained messages")),
        None => Ok(Some(filter.to_owned())),
    }
}

fn illegal(why: &str) -> ApiError {
    ApiError::IllegalTopic {
        name: "topic".to_owned(),
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::{Properties, QoS};

    #[test]
    fn payloads_that_do_not_fit_are_left_out() {
        let message = |size: usize| {
            let payload = vec![b'x'; size];
            Message::new(
                "t",
                &payload,
                QoS::AtLeastOnce,
                true,
                Properties::EMPTY,
                Instant::now(),
            )
        };
        let sizes = [MAX_PAYLOADS - 2, 3, 2, 1];
        let messages: Vec<Message> = sizes.into_iter().map(message).collect();
        let rows = rows(&messages, Encoding::Text);
        let shown: Vec<(&str, usize)> = rows
            .iter()
            .map(|row| (row.payload_encoding, row.payload_size))
            .collect();
        let expected = ["text", "none", "text", "none"].into_iter().zip(sizes);
        assert_eq!(shown, expected.collect::<Vec<_>>());
    }
}
