//! What is said to a model after an invalid reply, and where it goes.
//!
//! Data in: the cell's correction style and, where one was sent, a recorded correction. Data out: one file
//! with the template, how often it may be sent, and the messages to append. Invariants: the text is the
//! template's own; a made-up example says that it is one.

use serde_json::{Value, json};

use super::parts::Parts;
use super::{SetupError, SetupFile};
use crate::runner::{BUILT_IN_CORRECTIONS, CorrectionStyle, correction_messages};
use crate::types::trial::ServedParts;
use crate::types::{
    AttemptRecord, Code, GenerateReply, Message, StopReason, ToolCall, Violation, Wire, WireNames,
};

/// `correction.json`; nothing where the cell corrects nothing.
pub(super) fn file(
    parts: &Parts<'_>,
    caveats: &mut Vec<String>,
) -> Result<Option<SetupFile>, SetupError> {
    let most = parts.max_corrections();
    if most == 0 {
        return Ok(None);
    }
    let name = parts.variant.correction.as_str();
    let built_in = BUILT_IN_CORRECTIONS
        .iter()
        .find(|(known, _)| *known == name);
    let template = match (built_in, &parts.source.correction) {
        (Some((_, text)), _) => Some((*text).to_owned()),
        (None, Some(text)) => {
            caveats.push(format!(
                "the record keeps no text of the correction template {name}: what stands here is the \
                 file of now"
            ));
            Some(text.clone())
        }
        (None, None) => {
            caveats.push(format!(
                "the correction template {name} could not be read, and the record keeps no text of it"
            ));
            None
        }
    };
    let example = recorded(parts).or_else(|| made_up(parts, template.as_deref()?));
    let example = example.map(|example| example.json(parts)).transpose()?;
    let value = json!({
        "style": name,
        "most_corrections": most,
        "when": "the reply cannot be read, names no offered tool, or its arguments break the tool's schema",
        "template_language": "Jinja; `violations` is a list of {code, tool, pointer, keyword, schema, message}",
        "template": template,
        "example": example,
    });
    let text = serde_json::to_string_pretty(&value).unwrap_or_default();
    Ok(Some(SetupFile {
        name: "correction.json".to_owned(),
        purpose: format!(
            "what to append after an invalid reply, at most {most} times: the reply itself, then the \
             correction"
        ),
        content: format!("{text}\n"),
    }))
}

/// A reply and what is appended after it.
struct Example {
    of: String,
    findings: Vec<Violation>,
    text: String,
    append: Vec<Message>,
}

impl Example {
    /// The messages as the target takes them.
    fn json(self, parts: &Parts<'_>) -> Result<Value, SetupError> {
        let append = if parts.is_chat() {
            let before = parts.chat_request(&mut Vec::new())?;
            let mut messages = parts.messages();
            messages.extend(self.append);
            let after = parts.request(parts.chat_preference(), &messages, &mut Vec::new())?;
            let count = |body: &Value| body["messages"].as_array().map_or(0, Vec::len);
            let all = after.body["messages"].as_array().cloned();
            let tail = all.map(|all| all[count(&before.body).min(all.len())..].to_vec());
            json!(tail)
        } else {
            Value::Null
        };
        Ok(json!({
            "of": self.of,
            "findings": self.findings,
            "text": self.text,
            "append_messages": append,
        }))
    }
}

/// The first correction of the cell that answers the first reply of a trial of the example's case, or of
/// any case.
fn recorded(parts: &Parts<'_>) -> Option<Example> {
    let source = parts.source;
    let trials = source
        .trials
        .iter()
        .filter(|it| it.cell_id == source.cell.id);
    let mut trials: Vec<_> = trials.collect();
    trials.sort_by_key(|trial| trial.case != parts.trial.case);
    trials.into_iter().find_map(|trial| {
        let first = trial.attempts.first()?;
        let content = |hash| source.content.get(hash).map(|line| &line.value);
        let text = content(first.correction.as_ref()?)?.as_str()?.to_owned();
        let reply = reply(parts, first)?;
        let concerned = first.violations.first().and_then(|found| found.call);
        let names = WireNames::identity();
        Some(Example {
            of: format!("the recorded trial {} of case {}", trial.id, trial.case),
            findings: first.violations.clone(),
            append: correction_messages(&reply, &names, "call", concerned, &text),
            text,
        })
    })
}

/// A reply as it was on record, with the calls that a server read.
fn reply(parts: &Parts<'_>, attempt: &AttemptRecord) -> Option<GenerateReply> {
    let content = |hash| parts.source.content.get(hash).map(|line| &line.value);
    let text = content(attempt.reply.as_ref()?)?.as_str()?;
    let served = attempt.served.as_ref().and_then(content);
    let served: Option<ServedParts> =
        served.and_then(|value| serde_json::from_value(value.clone()).ok());
    let mut reply = GenerateReply::of_text(text, StopReason::Stop);
    reply.calls = served.map(|served| served.calls).unwrap_or_default();
    Some(reply)
}

/// An argument that is missing, said in the template's words.
fn made_up(parts: &Parts<'_>, template: &str) -> Option<Example> {
    let tool = parts.tools.first()?;
    let required = tool.input_schema["required"].as_array();
    let argument = required.and_then(|list| list.first()?.as_str());
    let argument = argument.unwrap_or("ARGUMENT");
    let mut violation = Violation::new(
        Code::MissingRequired,
        format!("the required argument `{argument}` is absent"),
    );
    violation.tool = Some(tool.name.clone());
    violation.pointer = Some(format!("/{argument}"));
    let style = CorrectionStyle::compile(&parts.variant.correction, template).ok()?;
    let text = style.render(std::slice::from_ref(&violation));
    let mut reply = GenerateReply::of_text("THE REPLY AS IT CAME", StopReason::Stop);
    let chat_with_tools = parts.chat_request(&mut Vec::new()).ok();
    let served = chat_with_tools.is_some_and(|it| it.body.get("tools").is_some());
    if served || parts.route.wire == Wire::ChatWithTools {
        reply.text.clear();
        reply.calls = vec![ToolCall::new(&tool.name, json!({}))];
    }
    Some(Example {
        of: "made up: no reply of this cell was corrected".to_owned(),
        append: correction_messages(&reply, &WireNames::identity(), "call", None, &text),
        findings: vec![violation],
        text,
    })
}
