//! Chat templates: rendering as transformers renders them, and what a template can do.
//!
//! Data in: the Jinja source and special tokens of a model's weights, and messages.
//! Data out: prompt text, and [`TemplateTraits`] found by probing.
//! Invariants: byte-equal to Python's jinja2 with transformers' settings; a fixed clock; bounded
//! work; abilities are found by rendering sentinels, never by a model's name.

use std::sync::{Arc, Mutex, PoisonError};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value, context};
use serde::{Deserialize, Serialize};

use super::native_form::{NativeForm, Renderings, SECOND_TOOL, SENTINEL_TOOL, sentinel_arguments};
use super::python_json::{python_text, to_template_value, tojson};
use crate::types::{Message, ModelFacts, Role, ToolCall, ToolDefinition};

/// Most instructions one rendering may take.
const FUEL: u64 = 5_000_000;
/// Templates remembered by [`Template::of`].
const MEMO_SIZE: usize = 32;
/// The moment `strftime_now` tells: prompts must not change with the day.
const FIXED_NOW: (&str, &str, &str) = ("2026", "01", "01");

/// Why a template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The weights hold none.
    #[error("the weights hold no chat template")]
    Missing,
    /// It is not a template that this engine knows.
    #[error("the chat template does not parse: {0}")]
    Syntax(String),
    /// It refused the messages.
    #[error("the chat template refused the messages: {0}")]
    Refused(String),
}

/// What a template can do, found by probing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateTraits {
    /// Label of the markup family, for people: `chatml`, `llama3`, `mistral`, `gemma`, ….
    pub family: String,
    /// Offered tools appear in the prompt.
    pub has_tools: bool,
    /// A system message is taken.
    pub system_role: bool,
    /// Two messages of one role in a row are taken.
    pub repeated_roles: bool,
    /// Results of tools have a role of their own.
    pub tool_role: bool,
    /// Arguments of calls must be given as a JSON string.
    pub string_arguments: bool,
    /// A raw reply with a call can be replayed as text before its results.
    pub replays_raw: bool,
    /// How calls are written; `None` when they cannot be read back.
    pub form: Option<NativeForm>,
}

impl TemplateTraits {
    /// Why `native` cannot be used; `None` when it can.
    pub fn native_unsupported(&self) -> Option<&'static str> {
        if !self.has_tools {
            Some("the chat template knows no tools")
        } else if self.form.is_none() {
            Some("the chat template writes tool calls in a form that is not JSON")
        } else {
            None
        }
    }

    /// What has to be folded, in words, for `model show`.
    pub fn folds(&self) -> Vec<&'static str> {
        let mut folds = Vec::new();
        if !self.system_role {
            folds.push("system message goes into the first user message");
        }
        if !self.repeated_roles {
            folds.push("messages of one role in a row are merged");
        }
        if self.has_tools && !self.tool_role {
            folds.push("tool results go into user messages");
        }
        folds
    }
}

/// A chat template with its special tokens and its probed abilities.
#[derive(Clone, Debug)]
pub struct Template {
    source: String,
    bos_token: String,
    eos_token: String,
    traits: TemplateTraits,
}

type Memo = Vec<(String, Result<Arc<Template>, TemplateError>)>;

/// Results of probing by template and tokens: a memo of a pure function.
static MEMO: Mutex<Memo> = Mutex::new(Vec::new());

impl Template {
    /// Probes the template in the weights.
    pub fn probe(facts: &ModelFacts) -> Result<Self, TemplateError> {
        let source = facts.chat_template.clone().ok_or(TemplateError::Missing)?;
        let mut template = Self {
            source,
            bos_token: facts.bos_token.clone(),
            eos_token: facts.eos_token.clone(),
            traits: TemplateTraits {
                family: String::new(),
                has_tools: false,
                system_role: true,
                repeated_roles: true,
                tool_role: false,
                string_arguments: false,
                replays_raw: true,
                form: None,
            },
        };
        template.traits = Probe {
            template: &template,
        }
        .run()?;
        Ok(template)
    }

    /// The same, remembered.
    pub fn of(facts: &ModelFacts) -> Result<Arc<Self>, TemplateError> {
        let source = facts
            .chat_template
            .as_deref()
            .ok_or(TemplateError::Missing)?;
        let key = format!("{}\u{0}{}\u{0}{source}", facts.bos_token, facts.eos_token);
        let mut memo = MEMO.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = memo.iter().find(|(known, _)| *known == key) {
            return known.clone();
        }
        let probed = Self::probe(facts).map(Arc::new);
        if memo.len() >= MEMO_SIZE {
            memo.drain(..1);
        }
        memo.push((key, probed.clone()));
        probed
    }

    /// What it can do.
    pub fn traits(&self) -> &TemplateTraits {
        &self.traits
    }

