//! What a run is, before anything is asked: settings, suites, models, and the plan made of them.
//!
//! Data in: arguments, files, the environment. Data out: [`Planned`]. Invariants: no model and no tool
//! server is asked anything but what its name resolves to; equal inputs give equal plans.

use std::collections::BTreeMap;

use super::super::{App, CliError};
use super::dry::DryRun;
use super::limits;
use super::models::{self, RunModel};
use super::resume::Resumed;
use super::servers::GivenServers;
use super::suites::{self, RunSuites};
use crate::cli::args::RunArgs;
use crate::cli::outputs::Outputs;
use crate::cli::shard;
use crate::config::{Resolved, Settings};
use crate::plan::{Plan, PlanInput, build};
use crate::record::format::{SCORER_VERSION, ToolPolicy};
use crate::runner::{CorrectionStyle, ModelPrices};
use crate::types::fingerprint::Fingerprint;
use crate::types::violation::TAXONOMY_VERSION;
use crate::types::{ContentHash, DialectName};

/// A run that could start.
pub(in crate::cli) struct Planned {
    pub(super) resumed: Option<Resumed>,
    pub(super) resolved: Resolved,
    pub(super) settings: Settings,
    pub(super) fingerprint: Fingerprint,
    pub(super) suites: RunSuites,
    pub(super) envelopes: BTreeMap<DialectName, String>,
    pub(super) models: Vec<RunModel>,
    pub(super) corrections: BTreeMap<String, CorrectionStyle>,
    pub(super) plan: Plan,
    pub(super) prices: Vec<ModelPrices>,
    /// What may be called on the tool servers that were given.
    pub(super) policy: Option<ToolPolicy>,
    pub(super) outputs: Outputs,
}

impl Planned {
    /// Resolves and checks everything.
    pub(in crate::cli) fn of(app: &App, args: &RunArgs, command: &str) -> Result<Self, CliError> {
        let resumed = args
            .resume
            .as_deref()
            .map(|name| Resumed::open(app, args, name))
            .transpose()?;
        let resolved = match &resumed {
            Some(resumed) => App::resolve_stored(&resumed.flags)?,
            None => shard::in_force(app.resolve(&args.settings)?, &app.env.variables)?,
        };
        let settings = app.settings(&resolved)?;
        let outputs = Outputs::of(&settings)?;
        let names = match &resumed {
            Some(resumed) if args.models.is_empty() => resumed.models(),
            _ => models::in_quants(app, &args.models, &settings.quants)?,
        };
        check_names(&names, command, &settings)?;
        check_shard(app, &settings)?;
        let fingerprint = crate::host::fingerprint();
        if fingerprint
            .load_average
            .is_some_and(|load| load > 0.5 * f64::from(fingerprint.logical_cores))
        {
            app.ui.say(
                "note: the machine is busy with something else; times and time limits will suffer",
            );
        }
        let given = GivenServers::of(args)?;
        let mut suites = suites::load(app, &resolved, &settings, given.as_ref())?;
        let envelopes = suites::envelopes(app, &resolved)?;
        let models = models::resolve(app, &resolved, &settings, &names, args.dry_run)?;
        check_weights(&models)?;
        let corrections = suites::corrections(&settings)?;
        let plan = build(&plan_input(
            &settings,
            &suites,
            &models,
            &corrections,
            &envelopes,
            &fingerprint,
        ))?;
        suites.keep(&plan.suites);
        // Refused before anything starts, also in a dry run.
        let private = limits::private(&settings, resumed.as_ref())?;
        let policy = given.map(|given| given.policy);
        if let Some(resumed) = &resumed {
            resumed.check_servers(&suites.servers(), policy.as_ref(), &private)?;
            resumed.check(&plan, &settings, &fingerprint)?;
        }
        let prices = limits::prices(app, &resolved, &models, resumed.as_ref())?;
        limits::limits(&settings, &models, prices.clone())?;
        Ok(Self {
            resumed,
            resolved,
            settings,
            fingerprint,
            suites,
            envelopes,
            models,
            corrections,
            plan,
            prices,
            policy,
            outputs,
        })
    }

    /// The listing of a dry run.
    pub(super) fn dry_run<'a>(&'a self, app: &'a App) -> DryRun<'a> {
        DryRun {
            app,
            settings: &self.settings,
            plan: &self.plan,
            suites: &self.suites,
            models: &self.models,
            prices: &self.prices,
            fingerprint: &self.fingerprint,
            resumed: self.resumed.is_some(),
            done: self
                .resumed
                .as_ref()
                .map(|it| it.run.finished())
                .unwrap_or_default(),
        }
    }
}

