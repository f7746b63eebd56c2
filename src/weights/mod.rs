//! What weights files say of themselves, read without loading them.
//!
//! Data in: the path of a GGUF file, a context size, a cache type. Data out: [`gguf::Header`] and
//! [`memory::Estimate`]. Invariants: nothing here loads a model or links llama.cpp; files are
//! hostile input, so every count is bounded by the bytes that are really there.

mod formats;
pub mod gguf;
pub mod memory;
mod reader;

pub use gguf::{GgufError, Header};
pub use memory::{ContextShape, Estimate, KvCacheType};
