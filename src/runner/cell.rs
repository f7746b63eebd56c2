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
use crate::types::facts::TemplateSource;
use crate::types::probe::ProbeSet;
use crate::types::{
    Case, ConstraintText, ContentHash, FallbackRules, Mechanism, Message, Role, Route, Suite,
    ToolDefinition, TrialRules, Variant, Wire, WireNames,
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

    /// How many worked examples are shown. A base model has seen no instructions: it always gets
    /// some, or it could not know what is wanted.
    fn examples(&self, route: &Route) -> usize {
        let asked = self.variant.few_shot as usize;
        match route.template {
            TemplateSource::PlainText => asked.max(BASE_MODEL_EXAMPLES),
            TemplateSource::Weights | TemplateSource::Server => asked,
        }
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
        let wire_names = wire_names(leg.route.wire, &tools);
        let mut examples = self.suite.examples.clone();
        examples.truncate(self.examples(&leg.route));
        for call in examples.iter_mut().flat_map(|example| &mut example.calls) {
            call.name = wire_names.wire(&call.name).to_owned();
        }
        let offer = Offer {
            system,
            tools: tools
                .iter()
                .map(|tool| ToolDefinition {
                    name: wire_names.wire(&tool.name).to_owned(),
                    ..tool.clone()
                })
                .collect(),
            examples,
            tool_choice: self.rules.tool_choice,
            reasoning: self.variant.reasoning,
            route: leg.route.clone(),
            facts: leg.model.facts.clone(),
            envelope: self.envelope.cloned(),
        };
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

/// The names that tools have on a wire.
pub(super) fn wire_names(wire: Wire, tools: &[ToolDefinition]) -> WireNames {
    match wire {
        Wire::RawText | Wire::Chat => WireNames::identity(),
        Wire::ChatWithTools => WireNames::restricted(tools.iter().map(|tool| tool.name.as_str())),
    }
}

/// The constraint in the form that its mechanism reads, and whether that form holds names and types
/// as closely as the grammar does.
fn constraint_text(
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
