//! Builders of headers and trial lines for tests of metrics and reports.

use std::collections::BTreeMap;

use serde_json::json;

use crate::record::format::{
    CellHeader, ExcludedCell, Header, METRICS_VERSION, ModelHeader, RECORD_VERSION, SCORER_VERSION,
    Setting,
};
use crate::types::decoded::Reading;
use crate::types::facts::TemplateSource;
use crate::types::fingerprint::Fingerprint;
use crate::types::generate::StopReason;
use crate::types::suite::Difficulty;
use crate::types::trial::CallCounts;
use crate::types::violation::TAXONOMY_VERSION;
use crate::types::{
    AttemptRecord, CallRecord, CellKey, Code, Constraint, ContentHash, DialectName, FallbackCause,
    FallbackRules, Mechanism, ModelFacts, Outcome, Price, Route, Timing, ToolCall, TrialRecord,
    TrialTime, Usage, Variant, Violation, Wire,
};

/// A run under construction.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) header: Header,
    pub(crate) trials: Vec<TrialRecord>,
}

pub(crate) fn hash(text: &str) -> ContentHash {
    ContentHash::of_bytes(text.as_bytes())
}

pub(crate) fn key(model: &str, constraint: Constraint) -> CellKey {
    CellKey {
        variant_hash: String::new(),
        model: model.to_owned(),
        dialect: DialectName::Json,
        constraint,
        variant: "default".to_owned(),
        suite: "quick".to_owned(),
        tier: "cpu-small".to_owned(),
        settings: BTreeMap::new(),
    }
}

impl Run {
    pub(crate) fn new() -> Self {
        let header = Header {
            record_version: RECORD_VERSION,
            scorer_version: SCORER_VERSION,
            metrics_version: METRICS_VERSION,
            taxonomy_version: TAXONOMY_VERSION,
            toolbench_version: "0.1.0".to_owned(),
            toolbench_revision: String::new(),
            run: "sample".to_owned(),
            created_at: "2026-01-02T03:04:05Z".to_owned(),
            command: "compare".to_owned(),
            plan_hash: hash("plan"),
            selection: vec!["quick".to_owned()],
            sample: None,
            suites: Vec::new(),
            settings: vec![Setting {
                name: "seed".to_owned(),
                value: "0".to_owned(),
                origin: "built-in".to_owned(),
            }],
            variants: vec![Variant::default()],
            models: Vec::new(),
            cells: Vec::new(),
            excluded: Vec::new(),
            probes: Vec::new(),
            planned_trials: 0,
            margin_points: 5.0,
            looks: None,
            shard: None,
            whole: None,
            merged_from: Vec::new(),
            rescored_from: None,
            privacy: None,
            tool_servers: Vec::new(),
            tool_policy: None,
            fingerprint: Fingerprint {
                tier: "cpu-small".to_owned(),
                cpu: "Example CPU".to_owned(),
                physical_cores: 2,
                logical_cores: 4,
                memory_bytes: 8 << 30,
                os: "Linux 6.1".to_owned(),
                ..Fingerprint::default()
            },
        };
        Self {
            header,
            trials: Vec::new(),
        }
    }

    /// Adds one trial a case, one letter each:
    /// `P` passed, `R` recovered after one correction, `F` wrong value, `M` malformed JSON with
    /// corrections exhausted, `V` engine crashed, `I` network, `T` tool timeout, `H` cancelled,
    /// `N` rightly no call, `U` unwanted call, `.` not run.
    pub(crate) fn cell(&mut self, key: &CellKey, script: &str) -> &mut Self {
        self.trial_of_cell(key, 0, script)
    }

    /// The same for one trial index.
    pub(crate) fn trial_of_cell(&mut self, key: &CellKey, trial: u32, script: &str) -> &mut Self {
        if !self.header.models.iter().any(|m| m.name == key.model) {
            self.header.models.push(model(&key.model));
        }
        let index = self.plan_cell(key, trial, script.len());
        for (case, letter) in script.chars().enumerate() {
            if letter != '.' {
                let position = index * 1000 + case * 10 + trial as usize;
                let record = record(key, case, trial, position, letter);
                self.trials.push(record);
            }
        }
        self
    }

