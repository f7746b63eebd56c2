//! A mock as the protocol sees it: rmcp's server side over a tool session or a script.
//!
//! Data in: typed requests. Data out: typed answers. Invariants: one state for all clients, as long
//! as the server lives; calls are answered one after another; a mock's own failure is a JSON-RPC
//! error, a tool that says no is a result.

use std::sync::Arc;
use std::time::Duration;

use rmcp::ErrorData;
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, GetPromptRequestParams,
    GetPromptResponse, GetPromptResult, Implementation, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, ResultType,
    ServerCapabilities, ServerConfig, SubscriptionFilter, Tool,
};
#[expect(
    deprecated,
    reason = "clients of 2025-11-25 still subscribe and set log levels"
)]
use rmcp::model::{SetLevelRequestParams, SubscribeRequestParams, UnsubscribeRequestParams};
use rmcp::service::{RequestContext, RoleServer, SubscriptionContext};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::sync::{Mutex, watch};

use super::rounds::{self, Asked, Questions, is_newer};
use super::script::{Answer, Script, fill, listed};
use crate::tools::{ToolHost, ToolHostError, ToolSession};
use crate::types::{Code, ToolCall, ToolResult};

/// What every connection's handler shares.
struct Shared {
    name: String,
    tools: Vec<Tool>,
    /// Tools that are listed while the number of changes is odd.
    further_tools: Vec<Tool>,
    changes: watch::Sender<u64>,
    source: Source,
    questions: Questions,
}

enum Source {
    /// A mock of a suite.
    Mock(Mutex<Box<dyn ToolSession>>),
    Script(Box<Script>),
}

/// The handler of one connection.
#[derive(Clone)]
pub(super) struct Handler(Arc<Shared>);

impl Handler {
    /// A handler over a host's tools and one session of it.
    pub(super) async fn of_host(host: &dyn ToolHost) -> Result<Self, ToolHostError> {
        let raw: Vec<Value> = host
            .list()
            .await?
            .iter()
            .map(|tool| serde_json::to_value(tool).unwrap_or_default())
            .collect();
        let tools = tools(&raw).map_err(|message| ToolHostError {
            code: Code::ToolErrorEnv,
            message,
        })?;
        let session = host.open(None).await?;
        Ok(Self(Arc::new(Shared {
            name: host.name().to_owned(),
            tools,
            further_tools: Vec::new(),
            changes: watch::Sender::new(0),
            source: Source::Mock(Mutex::new(session)),
            questions: Questions::new(),
        })))
    }

    /// A handler over a script.
    pub(super) fn of_script(script: Script) -> Result<Self, String> {
        Ok(Self(Arc::new(Shared {
            name: script.name.clone(),
            tools: tools(&script.tools)?,
            further_tools: tools(&script.further_tools)?,
            changes: watch::Sender::new(0),
            source: Source::Script(Box::new(script)),
            questions: Questions::new(),
        })))
    }

    fn listed_tools(&self) -> Vec<Tool> {
        let mut tools = self.0.tools.clone();
        if *self.0.changes.borrow() % 2 == 1 {
            tools.extend(self.0.further_tools.iter().cloned());
        }
        tools
    }

    fn script(&self) -> Option<&Script> {
        match &self.0.source {
            Source::Script(script) => Some(script),
            Source::Mock(_) => None,
        }
    }

