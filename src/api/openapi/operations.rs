//! What each route takes and answers.

use serde_json::{Value, json};

use super::schemas::{
    FILTER, any_text, data, done, flag_text, list, page, page_always, pattern, positive, reference,
};

/// A route, as the table of routes names it.
pub struct Operation {
    /// [`Endpoint::name`](crate::api::endpoints::Endpoint::name).
    pub name: &'static str,
    /// Parameters of the query string.
    pub query: &'static [Parameter],
    /// The body of the request.
    pub body: Option<Body>,
    /// The answer with status 200.
    pub answer: Answer,
    /// Other statuses, beside those that every route may have.
    pub refusals: &'static [u16],
}

/// A parameter of the query string.
pub struct Parameter {
    name: &'static str,
    required: bool,
    /// Whether it may have several values, of which the last holds.
    repeated: bool,
    description: &'static str,
    schema: fn() -> Value,
}

/// The body of a request.
pub struct Body {
    /// Its media type.
    pub content_type: &'static str,
    /// Whether it has to be there.
    pub required: bool,
    /// What it looks like.
    pub schema: fn() -> Value,
}

/// The body of an answer.
pub enum Answer {
    /// JSON of this form.
    Json(fn() -> Value),
    /// Text of this media type.
    Text(&'static str),
}

impl Parameter {
    /// As OpenAPI has it.
    pub fn describe(&self) -> Value {
        let schema = match (self.repeated, self.required) {
            // What was no text in a program is one in a query string.
            (true, _) => json!({ "type": ["string", "array"] }),
            (false, true) => (self.schema)(),
            // Without a value it counts as not given.
            (false, false) => json!({ "anyOf": [(self.schema)(), { "const": "" }] }),
        };
        json!({
            "name": self.name,
            "in": "query",
            "required": self.required,
            "allowEmptyValue": !self.required,
            "description": self.description,
            "schema": schema,
        })
    }
}

/// The operation of a route.
pub fn find(name: &str) -> Option<&'static Operation> {
    ALL.iter().find(|operation| operation.name == name)
}

/// What a parameter in a path takes.
pub fn path_parameter(path: &str, name: &str) -> Value {
    match (path, name) {
        (_, "action") => json!({ "enum": ["stop", "restart"] }),
        (_, "section") => json!({
            "enum": ["basic", "tls", "auth", "auth_http", "websocket", "http_server", "sqlite", "bridge"]
        }),
        _ => json!({ "type": "string", "minLength": 1 }),
    }
}

const fn parameter(
    name: &'static str,
    description: &'static str,
    schema: fn() -> Value,
) -> Parameter {
    Parameter {
        name,
        required: false,
        repeated: false,
        description,
        schema,
    }
}

/// A text that NanoMQ looks for too.
const fn looked_for(name: &'static str, description: &'static str) -> Parameter {
    Parameter {
        repeated: true,
        ..parameter(name, description, any_text)
    }
}

const PAGE: Parameter = parameter("_page", "Number of the page, from 1 on", positive);
const LIMIT: Parameter = parameter("_limit", "Rows on a page", positive);
const CLIENT_ID: Parameter = looked_for("clientid", "Only this client");
const CLIENT_ID_ALIAS: Parameter = looked_for("client_id", "Another name of clientid");

/// A route without parameters and body that answers with `answer`.
const fn operation(name: &'static str, answer: Answer) -> Operation {
    Operation {
        name,
        query: &[],
        body: None,
        answer,
        refusals: &[],
    }
}

impl Operation {
    /// With parameters of the query string.
    const fn taking(mut self, query: &'static [Parameter]) -> Self {
        self.query = query;
        self
    }

    /// With other statuses.
    const fn refusing(mut self, refusals: &'static [u16]) -> Self {
        self.refusals = refusals;
        self
    }

    /// With a JSON body that has to be there.
    const fn with_body(mut self, schema: fn() -> Value) -> Self {
        self.body = Some(Body {
            content_type: "application/json",
            required: true,
            schema,
        });
        self.refusals = WITH_BODY;
        self
    }
}

/// Statuses of a route with parameters.
const BAD: &[u16] = &[400];
/// Statuses of a route that looks something up.
const LOOK_UP: &[u16] = &[400, 404];
/// Statuses of a route with a body, whose entries or path may name what is not there.
const WITH_BODY: &[u16] = &[400, 404, 408, 413];