    /// The prompt for these messages. No folding: the template may refuse.
    pub fn render(
        &self,
        messages: &[Message],
        tools: &[ToolDefinition],
        add_generation_prompt: bool,
    ) -> Result<String, TemplateError> {
        let values = message_values(messages, self.traits.string_arguments);
        self.render_values(&values, tools, add_generation_prompt)
    }

    fn render_values(
        &self,
        messages: &[serde_json::Value],
        tools: &[ToolDefinition],
        add_generation_prompt: bool,
    ) -> Result<String, TemplateError> {
        let environment = environment();
        let template = environment
            .template_from_str(&self.source)
            .map_err(|error| TemplateError::Syntax(error_text(&error)))?;
        let messages: Vec<Value> = messages.iter().map(to_template_value).collect();
        // transformers passes `None`, not an empty list, where there are no tools.
        let tools = if tools.is_empty() {
            Value::from(())
        } else {
            Value::from(tools.iter().map(tool_value).collect::<Vec<_>>())
        };
        template
            .render(context! {
                messages => Value::from(messages),
                tools => tools,
                documents => Value::from(()),
                add_generation_prompt => add_generation_prompt,
                bos_token => self.bos_token.as_str(),
                eos_token => self.eos_token.as_str(),
            })
            .map_err(|error| TemplateError::Refused(error_text(&error)))
    }
}

/// The environment that transformers gives its templates.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    // Building fails on bad delimiters only, and these are the default ones.
    if let Ok(syntax) = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
    {
        environment.set_syntax(syntax);
    }
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", tojson);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// `strftime` of 2026-01-01 00:00:00, a Thursday.
fn strftime_now(format: &str, _rest: Rest<Value>, _options: Kwargs) -> String {
    let (year, month, day) = FIXED_NOW;
    [
        ("%Y", year),
        ("%m", month),
        ("%d", day),
        ("%-d", "1"),
        ("%-m", "1"),
        ("%y", "26"),
        ("%b", "Jan"),
        ("%B", "January"),
        ("%a", "Thu"),
        ("%A", "Thursday"),
        ("%j", "001"),
        ("%H", "00"),
        ("%M", "00"),
        ("%S", "00"),
    ]
    .iter()
    .fold(format.to_owned(), |text, (code, value)| {
        text.replace(code, value)
    })
}

fn error_text(error: &Error) -> String {
    error
        .detail()
        .map_or_else(|| error.to_string(), ToOwned::to_owned)
}

fn tool_value(tool: &ToolDefinition) -> Value {
    to_template_value(&serde_json::json!({
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.input_schema,
        }
    }))
}

/// Messages as transformers takes them. Calls get ids of nine letters and digits, which is what
/// the strictest templates ask for; results refer to them in order.
fn message_values(messages: &[Message], string_arguments: bool) -> Vec<serde_json::Value> {
    let mut calls_seen = 0_usize;
    let mut waiting: Vec<(Option<String>, String)> = Vec::new();
    let mut values = Vec::with_capacity(messages.len());
    for message in messages {
        let mut value = serde_json::json!({
            "role": message.role.as_str(),
            "content": message.content,
        });
        if !message.tool_calls.is_empty() {
            waiting.clear();
            let calls: Vec<serde_json::Value> = message
                .tool_calls
                .iter()
                .map(|call| {
                    calls_seen += 1;
                    let id = format!("call{calls_seen:05}");
                    waiting.push((call.id.clone(), id.clone()));
                    call_value(call, &id, string_arguments)
                })
                .collect();
            value["tool_calls"] = calls.into();
        }
        if message.role == Role::Tool {
            let same = waiting
                .iter()
                .position(|(given, _)| given.is_some() && *given == message.tool_call_id);
            let at = same.or((!waiting.is_empty()).then_some(0));
            let id = at.map_or_else(|| "call00000".to_owned(), |at| waiting.remove(at).1);
            value["name"] = message.tool_name.clone().unwrap_or_default().into();
            value["tool_call_id"] = id.into();
        }
        values.push(value);
    }
    values
}

fn call_value(call: &ToolCall, id: &str, string_arguments: bool) -> serde_json::Value {
    let arguments = if string_arguments {
        python_text(&call.arguments).into()
    } else {
        call.arguments.clone()
    };
    serde_json::json!({
        "id": id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    })
}

const SYSTEM: &str = "sentinel system text";
const USER: &str = "sentinel user text";
const OTHER_USER: &str = "sentinel other text";
const REPLY: &str = "sentinel reply text";
const RESULT: &str = "sentinel result text";

/// Renders sentinels and looks at what comes out.
struct Probe<'a> {
    template: &'a Template,
}

