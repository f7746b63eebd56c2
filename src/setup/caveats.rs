//! What a setup cannot carry over, or has to be known, whatever the wire.
//!
//! Data in: [`Parts`] and the target. Data out: sentences. Invariants: a setting of the cell that differs
//! from what a program does by itself stands in a file of the setup, or here.

use super::SetupTarget;
use super::parts::Parts;
use crate::record::privacy::is_redacted;
use crate::types::{Constraint, DialectName, Wire};

impl Parts<'_> {
    /// What does not come over whatever the wire.
    pub(super) fn caveats(&self, target: SetupTarget) -> Vec<String> {
        let mut caveats = Vec::new();
        let key = &self.source.cell.key;
        if self.source.cell.routes.len() > 1 {
            caveats.push(format!(
                "this is leg `{}` of a hybrid; asking another one when it fails is up to your program",
                self.attempt.leg
            ));
        }
        if key.constraint == Constraint::Grammar
            && self.trial.constraint_effective == Constraint::Off
        {
            let why = self
                .trial
                .constraint_refused
                .as_deref()
                .unwrap_or("refused");
            caveats.push(format!("the grammar was not in force in this trial: {why}"));
        }
        if self.setting("leniency") == Some("lenient") {
            caveats.push(
                "the run repaired replies before reading them (`--leniency lenient`); a strict reader \
                 will succeed less often"
                    .to_owned(),
            );
        }
        let filled_in = self.route.wire == Wire::RawText && !self.has_no_template();
        if filled_in && target != SetupTarget::Openai {
            caveats.push(
                "the run filled in the chat template itself; here the server does, and its engine for \
                 templates is another one"
                    .to_owned(),
            );
        }
        if target == SetupTarget::Ollama {
            caveats.push(
                "a run over this wire asks models that can think not to: add `\"think\": false` where \
                 `ollama show` lists thinking"
                    .to_owned(),
            );
        }
        if self.has_no_template() {
            caveats.push(
                "the weights have no chat template: the run continued plain text with worked examples"
                    .to_owned(),
            );
        }
        if target == SetupTarget::Openai && self.model.facts.provider != "openai" {
            caveats.push(
                "the measured model is not one of OpenAI's: put the name that your server knows into \
                 `model`; what was measured does not hold for another model"
                    .to_owned(),
            );
        }
        if self.dialect.name() == DialectName::Native && self.route.wire != Wire::ChatWithTools {
            caveats.push(
                "the run read the calls itself; here the server's parser does: try it with \
                 `toolbench probe` before relying on it"
                    .to_owned(),
            );
        }
        for (field, set) in [
            ("top_k", self.variant.sampling.top_k > 0),
            ("min_p", self.variant.sampling.min_p > 0.0),
            (
                "repeat_penalty",
                (self.variant.sampling.repeat_penalty - 1.0).abs() > f32::EPSILON,
            ),
        ] {
            if set && self.source.endpoint.refuses(field) {
                caveats.push(format!(
                    "`{field}` of the run is not taken there and is left out"
                ));
            }
        }
        if self.max_corrections() == 0 {
            caveats.push(
                "the run corrected nothing (`--max-corrections 0`): there is no correction.json, and what \
                 a correction would recover was not measured"
                    .to_owned(),
            );
        }
        caveats.extend(self.engine_caveats(target));
        if is_redacted(&self.suite) || is_redacted(&self.tools) {
            caveats.push(
                "the record is redacted: put back what stands as [redacted:N] before use"
                    .to_owned(),
            );
        }
        if self
            .source
            .header
            .settings
            .iter()
            .any(|it| it.name == "data" && !it.value.is_empty())
        {
            caveats.push(
                "an envelope of your own under `--data` is not in the record; the built-in one is written"
                    .to_owned(),
            );
        }
        caveats
    }

    /// Settings of the engine that the target's files have no place for.
    fn engine_caveats(&self, target: SetupTarget) -> Vec<String> {
        let set = |name: &'static str, words: &str, how: &str| {
            let value = self.engine_setting(name)?;
            let value = match value {
                "true" => "on",
                "false" => "off",
                value => value,
            };
            Some(format!("{words} of the run was {value}: {how}"))
        };
        let found = match target {
            SetupTarget::LlamaServer => Vec::new(),
            SetupTarget::Ollama => vec![
                set(
                    "flash_attention",
                    "flash attention",
                    "set OLLAMA_FLASH_ATTENTION (1 or 0) where the server is started",
                ),
                set(
                    "kv_cache_type",
                    "the type of the key and value cache",
                    "set OLLAMA_KV_CACHE_TYPE where the server is started",
                ),
            ],
            SetupTarget::Openai => {
                let up_to = "that is up to the server";
                vec![
                    Some(format!(
                        "the context of the run was {} tokens: that is up to the server, whose own may be \
                         another",
                        self.variant.context_tokens
                    )),
                    set("threads", "the number of threads", up_to),
                    set("gpu_layers", "the number of layers on the GPU", up_to),
                    set("flash_attention", "flash attention", up_to),
                    set(
                        "kv_cache_type",
                        "the type of the key and value cache",
                        up_to,
                    ),
                ]
            }
        };
        found.into_iter().flatten().collect()
    }
}
