//! `/api/v4/bridges`: connections to other brokers, in NanoMQ's shapes.

mod node;
mod status;

use actix::{Message, Recipient};
use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use self::status::Status;
use super::{
    ApiError, ApiState, answer,
    body::{Body, Fields},
    configuration::Sqlite,
    error::RefusedKey,
    query::Parameters,
    state::ask,
};
use crate::{
    config::{BridgeConfig, BridgeSubscribeProperties, BridgeSubscription, MAX_BRIDGES, Refusal},
    messages::{
        BridgeRefused, BridgeView, DeleteBridge, Expect, GetBridge, GetConfig, ListBridges,
        PutBridge, SubscribeBridge, SwitchBridge, UnsubscribeBridge,
    },
};

pub use self::node::{Login, Node, more_members, read_node};
pub use self::status::Figures;

/// A bridge and what it does.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    node: Node<'a>,
    #[serde(flatten)]
    status: Status<'a>,
}

impl<'a> Row<'a> {
    fn new(view: &'a BridgeView) -> Self {
        Self {
            node: Node::new(&view.name, &view.config),
            status: Status::new(view),
        }
    }
}

/// `{"bridge":{"nodes":[..],"sqlite":{..}}}`
#[derive(Serialize)]
struct Shown<'a> {
    bridge: Bridge<'a>,
}

#[derive(Serialize)]
struct Bridge<'a> {
    nodes: Vec<Row<'a>>,
    sqlite: Sqlite<'a>,
}

async fn shown(state: &ApiState, views: &[BridgeView]) -> Result<HttpResponse, ApiError> {
    let config = ask(&state.config, GetConfig).await?;
    Ok(answer::data(Shown {
        bridge: Bridge {
            nodes: views.iter().map(Row::new).collect(),
            sqlite: Sqlite::new(&config),
        },
    }))
}

/// All bridges.
pub async fn list(request: HttpRequest, state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    Parameters::parse(request.query_string())?.finish()?;
    shown(&state, &ask(&state.bridges, ListBridges).await?).await
}

/// One bridge.
pub async fn one(
    name: Path<String>,
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    Parameters::parse(request.query_string())?.finish()?;
    let name = name.into_inner();
    match ask(&state.bridge, GetBridge(name.clone())).await? {
        Some(view) => shown(&state, &[view]).await,
        None => Err(ApiError::UnknownBridge(name)),
    }
}

/// Makes a bridge.
pub async fn add(state: Data<ApiState>, body: Body) -> Result<HttpResponse, ApiError> {
    let members = members_of(body)?;
    let (name, node) = match members.get("name") {
        Some(Value::String(name)) => (name.clone(), Value::Object(members)),
        Some(_) => return Err(wrong("name", "a string")),
        // As in a file: the name is that of the one member.
        None => match members.into_iter().next() {
            Some((name, node @ Value::Object(_))) => (name, node),
            _ => return Err(ApiError::MissingMember("name".to_owned())),
        },
    };
    put(&state, name, node, Expect::New).await
}

/// Changes a bridge: what the body does not say is as by default, but for a password shown as `******`, which stays.
pub async fn replace(
    name: Path<String>,
    state: Data<ApiState>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let name = name.into_inner();
    let mut members = members_of(body)?;
    // As in a file, or the bridge itself.
    let node = match members.get(&name) {
        Some(Value::Object(_)) if members.len() == 1 => members.remove(&name),
        _ => None,
    };
    let node = node.unwrap_or(Value::Object(members));
    put(&state, name, node, Expect::Known).await
}

async fn put(
    state: &ApiState,
    name: String,
    node: Value,
    expect: Expect,
) -> Result<HttpResponse, ApiError> {
    let running = ask(&state.config, GetConfig).await?;
    let known = running.bridges.mqtt.get(&name);
    if known.is_none() && expect == Expect::Known {
        return Err(ApiError::UnknownBridge(name));
    }
    let config = read_node(node, known).map_err(refused_keys)?;
    let put = PutBridge {
        name: name.clone(),
        config,
        expect,
    };
    done(&state.put_bridge, name, put).await
}

/// Ends a bridge.
pub async fn remove(name: Path<String>, state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    let name = name.into_inner();
    let delete = DeleteBridge(name.clone());
    done(&state.delete_bridge, name, delete).await
}

/// Switches a bridge on or off.
pub async fn switch(
    name: Path<String>,
    state: Data<ApiState>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let name = name.into_inner();
    let mut data = data_of(body)?;
    let on = data.flag("bridge_switch")?;
    let on = on.ok_or_else(|| ApiError::MissingMember("data.bridge_switch".to_owned()))?;
    let switch = SwitchBridge {
        name: name.clone(),
        on,
    };
    let switched = ask(&state.switch_bridge, switch).await?;
    switched.map_err(|refused| match refused {
        BridgeRefused::SwitchedAlready => {
            let other = if on { "false" } else { "true" };
            data.wrong("bridge_switch", format_args!("{other}: it is so already"))
        }
        refused => error(name, refused),
    })?;
    Ok(answer::done())
}

