//! What all trials of a cell share: dialect, host, and the offer of each set of tools.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::NoiseWatch;
use super::correction::CorrectionStyle;
use super::limits::ModelPrices;
use super::prepare::{PreparedHost, PreparedModel};
use super::probe::PromptCount;
use super::probing::not_enforced;
use crate::dialect::closed_schema::holds_structure;
use crate::dialect::{Dialect, Offer};
use crate::model::Provider;
use crate::plan::PlannedCell;
use crate::tools::ToolHost;
use crate::types::cell::Reasoning;
use crate::types::facts::TemplateSource;
use crate::types::probe::ProbeSet;
use crate::types::suite::Example;
use crate::types::{
    Case, ConstraintText, ContentHash, FallbackRules, Mechanism, Message, ModelFacts, Role, Route,
    Suite, ToolChoice, ToolDefinition, TrialRules, Variant, Wire, WireNames,
};
use crate::validate::ToolSchemas;

/// Worked examples that a base model gets at least.
const BASE_MODEL_EXAMPLES: usize = 2;

/// The context of one cell.
pub(super) struct CellContext<'a> {
    pub(super) planned: &'a PlannedCell,
    pub(super) suite: &'a Suite,
    pub(super) variant: &'a Variant,
    pub(super) rules: &'a TrialRules,
    pub(super) dialect: &'static dyn Dialect,
    /// What is asked, in order; more than one only in a hybrid.
    pub(super) legs: Vec<Leg>,
    /// When the next leg is asked.
    pub(super) fallback: Option<&'a FallbackRules>,
    pub(super) host: Arc<dyn ToolHost>,
    pub(super) correction: CorrectionStyle,
    /// What its tokens cost.
    pub(super) prices: Option<&'a ModelPrices>,
    pub(super) noise: &'a NoiseWatch,
    tools: Vec<ToolDefinition>,
    distractors: Vec<ToolDefinition>,
    envelope: Option<&'a String>,
}

/// One route of a cell to a model.
pub(super) struct Leg {
    pub(super) name: String,
    pub(super) provider: Arc<dyn Provider>,
    /// Why the constraint is not asked for: a probe has shown that it does not hold.
    pub(super) not_enforced: Option<String>,
    /// What tells that a prompt was cut.
    pub(super) prompt_count: Option<PromptCount>,
    route: Route,
    model: PreparedModel,
    offers: Mutex<HashMap<ContentHash, Arc<PreparedOffer>>>,
}

impl Leg {
    pub(super) fn new(
        route: Route,
        provider: Arc<dyn Provider>,
        model: PreparedModel,
        probes: Option<&ProbeSet>,
    ) -> Self {
        Self {
            name: route.leg.clone(),
            provider,
            not_enforced: not_enforced(probes),
            prompt_count: PromptCount::of(probes),
            route,
            model,
            offers: Mutex::default(),
        }
    }
}

/// An offer with what follows from it once.
pub(super) struct PreparedOffer {
    /// As the dialect takes it: wire names.
    pub(super) offer: Offer,
    /// The tools with their own names.
    pub(super) tools: Vec<ToolDefinition>,
    /// Compiled schemas of the tools, by own name.
    pub(super) schemas: ToolSchemas,
    /// Own names to wire names.
    pub(super) names: WireNames,
    /// The constraint as text, when the cell asks for one.
    pub(super) constraint: Option<ConstraintText>,
    /// The grammar holds names, types and fixed values of every tool's arguments.
    pub(super) grammar_holds_structure: bool,
    /// Hash of what is offered: tools, system prompt, few-shot, template.
    pub(super) hash: ContentHash,
}

/// What a cell's context is made of.
pub(super) struct CellParts<'a> {
    pub(super) planned: &'a PlannedCell,
    pub(super) suite: &'a Suite,
    pub(super) variant: &'a Variant,
    pub(super) rules: &'a TrialRules,
    pub(super) legs: Vec<Leg>,
    pub(super) fallback: Option<&'a FallbackRules>,
    pub(super) host: Arc<dyn ToolHost>,
    pub(super) correction: CorrectionStyle,
    pub(super) prices: Option<&'a ModelPrices>,
    pub(super) noise: &'a NoiseWatch,
    pub(super) prepared_host: &'a PreparedHost,
    pub(super) distractors: &'a [ToolDefinition],
    pub(super) envelope: Option<&'a String>,
}

