//! The command line as data. Nothing is resolved here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::flags::SettingFlags;
use super::gate_args::{BASELINE_EXAMPLES, BaselineCommand, GATE_EXAMPLES, GateArgs};
use super::host_args::HostArgs;
use super::mcp_args::McpCommand;
use super::report_args::{ReportArgs, RescoreArgs};
use super::runs_args::RunsCommand;
use super::safety_args::SafetyArgs;
pub(super) use super::scale_args::{HistoryArgs, MergeArgs, QualifyArgs};
use super::score_args::{ImportCommand, ScoreArgs};
use super::setup_args::ExportSetupArgs;
use super::sizing_args::SizingArgs;

/// Measures how reliably language models call tools.
#[derive(Debug, Parser)]
#[command(
    name = "toolbench",
    version,
    about = "Measures how reliably language models call tools: success, correction and latency,\nper model, dialect, constraint and hardware tier",
    after_help = "Start with `toolbench doctor`, then `toolbench compare smollm2 qwen2.5-coder:0.5b`.",
    arg_required_else_help = true,
    propagate_version = true
)]
pub(super) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
    /// Say less: no progress, no notices
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// Say more: -v each trial, -vv prompts and raw replies
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Configuration file instead of ./toolbench.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Profile of the configuration file
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) profile: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run several models (or variants of one) on the same cases and say which is better
    #[command(
        after_help = "Examples:\n  toolbench compare smollm2 qwen2.5-coder:0.5b\n  toolbench compare phi3.5 gemma2 --suite weather --dialect react,json --constraint off,grammar\n  toolbench compare smollm2 --variant default,terse"
    )]
    Compare(RunArgs),
    /// Run one or more models and print their tables
    #[command(
        after_help = "Examples:\n  toolbench run smollm2 --suite weather --tag easy\n  toolbench run ./model.gguf --dialect native --context 8192\n  toolbench run --resume latest"
    )]
    Run(RunArgs),
    /// Say whether a run is good enough and no worse than its baseline: pass, fail or undecided
    #[command(after_help = GATE_EXAMPLES)]
    Gate(Box<GateArgs>),
    /// Save, show and update what `gate` compares a run with
    #[command(subcommand, after_help = BASELINE_EXAMPLES)]
    Baseline(BaselineCommand),
    /// Try out what a model's server does with a request: truncation, constraint, tool choice,
    /// streaming, parser, determinism, prompt cache
    #[command(
        after_help = "`run` and `compare` do the same before the first trial of a served model.\n\nExamples:\n  toolbench probe llama-server:qwen@http://127.0.0.1:8080\n  toolbench probe ollama:llama3.2 --dialect native --constraint off --format json"
    )]
    Probe(RunArgs),
    /// What hardware: speeds, memory and success of stored runs or of models measured now, and what
    /// tiers that nobody has run would do
    #[command(
        after_help = "Without names: the stored runs of this machine. A name is a run where one is stored under it, else a model that is measured.\n\nExamples:\n  toolbench sizing smollm2 qwen2.5-coder:0.5b --suite weather,pipelines --success 80 --p95 4\n  toolbench sizing latest --p95 2 --objective valid-call --reserve 8\n  toolbench sizing mac-run server-run --tier l4,a10 --format markdown\n  toolbench sizing qwen2.5-coder:0.5b --context 2048,4096,8192\n  toolbench sizing vllm:Qwen/Qwen2.5-7B-Instruct --load 1,2,4,8 --p95 4 --demand 500/h"
    )]
    Sizing(Box<SizingArgs>),
    /// Print the tables of a stored run again, in any format
    #[command(
        after_help = "Examples:\n  toolbench report latest --by category\n  toolbench report latest --write report.md,results.xml,trials.csv\n  toolbench report latest --format jsonl --retain calls --redact 'sk-[A-Za-z0-9]+'"
    )]
    Report(ReportArgs),
    /// Print the winner of a run, or a named cell, as configuration for another program
    #[command(
        after_help = "Prints system prompt, chat template, grammar or schema, sampler, context and correction text as\nusable files, and what does not come over.\n\nExamples:\n  toolbench export-setup latest --for ollama\n  toolbench export-setup latest --for llama-server --cell qwen2.5-coder:0.5b,json,grammar --out setup\n  toolbench export-setup latest --for openai --case weather-current-berlin"
    )]
    ExportSetup(ExportSetupArgs),
    /// List, show and remove stored runs
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Put the shards of a run together: exactly the record of the whole
    #[command(
        after_help = "Shards are made with `--shard I/N`, or `--shard auto` in job arrays and CI (recipes/scale-out).\n\nExamples:\n  toolbench merge shards/*/* --out reports\n  toolbench merge 20261120-070545-264bbb 20261120-070547-1f0c22"
    )]
    Merge(MergeArgs),
    /// Success and latency over stored runs, flaky cases, newly failing and newly passing ones
    #[command(
        after_help = "Examples:\n  toolbench history --last 20\n  toolbench history reports --model smollm2 --suite weather --format markdown"
    )]
    History(HistoryArgs),
    /// Take a model through stages from a file: simulated tools first, limited production last
    #[command(
        after_help = "Stops at the first stage that misses its floor and says what to change. A stage that has passed is not run again\nunless something it depends on has changed.\n\nExamples:\n  toolbench qualify --init qualify.yaml\n  toolbench qualify qualify.yaml --dry-run\n  toolbench qualify qualify.yaml --from development"
    )]
    Qualify(QualifyArgs),
    /// Judge a stored run again, by the rules (or the corrected suite) of now, into a new record
    #[command(
        after_help = "No model is asked. Trials that would have gone another way under today's rules are left out and counted.\n\nExamples:\n  toolbench rescore latest\n  toolbench rescore latest --suite ./corrected.yaml"
    )]
    Rescore(RescoreArgs),
    /// Judge recorded outputs without a model: against a suite, or against tools alone
    #[command(
        after_help = "A line of the calls file: {\"id\": \"case-1\", \"calls\": [{\"name\": \"get_time\", \"arguments\": {\"zone\": \"UTC\"}}]}\nor {\"id\": …, \"output\": \"raw text\"} with --decode, or a line of a BFCL result file;\nor a whole result file of promptfoo or Inspect (suites/SCORING.md). Verdicts go to standard output, totals to standard error.\n\nExamples:\n  toolbench score --suite weather --calls calls.jsonl\n  toolbench score --suite bfcl.json --calls BFCL_v4_multiple_result.json --rules bfcl\n  toolbench score --suite weather --calls results.json        # promptfoo eval --output results.json\n  toolbench score --suite weather --calls logs/run.eval       # inspect eval\n  toolbench score --tools tools.json --calls log.jsonl --format json"
    )]
    Score(ScoreArgs),
    /// Make a suite of another benchmark's data (also `suite import`)
    #[command(subcommand)]
    Import(ImportCommand),
    /// Explain a failure code or a column of the tables
    Explain {
        /// A code such as `wrong_value`, or a column such as `recovered`; without it, all
        name: Option<String>,
        /// Output format
        #[arg(long, value_enum, default_value = "terminal")]
        format: ListFormat,
    },
    /// List, show, write, check and install suites
    #[command(subcommand)]
    Suite(SuiteCommand),
    /// List, download, inspect and remove models
    #[command(subcommand)]
    Model(ModelCommand),
    /// Show the grammar of a dialect, or time grammars on a real model
    #[command(subcommand)]
    Grammar(GrammarCommand),
    /// List and call the tools of a server, measure it, record it, or serve a mock to others
    #[command(subcommand)]
    Mcp(McpCommand),
    /// Write a commented toolbench.toml from what this machine has
    Init {
        /// Overwrite an existing file
        #[arg(long)]
        force: bool,
    },
    /// Check engine, machine, models, servers and tools, and say how to fix what is missing
    Doctor {
        /// Output format
        #[arg(long, value_enum, default_value = "terminal")]
        format: ListFormat,
    },
    /// Settings in force
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// Serve one model over JSON Lines on standard input and output
    #[command(hide = true)]
    Engine,
    /// Print the published JSON Schemas
    #[command(hide = true)]
    Schema {
        /// suite, summary, gate, qualify or sizing
        name: String,
    },
}

