//! `toolbench runs`: stored runs listed, shown and removed.
//!
//! Data in: the folder of runs. Data out: listings; fewer runs. Invariants: a run in use is never
//! removed; one that cannot be read is named and left alone; what is removed is said with its bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{App, CliError, Status, print, print_json};
use crate::cli::args::ListFormat;
use crate::cli::flags::SettingFlags;
use crate::cli::runs_args::RunsCommand;
use crate::cli::ui::Ui;
use crate::clock::seconds_since;
use crate::record::{
    Retain, Run, State, WriteError, bytes, file_sizes, find_run, last_used, list_runs, remove,
    state,
};
use crate::report::server_lines;

/// Runs one of them.
pub(super) fn runs(app: &App, command: &RunsCommand) -> Result<Status, CliError> {
    match command {
        RunsCommand::List { out, format } => list(&folder(app, out.as_deref())?, *format),
        RunsCommand::Show { run, out, format } => {
            let path = find_run(&folder(app, out.as_deref())?, run)?;
            show(&Run::open(&path)?, *format)
        }
        RunsCommand::Prune {
            older_than,
            yes,
            out,
            format,
        } => prune(
            app,
            &folder(app, out.as_deref())?,
            older_than,
            *yes,
            *format,
        ),
    }
}

fn folder(app: &App, out: Option<&str>) -> Result<PathBuf, CliError> {
    let mut flags = SettingFlags::default();
    if let Some(out) = out {
        flags
            .layer
            .insert("out", vec![out.to_owned()], "flag --out")?;
    }
    let resolved = app.resolve(&flags)?;
    Ok(PathBuf::from(resolved.text("out").unwrap_or("reports")))
}

fn name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Trials that count: of several lines with one id, one.
fn trials(run: &Run) -> usize {
    let mut ids: Vec<&str> = run.trials.iter().map(|trial| trial.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.len()
}

/// `running`, `complete` or `unfinished`. One that stops once decided has no fixed number of trials.
fn state_word(run: &Run) -> &'static str {
    if state(&run.directory) == State::Running {
        "running"
    } else if !run.ended_early().is_empty() || trials(run) < planned(run) {
        "unfinished"
    } else {
        "complete"
    }
}

fn planned(run: &Run) -> usize {
    if run.header.looks.is_some() {
        return trials(run);
    }
    match &run.header.rescored_from {
        Some(from) => run.header.planned_trials.saturating_sub(from.left_out),
        None => run.header.planned_trials,
    }
}

fn models(run: &Run) -> Vec<&str> {
    let models = run.header.models.iter();
    models.map(|model| model.name.as_str()).collect()
}

fn retained(run: &Run) -> &'static str {
    let privacy = run.header.privacy.as_ref();
    privacy
        .map_or(Retain::Full, |privacy| privacy.retain)
        .as_str()
}

fn listed(path: &Path) -> Value {
    let run = match Run::open(path) {
        Ok(run) => run,
        Err(error) => {
            return json!({"run": name(path), "state": "unreadable", "bytes": bytes(path), "error": error.to_string()});
        }
    };
    json!({
        "run": run.header.run,
        "directory": path.display().to_string(),
        "created_at": run.header.created_at,
        "last_used_at": last_used(&run),
        "command": run.header.command,
        "models": models(&run),
        "selection": run.header.selection,
        "trials": trials(&run),
        "planned_trials": planned(&run),
        "state": state_word(&run),
        "retain": retained(&run),
        "bytes": bytes(path),
    })
}

fn list(folder: &Path, format: ListFormat) -> Result<Status, CliError> {
    let runs: Vec<Value> = list_runs(folder).iter().map(|path| listed(path)).collect();
    if format == ListFormat::Json {
        print_json(&json!({ "folder": folder.display().to_string(), "runs": runs }))?;
        return Ok(Status::Complete);
    }
    let mut out = String::new();
    for run in &runs {
        let text = |key: &str| run[key].as_str().unwrap_or_default().to_owned();
        let all = |key: &str| {
            let items = run[key].as_array().into_iter().flatten();
            let items: Vec<&str> = items.filter_map(Value::as_str).collect();
            items.join(", ")
        };
        let size = size_in_words(run["bytes"].as_u64().unwrap_or_default());
        if run["error"].is_string() {
            out.push_str(&format!(
                "{}  {size:>9}  cannot be read: {}\n",
                text("run"),
                text("error")
            ));
            continue;
        }
        out.push_str(&format!(
            "{}  {size:>9}  {:<10} {:>4} of {:<4} trials  {}  on {}\n",
            text("run"),
            text("state"),
            run["trials"],
            run["planned_trials"],
            all("models"),
            all("selection")
        ));
    }
    if runs.is_empty() {
        out = format!("no runs in {}\n", folder.display());
    }
    print(&out)?;
    Ok(Status::Complete)
}