impl<'a> CellContext<'a> {
    pub(super) fn new(parts: CellParts<'a>) -> Self {
        let dialect = crate::dialect::dialect(parts.planned.key.dialect);
        Self {
            distractors: choose_distractors(
                parts.distractors,
                parts.variant.distractors as usize,
                &parts.suite.suite,
            ),
            tools: parts.prepared_host.tools.clone(),
            envelope: parts.envelope,
            planned: parts.planned,
            suite: parts.suite,
            variant: parts.variant,
            rules: parts.rules,
            dialect,
            legs: parts.legs,
            fallback: parts.fallback,
            host: parts.host,
            correction: parts.correction,
            prices: parts.prices,
            noise: parts.noise,
        }
    }

    /// Replies come from a cassette.
    pub(super) fn is_replayed(&self) -> bool {
        self.legs
            .iter()
            .any(|leg| leg.model.facts.cassette.is_some())
    }

    /// What each leg is offered for a case whose tools are `names` (all when absent).
    pub(super) fn offers(
        &self,
        case: &Case,
        names: Option<&[String]>,
    ) -> Result<Vec<Arc<PreparedOffer>>, String> {
        let legs = self.legs.iter();
        legs.map(|leg| self.offer(leg, case, names)).collect()
    }

    fn offer(
        &self,
        leg: &Leg,
        case: &Case,
        names: Option<&[String]>,
    ) -> Result<Arc<PreparedOffer>, String> {
        let system = self
            .variant
            .system
            .clone()
            .or_else(|| case.system.clone())
            .or_else(|| self.suite.system.clone());
        let key = ContentHash::of_value(&(&system, names, &case.own_tools));
        let mut offers = leg.offers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(offer) = offers.get(&key) {
            return Ok(Arc::clone(offer));
        }
        let offer = Arc::new(self.prepare_offer(leg, system, names, &case.own_tools)?);
        offers.insert(key, Arc::clone(&offer));
        Ok(offer)
    }

    fn prepare_offer(
        &self,
        leg: &Leg,
        system: Option<String>,
        names: Option<&[String]>,
        own_tools: &[ToolDefinition],
    ) -> Result<PreparedOffer, String> {
        let mut tools: Vec<ToolDefinition> = self
            .tools
            .iter()
            .filter(|tool| names.map_or(own_tools.is_empty(), |names| names.contains(&tool.name)))
            .chain(own_tools)
            .cloned()
            .collect();
        if !self.distractors.is_empty() {
            tools.extend(self.distractors.iter().cloned());
            // Mixed by a stable order, so that the needed tools do not stand first.
            tools.sort_by_key(|tool| ContentHash::of_bytes(tool.name.as_bytes()));
        }
        let schemas = ToolSchemas::compile(&tools).map_err(|error| error.to_string())?;
        let (offer, wire_names) = offer_over(Offered {
            system,
            tools: &tools,
            examples: &self.suite.examples,
            few_shot: self.variant.few_shot,
            tool_choice: self.rules.tool_choice,
            reasoning: self.variant.reasoning,
            route: &leg.route,
            facts: &leg.model.facts,
            envelope: self.envelope,
        });
        let (constraint, form_holds_structure) = match leg.route.mechanism {
            None => (None, true),
            Some(mechanism) => {
                let (text, holds) = constraint_text(self.dialect, &offer, mechanism)?;
                (Some(text), holds)
            }
        };
        let hash = ContentHash::of_value(&serde_json::json!({
            "tools": offer.tools, "system": offer.system, "examples": offer.examples,
            "dialect": self.dialect.name(), "template": offer.facts.chat_template,
            "prompt": self.dialect.encode(&offer, &[Message::text(Role::User, "")]).prompt,
            "tool_choice": offer.tool_choice, "reasoning": offer.reasoning,
        }));
        let grammar_holds_structure = constraint.is_none()
            || form_holds_structure
                && offer
                    .tools
                    .iter()
                    .all(|tool| holds_structure(&tool.input_schema));
        Ok(PreparedOffer {
            offer,
            grammar_holds_structure,
            schemas,
            names: wire_names,
            tools,
            constraint,
            hash,
        })
    }
}

