//! What a setup is made of, read off a record: the cell's route, offer, sampler, and one trial as example.
//!
//! Data in: a [`Source`]. Data out: [`Parts`], and requests of its trial over a target's wires. Invariants:
//! offers, prompts, constraints and bodies are made by the dialect, the runner and the provider themselves.

use serde_json::Value;

use super::{SetupError, SetupFile, SetupTarget, Source};
use crate::dialect::{Dialect, Template, chat, dialect};
use crate::model::request_body;
use crate::plan::route;
use crate::record::Retain;
use crate::record::format::ModelHeader;
use crate::runner::{Offered, constraint_text, offer_over};
use crate::types::{
    AttemptRecord, Case, Constraint, ConstraintText, DialectName, GenerateRequest, Mechanism,
    Message, ModelFacts, Prompt, Role, Route, Suite, ToolChoice, ToolDefinition, TrialRecord,
    Variant, Wire, WirePreference,
};

/// See the module.
pub(super) struct Parts<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) trial: &'a TrialRecord,
    pub(super) attempt: &'a AttemptRecord,
    pub(super) suite: &'a Suite,
    pub(super) case: &'a Case,
    pub(super) variant: &'a Variant,
    pub(super) model: &'a ModelHeader,
    /// How the run reached the model.
    pub(super) route: &'a Route,
    pub(super) dialect: &'static dyn Dialect,
    pub(super) tools: Vec<ToolDefinition>,
}

/// A request over a target's wire.
pub(super) struct Written {
    pub(super) body: Value,
    pub(super) request: GenerateRequest,
    /// The constraint's text, where it is a GBNF grammar.
    pub(super) grammar: Option<String>,
}

impl Written {
    pub(super) fn file(&self, name: &str, purpose: &str) -> SetupFile {
        let text = serde_json::to_string_pretty(&self.body).unwrap_or_default();
        SetupFile {
            name: name.to_owned(),
            purpose: purpose.to_owned(),
            content: format!("{text}\n"),
        }
    }
}

impl<'a> Parts<'a> {
    pub(super) fn of(source: &'a Source<'a>) -> Result<Self, SetupError> {
        let header = source.header;
        let retain = header.privacy.as_ref().map(|it| it.retain);
        if let Some(retain @ (Retain::None | Retain::Calls)) = retain {
            return Err(SetupError::NoContent {
                run: header.run.clone(),
                retain: retain.as_str(),
            });
        }
        let key = &source.cell.key;
        let trial = example(source)?;
        let no_request = || SetupError::NoTrial {
            cell: cell_name(source),
        };
        let standing = |attempt: &&AttemptRecord| attempt.passed_over.is_none();
        let attempt = trial.attempts.iter().find(standing);
        let attempt = attempt.or(trial.attempts.first()).ok_or_else(no_request)?;
        let lacking = |what| SetupError::Incomplete {
            what,
            trial: trial.id.clone(),
        };
        let suite = header.suites.iter().find(|it| it.suite == key.suite);
        let suite = suite.ok_or_else(|| lacking("suite"))?;
        let case = suite.cases.iter().find(|case| case.id == trial.case);
        let case = case.ok_or_else(|| lacking("case"))?;
        let variant = header.variants.iter().find(|it| it.name == key.variant);
        let variant = variant.ok_or_else(|| lacking("variant"))?;
        let model = header.models.iter().find(|it| it.name == key.model);
        let model = model.and_then(|model| model.leg(&attempt.leg));
        let model = model.ok_or_else(|| lacking("model"))?;
        let routes = &source.cell.routes;
        let route = routes.iter().find(|route| route.leg == attempt.leg);
        let route = route.or(routes.first()).ok_or_else(|| lacking("route"))?;
        let tools = source.content.get(&attempt.tools);
        let tools = tools.ok_or_else(|| lacking("tools"))?;
        let tools: Vec<ToolDefinition> =
            serde_json::from_value(tools.value.clone()).map_err(|_| lacking("tools"))?;
        Ok(Self {
            source,
            trial,
            attempt,
            suite,
            case,
            variant,
            model,
            route,
            dialect: dialect(key.dialect),
            tools,
        })
    }

