//! The stage file: YAML (or JSON), with a published schema.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::check;
use crate::suite::positions::{At, Positions, Step};
use crate::types::names::hint_for_unknown_field;

/// Stages that a model has to pass, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QualifyFile {
    /// Name: what is known of its stages is kept under it. Lower case letters, digits and `-`.
    pub qualify: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Model, by any name that `toolbench run` takes; `--model` names another.
    #[serde(default)]
    pub model: Option<String>,
    /// Settings of all stages: any setting of a run by the name of its flag, such as `max-tokens`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, SettingSchema>")]
    pub settings: BTreeMap<String, SettingValue>,
    /// Stages in order; kinds never go back.
    pub stages: Vec<Stage>,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Name, unique in the file.
    pub stage: String,
    /// What it is run against, and with what care.
    pub kind: StageKind,
    /// Suites, by name or file.
    pub suites: Vec<String>,
    /// Least success in percent: the lower limit of its 95 % interval has to reach it.
    pub floor: f64,
    /// The rate alone has to reach the floor, whatever its interval.
    #[serde(default)]
    pub point_estimate: bool,
    /// What the stage may take.
    #[serde(default)]
    pub budget: Budget,
    /// Tool server instead of the suites' mocks.
    #[serde(default)]
    pub server: Option<Server>,
    /// Tools that may be called though the server does not mark them read-only.
    #[serde(default)]
    pub allow_tools: Vec<String>,
    /// The tools of `allow_tools` may destroy what they touch; never in production.
    #[serde(default)]
    pub allow_destructive: bool,
    /// Paths in arguments must lie below these folders.
    #[serde(default)]
    pub paths_under: Vec<String>,
    /// Arguments may name no place in the network.
    #[serde(default)]
    pub no_network: bool,
    /// Calls are written down instead of made.
    #[serde(default)]
    pub dry_run_calls: bool,
    /// The server's tools may differ from the suites'.
    #[serde(default)]
    pub accept_drift: bool,
    /// Settings of this stage, over those of the file.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, SettingSchema>")]
    pub settings: BTreeMap<String, SettingValue>,
}

/// What a stage is run against. A file's stages keep this order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// Mocks: nothing real is touched.
    Simulated,
    /// A development tool server.
    Development,
    /// Hard scenarios: several steps, errors, long contexts; on mocks or a server.
    Complex,
    /// A production server with safeguards: it names its server, a time and a number of calls,
    /// destroys nothing, and runs only after a yes or `--allow-production`.
    Production,
}

impl StageKind {
    /// As in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Simulated => "simulated",
            Self::Development => "development",
            Self::Complex => "complex",
            Self::Production => "production",
        }
    }
}

/// What a stage may take; what is absent is not limited. A stage that its budget ends is undecided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Time, as `--limit-time`.
    pub seconds: Option<f64>,
    /// Tokens of prompts and replies, as `--limit-tokens`.
    pub tokens: Option<u64>,
    /// Requests to the model, as `--limit-requests`.
    pub requests: Option<u64>,
    /// Money, as `--budget`.
    pub cost: Option<f64>,
    /// Calls on the stage's server, shared out evenly: each trial may make as many as its share.
    pub calls: Option<u64>,
}

/// Where tools are: the flags of `toolbench run`, one or a list of each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Commands that start an MCP server on standard input and output.
    #[schemars(with = "OneOrMore")]
    pub stdio: Texts,
    /// MCP servers over streamable HTTP.
    #[schemars(with = "OneOrMore")]
    pub http: Texts,
    /// MCP servers over WebSocket.
    #[schemars(with = "OneOrMore")]
    pub ws: Texts,
    /// MCP servers over gRPC.
    #[schemars(with = "OneOrMore")]
    pub grpc: Texts,
    /// REST tool servers.
    #[schemars(with = "OneOrMore")]
    pub rest: Texts,
    /// OpenAPI documents.
    #[schemars(with = "OneOrMore")]
    pub openapi: Texts,
    /// Lists of servers of a desktop client or editor, `FILE#NAME` where they have several.
    #[schemars(with = "OneOrMore")]
    pub mcp_config: Texts,
    /// Headers of every request, values from variables: `X-Api-Key: $MY_KEY`.
    #[schemars(with = "OneOrMore")]
    pub header: Texts,
    /// Variable that holds the bearer token.
    pub bearer_env: Option<String>,
    /// Certificate authority to trust besides the system's (PEM).
    pub ca: Option<String>,
    /// Version of MCP.
    pub protocol: Option<String>,
}