    async fn scripted_call(
        &self,
        answer: &Answer,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        notify(answer, &context).await;
        let args = Value::Object(request.arguments.clone().unwrap_or_default());
        let asked = rounds::Request {
            name: &request.name,
            asks: &answer.asks,
            seal: answer.seal,
            args: &args,
            responses: request.input_responses.as_ref(),
            state: request.request_state.as_deref(),
        };
        let answers = match self.0.questions.ask(&asked, &context).await? {
            Asked::Answered(answers) => answers,
            Asked::Required(required) => return Ok(CallToolResponse::InputRequired(required)),
            Asked::Unable(reason) => {
                return Ok(CallToolResult::error(vec![ContentBlock::text(reason)]).into());
            }
        };
        if answer.changes_tools {
            self.0.changes.send_modify(|changes| *changes += 1);
            if !is_newer(&context) {
                // Newer clients hear of it where they listen; one that is gone needs not.
                let _ = context.peer.notify_tool_list_changed().await;
            }
            tokio::time::sleep(Duration::from_millis(answer.pause_ms)).await;
        }
        let values = json!({"args": args, "answers": answers});
        let mut result = Map::new();
        let blocks = Value::Array(answer.content.clone());
        result.insert("content".to_owned(), filled(&blocks, &values)?);
        if let Some(structured) = &answer.structured {
            result.insert("structuredContent".to_owned(), filled(structured, &values)?);
        }
        if answer.error {
            result.insert("isError".to_owned(), true.into());
        }
        let mut result: CallToolResult = typed(Value::Object(result))?;
        result.result_type = Some(ResultType::COMPLETE);
        Ok(result.into())
    }
}

/// Tools as rmcp has them.
fn tools(raw: &[Value]) -> Result<Vec<Tool>, String> {
    raw.iter()
        .map(|tool| {
            serde_json::from_value(tool.clone())
                .map_err(|error| format!("tool {}: {error}", tool["name"]))
        })
        .collect()
}

/// Log messages and progress, each after a pause.
async fn notify(answer: &Answer, context: &RequestContext<RoleServer>) {
    let pause = Duration::from_millis(answer.pause_ms);
    // Since 2026-07-28 a request says itself whether it wants log messages.
    let wants_log = !is_newer(context) || context.meta.log_level().is_some();
    let log = answer.log.iter().filter(|_| wants_log).enumerate();
    #[expect(deprecated, reason = "clients of 2025-11-25 still have a log")]
    for (index, message) in log {
        if index > 0 {
            tokio::time::sleep(pause).await;
        }
        let note = rmcp::model::LoggingMessageNotificationParam::new(
            rmcp::model::LoggingLevel::Info,
            message.clone().into(),
        );
        // A client that is gone needs no log.
        let _ = context.peer.notify_logging_message(note).await;
    }
    let token = context.meta.get_progress_token();
    for (index, progress) in answer.progress.iter().enumerate() {
        if index > 0 {
            tokio::time::sleep(pause).await;
        }
        if let Some(token) = &token {
            let note = rmcp::model::ProgressNotificationParam::new(token.clone(), *progress)
                .with_total(100.0);
            let _ = context.peer.notify_progress(note).await;
        }
    }
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value)
        .map_err(|error| ErrorData::internal_error(format!("the script: {error}"), None))
}

fn filled(value: &Value, context: &Value) -> Result<Value, ErrorData> {
    fill(value, context)
        .map_err(|error| ErrorData::internal_error(format!("the script: {error}"), None))
}

