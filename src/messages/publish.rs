//! Messages to the publisher.

use actix::Message;

/// Publishes application messages, in this order. The answer comes when they are in the inboxes of their
/// subscribers and the workers have not too much waiting, so that an asker who awaits it is held to their pace; and
/// when the durable store has those for durable sessions and to be retained.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), NotStored>")]
pub struct PublishMessages(pub Vec<crate::mqtt::Message>);

/// The durable store could not take some message; sessions that are not durable have got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotStored;
