//! The engine: the child process that owns one loaded model.
//!
//! Data in: [`ToEngine`] lines. Data out: [`FromEngine`] lines, in the order of the requests.
//! Invariants: one thread reads, so a `Cancel` is seen while a reply is being generated, and one
//! thread owns the model; every request is answered exactly once; the process ends with its input;
//! standard output carries the protocol and nothing else.

mod backends;
mod choose;
mod constraint;
mod decoder;
mod generate;
mod host;
mod load;
mod log;
mod output;
mod recent;
pub mod sampling_bench;
mod vocabulary;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use llama_cpp_2::llama_backend::LlamaBackend;

use crate::clock::Stopwatch;
use crate::types::generate::{GenerateRequest, ProviderError};
use crate::types::protocol::{EngineSettings, FromEngine, PROTOCOL_VERSION, ToEngine};

/// Version of the linked llama.cpp, in its own words.
pub fn version() -> String {
    log::llama_version()
}

/// The instruction sets and devices that llama.cpp uses on this machine, in its own words; or why it
/// cannot run here. `program` is this binary's own path.
pub fn system(program: &Path) -> Result<String, String> {
    log::take_over(false);
    let lacking = host::missing_instruction_sets();
    if !lacking.is_empty() {
        return Err(host::refusal(&lacking));
    }
    backends::load(program)?;
    Ok(log::system_info())
}

/// It chooses its instruction sets when it starts, whatever it was built for.
pub const DISPATCHES_AT_RUN_TIME: bool = cfg!(feature = "dispatch");

/// What the reader hands to the worker.
enum Job {
    Load(u64, EngineSettings),
    Generate(u64, Box<GenerateRequest>, Arc<AtomicBool>),
    Health(u64),
    /// A line that is not a request; answered in its turn.
    Refuse(u64, String),
}

/// Cancel flags of requests that are queued or running.
type Flags = Arc<Mutex<HashMap<u64, Arc<AtomicBool>>>>;

/// Speaks the protocol on standard input and output until the input ends.
///
/// `program` is this binary's own path; `verbose` lets llama.cpp's log through to standard error.
pub fn serve(program: &Path, verbose: bool) -> std::io::Result<()> {
    log::take_over(verbose);
    let flags = Flags::default();
    let (sender, jobs) = channel();
    let reader_flags = Arc::clone(&flags);
    // Detached on purpose: it may wait for input when the worker has already failed to write.
    std::thread::spawn(move || {
        read_requests(BufReader::new(std::io::stdin()), &sender, &reader_flags);
    });
    work(program, &jobs, &flags, &mut std::io::stdout())
}

/// Turns lines into jobs until the input ends; then everything running is cancelled.
fn read_requests(input: impl BufRead, jobs: &Sender<Job>, flags: &Flags) {
    for line in input.lines() {
        let Ok(line) = line else { break };
        if line.trim().is_empty() {
            continue;
        }
        let job = match serde_json::from_str(&line) {
            Ok(ToEngine::Load { id, settings }) => Job::Load(id, settings),
            Ok(ToEngine::Generate { id, request }) => accept(id, request, flags),
            Ok(ToEngine::Health { id }) => Job::Health(id),
            Ok(ToEngine::Cancel { id }) => {
                cancel(flags, Some(id));
                continue;
            }
            Err(error) => Job::Refuse(line_id(&line), error.to_string()),
        };
        if jobs.send(job).is_err() {
            break;
        }
    }
    cancel(flags, None);
}

fn accept(id: u64, request: Box<GenerateRequest>, flags: &Flags) -> Job {
    let Ok(mut flags) = flags.lock() else {
        return Job::Refuse(id, "the engine is shutting down".to_owned());
    };
    if flags.contains_key(&id) {
        return Job::Refuse(id, format!("request {id} is already in flight"));
    }
    let flag = Arc::new(AtomicBool::new(false));
    flags.insert(id, Arc::clone(&flag));
    Job::Generate(id, request, flag)
}

/// Cancels one request, or all.
fn cancel(flags: &Flags, id: Option<u64>) {
    let Ok(flags) = flags.lock() else { return };
    for (_, flag) in flags
        .iter()
        .filter(|(key, _)| id.is_none_or(|id| **key == id))
    {
        flag.store(true, Ordering::Relaxed);
    }
}

/// The id of a line that could not be read as a request, as far as it has one.
fn line_id(line: &str) -> u64 {
    serde_json::from_str::<serde_json::Value>(line)
        .ok()
        .and_then(|value| value.get("id")?.as_u64())
        .unwrap_or(0)
}

