//! Going on with a run: the same plan on the same tier, or a clear difference.

use super::super::{App, CliError};
use crate::cli::args::RunArgs;
use crate::cli::flags::SettingFlags;
use crate::config::{Layer, Settings, key};
use crate::plan::Plan;
use crate::record::format::ToolPolicy;
use crate::record::{Private, Run, find_run};
use crate::types::fingerprint::Fingerprint;

/// Settings that do not shape the record and may differ on resume; patterns of `redact` are not in
/// the record, and are checked apart.
const FREE: [&str; 6] = ["out", "format", "write", "by", "pull", "redact"];

/// The run to go on with, and the flags that make its plan again.
pub(super) struct Resumed {
    pub(super) run: Run,
    pub(super) flags: SettingFlags,
}

impl Resumed {
    /// Finds the run; its stored settings stand unless a flag says otherwise.
    pub(super) fn open(app: &App, args: &RunArgs, name: &str) -> Result<Self, CliError> {
        let resolved = app.resolve(&args.settings)?;
        let folder = std::path::PathBuf::from(resolved.text("out").unwrap_or("reports"));
        let run = Run::open(&find_run(&folder, name)?)?;
        let mut layer = Layer::default();
        for setting in &run.header.settings {
            if key(&setting.name).is_some() && !FREE.contains(&setting.name.as_str()) {
                layer.insert(&setting.name, vec![setting.value.clone()], &setting.origin)?;
            }
        }
        for (name, values) in &args.settings.layer.values {
            layer.insert(name, values.clone(), &format!("flag --{name}"))?;
        }
        for name in FREE {
            let values = resolved.list(name);
            if let Some(origin) = resolved.origin(name).filter(|_| !values.is_empty()) {
                layer.insert(name, values, origin)?;
            }
        }
        Ok(Self {
            run,
            flags: SettingFlags {
                layer,
                problem: args.settings.problem.clone(),
            },
        })
    }

    /// The run's models as they were named.
    pub(super) fn models(&self) -> Vec<String> {
        self.run
            .header
            .models
            .iter()
            .map(|model| model.name.clone())
            .collect()
    }

    /// Refuses tool servers and a policy other than the run's own, as far as they are on record.
    pub(super) fn check_servers(
        &self,
        servers: &[(String, String)],
        policy: Option<&ToolPolicy>,
        private: &Private,
    ) -> Result<(), CliError> {
        let header = &self.run.header;
        let mut differences = Vec::new();
        let shown = |servers: Vec<String>| match servers.as_slice() {
            [] => "none".to_owned(),
            some => some.join(", "),
        };
        // Addresses are compared as they are recorded.
        let recorded = |address: &String| {
            let mut address = address.clone();
            private.redactor.text(&mut address);
            address
        };
        let then = header.tool_servers.iter();
        let (then, now) = (
            shown(then.map(|server| server.address.clone()).collect()),
            shown(servers.iter().map(|(_, one)| recorded(one)).collect()),
        );
        if then != now {
            differences.push(format!("tool servers: {then} then, {now} now"));
        }
        if let (Some(then), Some(now)) = (&header.tool_policy, policy) {
            let mut now = now.clone();
            private.tool_policy(&mut now);
            if *then != now {
                let (then, now) = (then.in_words(), now.in_words());
                let only = |one: &[String], other: &[String]| {
                    let own = one.iter().filter(|flag| !other.contains(flag));
                    shown(own.cloned().collect())
                };
                let (then, now) = (only(&then, &now), only(&now, &then));
                differences.push(format!("what may be called: {then} then, {now} now"));
            }
        }
        self.refuse(&differences)
    }

    /// Refuses a plan or a machine that is not the run's own, naming the differences.
    pub(super) fn check(
        &self,
        plan: &Plan,
        settings: &Settings,
        fingerprint: &Fingerprint,
    ) -> Result<(), CliError> {
        let header = &self.run.header;
        let mut differences = Vec::new();
        if header.fingerprint.tier != fingerprint.tier {
            differences.push(format!(
                "hardware tier: {} then, {} now",
                header.fingerprint.tier, fingerprint.tier
            ));
        }
        if header.plan_hash != plan.hash {
            differences.extend(self.plan_differences(plan, settings));
        }
        self.refuse(&differences)
    }

    fn refuse(&self, differences: &[String]) -> Result<(), CliError> {
        if differences.is_empty() {
            return Ok(());
        }
        Err(CliError::usage(format!(
            "run `{}` cannot be resumed with these settings:\n  {}",
            self.run.header.run,
            differences.join("\n  ")
        ))
        .hint("resume it with the settings it was started with, or start a new run"))
    }

    fn plan_differences(&self, plan: &Plan, settings: &Settings) -> Vec<String> {
        let header = &self.run.header;
        let mut found = Vec::new();
        if header.toolbench_version != env!("CARGO_PKG_VERSION") {
            found.push(format!(
                "toolbench: {} then, {} now",
                header.toolbench_version,
                env!("CARGO_PKG_VERSION")
            ));
        }
        let kept = header.privacy.is_none();
        if kept && header.suites != plan.suites {
            found.push("suites: cases, tools or prompts changed".to_owned());
        }
        if kept && header.variants != settings.variants {
            found.push("variants: sampling, context, few-shot or prompts changed".to_owned());
        }
        for (name, values) in &self.flags.layer.values {
            let then = header.settings.iter().find(|setting| &setting.name == name);
            let now = values.join(",");
            if let Some(then) = then.filter(|then| then.value != now) {
                found.push(format!("{name}: {} then, {now} now", then.value));
            }
        }
        if found.is_empty() {
            found.push(
                "models: weights or their order changed, or toolbench's prompts, grammars or engine did"
                    .to_owned(),
            );
        }
        found
    }
}
