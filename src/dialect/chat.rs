//! From a conversation to a prompt: folding, the template, plain text, and the shared prefix.
//!
//! Data in: a [`Script`] (system text, few-shot turns, messages) and the offer's route and facts.
//! Data out: an [`Encoded`] prompt.
//! Invariants: total: a conversation the template refuses is written as plain text, and that is
//! recorded; `prefix` is a true prefix of the whole text and the same for all messages, or empty.

use super::template::{Template, TemplateTraits};
use super::{Encoded, Offer};
use crate::types::facts::TemplateSource;
use crate::types::{Message, ModelFacts, Prompt, Role, ToolDefinition, Wire};

/// Stands for the first message of a case where the prefix is cut.
const SENTINEL: &str = "toolbenchSentinelMessage";
/// Where a plain-text model would go on with the next turn by itself.
const PLAIN_STOP: &str = "\nUser:";
/// Between two texts that are folded into one message.
const FOLD_SEPARATOR: &str = "\n\n";

/// A conversation in a dialect's own words, before the template.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// System text, instructions and tool listing included; may be empty.
    pub system: String,
    /// Few-shot turns, the same for all cases.
    pub shared: Vec<Message>,
    /// The case's messages.
    pub messages: Vec<Message>,
    /// Tools that the template or the server shows.
    pub tools: Vec<ToolDefinition>,
    /// Stop texts of the dialect.
    pub stop: Vec<String>,
}

/// The prompt of a script on the offer's route.
pub fn encode(offer: &Offer, script: Script) -> Encoded {
    if offer.route.wire != Wire::RawText {
        return encode_chat(offer, script);
    }
    match template(offer) {
        Some(template) => encode_template(&template, script),
        None => encode_plain(script, Vec::new()),
    }
}

/// The template of the offer's route, if it has one that works.
pub(super) fn template(offer: &Offer) -> Option<std::sync::Arc<Template>> {
    (offer.route.template == TemplateSource::Weights)
        .then(|| Template::of(&offer.facts).ok())
        .flatten()
}

/// Messages as the chat template of these weights takes them, and each adjustment that it forced: for
/// servers that fill in the template as it stands.
pub fn folded(facts: &ModelFacts, messages: Vec<Message>) -> (Vec<Message>, Vec<String>) {
    let mut folds = Vec::new();
    match Template::of(facts) {
        Ok(template) => {
            let messages = fold(messages, template.traits(), &mut folds);
            (messages, folds)
        }
        Err(_) => (messages, folds),
    }
}

fn encode_chat(offer: &Offer, script: Script) -> Encoded {
    let messages = all_messages(&script.system, &script.shared, &script.messages);
    let tools = match offer.route.wire {
        Wire::ChatWithTools => script.tools,
        Wire::Chat | Wire::RawText => Vec::new(),
    };
    Encoded {
        prompt: Prompt::Chat {
            messages,
            tools,
            tool_choice: offer.tool_choice,
        },
        stop: script.stop,
        folds: Vec::new(),
    }
}

fn all_messages(system: &str, shared: &[Message], messages: &[Message]) -> Vec<Message> {
    let system = (!system.is_empty()).then(|| Message::text(Role::System, system));
    system
        .into_iter()
        .chain(shared.iter().cloned())
        .chain(messages.iter().cloned())
        .collect()
}

fn encode_template(template: &Template, script: Script) -> Encoded {
    let traits = template.traits();
    let mut folds = Vec::new();
    let messages = all_messages(&script.system, &script.shared, &script.messages);
    let messages = fold(messages, traits, &mut folds);
    let rendered = template
        .render(&messages, &script.tools, true)
        .or_else(|error| {
            folds.push(format!("{error}; calls and results written as text"));
            template.render(&flatten(&messages, traits), &script.tools, true)
        });
    let Ok(whole) = rendered else {
        folds.push("the chat template refused that too; plain text used instead".to_owned());
        return encode_plain(script, folds);
    };
    let probe = [Message::text(Role::User, SENTINEL)];
    let probe = all_messages(&script.system, &script.shared, &probe);
    let probe = fold(probe, traits, &mut Vec::new());
    let prefix = template
        .render(&probe, &script.tools, true)
        .ok()
        .and_then(|text| text.find(SENTINEL).map(|at| text[..at].to_owned()))
        .filter(|prefix| whole.starts_with(prefix.as_str()))
        .unwrap_or_default();
    Encoded {
        prompt: Prompt::Text {
            rest: whole[prefix.len()..].to_owned(),
            prefix,
        },
        stop: script.stop,
        folds,
    }
}

