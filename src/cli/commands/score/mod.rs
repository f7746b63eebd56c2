//! `toolbench score`: recorded outputs judged without a model.

mod input;
mod output;
mod totals;

use std::path::Path;

use serde_json::{Value, json};

use self::input::Input;
pub(in crate::cli) use self::output::write_whole;
use self::output::{Form, write_verdicts};
use self::totals::{say_tool_totals, say_totals, tool_totals_json, totals_json};
use super::{App, CliError, Status};
use crate::cli::flags::SettingFlags;
use crate::cli::score_args::{Decode, RulesName, ScoreArgs, ScoreFormat};
use crate::clock::Stopwatch;
use crate::score::calls::Reading;
use crate::score::cases::{CaseError, Cases, LazyCase};
use crate::score::decode::Format;
use crate::score::lines::{Lines, Rules, Scorer};
use crate::score::strict::StrictCase;
use crate::score::tools::{ToolCheck, definitions, of_suites};
use crate::score::verdict::{Totals, Writer};
use crate::types::{ToolDefinition, did_you_mean};

/// Judges a file of outputs.
pub(super) fn score(app: &App, args: &ScoreArgs) -> Result<Status, CliError> {
    if let Some(rate) = args.fail_under
        && !(0.0..=1.0).contains(&rate)
    {
        return Err(
            CliError::usage(format!("--fail-under {rate} is no share between 0 and 1"))
                .hint("for 90 % write `--fail-under 0.9`"),
        );
    }
    match &args.tools {
        Some(tools) => by_tools(app, args, tools),
        None => by_suite(app, args, args.suite.as_deref().unwrap_or_default()),
    }
}

fn reading(args: &ScoreArgs) -> Reading {
    Reading {
        format: match args.decode {
            Decode::Python => Format::Python,
            Decode::Json => Format::Json,
            Decode::Xml => Format::Xml,
            Decode::VerboseXml => Format::VerboseXml,
            Decode::ConciseXml => Format::ConciseXml,
            Decode::Auto => Format::Auto,
        },
        tagged: args.tool_call_tag,
    }
}

fn by_suite(app: &App, args: &ScoreArgs, name: &str) -> Result<Status, CliError> {
    let watch = Stopwatch::start();
    let scorer = Scorer {
        reading: reading(args),
        rules: rules(app, args.rules, name)?,
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut input = Input::open(&args.calls, args.provider.as_deref())?;
    say_foreign(app, &input);
    let loaded_ms = watch.elapsed_ms();
    let judging = Stopwatch::start();
    let mut lines = Lines::new(&scorer, threads);
    let rules_name = match args.rules {
        RulesName::Strict => "strict",
        RulesName::Bfcl => "bfcl",
    };
    write_verdicts(args, |out| {
        let head = with_source(json!({"rules": rules_name, "suite": name}), &input);
        let mut form = Form::begin(args.format, &head, out)?;
        // While one block is judged, the next is read and the verdicts of the last are written.
        let mut block = input.next_block();
        loop {
            let (next, written) = lines.block(&block, |verdicts| {
                let next = input.next_block();
                let mut verdicts = verdicts.iter();
                (next, verdicts.try_for_each(|piece| form.lines(piece, out)))
            });
            written?;
            if block.is_empty() {
                break;
            }
            input.reuse(std::mem::replace(&mut block, next));
        }
        form.end(|| totals_json(&scorer, &lines.totals()), out)
    })?;
    input.finish()?;
    let totals = lines.totals();
    let elapsed = judging.elapsed_ms();
    say_totals(app, &scorer, &totals, elapsed, loaded_ms);
    status_of(args, &scorer, &totals)
}

/// Says what another tool's file was read as.
fn say_foreign(app: &App, input: &Input) {
    if let Some(words) = input.foreign_in_words() {
        app.ui.say(&words);
    }
}

/// The head of a JSON report, with where the outputs come from when that is another tool's file.
fn with_source(mut head: Value, input: &Input) -> Value {
    if let Some(source) = input.foreign_json() {
        head["source"] = source;
    }
    head
}

/// The rules with the suite's cases. An imported suite is read only as far as its rules need.
fn rules(app: &App, rules: RulesName, name: &str) -> Result<Rules, CliError> {
    let library = app.library(&app.resolve(&SettingFlags::default())?);
    if rules == RulesName::Strict {
        return Ok(Rules::Strict(Cases::<StrictCase>::of_suites(
            &library.load(name)?,
        )?));
    }
    let is_json = Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "json");
    if is_json
        && let Ok(text) = std::fs::read_to_string(name)
        && let Some(cases) = Cases::in_brief(text)
    {
        return Ok(Rules::Bfcl(cases));
    }
    Ok(Rules::Bfcl(Cases::<LazyCase>::of_suites(
        &library.load(name)?,
    )?))
}

impl From<CaseError> for CliError {
    fn from(error: CaseError) -> Self {
        let hint = match error {
            CaseError::NotImported { .. } => {
                "`toolbench import bfcl --from DIR --out FILE` makes such a suite; other suites are judged by `--rules strict`"
            }
            CaseError::UnknownMode { .. } => "import the suite again",
            CaseError::Twice { .. } => "ids must differ, for outputs name their case by id",
        };
        Self::usage(error.to_string())
            .kind("suite", Status::Usage)
            .hint(hint)
    }
}

