//! Hybrids: several models asked in order, and when the next one is asked.
//!
//! Data in: what an attempt came to. Data out: why the next leg is asked, or nothing. Invariants:
//! pure; a fault of our own and an interrupt never ask another leg; the last leg is not asked here.

use serde::{Deserialize, Serialize};

use super::settings::TrialRules;
use super::violation::{Class, Code};

/// Why the next leg of a hybrid is asked.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum FallbackCause {
    /// Endpoint or engine failed, or spoiled the reply.
    Infra,
    /// The model wrote no valid call and no answer: a finding from generation to schema.
    Invalid,
    /// The latency budget passed, or without one the time limit of a request.
    Latency,
}

impl FallbackCause {
    /// Every value, in the order shown.
    pub const ALL: [Self; 3] = [Self::Infra, Self::Invalid, Self::Latency];

    /// The name in settings, records and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Infra => "infra",
            Self::Invalid => "invalid",
            Self::Latency => "latency",
        }
    }
}

/// When a hybrid asks its next leg.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FallbackRules {
    /// The causes that count.
    pub on: Vec<FallbackCause>,
    /// The time that every leg but the last has for a complete reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_budget_ms: Option<u64>,
}

impl Default for FallbackRules {
    fn default() -> Self {
        Self {
            on: FallbackCause::ALL.to_vec(),
            latency_budget_ms: None,
        }
    }
}

impl FallbackRules {
    /// The budget, where passing it asks the next leg.
    pub fn budget_ms(&self) -> Option<u64> {
        let heeded = self.on.contains(&FallbackCause::Latency);
        self.latency_budget_ms.filter(|_| heeded)
    }

    /// A trial's rules for a leg that is not the last: it has no more time than the budget.
    pub fn limited(&self, rules: &TrialRules) -> TrialRules {
        let limit_ms = rules.attempt_limit_ms;
        TrialRules {
            attempt_limit_ms: self.budget_ms().map_or(limit_ms, |it| it.min(limit_ms)),
            ..rules.clone()
        }
    }

    /// Why the next leg is asked after an attempt with this primary finding and time; `None` where
    /// the attempt stands.
    pub fn cause(&self, found: Option<Code>, wall_ms: f64) -> Option<FallbackCause> {
        let late = self
            .budget_ms()
            .is_some_and(|budget| wall_ms > budget as f64);
        let class = found.map(Code::class);
        if class == Some(Class::Harness) {
            return None;
        }
        let slow = late || found == Some(Code::TrialTimeout);
        let broken = matches!(class, Some(Class::Infra | Class::Serving));
        // Silence until the budget was over is slowness; anything else that broke says more.
        let silent = late && found == Some(Code::RequestTimeout);
        let invalid = class == Some(Class::Model) && found != Some(Code::TrialTimeout);
        let holds = [
            (FallbackCause::Infra, broken && !silent),
            (FallbackCause::Latency, slow),
            (FallbackCause::Infra, broken),
            (FallbackCause::Invalid, invalid),
        ];
        holds
            .into_iter()
            .find(|(cause, holds)| *holds && self.on.contains(cause))
            .map(|(cause, _)| cause)
    }

    /// In words: what is part of a plan's identity and of a resolution.
    pub fn in_words(&self) -> String {
        let causes: Vec<&str> = self.on.iter().map(|cause| cause.as_str()).collect();
        let budget = self.budget_ms().map_or_else(String::new, |budget| {
            format!(" after {} s", budget as f64 / 1000.0)
        });
        format!("{}{budget}", causes.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use FallbackCause::{Infra, Invalid, Latency};

    #[test]
    fn each_cause_by_code_and_time() {
        let rules = FallbackRules {
            latency_budget_ms: Some(500),
            ..FallbackRules::default()
        };
        for (found, wall_ms, wanted) in [
            (None, 400.0, None),
            (None, 501.0, Some(Latency)),
            (Some(Code::TrialTimeout), 500.0, Some(Latency)),
            (Some(Code::RequestTimeout), 501.0, Some(Latency)),
            (Some(Code::RequestTimeout), 100.0, Some(Infra)),
            (Some(Code::Network), 900.0, Some(Infra)),
            (Some(Code::OomOrCrash), 10.0, Some(Infra)),
            (Some(Code::CallInContent), 10.0, Some(Infra)),
            (Some(Code::MalformedJson), 10.0, Some(Invalid)),
            (Some(Code::TypeMismatch), 900.0, Some(Latency)),
            (Some(Code::RequestRejected), 900.0, None),
            (Some(Code::Cancelled), 900.0, None),
        ] {
            assert_eq!(rules.cause(found, wall_ms), wanted, "{found:?} {wall_ms}");
        }
    }

    #[test]
    fn only_the_causes_asked_for_count() {
        let only = |cause| FallbackRules {
            on: vec![cause],
            latency_budget_ms: Some(500),
        };
        let invalid = only(Invalid);
        assert_eq!(invalid.cause(None, 900.0), None, "no budget is heeded");
        assert_eq!(invalid.cause(Some(Code::Network), 1.0), None);
        assert_eq!(invalid.cause(Some(Code::TrialTimeout), 900.0), None);
        assert_eq!(invalid.cause(Some(Code::UnknownTool), 900.0), Some(Invalid));
        let latency = only(Latency);
        assert_eq!(latency.cause(Some(Code::Network), 900.0), Some(Latency));
        assert_eq!(latency.cause(Some(Code::Network), 1.0), None);
        assert_eq!(
            only(Infra).cause(Some(Code::RequestTimeout), 900.0),
            Some(Infra)
        );
    }
}
