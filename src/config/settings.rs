//! Typed settings of a run, from resolved values.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use super::ConfigError;
use super::file::VariantPatch;
use super::layers::Resolved;
use crate::suite::Selection;
use crate::types::settings::TrialLimits;
use crate::types::{
    Constraint, DialectName, Sampling, TrialRules, Variant, WirePreference, did_you_mean,
};

/// Which models are probed before a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probes {
    /// Served ones; what the linked engine does is known.
    Auto,
    /// All.
    On,
    /// None.
    Off,
}

impl FromStr for Probes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            other => Err(format!("`{other}` is not one of auto, on, off")),
        }
    }
}

/// Everything a run needs to know beside its models.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Suites by name or path.
    pub suites: Vec<String>,
    /// Case filters.
    pub cases: Vec<String>,
    /// Tag filters.
    pub tags: Vec<String>,
    /// Cases per suite.
    pub limit: Option<usize>,
    /// Cases drawn from all suites together.
    pub sample: Option<usize>,
    /// Part of the cases. `auto` is none here: whoever runs something puts in what it stands for
    /// before.
    pub shard: Option<(u32, u32)>,
    /// Quantisations of each model.
    pub quants: Vec<String>,
    /// Trials per case.
    pub trials: u32,
    /// Stop once every comparison is decided.
    pub until_decided: bool,
    /// Trials per case at most, when stopping once decided.
    pub max_trials: u32,
    /// Dialects.
    pub dialects: Vec<DialectName>,
    /// Constraints.
    pub constraints: Vec<Constraint>,
    /// Which wire served models are asked over.
    pub wire: WirePreference,
    /// Which models are tried out first.
    pub probes: Probes,
    /// Variants, at least one.
    pub variants: Vec<Variant>,
    /// Rules of every trial.
    pub rules: TrialRules,
    /// Seed of the run.
    pub seed: u64,
    /// Limit of a tool call in milliseconds.
    pub tool_limit_ms: u64,
    /// Trials at once.
    pub concurrency: usize,
    /// Threads; 0 lets the engine choose.
    pub threads: u32,
    /// Layers on the GPU.
    pub gpu_layers: Option<u32>,
    /// Flash attention.
    pub flash_attention: Option<bool>,
    /// Type of the key and value cache.
    pub kv_cache_type: Option<String>,
    /// Load whatever the estimate says.
    pub ignore_memory_check: bool,
    /// Download without asking.
    pub pull: bool,
    /// File of recorded replies.
    pub cassette: Option<PathBuf>,
    /// What is done with it: `record`, `replay` or `auto`.
    pub cassette_mode: String,
    /// Folder of run directories.
    pub out: PathBuf,
    /// How rows are split.
    pub by: Option<String>,
    /// Width of `tied` in points.
    pub margin_points: f64,
    /// Output format.
    pub format: String,
    /// Files to be written beside it: `FILE`, or `FORMAT=FILE`.
    pub write: Vec<String>,
    /// What the run may take.
    pub limits: RunLimits,
    /// What is recorded: `full`, `calls` or `none`.
    pub retain: String,
    /// Patterns whose matches are not recorded.
    pub redact: Vec<String>,
}

/// What a run may take; what is absent is not limited.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunLimits {
    /// See `--limit-time`.
    pub time_ms: Option<f64>,
    /// See `--limit-tokens`.
    pub tokens: Option<u64>,
    /// See `--limit-requests`.
    pub requests: Option<u64>,
    /// See `--budget`.
    pub budget: Option<f64>,
    /// See `--fail-fast` and `--max-fail`.
    pub failures: Option<usize>,
    /// See `--max-infra`.
    pub infra_in_a_row: Option<usize>,
}

