//! `toolbench suite check`: one line a suite, every problem, and an exit code.

use std::sync::Arc;

use super::super::{App, CliError, Status, print, print_json, run};
use crate::cli::args::ListFormat;
use crate::cli::servers::{self, Proven};
use crate::config::Resolved;
use crate::selftest::{AgentScore, Report, check_suite};
use crate::suite::LoadError;
use crate::tools::ToolHost;
use crate::types::Suite;

/// Checks the suites named, or all.
pub(super) fn check(
    app: &App,
    resolved: &Resolved,
    mut names: Vec<String>,
    all: bool,
    format: ListFormat,
) -> Result<Status, CliError> {
    let library = app.library(resolved);
    if all {
        names.extend(library.names().into_keys());
    }
    if names.is_empty() {
        return Err(CliError::usage("name the suites to check, or give --all"));
    }
    let mut problems = Vec::new();
    let mut reports = Vec::new();
    // Suites asked for by name whose server is not here.
    let mut unplayed = Vec::new();
    for name in &names {
        let suites = match library.load(name) {
            Err(LoadError::Invalid { problems: found }) => {
                problems.extend(found.iter().map(ToString::to_string));
                continue;
            }
            Err(error) => return Err(error.into()),
            Ok(suites) => suites,
        };
        if let [only] = suites.as_slice() {
            let proven = prove(app, resolved, only).map_err(|mut error| {
                error.message = library.with_place(name, &error.message);
                error
            })?;
            let report = match proven {
                Proven::Played(report) => report,
                Proven::NotHere(reason) => {
                    if format == ListFormat::Terminal {
                        print(&format!(
                            "{name:14} {:>3} cases on a real server, not played: {reason}\n",
                            only.cases.len()
                        ))?;
                    }
                    unplayed.extend((!all).then(|| reason.clone()));
                    continue;
                }
            };
            if format == ListFormat::Terminal {
                print(&line(&report))?;
            }
            let placed = |problem: &String| library.with_place(name, problem);
            problems.extend(report.problems.iter().map(placed));
            reports.push(report);
        } else {
            // Its cases are proven where they are written.
            let cases: usize = suites.iter().map(|suite| suite.cases.len()).sum();
            let origins: Vec<&str> = suites.iter().map(|suite| suite.suite.as_str()).collect();
            if format == ListFormat::Terminal {
                print(&format!(
                    "{name:14} {cases:>3} cases, pinned from {}\n",
                    origins.join(", ")
                ))?;
            }
        }
    }
    if format == ListFormat::Json {
        print_json(&reports)?;
    }
    if problems.is_empty() {
        return match unplayed.first() {
            None => Ok(Status::Complete),
            Some(reason) => {
                Err(CliError::usage(reason.clone()).kind("undecidable", Status::Undecidable))
            }
        };
    }
    Err(CliError::usage(problems.join("\n")).kind("suite", Status::Usage))
}

fn prove(app: &App, resolved: &Resolved, suite: &Suite) -> Result<Proven, CliError> {
    if suite.server.is_some() {
        return servers::prove(app, resolved, suite);
    }
    let host: Arc<dyn ToolHost> = Arc::new(run::mock(suite)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::usage(format!("cannot start the runtime: {error}")))?;
    Ok(Proven::Played(runtime.block_on(check_suite(
        suite,
        &host,
        &|_| {},
    ))))
}

/// One suite in one line.
fn line(report: &Report) -> String {
    let agent = |name: &str| {
        report.agents.get(name).map_or_else(
            || "–".to_owned(),
            |score: &AgentScore| format!("{:.0}", 100.0 * score.rate()),
        )
    };
    let verdict = if report.problems.is_empty() {
        "sound".to_owned()
    } else {
        format!("{} problems", report.problems.len())
    };
    format!(
        "{:14} {:>3} cases, oracle {}/{}, near misses {}; empty {} %, refuse {} %, first tool {} %, random {} %, everything {} %; longest prompt ~{} tokens: {verdict}\n",
        report.suite,
        report.cases,
        report.oracle,
        report.cases,
        report.near_misses,
        agent("empty"),
        agent("refuse_all"),
        agent("first_tool"),
        agent("random_arguments"),
        agent("call_everything"),
        report.longest_prompt_tokens,
    )
}
