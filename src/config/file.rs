//! `toolbench.toml`: settings, model aliases, variants, profiles.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;
use toml::Value;

use super::layers::Layer;
use super::{ConfigError, GATE_PREFIX, KEYS};
use crate::types::endpoint::SchemaField;
use crate::types::names::hint_for_unknown_field;
use crate::types::{
    FallbackCause, FallbackRules, Mechanism, Variant, Wire, WirePreference, did_you_mean,
};

/// A configuration file as read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigFile {
    /// Top-level settings.
    pub settings: Layer,
    /// Settings by profile.
    pub profiles: BTreeMap<String, Layer>,
    /// Model aliases.
    pub models: BTreeMap<String, ModelAlias>,
    /// Variants: only what they change.
    pub variants: BTreeMap<String, VariantPatch>,
    /// Prices of models, by the name that the command line takes.
    pub prices: BTreeMap<String, PriceRow>,
}

/// A price of one's own.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PriceRow {
    /// A million prompt tokens.
    pub input: f64,
    /// A million prompt tokens from the server's cache.
    #[serde(default)]
    pub cached_input: Option<f64>,
    /// A million generated tokens.
    pub output: f64,
    /// Currency; `USD` without it.
    #[serde(default)]
    pub currency: Option<String>,
    /// Longest prompt that the price holds for.
    #[serde(default)]
    pub most_prompt_tokens: Option<u32>,
    /// Where it stands; this file without it.
    #[serde(default)]
    pub document: Option<String>,
    /// The day on which it stood there.
    #[serde(default)]
    pub date: Option<String>,
}

impl PriceRow {
    fn check(&self, name: &str, origin: &str) -> Result<(), ConfigError> {
        let amounts = [Some(self.input), self.cached_input, Some(self.output)];
        if amounts
            .into_iter()
            .flatten()
            .all(|amount| amount.is_finite() && amount >= 0.0)
        {
            return Ok(());
        }
        Err(ConfigError {
            message: format!("the price of `{name}` is not a number from 0"),
            origin: Some(origin.to_owned()),
            hint: None,
        })
    }
}

/// A model under a name of one's own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ModelAlias {
    /// What it stands for: any model name that the command line takes.
    pub source: String,
    /// Address of the server.
    pub base_url: Option<String>,
    /// Variable that holds the key.
    pub key_env: Option<String>,
    /// Further headers; a value of the form `$NAME` is that of a variable.
    pub headers: BTreeMap<String, String>,
    /// The one wire to use: `raw`, `chat` or `tools`.
    pub wire: Option<WirePreference>,
    /// Wires that the server offers.
    pub wires: Option<Vec<Wire>>,
    /// How it can constrain, the best first.
    pub mechanisms: Option<Vec<Mechanism>>,
    /// How it takes a JSON Schema.
    pub schema_field: Option<SchemaField>,
    /// Fields that it refuses.
    pub refuses: Option<Vec<String>>,
    /// Fields that have another name there.
    pub renames: BTreeMap<String, String>,
    /// Its context in tokens.
    pub context: Option<u32>,
    /// Times a request is repeated after a transport fault.
    pub retries: Option<u32>,
    /// File of certificates to trust beside the system's, PEM.
    pub ca: Option<PathBuf>,
    /// How long an Ollama keeps the model (`10m`, `-1`).
    pub keep_alive: Option<String>,
    /// Whether a model of an Ollama thinks first: `on`, `off`, or a level that it knows.
    pub think: Option<String>,
    /// Of a command: variables that it is to see, by name.
    pub pass_env: Vec<String>,
    /// Of a command: the weights that are handed to it.
    pub weights: Option<PathBuf>,
    /// File of the chat template, for raw text where the server does not tell it.
    pub chat_template: Option<PathBuf>,
    /// Why a hybrid asks its next leg; for every cause where it does not say.
    pub fallback_on: Option<Vec<FallbackCause>>,
    /// Seconds that every leg of a hybrid but the last has for a complete reply.
    pub latency_budget: Option<f64>,
}