/// A tool's result in the protocol's form.
fn result_of(result: ToolResult) -> CallToolResult {
    let content = vec![ContentBlock::text(result.content)];
    let mut out = if result.is_error {
        CallToolResult::error(content)
    } else {
        CallToolResult::success(content)
    };
    // Anything but an object is no structured content in the older protocol.
    out.structured_content = result.structured.filter(Value::is_object);
    out
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools();
        let capabilities = match self.script() {
            None => capabilities.build(),
            Some(_) =>
            {
                #[expect(deprecated, reason = "clients of 2025-11-25 still have a log")]
                capabilities
                    .enable_logging()
                    .enable_completions()
                    .enable_prompts()
                    .enable_resources()
                    .enable_resources_subscribe()
                    .enable_tool_list_changed()
                    .build()
            }
        };
        let identity = Implementation::new(self.0.name.clone(), env!("CARGO_PKG_VERSION"));
        ServerConfig::new(capabilities).with_server_info(identity)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.listed_tools()
            .into_iter()
            .find(|tool| tool.name == name)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.listed_tools()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match &self.0.source {
            Source::Script(script) => {
                let Some(answer) = script.answers.get(request.name.as_ref()) else {
                    let message = format!("no such tool: {}", request.name);
                    return Err(ErrorData::invalid_params(message, None));
                };
                self.scripted_call(answer, request, context).await
            }
            Source::Mock(session) => {
                let arguments = Value::Object(request.arguments.unwrap_or_default());
                let call = ToolCall::new(request.name, arguments);
                let answer = session.lock().await.call(&call).await;
                match answer {
                    Ok(result) => Ok(result_of(result).into()),
                    Err(error) if error.code == Code::ToolTimeout => {
                        // A suite that scripts a silent tool gets one.
                        context.ct.cancelled().await;
                        Err(ErrorData::internal_error(error.message, None))
                    }
                    Err(error) => Err(ErrorData::internal_error(error.message, None)),
                }
            }
        }
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        self.script().map(|_| requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.0.changes.subscribe();
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                heard = changes.changed() => {
                    if heard.is_err() {
                        return Ok(());
                    }
                }
            }
            if context.accepted().tools_list_changed == Some(true) {
                // A client that is gone needs not know.
                let _ = context.sink().notify_tool_list_changed().await;
            }
        }
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let entries = self.script().map_or(&[][..], |script| &script.resources);
        let items: Vec<Value> = entries.iter().map(listed).collect();
        Ok(ListResourcesResult::with_all_items(typed(items.into())?))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let entries = self.script().map_or(&[][..], |script| &script.templates);
        let items: Vec<Value> = entries.iter().map(listed).collect();
        Ok(ListResourceTemplatesResult::with_all_items(typed(
            items.into(),
        )?))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let found = self
            .script()
            .and_then(|script| script.resource(&request.uri));
        match found {
            None => Err(ErrorData::resource_not_found(
                "resource not found",
                Some(json!({"uri": request.uri})),
            )),
            Some(Err(message)) => Err(ErrorData::internal_error(message, None)),
            Some(Ok(contents)) => {
                let complete = ResultType::COMPLETE;
                let result: ReadResourceResult =
                    typed(json!({"contents": [contents], "resultType": complete}))?;
                Ok(result.into())
            }
        }
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let prompts = self.script().map_or(&[][..], |script| &script.prompts);
        let items: Vec<Value> = prompts
            .iter()
            .map(|prompt| {
                json!({"name": prompt.name, "description": prompt.description, "arguments": prompt.arguments})
            })
            .collect();
        Ok(ListPromptsResult::with_all_items(typed(items.into())?))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let prompt = self
            .script()
            .and_then(|script| script.prompts.iter().find(|it| it.name == request.name));
        let Some(prompt) = prompt else {
            let message = format!("no such prompt: {}", request.name);
            return Err(ErrorData::invalid_params(message, None));
        };
        let args = Value::Object(request.arguments.clone().unwrap_or_default());
        let asked = rounds::Request {
            name: &request.name,
            asks: &prompt.asks,
            seal: false,
            args: &args,
            responses: request.input_responses.as_ref(),
            state: request.request_state.as_deref(),
        };
        let answers = match self.0.questions.ask(&asked, &context).await? {
            Asked::Answered(answers) => answers,
            Asked::Required(required) => return Ok(GetPromptResponse::InputRequired(required)),
            Asked::Unable(reason) => return Err(ErrorData::invalid_request(reason, None)),
        };
        let values = json!({"args": args, "answers": answers});
        let messages = filled(&Value::Array(prompt.messages.clone()), &values)?;
        let result: GetPromptResult = typed(
            json!({"description": prompt.description, "messages": messages, "resultType": ResultType::COMPLETE}),
        )?;
        Ok(result.into())
    }

    #[expect(deprecated, reason = "clients of 2025-11-25 still set a level")]
    async fn set_level(
        &self,
        _request: SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        // Resources of a script never change, so there is never anything to tell.
        self.known_resource(&request.uri)
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.known_resource(&request.uri)
    }
}

impl Handler {
    fn known_resource(&self, uri: &str) -> Result<(), ErrorData> {
        match self.script().and_then(|script| script.resource(uri)) {
            Some(_) => Ok(()),
            None => Err(ErrorData::resource_not_found(
                "resource not found",
                Some(json!({"uri": uri})),
            )),
        }
    }
}
