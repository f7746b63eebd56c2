//! What holding a reply to a grammar costs, measured side by side on a real model.
//!
//! Data in: a GGUF file. Data out: a table through the given writer: the same call unconstrained,
//! held by llguidance in the engine's own loop (with and without forcing), and held by llama.cpp's
//! GBNF sampler. Invariants: all ways get the same prompt, kept prefix and token budget, one after
//! the other in every round, so that a busy neighbour hits all of them; ratios are taken within a
//! round.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;

use super::generate::Generator;
use super::{backends, load, log};
use crate::clock::Stopwatch;
use crate::types::generate::{
    ConstraintText, GenerateReply, GenerateRequest, Prompt, ProviderError, Sampling,
};
use crate::types::protocol::{EngineSettings, ForcedTokens};

const CONTEXT_TOKENS: u32 = 2048;
const MOST_TOKENS: u32 = 48;
const LIMIT_MS: u64 = 600_000;

const LARK: &str = r#"start: "{\"tool\":\"" ("get_weather" | "get_time") "\",\"arguments\":{\"city\":\"" /[A-Za-z ]{1,24}/ "\",\"unit\":\"" ("celsius" | "fahrenheit") "\"}}""#;
const GBNF: &str = r#"root ::= "{\"tool\":\"" ("get_weather" | "get_time") "\",\"arguments\":{\"city\":\"" [A-Za-z ]{1,24} "\",\"unit\":\"" ("celsius" | "fahrenheit") "\"}}""#;
const SYSTEM: &str = "Answer with one JSON object {\"tool\": name, \"arguments\": {\"city\": text, \"unit\": celsius or fahrenheit}} and nothing else. Tools: get_weather (weather in a city), get_time (time in a city).\n";
const QUESTION: &str = "Question: What is the weather in Paris, in celsius?\nCall: ";

/// One measured way to reply.
struct Way {
    name: &'static str,
    total_ms: Vec<f64>,
    step_ms: Vec<f64>,
    last: Option<Sample>,
}

/// One reply, as far as it is measured.
struct Sample {
    total_ms: f64,
    decode_ms: f64,
    steps: u32,
    tokens: u32,
    constraint_ms: f64,
    text: String,
}

/// Measures `rounds` rounds on the model at `path` and writes medians and ratios; `program` is this
/// binary's own path.
pub fn run(
    program: &Path,
    path: &Path,
    rounds: u32,
    output: &mut dyn Write,
) -> std::io::Result<()> {
    log::take_over(false);
    let backend = backends::start(program).map_err(std::io::Error::other)?;
    let settings = EngineSettings {
        path: path.display().to_string(),
        context_tokens: CONTEXT_TOKENS,
        threads: 0,
        gpu_layers: Some(0),
        flash_attention: None,
        kv_cache_type: None,
        ignore_memory_check: false,
        forced_tokens: ForcedTokens::Batch,
    };
    let watch = Stopwatch::start();
    let plan = load::plan(settings, &backend).map_err(std::io::Error::other)?;
    let model = load::load_weights(&plan, &backend).map_err(std::io::Error::other)?;
    let (mut generator, facts) =
        load::ready(&plan, &model, &backend, watch).map_err(std::io::Error::other)?;
    let mut ways = [
        "unconstrained",
        "llguidance, forced tokens",
        "llguidance, token by token",
        "llama.cpp GBNF",
    ]
    .map(|name| Way {
        name,
        total_ms: Vec::new(),
        step_ms: Vec::new(),
        last: None,
    });
    // Round 0 builds snapshots and compiles grammars; it is not counted.
    for round in 0..=rounds {
        let samples = [
            ours(&mut generator, None, ForcedTokens::Batch),
            ours(&mut generator, Some(LARK), ForcedTokens::Batch),
            ours(&mut generator, Some(LARK), ForcedTokens::Chosen),
            gbnf(&mut generator, &model),
        ];
        for (way, sample) in ways.iter_mut().zip(samples) {
            let sample = sample.map_err(std::io::Error::other)?;
            if round > 0 {
                way.total_ms.push(sample.total_ms);
                way.step_ms
                    .push(sample.decode_ms / f64::from(sample.steps.max(1)));
            }
            way.last = Some(sample);
        }
    }
    writeln!(
        output,
        "{} ({}), {} threads, n = {rounds}",
        facts.reported_name,
        facts.quantisation.as_deref().unwrap_or("?"),
        facts.threads.unwrap_or(0)
    )?;
    write_table(&ways, output)
}