/// Adjusts messages to what the template takes; each adjustment made is recorded once.
fn fold(messages: Vec<Message>, traits: &TemplateTraits, folds: &mut Vec<String>) -> Vec<Message> {
    let mut messages = messages;
    if !traits.tool_role && messages.iter().any(|message| message.role == Role::Tool) {
        folds.push("tool results folded into user messages".to_owned());
        for message in &mut messages {
            if message.role == Role::Tool {
                *message = Message::text(Role::User, tool_response(message));
            }
        }
    }
    if !traits.system_role
        && messages
            .first()
            .is_some_and(|first| first.role == Role::System)
    {
        folds.push("system folded into the first user message".to_owned());
        fold_system(&mut messages);
    }
    if !traits.repeated_roles {
        let before = messages.len();
        messages = merge_repeated(messages);
        if messages.len() < before {
            folds.push("messages of one role in a row merged".to_owned());
        }
    }
    messages
}

/// Calls and results as plain user and assistant text, for a template that refuses their order.
fn flatten(messages: &[Message], traits: &TemplateTraits) -> Vec<Message> {
    let form = traits.form.clone().unwrap_or_default();
    let texts = messages
        .iter()
        .map(|message| match message.role {
            Role::Tool => Message::text(Role::User, tool_response(message)),
            Role::Assistant if !message.tool_calls.is_empty() => {
                Message::text(Role::Assistant, form.write(&message.tool_calls))
            }
            role => Message::text(role, &message.content),
        })
        .collect();
    merge_repeated(texts)
}

/// A tool's result where a template has no role for it.
pub(super) fn tool_response(message: &Message) -> String {
    format!("<tool_response>\n{}\n</tool_response>", message.content)
}

fn fold_system(messages: &mut Vec<Message>) {
    let system = messages.remove(0).content;
    match messages.first_mut() {
        Some(first) if first.role == Role::User => {
            first.content = format!("{system}{FOLD_SEPARATOR}{}", first.content);
        }
        _ => messages.insert(0, Message::text(Role::User, system)),
    }
}

fn merge_repeated(messages: Vec<Message>) -> Vec<Message> {
    let mut merged: Vec<Message> = Vec::with_capacity(messages.len());
    for message in messages {
        let mergeable = message.role != Role::Tool && message.tool_calls.is_empty();
        match merged.last_mut() {
            Some(last) if mergeable && last.role == message.role && last.tool_calls.is_empty() => {
                last.content.push_str(FOLD_SEPARATOR);
                last.content.push_str(&message.content);
            }
            _ => merged.push(message),
        }
    }
    merged
}

/// `User:` / `Assistant:` blocks for models without a template.
fn encode_plain(script: Script, folds: Vec<String>) -> Encoded {
    let mut prefix = String::new();
    if !script.system.is_empty() {
        prefix.push_str(&script.system);
        prefix.push_str("\n\n");
    }
    for message in &script.shared {
        prefix.push_str(&plain_block(message));
    }
    let mut rest: String = script.messages.iter().map(plain_block).collect();
    rest.push_str("Assistant:\n");
    let mut stop = script.stop;
    stop.push(PLAIN_STOP.to_owned());
    Encoded {
        prompt: Prompt::Text { prefix, rest },
        stop,
        folds,
    }
}

fn plain_block(message: &Message) -> String {
    match message.role {
        Role::System => format!("{}\n\n", message.content),
        Role::User => format!("User: {}\n\n", message.content),
        Role::Tool => format!("User: {}\n\n", tool_response(message)),
        // On its own line, so that the prompt ends where a reply starts.
        Role::Assistant => format!("Assistant:\n{}\n\n", message.content.trim()),
    }
}
