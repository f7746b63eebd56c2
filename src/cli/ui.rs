//! Everything a person sees while waiting: progress, notices, questions. On standard error only.
use std::io::{BufRead as _, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::env::Env;
use crate::clock::Stopwatch;
use crate::event::{Event, EventSink, Flow, SinkError};
use crate::types::{CellKey, Outcome, TrialRecord};

/// A line on standard error. Nobody may be listening any more: that is no reason to stop.
fn to_stderr(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verbosity {
    /// Errors only.
    Quiet,
    /// Progress and notices.
    Normal,
    /// Each trial.
    Trials,
    /// Prompts and raw replies.
    Raw,
}

/// The person's side of the command line.
#[derive(Clone, Debug)]
pub(super) struct Ui {
    /// How much is said.
    pub(super) verbosity: Verbosity,
    terminal: bool,
    interactive: bool,
}

impl Ui {
    /// From the flags and the process.
    pub(super) fn new(quiet: bool, verbose: u8, env: &Env) -> Self {
        let verbosity = match (quiet, verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Trials,
            _ => Verbosity::Raw,
        };
        Self {
            verbosity,
            terminal: env.stderr_terminal,
            interactive: env.stderr_terminal && env.stdin_terminal,
        }
    }

    /// One line for people.
    pub(super) fn say(&self, line: &str) {
        if self.verbosity > Verbosity::Quiet {
            to_stderr(line);
        }
    }

    /// A line that a service reads: said even where nothing else is.
    #[expect(clippy::unused_self, reason = "standard error is this one's")]
    pub(super) fn command(&self, line: &str) {
        to_stderr(line);
    }

    /// Whether a question can be asked at all.
    pub(super) fn can_ask(&self) -> bool {
        self.interactive
    }

    /// A yes-or-no question; no answer is no.
    pub(super) fn ask(question: &str) -> bool {
        let _ = write!(std::io::stderr(), "{question} [y/N] ");
        let _ = std::io::stderr().flush();
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
    }

    /// A bar over bytes for a download.
    pub(super) fn download_bar(&self, name: &str) -> ProgressBar {
        let target = if self.terminal && self.verbosity > Verbosity::Quiet {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template(
            "{prefix} {bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
        ) {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        bar
    }
}

/// One line per cell while a run goes on.
pub(super) struct RunProgress {
    ui: Ui,
    bar: ProgressBar,
    cell: Option<CellProgress>,
}

struct CellProgress {
    label: String,
    done: usize,
    scored: usize,
    successes: usize,
    tokens: u64,
    decode_ms: f64,
    watch: Stopwatch,
}

impl RunProgress {
    /// Draws on standard error when that is a terminal; otherwise quiet but for `-v`.
    pub(super) fn new(ui: &Ui) -> Self {
        Self {
            ui: ui.clone(),
            bar: ProgressBar::hidden(),
            cell: None,
        }
    }

    fn start_cell(&mut self, cell: &CellKey, trials: usize) {
        let label = format!(
            "{} · {} · {}{} · {}",
            cell.model,
            cell.dialect,
            cell.constraint,
            if cell.variant == "default" {
                String::new()
            } else {
                format!(" · {}", cell.variant)
            },
            cell.suite
        );
        if self.ui.terminal && self.ui.verbosity > Verbosity::Quiet {
            self.bar =
                ProgressBar::with_draw_target(Some(trials as u64), ProgressDrawTarget::stderr());
            if let Ok(style) =
                ProgressStyle::with_template("{prefix} {bar:20} {pos}/{len} {msg} {eta}")
            {
                self.bar.set_style(style);
            }
            self.bar.set_prefix(label.clone());
        } else {
            self.bar = ProgressBar::hidden();
            self.bar.set_length(trials as u64);
        }
        self.cell = Some(CellProgress {
            label,
            done: 0,
            scored: 0,
            successes: 0,
            tokens: 0,
            decode_ms: 0.0,
            watch: Stopwatch::start(),
        });
    }

    fn trial(&mut self, record: &TrialRecord) {
        if self.ui.verbosity >= Verbosity::Trials {
            let line = trial_line(record);
            self.bar.suspend(|| to_stderr(&line));
        }
        let Some(cell) = &mut self.cell else {
            return;
        };
        cell.done += 1;
        cell.scored += usize::from(record.outcome.is_scored());
        cell.successes += usize::from(record.outcome.is_success());
        for attempt in &record.attempts {
            cell.tokens += u64::from(attempt.usage.output_tokens);
            cell.decode_ms += attempt.timing.decode_ms;
        }
        self.bar.set_message(cell.summary());
        self.bar.inc(1);
    }

    fn finish_cell(&mut self) {
        let total = self.bar.length().unwrap_or_default();
        self.bar.finish_and_clear();
        let shown = self.ui.terminal || self.ui.verbosity >= Verbosity::Trials;
        if let Some(cell) = self.cell.take().filter(|_| shown) {
            self.ui.say(&format!(
                "{}: {}/{total} trials, {}, {:.1} s",
                cell.label,
                cell.done,
                cell.summary(),
                cell.watch.elapsed_ms() / 1000.0
            ));
        }
    }
}

impl CellProgress {
    fn summary(&self) -> String {
        let rate = if self.scored == 0 {
            "no scored trial".to_owned()
        } else {
            format!(
                "{:.0} % success ({} of {})",
                100.0 * self.successes as f64 / self.scored as f64,
                self.successes,
                self.scored
            )
        };
        if self.decode_ms > 0.0 {
            format!(
                "{rate}, {:.0} tokens/s",
                self.tokens as f64 * 1000.0 / self.decode_ms
            )
        } else {
            rate
        }
    }
}

fn trial_line(record: &TrialRecord) -> String {
    let outcome = match record.outcome {
        Outcome::Passed => "passed".to_owned(),
        Outcome::Recovered { corrections } => format!("recovered after {corrections}"),
        Outcome::Limit { code, .. } => {
            let shown = record.outcome.code().unwrap_or(code);
            format!("limit {code} ({shown})")
        }
        other => other
            .code()
            .map_or_else(String::new, |code| code.name().to_owned()),
    };
    let why = record
        .violations
        .first()
        .map(|violation| format!(" — {}", violation.message))
        .unwrap_or_default();
    format!(
        "  {}/{} [{} {}] {outcome} in {:.0} ms{why}",
        record.cell.suite,
        record.case,
        record.cell.dialect,
        record.cell.constraint,
        record.time.total_ms
    )
}

impl EventSink for RunProgress {
    fn on_event(&mut self, event: &Event) -> Result<Flow, SinkError> {
        match event {
            Event::RunStarted { trials, done } if *done > 0 => {
                self.ui
                    .say(&format!("{done} trials are on record, {trials} to go"));
            }
            Event::ModelLoading { model } if self.ui.verbosity >= Verbosity::Trials => {
                self.ui.say(&format!("loading {model}"));
            }
            Event::CellStarted { cell, trials } => self.start_cell(cell, *trials),
            Event::Attempt {
                case,
                prompt,
                reply,
            } if self.ui.verbosity >= Verbosity::Raw => {
                let text = format!(
                    "--- {case}: prompt ends with\n{prompt}\n--- reply\n{}\n---",
                    reply.text
                );
                self.bar.suspend(|| to_stderr(&text));
            }
            Event::TrialFinished { record } => self.trial(record),
            Event::Notice { message } => {
                let ui = self.ui.clone();
                self.bar.suspend(|| ui.say(&format!("note: {message}")));
            }
            Event::EndedEarly { end } => {
                let what = end.cell.as_ref().map_or_else(
                    || "the run".to_owned(),
                    |cell| {
                        format!(
                            "{} · {} · {} · {}",
                            cell.model, cell.dialect, cell.constraint, cell.suite
                        )
                    },
                );
                let left = end.trials_left;
                let line = format!("{what} ends with {left} trials left: {}", end.reason);
                let ui = self.ui.clone();
                self.bar.suspend(|| ui.say(&line));
            }
            Event::CellFinished { .. } | Event::RunFinished { .. } => self.finish_cell(),
            _ => {}
        }
        Ok(Flow::Continue)
    }
}
