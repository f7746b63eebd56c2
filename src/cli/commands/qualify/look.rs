//! A stage before it is run: planned, and beside what is known of it.
//!
//! Data in: the stage, the state, the record that it names. Data out: the plan, why it has to run, the
//! run it rests on or goes on with. Invariants: a server is asked for its tools only where it may be;
//! what was not asked holds as it was known.

use std::collections::BTreeMap;

use super::super::CliError;
use super::super::run::Planned;
use super::super::run::depends::{MODEL, PLAN, SERVER_TOOLS};
use super::{Flow, stage};
use crate::qualify::state::{Outcome, reasons};
use crate::record::{Run, find_run};

/// A stage before it is run.
pub(super) struct Looked {
    pub(super) planned: Planned,
    pub(super) depends: BTreeMap<String, String>,
    pub(super) bounds: Vec<String>,
    /// Why it has to run; empty where it stands.
    pub(super) reasons: Vec<String>,
    /// Its earlier run, where nothing has changed since.
    pub(super) earlier: Option<Earlier>,
}

/// A run of a stage on which it still rests.
pub(super) struct Earlier {
    pub(super) run: Run,
    pub(super) result: Outcome,
}

impl Flow<'_> {
    /// Plans a stage and finds out whether what is known of it still holds.
    /// `is_fresh` leaves aside what it could rest on or go on with.
    pub(super) fn look(
        &self,
        index: usize,
        is_fresh: bool,
        may_ask: bool,
    ) -> Result<Looked, CliError> {
        let stage = &self.file.stages[index];
        let mut args = self.run_args(index)?;
        let mut planned = Planned::of(self.app, &args, "run")?;
        self.check_kind(index, &planned)?;
        let each = stage::share_of_calls(stage, planned.trial_count(), self.places, index)?;
        if each.is_some() {
            args.safety.max_tool_calls = each;
            planned.reopen(self.app, &args)?;
        }
        let mut depends = planned.depends_on();
        if stage.server.is_some() {
            let touched = stage::may_touch(stage, each);
            depends.insert("what may be called".to_owned(), touched);
        }
        if may_ask {
            depends.extend(planned.tools_now(self.app, &args)?);
        }
        let (mut reasons, mut earlier) = self.standing(index, &mut depends, may_ask);
        if is_fresh && earlier.take().is_some() {
            reasons = vec!["asked for with `--from`".to_owned()];
        }
        if let Some(earlier) = &earlier
            && earlier.result != Outcome::Passed
            && !self.args.dry_run
        {
            let trials = planned.trial_count();
            stage::check_calls_left(stage, each, (&earlier.run, trials), self.places, index)?;
            args.resume = Some(earlier.run.directory.display().to_string());
            planned = Planned::of(self.app, &args, "run")?;
        }
        Ok(Looked {
            bounds: stage::bounds(stage, each),
            planned,
            depends,
            reasons,
            earlier,
        })
    }

    /// Why the stage has to run, and the run it rests on where nothing has changed.
    fn standing(
        &self,
        index: usize,
        depends: &mut BTreeMap<String, String>,
        may_ask: bool,
    ) -> (Vec<String>, Option<Earlier>) {
        let stage = &self.file.stages[index].stage;
        let Some(known) = self.state.of(&self.model, stage) else {
            return (vec!["it was not run before".to_owned()], None);
        };
        if self.args.dry_run {
            as_asked(depends, &known.depends);
        }
        if !may_ask {
            let of_servers = known.depends.iter();
            let of_servers = of_servers.filter(|(name, _)| name.starts_with(SERVER_TOOLS));
            depends.extend(of_servers.map(|(name, value)| (name.clone(), value.clone())));
        }
        let mut why = reasons(&known.depends, depends);
        let of_plan = format!("{PLAN} changed");
        if why.len() > 1 {
            why.retain(|reason| *reason != of_plan);
        } else if let Some(reason) = why.iter_mut().find(|reason| **reason == of_plan) {
            "something else of the plan changed (settings, order of cases)".clone_into(reason);
        }
        if !why.is_empty() {
            return (why, None);
        }
        let run = match find_run(&self.out, &known.run).and_then(|path| Run::open(&path)) {
            Ok(run) => run,
            Err(error) => return (vec![format!("its run cannot be read: {error}")], None),
        };
        let has_failed = run.header.excluded.iter().any(|cell| cell.failed);
        let reason = match known.result {
            Outcome::Passed => {
                return (
                    Vec::new(),
                    Some(Earlier {
                        run,
                        result: known.result,
                    }),
                );
            }
            Outcome::Missed => {
                return (vec![format!("it missed its floor in {}", known.run)], None);
            }
            Outcome::Undecided | Outcome::Interrupted if has_failed => {
                return (
                    vec![format!("parts of {} could not be run", known.run)],
                    None,
                );
            }
            Outcome::Undecided => format!("{} decided nothing, and is gone on with", known.run),
            Outcome::Interrupted => format!("{} was interrupted, and is gone on with", known.run),
        };
        let result = known.result;
        (vec![reason], Some(Earlier { run, result }))
    }
}

/// In a dry run no model is read or asked, so what only it tells is taken as it was.
fn as_asked(now: &mut BTreeMap<String, String>, then: &BTreeMap<String, String>) {
    let mut is_unasked = false;
    for (name, value) in now.iter_mut() {
        let of_model = name
            .strip_prefix(MODEL)
            .is_some_and(|rest| rest.starts_with(' '));
        if let Some(old) = then.get(name).filter(|_| of_model)
            && old != value
            && old.starts_with(value.as_str())
        {
            value.clone_from(old);
            is_unasked = true;
        }
    }
    if is_unasked && let Some(plan) = then.get(PLAN) {
        now.insert(PLAN.to_owned(), plan.clone());
    }
}
