//! `toolbench score`: recorded outputs judged without a model.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::{App, CliError, Status, print_with};
use crate::cli::flags::SettingFlags;
use crate::cli::score_args::{Decode, RulesName, ScoreArgs, ScoreFormat};
use crate::clock::Stopwatch;
use crate::metrics::interval::wilson;
use crate::score::calls::Reading;
use crate::score::cases::{CaseError, Cases, LazyCase};
use crate::score::decode::Format;
use crate::score::lines::{Lines, Rules, Scorer};
use crate::score::strict::StrictCase;
use crate::score::tools::{ToolCheck, ToolTotals, definitions, of_suites};
use crate::score::verdict::{Count, Totals, Writer};
use crate::types::did_you_mean;

/// Bytes that are read before they are judged.
const BLOCK: usize = 2 << 20;
/// Error types named in the totals.
const SHOWN: usize = 6;

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
    let mut input = Input::open(&args.calls)?;
    let loaded_ms = watch.elapsed_ms();
    let judging = Stopwatch::start();
    let mut lines = Lines::new(&scorer, threads);
    let rules_name = match args.rules {
        RulesName::Strict => "strict",
        RulesName::Bfcl => "bfcl",
    };
    write_verdicts(args, |out| {
        let mut form = Form::begin(
            args.format,
            &json!({"rules": rules_name, "suite": name}),
            out,
        )?;
        while let Some(block) = input.next_block() {
            for verdicts in lines.block(block) {
                form.lines(verdicts, out)?;
            }
        }
        form.end(|| totals_json(&scorer, &lines.totals()), out)
    })?;
    input.finish()?;
    let totals = lines.totals();
    let elapsed = judging.elapsed_ms();
    say_totals(app, &scorer, &totals, elapsed, loaded_ms);
    status_of(args, &scorer, &totals)
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

/// Blocks of whole lines.
struct Input {
    source: Box<dyn Read>,
    name: String,
    buffer: Vec<u8>,
    failure: Option<io::Error>,
    /// Bytes of the buffer that were handed out.
    given: usize,
    is_at_end: bool,
    is_at_start: bool,
}

impl Input {
    fn open(path: &Path) -> Result<Self, CliError> {
        let source: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin().lock())
        } else {
            Box::new(File::open(path).map_err(|error| {
                CliError::usage(format!("cannot read {}: {error}", path.display()))
                    .hint("recorded outputs are one JSON object per line, such as {\"id\": \"case-1\", \"calls\": [{\"name\": \"get_time\", \"arguments\": {}}]}")
            })?)
        };
        Ok(Self {
            source,
            name: path.display().to_string(),
            buffer: Vec::new(),
            failure: None,
            given: 0,
            is_at_end: false,
            is_at_start: true,
        })
    }

    /// The next block; nothing at the end, or when reading fails ([`Self::failure`]). Empty lines at
    /// the very end are no lines.
    fn next_block(&mut self) -> Option<&[u8]> {
        self.buffer.drain(..self.given);
        self.given = 0;
        let end = loop {
            let is_full = self.buffer.len() >= BLOCK;
            if is_full && let Some(at) = self.buffer.iter().rposition(|byte| *byte == b'\n') {
                break at + 1;
            }
            if self.is_at_end {
                let kept = self.buffer.trim_ascii_end().len();
                self.buffer.truncate(kept);
                break kept;
            }
            match (&mut self.source)
                .take(BLOCK as u64)
                .read_to_end(&mut self.buffer)
            {
                Ok(read) => self.is_at_end = read < BLOCK,
                Err(error) => {
                    self.is_at_end = true;
                    self.failure = Some(error);
                    return None;
                }
            }
        };
        if std::mem::take(&mut self.is_at_start) && self.buffer.starts_with(b"\xef\xbb\xbf") {
            // A byte order mark is no part of the first line.
            self.buffer[..3].fill(b' ');
        }
        self.given = end;
        (end > 0).then(|| &self.buffer[..end])
    }

    /// Ends with the error of a read that failed.
    fn finish(self) -> Result<(), CliError> {
        match self.failure {
            None => Ok(()),
            Some(error) => Err(
                CliError::usage(format!("cannot read {}: {error}", self.name))
                    .hint("the verdicts written so far are of the lines before"),
            ),
        }
    }
}

/// Verdict lines in the form asked for.
struct Form {
    format: ScoreFormat,
    is_first: bool,
}

impl Form {
    fn begin(format: ScoreFormat, head: &Value, out: &mut dyn Write) -> io::Result<Self> {
        if format == ScoreFormat::Json {
            let head = head.to_string();
            write!(out, "{},\"verdicts\":[", head.trim_end_matches('}'))?;
        }
        Ok(Self {
            format,
            is_first: true,
        })
    }

