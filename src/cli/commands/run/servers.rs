//! Tool servers of the command line instead of the suites' own.
//!
//! Data in: flags, a suite, and later what the servers list. Data out: the suite's host, the lines
//! of the header, or a refusal. Invariants: a suite that injects instructions never meets a
//! destructive tool of a real server; tools other than the suite's are refused unless accepted.

use std::sync::Arc;
use std::time::Duration;

use super::super::{App, CliError, Status};
use crate::cli::args::RunArgs;
use crate::cli::host_args::{HostArgs, OpenedHost};
use crate::cli::safety_args::check_allowed;
use crate::config::{Resolved, Settings};
use crate::record::Run;
use crate::record::format::{ToolPolicy, ToolServerHeader};
use crate::runner::Prepared;
use crate::suite::check;
use crate::tools::drift::drift;
use crate::tools::mcp::{Allowed, Safety};
use crate::tools::{HostFacts, ToolHost};
use crate::types::host::HostNoteKind;
use crate::types::suite::Case;
use crate::types::{Suite, ToolDefinition};

/// Differences that an error shows.
const SHOWN: usize = 20;

/// The servers that a run was given.
pub(super) struct GivenServers<'a> {
    hosts: &'a HostArgs,
    safety: Safety,
    /// As the header keeps it.
    pub(super) policy: ToolPolicy,
}

/// A suite's host made of them.
pub(super) struct GivenHost {
    pub(super) opened: Vec<OpenedHost>,
    pub(super) host: Arc<dyn ToolHost>,
}

impl<'a> GivenServers<'a> {
    /// The servers of these arguments; `None` where there are none.
    pub(super) fn of(args: &'a RunArgs) -> Result<Option<Self>, CliError> {
        let safety = args.safety.safety()?;
        let policy = args.safety.policy()?;
        Ok(args.hosts.is_given().then_some(Self {
            hosts: &args.hosts,
            safety,
            policy,
        }))
    }

    /// A host for one suite.
    pub(super) fn host(
        &self,
        app: &App,
        resolved: &Resolved,
        settings: &Settings,
        suite: &Suite,
    ) -> Result<GivenHost, CliError> {
        check_sandbox(suite)?;
        let mut safety = self.safety.clone();
        if let Some(server) = &suite.server
            && safety.allowed == Allowed::ReadOnly
            && !server.allow.is_empty()
        {
            safety.allowed = Allowed::Among(server.allow.clone());
        }
        if injects(suite) {
            if safety.allow_destructive {
                return Err(CliError::usage(format!(
                    "suite `{}` holds injected instructions, and `--allow-destructive` would let them do harm",
                    suite.suite
                ))
                .hint("run it on its mock, or without `--allow-destructive`"));
            }
            safety.refuse_unmarked = true;
        }
        let limit = Duration::from_millis(settings.tool_limit_ms);
        let opened = self.hosts.open(app, resolved, &safety, limit)?;
        let is_mock = matches!(opened.as_slice(), [only] if only.is_mock);
        if !is_mock {
            check_states(suite)?;
        }
        let host =
            HostArgs::join(&opened).ok_or_else(|| CliError::usage("no tool server is named"))?;
        Ok(GivenHost { opened, host })
    }
}

/// A suite that lays out files for its own server means nothing on another one.
fn check_sandbox(suite: &Suite) -> Result<(), CliError> {
    let Some(server) = &suite.server else {
        return Ok(());
    };
    if server.files.is_empty() && server.git.is_empty() {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "suite `{}` lays out files for its own server and cannot be run on another one",
        suite.suite
    ))
    .hint("leave out the tool server, or draft a suite for it: `toolbench suite new NAME --from-mcp …`"))
}

/// A real server shows no state and takes none: a case that needs one can only be lost there.
pub(super) fn check_states(suite: &Suite) -> Result<(), CliError> {
    let needs_state = |case: &&Case| {
        case.state.is_some()
            || case
                .all_rounds()
                .iter()
                .any(|round| round.expect.state.is_some())
    };
    let cases: Vec<&str> = suite
        .cases
        .iter()
        .filter(needs_state)
        .map(|case| case.id.as_str())
        .collect();
    if cases.is_empty() {
        return Ok(());
    }
    let shown = cases[..cases.len().min(SHOWN)].join(", ");
    let more = match cases.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let others = suite.cases.len() - cases.len();
    Err(CliError::usage(format!(
        "suite `{}`: {} of its cases set or expect a `state`, which only a mock has: {shown}{more}",
        suite.suite,
        cases.len()
    ))
    .hint(if others > 0 {
        "choose other cases with `--case`, or leave out the tool server and run the suite on its own mock"
    } else {
        "leave out the tool server and run the suite on its own mock"
    }))
}