impl ModelAlias {
    /// It says something that only a server can heed.
    pub fn is_of_a_server(&self) -> bool {
        let others = Self {
            source: self.source.clone(),
            fallback_on: self.fallback_on.clone(),
            latency_budget: self.latency_budget,
            ..Self::default()
        };
        *self != others
    }

    /// It says something that only a hybrid can heed.
    pub fn is_of_a_hybrid(&self) -> bool {
        self.fallback_on.is_some() || self.latency_budget.is_some()
    }

    /// When a hybrid asks its next leg.
    pub fn fallback(&self) -> FallbackRules {
        let every = || FallbackCause::ALL.to_vec();
        let mut on = self.fallback_on.clone().unwrap_or_else(every);
        on.sort_unstable();
        on.dedup();
        FallbackRules {
            on,
            latency_budget_ms: self.latency_budget.map(|it| (it * 1000.0).round() as u64),
        }
    }

    /// Fallback settings that contradict themselves.
    fn check_fallback(&self, name: &str, origin: &str) -> Result<(), ConfigError> {
        let error = |message: String, hint: &str| {
            Err(ConfigError {
                message,
                origin: Some(origin.to_owned()),
                hint: Some(hint.to_owned()),
            })
        };
        if self.fallback_on.as_ref().is_some_and(Vec::is_empty) {
            return error(
                format!("model `{name}`: `fallback-on` is empty, so no further leg is ever asked"),
                "fallback-on = [\"infra\", \"invalid\", \"latency\"], or leave it out for all three",
            );
        }
        let Some(budget) = self.latency_budget else {
            return Ok(());
        };
        if !(0.001..=86_400.0).contains(&budget) {
            return error(
                format!("model `{name}`: `latency-budget` is not a number of seconds over 0"),
                "for example latency-budget = 2.5",
            );
        }
        if self.fallback().budget_ms().is_none() {
            return error(
                format!(
                    "model `{name}`: it has a `latency-budget`, and `fallback-on` does not name `latency`"
                ),
                "add \"latency\" to `fallback-on`, or leave the budget out",
            );
        }
        Ok(())
    }

    /// The wires to use, where it says so.
    pub fn chosen_wires(&self) -> Option<Vec<Wire>> {
        match self.wire {
            None | Some(WirePreference::Auto) => self.wires.clone(),
            Some(WirePreference::Raw) => Some(vec![Wire::RawText]),
            Some(WirePreference::Chat) => Some(vec![Wire::Chat]),
            Some(WirePreference::Tools) => Some(vec![Wire::ChatWithTools]),
        }
    }
}

/// What a variant changes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct VariantPatch {
    /// System prompt instead of the suite's.
    pub system: Option<String>,
    /// See `--few-shot`.
    pub few_shot: Option<u32>,
    /// See `--correction`.
    pub correction: Option<String>,
    /// See `--distractors`.
    pub distractors: Option<u32>,
    /// See `--reasoning`.
    pub reasoning: Option<String>,
    /// See `--context`.
    pub context: Option<u32>,
    /// See `--temperature`.
    pub temperature: Option<f32>,
    /// See `--top-p`.
    pub top_p: Option<f32>,
    /// See `--top-k`.
    pub top_k: Option<u32>,
    /// See `--min-p`.
    pub min_p: Option<f32>,
    /// See `--repeat-penalty`.
    pub repeat_penalty: Option<f32>,
}

