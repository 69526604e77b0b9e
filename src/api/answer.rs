//! What a request that succeeded is answered with.

use actix_web::HttpResponse;
use serde::Serialize;
use serde_json::{Value, json};

use super::ApiError;

/// `{"code":0,"data":..}`, with `meta` for a page of a list.
#[derive(Serialize)]
struct Answer<T> {
    code: u16,
    data: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<Meta>,
}

/// Which page of a list this is.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Meta {
    /// Its number, from 1 on.
    pub page: usize,
    /// Rows on a full page.
    pub limit: usize,
    /// Rows on all pages.
    pub count: usize,
    /// True when there is another page after it.
    pub hasnext: bool,
}

/// 200 with `data`.
pub fn data<T: Serialize>(data: T) -> HttpResponse {
    page(data, None)
}

/// 200 with one page of a list, or the whole where there is no `meta`.
pub fn page<T: Serialize>(data: T, meta: Option<Meta>) -> HttpResponse {
    HttpResponse::Ok().json(Answer {
        code: 0,
        data,
        meta,
    })
}

/// 200 with `{"code":0}`.
pub fn done() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "code": 0 }))
}

/// What became of one entry of a batch.
#[derive(Serialize)]
pub struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    clientid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl Entry {
    /// An entry that names what it is about as the request did.
    pub fn of(entry: &Value) -> Self {
        let text = |name| entry.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            clientid: None,
            topic: text("topic").or_else(|| text("topics")),
            code: 0,
            message: None,
        }
    }

    /// The same entry with the client it is about.
    #[must_use]
    pub fn with_client(mut self, entry: &Value) -> Self {
        self.clientid = entry["clientid"].as_str().map(str::to_owned);
        self
    }

    /// The same entry after it failed, if it did.
    #[must_use]
    pub fn ending<T>(mut self, result: &Result<T, ApiError>) -> Self {
        if let Err(error) = result {
            self.code = error.code();
            self.message = Some(error.to_string());
        }
        self
    }
}

/// 200 with what became of each entry of a batch: each has a code of its own.
pub fn batch(entries: Vec<Entry>) -> HttpResponse {
    #[derive(Serialize)]
    struct Batch {
        data: Vec<Entry>,
        code: u16,
    }
    HttpResponse::Ok().json(Batch {
        data: entries,
        code: 0,
    })
}