    fn lines(&mut self, lines: &[u8], out: &mut dyn Write) -> io::Result<()> {
        if self.format == ScoreFormat::Jsonl {
            return out.write_all(lines);
        }
        for line in lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            if self.format == ScoreFormat::Text {
                let value: Value = serde_json::from_slice(line).unwrap_or_default();
                out.write_all(as_text(&value).as_bytes())?;
                continue;
            }
            out.write_all(if self.is_first { b"\n" } else { b",\n" })?;
            out.write_all(line)?;
            self.is_first = false;
        }
        Ok(())
    }

    fn end(self, totals: impl FnOnce() -> Value, out: &mut dyn Write) -> io::Result<()> {
        if self.format == ScoreFormat::Json {
            writeln!(out, "\n],\"totals\":{}}}", totals())?;
        }
        Ok(())
    }
}

fn as_text(verdict: &Value) -> String {
    let id = verdict["id"].as_str().unwrap_or("-");
    let word = match verdict["valid"].as_bool() {
        Some(true) => "valid",
        Some(false) => "invalid",
        None => "not judged",
    };
    let mut text = format!("{:>6}  {word:10}  {id}", verdict["line"]);
    if let Some(error) = verdict["error_type"].as_str() {
        text.push_str(&format!("  {error}"));
    }
    text.push('\n');
    for error in verdict["errors"].as_array().into_iter().flatten() {
        let call = error["call"]
            .as_u64()
            .map(|call| format!("call {}: ", call + 1))
            .unwrap_or_default();
        let message = error["message"].as_str().unwrap_or_default();
        text.push_str(&format!("        {call}{message}\n"));
    }
    text
}

/// Runs `write` on standard output, or on the file asked for.
fn write_verdicts(
    args: &ScoreArgs,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), CliError> {
    match &args.out {
        None => print_with(write),
        Some(path) => write_file(path, write),
    }
}

/// Writes a file that appears only when it is whole.
fn write_file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), CliError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let written = tempfile::NamedTempFile::new_in(folder).and_then(|file| {
        let mut out = io::BufWriter::new(file);
        write(&mut out)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        readable_by_all(file.as_file())?;
        file.persist(path).map(drop).map_err(|error| error.error)
    });
    written.map_err(|error| {
        CliError::usage(format!("cannot write {}: {error}", path.display()))
            .kind("output", Status::NotWritten)
            .hint("free some space or choose another file with `--out FILE`")
    })
}

/// A temporary file is its owner's alone; what it becomes is an ordinary file.
#[cfg(unix)]
fn readable_by_all(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Writes a whole file at once.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    write_file(path, |out| out.write_all(bytes))
}

/// A share with its interval, as JSON.
fn rate_json(hits: u64, of: u64) -> Value {
    match wilson(hits as f64, of as f64) {
        None => {
            json!({"count": hits, "of": of, "rate": null, "low": null, "high": null, "method": "wilson"})
        }
        Some(interval) => json!({
            "count": hits, "of": of, "rate": hits as f64 / of as f64,
            "low": interval.low, "high": interval.high, "method": "wilson",
        }),
    }
}

/// A share with its interval, for people.
fn rate_text(hits: u64, of: u64) -> String {
    match wilson(hits as f64, of as f64) {
        None => format!("{hits:>8} of {of:<8}      –"),
        Some(interval) => format!(
            "{hits:>8} of {of:<8} {:>5.1} %  [{:.1}, {:.1}]",
            100.0 * hits as f64 / of as f64,
            100.0 * interval.low,
            100.0 * interval.high
        ),
    }
}

fn count_json(count: &Count) -> Value {
    json!({
        "judged": count.judged, "valid": rate_json(count.valid, count.judged), "errors": count.errors,
    })
}

fn totals_json(scorer: &Scorer, totals: &Totals) -> Value {
    let categories: BTreeMap<&String, Value> = scorer
        .rules
        .categories()
        .iter()
        .zip(&totals.categories)
        .filter(|(_, count)| count.judged > 0)
        .map(|(name, count)| (name, count_json(count)))
        .collect();
    json!({
        "lines": totals.lines, "invalid_lines": totals.invalid_lines,
        "unknown_cases": totals.unknown_cases, "undecided": totals.undecided,
        "all": count_json(&totals.overall()), "categories": categories,
    })
}

fn say_totals(app: &App, scorer: &Scorer, totals: &Totals, elapsed_ms: f64, loaded_ms: f64) {
    let all = totals.overall();
    let names = scorer.rules.categories();
    let width = names.iter().map(String::len).max().unwrap_or(0).max(12);
    app.ui.say(&format!(
        "{:width$}  valid outputs, 95 % interval",
        "category"
    ));
    let mut shown = 0;
    for (name, count) in names.iter().zip(&totals.categories) {
        if count.judged > 0 {
            shown += 1;
            app.ui.say(&format!(
                "{name:width$}  {}",
                rate_text(count.valid, count.judged)
            ));
        }
    }
    if shown != 1 {
        app.ui.say(&format!(
            "{:width$}  {}",
            "all",
            rate_text(all.valid, all.judged)
        ));
    }
    say_errors(app, &all.errors);
    for (count, what) in [
        (
            totals.undecided,
            "outputs could not be decided without a run",
        ),
        (totals.unknown_cases, "outputs are of unknown cases"),
        (totals.invalid_lines, "lines are nobody's output"),
    ] {
        if count > 0 {
            app.ui.say(&format!("{count} {what}"));
        }
    }
    let per_second = totals.lines as f64 / (elapsed_ms / 1000.0).max(1e-9);
    app.ui.say(&format!(
        "judged {} outputs in {elapsed_ms:.1} ms ({per_second:.0} a second); the suite was read in {loaded_ms:.1} ms",
        totals.lines
    ));
}

