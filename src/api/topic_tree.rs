//! `GET /api/v4/topic-tree`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data},
};
use serde::Serialize;

use super::{
    ApiError, ApiState,
    listing::Listing,
    query::{Parameters, Text},
};
use crate::{
    messages::GetTopicTree,
    routing::{TopicTreeBounds, TopicTreeNode, TopicTreeView},
};

/// Most levels below the root, shown unless fewer are asked for.
const MAX_DEPTH: usize = 128;
/// Nodes unless `limit` says otherwise, and the most it may say.
const DEFAULT_LIMIT: usize = 10_000;
const MAX_LIMIT: usize = 1_000_000;

/// The answer: one inner array a level.
#[derive(Serialize)]
struct Tree<'a> {
    code: u16,
    data: Vec<Vec<Node<'a>>>,
    /// Only there when something was left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

#[derive(Serialize)]
struct Node<'a> {
    topic: &'a str,
    cld_cnt: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    clientid: Vec<&'a str>,
}

impl<'a> Node<'a> {
    fn new(node: &'a TopicTreeNode) -> Self {
        Self {
            topic: &node.topic,
            cld_cnt: node.children,
            clientid: node.client_ids.iter().map(|id| &**id).collect(),
        }
    }
}

/// The filters of all subscriptions as a tree, breadth first.
pub async fn show(request: HttpRequest, state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    let mut parameters = Parameters::once(request.query_string())?;
    let depth = parameters.number_in("depth", 1..=MAX_DEPTH)?;
    let limit = parameters.number_in("limit", 1..=MAX_LIMIT)?;
    let root = parameters.text("root");
    parameters.finish()?;
    let bounds = TopicTreeBounds {
        root: root.as_ref().map(Text::literal).map(str::to_owned),
        depth: depth.unwrap_or(MAX_DEPTH),
        limit: limit.unwrap_or(DEFAULT_LIMIT),
    };
    let subscriptions = Listing::open(&state.topic_tree, |after| GetTopicTree { after });
    let subscriptions = subscriptions.await?.collect().await?;
    // Of a million subscriptions it takes a second, in which other requests go on.
    let view = web::block(move || TopicTreeView::new(&subscriptions, &bounds));
    let view = view.await.map_err(|_| ApiError::NoAnswer)?;
    let levels = view.levels.iter();
    Ok(HttpResponse::Ok().json(Tree {
        code: 0,
        data: levels
            .map(|level| level.iter().map(Node::new).collect())
            .collect(),
        truncated: view.truncated,
    }))
}
