//! Suite names to suites with hosts; suites that cannot run here are skipped with their reason.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::{App, CliError, Status};
use super::servers::{GivenHost, GivenServers, OfSuite, check_states};
use crate::cli::servers;
use crate::config::{Resolved, Settings};
use crate::plan::sample;
use crate::record::format::SampleHeader;
use crate::runner::CorrectionStyle;
use crate::suite::select;
use crate::tools::ToolHost;
use crate::tools::mock::MockHost;
use crate::types::{ContentHash, DialectName, Suite, ToolDefinition};
use crate::validate::ToolSchemas;

/// A named suite that cannot run on this machine.
pub(super) struct SkippedSuite {
    pub(super) suite: String,
    pub(super) cases: usize,
    pub(super) reason: String,
}

/// The suites of a run; `suites`, `hosts` and `given` go together by index.
pub(super) struct RunSuites {
    /// As named.
    pub(super) selection: Vec<String>,
    /// How many of the selected cases were drawn.
    pub(super) sample: Option<SampleHeader>,
    /// With the selected cases.
    pub(super) suites: Vec<Suite>,
    /// One host per suite.
    pub(super) hosts: Vec<Arc<dyn ToolHost>>,
    /// What stands behind it where the command line names it, per suite.
    pub(super) given: Vec<Option<GivenHost>>,
    /// The pool for `--distractors`; empty when none are asked for.
    pub(super) distractors: Vec<ToolDefinition>,
    pub(super) skipped: Vec<SkippedSuite>,
}

impl RunSuites {
    /// No suite at all: for commands that only talk to models.
    pub(super) fn none() -> Self {
        Self {
            selection: Vec::new(),
            sample: None,
            suites: Vec::new(),
            hosts: Vec::new(),
            distractors: Vec::new(),
            skipped: Vec::new(),
            given: Vec::new(),
        }
    }

    /// Leaves out suites of which nothing is planned, with their hosts: cells name both by the index of
    /// the plan's suites, and a shard's plan has only those of which it holds a case.
    pub(super) fn keep(&mut self, planned: &[Suite]) {
        let is_planned: Vec<bool> = self
            .suites
            .iter()
            .map(|own| planned.iter().any(|other| other.suite == own.suite))
            .collect();
        retain(&mut self.suites, &is_planned);
        retain(&mut self.hosts, &is_planned);
        retain(&mut self.given, &is_planned);
    }

    pub(super) fn distractors_hash(&self) -> String {
        ContentHash::of_value(&self.distractors).0
    }

    /// Each suite with what it was given instead of its own host.
    pub(super) fn of_suites(&self) -> Vec<OfSuite<'_>> {
        let given = self.given.iter().map(Option::as_ref);
        self.suites.iter().zip(given).collect()
    }

    /// What they are, for the plan's hash; empty where there are none.
    pub(super) fn servers_identity(&self) -> String {
        let lines: Vec<String> = self
            .servers()
            .into_iter()
            .map(|(name, address)| format!("{name}: {address}"))
            .collect();
        lines.join("\n")
    }

    /// Names and addresses of the servers of the command line.
    pub(super) fn servers(&self) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = Vec::new();
        for opened in self.given.iter().flatten().flat_map(|given| &given.opened) {
            let line = (opened.name.clone(), opened.without_secrets(&opened.shown));
            if !found.contains(&line) {
                found.push(line);
            }
        }
        found
    }
}

fn retain<T>(items: &mut Vec<T>, stays: &[bool]) {
    let mut stays = stays.iter();
    items.retain(|_| stays.next() == Some(&true));
}

/// The suites of the settings with the cases that they select, before any sample is drawn.
pub(in crate::cli) fn selected(
    app: &App,
    resolved: &Resolved,
    settings: &Settings,
) -> Result<Vec<Suite>, CliError> {
    let library = app.library(resolved);
    let mut loaded = Vec::new();
    for name in &settings.suites {
        for suite in library.load(name)? {
            add_suite(&mut loaded, suite)?;
        }
    }
    let (selected, unused) = select(loaded, &settings.selection());
    if let Some(filter) = unused.first() {
        return Err(CliError::usage(format!(
            "`{filter}` selects no case of {}",
            settings.suites.join(", ")
        ))
        .kind("nothing_selected", Status::NothingSelected)
        .hint("`toolbench suite show NAME` lists a suite's cases, categories and tags"));
    }
    Ok(selected)
}