/// Arguments of `run` and `compare`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Models: names of `toolbench model list`, a `.gguf` file, `hf:owner/repo[:quant]`, `PRESET:MODEL`, `scripted:FILE`, or `hybrid:A+B`
    #[arg(value_name = "MODEL")]
    pub(super) models: Vec<String>,
    /// Go on with a run: its directory, name, or `latest`
    #[arg(long, value_name = "RUN", help_heading = "Record and output")]
    pub(super) resume: Option<String>,
    /// Say what would be run, and stop
    #[arg(long, help_heading = "Record and output")]
    pub(super) dry_run: bool,
    /// Tool servers instead of the suites' own.
    #[command(flatten)]
    pub(super) hosts: HostArgs,
    /// What may be called on them.
    #[command(flatten)]
    pub(super) safety: SafetyArgs,
    /// All settings.
    #[command(flatten)]
    pub(super) settings: SettingFlags,
}

/// Commands on suites.
#[derive(Debug, Subcommand)]
pub(super) enum SuiteCommand {
    /// List suites with their cases by difficulty and category
    #[command(
        after_help = "Examples:\n  toolbench suite list\n  toolbench suite list --category abstain --difficulty medium,hard"
    )]
    List {
        /// Which cases are counted.
        #[command(flatten)]
        filter: CaseFilter,
        /// Output format
        #[arg(long, value_enum, default_value = "terminal")]
        format: ListFormat,
    },
    /// Show a suite's tools and cases, or all that some of its cases ask, accept and refuse
    #[command(
        after_help = "Examples:\n  toolbench suite show weather\n  toolbench suite show weather --category recovery\n  toolbench suite show weather weather-current-berlin 'weather-unit-*'"
    )]
    Show {
        /// Name or file
        name: String,
        /// Cases to show whole: ids, or patterns with `*`
        #[arg(value_name = "CASE")]
        cases: Vec<String>,
        /// Which cases are shown.
        #[command(flatten)]
        filter: CaseFilter,
        /// Output format
        #[arg(long, value_enum, default_value = "terminal")]
        format: ListFormat,
    },
    /// Write a commented starter suite, or draft one from the tools of a server
    #[command(
        after_help = "Examples:\n  toolbench suite new library\n  toolbench suite new files --from-mcp --stdio \"npx -y @modelcontextprotocol/server-filesystem .\"\n  toolbench suite new files --from-mcp --mcp-config ~/.config/client/mcp.json --server files --allow write_file"
    )]
    New(Box<NewSuiteArgs>),
    /// Turn a recorded trial into a case of a suite file
    #[command(
        after_help = "Examples:\n  toolbench suite add-case --from latest:weather-unit-kelvin --suite mine.yaml\n  toolbench suite add-case --from reports/20261120-070545-264bbb:1f0c --suite mine.yaml --id kelvin-again"
    )]
    AddCase(AddCaseArgs),
    /// Prove suites: form, references, schemas, that an oracle passes every case, that every near
    /// miss gets its code, and that agents without understanding stay below their ceilings
    Check {
        /// Names or files
        names: Vec<String>,
        /// Every suite
        #[arg(long)]
        all: bool,
        /// Output format
        #[arg(long, value_enum, default_value = "terminal")]
        format: ListFormat,
    },
    /// Make a suite of another benchmark's data (also `import`)
    #[command(subcommand)]
    Import(ImportCommand),
    /// Install the real tool server that a suite needs
    Install {
        /// Name or file
        name: String,
    },
}

