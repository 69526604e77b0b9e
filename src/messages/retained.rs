//! Messages to the actor that keeps the retained messages.

use actix::Message;

use crate::{routing::RetainedCursor, store::Part};

/// Retains a message, or clears its topic. Sent *before* the publisher reads the routes: so a message that races
/// with a new subscription reaches it at least one way.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StoreRetained {
    /// The message.
    pub message: crate::mqtt::Message,
    /// Told when the durable store has it, if the publisher waits for that.
    pub part: Option<Part>,
    /// It was sent to the durable store already, which has to learn if it is not retained after all.
    pub stored: bool,
}

/// Asks for retained messages, for subscriptions that publishers can see already.
#[derive(Debug, Message)]
#[rtype(result = "RetainedPages")]
pub struct RetainedPagesRequest {
    /// Where to go on, for each of the subscriptions.
    pub cursors: Vec<RetainedCursor>,
    /// How many messages at most, of all of them together.
    pub limit: usize,
    /// Bytes after which there are no more.
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

/// Retained messages of several subscriptions.
#[derive(Debug, Default, actix::MessageResponse)]
pub struct RetainedPages {
    /// The messages of the first subscriptions that were asked for, at least one; those of each in the order of their topics.
    pub pages: Vec<Vec<crate::mqtt::Message>>,
    /// Where the last of them goes on, if there may be more.
    pub next: Option<RetainedCursor>,
}
