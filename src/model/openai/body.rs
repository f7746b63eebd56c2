//! Requests of the family as JSON.
//!
//! Data in: an endpoint and a request. Data out: the body of `POST /chat/completions`, and the parts that
//! other pages share. Invariants: a field that the endpoint refuses is left out, one that has another
//! name there gets it; sampling that is off is not sent, except to llama.cpp, whose own values are not
//! off; every call that goes back has an id, and its result the same one.

use serde_json::{Map, Value, json};

use super::{calls, strict};
use crate::types::endpoint::{Endpoint, SchemaField};
use crate::types::{
    ConstraintText, GenerateRequest, Message, Prompt, ProviderError, Role, ToolCall, ToolDefinition,
};

/// A body under construction.
pub(super) struct Body<'a> {
    endpoint: &'a Endpoint,
    fields: Map<String, Value>,
}

impl<'a> Body<'a> {
    pub(super) fn new(endpoint: &'a Endpoint, model: &str) -> Self {
        let mut body = Self {
            endpoint,
            fields: Map::new(),
        };
        if !model.is_empty() {
            body.put("model", json!(model));
        }
        body
    }

    /// Adds a field under the name that it has there, unless it is refused.
    pub(super) fn put(&mut self, name: &str, value: Value) {
        if !self.endpoint.refuses(name) {
            let name = self.endpoint.field(name).to_owned();
            self.fields.insert(name, value);
        }
    }

    /// How tokens are chosen and when the reply ends.
    pub(super) fn sampling(&mut self, request: &GenerateRequest, limit_field: &str) {
        let sampling = &request.sampling;
        self.put(limit_field, json!(request.max_tokens));
        self.put("temperature", number(sampling.temperature));
        let greedy = sampling.is_greedy();
        if !greedy {
            self.put("top_p", number(sampling.top_p));
        }
        // llama.cpp narrows the choice by itself unless told not to.
        let always = self.endpoint.llama_pages && !greedy;
        if always || !greedy && sampling.top_k != 0 {
            self.put("top_k", json!(sampling.top_k));
        }
        if always || !greedy && sampling.min_p > 0.0 {
            self.put("min_p", number(sampling.min_p));
        }
        if self.endpoint.llama_pages || off(sampling.repeat_penalty) {
            self.put("repeat_penalty", number(sampling.repeat_penalty));
        }
        // Servers keep seeds in 32 bits, some with a sign.
        self.put("seed", json!(request.seed & 0x7fff_ffff));
        if !request.stop.is_empty() {
            self.put("stop", json!(request.stop));
        }
    }

    pub(super) fn stream(&mut self, request: &GenerateRequest, with_usage: bool) {
        if self.endpoint.refuses("stream") {
            return;
        }
        self.put("stream", json!(request.stream));
        if request.stream && with_usage {
            self.put("stream_options", json!({"include_usage": true}));
        }
    }

    /// A grammar, or a schema of the whole reply.
    pub(super) fn constraint(&mut self, request: &GenerateRequest) -> Result<(), ProviderError> {
        match &request.constraint {
            None | Some(ConstraintText::StrictTools) => {}
            Some(ConstraintText::Gbnf(text)) => self.put("grammar", json!(text)),
            Some(ConstraintText::Lark(_)) => {
                return Err(refused("the server reads no Lark grammars".to_owned()));
            }
            Some(ConstraintText::JsonSchema(schema)) => {
                let schema = whole_schema(self.endpoint, schema)?;
                match self.endpoint.schema_field {
                    SchemaField::ResponseFormat => {
                        let named = json!({"name": "reply", "schema": schema, "strict": true});
                        self.put(
                            "response_format",
                            json!({"type": "json_schema", "json_schema": named}),
                        );
                    }
                    SchemaField::GuidedJson => self.put("guided_json", schema),
                    SchemaField::StructuredOutputs => {
                        self.put("structured_outputs", json!({"json": schema}));
                    }
                    SchemaField::JsonSchema => self.put("json_schema", schema),
                }
            }
        }
        Ok(())
    }

    pub(super) fn done(self) -> Value {
        Value::Object(self.fields)
    }
}

/// A schema of the whole reply as the endpoint takes it.
pub(super) fn whole_schema(endpoint: &Endpoint, schema: &Value) -> Result<Value, ProviderError> {
    if !endpoint.strict_subset {
        return Ok(schema.clone());
    }
    strict::reply_schema(schema).map_err(|reason| {
        refused(format!(
            "the schema of the whole reply is none that strict mode takes: {reason}"
        ))
    })
}