/// Which cases a command looks at.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct CaseFilter {
    /// Only cases of these categories
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(super) category: Vec<String>,
    /// Only cases of these difficulties
    #[arg(long, value_name = "LEVEL", value_delimiter = ',', value_parser = ["easy", "medium", "hard"])]
    pub(super) difficulty: Vec<String>,
}

/// Arguments of `suite new`.
#[derive(Debug, Args)]
pub(super) struct NewSuiteArgs {
    /// Name of the suite: lower case letters, digits and `-`; its file is NAME.yaml
    pub(super) name: String,
    /// Folder to write into
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(super) dir: PathBuf,
    /// Draft cases for each tool of an MCP server, and record what its read-only tools answer
    #[arg(long)]
    pub(super) from_mcp: bool,
    /// Where the tools are.
    #[command(flatten)]
    pub(super) server: HostArgs,
    /// Name of the server in the list, where it has several
    #[arg(
        long = "server",
        value_name = "NAME",
        requires = "mcp_config",
        help_heading = "Drafting from a server"
    )]
    pub(super) listed: Option<String>,
    /// Call these tools too, though they are not marked read-only
    #[arg(
        long,
        value_name = "TOOL",
        value_delimiter = ',',
        requires = "from_mcp",
        help_heading = "Drafting from a server"
    )]
    pub(super) allow: Vec<String>,
    /// Real arguments for a tool's call instead of made ones, as JSON; may be repeated
    #[arg(
        long,
        value_name = "TOOL={…}",
        requires = "from_mcp",
        help_heading = "Drafting from a server"
    )]
    pub(super) arguments: Vec<String>,
}

