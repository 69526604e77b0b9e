//! `GET /api/v4/openapi.json`, which describes the API for programs, and `GET /api/v4/docs`, the same for people.
//!
//! Both are made from the table of routes, from what [`operations`] says of each route, and from [`schemas`].

mod document;
mod operations;
mod page;
mod schemas;

use std::sync::LazyLock;

use actix_web::{HttpResponse, http::header::ContentType};
use serde_json::Value;

/// The same for every request.
static DOCUMENT: LazyLock<Value> = LazyLock::new(document::build);

/// The description as OpenAPI 3.1.
pub async fn show() -> HttpResponse {
    HttpResponse::Ok().json(&*DOCUMENT)
}

/// The description as a page that needs nothing else.
pub async fn show_page() -> HttpResponse {
    static PAGE: LazyLock<String> = LazyLock::new(|| page::render(&DOCUMENT));
    HttpResponse::Ok()
        .content_type(ContentType::html())
        .body(PAGE.as_str())
}
