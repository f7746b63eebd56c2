//! `toolbench run` and `toolbench compare`: settings to a plan, the plan to a record, the record
//! to the same report that `toolbench report` prints.

mod backends;
mod dry;
mod header;
mod hybrid;
mod limits;
mod looks;
mod models;
mod probe;
mod recorded;
mod replies;
mod resume;
mod served;
mod servers;
mod suites;

pub(in crate::cli) use limits::compiled as private;
pub(in crate::cli) use probe::probe;
pub(in crate::cli) use recorded::{Done, Recorded, free_directory};
pub(in crate::cli) use suites::mock;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::report::{ReportOptions, print_run, status_of};
use super::{App, CliError, Status};
use crate::cli::args::RunArgs;
use crate::cli::ui::RunProgress;
use crate::clock::{now_compact, now_rfc3339};
use crate::config::{Probes, Settings};
use crate::event::{Event, EventSink, Tee};
use crate::host::noise::{NoiseLimits, NoiseMonitor};
use crate::plan::{Plan, PlanInput, build};
use crate::record::format::{Execution, Header, SCORER_VERSION, ToolServerHeader};
use crate::record::privacy::PrivateSink;
use crate::record::{Private, Run, RunWriter};
use crate::runner::{
    CorrectionStyle, Hybrid, Limits, Meter, ModelPrices, Ports, RunError, execute, prepare,
    probe_cells,
};
use crate::types::fingerprint::Fingerprint;
use crate::types::probe::{ProbeSet, ProbeVerdict};
use crate::types::violation::TAXONOMY_VERSION;
use crate::types::{ContentHash, DialectName, ProviderError};
use header::{HeaderParts, Routing};
use models::RunModel;
use resume::Resumed;
use servers::GivenServers;
use suites::RunSuites;

/// Runs, records, reports.
pub(in crate::cli) fn run(app: &App, args: &RunArgs, command: &str) -> Result<Status, CliError> {
    match record_run(app, args, command)? {
        Recorded::Dry(status) => Ok(status),
        Recorded::Run(done) => finish(app, &done.settings, &done.directory, done.interrupted),
    }
}

/// Runs and records.
pub(in crate::cli) fn record_run(
    app: &App,
    args: &RunArgs,
    command: &str,
) -> Result<Recorded, CliError> {
    let resumed = args
        .resume
        .as_deref()
        .map(|name| Resumed::open(app, args, name))
        .transpose()?;
    let resolved = match &resumed {
        Some(resumed) => App::resolve_stored(&resumed.flags)?,
        None => app.resolve(&args.settings)?,
    };
    let settings = app.settings(&resolved)?;
    let names = match &resumed {
        Some(resumed) if args.models.is_empty() => resumed.models(),
        _ => models::in_quants(app, &args.models, &settings.quants)?,
    };
    check_names(&names, command, &settings)?;
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
    let suites = suites::load(app, &resolved, &settings, given.as_ref())?;
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
    if let Some(resumed) = &resumed {
        resumed.check(&plan, &settings, &fingerprint, &suites.servers())?;
    }
    let private = limits::private(&settings, resumed.as_ref())?;
    let prices = limits::prices(app, &resolved, &models, resumed.as_ref())?;
    let limits = limits::limits(&settings, &models, prices.clone())?;
    if args.dry_run {
        let dry = dry::DryRun {
            app,
            settings: &settings,
            plan: &plan,
            suites: &suites,
            models: &models,
            prices: &prices,
            fingerprint: &fingerprint,
            done: resumed
                .as_ref()
                .map(|it| it.run.finished())
                .unwrap_or_default(),
        };
        return dry.show().map(Recorded::Dry);
    }
    let prepared_run = RunParts {
        app,
        command,
        settings: &settings,
        resolved: &resolved,
        plan: &plan,
        models: &models,
        suites: &suites,
        fingerprint: &fingerprint,
        prices: &prices,
        private: &private,
        resumed: resumed.as_ref(),
        accept_drift: args.safety.accept_drift,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::usage(format!("cannot start the runtime: {error}")))?;
    let ports = ports(&settings, &models, &suites, corrections, envelopes, limits);
    let (directory, interrupted) = runtime.block_on(prepared_run.drive(&ports))?;
    Ok(Recorded::Run(Box::new(Done {
        settings,
        directory,
        interrupted,
    })))
}

/// What a run is made of once everything is known but the models' own facts.
struct RunParts<'a> {
    app: &'a App,
    command: &'a str,
    settings: &'a Settings,
    resolved: &'a crate::config::Resolved,
    plan: &'a Plan,
    models: &'a [RunModel],
    suites: &'a RunSuites,
    fingerprint: &'a Fingerprint,
    prices: &'a [ModelPrices],
    private: &'a Private,
    resumed: Option<&'a Resumed>,
    accept_drift: bool,
}