/// Arguments of `suite add-case`.
#[derive(Debug, Args)]
pub(super) struct AddCaseArgs {
    /// The trial: a run (directory, name, unique beginning, or `latest`), then the trial's id or the
    /// beginning of it, or its case
    #[arg(long, value_name = "RUN:TRIAL")]
    pub(super) from: String,
    /// Suite file that gets the case
    #[arg(long, value_name = "FILE")]
    pub(super) suite: String,
    /// Id of the new case; made from the trial's own without it
    #[arg(long, value_name = "ID")]
    pub(super) id: Option<String>,
    /// Folder of runs
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<String>,
}

/// Commands on models.
#[derive(Debug, Subcommand)]
pub(super) enum ModelCommand {
    /// List the catalogue and what is in the cache
    List {
        /// Only what is in the cache
        #[arg(long)]
        cached: bool,
        /// Output format
        #[arg(long, value_enum, default_value = "terminal")]
        format: ListFormat,
    },
    /// Download models
    Pull {
        /// Names of the catalogue, `hf:owner/repo[:quant]`, or URLs of GGUF files
        #[arg(required = true)]
        names: Vec<String>,
        /// Quantisation, where there is a choice
        #[arg(long)]
        quant: Option<String>,
        /// Name to keep a URL or Hub file under
        #[arg(long, value_name = "NAME")]
        alias: Option<String>,
        /// Expected SHA-256
        #[arg(long, value_name = "HEX")]
        sha256: Option<String>,
    },
    /// Show a model: GGUF metadata, template, memory needed
    Show {
        /// Name or file
        name: String,
        /// Context to estimate memory for
        #[arg(long, default_value_t = 4096, value_name = "TOKENS")]
        context: u32,
        /// Type of the key and value cache
        #[arg(long, value_name = "TYPE")]
        kv_cache_type: Option<String>,
        /// Output format
        #[arg(long, value_enum, default_value = "terminal")]
        format: ListFormat,
    },
    /// Remove models from the cache
    Rm {
        /// Names
        #[arg(required = true)]
        names: Vec<String>,
    },
}

