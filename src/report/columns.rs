//! What every column means, exactly: for `toolbench explain COLUMN` and the documentation.
//!
//! Invariants: each column of the terminal, Markdown and CSV reports is here, by the name shown or
//! by its machine name; the definitions are those of `metrics`.

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnDoc {
    /// Name to ask for; the stem of its CSV columns where it has several.
    pub name: &'static str,
    /// Other names it goes by, such as its heading.
    pub aliases: &'static [&'static str],
    /// Unit, empty for text.
    pub unit: &'static str,
    /// Exact definition.
    pub definition: &'static str,
}

macro_rules! columns {
    ($( $name:literal [$($alias:literal),*] $unit:literal : $definition:literal; )*) => {
        /// Every column, in the order of the reports.
        pub const COLUMNS: &[ColumnDoc] = &[ $( ColumnDoc {
            name: $name,
            aliases: &[$($alias),*],
            unit: $unit,
            definition: $definition,
        }, )* ];
    };
}

columns! {
    "model" [] "": "The model as named on the command line; the summary's header says how the name was resolved.";
    "dialect" [] "": "How tools are offered and calls read back: native, react, json or fenced.";
    "constraint" ["con-straint"] "": "off: free decoding. grammar: decoding held to the dialect's grammar with the tools' schemas in it, as asked for; a footnote says where the grammar was refused and the trial ran without.";
    "variant" [] "": "The named bundle of system prompt, few-shot, correction style, sampler, context, distractors and reasoning. Shown where it varies.";
    "suite" [] "": "The suite the cases come from. Shown with `--by suite` and in cells.";
    "tier" [] "": "The hardware tier the run was made on; remote for cloud models. Shown where it varies.";
    "n" ["cases", "trials", "cases×trials", "scored_trials", "planned_trials"] "cases × trials": "Cases with a trial on record, times trials a case. A trial that a resume ran again counts once, by its latest result.";
    "success" ["success %", "success_rate", "success_low", "success_high", "success_method", "success_n"] "% of cases": "Mean over cases of successful / scored trials. Successful: passed, or recovered after corrections. Scored: the model was right, wrong, looping, too slow, or out of turns, tokens or corrections; excluded trials are not in it. In brackets the 95 % interval: Wilson over cases with one trial a case; with several trials a bootstrap over cases, then trials (4,000 draws, fixed seed, percentiles), or Wilson over cases where fewer than 5 cases' worth of successes or failures make a bootstrap too narrow.";
    "first_attempt" ["first try", "first attempt"] "% of cases": "Mean over cases of scored trials that were right with no correction anywhere in the trial. Success = first attempt + recovered.";
    "recovered" ["recov-ered", "recov."] "% of cases": "Mean over cases of scored trials that were right only after one or more corrections.";
    "as_deployed" ["as deployed"] "% of cases": "Success with trials that the serving side spoiled (outcome void: engine crashed, prompt truncated, server lost the call) counted as misses, as users experience them.";
    "valid_call" ["valid call"] "% of cases": "First attempts (of each turn, before any correction) in which every call is read without a finding, names an offered tool and satisfies its schema / first attempts in which a call was attempted; mean over cases. Attempted: the dialect's opener is there, or the lenient reading finds an offered tool's name.";
    "parsed" ["parse rate"] "% of cases": "First attempts that the steering reading (strict, unless `--leniency lenient`) reads as one or more calls without a finding / first attempts in which a call was attempted; mean over cases.";
    "parsed_leniently" ["lenient"] "% of cases": "The parse rate of the lenient reading, which takes off code fences, prose, trailing commas, wrong quotes and the like. It steers nothing unless asked to; its distance to the parse rate is what stricter output would gain.";
    "offered_tool" ["offered tool"] "% of cases": "Calls that name an offered tool / calls read, on first attempts; mean over cases.";
    "schema_valid" ["schema valid"] "% of cases": "Calls whose arguments satisfy the tool's JSON Schema / calls that name an offered tool, on first attempts; mean over cases.";
    "abstention" ["abst.", "abstain"] "% of cases": "Of the cases in which nothing should be called: scored trials that succeed, or end in an answer without any call attempted; mean over cases. Broken output is no abstention. Read it with the trigger scores: a model that never calls abstains perfectly.";
    "trigger_f1" ["call F1", "trigger", "trigger_precision", "trigger prec.", "trigger_recall", "f1"] "% of cases": "To call or not to call, whatever is called. Precision: cases that need a call / cases in which one was attempted. Recall: cases in which a call was attempted / cases that need one. F1: their harmonic mean. Every case weighs 1, shared among its scored trials.";
    "excluded" ["excl.", "excluded_trials", "excluded_infra", "excluded_serving", "excluded_tool", "excluded_harness"] "trials": "Trials outside the denominator: infra (endpoint refused, reset, broke), serving (outcome void), tool (the tool host failed), harness (cancelled, or our own fault). More than 5 %, or any of harness, and the row is undecidable.";
    "grammar" ["grammar_asked_trials", "grammar_effective_trials"] "trials": "Trials in which the grammar was in force, of those that asked for it; attempts under it that could not be read, or broke a schema all the same, are counted beside.";
    "k" [] "trials": "Trials drawn for pass@k and pass^k: the smallest number of scored trials of a case.";
    "pass_at_k" ["pass@k"] "% of cases": "Chance that at least one of k trials succeeds: 1 - C(n-c, k)/C(n, k), mean over cases; k is the smallest number of scored trials of a case.";
    "pass_hat_k" ["pass^k"] "% of cases": "Chance that all of k trials succeed: C(c, k)/C(n, k), mean over cases.";
    "reliability_gap" ["gap"] "points": "pass@k minus pass^k: what luck decides.";
    "flaky_cases" ["flaky"] "cases": "Cases with both a success and a failure among their scored trials.";
    "first_token" ["first token", "first_token_ms", "time to first token", "ttft"] "ms": "First request of the trial to the first generated token, scored trials; nearest-rank quantiles on raw values. p95 needs 20 values, p90 10, p99 100; otherwise a dash.";
    "time_to_valid_call" ["valid_call_ms"] "ms": "First request to the first schema-valid call, corrections included; only scored trials that have one. Headed `valid call` in the speed table.";
    "task" ["task_ms"] "ms": "First request to the end of judging, scored trials, failures included. JSON also has successful and failed trials apart.";
    "time_split" ["m/t/c", "split", "model_mean_ms", "tool_mean_ms", "correction_mean_ms"] "% of task time": "Mean time in the model on first attempts of turns / in tool hosts / in the model after corrections, each as a share of the mean task time. What is left of 100 is toolbench's own.";
    "decode" ["decode tok/s", "decode_tokens_per_second"] "tokens/s": "Generated tokens after the first / time from first to last token, summed over attempts with two or more tokens in scored trials.";
    "prefill" ["prefill_tokens_per_second"] "tokens/s": "Prompt tokens computed (not taken from a kept prefix) / time to compute them, summed over attempts of scored trials.";
    "tokens_per_success" ["tokens/success", "per_success_tokens"] "tokens": "(Prompt + generated tokens of all attempts of scored trials) / successful trials: failed trials cost too.";
    "peak_memory" ["memory", "memory MB", "peak_memory_bytes", "peak_memory_mb"] "MB": "Highest resident memory of the process that served the model, over the whole run (it only ever rises); 1 MB is 1,000,000 bytes.";
    "corrections" ["corrections_mean", "recovery", "correction_overhead_ms", "correction_overhead_tokens"] "": "Mean corrections per scored trial; recovery: successful / corrected trials, mean over cases; overhead: mean time, and prompt + generated tokens, of attempts after a correction, per corrected trial.";
    "noisy_trials" ["noisy"] "trials": "Scored trials measured while the machine was busy with something else.";
    "superseded_trials" ["superseded"] "trials": "Earlier lines of trials that a resume ran again; both are kept, the latest counts.";
    "difference" ["difference points", "low", "high"] "points": "Success of the candidate minus success of the baseline on the cases both have scored. One trial a case: Newcombe's square-and-add interval for paired proportions (1998, method 10, phi with continuity correction). Several trials: bootstrap over cases, then trials, once 10 cases differ; before that Newcombe's on the expected table. It speaks of cases like these.";
    "p" ["p (holm)", "p_value", "p_holm"] "": "Two-sided: exact McNemar with one trial a case, sign-flip over cases with several; after Holm's adjustment within the family (models within equal dialect, constraint and variant; constraints, variants or dialects within a model).";
    "verdict" [] "": "tied: the whole 95 % interval lies inside ±margin. better, worse: it excludes 0, and in a family of several comparisons Holm's p is at most 0.05. not enough data: anything else, a side that is undecidable, more than 5 % of cases dropped, or clearly more dropped on one side.";
    "decide" ["would decide"] "cases": "The smallest number of cases for which the interval of the same proportions lies inside the margin or excludes 0, and the time to run the missing ones on both sides at the measured pace.";
    "dropped" [] "cases": "Cases left out of a comparison because one side has no scored trial of them. Cases whose grammar was refused are left out of constraint differences and counted apart.";
}

