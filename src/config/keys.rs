//! The one table of settings.

use super::gate_keys::GATE_KEYS;

/// What a setting holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Several values, by comma or repetition.
    List,
    /// Several texts by repetition; a comma is part of one.
    Texts,
    /// One text.
    Text,
    /// A whole number from 0.
    Count,
    /// A number.
    Number,
    /// Yes or no; a flag without value.
    Switch,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Name: the long flag, the key in files, and `TOOLBENCH_NAME` as a variable.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Built-in value; none when absent means something of its own.
    pub default: Option<&'static str>,
    /// Placeholder in help.
    pub value_name: &'static str,
    /// Group in help.
    pub heading: &'static str,
    /// Help text.
    pub help: &'static str,
}

impl Key {
    /// The variable that sets it.
    pub fn variable(&self) -> String {
        let name = self.name.replace(['-', '.'], "_");
        format!("TOOLBENCH_{}", name.to_uppercase())
    }
}

const WHAT: &str = "What to run";
const HOW: &str = "How tools are offered";
const SAMPLING: &str = "Sampling";
const LIMITS: &str = "Limits";
const ENGINE: &str = "Engine";
const OUTPUT: &str = "Record and output";

const fn new(
    heading: &'static str,
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    value_name: &'static str,
    help: &'static str,
) -> Key {
    Key {
        name,
        kind,
        default,
        value_name,
        heading,
        help,
    }
}