impl Probe<'_> {
    fn run(&self) -> Result<TemplateTraits, TemplateError> {
        let user = Message::text(Role::User, USER);
        let base = self
            .template
            .render(std::slice::from_ref(&user), &[], true)?;
        let tools = [sentinel_tool(SENTINEL_TOOL), sentinel_tool(SECOND_TOOL)];
        let has_tools = self
            .render(std::slice::from_ref(&user), &tools, true, false)
            .is_some_and(|text| text.contains(SENTINEL_TOOL));
        let system = Message::text(Role::System, SYSTEM);
        let system_role = self.shows(&[system, user.clone()], &[], &[SYSTEM, USER]);
        let other = Message::text(Role::User, OTHER_USER);
        let repeated_roles = self.shows(&[user.clone(), other], &[], &[USER, OTHER_USER]);
        let mut traits = TemplateTraits {
            family: family(&base),
            has_tools,
            system_role,
            repeated_roles,
            tool_role: false,
            string_arguments: false,
            replays_raw: true,
            form: None,
        };
        if has_tools {
            self.probe_calls(&user, &tools, &mut traits);
        }
        Ok(traits)
    }

    fn probe_calls(&self, user: &Message, tools: &[ToolDefinition], traits: &mut TemplateTraits) {
        // Arguments as an object first, as transformers has it; as a string where that fails.
        for string_arguments in [false, true] {
            if let Some(form) = self.form(user, tools, string_arguments) {
                traits.form = Some(form);
                traits.string_arguments = string_arguments;
                break;
            }
        }
        let call = sentinel_call(SENTINEL_TOOL);
        let result = Message::tool_result(&call, RESULT);
        let called = Message::assistant_calls("", vec![call.clone()]);
        traits.tool_role = self
            .render(
                &[user.clone(), called, result.clone()],
                tools,
                true,
                traits.string_arguments,
            )
            .is_some_and(|text| text.contains(RESULT));
        if let Some(form) = &traits.form {
            let raw = Message::text(Role::Assistant, form.write(&[call]));
            // A longer exchange: some templates count raw replies as turns of their own.
            let turns = [
                user.clone(),
                raw.clone(),
                result.clone(),
                raw,
                result,
                Message::text(Role::Assistant, REPLY),
                Message::text(Role::User, OTHER_USER),
            ];
            traits.replays_raw = self.shows(&turns, tools, &[RESULT, REPLY, OTHER_USER]);
        }
    }

    fn form(
        &self,
        user: &Message,
        tools: &[ToolDefinition],
        string_arguments: bool,
    ) -> Option<NativeForm> {
        let call = sentinel_call(SENTINEL_TOOL);
        let second = sentinel_call(SECOND_TOOL);
        let conversation = |reply: Message| [user.clone(), reply];
        let one = conversation(Message::assistant_calls("", vec![call.clone()]));
        let two = conversation(Message::assistant_calls("", vec![call, second]));
        let plain = conversation(Message::text(Role::Assistant, REPLY));
        let prompt = self.render(std::slice::from_ref(user), tools, true, string_arguments)?;
        let one = self.render(&one, tools, false, string_arguments)?;
        let two = self.render(&two, tools, false, string_arguments);
        let plain = self.render(&plain, tools, false, string_arguments)?;
        NativeForm::detect(&Renderings {
            prompt: &prompt,
            one_call: &one,
            two_calls: two.as_deref(),
            plain: (&plain, REPLY),
        })
    }

    fn render(
        &self,
        messages: &[Message],
        tools: &[ToolDefinition],
        add_generation_prompt: bool,
        string_arguments: bool,
    ) -> Option<String> {
        let values = message_values(messages, string_arguments);
        self.template
            .render_values(&values, tools, add_generation_prompt)
            .ok()
    }

    fn shows(&self, messages: &[Message], tools: &[ToolDefinition], texts: &[&str]) -> bool {
        self.render(messages, tools, true, false)
            .is_some_and(|rendered| texts.iter().all(|text| rendered.contains(text)))
    }
}

fn sentinel_tool(name: &str) -> ToolDefinition {
    ToolDefinition {
        name: name.to_owned(),
        description: "sentinel description".to_owned(),
        input_schema: serde_json::json!({
            "type": "object",
            "properties": {
                "sentinel_key": {"type": "string", "description": "sentinel text"},
                "sentinel_number": {"type": "integer", "description": "sentinel number"}
            },
            "required": ["sentinel_key"]
        }),
        annotations: None,
    }
}

fn sentinel_call(name: &str) -> ToolCall {
    ToolCall::new(name, sentinel_arguments())
}

/// A label for the markup around a user's message. For people only: nothing depends on it.
fn family(rendered: &str) -> String {
    [
        ("<|im_start|>", "chatml"),
        ("<start_of_turn>", "gemma"),
        ("<|start_header_id|>", "llama3"),
        ("[INST]", "mistral"),
        ("<|user|>", "phi"),
        ("### Instruction", "alpaca"),
        ("<|start_of_role|>", "granite"),
        ("<|START_OF_TURN_TOKEN|>", "command-r"),
    ]
    .iter()
    .find(|(mark, _)| rendered.contains(mark))
    .map_or("other", |(_, family)| family)
    .to_owned()
}
