//! Plays cases with prepared replies through the real loop.
//!
//! Data in: a suite, its host, cases with the replies of each. Data out: one record per case, in
//! order, with the first prompt's text. Invariants: one trial per case; nothing is written.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::agents::{Lines, closing};
use crate::event::{Event, EventSink, Flow, SinkError};
use crate::model::Provider;
use crate::plan::{PlanInput, build, route};
use crate::runner::{
    BUILT_IN_CORRECTIONS, Cancel, CorrectionStyle, Meter, Ports, execute, prepare,
};
use crate::tools::ToolHost;
use crate::types::settings::TrialLimits;
use crate::types::{
    Case, Constraint, DialectName, GenerateReply, GenerateRequest, Leniency, ModelFacts,
    ProviderError, StopReason, Suite, Timing, ToolChoice, TrialRecord, TrialRules, Usage, Variant,
    Wire, WirePreference,
};

/// A played case.
pub(super) struct Played {
    pub(super) record: TrialRecord,
    /// The first prompt, as sent.
    pub(super) prompt: String,
}

/// Plays every case once. The error is a sentence for people.
pub(super) async fn play(
    suite: &Suite,
    host: &Arc<dyn ToolHost>,
    cases: Vec<(Case, Lines)>,
) -> Result<Vec<Played>, String> {
    let mut lines = HashMap::new();
    let mut suite = Suite {
        cases: Vec::new(),
        ..suite.clone()
    };
    for (case, replies) in cases {
        lines.insert(case.id.clone(), replies);
        suite.cases.push(case);
    }
    if suite.cases.is_empty() {
        return Ok(Vec::new());
    }
    let plan = build(&plan_input(suite)).map_err(|error| error.to_string())?;
    let ports = ports(lines, host)?;
    let cancel = Cancel::default();
    let prepared = prepare(&ports, &cancel).await;
    let routes: Vec<_> = plan
        .cells
        .iter()
        .map(|cell| {
            let model = prepared.models[cell.served].as_ref().ok()?;
            route(
                cell.key.dialect,
                cell.key.constraint,
                WirePreference::Auto,
                &model.facts,
                model.template_has_tools,
            )
            .ok()
            .map(|route| vec![route])
        })
        .collect();
    if let Some(Err(reason)) = prepared.hosts.first() {
        return Err(reason.clone());
    }
    let mut kept = Kept::default();
    execute(
        &plan,
        &prepared,
        &routes,
        &ports,
        &HashSet::new(),
        &mut kept,
        &cancel,
    )
    .await
    .map_err(|error| error.to_string())?;
    Ok(kept.played())
}

fn plan_input(suite: Suite) -> PlanInput {
    PlanInput {
        models: vec![("agent".to_owned(), "agent".to_owned())],
        dialects: vec![DialectName::Json],
        constraints: vec![Constraint::Off],
        variants: vec![Variant::default()],
        suites: vec![suite],
        trials: 1,
        seed: 0,
        rules: TrialRules {
            limits: TrialLimits::default(),
            tool_choice: ToolChoice::Auto,
            max_corrections: 0,
            max_turns: 64,
            max_tokens: 4096,
            attempt_limit_ms: 60_000,
            leniency: Leniency::Strict,
        },
        remote: std::collections::BTreeSet::new(),
        tier: "none".to_owned(),
        shard: None,
        until_decided: None,
        engine: BTreeMap::new(),
        identities: BTreeMap::new(),
    }
}

fn ports(lines: HashMap<String, Lines>, host: &Arc<dyn ToolHost>) -> Result<Ports, String> {
    let corrections = BUILT_IN_CORRECTIONS
        .iter()
        .map(|(name, text)| {
            let style = CorrectionStyle::compile(name, text).map_err(|error| error.to_string())?;
            Ok(((*name).to_owned(), style))
        })
        .collect::<Result<BTreeMap<_, _>, String>>()?;
    let provider = AgentProvider {
        lines,
        round: Mutex::default(),
    };
    Ok(Ports {
        providers: vec![Arc::new(provider)],
        hybrids: BTreeMap::new(),
        hosts: vec![Arc::clone(host)],
        distractors: Vec::new(),
        corrections,
        envelopes: BTreeMap::new(),
        concurrency: 1,
        meter: Meter::default(),
        noise: Box::new(|| Box::new(|| false)),
    })
}

/// A provider that says what was prepared for the round and turn.
struct AgentProvider {
    lines: HashMap<String, Lines>,
    /// Case and round that are being played, and the turn at which the round began.
    round: Mutex<(String, u32, u32)>,
}

impl AgentProvider {
    fn text(&self, request: &GenerateRequest) -> String {
        let Some(context) = &request.context else {
            return closing();
        };
        let mut round = self.round.lock().unwrap_or_else(PoisonError::into_inner);
        if round.0 != context.case || round.1 != context.round {
            *round = (context.case.clone(), context.round, context.turn);
        }
        let turn = (context.turn - round.2) as usize;
        self.lines
            .get(&context.case)
            .and_then(|rounds| rounds.get(context.round as usize)?.get(turn))
            .cloned()
            .unwrap_or_else(closing)
    }
}

impl Provider for AgentProvider {
    fn describe(&self) -> BoxFuture<'_, Result<ModelFacts, ProviderError>> {
        Box::pin(async {
            Ok(ModelFacts {
                provider: "agent".to_owned(),
                context_tokens: 1 << 20,
                wires: vec![Wire::RawText],
                deterministic_when_greedy: true,
                ..ModelFacts::default()
            })
        })
    }

    fn generate<'a>(
        &'a self,
        request: &'a GenerateRequest,
        _cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<GenerateReply, ProviderError>> {
        let text = self.text(request);
        Box::pin(async move {
            Ok(GenerateReply {
                text,
                calls: Vec::new(),
                executed: Vec::new(),
                reasoning: None,
                payload: None,
                stop_reason: StopReason::Stop,
                usage: Usage::default(),
                timing: Timing::default(),
                constrained: false,
                grammar_error: None,
                token_marks: Vec::new(),
                peak_memory_bytes: None,
            })
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Keeps records and prompts.
#[derive(Default)]
struct Kept {
    prompts: HashMap<String, String>,
    records: Vec<TrialRecord>,
}

impl Kept {
    fn played(mut self) -> Vec<Played> {
        self.records.sort_by_key(|record| record.position);
        self.records
            .into_iter()
            .map(|record| Played {
                prompt: record
                    .attempts
                    .first()
                    .and_then(|attempt| self.prompts.get(&attempt.prompt.0).cloned())
                    .unwrap_or_default(),
                record,
            })
            .collect()
    }
}

impl EventSink for Kept {
    fn on_event(&mut self, event: &Event) -> Result<Flow, SinkError> {
        match event {
            Event::Content { hash, kind, value } if kind == "prompt" => {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                self.prompts.insert(hash.0.clone(), text);
            }
            Event::TrialFinished { record } => self.records.push((**record).clone()),
            _ => {}
        }
        Ok(Flow::Continue)
    }
}