fn show(run: &Run, format: ListFormat) -> Result<Status, CliError> {
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let mut seen: Vec<&str> = Vec::new();
    for trial in run.trials.iter().rev() {
        if seen.contains(&trial.id.as_str()) {
            continue;
        }
        seen.push(&trial.id);
        let kind = serde_json::to_value(trial.outcome).unwrap_or_default();
        let kind = kind["kind"].as_str().unwrap_or_default().to_owned();
        *outcomes.entry(kind).or_default() += 1;
    }
    let files = file_sizes(&run.directory);
    let header = &run.header;
    let patterns = header
        .privacy
        .as_ref()
        .map_or(0, |privacy| privacy.patterns.len());
    let mut value = listed(&run.directory);
    let further = json!({
        "toolbench_version": header.toolbench_version,
        "record_version": header.record_version,
        "tier": header.fingerprint.tier,
        "plan_hash": header.plan_hash,
        "executions": run.executions.iter().map(|one| json!({
            "started_at": one.started_at, "trials_before": one.done,
        })).collect::<Vec<_>>(),
        "outcomes": outcomes,
        "ended_early": run.ended_early(),
        "redaction_patterns": patterns,
        "tool_servers": header.tool_servers,
        "tool_policy": header.tool_policy,
        "settings": header.settings.iter().filter(|one| one.origin != "built-in").collect::<Vec<_>>(),
        "files": files.iter().map(|(name, bytes)| json!({"name": name, "bytes": bytes})).collect::<Vec<_>>(),
    });
    if let (Some(value), Value::Object(further)) = (value.as_object_mut(), further) {
        value.extend(further);
    }
    if format == ListFormat::Json {
        print_json(&value)?;
        return Ok(Status::Complete);
    }
    let counted = |counts: &BTreeMap<String, usize>| {
        let parts: Vec<String> = counts.iter().map(|(k, n)| format!("{n} {k}")).collect();
        parts.join(", ")
    };
    let mut out = format!("{}\n", run.directory.display());
    let mut line = |name: &str, text: String| {
        if !text.is_empty() {
            out.push_str(&format!("  {name:<12} {text}\n"));
        }
    };
    line(
        "made",
        format!("{} by {}", header.created_at, header.command),
    );
    line("state", state_word(run).to_owned());
    line("models", models(run).join(", "));
    line("suites", header.selection.join(", "));
    line("trials", format!("{} of {}", trials(run), planned(run)));
    line("outcomes", counted(&outcomes));
    for one in &run.executions {
        let before = one.done;
        line(
            "started",
            format!("{} with {before} trials done", one.started_at),
        );
    }
    for end in run.ended_early() {
        line(
            "ended early",
            format!("{} trials left: {}", end.trials_left, end.reason),
        );
    }
    for server in server_lines(&header.tool_servers, header.tool_policy.as_ref()) {
        line("tool server", server);
    }
    line("kept", kept_in_words(retained(run), patterns));
    for (name, bytes) in &files {
        line("file", format!("{name} {}", size_in_words(*bytes)));
    }
    print(&out)?;
    Ok(Status::Complete)
}

fn kept_in_words(retain: &str, patterns: usize) -> String {
    let what = match retain {
        "none" => "verdicts, times and hashes; cannot be rescored",
        "calls" => {
            "calls, verdicts, times and hashes, no prompts, replies and results; cannot be rescored"
        }
        _ => "everything",
    };
    match patterns {
        0 => what.to_owned(),
        1 => format!("{what}; 1 pattern redacted"),
        _ => format!("{what}; {patterns} patterns redacted"),
    }
}