impl RunLimits {
    fn from_resolved(resolved: &Resolved) -> Result<Self, ConfigError> {
        let of_money_and_time = ["limit-time", "budget", "trial-time", "trial-cost"];
        let of_counts = [
            "limit-tokens",
            "limit-requests",
            "trial-tokens",
            "trial-requests",
        ];
        for name in of_money_and_time.into_iter().chain(of_counts) {
            if resolved.number(name) == Some(0.0) {
                let message = format!("`{name}` must be more than 0");
                return Err(wrong(resolved, name, message));
            }
        }
        let most = |name| {
            let found = resolved.count(name).filter(|most| *most > 0);
            found.map(|most| most as usize)
        };
        Ok(Self {
            time_ms: resolved
                .number("limit-time")
                .map(|seconds| seconds * 1000.0),
            tokens: resolved.count("limit-tokens"),
            requests: resolved.count("limit-requests"),
            budget: resolved.number("budget"),
            failures: if resolved.switch("fail-fast") {
                Some(1)
            } else {
                most("max-fail")
            },
            infra_in_a_row: most("max-infra"),
        })
    }
}

impl Settings {
    /// The case selection.
    pub fn selection(&self) -> Selection {
        Selection {
            cases: self.cases.clone(),
            tags: self.tags.clone(),
            limit: self.limit,
        }
    }

    /// Types the resolved values; every mistake names the setting and its origin.
    pub fn from_resolved(
        resolved: &Resolved,
        variants: &BTreeMap<String, VariantPatch>,
    ) -> Result<Self, ConfigError> {
        let base = Variant {
            name: "default".to_owned(),
            system: None,
            few_shot: count(resolved, "few-shot")?,
            correction: resolved.text("correction").unwrap_or("located").to_owned(),
            sampling: Sampling {
                temperature: number(resolved, "temperature"),
                top_p: number(resolved, "top-p"),
                top_k: count(resolved, "top-k")?,
                min_p: number(resolved, "min-p"),
                repeat_penalty: number(resolved, "repeat-penalty"),
            },
            context_tokens: count(resolved, "context")?,
            distractors: count(resolved, "distractors")?,
            reasoning: parsed(resolved, "reasoning")?,
        };
        let settings = Self {
            suites: resolved.list("suite"),
            cases: resolved.list("case"),
            tags: resolved.list("tag"),
            limit: resolved.count("limit").map(|limit| limit as usize),
            sample: resolved.count("sample").map(|size| size as usize),
            shard: resolved
                .text("shard")
                .filter(|text| !is_auto(text))
                .map(|text| shard(text, resolved))
                .transpose()?,
            quants: resolved.list("quant"),
            trials: count(resolved, "trials")?,
            until_decided: resolved.switch("until-decided"),
            max_trials: count(resolved, "max-trials")?,
            dialects: parsed_list(resolved, "dialect")?,
            constraints: parsed_list(resolved, "constraint")?,
            wire: parsed(resolved, "wire")?,
            probes: parsed(resolved, "probes")?,
            variants: named_variants(resolved, variants, &base)?,
            rules: TrialRules {
                limits: TrialLimits {
                    time_ms: resolved
                        .number("trial-time")
                        .map(|seconds| (seconds * 1000.0) as u64),
                    tokens: resolved.count("trial-tokens"),
                    requests: resolved.count("trial-requests"),
                    cost: resolved.number("trial-cost"),
                },
                tool_choice: parsed(resolved, "tool-choice")?,
                max_corrections: count(resolved, "max-corrections")?,
                max_turns: count(resolved, "max-turns")?,
                max_tokens: count(resolved, "max-tokens")?,
                attempt_limit_ms: milliseconds(resolved, "timeout"),
                leniency: parsed(resolved, "leniency")?,
            },
            seed: resolved.count("seed").unwrap_or_default(),
            tool_limit_ms: milliseconds(resolved, "tool-timeout"),
            concurrency: count(resolved, "concurrency")? as usize,
            threads: count(resolved, "threads")?,
            gpu_layers: resolved.count("gpu-layers").map(|n| n as u32),
            flash_attention: on_or_off(resolved, "flash-attention")?,
            kv_cache_type: resolved.text("kv-cache-type").map(str::to_owned),
            ignore_memory_check: resolved.switch("ignore-memory-check"),
            pull: resolved.switch("pull"),
            cassette: resolved.text("cassette").map(PathBuf::from),
            cassette_mode: one_of(resolved, "cassette-mode", &["record", "replay", "auto"])?
                .unwrap_or_default(),
            out: PathBuf::from(resolved.text("out").unwrap_or("reports")),
            by: one_of(resolved, "by", &["suite", "category", "difficulty"])?,
            margin_points: resolved.number("margin").unwrap_or_default(),
            format: one_of(
                resolved,
                "format",
                &[
                    "terminal",
                    "json",
                    "canonical",
                    "jsonl",
                    "csv",
                    "csv:cells",
                    "csv:trials",
                    "csv:tools",
                    "markdown",
                    "md",
                    "html",
                    "junit",
                ],
            )?
            .unwrap_or_default(),
            write: resolved.list("write"),
            limits: RunLimits::from_resolved(resolved)?,
            retain: one_of(resolved, "retain", &["full", "calls", "none"])?.unwrap_or_default(),
            redact: resolved.list("redact"),
        };
        settings.check(resolved)?;
        Ok(settings)
    }

