//! `GET /api/v4/brokers`.

use std::time::SystemTime;

use actix_web::{HttpResponse, web::Data};
use serde::Serialize;

use super::{ApiError, ApiState, answer, clock, state::ask};
use crate::messages::GetStats;

/// A broker as the list shows it.
#[derive(Serialize)]
struct Row {
    datetime: String,
    node_status: &'static str,
    sysdescr: &'static str,
    uptime: String,
    version: &'static str,
}

/// This broker, the only one there is.
pub async fn list(state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    let stats = ask(&state.stats, GetStats).await?;
    Ok(answer::data([Row {
        datetime: clock::local_time(SystemTime::now()),
        node_status: "Running",
        sysdescr: "NanoMQ Broker",
        uptime: clock::uptime(stats.uptime),
        version: env!("CARGO_PKG_VERSION"),
    }]))
}