/// The suite is about instructions that hide in data.
fn injects(suite: &Suite) -> bool {
    let is_word = |text: &String| text.contains("injection");
    is_word(&suite.suite)
        || suite
            .cases
            .iter()
            .any(|case| is_word(&case.category) || case.tags.iter().any(is_word))
}

/// What a suite was given instead of its own host, with the suite.
pub(super) type OfSuite<'a> = (&'a Suite, Option<&'a GivenHost>);

/// Compares what the servers list with what the suites expect. Gives the header's lines.
pub(super) async fn inspect(
    suites: &[OfSuite<'_>],
    prepared: &Prepared,
    policy: Option<&ToolPolicy>,
) -> Result<Vec<ToolServerHeader>, CliError> {
    let accept_drift = policy.is_some_and(|policy| policy.accept_drift);
    let allowed = policy.map_or(&[][..], |policy| &policy.allow_tool);
    let mut lines: Vec<ToolServerHeader> = Vec::new();
    for ((suite, given), host) in suites.iter().zip(&prepared.hosts) {
        let (Some(given), Ok(_)) = (given, host) else {
            // What could not be reached is excluded, with its reason.
            continue;
        };
        let Ok(facts) = given.host.facts().await else {
            continue;
        };
        check_allowed(&given.opened, allowed).await?;
        let found = differences(suite, &facts);
        if !found.is_empty() && !accept_drift {
            return Err(refusal(suite, given, &found));
        }
        for opened in &given.opened {
            let known = lines.iter_mut().find(|line| line.name == opened.name);
            let Some(line) = known else {
                let own = opened.host.facts().await.unwrap_or_default();
                lines.push(ToolServerHeader {
                    name: opened.name.clone(),
                    address: opened.without_secrets(&opened.shown),
                    identity: own.identity,
                    protocol: own.protocol,
                    drift: found.clone(),
                });
                continue;
            };
            line.drift.extend(found.clone());
            line.drift.dedup();
        }
    }
    Ok(lines)
}

fn refusal(suite: &Suite, given: &GivenHost, found: &[String]) -> CliError {
    let mut text = format!(
        "the tools of {} are not those of suite `{}`:",
        given.host.name(),
        suite.suite
    );
    for line in found.iter().take(SHOWN) {
        text.push_str(&format!("\n  {line}"));
    }
    if found.len() > SHOWN {
        text.push_str(&format!("\n  and {} more", found.len() - SHOWN));
    }
    CliError::usage(text)
        .kind("tool_drift", Status::Usage)
        .hint("allow a tool with `--allow-tool NAME`, draft the suite again with `toolbench suite new NAME --from-mcp …`, or measure what the server has now with `--accept-drift`")
}

/// How a server's tools differ from those that a suite was written for.
fn differences(suite: &Suite, facts: &HostFacts) -> Vec<String> {
    let (offered, refused): (Vec<_>, Vec<_>) =
        facts.tools.iter().partition(|tool| tool.refused.is_none());
    if suite.tools.is_empty() {
        let definitions: Vec<ToolDefinition> =
            offered.iter().map(|tool| tool.definition.clone()).collect();
        let filled = Suite {
            tools: definitions,
            ..suite.clone()
        };
        let problems = check(&filled.suite, "", &filled).into_iter();
        return problems
            .filter(|problem| !problem.unwritten)
            .map(|problem| format!("- {}", problem.message))
            .collect();
    }
    let all: Vec<ToolDefinition> = facts
        .tools
        .iter()
        .map(|tool| tool.definition.clone())
        .collect();
    let mut lines = drift(&suite.tools, &all);
    for tool in refused {
        let name = &tool.definition.name;
        if suite.tools.iter().any(|wanted| &wanted.name == name)
            && let Some(reason) = &tool.refused
        {
            lines.push(format!("! {name} may not be called: {reason}"));
        }
    }
    lines
}

/// Says how many calls did not reach a server, and where to read which.
pub(super) fn say_refusals(app: &App, run: &Run) {
    let count = |kind: HostNoteKind| {
        let notes = run.trials.iter().flat_map(|trial| &trial.host_notes);
        notes.filter(|note| note.kind == kind).count()
    };
    for (kind, what) in [
        (HostNoteKind::Refused, "refused"),
        (HostNoteKind::DryRun, "written down instead of made"),
    ] {
        let calls = count(kind);
        if calls > 0 {
            app.ui.say(&format!(
                "note: {calls} calls were {what}; `host_notes` in {} has each",
                run.directory.join("trials.jsonl").display()
            ));
        }
    }
}