/// Every setting of a run.
pub const KEYS: &[Key] = &[
    new(
        WHAT,
        "suite",
        Kind::List,
        Some("quick"),
        "NAME|FILE",
        "Suites to run: names (`toolbench suite list`) or files",
    ),
    new(
        WHAT,
        "case",
        Kind::List,
        None,
        "ID",
        "Only these cases; `*` stands for any text",
    ),
    new(
        WHAT,
        "tag",
        Kind::List,
        None,
        "TAG",
        "Only cases of these categories, difficulties or tags",
    ),
    new(
        WHAT,
        "limit",
        Kind::Count,
        None,
        "N",
        "At most N cases of each suite",
    ),
    new(
        WHAT,
        "sample",
        Kind::Count,
        None,
        "N",
        "N cases of all suites together, drawn with the seed in proportion over suite and category",
    ),
    new(
        WHAT,
        "shard",
        Kind::Text,
        None,
        "I/N|auto|auto/N",
        "Run only part I of N, by case; auto: as the job array or CI job says (auto/N where it does not say how many)",
    ),
    new(
        WHAT,
        "quant",
        Kind::List,
        None,
        "QUANT",
        "Quantisations of each model, e.g. `q4_k_m,q8_0`: each is a model of its own",
    ),
    new(
        WHAT,
        "trials",
        Kind::Count,
        Some("1"),
        "N",
        "Trials per case; more than 1 needs a temperature above 0",
    ),
    new(
        WHAT,
        "until-decided",
        Kind::Switch,
        None,
        "",
        "Draw cases, then further trials where the temperature is above 0, until every comparison is decided",
    ),
    new(
        WHAT,
        "max-trials",
        Kind::Count,
        Some("5"),
        "N",
        "With --until-decided: trials per case at most",
    ),
    new(
        HOW,
        "dialect",
        Kind::List,
        Some("json"),
        "NAME",
        "How tools are offered and calls read: native, react, json, fenced",
    ),
    new(
        HOW,
        "constraint",
        Kind::List,
        Some("off,grammar"),
        "NAME",
        "off: free decoding; grammar: held to the dialect's grammar and the tools' schemas",
    ),
    new(
        HOW,
        "wire",
        Kind::Text,
        Some("auto"),
        "WIRE",
        "How a served model is asked: auto, raw (text; the template is applied here), chat, tools (the server reads the calls)",
    ),
    new(
        HOW,
        "probes",
        Kind::Text,
        Some("auto"),
        "WHICH",
        "Try models out before the first trial (truncation, constraint, tool choice, streaming, parser): auto (served models), on, off",
    ),
    new(
        HOW,
        "tool-choice",
        Kind::Text,
        Some("auto"),
        "CHOICE",
        "auto, required or none",
    ),
    new(
        HOW,
        "variant",
        Kind::List,
        None,
        "NAME",
        "Variants from the configuration file to compare",
    ),
    new(
        HOW,
        "distractors",
        Kind::Count,
        Some("0"),
        "N",
        "Offer N further tools that no case needs",
    ),
    new(
        HOW,
        "few-shot",
        Kind::Count,
        Some("0"),
        "N",
        "Worked examples from the suite's own example section; a base model gets at least two",
    ),
    new(
        HOW,
        "reasoning",
        Kind::Text,
        Some("off"),
        "off|on|TOKENS",
        "A bounded thought before a call; its tokens and time are shown apart",
    ),
    new(
        HOW,
        "max-corrections",
        Kind::Count,
        Some("2"),
        "N",
        "Corrections allowed in a trial",
    ),
    new(
        HOW,
        "correction",
        Kind::Text,
        Some("located"),
        "STYLE|FILE",
        "plain, located, nudge (only with --tool-choice required), or a template file",
    ),
    new(
        HOW,
        "leniency",
        Kind::Text,
        Some("strict"),
        "READING",
        "Which reading steers: strict or lenient (the lenient one is always shown beside it)",
    ),
    new(
        SAMPLING,
        "temperature",
        Kind::Number,
        Some("0"),
        "T",
        "0 is greedy: one trial is all there is",
    ),
    new(
        SAMPLING,
        "top-p",
        Kind::Number,
        Some("1"),
        "P",
        "Nucleus mass; 1 is off",
    ),
    new(
        SAMPLING,
        "top-k",
        Kind::Count,
        Some("0"),
        "K",
        "Candidates kept; 0 is off",
    ),
    new(
        SAMPLING,
        "min-p",
        Kind::Number,
        Some("0"),
        "P",
        "Smallest probability relative to the best; 0 is off",
    ),
    new(
        SAMPLING,
        "repeat-penalty",
        Kind::Number,
        Some("1"),
        "R",
        "Penalty on recently used tokens; 1 is off",
    ),
    new(
        SAMPLING,
        "seed",
        Kind::Count,
        Some("20261120"),
        "N",
        "Seed of the run; each case and trial gets its own from it, the same for every model",
    ),
    new(
        LIMITS,
        "max-turns",
        Kind::Count,
        Some("8"),
        "N",
        "Turns allowed in a round of a trial",
    ),
    new(
        LIMITS,
        "max-tokens",
        Kind::Count,
        Some("192"),
        "N",
        "Tokens allowed in a reply",
    ),
    new(
        LIMITS,
        "timeout",
        Kind::Number,
        Some("60"),
        "SECONDS",
        "Limit of one reply; a slower one counts as a failure",
    ),
    new(
        LIMITS,
        "trial-time",
        Kind::Number,
        None,
        "SECONDS",
        "Limit of a whole trial, all its turns and corrections; a slower one counts as a failure",
    ),
    new(
        LIMITS,
        "trial-tokens",
        Kind::Count,
        None,
        "N",
        "Tokens that a whole trial may take, prompts and replies together; one that needs more counts as a failure",
    ),
    new(
        LIMITS,
        "trial-requests",
        Kind::Count,
        None,
        "N",
        "Requests that a whole trial may make; one that needs more counts as a failure",
    ),
    new(
        LIMITS,
        "trial-cost",
        Kind::Number,
        None,
        "AMOUNT",
        "Money that a whole trial may take, by the tokens its server reports; one that needs more counts as a failure",
    ),
    new(
        LIMITS,
        "tool-timeout",
        Kind::Number,
        Some("30"),
        "SECONDS",
        "Limit of one tool call",
    ),
    new(
        LIMITS,
        "limit-time",
        Kind::Number,
        None,
        "SECONDS",
        "Start no further trial that could end after this time; the run can be resumed",
    ),
    new(
        LIMITS,
        "limit-tokens",
        Kind::Count,
        None,
        "N",
        "Start no further trial that could take the run past N tokens, at the worst",
    ),
    new(
        LIMITS,
        "limit-requests",
        Kind::Count,
        None,
        "N",
        "Start no further trial that could take the run past N requests, at the worst",
    ),
    new(
        LIMITS,
        "budget",
        Kind::Number,
        None,
        "AMOUNT",
        "Start no further trial that could take the run past this amount of money, at the worst",
    ),
    new(
        LIMITS,
        "fail-fast",
        Kind::Switch,
        None,
        "",
        "End the run at the first failed trial; it can be resumed",
    ),
    new(
        LIMITS,
        "max-fail",
        Kind::Count,
        Some("0"),
        "N",
        "End the run when N trials have failed; 0 runs all",
    ),
    new(
        LIMITS,
        "max-infra",
        Kind::Count,
        Some("10"),
        "N",
        "End a cell after N trials in a row in which the endpoint or the tool server failed; 0 runs all",
    ),
    new(
        LIMITS,
        "concurrency",
        Kind::Count,
        Some("1"),
        "N",
        "Trials at once; more than 1 disturbs latency on one machine",
    ),
    new(
        ENGINE,
        "context",
        Kind::Count,
        Some("4096"),
        "TOKENS",
        "Context window",
    ),
    new(
        ENGINE,
        "threads",
        Kind::Count,
        Some("0"),
        "N",
        "Threads; 0 uses the physical cores",
    ),
    new(
        ENGINE,
        "gpu-layers",
        Kind::Count,
        None,
        "N",
        "Layers on the GPU; without it, what fits",
    ),
    new(
        ENGINE,
        "flash-attention",
        Kind::Text,
        None,
        "on|off",
        "Flash attention; without it the engine chooses",
    ),
    new(
        ENGINE,
        "kv-cache-type",
        Kind::Text,
        None,
        "TYPE",
        "Type of the key and value cache: f16, q8_0, q4_0, …",
    ),
    new(
        ENGINE,
        "ignore-memory-check",
        Kind::Switch,
        None,
        "",
        "Load a model even when the estimate says that memory does not suffice",
    ),
    new(
        ENGINE,
        "pull",
        Kind::Switch,
        None,
        "",
        "Download models of the catalogue without asking",
    ),
    new(
        ENGINE,
        "cassette",
        Kind::Text,
        None,
        "FILE",
        "Keep replies in a file, or take them from it",
    ),
    new(
        ENGINE,
        "cassette-mode",
        Kind::Text,
        Some("auto"),
        "MODE",
        "record: ask and keep; replay: only from the file; auto: from the file, and ask for what it lacks",
    ),
    new(
        OUTPUT,
        "out",
        Kind::Text,
        Some("reports"),
        "DIR",
        "Folder in which run directories are made",
    ),
    new(
        OUTPUT,
        "by",
        Kind::Text,
        None,
        "KEY",
        "Split rows by suite, category or difficulty",
    ),
    new(
        OUTPUT,
        "margin",
        Kind::Number,
        Some("5"),
        "POINTS",
        "Two success rates are tied when their whole 95 % interval lies within this many points",
    ),
    new(
        OUTPUT,
        "objective",
        Kind::Number,
        None,
        "SECONDS",
        "Limit on the time of a task: shows how many trials succeed within it, and how many an hour",
    ),
    new(
        OUTPUT,
        "format",
        Kind::Text,
        Some("terminal"),
        "FORMAT",
        "terminal, json, canonical, jsonl (the trials), csv, csv:trials, csv:tools, markdown, html or junit",
    ),
    new(
        OUTPUT,
        "write",
        Kind::List,
        None,
        "FILE",
        "Also write a report to FILE; its ending names the format (.html .json .csv .md .xml …), or FORMAT=FILE",
    ),
    new(
        OUTPUT,
        "retain",
        Kind::Text,
        Some("full"),
        "WHAT",
        "What is recorded: full; calls (no prompts, replies, results); none (verdicts, times, hashes)",
    ),
    new(
        OUTPUT,
        "redact",
        Kind::Texts,
        None,
        "PATTERN",
        "Regular expression whose matches are blotted out before anything is recorded; repeatable",
    ),
    new(
        OUTPUT,
        "data",
        Kind::Text,
        None,
        "DIR",
        "Folder whose suites/, grammars/ and catalogue/ override the built-in ones",
    ),
    new(
        OUTPUT,
        "sandbox",
        Kind::Text,
        Some("/tmp/toolbench"),
        "DIR",
        "Where the files of real tool servers are laid out; the path enters prompts, so keep it stable",
    ),
    new(
        OUTPUT,
        "cache",
        Kind::Text,
        None,
        "DIR",
        "Folder of downloaded models and installed tool servers",
    ),
];

/// The key with this name, of a run or of the gate.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().chain(GATE_KEYS).find(|key| key.name == name)
}
