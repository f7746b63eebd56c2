//! One error type for the command line: what, where, why, what next, and the exit code.

use super::exit_code::Status;
use crate::config::ConfigError;
use crate::event::SinkError;
use crate::plan::PlanError;
use crate::record::{MergeError, ReadError, WriteError};
use crate::suite::LoadError;

/// An error as the command line shows it.
#[derive(Debug)]
pub(super) struct CliError {
    /// What happened, lower case, no full stop; further lines say where and why.
    pub(super) message: String,
    /// Stable name of the kind, for `--format json`.
    pub(super) kind: &'static str,
    /// The flag, file or name at fault.
    pub(super) param: Option<String>,
    /// The next command to try.
    pub(super) hint: Option<String>,
    /// How the process ends.
    pub(super) status: Status,
}

impl CliError {
    /// A mistake in what was asked for.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            kind: "usage",
            param: None,
            hint: None,
            status: Status::Usage,
        }
    }

    /// With a hint.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With another kind and status.
    #[must_use]
    pub(super) fn kind(mut self, kind: &'static str, status: Status) -> Self {
        self.kind = kind;
        self.status = status;
        self
    }

    /// `{message, type, param, code}`, the form of `--format json`.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let message = match &self.hint {
            Some(hint) => format!("{}; hint: {hint}", self.message),
            None => self.message.clone(),
        };
        serde_json::json!({
            "message": message, "type": self.kind, "param": self.param, "code": self.status.code(),
        })
    }

    /// The form for people.
    pub(super) fn to_text(&self) -> String {
        let mut text = format!("error: {}\n", self.message);
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\nhint: {hint}\n"));
        }
        text
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self {
            message: error.to_string(),
            kind: "config",
            param: error.origin,
            hint: error.hint.or_else(|| {
                Some("`toolbench config show` prints every setting with its origin".to_owned())
            }),
            status: Status::Usage,
        }
    }
}

impl From<LoadError> for CliError {
    fn from(error: LoadError) -> Self {
        let hint = match &error {
            LoadError::Unknown { hint, .. } => hint.clone(),
            LoadError::Read { .. } => "`toolbench suite list` shows what is there".to_owned(),
            LoadError::Invalid { .. } => {
                "`toolbench suite check FILE` checks a file again after a change".to_owned()
            }
        };
        Self::usage(error.to_string())
            .hint(hint)
            .kind("suite", Status::Usage)
    }
}

impl From<PlanError> for CliError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::GreedyRepeats { .. } => Self::usage(error.to_string()).hint(
                "give `--temperature 0.7` (or another above 0) to sample, or leave `--trials` at 1",
            ),
            PlanError::NothingSelected => Self::usage(error.to_string())
                .kind("nothing_selected", Status::NothingSelected)
                .hint("`toolbench suite show NAME` lists a suite's cases, categories and tags"),
            PlanError::EmptyShard { cases, .. } => Self::usage(error.to_string())
                .kind("nothing_selected", Status::NothingSelected)
                .hint(format!(
                    "{cases} shards are enough; `toolbench merge` misses no shard that has no case"
                )),
        }
    }
}

impl From<MergeError> for CliError {
    fn from(error: MergeError) -> Self {
        let hint = error.hint();
        Self::usage(error.to_string())
            .kind("merge", Status::Usage)
            .hint(hint)
    }
}

impl From<WriteError> for CliError {
    fn from(error: WriteError) -> Self {
        let (status, hint) = match &error {
            WriteError::Exists { .. } => (
                Status::Usage,
                "use `--resume RUN` to go on with it, or another `--out`",
            ),
            WriteError::Locked { .. } => {
                (Status::Usage, "wait for it to end, or resume another run")
            }
            WriteError::Io { .. } => (
                Status::NotWritten,
                "free some space or choose another folder with `--out DIR`; what was written so far still reads",
            ),
        };
        Self::usage(error.to_string())
            .kind("record", status)
            .hint(hint)
    }
}

impl From<SinkError> for CliError {
    fn from(error: SinkError) -> Self {
        Self::usage(error.to_string())
            .kind("record", Status::NotWritten)
            .hint("every finished trial is on record: free some space, then go on with `--resume RUN`")
    }
}

impl From<ReadError> for CliError {
    fn from(error: ReadError) -> Self {
        let hint = match &error {
            ReadError::NotFound { .. } => {
                "name a run directory, its name, a unique beginning of it, or `latest`"
            }
            ReadError::Ambiguous { .. } => "name one of them in full",
            _ => "is it a run directory of this version of toolbench?",
        };
        Self::usage(error.to_string())
            .kind("record", Status::Usage)
            .hint(hint)
    }
}
