//! `GET /api/v4/nodes`.

use actix_web::{HttpResponse, web::Data};
use serde::Serialize;

use super::{ApiError, ApiState, answer, clock, state::ask};
use crate::messages::GetStats;

/// A node as the list shows it.
#[derive(Serialize)]
struct Row {
    /// Clients connected now.
    connections: u64,
    node_status: &'static str,
    uptime: String,
    version: &'static str,
}

/// This node, the only one there is.
pub async fn list(state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    let stats = ask(&state.stats, GetStats).await?;
    Ok(answer::data([Row {
        connections: stats.connections,
        node_status: "Running",
        uptime: clock::uptime(stats.uptime),
        version: env!("CARGO_PKG_VERSION"),
    }]))
}
