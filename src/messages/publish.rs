//! Messages to the publisher.

use std::sync::Arc;

use actix::Message;

/// Publishes application messages, in this order. The answer comes when they are in the inboxes of their
/// subscribers and the workers have not too much waiting, so that an asker who awaits it is held to their pace.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct PublishMessages(pub Vec<Arc<crate::mqtt::Message>>);
