//! What a verdict on a run depends on, item by item, so that a change can be named.
//!
//! Data in: a planned run; for real servers what they list now. Data out: names with values or hashes.
//! Invariants: equal plans on equal tools have equal dependencies; the hash of the plan itself is
//! among them, so that no change goes unseen, named or not.

use std::collections::BTreeMap;

use super::super::{App, CliError};
use super::planned::Planned;
use super::servers::GivenServers;
use super::suites::{self, RunSuites};
use crate::cli::args::RunArgs;
use crate::record::format::SCORER_VERSION;
use crate::types::violation::TAXONOMY_VERSION;
use crate::types::{ContentHash, Suite};

/// The item that holds everything, also what has no item of its own.
pub(in crate::cli) const PLAN: &str = "plan";
/// How the items begin that only a running server can tell.
pub(in crate::cli) const SERVER_TOOLS: &str = "tools that the server lists";
/// How the items of models begin.
pub(in crate::cli) const MODEL: &str = "model";

fn hash<T: serde::Serialize>(value: &T) -> String {
    ContentHash::of_value(value).0
}

impl Planned {
    /// Everything but what real servers list.
    pub(in crate::cli) fn depends_on(&self) -> BTreeMap<String, String> {
        let plan = &self.plan;
        let mut items: BTreeMap<String, String> = [
            ("toolbench", env!("CARGO_PKG_VERSION").to_owned()),
            ("scorer version", SCORER_VERSION.to_string()),
            ("version of the failure codes", TAXONOMY_VERSION.to_string()),
            ("engine", super::super::engine_build()),
            (
                "prompts and grammars of the dialects",
                hash(&(crate::dialect::forms_hash(), &self.envelopes)),
            ),
            ("rules of trials", hash(&plan.rules)),
            ("distractor tools", self.suites.distractors_hash()),
            ("hardware tier", self.fingerprint.tier.clone()),
            (PLAN, plan.hash.0.clone()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        for name in ["dialect", "constraint", "trials", "seed"] {
            items.insert(name.to_owned(), self.resolved.list(name).join(","));
        }
        let servers = self.suites.servers_identity();
        if !servers.is_empty() {
            items.insert("tool servers".to_owned(), servers);
        }
        for model in &self.models {
            items.insert(format!("{MODEL} {}", model.name), model.identity.clone());
        }
        for variant in &plan.variants {
            items.insert(
                format!(
                    "variant {} (system prompt, sampling, examples)",
                    variant.name
                ),
                hash(variant),
            );
        }
        for (name, style) in &self.corrections {
            items.insert(format!("correction text {name}"), style.hash.0.clone());
        }
        for suite in &plan.suites {
            let name = &suite.suite;
            items.insert(format!("cases of suite {name}"), hash(&suite.cases));
            items.insert(
                format!("tools of suite {name}"),
                hash(&(&suite.tools, &suite.mock, &suite.server)),
            );
            items.insert(
                format!("prompt of suite {name}"),
                hash(&(&suite.system, &suite.examples)),
            );
        }
        items
    }

    /// Gives the suites' hosts other bounds, which are recorded; the plan stays.
    pub(in crate::cli) fn reopen(&mut self, app: &App, args: &RunArgs) -> Result<(), CliError> {
        let given = GivenServers::of(args)?;
        self.suites = self.suites_with(app, given.as_ref())?;
        self.policy = given.map(|given| given.policy);
        Ok(())
    }

    /// The planned suites on hosts of their own.
    fn suites_with(
        &self,
        app: &App,
        given: Option<&GivenServers<'_>>,
    ) -> Result<RunSuites, CliError> {
        let mut suites = suites::load(app, &self.resolved, &self.settings, given)?;
        suites.keep(&self.plan.suites);
        Ok(suites)
    }

    /// Trials of the plan.
    pub(in crate::cli) fn trial_count(&self) -> usize {
        self.plan.trials.len()
    }

    /// Names of suites that are run against something real, and of those that are not.
    pub(in crate::cli) fn real_and_mocked(&self) -> (Vec<String>, Vec<String>) {
        let is_real = |(suite, given): &(&Suite, bool)| *given || suite.server.is_some();
        let given = self.suites.given.iter().map(Option::is_some);
        let (real, mocked): (Vec<_>, Vec<_>) =
            self.suites.suites.iter().zip(given).partition(is_real);
        let names = |list: Vec<(&Suite, bool)>| list.iter().map(|it| it.0.suite.clone()).collect();
        (names(real), names(mocked))
    }

    /// Asks real servers for their tools, on hosts of its own that are closed again.
    pub(in crate::cli) fn tools_now(
        &self,
        app: &App,
        args: &RunArgs,
    ) -> Result<BTreeMap<String, String>, CliError> {
        if self.real_and_mocked().0.is_empty() {
            return Ok(BTreeMap::new());
        }
        let given = GivenServers::of(args)?;
        let fresh = self.suites_with(app, given.as_ref())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| CliError::usage(format!("cannot start the runtime: {error}")))?;
        Ok(runtime.block_on(async {
            let mut items = BTreeMap::new();
            for ((suite, host), given) in fresh.suites.iter().zip(&fresh.hosts).zip(&fresh.given) {
                if given.is_none() && suite.server.is_none() {
                    continue;
                }
                let listed = match host.list().await {
                    Ok(tools) => hash(&tools),
                    Err(error) => format!("not listed: {error}"),
                };
                host.close().await;
                items.insert(format!("{SERVER_TOOLS} for suite {}", suite.suite), listed);
            }
            items
        }))
    }
}