fn say_errors(app: &App, errors: &BTreeMap<&str, u64>) {
    if errors.is_empty() {
        return;
    }
    let mut ranked: Vec<(&&str, &u64)> = errors.iter().collect();
    ranked.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), **name));
    let mut parts: Vec<String> = ranked
        .iter()
        .take(SHOWN)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    if ranked.len() > SHOWN {
        parts.push(format!("{} more kinds", ranked.len() - SHOWN));
    }
    app.ui.say(&format!("errors: {}", parts.join(", ")));
}

fn status_of(args: &ScoreArgs, scorer: &Scorer, totals: &Totals) -> Result<Status, CliError> {
    if totals.lines == 0 {
        return Err(no_lines(args));
    }
    if let Some(unknown) = &totals.first_unknown {
        let message = format!(
            "{} of {} outputs name cases that the suite does not have, the first `{unknown}`",
            totals.unknown_cases, totals.lines
        );
        let hint = did_you_mean(unknown, scorer.rules.ids())
            .unwrap_or_else(|| "`toolbench suite show NAME` lists a suite's cases".to_owned());
        return Err(CliError::usage(message).hint(hint));
    }
    if let Some(line) = totals.first_invalid {
        return Err(CliError::usage(format!(
            "{} of {} lines of {} are nobody's output, the first is line {line}",
            totals.invalid_lines,
            totals.lines,
            args.calls.display()
        ))
        .hint(
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
    let mut input = Input::open(&args.calls)?;
    let mut line = 1;
    write_verdicts(args, |out| {
        let mut form = Form::begin(args.format, &json!({"rules": "tools", "tools": name}), out)?;
        while let Some(block) = input.next_block() {
            let mut writer = Writer::default();
            let lines = block.strip_suffix(b"\n").unwrap_or(block);
            for text in lines.split(|byte| *byte == b'\n') {
                check.line(line, text, &mut writer, &mut totals);
                line += 1;
            }
            form.lines(&writer.out, out)?;
        }
        form.end(|| tool_totals_json(&totals), out)
    })?;
    input.finish()?;
    if totals.outputs == 0 {
        return Err(no_lines(args));
    }
    say_tool_totals(app, &totals);
    Ok(floor(args, totals.valid_outputs, totals.outputs))
}

/// Tools of a file in any usual shape, or of a suite.
fn tools(app: &App, name: &str) -> Result<Vec<crate::types::ToolDefinition>, CliError> {
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

fn tool_totals_json(totals: &ToolTotals) -> Value {
    let by_tool: serde_json::Map<String, Value> = totals
        .by_tool
        .iter()
        .map(|tool| {
            let valid = rate_json(tool.valid, tool.calls);
            (
                tool.name.clone(),
                json!({"calls": tool.calls, "schema_valid": valid}),
            )
        })
        .collect();
    let known = totals.calls - totals.unknown;
    json!({
        "outputs": totals.outputs,
        "valid": rate_json(totals.valid_outputs, totals.outputs),
        "parsed": rate_json(totals.parsed, totals.outputs),
        "calls": totals.calls,
        "unknown_tool": rate_json(totals.unknown, totals.calls),
        "schema_valid": rate_json(totals.schema_valid, known),
        "tools": by_tool,
        "unknown_names": totals.unknown_names,
        "codes": totals.codes,
    })
}

fn say_tool_totals(app: &App, totals: &ToolTotals) {
    let known = totals.calls - totals.unknown;
    let names = totals.by_tool.iter().map(|tool| tool.name.len());
    let width = names.max().unwrap_or(0).max(22);
    for (what, hits, of) in [
        ("outputs read", totals.parsed, totals.outputs),
        (
            "outputs without fault",
            totals.valid_outputs,
            totals.outputs,
        ),
        ("calls of unknown tools", totals.unknown, totals.calls),
        ("calls with valid schema", totals.schema_valid, known),
    ] {
        app.ui
            .say(&format!("{what:width$}  {}", rate_text(hits, of)));
    }
    app.ui
        .say("calls with valid schema, by tool (95 % interval):");
    for tool in totals.by_tool.iter().filter(|tool| tool.calls > 0) {
        app.ui.say(&format!(
            "{:width$}  {}",
            tool.name,
            rate_text(tool.valid, tool.calls)
        ));
    }
    let silent = totals.by_tool.iter().filter(|tool| tool.calls == 0).count();
    if silent > 0 {
        app.ui.say(&format!("{silent} tools were never called"));
    }
    for (name, count) in &totals.unknown_names {
        app.ui.say(&format!("unknown tool `{name}`: {count} calls"));
    }
    say_errors(app, &totals.codes);
}
