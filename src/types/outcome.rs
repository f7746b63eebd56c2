//! What became of a trial, and whether it counts: the one table from outcome to denominator.

use serde::{Deserialize, Serialize};

use super::violation::{Class, Code};

/// What became of a trial (DESIGN §4, table).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// Right without any correction.
    Passed,
    /// Right after this many corrections.
    Recovered {
        /// Corrections used.
        corrections: u32,
    },
    /// The model was wrong.
    Failed {
        /// Primary code.
        code: Code,
    },
    /// The model ran out of turns, time, tokens or corrections.
    Limit {
        /// The limit.
        code: Code,
        /// What was wrong when it ran out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        underlying: Option<Code>,
    },
    /// Refused, reset, broken: nobody's answer.
    Infra {
        /// Primary code.
        code: Code,
    },
    /// The serving side spoiled the trial.
    Void {
        /// Primary code.
        code: Code,
    },
    /// The tool host failed.
    Tool {
        /// Primary code.
        code: Code,
    },
    /// Our own fault, an invalid case, or cancelled.
    Harness {
        /// Primary code.
        code: Code,
    },
}

/// How an outcome enters a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// In the denominator and the numerator.
    Success,
    /// In the denominator.
    Failure,
    /// Not in the denominator, counted as excluded; a miss in the as-deployed rate when `deployed_miss`.
    Excluded {
        /// Users experience it as a failure.
        deployed_miss: bool,
    },
    /// Makes the cell undecidable.
    Undecidable,
}

impl Outcome {
    /// The outcome that a code leads to when it ends a trial.
    pub fn of_code(code: Code) -> Self {
        match code.class() {
            Class::Model => match code {
                Code::TurnLimit | Code::TrialTimeout | Code::CorrectionsExhausted => Self::Limit {
                    code,
                    underlying: None,
                },
                _ => Self::Failed { code },
            },
            Class::Infra => Self::Infra { code },
            Class::Serving => Self::Void { code },
            Class::Tool | Class::Scripted => Self::Tool { code },
            Class::Harness => Self::Harness { code },
        }
    }

    /// The table: outcome to denominator.
    pub fn counted(self) -> Counted {
        match self {
            Self::Passed | Self::Recovered { .. } => Counted::Success,
            Self::Failed { .. } | Self::Limit { .. } => Counted::Failure,
            Self::Void { .. } => Counted::Excluded {
                deployed_miss: true,
            },
            Self::Infra { .. } | Self::Tool { .. } => Counted::Excluded {
                deployed_miss: false,
            },
            Self::Harness { .. } => Counted::Undecidable,
        }
    }

    /// Passed or recovered.
    pub fn is_success(self) -> bool {
        self.counted() == Counted::Success
    }

    /// In the denominator of the success rate.
    pub fn is_scored(self) -> bool {
        matches!(self.counted(), Counted::Success | Counted::Failure)
    }

    /// The code shown for it; none for successes. For a limit the underlying code, which says more.
    pub fn code(self) -> Option<Code> {
        match self {
            Self::Passed | Self::Recovered { .. } => None,
            Self::Limit { code, underlying } => Some(underlying.unwrap_or(code)),
            Self::Failed { code }
            | Self::Infra { code }
            | Self::Void { code }
            | Self::Tool { code }
            | Self::Harness { code } => Some(code),
        }
    }

    /// Re-run by `--resume`: nothing was learnt about the model.
    pub fn is_rerun_on_resume(self) -> bool {
        matches!(
            self,
            Self::Infra { .. }
                | Self::Tool { .. }
                | Self::Harness {
                    code: Code::Cancelled | Code::RequestRejected
                }
        )
    }

    /// The model's endpoint or the tools' server did not do its part: the next trial will hardly fare
    /// better.
    pub fn is_of_a_server(self) -> bool {
        matches!(
            self,
            Self::Infra { .. }
                | Self::Tool { .. }
                | Self::Harness {
                    code: Code::RequestRejected
                }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_denominator_table() {
        let counted = |code| Outcome::of_code(code).counted();
        assert_eq!(
            Outcome::Recovered { corrections: 2 }.counted(),
            Counted::Success
        );
        assert_eq!(counted(Code::WrongValue), Counted::Failure);
        assert_eq!(counted(Code::TrialTimeout), Counted::Failure);
        assert_eq!(
            counted(Code::OomOrCrash),
            Counted::Excluded {
                deployed_miss: true
            }
        );
        assert_eq!(
            counted(Code::Network),
            Counted::Excluded {
                deployed_miss: false
            }
        );
        assert_eq!(
            counted(Code::ToolTimeout),
            Counted::Excluded {
                deployed_miss: false
            }
        );
        assert_eq!(counted(Code::Cancelled), Counted::Undecidable);
    }
}