/// Every route, in the order of the table of routes.
pub static ALL: &[Operation] = &[
    operation("list_brokers", Answer::Json(|| data(list("Broker")))),
    operation("list_nodes", Answer::Json(|| data(list("Node")))),
    operation("list_clients", Answer::Json(|| page("Client")))
        .taking(&[
            CLIENT_ID,
            CLIENT_ID_ALIAS,
            looked_for("username", "Only clients with this user name"),
            parameter(
                "conn_state",
                "Only clients in this state",
                || json!({ "enum": ["connected", "idle", "disconnected"] }),
            ),
            parameter("clean_start", "Only clients that asked for this", flag_text),
            parameter(
                "proto_name",
                "Only clients of this protocol",
                || json!({ "enum": ["MQTT", "MQIsdp", "CoAP", "LwM2M", "MQTT-SN"] }),
            ),
            parameter(
                "proto_ver",
                "Only clients of this protocol level: 3 for MQTT 3.1, 4 for 3.1.1, 5 for 5.0",
                || json!({ "enum": ["3", "4", "5"] }),
            ),
            PAGE,
            LIMIT,
        ])
        .refusing(BAD),
    operation("lookup_client", Answer::Json(|| data(list("Client")))).refusing(LOOK_UP),
    operation(
        "lookup_client_via_username",
        Answer::Json(|| page("Client")),
    )
    .taking(&[PAGE, LIMIT])
    .refusing(LOOK_UP),
    operation("list_subscriptions", Answer::Json(|| page("Subscription")))
        .taking(&[
            CLIENT_ID,
            CLIENT_ID_ALIAS,
            looked_for("topic", "Only this filter, letter for letter"),
            parameter(
                "qos",
                "Only subscriptions granted this QoS",
                || json!({ "enum": ["0", "1", "2"] }),
            ),
            looked_for("share", "Only shared subscriptions of this group"),
            PAGE,
            LIMIT,
        ])
        .refusing(BAD),
    operation(
        "lookup_client_subscriptions",
        Answer::Json(|| page("Subscription")),
    )
    .taking(&[PAGE, LIMIT])
    .refusing(LOOK_UP),
    operation("list_topic-tree", Answer::Json(|| reference("TopicTree")))
        .taking(&[
            parameter("root", "Only what is below this node", any_text),
            parameter(
                "depth",
                "Levels below the root",
                || json!({ "type": "integer", "minimum": 1, "maximum": 128 }),
            ),
            parameter(
                "limit",
                "Nodes, the rest is left out",
                || json!({ "type": "integer", "minimum": 1, "maximum": 1_000_000 }),
            ),
        ])
        .refusing(BAD),
    operation(
        "get_broker_configuration",
        Answer::Json(|| data(reference("Configuration"))),
    ),
    operation(
        "set_broker_configuration",
        Answer::Json(|| reference("Changed")),
    )
    .with_body(|| reference("ConfigurationChange")),
    operation("ctrl_broker", Answer::Json(done)).refusing(LOOK_UP),
    operation(
        "get_configuration_section",
        Answer::Json(|| data(reference("Section"))),
    )
    .refusing(&[404]),
    operation(
        "set_configuration_section",
        Answer::Json(|| reference("Changed")),
    )
    .with_body(|| reference("ConfigurationChange")),
    Operation {
        body: Some(Body {
            content_type: "text/plain",
            required: true,
            schema: || json!({ "type": "string", "description": "The whole new file" }),
        }),
        ..operation("update_config_file", Answer::Json(done)).refusing(WITH_BODY)
    },
    operation(
        "get_reload_config",
        Answer::Json(|| data(reference("Reloadable"))),
    ),
    Operation {
        body: Some(Body {
            content_type: "application/json",
            required: false,
            schema: || reference("ConfigurationChange"),
        }),
        ..operation("reload_config", Answer::Json(|| reference("Changed"))).refusing(WITH_BODY)
    },
    operation("stop_broker", Answer::Json(done)).refusing(BAD),
    operation("restart_broker", Answer::Json(done)).refusing(BAD),
    operation("mqtt_subscribe", Answer::Json(done)).with_body(|| reference("SubscribeRequest")),
    operation("mqtt_publish", Answer::Json(done)).with_body(|| reference("PublishRequest")),
    operation("mqtt_unsubscribe", Answer::Json(done)).with_body(|| reference("UnsubscribeRequest")),
    operation(
        "mqtt_subscribe_batch",
        Answer::Json(|| reference("BatchResult")),
    )
    .with_body(|| batch("SubscribeRequest")),
    operation(
        "mqtt_publish_batch",
        Answer::Json(|| reference("BatchResult")),
    )
    .with_body(|| batch("PublishRequest")),
    operation(
        "mqtt_unsubscribe_batch",
        Answer::Json(|| reference("BatchResult")),
    )
    .with_body(|| batch("UnsubscribeRequest")),
    operation("get_metrics", Answer::Json(|| reference("Metrics"))).refusing(BAD),
    operation("get_prometheus", Answer::Text("text/plain")).refusing(BAD),
    operation("get_stats", Answer::Json(|| data(reference("Stats")))).refusing(BAD),
    operation(
        "list_slow_clients",
        Answer::Json(|| data(list("SlowClient"))),
    )
    .taking(&[parameter(
        "limit",
        "Clients",
        || json!({ "type": "integer", "minimum": 1, "maximum": 10_000 }),
    )])
    .refusing(BAD),
    operation("list_listeners", Answer::Json(|| data(list("Listener")))).refusing(BAD),
    operation("get_health", Answer::Json(|| data(reference("Health")))).refusing(&[503]),
    operation(
        "list_retained",
        Answer::Json(|| page_always("RetainedMessage")),
    )
    .taking(&[
        parameter("topic", "Only topics that match this filter", || {
            pattern(FILTER)
        }),
        parameter(
            "payload",
            "How payloads are shown; text: as base64 where they are no UTF-8",
            || json!({ "enum": ["text", "base64", "none"] }),
        ),
        PAGE,
        parameter(
            "_limit",
            "Rows on a page",
            || json!({ "type": "integer", "minimum": 1, "maximum": 10_000 }),
        ),
    ])
    .refusing(BAD),
    operation(
        "delete_retained",
        Answer::Json(|| data(reference("Deleted"))),
    )
    .taking(&[Parameter {
        required: true,
        ..parameter("topic", "What matches this filter is removed", || {
            let mut filter = pattern(FILTER);
            filter["minLength"] = json!(1);
            filter
        })
    }])
    .refusing(BAD),
    operation("kick_client", Answer::Json(|| data(reference("Kicked"))))
        .taking(&[parameter(
            "session",
            "Whether the session ends too",
            flag_text,
        )])
        .refusing(LOOK_UP),
    operation(
        "lookup_client_inflight",
        Answer::Json(|| data(reference("Inflight"))),
    )
    .refusing(LOOK_UP),
    operation(
        "lookup_client_mqueue",
        Answer::Json(|| data(reference("Queue"))),
    )
    .refusing(LOOK_UP),
    operation("list_users", Answer::Json(|| data(list("User")))),
    operation("add_user", Answer::Json(done)).with_body(|| reference("NewUser")),
    operation("update_user", Answer::Json(done)).with_body(|| reference("UserChange")),
    operation("delete_user", Answer::Json(done)).refusing(LOOK_UP),
    operation("change_password", Answer::Json(done)).with_body(|| reference("PasswordChange")),
    operation("list_auth_username", Answer::Json(|| page("ClientUser")))
        .taking(&[PAGE, LIMIT])
        .refusing(BAD),
    operation(
        "lookup_auth_username",
        Answer::Json(|| data(reference("ClientUser"))),
    )
    .refusing(LOOK_UP),
    operation("add_auth_username", Answer::Json(done)).with_body(|| reference("NewClientUser")),
    operation("update_auth_username", Answer::Json(done)).with_body(|| reference("ClientPassword")),
    operation("delete_auth_username", Answer::Json(done)).refusing(LOOK_UP),
    operation("list_bridges", Answer::Json(|| data(reference("Bridges")))).refusing(BAD),
    operation("add_bridge", Answer::Json(done)).with_body(|| reference("BridgeRequest")),
    operation("get_bridge", Answer::Json(|| data(reference("Bridges")))).refusing(LOOK_UP),
    operation("update_bridge", Answer::Json(done)).with_body(|| reference("BridgeRequest")),
    operation("delete_bridge", Answer::Json(done)).refusing(LOOK_UP),
    operation("bridge_subscribe", Answer::Json(done)).with_body(|| reference("BridgeSubscribe")),
    operation("bridge_unsubscribe", Answer::Json(done))
        .with_body(|| reference("BridgeUnsubscribe")),
    operation("switch_bridge", Answer::Json(done)).with_body(|| reference("BridgeSwitch")),
    operation("get_acl", Answer::Json(|| data(reference("Acl")))),
    operation("set_acl", Answer::Json(|| reference("Changed"))).with_body(|| reference("NewAcl")),
    operation("test_acl", Answer::Json(|| data(reference("AclDecision"))))
        .with_body(|| reference("AclTest")),
    operation("get_openapi", Answer::Json(|| json!({ "type": "object" }))),
    operation("get_docs", Answer::Text("text/html")),
];

/// Entries of a batch. One that is not as it should be is answered for itself, so that anything may stand there.
fn batch(schema: &str) -> Value {
    json!({ "type": "array", "items": { "anyOf": [reference(schema), {}] }, "maxItems": 1000 })
}