    /// Settings that are fine alone and wrong together.
    fn check(&self, resolved: &Resolved) -> Result<(), ConfigError> {
        for (name, value) in [
            ("trials", self.trials),
            ("max-trials", self.max_trials),
            ("max-turns", self.rules.max_turns),
            ("max-tokens", self.rules.max_tokens),
            ("concurrency", self.concurrency as u32),
            ("sample", self.sample.map_or(1, |size| size.min(1) as u32)),
            (
                "context",
                self.variants
                    .iter()
                    .map(|v| v.context_tokens)
                    .min()
                    .unwrap_or(1),
            ),
        ] {
            if value == 0 {
                return Err(wrong(
                    resolved,
                    name,
                    format!("`{name}` must be at least 1"),
                ));
            }
        }
        if self
            .variants
            .iter()
            .any(|variant| variant.sampling.top_p > 1.0 || variant.sampling.min_p > 1.0)
        {
            return Err(wrong(
                resolved,
                "top-p",
                "`top-p` and `min-p` are shares from 0 to 1".to_owned(),
            ));
        }
        if self.cassette.is_none()
            && resolved
                .origin("cassette-mode")
                .is_some_and(|origin| origin.starts_with("flag"))
        {
            return Err(ConfigError {
                hint: Some("add `--cassette FILE`".to_owned()),
                ..wrong(
                    resolved,
                    "cassette-mode",
                    "`cassette-mode` says how a cassette is used, and none is named".to_owned(),
                )
            });
        }
        if self.margin_points > 100.0 {
            return Err(wrong(
                resolved,
                "margin",
                "`margin` is in points, at most 100".to_owned(),
            ));
        }
        for (name, value) in [
            ("timeout", self.rules.attempt_limit_ms),
            ("tool-timeout", self.tool_limit_ms),
        ] {
            if value == 0 {
                return Err(wrong(
                    resolved,
                    name,
                    format!("`{name}` must be more than 0"),
                ));
            }
        }
        if self.until_decided && self.shard.is_some() {
            return Err(ConfigError {
                message: "a shard cannot see whether the whole is decided".to_owned(),
                origin: resolved.origin("until-decided").map(str::to_owned),
                hint: Some("leave out either `--until-decided` or `--shard`".to_owned()),
            });
        }
        let nudge = self
            .variants
            .iter()
            .any(|variant| variant.correction == "nudge");
        if nudge && self.rules.tool_choice != crate::types::ToolChoice::Required {
            return Err(ConfigError {
                message: "correction `nudge` tells the model to make a call, which gives the answer away when it may also abstain".to_owned(),
                origin: resolved.origin("correction").map(str::to_owned),
                hint: Some("add `--tool-choice required`, or use `--correction located`".to_owned()),
            });
        }
        Ok(())
    }
}

fn wrong(resolved: &Resolved, name: &str, message: String) -> ConfigError {
    ConfigError {
        message,
        origin: resolved.origin(name).map(str::to_owned),
        hint: None,
    }
}

