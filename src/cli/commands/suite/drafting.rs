//! `toolbench suite new --from-mcp`: asks a server for its tools and calls the safe ones once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use super::super::{App, CliError, Status, run};
use crate::authoring::draft::{Draft, DraftTool, Reply};
use crate::cli::args::{McpSelector, NewSuiteArgs};
use crate::cli::store_access::block_on;
use crate::config::Resolved;
use crate::selftest::estimated_tokens;
use crate::tools::mcp::listed::{ListedServer, read_list};
use crate::tools::mcp::{Allowed, McpHost, McpSettings, allowed_environment};
use crate::tools::mock::MockHost;
use crate::tools::{ToolHost, ToolHostError};
use crate::types::{ToolCall, ToolDefinition, did_you_mean};
use crate::validate::ToolSchemas;

/// First prompts up to this length need no word in the suite.
const USUAL_PROMPT_TOKENS: u32 = 2_500;
/// Allowed for everything in a prompt that is not a tool.
const PROMPT_TOKENS_BESIDES: u32 = 500;

/// Where the tools are.
enum Source {
    /// A real server.
    Server(Box<McpHost>),
    /// A suite's mock: calling it changes nothing.
    Mock(Box<MockHost>),
}

/// A source and what is known of it beforehand.
struct Selected {
    source: Source,
    name: String,
    /// Values that must not reach the file.
    secrets: Vec<String>,
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
        match &self.source {
            Source::Server(host) => host.as_ref(),
            Source::Mock(host) => host.as_ref(),
        }
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
        match &self.source {
            Source::Mock(host) => {
                let tools = host.list().await.map_err(|error| self.failed(&error))?;
                let tools = tools.into_iter().map(|tool| (tool, true)).collect();
                Ok((tools, format!("the mock of suite `{}`", self.name)))
            }
            Source::Server(host) => {
                let tools = host
                    .all_tools()
                    .await
                    .map_err(|error| self.failed(&error))?;
                let name = host.identity().await.unwrap_or_else(|| self.name.clone());
                Ok((tools, format!("the MCP server `{name}`")))
            }
        }
    }

    /// Makes every call that may be made, each once.
    async fn record(&self, app: &App, draft: &mut Draft, callable: &BTreeSet<String>) {
        let mut session = None;
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
                let answer = match self.session(&mut session).await {
                    Ok(open) => open.call(&request).await,
                    Err(error) => Err(error),
                };
                call.reply = match answer {
                    Ok(result) => Reply::Recorded {
                        text: self.without_secrets(&result.content),
                        is_error: result.is_error,
                    },
                    Err(error) => {
                        // The next call gets a new session, and with it a new server if need be.
                        session = None;
                        Reply::Failed(self.without_secrets(&error.message))
                    }
                };
                if matches!(self.source, Source::Mock(_)) {
                    session = None;
                }
            }
        }
    }

    async fn session<'s>(
        &self,
        open: &'s mut Option<Box<dyn crate::tools::ToolSession>>,
    ) -> Result<&'s mut Box<dyn crate::tools::ToolSession>, ToolHostError> {
        let session = match open.take() {
            Some(session) => session,
            None => self.host().open(None).await?,
        };
        Ok(open.insert(session))
    }

    fn failed(&self, error: &ToolHostError) -> CliError {
        CliError::usage(self.without_secrets(&error.message))
            .kind("tool_server", Status::Undecidable)
            .hint("start the same command by hand to see what it says")
    }

    fn without_secrets(&self, text: &str) -> String {
        self.secrets
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
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
    let McpSelector {
        stdio,
        mock,
        mcp_config,
    } = &args.server;
    if let Some(command) = stdio {
        let server = command_line(command)?;
        let name = program_name(&server.command);
        return Ok(host(app, name, &server, &args.allow, limit));
    }
    if let Some(path) = mcp_config {
        let (name, server) = listed_server(app, path, args.listed.as_deref())?;
        return Ok(host(app, name, &server, &args.allow, limit));
    }
    let name = mock.as_deref().unwrap_or_default();
    let suites = app.library(resolved).load(name)?;
    match suites.as_slice() {
        [suite] if suite.server.is_none() => Ok(Selected {
            source: Source::Mock(Box::new(run::mock(suite)?)),
            name: suite.suite.clone(),
            secrets: Vec::new(),
        }),
        _ => Err(
            CliError::usage(format!("suite `{name}` has no mock of its own"))
                .hint("name a suite with `tools` and `mock`; `toolbench suite list` shows them"),
        ),
    }
}

/// Splits a command as a shell would, without running one.
fn command_line(command: &str) -> Result<ListedServer, CliError> {
    let mut words = shlex::split(command)
        .ok_or_else(|| {
            CliError::usage(format!("`--stdio {command}`: a quote is not closed"))
                .hint("quote the whole command once: --stdio \"node server.js 'a folder'\"")
        })?
        .into_iter();
    let program = words.next().ok_or_else(|| {
        CliError::usage("`--stdio` names no command")
            .hint("give the command that starts the server: --stdio \"node server.js DIR\"")
    })?;
    Ok(ListedServer {
        command: program,
        arguments: words.collect(),
        ..ListedServer::default()
    })
}

fn program_name(program: &str) -> String {
    Path::new(program).file_name().map_or_else(
        || program.to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// The server of a client's list: the one named, or the only one that can be used.
fn listed_server(
    app: &App,
    path: &Path,
    wanted: Option<&str>,
) -> Result<(String, ListedServer), CliError> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        CliError::usage(format!("cannot read {shown}: {error}"))
            .hint("name the file in which your client or editor lists its `mcpServers`")
    })?;
    let listed = read_list(&text, &app.env.variables)
        .map_err(|reason| CliError::usage(format!("{shown}: {reason}")))?;
    let names = || listed.iter().map(|(name, _)| name.as_str());
    let entry = match wanted {
        Some(wanted) => listed
            .iter()
            .find(|(name, _)| name == wanted)
            .ok_or_else(|| {
                CliError::usage(format!("{shown} lists no server `{wanted}`")).hint(
                    did_you_mean(wanted, names()).unwrap_or_else(|| {
                        format!("it lists {}", names().collect::<Vec<_>>().join(", "))
                    }),
                )
            })?,
        None => match listed.as_slice() {
            [only] => only,
            [] => return Err(CliError::usage(format!("{shown} lists no server"))),
            _ => {
                return Err(
                    CliError::usage(format!("{shown} lists several servers")).hint(format!(
                        "name one: {}",
                        names()
                            .map(|name| format!("--server {name}"))
                            .collect::<Vec<_>>()
                            .join(", ")
                    )),
                );
            }
        },
    };
    match &entry.1 {
        Ok(server) => Ok((entry.0.clone(), server.clone())),
        Err(reason) => Err(CliError::usage(format!(
            "server `{}` of {shown} cannot be used: {reason}",
            entry.0
        ))),
    }
}

fn host(
    app: &App,
    name: String,
    server: &ListedServer,
    allow: &[String],
    call_limit: Duration,
) -> Selected {
    let mut settings = McpSettings::new(&name, &server.command, server.arguments.clone());
    settings.working_directory = server.working_directory.as_ref().map(PathBuf::from);
    settings.environment = allowed_environment(app.env.variables.clone(), &[], &server.environment);
    settings.allowed = Allowed::ReadOnlyAnd(allow.to_vec());
    settings.call_limit = call_limit;
    let mut secrets = server.secrets();
    // The longest first: one may be part of another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    Selected {
        source: Source::Server(Box::new(McpHost::new(settings))),
        name,
        secrets,
    }
}
