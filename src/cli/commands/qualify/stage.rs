//! A stage as the arguments of a run.

use std::path::PathBuf;

use super::super::{CliError, Status};
use crate::cli::args::RunArgs;
use crate::cli::flags::SettingFlags;
use crate::cli::host_args::HostArgs;
use crate::cli::safety_args::SafetyArgs;
use crate::config::ConfigError;
use crate::qualify::{Places, QualifyFile, Server, Stage};
use crate::record::Run;
use crate::suite::positions::Step;
use crate::types::{ContentHash, shell_word};

/// What a stage of a file runs. `calls_each` is the share of a trial, where calls are bounded.
pub(super) fn run_args(
    file: &QualifyFile,
    places: &Places,
    index: usize,
    model: &str,
    out: Option<&str>,
) -> Result<RunArgs, CliError> {
    let stage = &file.stages[index];
    Ok(RunArgs {
        models: vec![model.to_owned()],
        resume: None,
        dry_run: false,
        hosts: hosts(stage, places, index)?,
        safety: SafetyArgs {
            allow_tool: stage.allow_tools.clone(),
            allow_destructive: stage.allow_destructive,
            paths_under: stage.paths_under.iter().map(PathBuf::from).collect(),
            no_network: stage.no_network,
            dry_run_calls: stage.dry_run_calls,
            accept_drift: stage.accept_drift,
            ..SafetyArgs::default()
        },
        settings: settings(file, places, index, out),
    })
}

fn settings(file: &QualifyFile, places: &Places, index: usize, out: Option<&str>) -> SettingFlags {
    let stage = &file.stages[index];
    let mut flags = SettingFlags::default();
    let mut put = |name: &str, values: Vec<String>, origin: &str| {
        if let Err(problem) = flags.layer.insert(name, values, origin) {
            flags.problem.get_or_insert(problem);
        }
    };
    for (name, value) in &file.settings {
        let place = places.of(&["settings".into(), name.as_str().into()]);
        put(name, value.0.clone(), &place);
    }
    for (name, value) in &stage.settings {
        let path: [Step; 2] = ["settings".into(), name.as_str().into()];
        put(name, value.0.clone(), &places.in_stage(index, &path));
    }
    let at = |key: &str| places.in_stage(index, &[key.into()]);
    put("suite", stage.suites.clone(), &at("suites"));
    let budget = &stage.budget;
    for (name, value) in [
        ("limit-time", budget.seconds.map(|it| it.to_string())),
        ("limit-tokens", budget.tokens.map(|it| it.to_string())),
        ("limit-requests", budget.requests.map(|it| it.to_string())),
        ("budget", budget.cost.map(|it| it.to_string())),
    ] {
        if let Some(value) = value {
            put(name, vec![value], &at("budget"));
        }
    }
    if let Some(out) = out {
        put("out", vec![out.to_owned()], "flag --out");
    }
    flags
}

fn hosts(stage: &Stage, places: &Places, index: usize) -> Result<HostArgs, CliError> {
    let Some(server) = &stage.server else {
        return Ok(HostArgs::default());
    };
    let Server {
        stdio,
        http,
        ws,
        grpc,
        rest,
        openapi,
        mcp_config,
        header,
        bearer_env,
        ca,
        protocol,
    } = server.clone();
    let protocol = protocol
        .map(|text| text.parse())
        .transpose()
        .map_err(|message: String| ConfigError {
            message,
            origin: Some(places.in_stage(index, &["server".into(), "protocol".into()])),
            hint: None,
        })?;
    Ok(HostArgs {
        stdio: stdio.0,
        http: http.0,
        ws: ws.0,
        grpc: grpc.0,
        rest: rest.0,
        openapi: openapi.0,
        mock: Vec::new(),
        mcp_config: mcp_config.0,
        header: header.0,
        bearer_env,
        ca: ca.map(PathBuf::from),
        protocol,
    })
}