/// What is offered, with the tools' own names.
pub struct Offered<'a> {
    /// System prompt of the case.
    pub system: Option<String>,
    /// Tools, distractors included.
    pub tools: &'a [ToolDefinition],
    /// The suite's worked examples.
    pub examples: &'a [Example],
    /// How many of them are asked for.
    pub few_shot: u32,
    /// Whether a call may, must or must not be made.
    pub tool_choice: ToolChoice,
    /// Bounded thought.
    pub reasoning: Reasoning,
    /// The route.
    pub route: &'a Route,
    /// What the provider said of the model.
    pub facts: &'a ModelFacts,
    /// The user's own envelope.
    pub envelope: Option<&'a String>,
}

/// The same as a dialect takes it: with the names that tools have on the route's wire.
pub fn offer_over(offered: Offered<'_>) -> (Offer, WireNames) {
    let names = wire_names(offered.route.wire, offered.tools);
    // A base model has seen no instructions: it always gets some examples, or it could not know what
    // is wanted.
    let asked = offered.few_shot as usize;
    let shown = match offered.route.template {
        TemplateSource::PlainText => asked.max(BASE_MODEL_EXAMPLES),
        TemplateSource::Weights | TemplateSource::Server => asked,
    };
    let mut examples = offered.examples.to_vec();
    examples.truncate(shown);
    for call in examples.iter_mut().flat_map(|example| &mut example.calls) {
        call.name = names.wire(&call.name).to_owned();
    }
    let tools = offered.tools.iter().map(|tool| ToolDefinition {
        name: names.wire(&tool.name).to_owned(),
        ..tool.clone()
    });
    let offer = Offer {
        system: offered.system,
        tools: tools.collect(),
        examples,
        tool_choice: offered.tool_choice,
        reasoning: offered.reasoning,
        route: offered.route.clone(),
        facts: offered.facts.clone(),
        envelope: offered.envelope.cloned(),
    };
    (offer, names)
}

/// The names that tools have on a wire.
pub(super) fn wire_names(wire: Wire, tools: &[ToolDefinition]) -> WireNames {
    match wire {
        Wire::RawText | Wire::Chat => WireNames::identity(),
        Wire::ChatWithTools => WireNames::restricted(tools.iter().map(|tool| tool.name.as_str())),
    }
}

/// The constraint in the form that its mechanism reads, and whether that form holds names and types
/// as closely as the grammar does.
pub fn constraint_text(
    dialect: &dyn Dialect,
    offer: &Offer,
    mechanism: Mechanism,
) -> Result<(ConstraintText, bool), String> {
    Ok(match mechanism {
        Mechanism::Llguidance => (ConstraintText::Lark(dialect.grammar(offer).to_lark()), true),
        Mechanism::Gbnf => {
            let gbnf = dialect.grammar(offer).to_gbnf();
            (ConstraintText::Gbnf(gbnf.text), gbnf.holds_structure)
        }
        Mechanism::JsonSchema => {
            let schema = dialect
                .reply_schema(offer)
                .ok_or("an envelope of one's own cannot be written as a JSON Schema")?;
            (ConstraintText::JsonSchema(schema), true)
        }
        Mechanism::StrictTools => (ConstraintText::StrictTools, true),
    })
}

/// The same distractors for every case and model of a suite, in an order that no one chose.
fn choose_distractors(pool: &[ToolDefinition], count: usize, suite: &str) -> Vec<ToolDefinition> {
    let mut pool = pool.to_vec();
    pool.sort_by_key(|tool| ContentHash::of_bytes(format!("{suite}\u{0}{}", tool.name).as_bytes()));
    pool.truncate(count);
    pool
}