impl Server {
    /// Some server is named.
    pub fn is_given(&self) -> bool {
        let all = [
            &self.stdio,
            &self.http,
            &self.ws,
            &self.grpc,
            &self.rest,
            &self.openapi,
            &self.mcp_config,
        ];
        all.iter().any(|texts| !texts.0.is_empty())
    }
}

/// One text or several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Texts(pub Vec<String>);

/// A setting's value as text, or several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SettingValue(pub Vec<String>);

/// For the schema alone.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "says what may be written")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// For the schema alone.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "says what may be written")]
enum SettingSchema {
    Text(String),
    Number(f64),
    Switch(bool),
    Several(Vec<String>),
}

/// Reads one scalar or a list of them; `scalars` lets numbers and switches pass as text.
struct TextsVisitor {
    scalars: bool,
}

impl<'de> serde::de::Visitor<'de> for TextsVisitor {
    type Value = Vec<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.scalars {
            "a text, a number, true, false, or a list of them"
        } else {
            "a text or a list of texts"
        })
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(vec![text.to_owned()])
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Self::Value, E> {
        self.scalar(&value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
        self.scalar(&value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        self.scalar(&value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        self.scalar(&value)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(
        self,
        mut items: A,
    ) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        if self.scalars {
            while let Some(SettingValue(values)) = items.next_element()? {
                found.extend(values);
            }
        } else {
            while let Some(text) = items.next_element::<String>()? {
                found.push(text);
            }
        }
        Ok(found)
    }
}

impl TextsVisitor {
    fn scalar<E: serde::de::Error>(&self, value: &dyn fmt::Display) -> Result<Vec<String>, E> {
        if self.scalars {
            Ok(vec![value.to_string()])
        } else {
            Err(E::custom(format!(
                "invalid type: `{value}`, expected a text or a list of texts"
            )))
        }
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = TextsVisitor { scalars: false };
        deserializer.deserialize_any(visitor).map(Self)
    }
}

impl<'de> Deserialize<'de> for SettingValue {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = TextsVisitor { scalars: true };
        deserializer.deserialize_any(visitor).map(Self)
    }
}

/// One thing wrong with a stage file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    /// What is wrong, and what would be right.
    pub message: String,
    /// `file:line:column`.
    pub place: String,
}

/// The text is no stage file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.iter().map(|it| format!("{}\n  {}", it.message, it.place)).collect::<Vec<_>>().join("\n"))]
pub struct FileError {
    /// Everything that is wrong.
    pub problems: Vec<FileProblem>,
}

/// Where the parts of a file stand.
#[derive(Debug)]
pub struct Places {
    label: String,
    positions: Positions,
}

impl Places {
    /// `file:line:column` of a path; of its deepest part that is there.
    pub fn of(&self, path: &[Step]) -> String {
        at_place(&self.label, self.positions.at(path))
    }

    /// The same of something in a stage.
    pub fn in_stage(&self, stage: usize, path: &[Step]) -> String {
        let mut whole: Vec<Step> = vec!["stages".into(), stage.into()];
        whole.extend(path.iter().cloned());
        self.of(&whole)
    }
}

fn at_place(label: &str, at: Option<At>) -> String {
    match at {
        Some((line, column)) => format!("{label}:{line}:{column}"),
        None => label.to_owned(),
    }
}

/// Reads and checks a file's text; `label` is its path as shown.
pub fn parse(label: &str, text: &str) -> Result<(QualifyFile, Places), FileError> {
    let file: QualifyFile = serde_saphyr::from_str(text).map_err(|error| {
        let at = error.location();
        let at = at.map(|at| (at.line() as usize, at.column() as usize));
        let said = error.to_string();
        let first = said.lines().map(str::trim).find(|line| !line.is_empty());
        let message = without_place(first.unwrap_or("not valid YAML"));
        let message = match hint_for_unknown_field(&message) {
            Some(hint) => format!("{message}; {hint}"),
            None => message,
        };
        FileError {
            problems: vec![FileProblem {
                message,
                place: at_place(label, at),
            }],
        }
    })?;
    let places = Places {
        label: label.to_owned(),
        positions: Positions::of(text),
    };
    let problems = check(&file, &places);
    if problems.is_empty() {
        Ok((file, places))
    } else {
        Err(FileError { problems })
    }
}

/// The reader writes the place before the message; here it stands below, with the file.
fn without_place(message: &str) -> String {
    let message = message.trim_start_matches("error: ");
    let rest = message
        .strip_prefix("line ")
        .and_then(|rest| rest.split_once(": "))
        .filter(|(place, _)| {
            let mut signs = place.chars();
            signs.all(|c| c.is_ascii_digit() || " column".contains(c))
        });
    rest.map_or(message, |(_, rest)| rest).to_owned()
}
