//! What a request that succeeded is answered with.

use actix_web::HttpResponse;
use serde::Serialize;

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
