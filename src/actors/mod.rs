//! The actors. Each is a shell: it takes a message, calls the plain logic of the floors below, and sends on what
//! that returns.
//!
//! | actor | how many | where it runs | messages | at its bound |
//! |---|---|---|---|---|
//! | [`ClientConnection`] | one a socket | a worker | `SessionCommand` | publishers pause while its worker has too much waiting, see [`WorkerLoad`](crate::messages::WorkerLoad) |
//! | [`ConnectionHost`] | one a worker | a worker | `Accepted` | the acceptors' rate |
//! | [`BridgeStarter`] | 1 | main arbiter | as the keeper | askers wait |
//! | [`BridgeKeeper`] | 1, from the first bridge on | an arbiter of its own | `ApplyBridges`, `ListBridges`, `GetBridge`, `CloseBridges` | askers wait |
//! | `Bridge` | one a bridge | that of the keeper | `SessionCommand` | its queue, by `queue_policy`; publishers never wait for it |
//! | [`SubscriptionRegistry`] | 1 | the first worker | `OpenSession`, `Subscribe`, ..., `ListClients`, ... | one request a connection at a time: askers wait |
//! | [`RetainedMessages`] | 1 | the first worker | `StoreRetained`, `RetainedPagesRequest`, `RemoveRetained` | askers wait; publishers pause while too much is on its way |
//! | [`SessionStore`] | 1 | the first worker | `KeptSession`, `AddressedCommand` | publishers pause, as for a worker |
//! | [`StoreWriter`] | 1, if the store is on | an arbiter of its own, which blocks on the disk | `Persist`, `WriteRecord`, `ReadBodies` | publishers pause, as for a worker |
//! | [`Publisher`] | 1 | main arbiter | `PublishMessages` | askers wait until the workers have caught up |
//! | [`StatsCollector`] | 1 | main arbiter | `GetStats`, `GetProcessStats`, `ListListeners` | askers wait |
//! | [`ConfigManager`] | 1 | main arbiter | `GetConfig`, `ReloadConfig`, `ChangeConfig`, `ReplaceConfig`, `GetPending`, `GetCertificates` | askers wait |
//! | [`AuthStarter`] | 1, unless the policy asks for passwords at start | main arbiter | as the authenticator | as there |
//! | [`Authenticator`] | 1, from the first login that is checked on | an arbiter of its own | `LogIn`, `AskPermissions`, `AskAgain`, `AskSuperuser`, `StartScram`, `CountClientFailure` | more waiting passwords or requests than configured are refused |
//! | [`Life`] | 1 | main arbiter | `EndLife` | askers wait |
//! | [`ApiUsers`] | 1, if the API is served | main arbiter | `BeginLogin`, `ChangeApiUsers`, ... | askers wait |

mod api_users;
mod auth_starter;
mod authenticator;
mod awaiting;
mod bridge;
mod bridge_changes;
mod bridge_identity;
mod bridge_keeper;
mod bridge_starter;
mod carried;
mod certificate_files;
mod client_connection;
mod clock;
mod config_changes;
mod config_manager;
mod connection_host;
mod durable;
mod durable_routing;
mod events;
mod life;
mod permitted;
mod policy_keeper;
mod private_file;
mod process_figures;
mod publisher;
mod retained_messages;
mod router;
mod session_store;
#[cfg(test)]
mod simulation;
mod stats_collector;
mod store_writer;
mod subscription_registry;
mod timers;
mod worker;

pub use api_users::ApiUsers;
pub use auth_starter::AuthStarter;
pub use authenticator::Authenticator;
pub use bridge_keeper::{BridgeCounterList, BridgeKeeper};
pub use bridge_starter::BridgeStarter;
pub use carried::Carried;
pub use client_connection::{ClientConnection, Door, MoveRequest, MovedConnection};
pub use config_manager::{ConfigManager, ConfigSource};
pub use connection_host::{Accepted, ConnectionHost, CountBusy, Relieve};
pub use durable::{OpenedStore, Recovered, StoreHandles, open_store, restore, store_path};
pub use life::Life;
pub use policy_keeper::{PolicyKeeper, change_password_file};
pub use publisher::Publisher;
pub use retained_messages::RetainedMessages;
pub use router::Router;
pub use session_store::SessionStore;
pub use stats_collector::{ListenerInfo, StatsCollector};
pub use store_writer::{StoreWriter, limits as store_limits};
pub use subscription_registry::SubscriptionRegistry;
pub use worker::{AuthHandles, RegistryHandles, Shared, Worker};