impl RunParts<'_> {
    /// Prepares, records and executes; gives the run's directory and whether it was interrupted.
    async fn drive(&self, ports: &Ports) -> Result<(PathBuf, bool), CliError> {
        let cancel = self.app.interrupts();
        let mut prepared = prepare(ports, cancel).await;
        if cancel.stop.is_cancelled() {
            close(ports).await;
            return Err(CliError::usage("interrupted before the first trial")
                .kind("interrupted", Status::Interrupted));
        }
        let suites = self.suites.of_suites();
        let tool_servers = match servers::inspect(&suites, &prepared, self.accept_drift).await {
            Ok(tool_servers) => tool_servers,
            Err(error) => {
                close(ports).await;
                return Err(error);
            }
        };
        let mut routing = Routing::of(
            self.plan,
            self.models,
            self.settings.wire,
            &prepared,
            &self.suites.skipped,
        );
        if let Some(resumed) = self.resumed {
            routing.keep_only(self.plan, &resumed.run.header);
        }
        self.require_something(&prepared, &routing)?;
        prepared.probes = match self.resumed {
            Some(resumed) => resumed.run.header.probes.clone(),
            None => self.probes(&prepared, &routing, ports).await,
        };
        let (mut writer, finished) =
            self.writer(&prepared, &routing, &ports.meter, tool_servers)?;
        let directory = writer.directory().to_path_buf();
        self.app.ui.say(&format!("record: {}", directory.display()));
        let mut progress = RunProgress::new(&self.app.ui);
        for message in routing.notices() {
            progress.on_event(&Event::Notice { message })?;
        }
        let mut tee = Tee(vec![&mut writer, &mut progress]);
        let mut sink = PrivateSink::new(self.private, &mut tee);
        let result = if self.plan.looks.is_some() {
            let looking = looks::Looking {
                plan: self.plan,
                prepared: &prepared,
                routes: &routing.routes,
                ports,
                directory: &directory,
                cancel,
            };
            looking.until_decided(finished, &mut sink).await
        } else {
            execute(
                self.plan,
                &prepared,
                &routing.routes,
                ports,
                &finished,
                &mut sink,
                cancel,
            )
            .await
            .map(|totals| totals.interrupted)
            .map_err(run_error)
        };
        close(ports).await;
        Ok((directory, result?))
    }

    /// Tries served models out, and says what was found.
    async fn probes(
        &self,
        prepared: &crate::runner::Prepared,
        routing: &Routing,
        ports: &Ports,
    ) -> Vec<ProbeSet> {
        if self.settings.probes == Probes::Off {
            return Vec::new();
        }
        let all = self.settings.probes == Probes::On;
        let cancel = self.app.interrupts();
        let sets = probe_cells(self.plan, prepared, &routing.routes, ports, all, cancel).await;
        for set in &sets {
            for result in &set.results {
                if result.verdict == ProbeVerdict::Violated {
                    self.app.ui.say(&format!(
                        "probe: {} over {}: {}: {}",
                        set.model,
                        set.wire.as_str(),
                        result.probe.as_str(),
                        result.detail
                    ));
                }
            }
        }
        sets
    }

    /// Fails early when no model could be loaded, with the first reason.
    fn require_something(
        &self,
        prepared: &crate::runner::Prepared,
        routing: &Routing,
    ) -> Result<(), CliError> {
        let served = || 0..prepared.models.len();
        if let Some((index, leg, error)) = served().find_map(|index| {
            let legs = prepared.legs(index).into_iter().enumerate();
            let mut failed = legs.filter_map(|(leg, model)| Some((leg, model.as_ref().err()?)));
            failed.next().map(|(leg, error)| (index, leg, error))
        }) && served().all(|index| prepared.usable(index).is_err())
        {
            // By served index: a model stands there once for each context.
            let model = &self.models[index / self.plan.contexts.len().max(1)];
            let name = match &model.hybrid {
                Some(hybrid) => &hybrid.legs[leg].name,
                None => &model.name,
            };
            let error = match error {
                ProviderError::NotEnoughMemory { .. } => {
                    return Err(CliError::usage(format!("model `{name}` does not fit: {error}"))
                        .kind("does_not_fit", Status::Undecidable)
                        .hint(format!(
                            "a smaller quantisation: `--quant q4_k_m,q4_0`; `toolbench model show {name}` \
                             shows what it needs"
                        )));
                }
                error => error,
            };
            return Err(CliError::usage(format!("model `{name}` cannot be used: {error}"))
            .kind("model", Status::Usage)
            .hint("`toolbench model show NAME` inspects a file, `toolbench doctor` the machine"));
        }
        if routing.routes.iter().any(Option::is_some) {
            return Ok(());
        }
        let mut reasons: Vec<&str> = routing
            .excluded
            .iter()
            .map(|excluded| excluded.reason.as_str())
            .collect();
        reasons.dedup();
        let failed = routing.excluded.iter().any(|excluded| excluded.failed);
        Err(
            CliError::usage(format!("nothing can be run: {}", reasons.join("; ")))
                .kind("undecidable", Status::Undecidable)
                .hint(if failed {
                    "`toolbench doctor` says what is missing, or choose another `--suite`"
                } else {
                    "try another `--dialect`, `--constraint` or `--suite`"
                }),
        )
    }

    /// A new record, or the resumed one with what it already holds.
    fn writer(
        &self,
        prepared: &crate::runner::Prepared,
        routing: &Routing,
        meter: &Meter,
        tool_servers: Vec<ToolServerHeader>,
    ) -> Result<(RunWriter, HashSet<String>), CliError> {
        let execution = |done| Execution {
            started_at: now_rfc3339(),
            process: std::process::id(),
            done,
            fingerprint: self.fingerprint.clone(),
        };
        if let Some(resumed) = self.resumed {
            let directory = &resumed.run.directory;
            let lock = RunWriter::lock(directory)?;
            // Read again under the lock: another process may have written in between.
            let run = Run::open(directory)?;
            for trial in &run.trials {
                meter.recall(self.plan, &self.suites.distractors, trial);
            }
            let finished = run.finished();
            let known = run.content()?.into_keys().collect();
            let writer = RunWriter::resume(directory, lock, &execution(finished.len()), known)?;
            return Ok((writer, finished));
        }
        let name = format!(
            "{}-{}",
            now_compact(),
            self.plan.hash.short().get(..6).unwrap_or("")
        );
        let directory = free_directory(&self.settings.out, &name);
        let mut header: Header = header::header(&HeaderParts {
            directory: &directory,
            command: self.command,
            settings: self.settings,
            resolved: self.resolved,
            plan: self.plan,
            models: self.models,
            suites: self.suites,
            prepared,
            routing,
            tool_servers,
            fingerprint: self.fingerprint,
            prices: self.prices,
        });
        self.private.in_header(&mut header);
        let writer = RunWriter::create(&directory, &header, &execution(0))?;
        Ok((writer, HashSet::new()))
    }
}