/// Each trial's share of the calls that a stage may make on its server.
pub(super) fn share_of_calls(
    stage: &Stage,
    trials: usize,
    places: &Places,
    index: usize,
) -> Result<Option<u64>, CliError> {
    let Some(calls) = stage.budget.calls else {
        return Ok(None);
    };
    let each = calls / trials.max(1) as u64;
    if each > 0 {
        return Ok(Some(each));
    }
    Err(CliError {
        param: Some(places.in_stage(index, &["budget".into(), "calls".into()])),
        ..CliError::usage(format!(
            "stage `{}`: {calls} calls for {trials} trials is less than one each\n  {}",
            stage.stage,
            places.in_stage(index, &["budget".into(), "calls".into()])
        ))
        .kind("qualify", Status::Usage)
        .hint("raise `calls`, or run fewer cases: `settings: {sample: N}`")
    })
}

/// Refuses to go on with a run where the calls on its record leave less than the shares of the trials
/// to come. Calls of a trial that a kill cut off are on no record.
pub(super) fn check_calls_left(
    stage: &Stage,
    calls_each: Option<u64>,
    (run, trials): (&Run, usize),
    places: &Places,
    index: usize,
) -> Result<(), CliError> {
    let (Some(calls), Some(each)) = (stage.budget.calls, calls_each) else {
        return Ok(());
    };
    let made: u64 = run.trials.iter().map(|it| it.calls.len() as u64).sum();
    let to_come = trials.saturating_sub(run.finished().len()) as u64;
    if stage.dry_run_calls || to_come == 0 || made + to_come * each <= calls {
        return Ok(());
    }
    let place = places.in_stage(index, &["budget".into(), "calls".into()]);
    Err(CliError {
        param: Some(place.clone()),
        ..CliError::usage(format!(
            "stage `{}`: {made} of its {calls} calls are made in {}, and {to_come} trials to come may make {each} each\n  {place}",
            stage.stage, run.header.run
        ))
        .kind("qualify", Status::Usage)
        .hint(format!(
            "begin it anew with `--from {}`, or raise `calls`",
            stage.stage
        ))
    })
}

/// A name for everything that decides which calls reach a server.
pub(super) fn may_touch(stage: &Stage, calls_each: Option<u64>) -> String {
    let touched = (
        &stage.allow_tools,
        stage.allow_destructive,
        &stage.paths_under,
        (stage.no_network, stage.dry_run_calls, stage.accept_drift),
        calls_each,
    );
    ContentHash::of_value(&touched).0
}

/// Settings of a stage as flags, for a command that a person may type.
pub(super) fn setting_flags(file: &QualifyFile, stage: &Stage) -> String {
    let own = &stage.settings;
    let shared = file
        .settings
        .iter()
        .filter(|(name, _)| !own.contains_key(*name));
    let flags = shared
        .chain(own)
        .map(|(name, value)| match value.0.as_slice() {
            [switch] if switch == "true" => format!(" --{name}"),
            [switch] if switch == "false" => String::new(),
            values => format!(" --{name} {}", shell_list(values)),
        });
    flags.collect()
}

/// Values of a flag as one word of a command.
pub(super) fn shell_list(values: &[String]) -> String {
    let words: Vec<String> = values.iter().map(|value| shell_word(value)).collect();
    words.join(",")
}

/// What a stage may take and touch, in words.
pub(super) fn bounds(stage: &Stage, calls_each: Option<u64>) -> Vec<String> {
    let mut found = Vec::new();
    let budget = &stage.budget;
    found.extend(budget.seconds.map(|it| format!("{it} s")));
    found.extend(budget.tokens.map(|it| format!("{it} tokens")));
    found.extend(budget.requests.map(|it| format!("{it} requests")));
    found.extend(budget.cost.map(|it| format!("a cost of {it}")));
    if let (Some(calls), Some(each)) = (budget.calls, calls_each) {
        found.push(format!("{calls} tool calls, {each} a trial"));
    }
    if stage.server.is_some() {
        found.push(if stage.allow_tools.is_empty() {
            "read-only tools".to_owned()
        } else {
            format!("read-only tools and {}", stage.allow_tools.join(", "))
        });
    }
    if stage.dry_run_calls {
        found.push("calls written down, not made".to_owned());
    }
    found
}
