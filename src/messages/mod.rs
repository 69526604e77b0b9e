//! Every actor message, and what actors share by handle. Actors hold recipients of these, never each other's
//! addresses.

mod api_users;
mod config;
mod inbox;
mod publish;
mod registry;
mod retained;
mod session;
mod stats;
mod worker_load;

pub use api_users::{
    BeginLogin, ChangeApiUsers, CountFailedLogin, FinishLogin, GetTokenKey, ListApiUsers, NextStep,
};
pub use config::{GetConfig, ReloadConfig, ReloadReport, StopAccepting};
pub use inbox::{ClientCounters, Inbox, InboxItem, Owner, Patience};
pub use publish::PublishMessages;
pub use registry::{
    AdminSubscribe, AdminUnsubscribe, ClientRow, CloseClients, EndSession, GetClient, KeepSession,
    ListClients, ListSubscriptions, OpenRefused, OpenSession, OpenedSession, Subscribe,
    SubscriptionRow, Unsubscribe,
};
pub use retained::{RetainedPage, RetainedPageRequest, StoreRetained};
pub use session::{AddressedCommand, HandOver, KeptSession, SessionCommand};
pub use stats::{GetStats, StatsSnapshot};
pub use worker_load::WorkerLoad;