    pub(super) fn name(&self) -> String {
        cell_name(self.source)
    }

    /// A setting of the cell, as its key says.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        self.source.cell.key.settings.get(name).map(String::as_str)
    }

    /// A setting of the engine, where it is not left to the engine.
    pub(super) fn engine_setting(&self, name: &str) -> Option<&str> {
        let usual = if name == "threads" { "0" } else { "auto" };
        self.setting(name).filter(|value| *value != usual)
    }

    fn tool_choice(&self) -> ToolChoice {
        let found = self.setting("tool_choice").and_then(|it| it.parse().ok());
        found.unwrap_or_default()
    }

    pub(super) fn max_tokens(&self) -> u32 {
        let found = self.setting("max_tokens").and_then(|it| it.parse().ok());
        found.unwrap_or(512)
    }

    pub(super) fn max_corrections(&self) -> u32 {
        let found = self.setting("max_corrections");
        found.and_then(|it| it.parse().ok()).unwrap_or_default()
    }

    /// What the first request of the example says, before the dialect writes it.
    pub(super) fn messages(&self) -> Vec<Message> {
        let mut messages = self.case.history.clone();
        let rounds = self.case.all_rounds();
        let user = rounds.first().map(|round| round.user.clone());
        messages.push(Message::text(Role::User, user.unwrap_or_default()));
        messages
    }

    /// Facts of the recorded model, as the target would serve it.
    fn facts(&self) -> ModelFacts {
        let endpoint = &self.source.endpoint;
        ModelFacts {
            provider: endpoint.preset.clone(),
            wires: endpoint.wires.clone(),
            mechanisms: endpoint.mechanisms.clone(),
            refuses: endpoint.refuses.clone(),
            ..self.model.facts.clone()
        }
    }

    /// The weights are continued as plain text: no server has a template for them.
    pub(super) fn has_no_template(&self) -> bool {
        self.route.wire == Wire::RawText && self.model.facts.chat_template.is_none()
    }

    /// The target is asked by messages, and not by text that it goes on from.
    pub(super) fn is_chat(&self) -> bool {
        !self.has_no_template() || self.source.endpoint.preset == SetupTarget::Openai.as_str()
    }

    /// The route that a run would take to the target, and why it is not held to the grammar where it
    /// is not.
    fn route_over(
        &self,
        preference: WirePreference,
        caveats: &mut Vec<String>,
    ) -> Result<Route, SetupError> {
        let facts = self.facts();
        let template = Template::of(&facts).ok();
        let has_tools = template.is_some_and(|it| it.traits().native_unsupported().is_none());
        let name = self.dialect.name();
        let of = |constraint| route(name, constraint, preference, &facts, has_tools);
        if self.trial.constraint_effective == Constraint::Grammar {
            match of(Constraint::Grammar) {
                Ok(route) => return Ok(route),
                Err(reason) => caveats.push(format!(
                    "not held to the grammar over {}: {reason}; check each call against its tool's \
                     schema and correct it",
                    wire_words(preference)
                )),
            }
        }
        of(Constraint::Off).map_err(|reason| SetupError::Unsupported(reason.to_string()))
    }

    /// The request of the example, over chat: with tools for `native`, without for the others.
    pub(super) fn chat_request(&self, caveats: &mut Vec<String>) -> Result<Written, SetupError> {
        self.request(self.chat_preference(), &self.messages(), caveats)
    }

    pub(super) fn chat_preference(&self) -> WirePreference {
        if self.dialect.name() == DialectName::Native {
            WirePreference::Tools
        } else {
            WirePreference::Chat
        }
    }

    /// A request with these messages.
    pub(super) fn request(
        &self,
        preference: WirePreference,
        messages: &[Message],
        caveats: &mut Vec<String>,
    ) -> Result<Written, SetupError> {
        let route = self.route_over(preference, caveats)?;
        let facts = self.facts();
        let system = self.variant.system.clone();
        let system = system.or_else(|| self.case.system.clone());
        let (offer, names) = offer_over(Offered {
            system: system.or_else(|| self.suite.system.clone()),
            tools: &self.tools,
            examples: &self.suite.examples,
            few_shot: self.variant.few_shot,
            tool_choice: self.tool_choice(),
            reasoning: self.variant.reasoning,
            route: &route,
            facts: &facts,
            envelope: None,
        });
        let mut messages = messages.to_vec();
        for message in &mut messages {
            for call in &mut message.tool_calls {
                call.name = names.wire(&call.name).to_owned();
            }
            if let Some(name) = &mut message.tool_name {
                *name = names.wire(name).to_owned();
            }
        }
        let encoded = self.dialect.encode(&offer, &messages);
        let constraint = route
            .mechanism
            .map(|mechanism| constraint_text(self.dialect, &offer, mechanism))
            .transpose()
            .map_err(SetupError::Unsupported)?;
        if let Some((ConstraintText::Gbnf(_), holds)) = &constraint {
            caveats.extend(gbnf_caveats(self.route.mechanism, *holds));
        }
        let constraint = constraint.map(|(text, _)| text);
        let mut request = GenerateRequest {
            prompt: encoded.prompt,
            sampling: self.variant.sampling.clone(),
            seed: self.trial.seed,
            max_tokens: self.max_tokens(),
            stop: encoded.stop,
            constraint,
            stream: false,
            time_limit_ms: 0,
            context: None,
        };
        self.fold(&mut request, caveats);
        let body = self.body(&mut request, &facts, caveats)?;
        Ok(Written {
            body,
            grammar: match &request.constraint {
                Some(ConstraintText::Gbnf(text)) => Some(text.clone()),
                _ => None,
            },
            request,
        })
    }

    /// Messages as the weights' template takes them, where the target fills in that template.
    fn fold(&self, request: &mut GenerateRequest, caveats: &mut Vec<String>) {
        if self.source.endpoint.preset == SetupTarget::Openai.as_str() {
            return;
        }
        // Over chat with tools the server knows what its template does with calls and results.
        if let Prompt::Chat {
            messages, tools, ..
        } = &mut request.prompt
            && tools.is_empty()
        {
            let (folded, folds) = chat::folded(&self.model.facts, std::mem::take(messages));
            *messages = folded;
            caveats.extend(
                folds
                    .into_iter()
                    .map(|fold| format!("the chat template takes no other order: {fold}")),
            );
        }
    }

    /// The body; without the constraint where the target's form cannot hold it.
    fn body(
        &self,
        request: &mut GenerateRequest,
        facts: &ModelFacts,
        caveats: &mut Vec<String>,
    ) -> Result<Value, SetupError> {
        let unsupported = |reason: String| SetupError::Unsupported(reason);
        let endpoint = &self.source.endpoint;
        let written = |request: &GenerateRequest| {
            request_body(endpoint, Some(facts), request)
                .ok_or_else(|| unsupported("the target's protocol cannot be written".to_owned()))
        };
        match written(request)? {
            Ok((_, body)) => Ok(body),
            Err(reason) if request.constraint.is_some() => {
                caveats.push(format!(
                    "not held to the grammar: {reason}; check each call against its tool's schema \
                     and correct it"
                ));
                request.constraint = None;
                let (_, body) =
                    written(request)?.map_err(|error| unsupported(error.to_string()))?;
                Ok(body)
            }
            Err(error) => Err(unsupported(error.to_string())),
        }
    }

    /// The schema of a whole reply, for a dialect that has one.
    pub(super) fn reply_schema(&self, written: &Written) -> Option<Value> {
        let facts = self.facts();
        let route = Route {
            leg: String::new(),
            wire: Wire::Chat,
            template: crate::types::facts::TemplateSource::Server,
            mechanism: Some(Mechanism::JsonSchema),
        };
        written.request.constraint.as_ref()?;
        let (offer, _) = offer_over(Offered {
            system: None,
            tools: &self.tools,
            examples: &[],
            few_shot: 0,
            tool_choice: self.tool_choice(),
            reasoning: self.variant.reasoning,
            route: &route,
            facts: &facts,
            envelope: None,
        });
        self.dialect.reply_schema(&offer)
    }

    /// What the recorded model replied to this request.
    pub(super) fn recorded(&self) -> Result<SetupFile, SetupError> {
        let reply = self.attempt.reply.as_ref();
        let reply = reply.and_then(|hash| self.source.content.get(hash));
        let value = serde_json::json!({
            "suite": self.trial.cell.suite,
            "case": self.trial.case,
            "trial": self.trial.id,
            "prompt_hash": self.attempt.prompt,
            "reply": reply.map(|line| &line.value),
            "calls": self.attempt.strict.calls.iter().map(|call| serde_json::json!({
                "name": call.name, "arguments": call.arguments,
            })).collect::<Vec<_>>(),
            "answer": self.attempt.strict.answer,
        });
        let text = serde_json::to_string_pretty(&value).map_err(|error| {
            SetupError::Unsupported(format!("the recorded reply cannot be written: {error}"))
        })?;
        Ok(SetupFile {
            name: "recorded-reply.json".to_owned(),
            purpose: "what the recorded model replied to that request: compare with what you get"
                .to_owned(),
            content: format!("{text}\n"),
        })
    }
}