/// Loads, selects, checks and gives each suite its host.
pub(super) fn load(
    app: &App,
    resolved: &Resolved,
    settings: &Settings,
    given: Option<&GivenServers<'_>>,
) -> Result<RunSuites, CliError> {
    let library = app.library(resolved);
    let (selected, sample) = draw(app, settings, selected(app, resolved, settings)?);
    let wants_distractors = settings
        .variants
        .iter()
        .any(|variant| variant.distractors > 0);
    let mut run = RunSuites {
        selection: settings.suites.clone(),
        sample,
        suites: Vec::new(),
        hosts: Vec::new(),
        given: Vec::new(),
        distractors: if wants_distractors {
            library.distractors()?
        } else {
            Vec::new()
        },
        skipped: Vec::new(),
    };
    check_distractors(settings, &run.distractors)?;
    check_few_shot(settings, &selected)?;
    for suite in selected {
        if let Some(given) = given {
            let own = given.host(app, resolved, settings, &suite)?;
            run.push(suite, Arc::clone(&own.host), Some(own));
        } else {
            run.add(app, resolved, settings, suite)?;
        }
    }
    if run.suites.is_empty() && !run.skipped.is_empty() {
        return Err(
            CliError::usage(format!("no suite can run here: {}", run.skipped[0].reason))
                .kind("undecidable", Status::Undecidable),
        );
    }
    Ok(run)
}

/// With `--sample`, only the cases drawn; suites left without any are not run.
fn draw(
    app: &App,
    settings: &Settings,
    selected: Vec<Suite>,
) -> (Vec<Suite>, Option<SampleHeader>) {
    let Some(size) = settings.sample else {
        return (selected, None);
    };
    let of = selected.iter().map(|suite| suite.cases.len()).sum();
    if size > of {
        app.ui.say(&format!(
            "note: `--sample {size}` takes all {of} cases selected"
        ));
    }
    let header = SampleHeader {
        cases: size.min(of),
        of,
        seed: settings.seed,
    };
    (sample(selected, size, settings.seed), Some(header))
}

/// Adds a suite; of one that is there already (`quick` and `weather`, say) the further cases.
fn add_suite(loaded: &mut Vec<Suite>, suite: Suite) -> Result<(), CliError> {
    let Some(known) = loaded.iter_mut().find(|other| other.suite == suite.suite) else {
        loaded.push(suite);
        return Ok(());
    };
    let offered = |suite: &Suite| Suite {
        cases: Vec::new(),
        ..suite.clone()
    };
    if offered(known) != offered(&suite) {
        return Err(
            CliError::usage(format!("two different suites are called `{}`", suite.suite))
                .kind("suite", Status::Usage)
                .hint("give one of them another name in its `suite:` line"),
        );
    }
    for case in suite.cases {
        if known.cases.iter().all(|other| other.id != case.id) {
            known.cases.push(case);
        }
    }
    Ok(())
}

/// Grammar envelopes of the user's folder, `grammars/DIALECT.yaml`, each tried before it is used.
pub(super) fn envelopes(
    app: &App,
    resolved: &Resolved,
) -> Result<BTreeMap<DialectName, String>, CliError> {
    let folder = app.data_folder(resolved).join("grammars");
    let mut envelopes = BTreeMap::new();
    for &name in DialectName::ALL {
        let path = folder.join(format!("{name}.yaml"));
        if !path.exists() {
            continue;
        }
        let failed = |reason: String| {
            CliError::usage(format!("grammar {}: {reason}", path.display()))
                .kind("grammar", Status::Usage)
                .hint("compare it with the built-in one of the same name in grammars/")
        };
        let text = std::fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
        crate::dialect::envelope::check(&text).map_err(|error| failed(error.to_string()))?;
        envelopes.insert(name, text);
    }
    Ok(envelopes)
}

