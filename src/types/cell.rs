//! What a run varies: dialect, constraint, variant and the key of a cell.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::generate::Sampling;
use super::hash::ContentHash;

macro_rules! named_enum {
    ($(#[$meta:meta])* $name:ident { $( $(#[$vmeta:meta])* $variant:ident = $text:literal ),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum $name { $( $(#[$vmeta])* #[serde(rename = $text)] $variant, )* }
        impl $name {
            /// Every value, in the order shown.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )* ];
            /// The name as written on the command line and in records.
            pub fn as_str(self) -> &'static str { match self { $( Self::$variant => $text, )* } }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }
        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or_else(|| {
                    let names: Vec<_> = Self::ALL.iter().map(|value| value.as_str()).collect();
                    format!("`{text}` is not one of {}", names.join(", "))
                })
            }
        }
    };
}

named_enum! {
    /// How tools are offered and calls read back.
    DialectName {
        /// The chat template's own tool form.
        Native = "native",
        /// `Thought:` / `Action:` / `Action Input:` / `Final Answer:`.
        React = "react",
        /// One JSON object: `{"tool":…,"arguments":…}` or `{"answer":…}`.
        Json = "json",
        /// Text with calls in fenced blocks.
        Fenced = "fenced",
    }
}

named_enum! {
    /// Whether decoding is held to the dialect's grammar.
    Constraint {
        /// Free decoding.
        Off = "off",
        /// Held to the dialect's grammar with the tools' schemas in it.
        Grammar = "grammar",
    }
}

named_enum! {
    /// Whether a call may, must or must not be made.
    ToolChoice {
        /// The model decides.
        Auto = "auto",
        /// A call in every reply.
        Required = "required",
        /// No call.
        None = "none",
    }
}

#[expect(
    clippy::derivable_impls,
    reason = "the macro that makes these names derives no default"
)]
impl Default for ToolChoice {
    fn default() -> Self {
        Self::Auto
    }
}

named_enum! {
    /// Which reading steers.
    Leniency {
        /// The dialect's exact form.
        Strict = "strict",
        /// Repairs are applied; counted in their own column.
        Lenient = "lenient",
    }
}

/// A bounded thought before a call: `off`, `on` (a default bound) or a number of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reasoning {
    /// No thought is asked for.
    #[default]
    Off,
    /// At most this many tokens.
    Tokens(u32),
}

impl std::str::FromStr for Reasoning {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "on" => Ok(Self::Tokens(64)),
            number => match number.parse() {
                Ok(0) | Err(_) => Err(format!("`{text}` is not `off`, `on` or a number of tokens")),
                Ok(tokens) => Ok(Self::Tokens(tokens)),
            },
        }
    }
}

impl std::fmt::Display for Reasoning {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => formatter.write_str("off"),
            Self::Tokens(tokens) => write!(formatter, "{tokens}"),
        }
    }
}

/// A named bundle of what people tune.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Variant {
    /// Name, `default` unless given.
    pub name: String,
    /// System prompt instead of the suite's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Examples from the suite's own example section.
    pub few_shot: u32,
    /// `plain`, `located`, `nudge`, or the path of a template.
    pub correction: String,
    /// Sampler.
    pub sampling: Sampling,
    /// Context window in tokens.
    pub context_tokens: u32,
    /// Further tools offered that no case needs.
    pub distractors: u32,
    /// Bounded thought before calls.
    pub reasoning: Reasoning,
}

impl Default for Variant {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            system: None,
            few_shot: 0,
            correction: "located".to_owned(),
            sampling: Sampling::default(),
            context_tokens: 4096,
            distractors: 0,
            reasoning: Reasoning::Off,
        }
    }
}

/// The key of a cell. Equal keys are one cell; display names are never used as paths.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CellKey {
    /// Model as the user named it.
    pub model: String,
    /// Dialect.
    pub dialect: DialectName,
    /// Constraint asked for.
    pub constraint: Constraint,
    /// Name of the variant.
    pub variant: String,
    /// Hash of what the variant bundles, so that equal names of different bundles stay apart.
    #[serde(default)]
    pub variant_hash: String,
    /// Suite the cases come from.
    pub suite: String,
    /// Hardware tier, `remote` for cloud.
    pub tier: String,
    /// Other settings that shape replies (`tool_choice`, `max_corrections`, …), as text; shown
    /// only where they vary.
    pub settings: BTreeMap<String, String>,
}

impl CellKey {
    /// Stable id: the first 16 digits of the hash of the key.
    pub fn id(&self) -> String {
        ContentHash::of_value(self).0[..16].to_owned()
    }
}