    fn plan_cell(&mut self, key: &CellKey, trial: u32, cases: usize) -> usize {
        self.header.planned_trials += cases;
        if let Some(index) = self.header.cells.iter().position(|cell| cell.key == *key) {
            if trial > 0 {
                self.header.cells[index].trials += cases;
            }
            return index;
        }
        self.header.cells.push(CellHeader {
            key: key.clone(),
            id: key.id(),
            routes: vec![Route {
                leg: "main".to_owned(),
                wire: Wire::RawText,
                template: TemplateSource::Weights,
                mechanism: (key.constraint == Constraint::Grammar).then_some(Mechanism::Llguidance),
            }],
            cases,
            trials: cases,
        });
        self.header.cells.len() - 1
    }

    /// Puts an earlier, superseded line before the trial at `index`.
    pub(crate) fn superseded(&mut self, index: usize, outcome: Outcome) -> &mut Self {
        let mut earlier = self.trials[index].clone();
        earlier.outcome = outcome;
        self.trials.insert(index, earlier);
        self
    }

    pub(crate) fn unsupported(&mut self, model: &str, reason: &str) -> &mut Self {
        self.header.excluded.push(ExcludedCell {
            failed: false,
            model: model.to_owned(),
            labels: BTreeMap::from([("dialect".to_owned(), "native".to_owned())]),
            cases: 24,
            reason: reason.to_owned(),
        });
        self
    }
}

fn model(name: &str) -> ModelHeader {
    ModelHeader {
        name: name.to_owned(),
        resolution: format!("alias `{name}` of the catalogue"),
        weights_sha256: Some(hash(name).0),
        price: None,
        legs: Vec::new(),
        fallback: None,
        facts: ModelFacts {
            provider: "scripted".to_owned(),
            reported_name: name.to_owned(),
            context_tokens: 4096,
            engine_build: "test".to_owned(),
            load_ms: Some(120.0),
            ..ModelFacts::default()
        },
    }
}

fn outcome(letter: char) -> Outcome {
    match letter {
        'P' | 'N' => Outcome::Passed,
        'R' => Outcome::Recovered { corrections: 1 },
        'F' => Outcome::of_code(Code::WrongValue),
        'M' => Outcome::Limit {
            code: Code::CorrectionsExhausted,
            underlying: Some(Code::MalformedJson),
        },
        'V' => Outcome::of_code(Code::OomOrCrash),
        'I' => Outcome::of_code(Code::Network),
        'T' => Outcome::of_code(Code::ToolTimeout),
        'H' => Outcome::of_code(Code::Cancelled),
        'U' => Outcome::of_code(Code::UnwantedCall),
        other => panic!("no such letter: {other}"),
    }
}