/// The exact definition of a column, by name or heading; case and punctuation do not matter.
pub fn explain_column(name: &str) -> Option<&'static str> {
    let asked = normalised(name);
    let answers = |known: &str| normalised(known) == asked;
    COLUMNS
        .iter()
        .find(|column| answers(column.name))
        .or_else(|| {
            let by_alias = |column: &&ColumnDoc| column.aliases.iter().any(|a| answers(a));
            COLUMNS.iter().find(by_alias)
        })
        .map(|column| column.definition)
}

fn normalised(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, '@' | '^'))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_headings_are_explained() {
        for name in [
            "success",
            "Success %",
            "pass@k",
            "pass^k",
            "first try",
            "call F1",
            "p_holm",
            "valid_call_ms",
        ] {
            assert!(explain_column(name).is_some(), "{name}");
        }
        assert_ne!(explain_column("pass@k"), explain_column("pass^k"));
        assert_eq!(explain_column("nonsense"), None);
    }

    #[test]
    fn no_name_means_two_columns() {
        let mut names: Vec<(String, &str)> = COLUMNS
            .iter()
            .flat_map(|column| {
                let names = column.aliases.iter().copied().chain([column.name]);
                names.map(|name| (normalised(name), column.name))
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        for pair in names.windows(2) {
            assert_ne!(pair[0].0, pair[1].0, "{pair:?}");
        }
    }
}