pub(super) fn refused(detail: String) -> ProviderError {
    ProviderError::GrammarRejected { detail }
}

fn off(penalty: f32) -> bool {
    (penalty - 1.0).abs() > f32::EPSILON
}

/// The shortest decimal that is this number: 0.7 and not 0.699999988079071.
pub(super) fn number(value: f32) -> Value {
    let shortest: f64 = value.to_string().parse().unwrap_or(f64::from(value));
    json!(shortest)
}

/// `POST /chat/completions`.
pub(super) fn chat(
    endpoint: &Endpoint,
    model: &str,
    request: &GenerateRequest,
) -> Result<Value, ProviderError> {
    let Prompt::Chat {
        messages,
        tools,
        tool_choice,
    } = &request.prompt
    else {
        return Err(ProviderError::Rejected {
            detail: "raw text does not go to a chat page".to_owned(),
        });
    };
    let mut body = Body::new(endpoint, model);
    body.put("messages", Value::Array(chat_messages(messages)));
    body.sampling(request, "max_tokens");
    body.stream(request, true);
    if !tools.is_empty() {
        let held = matches!(request.constraint, Some(ConstraintText::StrictTools));
        body.put("tools", Value::Array(chat_tools(tools, held)?));
        body.put("tool_choice", json!(tool_choice.as_str()));
        if !held {
            // Strict mode documents that it does not hold calls made in parallel.
            body.put("parallel_tool_calls", json!(true));
        }
    }
    body.constraint(request)?;
    Ok(body.done())
}

fn chat_tools(tools: &[ToolDefinition], held: bool) -> Result<Vec<Value>, ProviderError> {
    tools
        .iter()
        .map(|tool| Ok(json!({"type": "function", "function": function(tool, held)?})))
        .collect()
}

/// A tool as a function: its schema as given, or in the form that strict mode documents.
pub(super) fn function(tool: &ToolDefinition, held: bool) -> Result<Value, ProviderError> {
    let mut function = json!({
        "name": tool.name, "description": tool.description, "parameters": tool.input_schema,
    });
    if held {
        function["parameters"] = strict::arguments(&tool.input_schema).map_err(|reason| {
            refused(format!(
                "strict mode cannot hold tool `{}`: {reason}",
                tool.name
            ))
        })?;
        function["strict"] = json!(true);
    }
    Ok(function)
}

/// Ids for calls that have none, the same for a call and its result: results answer in order.
pub(super) struct Ids {
    made: u32,
    open: Vec<String>,
}

impl Ids {
    pub(super) fn new() -> Self {
        Self {
            made: 0,
            open: Vec::new(),
        }
    }

    /// Nine letters and digits: the strictest of the servers takes nothing else.
    fn call(&mut self, call: &ToolCall) -> String {
        let id = call.id.clone().unwrap_or_else(|| {
            self.made += 1;
            format!("call{:05}", self.made)
        });
        self.open.push(id.clone());
        id
    }

    fn result(&mut self, message: &Message) -> String {
        if let Some(id) = &message.tool_call_id {
            self.open.retain(|open| open != id);
            return id.clone();
        }
        if self.open.is_empty() {
            return "call00000".to_owned();
        }
        self.open.remove(0)
    }

    /// The ids of an assistant's calls.
    pub(super) fn calls(&mut self, message: &Message) -> Vec<(String, ToolCall)> {
        self.open.clear();
        let calls = message.tool_calls.iter();
        calls.map(|call| (self.call(call), call.clone())).collect()
    }

    /// The id of a tool's result.
    pub(super) fn answered(&mut self, message: &Message) -> String {
        self.result(message)
    }
}

fn chat_messages(messages: &[Message]) -> Vec<Value> {
    let mut ids = Ids::new();
    messages
        .iter()
        .map(|message| match message.role {
            Role::Tool => json!({
                "role": "tool", "tool_call_id": ids.answered(message), "content": message.content,
            }),
            Role::Assistant if !message.tool_calls.is_empty() => {
                let calls: Vec<Value> = ids
                    .calls(message)
                    .into_iter()
                    .map(|(id, call)| {
                        let arguments = calls::arguments_text(&call.arguments);
                        json!({
                            "id": id, "type": "function",
                            "function": {"name": call.name, "arguments": arguments},
                        })
                    })
                    .collect();
                let content = Some(&message.content).filter(|text| !text.is_empty());
                json!({"role": "assistant", "content": content, "tool_calls": calls})
            }
            role => json!({"role": role.as_str(), "content": message.content}),
        })
        .collect()
}