impl RunSuites {
    fn add(
        &mut self,
        app: &App,
        resolved: &Resolved,
        settings: &Settings,
        suite: Suite,
    ) -> Result<(), CliError> {
        let limit = Duration::from_millis(settings.tool_limit_ms);
        if suite.server.is_some() {
            check_states(&suite)?;
            match servers::host(app, resolved, &suite, limit) {
                Ok((suite, host)) => {
                    self.push(suite, Arc::new(host), None);
                }
                Err(reason) => self.skipped.push(SkippedSuite {
                    cases: suite.cases.len(),
                    suite: suite.suite,
                    reason,
                }),
            }
            return Ok(());
        }
        let host = mock(&suite).map_err(|mut error| {
            let library = app.library(resolved);
            let mut names = settings.suites.iter().chain([&suite.suite]);
            if let Some(place) = names.find_map(|name| library.place_of(name, &error.message)) {
                error.message = format!("{}\n  {place}", error.message);
            }
            error
        })?;
        self.push(suite, Arc::new(host), None);
        Ok(())
    }

    fn push(&mut self, suite: Suite, host: Arc<dyn ToolHost>, given: Option<GivenHost>) {
        self.suites.push(suite);
        self.hosts.push(host);
        self.given.push(given);
    }
}

/// The mock of a suite, with its tools' schemas checked.
pub(in crate::cli) fn mock(suite: &Suite) -> Result<MockHost, CliError> {
    ToolSchemas::compile(&suite.tools).map_err(|error| {
        CliError::usage(format!("suite `{}`: {error}", suite.suite))
            .kind("suite", Status::Usage)
            .hint("`toolbench suite check` checks every schema of a suite")
    })?;
    let mock = suite.mock.clone().unwrap_or_default();
    // Rules may answer tools of cases, also of cases that are not selected now; that they name
    // nothing else was checked when the suite was read.
    let of_cases = suite.cases.iter().flat_map(|case| &case.own_tools);
    let of_rules = mock.rules.iter().map(|rule| rule.tool.clone());
    let case_tools = of_cases
        .map(|tool| tool.name.clone())
        .chain(of_rules)
        .collect();
    MockHost::with_case_tools(&suite.suite, suite.tools.clone(), case_tools, mock).map_err(
        |error| {
            CliError::usage(format!("suite `{}`: {error}", suite.suite))
                .kind("suite", Status::Usage)
        },
    )
}

fn check_few_shot(settings: &Settings, suites: &[Suite]) -> Result<(), CliError> {
    for variant in &settings.variants {
        let short = suites
            .iter()
            .find(|suite| suite.examples.len() < variant.few_shot as usize);
        if let Some(suite) = short {
            return Err(CliError::usage(format!(
                "{} examples are asked for, suite `{}` has {}",
                variant.few_shot,
                suite.suite,
                suite.examples.len()
            ))
            .hint(format!("use `--few-shot {}` at most", suite.examples.len())));
        }
    }
    Ok(())
}

fn check_distractors(settings: &Settings, pool: &[ToolDefinition]) -> Result<(), CliError> {
    match settings
        .variants
        .iter()
        .find(|variant| variant.distractors as usize > pool.len())
    {
        Some(variant) => Err(CliError::usage(format!(
            "{} distractors are asked for, there are {}",
            variant.distractors,
            pool.len()
        ))
        .hint(format!("use `--distractors {}` at most", pool.len()))),
        None => Ok(()),
    }
}

/// The correction styles that the variants name: built in, or files.
pub(super) fn corrections(
    settings: &Settings,
) -> Result<BTreeMap<String, CorrectionStyle>, CliError> {
    let mut styles = BTreeMap::new();
    for variant in &settings.variants {
        let name = &variant.correction;
        let built_in = crate::runner::BUILT_IN_CORRECTIONS
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, text)| (*text).to_owned());
        let text = match built_in {
            Some(text) => text,
            None => std::fs::read_to_string(name).map_err(|error| {
                CliError::usage(format!(
                    "correction `{name}` is no style and cannot be read: {error}"
                ))
                .hint("the styles are plain, located and nudge; anything else is a template file")
            })?,
        };
        let style = CorrectionStyle::compile(name, &text)
            .map_err(|error| CliError::usage(error.to_string()))?;
        styles.insert(name.clone(), style);
    }
    Ok(styles)
}