impl VariantPatch {
    /// The variant: the run's own settings with these changes.
    pub fn apply(&self, name: &str, base: &Variant) -> Result<Variant, ConfigError> {
        let mut variant = base.clone();
        name.clone_into(&mut variant.name);
        if self.system.is_some() {
            variant.system.clone_from(&self.system);
        }
        set(&mut variant.few_shot, self.few_shot);
        set(&mut variant.correction, self.correction.clone());
        set(&mut variant.distractors, self.distractors);
        set(&mut variant.context_tokens, self.context);
        set(&mut variant.sampling.temperature, self.temperature);
        set(&mut variant.sampling.top_p, self.top_p);
        set(&mut variant.sampling.top_k, self.top_k);
        set(&mut variant.sampling.min_p, self.min_p);
        set(&mut variant.sampling.repeat_penalty, self.repeat_penalty);
        if let Some(text) = &self.reasoning {
            variant.reasoning = text.parse().map_err(|message| ConfigError {
                message,
                origin: Some(format!("variant `{name}`")),
                hint: None,
            })?;
        }
        Ok(variant)
    }
}

fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

const TABLES: [&str; 5] = ["gate", "models", "variants", "prices", "profiles"];

/// Tables whose entries have fields of their own.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Tables {
    models: BTreeMap<Spanned<String>, ModelAlias>,
    variants: BTreeMap<String, VariantPatch>,
    prices: BTreeMap<Spanned<String>, PriceRow>,
}

/// Reads a file's text; `label` is its path as shown.
pub fn parse_file(label: &str, text: &str) -> Result<ConfigFile, ConfigError> {
    let syntax = |error: toml::de::Error| ConfigError {
        hint: hint_for_unknown_field(error.message()),
        message: error.message().to_owned(),
        origin: Some(match error.span() {
            Some(span) => position(label, text, span.start),
            None => label.to_owned(),
        }),
    };
    let top: BTreeMap<Spanned<String>, Spanned<Value>> = toml::from_str(text).map_err(syntax)?;
    // Read from the text itself, so that a mistake within has its own place.
    let Tables {
        models,
        variants,
        prices,
    } = toml::from_str(text).map_err(syntax)?;
    let mut file = ConfigFile {
        variants,
        ..ConfigFile::default()
    };
    for (name, model) in models {
        let at = position(label, text, name.span().start);
        let name = name.into_inner();
        if model.source.is_empty() {
            return Err(ConfigError {
                message: format!("model `{name}` names no source"),
                origin: Some(at),
                hint: Some(
                    "source = \"PRESET:MODEL\", a .gguf file, or any other model name".to_owned(),
                ),
            });
        }
        model.check_fallback(&name, &at)?;
        file.models.insert(name, model);
    }
    for (name, price) in prices {
        let at = position(label, text, name.span().start);
        price.check(name.get_ref(), &at)?;
        file.prices.insert(name.into_inner(), price);
    }
    for (name, value) in top {
        let at = position(label, text, name.span().start);
        let table = |value: Spanned<Value>| value.into_inner();
        match name.get_ref().as_str() {
            "models" | "variants" | "prices" => {}
            "gate" => {
                let values: BTreeMap<String, Value> = typed(table(value), &at)?;
                let places = gate_places(label, text);
                for (key, value) in values {
                    let name = format!("{GATE_PREFIX}{key}");
                    let place = places.get(&key).unwrap_or(&at);
                    insert(&mut file.settings, &name, value, place)?;
                }
            }
            "profiles" => {
                let profiles: BTreeMap<String, BTreeMap<String, Value>> = typed(table(value), &at)?;
                for (profile, values) in profiles {
                    let mut layer = Layer::default();
                    let origin = format!("profile {profile} ({label})");
                    for (key, value) in values {
                        match value {
                            Value::Table(gate) if key == "gate" => {
                                for (key, value) in gate {
                                    let name = format!("{GATE_PREFIX}{key}");
                                    insert(&mut layer, &name, value, &origin)?;
                                }
                            }
                            value => insert(&mut layer, &key, value, &origin)?,
                        }
                    }
                    file.profiles.insert(profile, layer);
                }
            }
            key => insert(&mut file.settings, key, table(value), &at)?,
        }
    }
    Ok(file)
}