/// Commands on grammars.
#[derive(Debug, Subcommand)]
pub(super) enum GrammarCommand {
    /// Print the grammar that constrained decoding is held to
    Show {
        /// Suite whose tools go in
        #[arg(long, default_value = "weather")]
        suite: String,
        /// native, react, json or fenced
        #[arg(long, default_value = "json")]
        dialect: String,
        /// auto, required or none
        #[arg(long, default_value = "auto")]
        tool_choice: String,
        /// off, on or a number of tokens
        #[arg(long, default_value = "off")]
        reasoning: String,
        /// Model whose template decides the form of `native`
        #[arg(long)]
        model: Option<String>,
        /// lark: as text; json: as structure
        #[arg(long, default_value = "lark")]
        format: String,
    },
    /// Check one schema: which instances are valid, and which its grammar takes
    #[command(
        after_help = "Example:\n  toolbench grammar check --schema tool.schema.json --instances calls.jsonl\n\nOne line per instance: {\"line\", \"schema_valid\", \"grammar_accepts\"}, in the key order of the schema.\nA line that is no JSON: {\"line\", \"error\"}. A refused schema: {\"line\": null, \"refused\", \"by\"} alone.\nGrammars close objects that say nothing of further properties; validation does not. A valid instance\nthat only this keeps out has \"closed\": true."
    )]
    Check(GrammarCheckArgs),
    /// Measure the way from schema to grammar on the public JSON Schema test suite
    #[command(
        after_help = "The suite comes with the Python package jsonschema:\n  pip download --no-deps --no-binary :all: jsonschema==4.26.0 && tar xzf jsonschema-4.26.0.tar.gz\n  toolbench grammar conformance --suite jsonschema-4.26.0/json"
    )]
    Conformance(ConformanceArgs),
    /// Time one call unconstrained, constrained, and with llama.cpp's own grammar sampler
    Bench {
        /// Model: a cached name or a GGUF file
        model: String,
        /// Repetitions of each
        #[arg(long, default_value_t = 5)]
        repeats: u32,
    },
}

/// Arguments of `grammar check`.
#[derive(Debug, Args)]
pub(super) struct GrammarCheckArgs {
    /// JSON Schema, draft 4 to 2020-12 (2020-12 without `$schema`)
    #[arg(long, value_name = "FILE")]
    pub(super) schema: PathBuf,
    /// Instances, one JSON value a line; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(super) instances: PathBuf,
    /// How the root is read: any value, or a tool's arguments (always an object)
    #[arg(long, value_enum, default_value = "value")]
    pub(super) root: GrammarRoot,
    /// Output format
    #[arg(long, value_enum, default_value = "jsonl")]
    pub(super) format: CheckFormat,
}

/// Arguments of `grammar conformance`.
#[derive(Debug, Args)]
pub(super) struct ConformanceArgs {
    /// Folder of the suite: the one that holds `tests`
    #[arg(long, value_name = "DIR")]
    pub(super) suite: PathBuf,
    /// Drafts: draft4, draft6, draft7, draft2019-09, draft2020-12; without it, all
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) draft: Vec<String>,
    /// Keywords: names of the suite's files; without it, all
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) keyword: Vec<String>,
    /// Without the suite's optional tests (formats, big numbers, regular expressions of ECMA 262)
    #[arg(long)]
    pub(super) required_only: bool,
    /// Random walks of each grammar
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(super) walks: u32,
    /// Seed of the walks
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(super) seed: u64,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: ConformanceFormat,
}

/// How the root of a checked schema is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum GrammarRoot {
    /// Any value
    Value,
    /// A tool's arguments: an object, without keys where none are declared
    Arguments,
}

/// Formats of `grammar check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CheckFormat {
    /// One object a line
    Jsonl,
    /// One object
    Json,
    /// For people
    Text,
}

/// Formats of `grammar conformance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ConformanceFormat {
    /// The table
    Text,
    /// Everything, every finding with its schema and instance
    Json,
    /// The counts alone, by draft and keyword
    Counts,
}

/// Commands on the configuration.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print each setting with its value and where it comes from
    Show {
        /// Settings to try as flags
        #[command(flatten)]
        settings: Box<SettingFlags>,
    },
}

/// Formats of listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ListFormat {
    /// For people
    Terminal,
    /// For programs
    Json,
}
