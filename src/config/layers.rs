//! Layers of raw values, and which of them counts.

use std::collections::BTreeMap;

use super::ConfigError;
use super::gate_keys::{GATE_KEYS, GATE_PREFIX};
use super::keys::{KEYS, Key, Kind, key};
use crate::types::{Setting, did_you_mean};

/// Raw values of one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// Where a value comes from, as shown: by key where it differs (lines of a file), else for all.
    pub origins: BTreeMap<String, String>,
    /// Values by key.
    pub values: BTreeMap<String, Vec<String>>,
}

impl Layer {
    /// Adds a value; the key must exist and the value must be of its kind.
    pub fn insert(
        &mut self,
        name: &str,
        values: Vec<String>,
        origin: &str,
    ) -> Result<(), ConfigError> {
        let fail = |message: String, hint: Option<String>| {
            Err(ConfigError {
                message,
                origin: Some(origin.to_owned()),
                hint,
            })
        };
        let Some(key) = key(name) else {
            let table = if name.starts_with(GATE_PREFIX) {
                GATE_KEYS
            } else {
                KEYS
            };
            let hint = did_you_mean(name, table.iter().map(|key| key.name));
            return fail(format!("unknown setting `{name}`"), hint);
        };
        let values = match key.kind {
            Kind::List => split_list(&values),
            _ => values,
        };
        let wrong = |what: &str| {
            fail(
                format!("`{}` is not {what} (setting `{name}`)", values.join(",")),
                None,
            )
        };
        if name.starts_with(GATE_PREFIX)
            && let Some(problem) = threshold_problem(key.kind, &values)
        {
            return fail(format!("setting `{name}` {problem}"), None);
        }
        match key.kind {
            Kind::Count if !values.iter().all(|value| value.parse::<u64>().is_ok()) => {
                return wrong("a whole number from 0");
            }
            Kind::Number
                if !values.iter().all(|value| {
                    value
                        .parse::<f64>()
                        .is_ok_and(|n| n.is_finite() && n >= 0.0)
                }) =>
            {
                return wrong("a number from 0");
            }
            Kind::Switch
                if !values
                    .iter()
                    .all(|value| value == "true" || value == "false") =>
            {
                return wrong("true or false");
            }
            Kind::List | Kind::Texts if values.is_empty() => {
                return fail(format!("setting `{name}` is an empty list"), None);
            }
            _ => {}
        }
        self.values.insert(name.to_owned(), values);
        self.origins.insert(name.to_owned(), origin.to_owned());
        Ok(())
    }
}

/// A threshold that is blank, or given twice, is a mistake and never 0 or the last of them.
fn threshold_problem(kind: Kind, values: &[String]) -> Option<&'static str> {
    if values.is_empty() || values.iter().any(|value| value.trim().is_empty()) {
        Some("is blank")
    } else if values.len() > 1 && !matches!(kind, Kind::List | Kind::Texts) {
        Some("is given more than once")
    } else {
        None
    }
}

/// `a,b` and repetition are the same.
fn split_list(values: &[String]) -> Vec<String> {
    values
        .iter()
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The values in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    values: BTreeMap<String, Vec<String>>,
    /// Every value with its origin, in the table's order.
    pub settings: Vec<Setting>,
}

impl Resolved {
    /// All values of a key.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.values.get(name).cloned().unwrap_or_default()
    }

    /// The value of a key, if it has one.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.last().map(String::as_str)
    }

    /// A number; the table guarantees that it parses.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.text(name)?.parse().ok()
    }

    /// A whole number.
    pub fn count(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// A switch.
    pub fn switch(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// The same with another value of one key, such as what `auto` stands for.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str, origin: &str) -> Self {
        self.values.insert(name.to_owned(), vec![value.to_owned()]);
        for setting in self.settings.iter_mut().filter(|it| it.name == name) {
            value.clone_into(&mut setting.value);
            origin.clone_into(&mut setting.origin);
        }
        self
    }

    /// Where the value comes from.
    pub fn origin(&self, name: &str) -> Option<&str> {
        self.settings
            .iter()
            .find(|setting| setting.name == name)
            .map(|setting| setting.origin.as_str())
    }
}

/// The first layer that has a key gives its value; the table's default comes last.
pub fn resolve(layers: &[Layer]) -> Resolved {
    resolve_keys(KEYS, layers)
}

/// The same for the settings of the gate.
pub fn resolve_gate(layers: &[Layer]) -> Resolved {
    resolve_keys(GATE_KEYS, layers)
}

fn resolve_keys(keys: &[Key], layers: &[Layer]) -> Resolved {
    let mut resolved = Resolved::default();
    for key in keys {
        let built_in = key.default.map(|text| match key.kind {
            Kind::List => split_list(&[text.to_owned()]),
            _ => vec![text.to_owned()],
        });
        let found = layers.iter().find_map(|layer| {
            let values = layer.values.get(key.name)?.clone();
            let origin = layer.origins.get(key.name).cloned().unwrap_or_default();
            Some((values, origin))
        });
        let Some((values, origin)) =
            found.or_else(|| built_in.map(|values| (values, "built-in".to_owned())))
        else {
            continue;
        };
        resolved.settings.push(Setting {
            name: key.name.to_owned(),
            value: values.join(","),
            origin,
        });
        resolved.values.insert(key.name.to_owned(), values);
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str, value: &str, origin: &str) -> Layer {
        let mut layer = Layer::default();
        layer.insert(name, vec![value.to_owned()], origin).unwrap();
        layer
    }

    #[test]
    fn the_first_layer_wins_and_origins_are_kept() {
        let resolved = resolve(&[
            layer("seed", "1", "flag"),
            layer("seed", "2", "environment TOOLBENCH_SEED"),
            layer("dialect", "react, json", "toolbench.toml:3:1"),
        ]);
        assert_eq!(resolved.count("seed"), Some(1));
        assert_eq!(resolved.origin("seed"), Some("flag"));
        assert_eq!(resolved.list("dialect"), ["react", "json"]);
        assert_eq!(resolved.origin("trials"), Some("built-in"));
        assert_eq!(resolved.text("case"), None);
    }

    #[test]
    fn mistakes_are_named() {
        let mut layer = Layer::default();
        let error = layer
            .insert("dialekt", vec!["json".into()], "x.toml:1:1")
            .unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean `dialect`?"));
        let error = layer
            .insert("trials", vec!["-1".into()], "flag")
            .unwrap_err();
        assert!(error.message.contains("not a whole number"), "{error}");
        let error = layer
            .insert("temperature", vec!["NaN".into()], "flag")
            .unwrap_err();
        assert!(error.message.contains("not a number"), "{error}");
    }
}
