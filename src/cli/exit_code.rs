//! The documented exit codes, all in one place.

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The record is complete; the gate passed.
    Complete,
    /// The gate failed, or a tool called by hand said that it failed.
    Breached,
    /// Usage, configuration or suite is invalid.
    Usage,
    /// A named suite could not run, a cell has no scored trial, or more than 5 % were excluded.
    Undecidable,
    /// The record or a report could not be written.
    NotWritten,
    /// Nothing was selected.
    NothingSelected,
    /// Interrupted.
    Interrupted,
}

impl Status {
    /// Every status, in the order of `--help`.
    pub const ALL: [Self; 7] = [
        Self::Complete,
        Self::Breached,
        Self::Usage,
        Self::Undecidable,
        Self::NotWritten,
        Self::NothingSelected,
        Self::Interrupted,
    ];

    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Breached => 1,
            Self::Usage => 2,
            Self::Undecidable => 3,
            Self::NotWritten => 4,
            Self::NothingSelected => 5,
            Self::Interrupted => 130,
        }
    }

    /// What it means, for `--help` and the README.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Complete => "the record is complete, the gate passed",
            Self::Breached => {
                "the gate failed: a floor, a budget or the baseline was missed; or the tool of `mcp call` said that it failed"
            }
            Self::Usage => "usage, configuration or suite is invalid",
            Self::Undecidable => {
                "undecidable: a named suite could not run, a cell has no scored trial, or more than 5 % of its trials are excluded"
            }
            Self::NotWritten => "the record or a report could not be written",
            Self::NothingSelected => "nothing was selected",
            Self::Interrupted => "interrupted; the record reads, `--resume` goes on",
        }
    }
}