/// What a shard cannot share with the others, and what it does not bound for them.
fn check_shard(app: &App, settings: &Settings) -> Result<(), CliError> {
    let Some((_, count)) = settings.shard.filter(|(_, count)| *count > 1) else {
        return Ok(());
    };
    if settings.cassette.is_some() && settings.cassette_mode != "replay" {
        return Err(CliError::usage(
            "a cassette has one writer, and shards would write over one another's replies",
        )
        .hint("record it without `--shard`, then replay it in shards: `--cassette-mode replay`"));
    }
    let limits = &settings.limits;
    let set: Vec<&str> = [
        ("--budget", limits.budget.is_some()),
        ("--limit-time", limits.time_ms.is_some()),
        ("--limit-tokens", limits.tokens.is_some()),
        ("--limit-requests", limits.requests.is_some()),
        ("--max-fail", limits.failures.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, is_set)| is_set.then_some(name))
    .collect();
    if !set.is_empty() {
        app.ui.say(&format!(
            "note: {} holds for this shard alone; {count} shards may take {count} times as much",
            set.join(", ")
        ));
    }
    Ok(())
}

fn check_names(names: &[String], command: &str, settings: &Settings) -> Result<(), CliError> {
    if names.is_empty() {
        return Err(CliError::usage(format!("`toolbench {command}` needs at least one model"))
            .hint("`toolbench model list` shows which there are, e.g. `toolbench compare smollm2 qwen2.5-coder:0.5b`"));
    }
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            return Err(CliError::usage(format!("model `{name}` is named twice"))
                .hint("to compare a model with itself, name variants: `--variant default,mine`"));
        }
    }
    let cells = names.len()
        * settings.variants.len()
        * settings.dialects.len()
        * settings.constraints.len();
    if settings.until_decided && cells < 2 {
        return Err(CliError::usage(
            "`--until-decided` needs two things to compare, and there is only one",
        )
        .hint(
            "name two models, or several of `--variant`, `--dialect` or `--constraint`; `--sample N` bounds a single one",
        ));
    }
    if command == "compare" && cells < 2 {
        return Err(CliError::usage("there is only one thing to compare").hint(
            "name two models, or several of `--variant`, `--dialect` or `--constraint`; `toolbench run` takes one",
        ));
    }
    Ok(())
}

fn check_weights(models: &[RunModel]) -> Result<(), CliError> {
    for (index, model) in models.iter().enumerate() {
        if let Some(same) = models[..index]
            .iter()
            .find(|other| other.identity == model.identity)
        {
            return Err(CliError::usage(format!(
                "`{}` and `{}` are the same model",
                same.name, model.name
            ))
            .hint("to compare a model with itself, name variants: `--variant default,mine`"));
        }
    }
    Ok(())
}

fn plan_input(
    settings: &Settings,
    suites: &RunSuites,
    models: &[RunModel],
    corrections: &BTreeMap<String, CorrectionStyle>,
    envelopes: &BTreeMap<DialectName, String>,
    fingerprint: &Fingerprint,
) -> PlanInput {
    let mut identities: BTreeMap<String, String> = corrections
        .iter()
        .map(|(name, style)| (format!("correction {name}"), style.hash.0.clone()))
        .collect();
    for (name, value) in [
        ("toolbench", env!("CARGO_PKG_VERSION").to_owned()),
        ("scorer", SCORER_VERSION.to_string()),
        ("taxonomy", TAXONOMY_VERSION.to_string()),
        ("engine", super::super::engine_build()),
        ("grammars", crate::dialect::forms_hash().0),
        ("own grammars", ContentHash::of_value(envelopes).0),
        ("distractors", suites.distractors_hash()),
        ("tool_timeout_ms", settings.tool_limit_ms.to_string()),
    ] {
        identities.insert(name.to_owned(), value);
    }
    if let Some(file) = settings
        .cassette
        .as_ref()
        .filter(|_| settings.cassette_mode != "record")
    {
        // A run that replays is not to be gone on with by one that asks.
        identities.insert(
            "cassette".to_owned(),
            format!("{} {}", settings.cassette_mode, file.display()),
        );
    }
    let servers = suites.servers_identity();
    if !servers.is_empty() {
        identities.insert("tool servers".to_owned(), servers);
    }
    let shown = |value: Option<String>| value.unwrap_or_else(|| "auto".to_owned());
    let engine = [
        ("threads", settings.threads.to_string()),
        (
            "gpu_layers",
            shown(settings.gpu_layers.map(|layers| layers.to_string())),
        ),
        (
            "flash_attention",
            shown(settings.flash_attention.map(|on| on.to_string())),
        ),
        ("kv_cache_type", shown(settings.kv_cache_type.clone())),
        ("wire", settings.wire.as_str().to_owned()),
    ]
    .into_iter()
    .filter(|(name, value)| *name != "wire" || value != "auto")
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    PlanInput {
        models: models
            .iter()
            .map(|model| (model.name.clone(), model.identity.clone()))
            .collect(),
        dialects: settings.dialects.clone(),
        constraints: settings.constraints.clone(),
        variants: settings.variants.clone(),
        suites: suites.suites.clone(),
        trials: settings.trials,
        until_decided: settings.until_decided.then_some(settings.max_trials),
        seed: settings.seed,
        rules: settings.rules.clone(),
        tier: fingerprint.tier.clone(),
        remote: models
            .iter()
            .filter(|model| model.remote)
            .map(|model| model.name.clone())
            .collect(),
        shard: settings.shard,
        engine,
        identities,
    }
}
