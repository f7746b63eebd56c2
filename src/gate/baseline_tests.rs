//! Saved, read and written again, and what a wrong file is told.

use super::*;
use crate::metrics::testing::{Run, key, sample};
use crate::types::Constraint;

#[test]
fn what_is_written_is_read_again() {
    let run = sample();
    let snapshot = Snapshot::of_run(&run.header, &run.trials);
    let text = to_text(&snapshot);
    let read = parse("main.jsonl", &text).unwrap();
    assert_eq!(read, snapshot);
    assert_eq!(to_text(&read), text);
    assert_eq!(hash(&read).len(), 12);
}

#[test]
fn mistakes_have_their_line() {
    let mut run = Run::new();
    run.cell(&key("a", Constraint::Off), "PF");
    let text = to_text(&Snapshot::of_run(&run.header, &run.trials));
    for (from, to, words) in [
        (
            "\"trials\":\"F\"",
            "\"trials\":\"X\"",
            "main.jsonl:6: `X` is no result",
        ),
        ("{\"line\":\"model\"", "{\"line\":\"modle\"", "main.jsonl:2"),
        (
            "\"cell\":\"a · json · off\",\"category\"",
            "\"cell\":\"b\",\"category\"",
            "no line describes the cell `b`",
        ),
        ("\"line\":\"baseline\"", "\"line\":\"case\"", "main.jsonl:1"),
        ("case-02", "case-01", "stands here again, first in line 5"),
    ] {
        let error = parse("main.jsonl", &text.replacen(from, to, 1)).unwrap_err();
        assert!(error.to_string().contains(words), "{from}: {error}");
    }
    for (text, words) in [("", "unknown"), ("{}", "unknown"), ("nonsense", "unknown")] {
        let error = parse("main.jsonl", text).unwrap_err();
        assert!(error.to_string().contains(words), "{text}: {error}");
    }
}

#[test]
fn times_are_medians_of_scored_trials() {
    let mut run = Run::new();
    let cell = key("a", Constraint::Off);
    for (trial, (letter, ms)) in [('P', 10.0), ('F', 30.0), ('I', 900.0), ('P', 20.0)]
        .into_iter()
        .enumerate()
    {
        run.trial_of_cell(&cell, trial as u32, &letter.to_string());
        let last = run.trials.last_mut().unwrap();
        last.time.total_ms = ms;
        last.time.to_valid_call_ms = (letter == 'P').then_some(ms / 2.0);
    }
    let times = Times::of_run(&run.header, &run.trials);
    assert_eq!(times.cases.len(), 1);
    let line = &times.cases[0];
    assert_eq!((line.task_ms, line.valid_call_ms), (20.0, Some(5.0)));
    assert_eq!(
        Some(line.trial_ms),
        Some(240.0),
        "a lost trial took its time too"
    );
    let (read, of) = Times::parse("main.latency.jsonl", &times.to_text("abc")).unwrap();
    assert_eq!((read, of.as_str()), (times, "abc"));
    let replayed = run.trials.iter().cloned().map(|mut trial| {
        trial.replayed = true;
        trial
    });
    let replayed: Vec<_> = replayed.collect();
    assert_eq!(Times::of_run(&run.header, &replayed), Times::default());
}
