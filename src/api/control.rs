//! `POST /api/v4/ctrl/{action}`: stopping the broker and starting it again.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use serde_json::json;

use super::{ApiError, ApiState, configuration::error_lines, state::ask};
use crate::messages::{EndLife, Fate};

/// Stops or restarts, whichever the path says, in upper or lower case.
pub async fn act(action: Path<String>, state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    match action.to_ascii_lowercase().as_str() {
        "stop" => stop(state).await,
        "restart" => restart(state).await,
        _ => Err(ApiError::NothingCalled(action.into_inner())),
    }
}

/// `POST /stop`, the path that the specification's example would have.
pub async fn stop(state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    end(&state, Fate::Stop).await
}

/// `POST /restart`, the path of the specification's example.
pub async fn restart(state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    end(&state, Fate::Restart).await
}

async fn end(state: &ApiState, fate: Fate) -> Result<HttpResponse, ApiError> {
    match ask(&state.life, EndLife(fate)).await? {
        // The connection closes with the answer, so that the server need not wait for it when it stops.
        Ok(()) => Ok(HttpResponse::Ok().force_close().json(json!({ "code": 0 }))),
        Err(problems) => Err(ApiError::BadConfig(error_lines(&problems))),
    }
}
