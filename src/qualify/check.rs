//! What the form of a stage file cannot hold.

use super::file::{FileProblem, Places, QualifyFile, SettingValue, Stage, StageKind};
use crate::suite::positions::Step;

/// Settings that have a place of their own, or none in a stage.
const ELSEWHERE: [(&str, &str); 11] = [
    ("suite", "it is the stage's `suites`"),
    ("limit-time", "it is `budget: {seconds: …}`"),
    ("limit-tokens", "it is `budget: {tokens: …}`"),
    ("limit-requests", "it is `budget: {requests: …}`"),
    ("budget", "it is `budget: {cost: …}`"),
    ("out", "it is a flag of the command, `--out`"),
    ("format", "it is a flag of the command, `--format`"),
    ("by", "`toolbench report RUN --by …` splits a stage's run"),
    ("shard", "a stage is decided as a whole"),
    ("until-decided", "a stage compares nothing"),
    ("quant", "name the quantisation with the model"),
];

struct Checker<'a> {
    places: &'a Places,
    problems: Vec<FileProblem>,
}

/// Every problem of a file.
pub(super) fn check(file: &QualifyFile, places: &Places) -> Vec<FileProblem> {
    let mut checker = Checker {
        places,
        problems: Vec::new(),
    };
    checker.name("qualify", &file.qualify, places.of(&["qualify".into()]));
    if file
        .model
        .as_ref()
        .is_some_and(|model| model.trim().is_empty())
    {
        checker.add("`model` is empty", places.of(&["model".into()]));
    }
    checker.settings(&file.settings, &["settings".into()]);
    if file.stages.is_empty() {
        checker.add("there is no stage", places.of(&["stages".into()]));
    }
    for (index, stage) in file.stages.iter().enumerate() {
        let at = |key: &str| places.in_stage(index, &[key.into()]);
        checker.name("stage", &stage.stage, at("stage"));
        let before = &file.stages[..index];
        if before.iter().any(|other| other.stage == stage.stage) {
            checker.add(
                format!("there are two stages `{}`", stage.stage),
                at("stage"),
            );
        }
        if let Some(later) = before.iter().find(|other| other.kind > stage.kind) {
            checker.add(
                format!(
                    "stage `{}` of kind {} comes after `{}` of kind {}; the order is simulated, development, complex, production",
                    stage.stage,
                    stage.kind.as_str(),
                    later.stage,
                    later.kind.as_str()
                ),
                at("kind"),
            );
        }
        checker.stage(stage, index);
    }
    checker.problems
}

impl Checker<'_> {
    fn add(&mut self, message: impl Into<String>, place: String) {
        self.problems.push(FileProblem {
            message: message.into(),
            place,
        });
    }

    /// Names enter file names.
    fn name(&mut self, what: &str, name: &str, place: String) {
        let is_sign = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(is_sign) {
            self.add(
                format!("`{what}: {name}` is no name: lower case letters, digits and `-`"),
                place,
            );
        }
    }

    fn settings(
        &mut self,
        settings: &std::collections::BTreeMap<String, SettingValue>,
        path: &[Step],
    ) {
        for name in settings.keys() {
            if let Some((_, instead)) = ELSEWHERE.iter().find(|(other, _)| other == name) {
                let mut path = path.to_vec();
                path.push(name.as_str().into());
                self.add(
                    format!("`{name}` is no setting of a stage: {instead}"),
                    self.places.of(&path),
                );
            }
        }
    }

    fn stage(&mut self, stage: &Stage, index: usize) {
        let places = self.places;
        let at = |key: &str| places.in_stage(index, &[key.into()]);
        let name = &stage.stage;
        self.settings(
            &stage.settings,
            &["stages".into(), index.into(), "settings".into()],
        );
        if stage.suites.is_empty() || stage.suites.iter().any(|suite| suite.trim().is_empty()) {
            self.add(format!("stage `{name}` names no suite"), at("suites"));
        }
        if stage.floor > 0.0 && stage.floor < 1.0 {
            self.add(
                format!(
                    "the floor of stage `{name}` is in percent: {}, not {}",
                    stage.floor * 100.0,
                    stage.floor
                ),
                at("floor"),
            );
        } else if !(stage.floor > 0.0 && stage.floor <= 100.0) {
            self.add(
                format!("the floor of stage `{name}` is not a number over 0 and up to 100"),
                at("floor"),
            );
        }
        let budget = &stage.budget;
        let is_amount = |amount: f64| amount.is_finite() && amount > 0.0;
        for (key, is_wrong) in [
            ("seconds", budget.seconds.is_some_and(|it| !is_amount(it))),
            ("cost", budget.cost.is_some_and(|it| !is_amount(it))),
            ("tokens", budget.tokens == Some(0)),
            ("requests", budget.requests == Some(0)),
            ("calls", budget.calls == Some(0)),
        ] {
            if is_wrong {
                let place = places.in_stage(index, &["budget".into(), key.into()]);
                self.add(format!("`{key}` of a budget must be more than 0"), place);
            }
        }
        let has_server = stage.server.as_ref().is_some_and(super::Server::is_given);
        if stage.server.is_some() && !has_server {
            self.add(
                format!("`server` of stage `{name}` names none: stdio, http, ws, grpc, rest, openapi or mcp_config"),
                at("server"),
            );
        }
        if !has_server {
            self.without_server(stage, index);
        }
        match stage.kind {
            StageKind::Simulated if has_server => self.add(
                format!("stage `{name}` is simulated and names a real server"),
                at("server"),
            ),
            StageKind::Production => self.production(stage, index, has_server),
            _ => {}
        }
    }

    /// Flags of a server that a stage without one would lose without a word.
    fn without_server(&mut self, stage: &Stage, index: usize) {
        for (key, is_given) in [
            ("allow_tools", !stage.allow_tools.is_empty()),
            ("allow_destructive", stage.allow_destructive),
            ("paths_under", !stage.paths_under.is_empty()),
            ("no_network", stage.no_network),
            ("dry_run_calls", stage.dry_run_calls),
            ("accept_drift", stage.accept_drift),
        ] {
            if is_given {
                let place = self.places.in_stage(index, &[key.into()]);
                self.add(
                    format!(
                        "`{key}` is for a stage with a `server`, and `{}` has none",
                        stage.stage
                    ),
                    place,
                );
            }
        }
        if stage.budget.calls.is_some() {
            let place = self
                .places
                .in_stage(index, &["budget".into(), "calls".into()]);
            self.add(
                format!(
                    "`calls` bounds calls on a stage's `server`, and `{}` has none",
                    stage.stage
                ),
                place,
            );
        }
    }

    fn production(&mut self, stage: &Stage, index: usize, has_server: bool) {
        let places = self.places;
        let name = &stage.stage;
        if !has_server {
            let place = places.in_stage(index, &["kind".into()]);
            self.add(
                format!("production stage `{name}` names no `server`"),
                place,
            );
        }
        if has_server && (stage.budget.calls.is_none() || stage.budget.seconds.is_none()) {
            let place = places.in_stage(index, &["budget".into()]);
            self.add(
                format!("production stage `{name}` needs `budget: {{calls: …, seconds: …}}`"),
                place,
            );
        }
        if stage.allow_destructive {
            let place = places.in_stage(index, &["allow_destructive".into()]);
            self.add(
                format!("production stage `{name}` may not allow destructive tools"),
                place,
            );
        }
    }
}