/// Where each key of the table `[gate]` stands: values lose their places once they are a table.
fn gate_places(label: &str, text: &str) -> BTreeMap<String, String> {
    #[derive(Deserialize)]
    struct Places {
        gate: BTreeMap<Spanned<String>, Value>,
    }
    let Ok(places) = toml::from_str::<Places>(text) else {
        return BTreeMap::new();
    };
    let names = places.gate.into_keys();
    names
        .map(|name| {
            let place = position(label, text, name.span().start);
            (name.into_inner(), place)
        })
        .collect()
}

fn insert(layer: &mut Layer, name: &str, value: Value, origin: &str) -> Result<(), ConfigError> {
    let text = |value: Value| match value {
        Value::String(text) => Ok(text),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(switch) => Ok(switch.to_string()),
        other => Err(ConfigError {
            message: format!("setting `{name}` cannot be a {}", other.type_str()),
            origin: Some(origin.to_owned()),
            hint: did_you_mean(name, KEYS.iter().map(|key| key.name).chain(TABLES)),
        }),
    };
    let values = match value {
        Value::Array(items) => items.into_iter().map(text).collect::<Result<_, _>>()?,
        single => vec![text(single)?],
    };
    layer.insert(name, values, origin)
}

fn typed<T: for<'de> Deserialize<'de>>(value: Value, origin: &str) -> Result<T, ConfigError> {
    value
        .try_into()
        .map_err(|error: toml::de::Error| ConfigError {
            message: error.message().to_owned(),
            origin: Some(origin.to_owned()),
            hint: hint_for_unknown_field(error.message()),
        })
}

