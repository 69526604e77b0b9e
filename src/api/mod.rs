//! The HTTP API v4: one file a resource, all routes on this screen.
//!
//! A handler reads the request, asks an actor by message, and shows the answer. Requests pass through
//! `authentication` before any route is looked for, so that a stranger cannot find out which paths exist.
//!
//! Answers are JSON: `{"code":0,"data":..}`, or of an [`ApiError`] `{"code":N,"message":".."}`.

mod access;
mod acl;
mod answer;
mod auth_username;
mod authentication;
mod body;
mod bridges;
mod brokers;
mod client_session;
mod clients;
mod clock;
mod configuration;
mod connections;
mod control;
mod endpoints;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod health;
mod listeners;
mod listing;
mod nodes;
mod openapi;
mod prometheus;
mod publish;
mod query;
mod retained;
mod routes;
mod server;
mod state;
mod statistics;
mod subscribe;
mod subscriptions;
mod topic_tree;
mod users;

use actix_web::{middleware::from_fn, web};

use self::{authentication::authenticate, endpoints::Endpoint, routes::ENDPOINTS};

pub use self::{
    access::{Access, Hashing},
    error::ApiError,
    server::HttpServer,
    state::ApiState,
};

/// What all paths begin with.
const PREFIX: &str = "/api/v4";

/// Puts the API in its place. Whether the broker is healthy may be asked without credentials.
fn configure(app: &mut web::ServiceConfig) {
    let mut scope = web::scope(PREFIX).default_service(web::to(endpoints::unknown_path));
    for path in ["", "/"] {
        scope = scope.service(endpoints::resource(
            vec![path.to_owned()],
            &[&endpoints::LIST],
        ));
    }
    for (index, endpoint) in ENDPOINTS.iter().enumerate() {
        let path = endpoint.path;
        if ENDPOINTS.iter().position(|other| other.path == path) != Some(index) {
            continue;
        }
        let of_path = ENDPOINTS.iter().filter(|other| other.path == path);
        let of_path: Vec<&Endpoint> = of_path.collect();
        let patterns = endpoints::paths(path);
        if path == health::PATH {
            let patterns = patterns.iter().map(|below| format!("{PREFIX}{below}"));
            app.service(endpoints::resource(patterns.collect(), &of_path));
        } else {
            scope = scope.service(endpoints::resource(patterns, &of_path));
        }
    }
    app.service(scope.wrap(from_fn(authenticate)))
        .default_service(web::to(endpoints::unknown_path));
}
