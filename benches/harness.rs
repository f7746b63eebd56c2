//! What the harness itself costs, without the engine: decoding, schema checks, grammars, the
//! record, the summary. Run with `cargo bench --no-default-features`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use toolbench::dialect::{Offer, dialect};
use toolbench::event::{Event, EventSink as _};
use toolbench::metrics::{SummaryOptions, summarise};
use toolbench::record::format::Execution;
use toolbench::record::{Run, RunWriter};
use toolbench::suite::Library;
use toolbench::types::facts::TemplateSource;
use toolbench::types::{
    DialectName, GenerateReply, ModelFacts, Route, StopReason, Timing, ToolChoice, Usage, Wire,
};
use toolbench::validate::ToolSchemas;

fn offer() -> Offer {
    let suite = Library::default().load("weather").unwrap().remove(0);
    Offer {
        system: suite.system,
        tools: suite.tools,
        examples: Vec::new(),
        tool_choice: ToolChoice::Auto,
        reasoning: toolbench::types::cell::Reasoning::Off,
        route: Route {
            leg: "main".into(),
            wire: Wire::RawText,
            template: TemplateSource::PlainText,
            mechanism: None,
        },
        facts: ModelFacts::default(),
        envelope: None,
    }
}

fn reply(text: &str) -> GenerateReply {
    GenerateReply {
        text: text.to_owned(),
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
    }
}

fn decode(criterion: &mut Criterion) {
    let offer = offer();
    let arguments = r#"{"city":"Berlin","unit":"celsius"}"#;
    for (name, text) in [
        (
            DialectName::Json,
            format!(r#"{{"tool":"get_current_weather","arguments":{arguments}}}"#),
        ),
        (
            DialectName::React,
            format!(
                "Thought: look it up\nAction: get_current_weather\nAction Input: {arguments}\n"
            ),
        ),
        (
            DialectName::Fenced,
            format!("```tool\n{{\"tool\":\"get_current_weather\",\"arguments\":{arguments}}}\n```"),
        ),
        (
            DialectName::Native,
            format!(
                "<tool_call>\n{{\"name\": \"get_current_weather\", \"arguments\": {arguments}}}\n</tool_call>"
            ),
        ),
    ] {
        let reply = reply(&text);
        criterion.bench_function(&format!("decode {name}"), |bencher| {
            bencher.iter(|| dialect(name).decode(black_box(&offer), black_box(&reply)));
        });
    }
}

fn validate(criterion: &mut Criterion) {
    let suite = Library::default().load("pipelines").unwrap().remove(0);
    let schemas = ToolSchemas::compile(&suite.tools).unwrap();
    let calls: Vec<_> = suite
        .examples
        .iter()
        .flat_map(|example| example.calls.clone())
        .collect();
    criterion.bench_function("schema check", |bencher| {
        bencher.iter(|| schemas.check_calls(black_box(&calls)));
    });
    criterion.bench_function("schema compile, 9 tools", |bencher| {
        bencher.iter(|| ToolSchemas::compile(black_box(&suite.tools)));
    });
}

fn grammar(criterion: &mut Criterion) {
    let offer = offer();
    for name in [DialectName::Json, DialectName::React, DialectName::Fenced] {
        criterion.bench_function(&format!("grammar build {name}"), |bencher| {
            bencher.iter(|| dialect(name).grammar(black_box(&offer)).to_lark());
        });
    }
}

fn record(criterion: &mut Criterion) {
    let fixture = Run::open(std::path::Path::new("fixtures/records/sample")).unwrap();
    let trials: Vec<_> = fixture
        .trials
        .iter()
        .cycle()
        .take(100_000)
        .cloned()
        .collect();
    let execution = Execution {
        started_at: String::new(),
        process: 0,
        done: 0,
        fingerprint: fixture.header.fingerprint.clone(),
    };
    let mut group = criterion.benchmark_group("100,000 records");
    group.sample_size(10);
    group.bench_function("write", |bencher| {
        bencher.iter_with_large_drop(|| {
            let folder = tempfile::tempdir().unwrap();
            let mut writer =
                RunWriter::create(&folder.path().join("run"), &fixture.header, &execution).unwrap();
            for trial in &trials {
                let event = Event::TrialFinished {
                    record: Box::new(trial.clone()),
                };
                writer.on_event(&event).unwrap();
            }
            folder
        });
    });
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("run");
    let mut writer = RunWriter::create(&directory, &fixture.header, &execution).unwrap();
    for trial in &trials {
        writer
            .on_event(&Event::TrialFinished {
                record: Box::new(trial.clone()),
            })
            .unwrap();
    }
    group.bench_function("read", |bencher| {
        bencher.iter(|| Run::open(&directory).unwrap());
    });
    group.finish();
    let options = SummaryOptions {
        by: None,
        margin_points: None,
        objective_ms: None,
    };
    criterion.bench_function("summary of a run", |bencher| {
        bencher.iter(|| {
            summarise(
                black_box(&fixture.header),
                black_box(&fixture.trials),
                &options,
            )
        });
    });
}

criterion_group!(benches, decode, validate, grammar, record);
criterion_main!(benches);