fn position(label: &str, text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!("{label}:{line}:{column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_carry_their_line() {
        let file = parse_file(
            "toolbench.toml",
            "seed = 7\ndialect = [\"json\", \"react\"]\n[profiles.ci]\ntrials = 3\n\
             [variants.terse]\nfew-shot = 2\n[models.mine]\nsource = \"/m.gguf\"\n",
        )
        .unwrap();
        assert_eq!(file.settings.origins["dialect"], "toolbench.toml:2:1");
        assert_eq!(file.settings.values["dialect"], ["json", "react"]);
        assert_eq!(file.profiles["ci"].values["trials"], ["3"]);
        assert_eq!(file.variants["terse"].few_shot, Some(2));
        assert_eq!(file.models["mine"].source, "/m.gguf");
    }

    #[test]
    fn the_gate_has_a_table_of_its_own() {
        let text = "seed = 7\n[gate]\nmin-success = 80\nmin-category = [\"a=90\", \"70\"]\n\
                    [profiles.ci.gate]\nmin-effect = 2.5\n";
        let file = parse_file("t.toml", text).unwrap();
        assert_eq!(file.settings.origins["gate.min-success"], "t.toml:3:1");
        assert_eq!(
            file.settings.values["gate.min-category"],
            ["a=90", "70"],
            "{:?}",
            file.settings
        );
        assert_eq!(file.profiles["ci"].values["gate.min-effect"], ["2.5"]);
        let error = parse_file("t.toml", "[gate]\nmin-sucess = 80\n").unwrap_err();
        assert_eq!(error.origin.as_deref(), Some("t.toml:2:1"));
        assert_eq!(
            error.hint.as_deref(),
            Some("did you mean `gate.min-success`?")
        );
        for (value, words) in [
            ("\"\"", "is blank"),
            ("[]", "is blank"),
            ("[80, 90]", "more than once"),
            ("\"much\"", "not a number"),
        ] {
            let text = format!("[gate]\nmin-success = {value}\n");
            let error = parse_file("t.toml", &text).unwrap_err();
            assert!(error.message.contains(words), "{value}: {error}");
        }
    }

    #[test]
    fn a_served_model_says_how_it_is_asked() {
        let text = "[models.mine]\nsource = \"vllm:o/m\"\nbase-url = \"http://h:1/v1\"\n\
            key-env = \"K\"\nheaders = {X = \"$V\"}\nwire = \"raw\"\nwires = [\"chat\", \"tools\"]\n\
            mechanisms = [\"gbnf\"]\ncontext = 8192\nca = \"own.pem\"\n[models.file]\nsource = \"a.gguf\"\n";
        let file = parse_file("t.toml", text).unwrap();
        let mine = &file.models["mine"];
        assert!(mine.is_of_a_server() && !file.models["file"].is_of_a_server());
        assert_eq!(mine.chosen_wires(), Some(vec![Wire::RawText]));
        assert_eq!(mine.wires, Some(vec![Wire::Chat, Wire::ChatWithTools]));
        assert_eq!(mine.context, Some(8192));
        let error =
            parse_file("t.toml", "[models.a]\nsource=\"x\"\nbase-ur = \"y\"\n").unwrap_err();
        assert_eq!(
            error.hint.as_deref(),
            Some("did you mean `base-url`?"),
            "{error}"
        );
        let error = parse_file("t.toml", "[models.a]\nwire = \"raw\"\n").unwrap_err();
        assert!(error.message.contains("no source"), "{error}");
    }

    #[test]
    fn a_hybrid_says_when_it_falls_back() {
        let text = "[models.both]\nsource = \"hybrid:a+b\"\nfallback-on = [\"latency\", \"infra\"]\n\
            latency-budget = 1.5\n[models.plain]\nsource = \"hybrid:a+b\"\n";
        let file = parse_file("t.toml", text).unwrap();
        let both = &file.models["both"];
        assert!(both.is_of_a_hybrid() && !both.is_of_a_server());
        assert_eq!(both.fallback().in_words(), "infra, latency after 1.5 s");
        assert_eq!(file.models["plain"].fallback(), FallbackRules::default());
        for (wrong, words) in [
            ("fallback-on = []", "is empty"),
            ("fallback-on = [\"slow\"]", "slow"),
            ("latency-budget = 0.0", "seconds over 0"),
            ("latency-budget = nan", "seconds over 0"),
            (
                "fallback-on = [\"infra\"]\nlatency-budget = 1.0",
                "does not name",
            ),
        ] {
            let text = format!("[models.a]\nsource = \"hybrid:a+b\"\n{wrong}\n");
            let error = parse_file("t.toml", &text).unwrap_err();
            assert!(error.message.contains(words), "{wrong}: {error}");
        }
    }

    #[test]
    fn unknown_keys_are_refused_with_a_hint() {
        let error = parse_file("t.toml", "\nsede = 7\n").unwrap_err();
        assert_eq!(error.origin.as_deref(), Some("t.toml:2:1"));
        assert_eq!(error.hint.as_deref(), Some("did you mean `seed`?"));
        let error = parse_file("t.toml", "[variants.a]\nfew-shots = 2\n").unwrap_err();
        assert!(error.message.contains("few-shots"), "{error}");
        let error = parse_file("t.toml", "seed = \n").unwrap_err();
        assert!(error.origin.unwrap().starts_with("t.toml:1"));
    }

    #[test]
    fn mistakes_in_tables_have_their_own_place() {
        let text = "seed = 1\n\n[models.a]\nsource = \"x\"\n\n[models.b]\nsource = \"y\"\nfallback-on = [\"latancy\"]\n";
        let error = parse_file("toolbench.toml", text).unwrap_err();
        assert_eq!(error.origin.as_deref(), Some("toolbench.toml:8:16"));
        let text = "[models.a]\nsource = \"x\"\n[models.b]\nkey-en = \"K\"\n";
        let error = parse_file("toolbench.toml", text).unwrap_err();
        assert_eq!(error.origin.as_deref(), Some("toolbench.toml:4:1"));
        assert!(error.hint.unwrap().contains("key-env"));
        let text = "[models.a]\nsource = \"x\"\n[models.b]\n";
        let error = parse_file("toolbench.toml", text).unwrap_err();
        assert_eq!(error.origin.as_deref(), Some("toolbench.toml:3:9"));
    }
}
