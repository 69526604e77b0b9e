//! What the wire can say: one version-neutral packet model and its codec.
//!
//! MQTT 3.1, 3.1.1 and 5.0 differ only in this folder. Everything above it sees a [`Packet`], whose
//! strings, payload and properties borrow from the bytes that were read: decoding allocates nothing.
//!
//! ```text
//! bytes --frame_header--> one whole packet --decode / decode_publish--> Packet<'_>
//! Packet<'_> --encode / encode_publish--> BytesMut
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `types` | versions, QoS, packet types, subscription options |
//! | `reason` | v5 reason codes, their v3 return codes and the packets they may stand in |
//! | `property/` | the table of properties, validation, iteration, building |
//! | `packet`, `filters` | the model of each packet kind |
//! | `topic` | [`TopicName`], [`TopicFilter`] and [`matches()`] |
//! | `topic_map` | [`TopicMap`]: how topics of one broker become topics of another |
//! | `frame` | where a packet starts and ends |
//! | `decode/`, `encode/` | one file per packet kind or family |
//! | `message`, `batch` | application messages beyond their packet, alone and in batches |
//! | `hops` | the marks of bridges in messages |
//! | `error` | what is wrong with a packet, with its clause and reason code |
//!
//! The codec checks what can be told from one packet alone. What needs a session (a topic alias that was
//! never set, a second CONNECT, AUTH without a method) is checked by the session.

mod batch;
mod decode;
mod encode;
mod error;
mod filters;
mod frame;
pub mod hops;
mod message;
mod packet;
mod property;
mod reader;
mod reason;
#[cfg(test)]
mod tests;
mod topic;
mod topic_map;
mod types;

pub use batch::{Batch, BatchBuilder};
pub use decode::{
    connect_is_bridge, connect_version, decode, decode_ack, decode_as, decode_publish,
};
pub use encode::{encode, encode_ack, encode_publish, packet_len, publish_len, set_bridge_bit};
pub use error::{DecodeError, DecodeErrorKind, EncodeError, Field};
pub use filters::{
    SubscribeFilters, SubscribeFiltersBuf, UnsubscribeFilters, UnsubscribeFiltersBuf,
};
pub use frame::{FrameHeader, MAX_REMAINING_LENGTH, frame_header, peek_header, topics_in};
pub use message::{Message, MessageRef};
pub use packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, Publish, SubAck, Subscribe, Unsubscribe, Will,
};
pub use property::{
    Properties, PropertiesBuf, Property, PropertyIter, PropertyLocation, RawPropertyIter,
    property_id,
};
pub use reason::ReasonCode;
pub use topic::{TopicError, TopicFilter, TopicName, matches};
pub use topic_map::{TopicMap, TopicMapError};
pub use types::{
    AckType, PacketId, PacketType, ProtocolVersion, QoS, RetainHandling, Sender, SubscribeOptions,
};