fn wire_words(preference: WirePreference) -> &'static str {
    match preference {
        WirePreference::Raw => "raw text",
        WirePreference::Tools => "chat with tools",
        WirePreference::Chat | WirePreference::Auto => "chat",
    }
}

/// What GBNF leaves to validation.
fn gbnf_caveats(measured_with: Option<Mechanism>, holds_structure: bool) -> Vec<String> {
    let mut caveats = Vec::new();
    if measured_with != Some(Mechanism::Gbnf) {
        caveats.push(
            "the run was held to the same grammar by another engine (llguidance); as GBNF it leaves \
             patterns, formats, ranges of numbers and counts over 64 to validation"
                .to_owned(),
        );
    }
    if !holds_structure {
        caveats.push(
            "the grammar does not hold names and types of all arguments: some schema is too free"
                .to_owned(),
        );
    }
    caveats
}

/// `qwen2.5-coder:0.5b · json · grammar · weather`.
fn cell_name(source: &Source<'_>) -> String {
    let key = &source.cell.key;
    let mut parts = vec![
        key.model.clone(),
        key.dialect.to_string(),
        key.constraint.to_string(),
    ];
    if key.variant != "default" {
        parts.push(key.variant.clone());
    }
    parts.push(key.suite.clone());
    parts.join(" · ")
}

/// The trial whose first request is written: of the case that is asked for, else of the first one that
/// was solved by a call at once, else solved, else asked at all.
fn example<'a>(source: &'a Source<'a>) -> Result<&'a TrialRecord, SetupError> {
    let own = || {
        let trials = source.trials.iter().copied();
        trials.filter(|it| it.cell_id == source.cell.id && !it.attempts.is_empty())
    };
    let best = |trials: Vec<&'a TrialRecord>| {
        let by_call = |it: &&&TrialRecord| it.first_attempt_success && !it.calls.is_empty();
        let solved = |it: &&&TrialRecord| it.outcome.is_success();
        let found = trials.iter().find(by_call);
        found
            .or_else(|| trials.iter().find(solved))
            .or(trials.first())
            .copied()
    };
    let Some(case) = source.case else {
        return best(own().collect()).ok_or_else(|| SetupError::NoTrial {
            cell: cell_name(source),
        });
    };
    best(own().filter(|trial| trial.case == case).collect()).ok_or_else(|| {
        let mut known: Vec<String> = own().map(|trial| trial.case.clone()).collect();
        known.dedup();
        SetupError::NoCase {
            cell: cell_name(source),
            case: case.to_owned(),
            known,
        }
    })
}