fn run_error(error: RunError) -> CliError {
    match error {
        RunError::Sink(error) => error.into(),
        error @ RunError::UnknownCorrection(_) => CliError::usage(error.to_string()),
    }
}

/// Reads the record back and prints it as `report` would.
fn finish(
    app: &App,
    settings: &Settings,
    directory: &Path,
    interrupted: bool,
) -> Result<Status, CliError> {
    let run = Run::open(directory)?;
    let by = settings.by.as_deref();
    let summary = print_run(&run, &settings.format, by, &ReportOptions::default(), app)?;
    servers::say_refusals(app, &run);
    if interrupted {
        app.ui.say(&format!(
            "interrupted; go on with: toolbench {} --resume {}",
            run.header.command,
            directory.display()
        ));
        return Ok(Status::Interrupted);
    }
    if !summary.ended_early.is_empty() {
        app.ui.say(&format!(
            "ended early; go on with: toolbench {} --resume {}",
            run.header.command,
            directory.display()
        ));
    }
    Ok(status_of(&run.header, &summary))
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
        ("engine", super::engine_build()),
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

fn ports(
    settings: &Settings,
    models: &[RunModel],
    suites: &RunSuites,
    corrections: BTreeMap<String, CorrectionStyle>,
    envelopes: BTreeMap<DialectName, String>,
    limits: Limits,
) -> Ports {
    Ports {
        providers: models
            .iter()
            .flat_map(|model| model.providers.clone())
            .collect(),
        hybrids: hybrids(models),
        envelopes,
        hosts: suites.hosts.clone(),
        distractors: suites.distractors.clone(),
        corrections,
        concurrency: settings.concurrency,
        meter: Meter::new(limits),
        noise: Box::new(|| {
            let monitor = NoiseMonitor::start(NoiseLimits::default());
            Box::new(move || monitor.is_noisy())
        }),
    }
}

fn hybrids(models: &[RunModel]) -> BTreeMap<usize, Hybrid> {
    let mut hybrids = BTreeMap::new();
    let mut served = 0;
    for model in models {
        for context in 0..model.providers.len() {
            if let Some(hybrid) = &model.hybrid
                && let Some((first, further)) = hybrid.legs.split_first()
            {
                let further = further.iter();
                let further = further.map(|leg| (leg.name.clone(), leg.providers[context].clone()));
                let hybrid = Hybrid {
                    first: first.name.clone(),
                    further: further.collect(),
                    rules: hybrid.rules.clone(),
                };
                hybrids.insert(served, hybrid);
            }
            served += 1;
        }
    }
    hybrids
}

async fn close(ports: &Ports) {
    for host in &ports.hosts {
        host.close().await;
    }
    for provider in ports.all_providers() {
        provider.close().await;
    }
}
