//! Every route on one screen.

use actix_web::{Route, http::Method, web};

use super::{
    acl, auth_username, bridges, brokers, client_session, clients, configuration, control,
    endpoints::Endpoint, health, listeners, nodes, openapi, prometheus, publish, retained,
    statistics, subscribe, subscriptions, topic_tree, users,
};

/// Every route, as `GET /api/v4` lists them.
pub(super) const ENDPOINTS: &[Endpoint] = &[
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
    get(
        "/topic-tree/",
        "list_topic-tree",
        "A list of topic-tree in the cluster",
        || web::to(topic_tree::show),
    ),
    get(
        "/configuration/",
        "get_broker_configuration",
        "show broker configuration",
        || web::to(configuration::show),
    ),
    post(
        "/configuration/",
        "set_broker_configuration",
        "set broker configuration",
        || web::to(configuration::change),
    ),
    post(
        "/ctrl/:action",
        "ctrl_broker",
        "Control broker stop or restart",
        || web::to(control::act),
    ),
    // Configuration and control beyond the specification.
    get(
        "/configuration/:section",
        "get_configuration_section",
        "show a section of the broker configuration",
        || web::to(configuration::show_section),
    ),
    post(
        "/configuration/:section",
        "set_configuration_section",
        "set a section of the broker configuration",
        || web::to(configuration::change_section),
    ),
    post(
        "/config_update",
        "update_config_file",
        "replace the configuration file",
        || web::to(configuration::replace),
    ),
    get(
        "/reload",
        "get_reload_config",
        "show the configuration that can change while running",
        || web::to(configuration::show_reloadable),
    ),
    post(
        "/reload",
        "reload_config",
        "read the configuration anew, or change it until then",
        || web::to(configuration::reload),
    ),
    post("/stop", "stop_broker", "Stop the broker", || {
        web::to(control::stop)
    }),
    post("/restart", "restart_broker", "Restart the broker", || {
        web::to(control::restart)
    }),
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
        "/metrics/",
        "get_metrics",
        "CPU, memory and connections",
        || web::to(statistics::metrics),
    ),
    get(
        "/prometheus/",
        "get_prometheus",
        "Metrics in the text format of Prometheus",
        || web::to(prometheus::show),
    ),
    get("/stats/", "get_stats", "Counters, sizes and rates", || {
        web::to(statistics::stats)
    }),
    get(
        "/slow_clients/",
        "list_slow_clients",
        "The clients with the longest queues",
        || web::to(client_session::slow),
    ),
    get(
        "/listeners/",
        "list_listeners",
        "A list of listeners",
        || web::to(listeners::list),
    ),
    get(
        health::PATH,
        "get_health",
        "Whether the broker runs; needs no credentials",
        || web::to(health::show),
    ),
    get(
        "/retained/",
        "list_retained",
        "A list of retained messages",
        || web::to(retained::list),
    ),
    delete(
        "/retained/",
        "delete_retained",
        "Remove retained messages",
        || web::to(retained::remove),
    ),
    delete(
        "/clients/:clientid",
        "kick_client",
        "Disconnect a client, or end its session",
        || web::to(client_session::kick),
    ),
    get(
        "/clients/:clientid/inflight",
        "lookup_client_inflight",
        "The unacknowledged messages of a client",
        || web::to(client_session::inflight),
    ),
    get(
        "/clients/:clientid/mqueue",
        "lookup_client_mqueue",
        "The queue of a client",
        || web::to(client_session::queue),
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
    get(
        "/auth_username/",
        "list_auth_username",
        "A list of the users that clients log in as",
        || web::to(auth_username::list),
    ),
    get(
        "/auth_username/:username",
        "lookup_auth_username",
        "Lookup a user that clients log in as",
        || web::to(auth_username::one),
    ),
    post(
        "/auth_username/",
        "add_auth_username",
        "Add a user that clients log in as",
        || web::to(auth_username::add),
    ),
    put(
        "/auth_username/:username",
        "update_auth_username",
        "Change the password of a user that clients log in as",
        || web::to(auth_username::set_password),
    ),
    delete(
        "/auth_username/:username",
        "delete_auth_username",
        "Delete a user that clients log in as",
        || web::to(auth_username::remove),
    ),
    get("/bridges/", "list_bridges", "A list of bridges", || {
        web::to(bridges::list)
    }),
    post("/bridges/", "add_bridge", "Add a bridge", || {
        web::to(bridges::add)
    }),
    get("/bridges/:name", "get_bridge", "Lookup a bridge", || {
        web::to(bridges::one)
    }),
    put(
        "/bridges/:name",
        "update_bridge",
        "Update the configuration of a bridge",
        || web::to(bridges::replace),
    ),
    delete("/bridges/:name", "delete_bridge", "Delete a bridge", || {
        web::to(bridges::remove)
    }),
    post(
        "/bridges/sub/:name",
        "bridge_subscribe",
        "Subscribe a bridge to topics of the remote",
        || web::to(bridges::subscribe),
    ),
    post(
        "/bridges/unsub/:name",
        "bridge_unsubscribe",
        "Unsubscribe a bridge from topics of the remote",
        || web::to(bridges::unsubscribe),
    ),
    post(
        "/bridges/switch/:name",
        "switch_bridge",
        "Switch a bridge on or off",
        || web::to(bridges::switch),
    ),
    get("/acl/", "get_acl", "What clients may do", || {
        web::to(acl::show)
    }),
    put("/acl/", "set_acl", "Replace the rules of the ACL", || {
        web::to(acl::replace)
    }),
    post(
        "/acl/test",
        "test_acl",
        "Which rule decides whether a client may do something",
        || web::to(acl::test),
    ),
    get(
        "/openapi.json",
        "get_openapi",
        "This API, described for programs (OpenAPI)",
        || web::to(openapi::show),
    ),
    get(
        "/docs/",
        "get_docs",
        "This API, described on a page",
        || web::to(openapi::show_page),
    ),
];

const fn get(
    path: &'static str,
    name: &'static str,
    descr: &'static str,
    route: fn() -> Route,
) -> Endpoint {
    endpoint(Method::GET, path, name, descr, route)
}

const fn post(
    path: &'static str,
    name: &'static str,
    descr: &'static str,
    route: fn() -> Route,
) -> Endpoint {
    endpoint(Method::POST, path, name, descr, route)
}

const fn put(
    path: &'static str,
    name: &'static str,
    descr: &'static str,
    route: fn() -> Route,
) -> Endpoint {
    endpoint(Method::PUT, path, name, descr, route)
}

const fn delete(
    path: &'static str,
    name: &'static str,
    descr: &'static str,
    route: fn() -> Route,
) -> Endpoint {
    endpoint(Method::DELETE, path, name, descr, route)
}

const fn endpoint(
    method: Method,
    path: &'static str,
    name: &'static str,
    descr: &'static str,
    route: fn() -> Route,
) -> Endpoint {
    Endpoint {
        path,
        name,
        method,
        descr,
        route,
    }
}