fn request(grammar: Option<&str>) -> GenerateRequest {
    GenerateRequest {
        prompt: Prompt::Text {
            prefix: SYSTEM.to_owned(),
            rest: QUESTION.to_owned(),
        },
        sampling: Sampling::default(),
        seed: 0,
        max_tokens: MOST_TOKENS,
        stop: vec!["\n".to_owned()],
        constraint: grammar.map(|grammar| ConstraintText::Lark(grammar.to_owned())),
        stream: true,
        time_limit_ms: LIMIT_MS,
        context: None,
    }
}

fn ours(
    generator: &mut Generator<'_>,
    grammar: Option<&str>,
    forced_tokens: ForcedTokens,
) -> Result<Sample, ProviderError> {
    generator.set_forced_tokens(forced_tokens);
    let reply = generator.reply(&request(grammar), &AtomicBool::new(false))?;
    Ok(sample(reply))
}

fn sample(reply: GenerateReply) -> Sample {
    Sample {
        total_ms: reply.timing.total_ms,
        decode_ms: reply.timing.decode_ms,
        steps: reply.usage.decode_steps,
        tokens: reply.usage.output_tokens,
        constraint_ms: reply.timing.mask_ms + reply.timing.grammar_ms,
        text: reply.text,
    }
}

/// The same reply, held by llama.cpp's own grammar sampler over all candidates.
fn gbnf(generator: &mut Generator<'_>, model: &LlamaModel) -> Result<Sample, ProviderError> {
    let watch = Stopwatch::start();
    let mut grammar = LlamaSampler::grammar(model, GBNF, "root").map_err(|error| {
        ProviderError::GrammarRejected {
            detail: error.to_string(),
        }
    })?;
    let parse_ms = watch.elapsed_ms();
    let mut constraint_ms = 0.0;
    let mut choose = |logits: &[f32]| {
        let watch = Stopwatch::start();
        let all = (0i32..)
            .zip(logits)
            .map(|(id, logit)| LlamaTokenData::new(LlamaToken(id), *logit, 0.0));
        let mut candidates = LlamaTokenDataArray::from_iter(all, false);
        candidates.apply_sampler(&mut grammar);
        let chosen = candidates
            .data
            .iter()
            .max_by(|left, right| left.logit().total_cmp(&right.logit()))
            .map(LlamaTokenData::id);
        if let Some(token) = chosen
            && !model.vocab().is_eog(token)
        {
            grammar.accept(token);
        }
        constraint_ms += watch.elapsed_ms();
        chosen.map(|token| token.0.cast_unsigned())
    };
    let never = AtomicBool::new(false);
    let reply = generator.reply_with(&request(None), &never, Some(&mut choose))?;
    let sample = sample(reply);
    Ok(Sample {
        constraint_ms: constraint_ms + parse_ms,
        total_ms: sample.total_ms + parse_ms,
        ..sample
    })
}

fn write_table(ways: &[Way], output: &mut dyn Write) -> std::io::Result<()> {
    let base = ways.first().map_or(1.0, |way| median(&way.total_ms));
    writeln!(
        output,
        "{:<28} {:>9} {:>6} {:>6} {:>6} {:>14} {:>10}",
        "way", "median ms", "ratio", "steps", "tokens", "constraint ms", "ms a step"
    )?;
    for way in ways {
        let Some(last) = &way.last else { continue };
        let middle = median(&way.total_ms);
        writeln!(
            output,
            "{:<28} {:>9.1} {:>6.2} {:>6} {:>6} {:>14.2} {:>10.2}",
            way.name,
            middle,
            middle / base,
            last.steps,
            last.tokens,
            last.constraint_ms,
            median(&way.step_ms),
        )?;
    }
    for way in ways {
        if let Some(last) = &way.last {
            writeln!(output, "{:<28} {}", way.name, last.text.escape_debug())?;
        }
    }
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}
