//! `toolbench suite new --from-mcp`: asks a server for its tools and calls the safe ones once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value};

use super::super::{App, CliError, Status};
use crate::authoring::draft::{Draft, DraftTool, Reply};
use crate::cli::args::NewSuiteArgs;
use crate::cli::host_args::OpenedHost;
use crate::cli::recorder::Recorder;
use crate::cli::store_access::block_on;
use crate::config::Resolved;
use crate::selftest::estimated_tokens;
use crate::tools::mcp::{Allowed, Safety};
use crate::tools::{ToolHost, ToolHostError};
use crate::types::{ToolCall, ToolDefinition, did_you_mean};
use crate::validate::ToolSchemas;

/// First prompts up to this length need no word in the suite.
const USUAL_PROMPT_TOKENS: u32 = 2_500;
/// Allowed for everything in a prompt that is not a tool.
const PROMPT_TOKENS_BESIDES: u32 = 500;

/// Where the tools are.
struct Selected {
    opened: OpenedHost,
}

/// Drafts a suite from a server's tools.
pub(super) fn draft(
    app: &App,
    resolved: &Resolved,
    args: &NewSuiteArgs,
) -> Result<Draft, CliError> {
    let given = given_arguments(&args.arguments)?;
    let selected = select(app, resolved, args)?;
    let stop = app.interrupts().stop.clone();
    block_on(async {
        let drafted = tokio::select! {
            biased;
            () = stop.cancelled() => Err(CliError::usage("interrupted; nothing is written")
                .kind("interrupted", Status::Interrupted)),
            drafted = selected.draft(app, args, &given) => drafted,
        };
        selected.host().close().await;
        drafted
    })?
}

impl Selected {
    fn host(&self) -> &dyn ToolHost {
        self.opened.host.as_ref()
    }

    async fn draft(
        &self,
        app: &App,
        args: &NewSuiteArgs,
        given: &BTreeMap<String, Map<String, Value>>,
    ) -> Result<Draft, CliError> {
        let (tools, origin) = self.listed().await?;
        let names: Vec<&str> = tools.iter().map(|(tool, _)| tool.name.as_str()).collect();
        for (flag, name) in args
            .allow
            .iter()
            .map(|name| ("--allow", name))
            .chain(given.keys().map(|name| ("--arguments", name)))
        {
            if !names.contains(&name.as_str()) {
                let hint = did_you_mean(name, names.iter().copied())
                    .unwrap_or_else(|| format!("it has {}", names.join(", ")));
                return Err(
                    CliError::usage(format!("`{flag}`: the server has no tool `{name}`"))
                        .hint(hint),
                );
            }
        }
        let mut draft = Draft {
            name: args.name.clone(),
            origin,
            tools: Vec::new(),
            left_out: Vec::new(),
            prompt_tokens: None,
        };
        let mut seen = BTreeSet::new();
        let mut callable = BTreeSet::new();
        for (tool, may_be_called) in tools {
            if !seen.insert(tool.name.clone()) {
                let reason = "the server lists it twice".to_owned();
                draft.left_out.push((tool.name, reason));
            } else if let Err(error) = ToolSchemas::compile(std::slice::from_ref(&tool)) {
                draft.left_out.push((tool.name, error.to_string()));
            } else {
                if may_be_called {
                    callable.insert(tool.name.clone());
                }
                let arguments = given.get(&tool.name);
                let planned = DraftTool::plan(tool, arguments);
                if let (Err(reason), Some(_)) = (&planned.calls, arguments) {
                    return Err(CliError::usage(format!(
                        "`--arguments` for `{}`: {reason}",
                        planned.definition.name
                    )));
                }
                draft.tools.push(planned);
            }
        }
        if draft.tools.is_empty() {
            return Err(
                CliError::usage(format!("{} offers no usable tool", draft.origin))
                    .kind("undecidable", Status::Undecidable),
            );
        }
        draft.prompt_tokens = prompt_tokens(&draft.tools);
        self.record(app, &mut draft, &callable).await;
        Ok(draft)
    }