/// Subscribes a bridge to further topics of the remote.
pub async fn subscribe(
    name: Path<String>,
    state: Data<ApiState>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let name = name.into_inner();
    let mut data = data_of(body)?;
    let list = data.any("subscription");
    let list = list.ok_or_else(|| ApiError::MissingMember("data.subscription".to_owned()))?;
    let subscriptions = BridgeSubscription::read_all(&list)
        .map_err(|why| data.wrong("subscription", format_args!("a list of topics; {why}")))?;
    let properties = data.any("sub_properties").map(properties).transpose()?;
    let subscribe = SubscribeBridge {
        name: name.clone(),
        subscriptions,
        properties,
    };
    done(&state.subscribe_bridge, name, subscribe).await
}

fn properties(shown: Value) -> Result<BridgeSubscribeProperties, ApiError> {
    // Of a bridge that could run, so that nothing else is wrong with it.
    let bridge = json!({ "enable": false, "sub_properties": shown });
    let bridge = BridgeConfig::default().with_json(&bridge);
    bridge
        .map(|bridge| bridge.sub_properties)
        .map_err(|refused| {
            let below = refused.into_iter().map(|refusal| Refusal {
                key: format!("data.{}", refusal.key),
                ..refusal
            });
            refused_keys(below.collect())
        })
}

/// Unsubscribes a bridge from topics of the remote.
pub async fn unsubscribe(
    name: Path<String>,
    state: Data<ApiState>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let name = name.into_inner();
    let mut data = data_of(body)?;
    let list = data.any("unsubscription");
    let list = list.ok_or_else(|| ApiError::MissingMember("data.unsubscription".to_owned()))?;
    let topics = topics(&list).ok_or_else(|| {
        let expected = r#"a list of topics such as {"topic": "cmd/#"}"#;
        data.wrong("unsubscription", expected)
    })?;
    let unsubscribe = UnsubscribeBridge {
        name: name.clone(),
        topics,
    };
    done(&state.unsubscribe_bridge, name, unsubscribe).await
}

/// Has a bridge changed, and answers that it is, or why not.
async fn done<M, T>(to: &Recipient<M>, name: String, change: M) -> Result<HttpResponse, ApiError>
where
    M: Message<Result = Result<T, BridgeRefused>> + Send + 'static,
    T: Send + 'static,
{
    let changed = ask(to, change).await?;
    changed.map_err(|refused| error(name, refused))?;
    Ok(answer::done())
}

/// The topics of a list: texts, or objects with one of the names that a topic of the remote has.
fn topics(list: &Value) -> Option<Vec<String>> {
    let topic = |entry: &Value| match entry {
        Value::String(topic) => Some(topic.clone()),
        entry => ["topic", "remote_topic"]
            .iter()
            .find_map(|name| entry.get(name)?.as_str())
            .map(str::to_owned),
    };
    list.as_array()?.iter().map(topic).collect()
}

fn members_of(body: Body) -> Result<Map<String, Value>, ApiError> {
    Ok(body.object()?.rest().collect())
}

fn data_of(body: Body) -> Result<Fields, ApiError> {
    let data = body.object()?.object("data")?;
    data.ok_or_else(|| ApiError::MissingMember("data".to_owned()))
}

fn wrong(name: &str, expected: impl Into<String>) -> ApiError {
    ApiError::WrongMember {
        name: name.to_owned(),
        expected: expected.into(),
    }
}

fn error(name: String, refused: BridgeRefused) -> ApiError {
    match refused {
        BridgeRefused::Unknown => ApiError::UnknownBridge(name),
        BridgeRefused::Exists => wrong("name", format!("another than {name}, which there is")),
        BridgeRefused::BadName => wrong(
            "name",
            "letters, digits, spaces and _-. only, at most 64 bytes, and not cache",
        ),
        BridgeRefused::TooMany => wrong("name", format!("at most {MAX_BRIDGES} bridges")),
        BridgeRefused::SwitchedAlready => wrong("bridge_switch", "another value"),
        BridgeRefused::Keys(refused) => refused_keys(refused),
        BridgeRefused::NotWritten(why) => ApiError::NotWritten(why),
    }
}

fn refused_keys(refused: Vec<Refusal>) -> ApiError {
    let keys = refused.into_iter().map(|refusal| RefusedKey {
        key: refusal.key,
        message: refusal.why,
    });
    ApiError::RefusedKeys(keys.collect())
}
