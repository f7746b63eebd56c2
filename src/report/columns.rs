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
    "success" ["success %", "success_rate", "success_low", "success_high", "success_method", "success_n"] "% of cases": "Mean over cases of successful / scored trials. Successful: passed, or recovered after corrections. Scored: the model was right, wrong, looping, too slow, or out of turns, tokens or corrections; excluded trials are not in it. In brackets the 95 % interval: Wilson over cases with one trial a case; with several trials a bootstrap over cases, then trials (percentiles; computed exactly where cases have up to 6 trials, else 4,000 draws with a fixed seed), or Wilson over cases where fewer than 5 cases' worth of successes or failures make a bootstrap too narrow. With a single case Wilson over its trials, for this case alone.";
    "first_attempt" ["first try", "first attempt"] "% of cases": "Mean over cases of scored trials that were right with no correction anywhere in the trial. Success = first attempt + recovered.";
    "recovered" ["recov-ered", "recov."] "% of cases": "Mean over cases of scored trials that were right only after one or more corrections.";
    "as_deployed" ["as deployed"] "% of cases": "Success with trials that the serving side spoiled (outcome void: engine crashed, prompt truncated, server lost the call) counted as misses, as users experience them.";
    "as_written" ["as the model wrote it"] "% of cases": "Success with calls that the server did not read (`call_in_content`) judged as they stand in the reply's text, where one reply decides the case: one round that ends with its calls, and asks for no state. The model's own part of what the server lost; the trials stay excluded from success.";
    "valid_call" ["valid call"] "% of cases": "First attempts (of each turn, before any correction) in which every call is read without a finding, names an offered tool and satisfies its schema / first attempts in which a call was attempted; mean over cases. Attempted: the dialect's opener is there, or the lenient reading finds an offered tool's name.";
    "parsed" ["parse rate"] "% of cases": "First attempts that the steering reading (strict, unless `--leniency lenient`) reads as one or more calls without a finding / first attempts in which a call was attempted; mean over cases.";
    "parsed_leniently" ["lenient"] "% of cases": "The parse rate of the lenient reading, which takes off code fences, prose, trailing commas, wrong quotes and the like. It steers nothing unless asked to; its distance to the parse rate is what stricter output would gain.";
    "offered_tool" ["offered tool"] "% of cases": "Calls that name an offered tool / calls read, on first attempts; mean over cases.";
    "schema_valid" ["schema valid"] "% of cases": "Calls whose arguments satisfy the tool's JSON Schema / calls that name an offered tool, on first attempts; mean over cases.";
    "tool_selection" ["right tool", "tool selection accuracy"] "% of cases": "Expected calls to which a call of the same tool was made / expected calls, in scored trials that made a call; mean over cases. Whether to call at all is the trigger scores' matter. A dash: the record holds no counts.";
    "arguments" ["right arguments", "argument correctness"] "% of cases": "Expected calls that a made call answers with accepted arguments / expected calls to which a call of the same tool was made; mean over cases.";
    "call_set_f1" ["call set F1"] "% of cases": "2 · matched / (expected + made) calls of scored trials that expect a call, matched by the largest bipartite matching with arguments; mean over cases. Calls to free tools and calls that were put right later count only where they answer an expected one.";
    "end_state" ["end state", "end state match"] "% of cases": "Rounds whose end state is the one the case states / rounds that state one; mean over cases.";
    "extra_calls" ["extra calls", "extra call rate"] "% of cases": "Calls that no expectation asks for (surplus, repeated, or made where none should be) / calls made; mean over cases.";
    "abstention" ["abst.", "abstain", "irrelevance", "irrelevance detection"] "% of cases": "Of the cases in which nothing should be called: scored trials that succeed, or end in an answer without any call attempted; mean over cases. Broken output is no abstention. Read it with the trigger scores: a model that never calls abstains perfectly.";
    "trigger_f1" ["call F1", "trigger", "trigger_precision", "trigger prec.", "trigger_recall", "f1"] "% of cases": "To call or not to call, whatever is called. Precision: cases that need a call / cases in which one was attempted. Recall: cases in which a call was attempted / cases that need one. F1: their harmonic mean. Every case weighs 1, shared among its scored trials. Intervals: Wilson on the cases' worth of calls (precision), on the cases that need a call (recall), and for F1 on J = called rightly / (need a call or were called in), by F1 = 2 J / (1 + J).";
    "excluded" ["excl.", "excluded_trials", "excluded_infra", "excluded_serving", "excluded_tool", "excluded_harness"] "trials": "Trials outside the denominator: infra (endpoint refused, reset, broke), serving (outcome void), tool (the tool host failed), harness (cancelled, or our own fault). More than 5 %, or any of harness, and the row is undecidable.";
    "grammar" ["grammar_asked_trials", "grammar_effective_trials"] "trials": "Trials in which the grammar was in force, of those that asked for it; attempts under it that could not be read, or broke a schema all the same, are counted beside.";
    "grammar_compiled" ["compile rate"] "% of cases": "Trials in which the grammar compiled and was in force / trials that asked for it and got a reply or a refusal; mean over cases.";
    "grammar_mean_ms" ["compile ms", "grammar ms"] "ms": "Mean time to build a grammar's parser, one value for each reply under it; JSON has quantiles (compile_ms). What all grammars of a model share is built once and shown as grammar_setup_ms of the model.";
    "grammar_enforcement" ["enforcement"] "": "proven: every token was masked by the grammar and no complete reply broke it. violated: a complete reply broke it. unproven: neither can be shown.";
    "k" [] "trials": "Trials drawn for pass@k and pass^k: the smallest number of scored trials of a case.";
    "pass_at_k" ["pass@k"] "% of cases": "Chance that at least one of k trials succeeds: 1 - C(n-c, k)/C(n, k), mean over cases; k is the smallest number of scored trials of a case. Interval: Wilson over cases, because drawing trials with replacement would bias the estimate. JSON has every k.";
    "pass_hat_k" ["pass^k"] "% of cases": "Chance that all of k trials succeed: C(c, k)/C(n, k), mean over cases. Interval: Wilson over cases.";
    "reliability_gap" ["gap"] "points": "pass@k minus pass^k: what luck decides. Interval: Wilson over cases.";
    "flaky_cases" ["flaky"] "cases": "Cases with both a success and a failure among their scored trials. flaky_rate: these / cases with a scored trial, Wilson over cases.";
    "flaky_rate" [] "% of cases": "Flaky cases / cases with a scored trial; Wilson over cases.";
    "first_token" ["first token", "first_token_ms", "time to first token", "ttft"] "ms": "First request of the trial to the first generated token, scored trials; nearest-rank quantiles on raw values. p95 needs 20 values, p90 10, p99 100; otherwise a dash. JSON and CSV have 95 % limits of p50 and p95: order statistics whose ranks the binomial distribution gives for so many cases, distribution-free.";
    "first_output" ["first_output_ms", "ttfo", "time to first output"] "ms": "First request to the first generated token after a bounded thought; without a thought the first token.";
    "inter_token" ["inter_token_ms", "itl", "inter-token latency"] "ms": "Time from first to last token / (tokens - 1), one value for each reply of two or more tokens in scored trials.";
    "time_to_valid_call" ["valid_call_ms"] "ms": "First request to the first schema-valid call, corrections included; only scored trials that have one. Headed `valid call` in the speed table.";
    "task" ["task_ms"] "ms": "First request to the end of judging, scored trials, failures included. JSON also has successful and failed trials apart.";
    "time_split" ["m/t/c", "split", "model_mean_ms", "tool_mean_ms", "correction_mean_ms"] "% of task time": "Mean time in the model on first attempts of turns / in tool hosts / in the model after corrections, each as a share of the mean task time. What is left of 100 is toolbench's own.";
    "decode" ["decode tok/s", "decode_tokens_per_second"] "tokens/s": "Generated tokens after the first / time from first to last token, summed over attempts with two or more tokens in scored trials. JSON has 95 % limits: the ratio estimator's variance over cases, on the logarithm, with Student's t.";
    "prefill" ["prefill_tokens_per_second"] "tokens/s": "Prompt tokens computed (not taken from a kept prefix) / time to compute them, summed over attempts of scored trials.";
    "tokens_per_success" ["tokens/success", "per_success_tokens"] "tokens": "(Prompt + generated tokens of all attempts of scored trials) / successful trials: failed trials cost too. JSON has 95 % limits as for decode.";
    "cost" ["cost_per_success", "price", "currency"] "money": "Prompt and generated tokens of every reply at the model's price (toolbench.toml, or catalogue/prices.yaml with document and date), cached prompt tokens at their own. Per success: cost of scored trials / successful trials. Of the run: superseded trials and probes too. Absent where no price is known, or a reply did not report its tokens; requests without a reply are counted beside.";
    "peak_memory" ["memory", "memory MB", "peak_memory_bytes", "peak_memory_mb"] "MB": "Highest resident memory of the process that served the model on its machine, over the whole run (it only ever rises; of a process for each context its own, of a hybrid the sum of its legs); 1 MB is 1,000,000 bytes.";
    "objective" ["slo", "slo attainment", "objective_rate"] "% of cases": "With --objective: trials that succeed within the limit / trials that were not cancelled, errors of server, network and tool being misses; mean over cases.";
    "goodput_per_hour" ["goodput"] "trials/h": "Trials that succeed within the objective / time of all trials that were not cancelled, one at a time.";
    "corrections" ["corrections_mean", "correction_overhead_ms", "correction_overhead_tokens", "corrected trials", "extra ms", "extra tokens"] "": "Mean corrections per scored trial; overhead: mean time, and prompt + generated tokens, of attempts after a correction, per corrected trial.";
    "within" ["right after at most", "right after at most 0 / 1 / …", "success after corrections"] "% of cases": "Right after at most 0, 1, 2 … corrections / scored trials; mean over cases. The first is first-attempt success, the last success.";
    "recovery" ["recovery rate", "recovery@r"] "% of cases": "Successful / scored trials with at least one correction; mean over cases. JSON has it for at most r corrections, for every r.";
    "exhausted" ["exhausted rate", "exhausted_trials"] "% of cases": "Scored trials that used up every correction and were still invalid / scored trials; mean over cases.";
    "attempts_mean" ["mean attempts"] "replies": "Replies per scored trial, corrected ones included; in a hybrid those that stand.";
    "attempts_per_turn" ["replies/turn"] "replies": "Replies of scored trials / turns: 1 without any correction; in a hybrid those that stand.";
    "leg" [] "": "A model of a hybrid, in the order in which they are asked. The next one is asked when a leg failed by infrastructure, wrote no valid call and no answer, or passed the latency budget (`fallback-on`, `latency-budget`); the model sees nothing of it, and it is no correction.";
    "leg_turns" ["turns", "turns %"] "% of cases": "Turns of scored trials that the leg answered with a valid call or an answer / turns; mean over cases.";
    "leg_ended" ["ended", "ended %"] "% of cases": "Scored trials whose last reply is the leg's / scored trials; mean over cases.";
    "leg_success" ["leg success %"] "% of cases": "Successful / scored trials whose last reply is the leg's; mean over cases, with the interval of success. The trials of a later leg are those in which the earlier ones failed: its rate says nothing of the model alone.";
    "leg_requests" ["requests", "re-quests"] "requests": "Requests to the leg in all trials, superseded ones not counted; with or without a reply.";
    "passed_over" ["passed over inf/inv/lat"] "requests": "Requests after which the next leg was asked: infrastructure failed / the reply was invalid / the latency budget passed.";
    "leg_tokens" ["tokens"] "tokens": "Prompt + generated tokens of the leg's replies, those that were passed over too; a dash where its prompts are not reported.";
    "leg_cost" [] "": "What the leg's replies cost, those that were passed over too; a dash without a price, without a reply, or where a reply reports no tokens.";
    "noisy_trials" ["noisy"] "trials": "Scored trials measured while the machine was busy with something else.";
    "superseded_trials" ["superseded"] "trials": "Earlier lines of trials that a resume ran again; both are kept, the latest counts.";
    "difference" ["difference points", "low", "high", "mode delta"] "points": "Success of the candidate minus success of the baseline on the cases both have scored. One trial a case: Newcombe's square-and-add interval for paired proportions (1998, method 10, phi with continuity correction); with fewer than 10 cases the wider of its limits and Tango's. Several trials: bootstrap over cases, then trials, once 10 cases differ; before that Newcombe's on the expected table. It speaks of cases like these. In a run that stops once decided the confidence is what is left at its look (column confidence in JSON).";
    "detectable" ["minimum detectable effect", "mde"] "points": "The smallest true difference that so many cases would find in 80 % of runs. One trial a case: exact power of McNemar's test, averaged over the number of discordant cases, with as many discordant cases as observed, or as the difference asks for. Several trials: half of the interval's width and z of the power standard errors of the mean difference per case. For a single rate: the smallest fall or rise that the next run's interval would exclude. The level is Holm's first step in a family.";
    "order" ["ranking", "place", "groups"] "": "Models by success within a dialect, constraint, variant and hardware tier; what another machine serves has a place among the models of each tier. Places from to: 1 and one for each model that is better, up to the number of models less each that is worse. Groups: the largest sets no two of which are told apart; tied when every two are tied, else not distinguishable.";
    "sensitivity" ["format sensitivity", "spread"] "points": "Highest minus lowest success over the variants of a model on the cases that all have scored, with the standard deviation over variants. Limits: the largest of all pairs' limits, each pair at 5 % over the number of pairs. p: Cochran's Q.";
    "look" ["sequential", "until-decided", "confidence"] "": "With --until-decided: cases are drawn in a stratified order in five steps, then further trials where decoding samples; after each step every comparison is judged at a level that Lan and DeMets' spending function of O'Brien and Fleming's kind leaves, so that a false verdict at any of the looks has a chance of 5 % at most. Intervals of differences have the same level (repeated intervals).";
    "p" ["p (holm)", "p_value", "p_holm"] "": "Two-sided: exact McNemar with one trial a case, sign-flip over cases with several; after Holm's adjustment within the family (models within equal dialect, constraint and variant; constraints, variants or dialects within a model).";
    "verdict" [] "": "tied: the whole interval lies inside ±margin and, with one trial a case, Tango's equivalence test rejects both sides. better, worse: the interval excludes 0 and the exact test rejects (Holm's p at most 0.05; at a look what is left for it). not enough data: anything else, a side that is undecidable, more than 5 % of cases dropped, or clearly more dropped on one side.";
    "decide" ["would decide"] "cases": "The smallest number of cases for which the same proportions would give a verdict, and the time to run the missing ones on both sides at the measured pace.";
    "pareto" ["pareto set", "recommended", "in the set", "dominated"] "": "Rows that no other row dominates in success, time of a task and memory. A row is dominated only where another is better in at least one dimension and no worse in any, beyond chance. Success: the verdict of the pair; pairs that no comparison holds are a family of their own for Holm's adjustment. Time: the median over cases of the ratio of both rows' times of a task, its limits order statistics with Bonferroni's level over the pairs; tied within 10 %. Memory: peaks; tied within 5 %; none of this machine where another one serves the model, and then neither dominates the other. Recommended: the one row than which every other succeeds less often, or which dominates it.";
    "tools_table" ["csv:tools", "paired_trials", "unpaired_trials", "offered_trials", "executed_calls", "failed_calls", "argument_findings", "most_frequent_finding", "findings", "call_mean_ms"] "": "CSV, one line per cell and tool, scored trials only; the counts of the HTML report. offered_trials: trials in which it was offered. expected: calls that cases expect; called: those of it that count (a call to a free tool, or one that ended in a scripted error or was put right later, counts only where it answers an expected one, and is in executed_calls otherwise); right_tool_calls: expected calls in whose place it was called; right: of these with accepted arguments. Calls are paired as the judge pairs them; unpaired_trials are left out of these four, because the record does not keep what they rest on. executed_calls: calls that went to the tool host; failed_calls: of these, results that were an error, those that a mock answers on purpose left out. findings: code, JSON pointer and number of findings about its arguments. Empty where the record does not tell.";
    "trials_table" ["csv:trials", "outcome", "scored", "code", "position", "matched_calls", "right_tool_calls", "expected_calls", "made_calls"] "": "CSV, one line per trial that counts, in plan order; `cell` joins it to the other tables. `scored` and `success` are those of the success rate; times of replayed trials and counts that the judge did not make are empty. In every CSV a text that a spreadsheet would take for a formula (it begins with =, +, -, @, a tab or a carriage return) stands behind an apostrophe.";
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

    /// What the metric definitions of the field are called.
    #[test]
    fn every_metric_is_explained() {
        for name in [
            "success",
            "pass@k",
            "pass^k",
            "reliability gap",
            "flaky cases",
            "trigger",
            "irrelevance detection",
            "parse rate",
            "offered tool",
            "schema valid",
            "tool selection accuracy",
            "argument correctness",
            "call set F1",
            "end state match",
            "extra call rate",
            "first attempt",
            "success after corrections",
            "recovery rate",
            "mean attempts",
            "correction overhead tokens",
            "exhausted rate",
            "mode delta",
            "format sensitivity",
            "compile rate",
            "compile ms",
            "enforcement",
            "ttft",
            "ttfo",
            "time to valid call",
            "itl",
            "decode",
            "prefill",
            "slo attainment",
            "goodput",
            "tokens/success",
            "memory",
            "as deployed",
            "as_written",
            "minimum detectable effect",
            "ranking",
            "verdict",
        ] {
            assert!(explain_column(name).is_some(), "{name}");
        }
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