    /// The tools, whether each may be called, and the source in words.
    async fn listed(&self) -> Result<(Vec<(ToolDefinition, bool)>, String), CliError> {
        let facts = self
            .host()
            .facts()
            .await
            .map_err(|error| self.failed(&error))?;
        let name = facts.identity.unwrap_or_else(|| self.opened.name.clone());
        let tools = facts
            .tools
            .into_iter()
            .map(|tool| (tool.definition, tool.refused.is_none()))
            .collect();
        let origin = if self.opened.is_mock {
            format!("the mock of suite `{name}`")
        } else {
            format!("the MCP server `{name}`")
        };
        Ok((tools, origin))
    }

    /// Makes every call that may be made, each once.
    async fn record(&self, app: &App, draft: &mut Draft, callable: &BTreeSet<String>) {
        let mut recorder = Recorder::new(&self.opened);
        for tool in &mut draft.tools {
            let name = tool.definition.name.clone();
            let Ok(calls) = &mut tool.calls else {
                continue;
            };
            if !callable.contains(&name) {
                for call in calls {
                    call.reply = Reply::NotCalled(format!(
                        "it is not marked read-only, so it was not called; `--allow {name}` does"
                    ));
                }
                continue;
            }
            app.ui.say(&format!("calling {name}"));
            for call in calls {
                let request = ToolCall::new(&name, Value::Object(call.arguments.clone()));
                call.reply = match recorder.call(&request).await {
                    Ok(result) => Reply::Recorded {
                        text: result.content,
                        is_error: result.is_error,
                    },
                    Err(error) => Reply::Failed(error.message),
                };
                if self.opened.is_mock {
                    recorder.begin_anew();
                }
            }
        }
    }

    fn failed(&self, error: &ToolHostError) -> CliError {
        CliError::usage(self.without_secrets(&error.message))
            .kind("tool_server", Status::Undecidable)
            .hint("start the same command by hand to see what it says")
    }

    fn without_secrets(&self, text: &str) -> String {
        self.opened.without_secrets(text)
    }
}

/// What `self_test.prompt_tokens` has to be for tools of this size; nothing where the usual will do.
fn prompt_tokens(tools: &[DraftTool]) -> Option<u32> {
    let listed: Vec<&ToolDefinition> = tools.iter().map(|tool| &tool.definition).collect();
    let text = serde_json::to_string(&listed).unwrap_or_default();
    // What a prompt says besides its tools, and the person's own words.
    let needed = estimated_tokens(&text) + PROMPT_TOKENS_BESIDES;
    (needed > USUAL_PROMPT_TOKENS).then(|| needed.next_multiple_of(100))
}

/// `TOOL={…}` by tool.
fn given_arguments(flags: &[String]) -> Result<BTreeMap<String, Map<String, Value>>, CliError> {
    let mut given = BTreeMap::new();
    for flag in flags {
        let wrong = |reason: &str| {
            CliError::usage(format!("`--arguments {flag}`: {reason}"))
                .hint("write a tool's name, `=` and its arguments as JSON: --arguments 'get_time={\"zone\": \"UTC\"}'")
        };
        let (tool, json) = flag
            .split_once('=')
            .ok_or_else(|| wrong("there is no `=`"))?;
        let value: Value =
            serde_json::from_str(json).map_err(|error| wrong(&format!("not JSON: {error}")))?;
        let Value::Object(arguments) = value else {
            return Err(wrong("the arguments are not a JSON object"));
        };
        if given.insert(tool.to_owned(), arguments).is_some() {
            return Err(wrong("the tool is named twice"));
        }
    }
    Ok(given)
}

fn select(app: &App, resolved: &Resolved, args: &NewSuiteArgs) -> Result<Selected, CliError> {
    let limit = Duration::from_millis(app.settings(resolved)?.tool_limit_ms);
    let safety = Safety {
        allowed: Allowed::ReadOnlyAnd(args.allow.clone()),
        // A tool is named here to be called once, by whoever runs the command.
        allow_destructive: true,
        ..Safety::default()
    };
    let mut server = args.server.clone();
    if let Some(name) = &args.listed {
        for list in &mut server.mcp_config {
            list.push('#');
            list.push_str(name);
        }
    }
    let opened = server.open_one(app, resolved, &safety, limit)?;
    Ok(Selected { opened })
}