fn status_of(args: &ScoreArgs, scorer: &Scorer, totals: &Totals) -> Result<Status, CliError> {
    if totals.lines == 0 {
        return Err(no_lines(args));
    }
    if let Some((_, unknown)) = &totals.first_unknown {
        let message = format!(
            "{} of {} outputs name cases that the suite does not have, the first `{unknown}`",
            totals.unknown_cases, totals.lines
        );
        let hint = did_you_mean(unknown, scorer.rules.ids())
            .unwrap_or_else(|| "`toolbench suite show NAME` lists a suite's cases".to_owned());
        return Err(CliError::usage(message).hint(hint));
    }
    if let Some(line) = totals.first_invalid {
        let error = damaged(args, line, totals.invalid_lines, totals.lines);
        return Err(error.hint(
            "each line is a JSON object with the `id` of a case; its verdict says what is wrong",
        ));
    }
    let all = totals.overall();
    if all.judged == 0 {
        return Err(CliError::usage("no output could be judged without a run")
            .kind("undecidable", Status::Undecidable)
            .hint("`toolbench run` plays cases with several rounds or an end state"));
    }
    Ok(floor(args, all.valid, all.judged))
}

/// Some lines are no outputs at all: the file is at fault, and no model.
fn damaged(args: &ScoreArgs, first: u64, damaged: u64, lines: u64) -> CliError {
    CliError::usage(format!(
        "{damaged} of {lines} lines of {} are nobody's output, the first is line {first}",
        args.calls.display()
    ))
}

fn no_lines(args: &ScoreArgs) -> CliError {
    CliError::usage(format!("{} holds no outputs", args.calls.display()))
        .kind("nothing_selected", Status::NothingSelected)
        .hint("recorded outputs are one JSON object per line")
}

fn floor(args: &ScoreArgs, valid: u64, judged: u64) -> Status {
    match args.fail_under {
        Some(rate) if (valid as f64) < rate * judged as f64 => Status::Breached,
        _ => Status::Complete,
    }
}

fn by_tools(app: &App, args: &ScoreArgs, name: &str) -> Result<Status, CliError> {
    let check = ToolCheck::new(&tools(app, name)?, reading(args)).map_err(|error| {
        CliError::usage(format!("{name}: {error}"))
            .hint("the schemas of tools are JSON Schema, draft 2020-12 unless they say otherwise")
    })?;
    let mut totals = check.totals();
    let mut input = Input::open(&args.calls, args.provider.as_deref())?;
    say_foreign(app, &input);
    let mut line = 1;
    write_verdicts(args, |out| {
        let head = with_source(json!({"rules": "tools", "tools": name}), &input);
        let mut form = Form::begin(args.format, &head, out)?;
        loop {
            let block = input.next_block();
            if block.is_empty() {
                break;
            }
            let mut writer = Writer::default();
            let lines = block.strip_suffix(b"\n").unwrap_or(&block);
            for text in lines.split(|byte| *byte == b'\n') {
                check.line(line, text, &mut writer, &mut totals);
                line += 1;
            }
            form.lines(&writer.out, out)?;
        }
        form.end(|| tool_totals_json(&totals), out)
    })?;
    input.finish()?;
    if totals.outputs + totals.invalid_lines == 0 {
        return Err(no_lines(args));
    }
    say_tool_totals(app, &totals);
    if let Some(line) = totals.first_invalid {
        let lines = totals.outputs + totals.invalid_lines;
        let error = damaged(args, line, totals.invalid_lines, lines);
        return Err(error.hint(
            "each line is a JSON object or list with calls; its verdict says what is wrong",
        ));
    }
    Ok(floor(args, totals.valid_outputs, totals.outputs))
}

/// Tools of a file in any usual shape, or of a suite.
fn tools(app: &App, name: &str) -> Result<Vec<ToolDefinition>, CliError> {
    let path = Path::new(name);
    let is_json = path
        .extension()
        .is_some_and(|extension| extension == "json");
    if is_json {
        let text = std::fs::read_to_string(path)
            .map_err(|error| CliError::usage(format!("cannot read {name}: {error}")))?;
        let is_suite = serde_json::from_str::<Value>(&text)
            .is_ok_and(|value| value.get("suite").is_some_and(Value::is_string));
        if !is_suite {
            return definitions(&text).map_err(|reason| {
                CliError::usage(format!("{name} holds no tools: {reason}")).hint(
                    "give an MCP `tools/list` reply, the `tools` of a chat-completion request, or a suite",
                )
            });
        }
    }
    let library = app.library(&app.resolve(&SettingFlags::default())?);
    let tools = of_suites(&library.load(name)?);
    if tools.is_empty() {
        return Err(
            CliError::usage(format!("suite `{name}` lists no tools of its own"))
                .hint("the tools of a real server are known only when it runs: record its `tools/list` reply"),
        );
    }
    Ok(tools)
}