fn count(resolved: &Resolved, name: &str) -> Result<u32, ConfigError> {
    let value = resolved.count(name).unwrap_or_default();
    u32::try_from(value)
        .map_err(|_| wrong(resolved, name, format!("`{name}` is too large: {value}")))
}

fn number(resolved: &Resolved, name: &str) -> f32 {
    resolved.number(name).unwrap_or_default() as f32
}

fn milliseconds(resolved: &Resolved, name: &str) -> u64 {
    (resolved.number(name).unwrap_or_default() * 1000.0) as u64
}

fn parsed<T: FromStr<Err = String>>(resolved: &Resolved, name: &str) -> Result<T, ConfigError> {
    resolved
        .text(name)
        .unwrap_or_default()
        .parse()
        .map_err(|message| wrong(resolved, name, format!("{message} (setting `{name}`)")))
}

fn parsed_list<T: FromStr<Err = String> + PartialEq>(
    resolved: &Resolved,
    name: &str,
) -> Result<Vec<T>, ConfigError> {
    let mut values = Vec::new();
    for text in resolved.list(name) {
        let value = text
            .parse()
            .map_err(|message| wrong(resolved, name, format!("{message} (setting `{name}`)")))?;
        if !values.contains(&value) {
            values.push(value);
        }
    }
    Ok(values)
}

fn on_or_off(resolved: &Resolved, name: &str) -> Result<Option<bool>, ConfigError> {
    Ok(one_of(resolved, name, &["on", "off"])?.map(|text| text == "on"))
}

fn one_of(
    resolved: &Resolved,
    name: &str,
    choices: &[&str],
) -> Result<Option<String>, ConfigError> {
    let Some(text) = resolved.text(name) else {
        return Ok(None);
    };
    if choices.contains(&text) {
        return Ok(Some(text.to_owned()));
    }
    Err(ConfigError {
        message: format!(
            "`{text}` is not one of {} (setting `{name}`)",
            choices.join(", ")
        ),
        origin: resolved.origin(name).map(str::to_owned),
        hint: did_you_mean(text, choices.iter().copied()),
    })
}

fn shard(text: &str, resolved: &Resolved) -> Result<(u32, u32), ConfigError> {
    text.split_once('/')
        .and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)))
        .filter(|(index, count)| (1..=*count).contains(index))
        .ok_or_else(|| {
            let message = format!(
                "`{text}` is not I/N with I from 1 to N, nor `auto` or `auto/N` (setting `shard`)"
            );
            wrong(resolved, "shard", message)
        })
}

/// Which part it is stands in the environment.
fn is_auto(text: &str) -> bool {
    auto_shard(text).is_some()
}

/// What `auto` or `auto/N` says of the number of shards; `None` where the text is neither.
pub fn auto_shard(text: &str) -> Option<Option<u32>> {
    let rest = text.strip_prefix("auto")?;
    if rest.is_empty() {
        return Some(None);
    }
    let count: u32 = rest.strip_prefix('/')?.parse().ok()?;
    (count > 0).then_some(Some(count))
}

fn named_variants(
    resolved: &Resolved,
    patches: &BTreeMap<String, VariantPatch>,
    base: &Variant,
) -> Result<Vec<Variant>, ConfigError> {
    let names = resolved.list("variant");
    if names.is_empty() {
        return Ok(vec![base.clone()]);
    }
    if let Some((_, twice)) = names
        .iter()
        .enumerate()
        .find(|(index, name)| names[..*index].contains(name))
    {
        return Err(wrong(
            resolved,
            "variant",
            format!("variant `{twice}` is named twice"),
        ));
    }
    names
        .iter()
        .map(|name| match patches.get(name) {
            Some(patch) => patch.apply(name, base),
            None if name == "default" => Ok(base.clone()),
            None => Err(ConfigError {
                message: format!("unknown variant `{name}`"),
                origin: resolved.origin("variant").map(str::to_owned),
                hint: did_you_mean(name, patches.keys().map(String::as_str).chain(["default"]))
                    .or_else(|| {
                        Some("define it in toolbench.toml: [variants.NAME] few-shot = 2".to_owned())
                    }),
            }),
        })
        .collect()
}
