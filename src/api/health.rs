//! `GET /api/v4/health`, for who watches over the broker. It needs no credentials and says nothing but whether the
//! broker serves.

use std::sync::atomic::Ordering;

use actix_web::{HttpResponse, web::Data};
use serde::Serialize;

use super::{ApiError, ApiState, answer, state::ask};
use crate::messages::GetStats;

/// Its path below `/api/v4`.
pub const PATH: &str = "/health/";

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

/// 200 while the broker runs and its actors answer; 503 from the moment when it begins to stop.
pub async fn show(state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    if state.stopping.load(Ordering::Acquire) {
        return Err(ApiError::Stopping);
    }
    ask(&state.stats, GetStats).await?;
    Ok(answer::data(Health { status: "running" }))
}