/// What is removed, or why not.
fn prune(
    app: &App,
    folder: &Path,
    older_than: &str,
    yes: bool,
    format: ListFormat,
) -> Result<Status, CliError> {
    let limit = seconds(older_than)?;
    let mut old: Vec<(PathBuf, f64, u64)> = Vec::new();
    let mut kept: Vec<(String, String)> = Vec::new();
    for path in list_runs(folder) {
        let run = match Run::open(&path) {
            Ok(run) => run,
            Err(error) => {
                kept.push((name(&path), format!("cannot be read: {error}")));
                continue;
            }
        };
        let Some(age) = seconds_since(last_used(&run)) else {
            kept.push((name(&path), "does not say when it was used".to_owned()));
            continue;
        };
        if age < limit {
            continue;
        }
        if state(&path) == State::Running {
            kept.push((name(&path), "is being written".to_owned()));
            continue;
        }
        let size = bytes(&path);
        old.push((path, age, size));
    }
    for (run, why) in &kept {
        app.ui.say(&format!("left alone: {run} {why}"));
    }
    let total: u64 = old.iter().map(|(_, _, bytes)| bytes).sum();
    let question = format!(
        "{} of {} last used more than {older_than} ago, {}",
        plural(old.len(), "run"),
        folder.display(),
        size_in_words(total)
    );
    let is_sure = yes || old.is_empty() || {
        for (path, age, bytes) in &old {
            app.ui.say(&format!(
                "  {}  {}, {:.0} days old",
                name(path),
                size_in_words(*bytes),
                age / 86_400.0
            ));
        }
        app.ui.can_ask() && Ui::ask(&format!("Remove {question}?"))
    };
    if !is_sure {
        if app.ui.can_ask() {
            app.ui.say("nothing was removed");
            return Ok(Status::Complete);
        }
        return Err(CliError::usage(format!("nothing was removed: {question}"))
            .hint("add `--yes` to remove them, or run the command on a terminal to be asked"));
    }
    removed(app, &old, &kept, format)
}

fn removed(
    app: &App,
    old: &[(PathBuf, f64, u64)],
    kept: &[(String, String)],
    format: ListFormat,
) -> Result<Status, CliError> {
    let mut gone: Vec<(String, u64)> = Vec::new();
    let mut failed = None;
    let mut kept = kept.to_vec();
    for (path, ..) in old {
        match remove(path) {
            Ok(bytes) => gone.push((name(path), bytes)),
            Err(WriteError::Locked { .. }) => {
                app.ui
                    .say(&format!("left alone: {} is being written", name(path)));
                kept.push((name(path), "is being written".to_owned()));
            }
            Err(error) => {
                kept.push((name(path), error.to_string()));
                failed = Some(error);
            }
        }
    }
    let total: u64 = gone.iter().map(|(_, bytes)| bytes).sum();
    if format == ListFormat::Json {
        print_json(&json!({
            "removed": gone.iter().map(|(run, bytes)| json!({"run": run, "bytes": bytes})).collect::<Vec<_>>(),
            "bytes": total,
            "left_alone": kept.iter().map(|(run, why)| json!({"run": run, "reason": why})).collect::<Vec<_>>(),
        }))?;
    } else {
        let mut out = String::new();
        for (run, bytes) in &gone {
            out.push_str(&format!("removed {run}  {}\n", size_in_words(*bytes)));
        }
        out.push_str(&format!(
            "{} removed, {}\n",
            plural(gone.len(), "run"),
            size_in_words(total)
        ));
        print(&out)?;
    }
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(Status::Complete),
    }
}

fn plural(count: usize, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}

/// Bytes for people, in thousands.
fn size_in_words(bytes: u64) -> String {
    let size = bytes as f64;
    if bytes < 1_000 {
        format!("{bytes} B")
    } else if bytes < 1_000_000 {
        format!("{:.1} kB", size / 1e3)
    } else if bytes < 1_000_000_000 {
        format!("{:.1} MB", size / 1e6)
    } else {
        format!("{:.1} GB", size / 1e9)
    }
}

/// An age: a number and one of m, h, d, w.
fn seconds(text: &str) -> Result<f64, CliError> {
    let wrong = || {
        CliError::usage(format!("`{text}` is no age"))
            .hint("write a number and a unit: 90m, 12h, 30d or 8w")
    };
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let factor = match unit {
        'm' => 60.0,
        'h' => 3_600.0,
        'd' => 86_400.0,
        'w' => 604_800.0,
        _ => return Err(wrong()),
    };
    let number: f64 = text[..text.len() - unit.len_utf8()]
        .parse()
        .map_err(|_| wrong())?;
    if number.is_finite() && number >= 0.0 {
        Ok(number * factor)
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_or_refused() {
        for (text, expected) in [
            ("90m", 5_400.0),
            ("12h", 43_200.0),
            ("30d", 2_592_000.0),
            ("0d", 0.0),
        ] {
            assert!((seconds(text).unwrap() - expected).abs() < 1e-9, "{text}");
        }
        for text in ["", "d", "30", "-1d", "NaNd", "infd", "3y", "1é"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