/// Times and tokens are made up from the case's number, so that they are the same on every machine.
fn record(key: &CellKey, case: usize, trial: u32, position: usize, letter: char) -> TrialRecord {
    let outcome = outcome(letter);
    let name = format!("case-{:02}", case + 1);
    let slow = if key.constraint == Constraint::Grammar {
        0.75
    } else {
        1.0
    };
    let base = slow * (200.0 + 12.5 * (case % 9) as f64) * (key.model.len() as f64 / 7.0);
    let corrected = matches!(letter, 'R' | 'M');
    let mut attempts = vec![attempt(1, letter, base)];
    if corrected {
        attempts.push(attempt(2, if letter == 'R' { 'P' } else { 'M' }, base));
    }
    let calls = matches!(letter, 'P' | 'R' | 'F' | 'U' | 'T').then(|| CallRecord {
        round: 0,
        turn: 0,
        call: call(),
        result: (letter != 'T').then(|| hash("result")),
        is_error: false,
        scripted_error: false,
        code: None,
        by_server: false,
        tool_ms: 0.5,
    });
    let correction_ms = if corrected { base } else { 0.0 };
    TrialRecord {
        id: hash(&format!("{}/{name}/{trial}", key.id()))
            .short()
            .to_owned(),
        position,
        cell: key.clone(),
        cell_id: key.id(),
        category: if case.is_multiple_of(2) {
            "single"
        } else {
            "choice"
        }
        .to_owned(),
        difficulty: if case.is_multiple_of(3) {
            Difficulty::Easy
        } else {
            Difficulty::Medium
        },
        abstention: matches!(letter, 'N' | 'U'),
        trial,
        seed: 1000 + case as u64,
        case_hash: hash(&name),
        offer_hash: hash("offer"),
        case: name,
        constraint_asked: key.constraint,
        constraint_effective: key.constraint,
        constraint_refused: None,
        outcome,
        first_attempt_success: outcome == Outcome::Passed,
        violations: outcome
            .code()
            .map(|code| Violation::new(code, "as scripted"))
            .into_iter()
            .collect(),
        attempts,
        calls: calls.into_iter().collect(),
        call_counts: call_counts(letter),
        reread: None,
        corrections: u32::from(corrected),
        answer: (letter == 'N').then(|| "I cannot do that.".to_owned()),
        end_state: None,
        time: TrialTime {
            total_ms: base + correction_ms + 1.0,
            model_ms: base,
            correction_ms,
            tool_ms: 0.5,
            to_valid_call_ms: matches!(letter, 'P' | 'R' | 'F' | 'U')
                .then_some(base + correction_ms),
            to_first_token_ms: (!matches!(letter, 'V' | 'I' | 'H')).then_some(base / 4.0),
            waited_ms: 0.0,
        },
        started_at: "2026-01-02T03:04:06Z".to_owned(),
        noisy: false,
        replayed: false,
        host_notes: Vec::new(),
    }
}

/// One call is expected but in no-call cases; what was not scored was not counted.
fn call_counts(letter: char) -> Option<CallCounts> {
    let called = u32::from(matches!(letter, 'P' | 'R' | 'F' | 'U'));
    let expected = u32::from(!matches!(letter, 'N' | 'U'));
    let right = u32::from(matches!(letter, 'P' | 'R'));
    (!matches!(letter, 'V' | 'I' | 'T' | 'H')).then(|| CallCounts {
        expected,
        made: called,
        right_tool: called * expected,
        matched: right,
        extra: called * (1 - expected),
        ..CallCounts::default()
    })
}

fn call() -> ToolCall {
    ToolCall::new("weather.get", json!({"city": "Oslo"}))
}

fn attempt(number: u32, letter: char, base: f64) -> AttemptRecord {
    let broken = matches!(letter, 'M' | 'R');
    let read = matches!(letter, 'P' | 'F' | 'U' | 'T');
    let unreadable = || vec![Violation::new(Code::MalformedJson, "expected `}`")];
    let answered = !matches!(letter, 'V' | 'I' | 'H');
    AttemptRecord {
        round: 0,
        turn: 0,
        attempt: number,
        leg: "main".to_owned(),
        passed_over: None,
        prompt: hash("prompt"),
        grammar: None,
        tools: hash("tools"),
        served: None,
        reply: answered.then(|| hash(&letter.to_string())),
        stop_reason: answered.then_some(StopReason::Stop),
        strict: Reading {
            calls: read.then(call).into_iter().collect(),
            answer: (letter == 'N').then(|| "I cannot do that.".to_owned()),
            violations: if broken { unreadable() } else { Vec::new() },
            ..Reading::default()
        },
        lenient: Reading {
            calls: (read || broken).then(call).into_iter().collect(),
            answer: (letter == 'N').then(|| "I cannot do that.".to_owned()),
            ..Reading::default()
        },
        attempted_call: read || broken,
        valid_calls: u32::from(read),
        violations: if broken { unreadable() } else { Vec::new() },
        usage: Usage {
            prompt_tokens: 300,
            cached_tokens: 200,
            computed_tokens: 100,
            output_tokens: 21,
            decode_steps: 20,
            ..Usage::default()
        },
        timing: Timing {
            prefill_ms: base / 4.0,
            first_token_ms: Some(base / 4.0),
            decode_ms: base / 2.0,
            total_ms: base,
            ..Timing::default()
        },
        wall_ms: base,
        peak_memory_bytes: Some(300 << 20),
        correction: None,
        folds: Vec::new(),
    }
}

