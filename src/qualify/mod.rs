//! Qualification: a model taken through stages, from simulated tools to limited production.
//!
//! Data in: the text of a stage file, what is known of stages, the summary of a stage's run. Data out:
//! a [`QualifyFile`] that holds together or every problem with its place, verdicts, the report.
//! Invariants: stages run in the order of the file and stop at the first that is not passed; a stage is
//! kept only while nothing it depends on has changed; rates and intervals are those of `report`, so a
//! verdict speaks of cases like those of the stage.

mod check;
mod file;
mod judge;
mod report;
pub mod state;

pub use file::{
    Budget, FileError, FileProblem, Places, QualifyFile, Server, SettingValue, Stage, StageKind,
    Texts, parse,
};
pub use judge::{Judged, RowVerdict, judge};
pub use report::{QUALIFY_SCHEMA, Qualification, StageLine, StageStatus, terminal};

/// JSON Schema of a stage file, as published in `schemas/`.
pub fn qualify_schema() -> serde_json::Value {
    serde_json::to_value(schemars::schema_for!(QualifyFile)).unwrap_or_default()
}

/// A commented starter: all kinds of stages, of which the first runs as it is.
pub fn starter(model: &str) -> String {
    include_str!("starter.yaml").replace("MODEL_NAME", model)
}
