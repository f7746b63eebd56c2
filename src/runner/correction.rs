//! Correction messages: violations to the text the model gets, never with the expected value.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value, context};

use crate::types::{ContentHash, GenerateReply, Message, Role, Violation, WireNames};

/// A correction template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("correction template `{name}`: {message}")]
pub struct CorrectionError {
    /// Its name or path.
    pub name: String,
    /// Why.
    pub message: String,
}

/// A compiled correction style.
#[derive(Clone, Debug)]
pub struct CorrectionStyle {
    name: String,
    environment: Environment<'static>,
    /// Hash of the text: part of the plan.
    pub hash: ContentHash,
}

/// The built-in styles: name and template.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("plain", include_str!("corrections/plain.txt")),
    ("located", include_str!("corrections/located.txt")),
    ("nudge", include_str!("corrections/nudge.txt")),
];

impl CorrectionStyle {
    /// Compiles a template over `violations` (code, tool, pointer, keyword, schema, message) and
    /// `form` (how a call is written in this dialect).
    pub fn compile(name: &str, text: &str) -> Result<Self, CorrectionError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()
                .map_err(|error| CorrectionError {
                    name: name.to_owned(),
                    message: error.to_string(),
                })?,
        );
        environment.set_fuel(Some(100_000));
        environment
            .add_template_owned("correction", text.to_owned())
            .map_err(|error| CorrectionError {
                name: name.to_owned(),
                message: error.to_string(),
            })?;
        let style = Self {
            name: name.to_owned(),
            environment,
            hash: ContentHash::of_bytes(text.as_bytes()),
        };
        let probe = Violation::new(crate::types::Code::TypeMismatch, "probe");
        style.try_render(&[probe]).map(|_| style)
    }

    /// Nudges also answer a missing call.
    pub fn answers_missing_call(&self) -> bool {
        self.name == "nudge"
    }

    /// The message for these violations.
    pub fn render(&self, violations: &[Violation]) -> String {
        self.try_render(violations).unwrap_or_else(|_| {
            // Compiled and tried once: only an exotic value can bring a file's template down.
            let parts: Vec<&str> = violations.iter().map(|v| v.message.as_str()).collect();
            parts.join("\n")
        })
    }

    fn try_render(&self, violations: &[Violation]) -> Result<String, CorrectionError> {
        let fail = |error: minijinja::Error| CorrectionError {
            name: self.name.clone(),
            message: error.to_string(),
        };
        let list: Vec<Value> = violations.iter().map(shown).collect();
        self.environment
            .get_template("correction")
            .map_err(fail)?
            .render(context! { violations => list })
            .map(|text| text.trim().to_owned())
            .map_err(fail)
    }
}

/// What a template may see of a violation. Schema fragments are cut to a readable size.
fn shown(violation: &Violation) -> Value {
    let schema = violation.schema.as_ref().map(|schema| {
        let text = schema.to_string();
        if text.chars().count() > 400 {
            format!("{}…", text.chars().take(400).collect::<String>())
        } else {
            text
        }
    });
    context! {
        code => violation.code.name(),
        meaning => violation.code.meaning(),
        tool => violation.tool.clone(),
        pointer => violation.pointer.clone(),
        keyword => violation.keyword.clone(),
        schema => schema,
        message => violation.message.clone(),
    }
}

/// Answer to a call that was not made because another one beside it has to be mended.
const NOT_RUN: &str = "not run: a call beside this one was invalid";

/// A reply and what is wrong with it, as messages. Calls that a server read are answered as calls: it
/// takes no other message after them. `concerned` is the call that the text is about, `id` begins the
/// ids of calls that have none.
pub fn correction_messages(
    reply: &GenerateReply,
    names: &WireNames,
    id: &str,
    concerned: Option<usize>,
    text: &str,
) -> Vec<Message> {
    let raw = reply.text.as_str();
    if reply.calls.is_empty() {
        return vec![
            Message::text(Role::Assistant, raw),
            Message::text(Role::User, text),
        ];
    }
    let mut calls = reply.calls.clone();
    for (index, call) in calls.iter_mut().enumerate() {
        call.name = names.own(&call.name).to_owned();
        call.id.get_or_insert_with(|| format!("{id}_{index}"));
    }
    let concerned = concerned.unwrap_or_default().min(calls.len() - 1);
    let answers: Vec<Message> = calls
        .iter()
        .enumerate()
        .map(|(index, call)| {
            let text = if index == concerned { text } else { NOT_RUN };
            Message::tool_result(call, text)
        })
        .collect();
    let mut messages = vec![Message::assistant_calls(raw, calls)];
    messages.extend(answers);
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Code;

    #[test]
    fn built_in_styles_name_code_place_and_schema() {
        let violation = Violation {
            tool: Some("get_time".into()),
            pointer: Some("/zone".into()),
            schema: Some(serde_json::json!({"type": "string"})),
            ..Violation::new(Code::TypeMismatch, "`/zone` is a number, not a string")
        };
        for (name, text) in BUILT_IN {
            let style = CorrectionStyle::compile(name, text).unwrap();
            let message = style.render(std::slice::from_ref(&violation));
            assert!(!message.is_empty());
            if *name == "located" {
                assert!(message.contains("type_mismatch"), "{message}");
                assert!(
                    message.contains("/zone") && message.contains(r#"{"type":"string"}"#),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn a_broken_template_is_refused_by_name() {
        let error = CorrectionStyle::compile("mine.txt", "{{ violations | nope }}").unwrap_err();
        assert!(error.to_string().contains("mine.txt"), "{error}");
    }
}
