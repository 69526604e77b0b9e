//! The HTTP API v4: one file a resource, all routes on this screen.
//!
//! A handler reads the request, asks an actor by message, and shows the answer. Requests pass through
//! [`authentication`] before any route is looked for, so that a stranger cannot find out which paths exist.
//!
//! Answers are JSON: `{"code":0,"data":..}`, or of an [`ApiError`] `{"code":N,"message":".."}`.

mod access;
mod answer;
mod authentication;
mod body;
mod brokers;
mod clients;
mod clock;
mod connections;
mod endpoints;
mod error;
mod nodes;
mod publish;
mod query;
mod server;
mod state;
mod subscribe;
mod subscriptions;
mod users;

use actix_web::{Route, http::Method, middleware::from_fn, web};

use self::{authentication::authenticate, endpoints::Endpoint};

pub use self::{
    access::{Access, Hashing},
    error::ApiError,
    server::HttpServer,
    state::ApiState,
};

/// Every route, as `GET /api/v4` lists them.
const ENDPOINTS: &[Endpoint] = &[
    get(
        "/brokers/",
        "list_brokers",
        "A list of brokers in the cluster",
        || web::to(brokers::list),
    ),
    get(
        "/nodes/",
        "list_nodes",
        "A list of nodes in the cluster",
        || web::to(nodes::list),
    ),
    get(
        "/clients/",
        "list_clients",
        "A list of clients on current node",
        || web::to(clients::list),
    ),
    get(
        "/clients/:clientid",
        "lookup_client",
        "Lookup a client in the cluster",
        || web::to(clients::one),
    ),
    get(
        "/clients/username/:username",
        "lookup_client_via_username",
        "Lookup a client via username in the cluster",
        || web::to(clients::of_user),
    ),
    get(
        "/subscriptions/",
        "list_subscriptions",
        "A list of subscriptions in the cluster",
        || web::to(subscriptions::list),
    ),
    get(
        "/subscriptions/:clientid",
        "lookup_client_subscriptions",
        "A list of subscriptions of a client",
        || web::to(subscriptions::of_client),
    ),
    post(
        "/mqtt/subscribe",
        "mqtt_subscribe",
        "Subscribe a topic",
        || web::to(subscribe::subscribe),
    ),
    post(
        "/mqtt/publish",
        "mqtt_publish",
        "Publish a MQTT message",
        || web::to(publish::publish),
    ),
    post(
        "/mqtt/unsubscribe",
        "mqtt_unsubscribe",
        "Unsubscribe a topic",
        || web::to(subscribe::unsubscribe),
    ),
    post(
        "/mqtt/subscribe_batch",
        "mqtt_subscribe_batch",
        "Batch subscribes topics",
        || web::to(subscribe::subscribe_batch),
    ),
    post(
        "/mqtt/publish_batch",
        "mqtt_publish_batch",
        "Batch publish MQTT messages",
        || web::to(publish::publish_batch),
    ),
    post(
        "/mqtt/unsubscribe_batch",
        "mqtt_unsubscribe_batch",
        "Batch unsubscribes topics",
        || web::to(subscribe::unsubscribe_batch),
    ),
    get(
        "/users/",
        "list_users",
        "A list of users of the API",
        || web::to(users::list),
    ),
    post("/users/", "add_user", "Add a user of the API", || {
        web::to(users::add)
    }),
    put(
        "/users/:username",
        "update_user",
        "Change the role or description of a user of the API",
        || web::to(users::describe),
    ),
    delete(
        "/users/:username",
        "delete_user",
        "Delete a user of the API",
        || web::to(users::remove),
    ),
    put(
        "/change_pwd/:username",
        "change_password",
        "Change the password of a user of the API",
        || web::to(users::change_password),
    ),
];

/// Puts the API below `/api/v4`.
fn configure(app: &mut web::ServiceConfig) {
    let mut scope = web::scope("/api/v4").default_service(web::to(endpoints::unknown_path));
    for path in ["", "/"] {
        scope = scope.service(endpoints::resource(
            vec![path.to_owned()],
            &[endpoints::LIST],
        ));
    }
    for same_path in ENDPOINTS.chunk_by(|a, b| a.path == b.path) {
        scope = scope.service(endpoints::resource(endpoints::paths(same_path), same_path));
    }
    app.service(scope.wrap(from_fn(authenticate)))
        .default_service(web::to(endpoints::unknown_path));
}

const fn get(
    path: &'static str,
    name: &'static str,
    descr: &'static str,
    route: fn() -> Route,
) -> Endpoint {
    Endpoint {
        path,
        name,
        method: Method::GET,
        descr,
        route,
    }
}

const fn put(
    path: &'static str,
    name: &'static str,
    descr: &'static str,
    route: fn() -> Route,
) -> Endpoint {
    Endpoint {
        path,
        name,
        method: Method::PUT,
        descr,
        route,
    }
}

const fn delete(
    path: &'static str,
    name: &'static str,
    descr: &'static str,
    route: fn() -> Route,
) -> Endpoint {
    Endpoint {
        path,
        name,
        method: Method::DELETE,
        descr,
        route,
    }
}

const fn post(
    path: &'static str,
    name: &'static str,
    descr: &'static str,
    route: fn() -> Route,
) -> Endpoint {
    Endpoint {
        path,
        name,
        method: Method::POST,
        descr,
        route,
    }
}