/// Waits for `Load`, then answers requests. Returns when the input has ended.
fn work(
    program: &Path,
    jobs: &Receiver<Job>,
    flags: &Flags,
    output: &mut impl Write,
) -> std::io::Result<()> {
    // Why llama.cpp cannot run here is the answer to `Load`: an engine that ends without a word
    // would be taken for one that crashed.
    let backend = backends::start(program).map_err(|detail| ProviderError::Load { detail });
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Load(id, settings) => {
                let served = match &backend {
                    Ok(backend) => serve_model(id, settings, backend, jobs, flags, output)?,
                    Err(error) => Err(error.clone()),
                };
                if let Err(error) = served {
                    answer(output, &FromEngine::Error { id, error })?;
                }
            }
            Job::Generate(id, _, _) => {
                forget(flags, id);
                refuse(output, id, "no model is loaded yet; send `load` first")?;
            }
            Job::Health(id) => refuse(output, id, "no model is loaded yet; send `load` first")?,
            Job::Refuse(id, detail) => refuse(output, id, &detail)?,
        }
    }
    Ok(())
}

/// Loads a model and answers requests until the input ends; the inner error is a failed load.
fn serve_model(
    id: u64,
    settings: EngineSettings,
    backend: &LlamaBackend,
    jobs: &Receiver<Job>,
    flags: &Flags,
    output: &mut impl Write,
) -> std::io::Result<Result<(), ProviderError>> {
    let watch = Stopwatch::start();
    let loaded = load::plan(settings, backend)
        .and_then(|plan| load::load_weights(&plan, backend).map(|model| (plan, model)));
    let (plan, model) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return Ok(Err(error)),
    };
    let (mut generator, facts) = match load::ready(&plan, &model, backend, watch) {
        Ok(ready) => ready,
        Err(error) => return Ok(Err(error)),
    };
    answer(
        output,
        &FromEngine::Loaded {
            id,
            protocol: PROTOCOL_VERSION,
            facts: Box::new(facts),
            health: true,
        },
    )?;
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Load(id, _) => refuse(output, id, "a model is already loaded")?,
            Job::Health(id) => answer(output, &FromEngine::Healthy { id })?,
            Job::Refuse(id, detail) => refuse(output, id, &detail)?,
            Job::Generate(id, request, flag) => {
                let reply = generator.reply(&request, &flag);
                forget(flags, id);
                answer(
                    output,
                    &match reply {
                        Ok(reply) => FromEngine::Reply {
                            id,
                            reply: Box::new(reply),
                        },
                        Err(error) => FromEngine::Error { id, error },
                    },
                )?;
            }
        }
    }
    Ok(Ok(()))
}

fn forget(flags: &Flags, id: u64) {
    if let Ok(mut flags) = flags.lock() {
        flags.remove(&id);
    }
}

fn refuse(output: &mut impl Write, id: u64, detail: &str) -> std::io::Result<()> {
    let error = ProviderError::Rejected {
        detail: detail.to_owned(),
    };
    answer(output, &FromEngine::Error { id, error })
}

fn answer(output: &mut impl Write, message: &FromEngine) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &str) -> (Vec<Job>, Flags) {
        let flags = Flags::default();
        let (sender, jobs) = channel();
        read_requests(input.as_bytes(), &sender, &flags);
        drop(sender);
        (jobs.iter().collect(), flags)
    }

    const GENERATE: &str = r#"{"op":"generate","id":4,"request":{"prompt":{"wire":"text","prefix":"","rest":"a"},"sampling":{},"seed":0,"max_tokens":1,"time_limit_ms":1000}}"#;

    #[test]
    fn an_unknown_setting_is_refused_by_name() {
        let (jobs, _) = read(
            r#"{"op":"load","id":3,"settings":{"path":"a","context_tokens":1,"speculative":true}}"#,
        );
        let [Job::Refuse(3, detail)] = jobs.as_slice() else {
            panic!("not refused");
        };
        assert!(detail.contains("`speculative`"), "{detail}");
    }

    #[test]
    fn lines_that_are_no_requests_are_answered() {
        let (jobs, _) = read("not json\n\n{\"id\":9}\n");
        assert!(matches!(
            jobs.as_slice(),
            [Job::Refuse(0, _), Job::Refuse(9, _)]
        ));
    }

    #[test]
    fn the_end_of_input_cancels_what_is_in_flight() {
        let (jobs, _) = read(GENERATE);
        let [Job::Generate(4, _, flag)] = jobs.as_slice() else {
            panic!("not accepted");
        };
        assert!(flag.load(Ordering::Relaxed));
    }

    #[test]
    fn an_id_in_flight_is_not_taken_twice() {
        let (jobs, _) = read(&format!("{GENERATE}\n{GENERATE}\n"));
        assert!(matches!(
            jobs.as_slice(),
            [Job::Generate(4, ..), Job::Refuse(4, _)]
        ));
    }
}