/// Two models, both constraints, 24 cases of which four need no call; a recovered, an excluded and a
/// superseded trial; one cell that could not run. The fixture run is this one.
pub(crate) fn sample() -> Run {
    let mut run = Run::new();
    let (off, grammar) = (Constraint::Off, Constraint::Grammar);
    run.cell(&key("smollm2", off), "PFFMPRFPFMFPFRFMPFFPUUNN")
        .cell(&key("smollm2", grammar), "PPFPPFFPFPFPPFFPPFPPUUUN")
        .cell(&key("qwen2.5-coder:1.5b", off), "PPPRPPPFPPPRPPPPVPPPNNUN")
        .cell(
            &key("qwen2.5-coder:1.5b", grammar),
            "PPPPPPPFPPPPPPPPPPPPNNUN",
        )
        .unsupported("smollm2", "its chat template has no form for tools");
    run.superseded(3, Outcome::of_code(Code::Network));
    run
}

/// Two models, 30 cases with four trials each, most of them flaky, one trial of the second lost.
pub(crate) fn repeated_pair() -> Run {
    let mut run = Run::new();
    for (model, bias) in [("one", 3), ("two", 5)] {
        for trial in 0..4_usize {
            // Any fixed pattern of successes and failures that differs from trial to trial.
            let passes = |case: usize| (case * case * 7 + trial * 11 + case * trial * 3) % 8 < bias;
            let letters = (0..30).map(|case| match (model, trial, case) {
                ("two", 2, 4) => 'V',
                _ if passes(case) => 'P',
                _ => 'F',
            });
            let script: String = letters.collect();
            run.trial_of_cell(&key(model, Constraint::Off), trial as u32, &script);
        }
    }
    run
}

/// One model, five trials a case, some cases flaky.
pub(crate) fn repeated() -> Run {
    let mut run = Run::new();
    for (trial, script) in [
        "PPFPPFPPFPPF",
        "PPFPPFPFFPPF",
        "PPPPPFPPFPPF",
        "PFFPPFPPFPPF",
        "PPFPPFPPFPFF",
    ]
    .iter()
    .enumerate()
    {
        run.trial_of_cell(&key("smollm2", Constraint::Off), trial as u32, script);
    }
    run
}

fn leg(model: &ModelHeader, name: &str, input: Option<f64>) -> ModelHeader {
    ModelHeader {
        name: name.to_owned(),
        weights_sha256: None,
        price: input.map(|input| Price {
            currency: "USD".to_owned(),
            input_per_million: input,
            cached_input_per_million: None,
            output_per_million: 10.0,
            most_prompt_tokens: None,
            document: "a test".to_owned(),
            date: "2026-11-20".to_owned(),
        }),
        ..model.clone()
    }
}

/// Four trials: the first leg ends two (right, wrong), the second two (both right), after an
/// invalid call and a late one.
pub(crate) fn hybrid() -> Run {
    let mut run = Run::new();
    run.cell(&key("both", Constraint::Off), "PFPP");
    let model = run.header.models[0].clone();
    let legs = vec![leg(&model, "a", Some(1.0)), leg(&model, "b", Some(2.0))];
    run.header.models[0].legs = legs;
    run.header.models[0].weights_sha256 = None;
    run.header.models[0].fallback = Some(FallbackRules::default());
    let causes = [
        None,
        None,
        Some(FallbackCause::Invalid),
        Some(FallbackCause::Latency),
    ];
    for (trial, cause) in run.trials.iter_mut().zip(causes) {
        trial.attempts[0].leg = "a".to_owned();
        trial.attempts[0].usage.prompt_tokens = 1_000;
        trial.attempts[0].usage.output_tokens = 100;
        if let Some(cause) = cause {
            let mut second = trial.attempts[0].clone();
            second.leg = "b".to_owned();
            trial.attempts[0].passed_over = Some(cause);
            trial.attempts.push(second);
        }
    }
    run
}
