//! `toolbench run` and `toolbench compare`: settings to a plan, the plan to a record, the record
//! to the same report that `toolbench report` prints.

mod backends;
pub(in crate::cli) mod depends;
mod done;
mod dry;
mod header;
mod hybrid;
mod limits;
mod looks;
mod models;
mod planned;
mod probe;
mod replies;
mod resume;
mod served;
mod servers;
mod suites;

pub(in crate::cli) use done::{Done, Recorded, free_directory};
pub(in crate::cli) use limits::compiled as private;
pub(in crate::cli) use planned::Planned;
pub(in crate::cli) use probe::probe;
pub(in crate::cli) use suites::{mock, selected};

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::{App, CliError, Status};
use crate::cli::args::RunArgs;
use crate::cli::ui::RunProgress;
use crate::clock::{now_compact, now_rfc3339};
use crate::config::{Probes, Settings};
use crate::event::{Event, EventSink, Tee};
use crate::host::noise::{NoiseLimits, NoiseMonitor};
use crate::plan::Plan;
use crate::record::format::{Execution, Header, ToolPolicy, ToolServerHeader};
use crate::record::privacy::PrivateSink;
use crate::record::{Private, Run, RunWriter};
use crate::runner::{
    CorrectionStyle, Limits, Meter, ModelPrices, Ports, RunError, execute, prepare, probe_cells,
};
use crate::types::fingerprint::Fingerprint;
use crate::types::probe::{ProbeSet, ProbeVerdict};
use crate::types::{DialectName, ProviderError};
use header::{HeaderParts, Routing};
use models::RunModel;
use resume::Resumed;
use suites::RunSuites;

/// Runs, records, reports.
pub(in crate::cli) fn run(app: &App, args: &RunArgs, command: &str) -> Result<Status, CliError> {
    match recorded(app, args, command)? {
        Recorded::Dry(status) => Ok(status),
        Recorded::Run(done) => done.report(app),
    }
}

/// Runs and records.
pub(in crate::cli) fn recorded(
    app: &App,
    args: &RunArgs,
    command: &str,
) -> Result<Recorded, CliError> {
    let planned = Planned::of(app, args, command)?;
    if args.dry_run {
        return planned.dry_run(app).show().map(Recorded::Dry);
    }
    execute_planned(app, planned, command, &mut |_| Ok(()))
        .map(|done| Recorded::Run(Box::new(done)))
}

/// Is told the directory of a run as soon as there is one.
pub(in crate::cli) type Begun<'a> = dyn FnMut(&Path) -> Result<(), CliError> + 'a;

/// Runs and records what was planned.
pub(in crate::cli) fn execute_planned(
    app: &App,
    planned: Planned,
    command: &str,
    begun: &mut Begun<'_>,
) -> Result<Done, CliError> {
    let Planned {
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
    } = planned;
    let private = limits::private(&settings, resumed.as_ref())?;
    let limits = limits::limits(&settings, &models, prices.clone())?;
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
        policy: policy.as_ref(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::usage(format!("cannot start the runtime: {error}")))?;
    let ports = ports(&settings, &models, &suites, corrections, envelopes, limits);
    let (directory, interrupted) = runtime.block_on(prepared_run.drive(&ports, begun))?;
    Ok(Done {
        directory,
        interrupted,
        settings,
        outputs,
    })
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
    policy: Option<&'a ToolPolicy>,
}

impl RunParts<'_> {
    /// Prepares, records and executes; gives the run's directory and whether it was interrupted.
    async fn drive(
        &self,
        ports: &Ports,
        begun: &mut Begun<'_>,
    ) -> Result<(PathBuf, bool), CliError> {
        let cancel = self.app.interrupts();
        let mut prepared = prepare(ports, cancel).await;
        if cancel.stop.is_cancelled() {
            close(ports).await;
            return Err(CliError::usage("interrupted before the first trial")
                .kind("interrupted", Status::Interrupted));
        }
        let suites = self.suites.of_suites();
        let tool_servers = match servers::inspect(&suites, &prepared, self.policy).await {
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
            Some(resumed) => limits::recall_probes(&resumed.run.header, &ports.meter),
            None => self.probes(&prepared, &routing, ports).await,
        };
        let (mut writer, finished) =
            self.writer(&prepared, &routing, &ports.meter, tool_servers)?;
        let directory = writer.directory().to_path_buf();
        begun(&directory)?;
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
        let (plan, routes) = (self.plan, &routing.routes);
        let left_out = |reason: &str| self.app.ui.say(&format!("note: {reason}"));
        let sets = probe_cells(plan, prepared, routes, ports, all, cancel, &left_out).await;
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
                    "change what the reason names: another `--dialect`, `--constraint` or `--suite`, or a setting left at its default"
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
            tool_policy: self.policy,
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
        hybrids: hybrid::by_served_index(models),
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

/// Ends every server and engine.
async fn close(ports: &Ports) {
    for host in &ports.hosts {
        host.close().await;
    }
    for provider in ports.all_providers() {
        provider.close().await;
    }
}
