//! Messages to the actor that keeps the retained messages.

use std::sync::Arc;

use actix::Message;

use crate::{routing::RetainedCursor, store::Part};

/// Retains a message, or clears its topic. Sent *before* the publisher reads the routes: so a message that races
/// with a new subscription reaches it at least one way.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StoreRetained {
    /// The message.
    pub message: Arc<crate::mqtt::Message>,
    /// Told when the durable store has it, if the publisher waits for that.
    pub part: Option<Part>,
    /// It was sent to the durable store already, which has to learn if it is not retained after all.
    pub stored: bool,
}

/// Asks for retained messages, page by page, for a subscription that publishers can see already.
#[derive(Debug, Message)]
#[rtype(result = "RetainedPage")]
pub struct RetainedPageRequest {
    /// Where to go on.
    pub cursor: RetainedCursor,
    /// How many at most.
    pub limit: usize,
    /// Bytes after which the page ends.
    pub max_bytes: usize,
}

/// Asks for the retained messages of topics, for subscriptions that publishers can see already. The answer has a place for
/// each of them, with the message if there is one, and ends early where the messages become too many bytes.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Option<Arc<crate::mqtt::Message>>>")]
pub struct LookUpRetained {
    /// The topics.
    pub topics: Vec<Box<str>>,
    /// Bytes after which no more messages are looked up.
    pub max_bytes: usize,
}

/// Removes retained messages, a page at a time.
#[derive(Debug, Message)]
#[rtype(result = "RetainedRemoved")]
pub struct RemoveRetained {
    /// Where to go on.
    pub cursor: RetainedCursor,
    /// How many at most.
    pub limit: usize,
    /// Told when the durable store knows.
    pub part: Part,
}

/// How far [`RemoveRetained`] has come.
#[derive(Debug, actix::MessageResponse)]
pub struct RetainedRemoved {
    /// Messages removed.
    pub removed: usize,
    /// Where to go on, if there may be more.
    pub next: Option<RetainedCursor>,
}

/// A page of retained messages.
#[derive(Debug, actix::MessageResponse)]
pub struct RetainedPage {
    /// The messages, in the order of their topics.
    pub messages: Vec<Arc<crate::mqtt::Message>>,
    /// Where to go on, if there may be more.
    pub next: Option<RetainedCursor>,
}
