//! The places weights come from. Each takes a job and gives a landed file or an error; none knows
//! of the others, and the order of trying is `pull`'s.

pub(crate) mod hub;
pub(crate) mod npm;
mod packages;
pub(crate) mod path;
pub(crate) mod pypi;
pub(crate) mod url;
