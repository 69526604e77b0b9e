//! Every actor message, and what actors share by handle. Actors hold recipients of these, never each other's
//! addresses.

mod api_users;
mod bridges;
mod client_auth;
mod client_counters;
mod config;
mod config_change;
mod inbox;
mod life;
mod patience;
mod publish;
mod registry;
mod restart;
mod retained;
mod session;
mod stats;
mod store;
mod worker_load;

pub use api_users::{
    BeginLogin, ChangeApiUsers, CountFailedLogin, FinishLogin, GetTokenKey, ListApiUsers, NextStep,
};
pub use bridges::{
    ApplyBridges, BridgeCounters, BridgeDrop, BridgeFault, BridgePut, BridgeRefused, BridgeState,
    BridgeView, CloseBridges, DeleteBridge, Expect, GetBridge, ListBridges, PutBridge,
    SubscribeBridge, SwitchBridge, UnsubscribeBridge,
};
pub use client_auth::{
    AskAgain, AskPermissions, AskSuperuser, ChangeClientUsers, CountClientFailure, GetPolicy,
    HttpAnswer, LogIn, LoginAnswer, ScramRefused, ScramStarted, StartScram,
};
pub use client_counters::ClientCounters;
pub use config::{GetConfig, ReloadConfig, ReloadReport, StopAccepting};
pub use config_change::{
    CertificateTexts, ChangeConfig, ChangeRefused, ChangeReport, GetCertificates, GetPending,
    Lasting, PemText, PemTexts, ReplaceConfig,
};
pub use inbox::{Inbox, InboxItem, Owner, Pushed, count_lost};
pub use life::{EndLife, Fate, Wanted};
pub use patience::Patience;
pub use publish::{NotStored, PublishMessages};
pub use registry::{
    AdminSubscribe, AdminUnsubscribe, ClientRow, CloseClients, EndSession, GetClient,
    GetQueueTotals, GetSubscriptions, GetTopicTree, IdleRow, KeepSession, KickClient, Kicked,
    ListClients, ListIdle, ListSlowClients, ListSubscriptions, OpenRefused, OpenSession,
    OpenedSession, Page, QueueTotals, RecheckClients, Subscribe, SubscriptionRow, Unsubscribe,
};
pub use restart::{CarriedClient, CarriedClients, GiveUpClients, GiveUpRetained, GiveUpSessions};
pub use retained::{
    RemoveRetained, RetainedPages, RetainedPagesRequest, RetainedRemoved, StoreRetained,
};
pub use session::{AddressedCommand, HandOver, KeptSession, SessionCommand};
pub use stats::{
    CertificateRow, GetProcessStats, GetStats, ListListeners, ListenerRow, Most, ProcessStats,
    StatsSnapshot, StoreSizes,
};
pub use store::{
    CloseStore, DurableTarget, MoveShared, Origin, Persist, ReadBodies, Refused, WriteRecord,
};
pub use worker_load::{Overloaded, Turn, WorkerLoad};
