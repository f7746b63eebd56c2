//! Arguments of `score` and `import`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Arguments of `score`.
#[derive(Debug, Args)]
pub(super) struct ScoreArgs {
    /// Suite whose cases the outputs answer: a name, or a file
    #[arg(
        long,
        value_name = "NAME or FILE",
        required_unless_present = "tools",
        conflicts_with = "tools"
    )]
    pub(super) suite: Option<String>,
    /// Tools instead of a suite, where no answers are known: an MCP `tools/list` reply, tools of a
    /// chat-completion request, or a suite. Prints parse, unknown-tool and schema rates
    #[arg(long, value_name = "FILE")]
    pub(super) tools: Option<String>,
    /// Recorded outputs, one JSON object per line, or a result file of promptfoo (`results.json`,
    /// `results.jsonl`) or Inspect (`.eval`, `.json`), which is recognised by itself; `-` for
    /// standard input
    #[arg(long, value_name = "FILE")]
    pub(super) calls: PathBuf,
    /// Of a promptfoo or Inspect file with several, the outputs of this provider or model only
    #[arg(long, value_name = "NAME")]
    pub(super) provider: Option<String>,
    /// Whose rules
    #[arg(long, value_enum, default_value = "strict", conflicts_with = "tools")]
    pub(super) rules: RulesName,
    /// How calls are written in outputs that are text
    #[arg(long, value_enum, default_value = "python", value_name = "FORMAT")]
    pub(super) decode: Decode,
    /// Of outputs that are text, read only what stands in the first <TOOLCALL>…</TOOLCALL>
    #[arg(long)]
    pub(super) tool_call_tag: bool,
    /// Output format: one line of JSON per output, all in one object with totals, or text
    #[arg(long, value_enum, default_value = "jsonl")]
    pub(super) format: ScoreFormat,
    /// Write the verdicts to a file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// End with exit code 1 when the share of valid outputs is below this, from 0 to 1
    #[arg(long, value_name = "RATE")]
    pub(super) fail_under: Option<f64>,
}

/// Whose rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RulesName {
    /// Ours, as in every run
    Strict,
    /// Those of the Berkeley Function Calling Leaderboard, to the letter; for imported suites
    Bfcl,
}

/// How calls are written in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Decode {
    /// `[name(key=value)]`
    Python,
    /// `[{"function": …, "parameters": {…}}]`
    Json,
    /// Either of the two XML forms
    Xml,
    /// XML with values as attributes
    #[value(name = "verbose_xml")]
    VerboseXml,
    /// XML with values as text
    #[value(name = "concise_xml")]
    ConciseXml,
    /// Whatever the text looks like
    Auto,
}

/// Formats of verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ScoreFormat {
    /// One line of JSON per output
    Jsonl,
    /// One object with all verdicts and totals
    Json,
    /// For people
    Text,
}

/// What can be imported.
#[derive(Debug, Subcommand)]
pub(super) enum ImportCommand {
    /// Make a suite of the Berkeley Function Calling Leaderboard's data
    #[command(
        after_help = "The data folder is `bfcl_eval/data` of the Python package `bfcl-eval` (2026.3.23); it is read and not copied.\n\nExamples:\n  toolbench import bfcl --from ./bfcl_eval/data --out bfcl.json\n  toolbench import bfcl --from ./bfcl_eval --category live,simple_python --names underscored --out bfcl.json"
    )]
    Bfcl(ImportBfcl),
}

/// Arguments of `import bfcl`.
#[derive(Debug, Args)]
pub(super) struct ImportBfcl {
    /// Folder that holds `BFCL_v4_*.json` and `possible_answer/`, or the package's folder above it
    #[arg(long, value_name = "DIR")]
    pub(super) from: PathBuf,
    /// Categories, or groups such as live, non_live, python, single_turn, all; without it, all that can be imported
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(super) category: Vec<String>,
    /// Names of functions: as they are, or with `_` for `.`
    #[arg(long, value_enum, default_value = "dotted")]
    pub(super) names: ImportNames,
    /// The suite to write
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
}

/// Names of functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ImportNames {
    /// `math.gcd`
    Dotted,
    /// `math_gcd`
    Underscored,
}
