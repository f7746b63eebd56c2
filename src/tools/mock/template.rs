//! Templates of a mock: text, or JSON whose strings are templates.
//!
//! Data in: strings and JSON of a suite file. Data out: compiled nodes that render to text or JSON.
//! Invariants: every template is compiled and its names are checked before the first call; nothing
//! is HTML-escaped; a string that is wholly `{{ … | tojson }}` renders to the JSON value itself;
//! values inside a JSON pointer are escaped by the pointer's rules; work is bounded by fuel.

use std::collections::BTreeSet;

use minijinja::value::Value as TemplateValue;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, escape_formatter};
use serde_json::{Map, Value};

use super::{MockError, values};

/// Instructions one template may run: thousands of times what a reply needs.
const FUEL: u64 = 1_000_000;
/// Largest text one template may make.
const TEXT_LIMIT_BYTES: usize = 1 << 20;
/// Ending of the names of templates whose values are escaped for JSON pointers.
const POINTER_SUFFIX: &str = "(pointer)";
/// Names that templates may use besides `let` names and minijinja's own.
const CONTEXT_NAMES: [&str; 3] = ["args", "state", "counter"];

/// A piece of a reply or a patch.
#[derive(Debug)]
pub(super) enum Node {
    /// No template in it.
    Literal(Value),
    /// The named template, as text.
    Text(String),
    /// The named template, whose text is JSON.
    Json(String),
    /// A list of pieces.
    List(Vec<Node>),
    /// An object of pieces.
    Object(Vec<(String, Node)>),
}

/// All templates of one mock.
pub(super) struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    /// An environment with the mock's rules and no templates yet.
    pub(super) fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_auto_escape_callback(|name| {
            if name.ends_with(POINTER_SUFFIX) {
                AutoEscape::Custom("pointer".into())
            } else {
                AutoEscape::None
            }
        });
        environment.set_formatter(|out, state, value| {
            if matches!(state.auto_escape(), AutoEscape::Custom(_)) && !value.is_safe() {
                let text = value.to_string().replace('~', "~0").replace('/', "~1");
                Ok(out.write_str(&text)?)
            } else if matches!(state.auto_escape(), AutoEscape::Custom(_)) {
                Ok(out.write_str(&value.to_string())?)
            } else {
                escape_formatter(out, state, value)
            }
        });
        environment.add_filter(
            "tojson",
            |value: &TemplateValue| -> Result<TemplateValue, Error> {
                Ok(TemplateValue::from(values::to_json(value)?.to_string()))
            },
        );
        Self { environment }
    }

    /// Compiles every string of `value`; `location` names it in messages.
    pub(super) fn node(
        &mut self,
        location: &str,
        value: &Value,
        names: &BTreeSet<String>,
    ) -> Result<Node, MockError> {
        match value {
            Value::String(text) => self.text_node(location, text, names),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| self.node(&format!("{location}[{index}]"), item, names))
                .collect::<Result<_, _>>()
                .map(Node::List),
            Value::Object(map) => map
                .iter()
                .map(|(key, field)| {
                    let piece = self.node(&format!("{location}.{key}"), field, names)?;
                    Ok((key.clone(), piece))
                })
                .collect::<Result<_, _>>()
                .map(Node::Object),
            other => Ok(Node::Literal(other.clone())),
        }
    }

    fn text_node(
        &mut self,
        location: &str,
        text: &str,
        names: &BTreeSet<String>,
    ) -> Result<Node, MockError> {
        if !is_template(text) {
            return Ok(Node::Literal(Value::String(text.to_owned())));
        }
        self.add(location, text, names)?;
        Ok(if is_wholly_json(text) {
            Node::Json(location.to_owned())
        } else {
            Node::Text(location.to_owned())
        })
    }

    /// Compiles a JSON pointer whose interpolated values are escaped as pointer segments.
    pub(super) fn pointer(
        &mut self,
        location: &str,
        text: &str,
        names: &BTreeSet<String>,
    ) -> Result<Node, MockError> {
        if !is_template(text) {
            return Ok(Node::Literal(Value::String(text.to_owned())));
        }
        let name = format!("{location} {POINTER_SUFFIX}");
        self.add(&name, text, names)?;
        Ok(Node::Text(name))
    }

    /// Checks a condition; it is compiled again where it is used, since expressions borrow.
    pub(super) fn check_condition(&self, location: &str, source: &str) -> Result<(), MockError> {
        let expression = self
            .environment
            .compile_expression(source)
            .map_err(|error| MockError::new(location, error.to_string()))?;
        let mut used = expression.undeclared_variables(false);
        used.retain(|name| name != "args" && name != "state");
        self.check_names(location, used, &BTreeSet::new())
    }

    fn add(&mut self, name: &str, source: &str, names: &BTreeSet<String>) -> Result<(), MockError> {
        let described = |error: &Error| MockError::new(name, error.to_string());
        self.environment
            .add_template_owned(name.to_owned(), source.to_owned())
            .map_err(|error| described(&error))?;
        let template = self
            .environment
            .get_template(name)
            .map_err(|error| described(&error))?;
        let mut used = template.undeclared_variables(false);
        let set = names_set_in(source);
        used.retain(|other| !CONTEXT_NAMES.contains(&other.as_str()) && !set.contains(other));
        self.check_names(name, used, names)
    }

    fn check_names(
        &self,
        location: &str,
        used: std::collections::HashSet<String>,
        names: &BTreeSet<String>,
    ) -> Result<(), MockError> {
        let unknown: BTreeSet<String> = used
            .into_iter()
            .filter(|name| !names.contains(name))
            .filter(|name| !self.environment.globals().any(|(global, _)| global == name))
            .collect();
        match unknown.first() {
            None => Ok(()),
            Some(name) => {
                let mut known: Vec<&str> = CONTEXT_NAMES.to_vec();
                known.extend(names.iter().map(String::as_str));
                Err(MockError::new(
                    location,
                    format!("unknown name `{name}`; a mock knows {}", known.join(", ")),
                ))
            }
        }
    }

    /// Whether a condition holds.
    pub(super) fn holds(&self, source: &str, context: &TemplateValue) -> Result<bool, Error> {
        let expression = self.environment.compile_expression(source)?;
        Ok(expression.eval(context)?.is_true())
    }

    /// Renders a node to JSON. The error names the template.
    pub(super) fn render(&self, node: &Node, context: &TemplateValue) -> Result<Value, MockError> {
        match node {
            Node::Literal(value) => Ok(value.clone()),
            Node::Text(name) => self.render_text(name, context).map(Value::String),
            Node::Json(name) => {
                let text = self.render_text(name, context)?;
                serde_json::from_str(&text).map_err(|error| {
                    MockError::new(name, format!("the text is not JSON ({error}): {text}"))
                })
            }
            Node::List(items) => items
                .iter()
                .map(|item| self.render(item, context))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            Node::Object(fields) => fields
                .iter()
                .map(|(key, field)| Ok((key.clone(), self.render(field, context)?)))
                .collect::<Result<Map<_, _>, _>>()
                .map(Value::Object),
        }
    }

    fn render_text(&self, name: &str, context: &TemplateValue) -> Result<String, MockError> {
        let text = self
            .environment
            .get_template(name)
            .and_then(|template| template.render(context))
            .map_err(|error| MockError::new(name, error.to_string()))?;
        if text.len() > TEXT_LIMIT_BYTES {
            return Err(MockError::new(
                name,
                format!("the text is over {TEXT_LIMIT_BYTES} bytes"),
            ));
        }
        Ok(text)
    }
}

/// Names that `{% set … %}` gives a value anywhere. minijinja's own analysis takes a name that is
/// set inside an `if` for unknown after it, though it is known when the template runs.
fn names_set_in(source: &str) -> BTreeSet<String> {
    source
        .split("{%")
        .skip(1)
        .filter_map(|tag| {
            tag.trim_start_matches(['-', '+'])
                .trim_start()
                .strip_prefix("set ")
        })
        .filter_map(|rest| rest.split(['=', '%', '|']).next())
        .flat_map(|targets| targets.split(','))
        .map(|name| name.trim_matches(|c: char| c.is_whitespace() || matches!(c, '(' | ')')))
        .map(str::to_owned)
        .collect()
}

fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"]
        .iter()
        .any(|opener| text.contains(opener))
}

/// `{{ … | tojson }}` and nothing else.
fn is_wholly_json(text: &str) -> bool {
    let Some(inner) = text
        .trim()
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"))
    else {
        return false;
    };
    if ["{{", "}}", "{%", "{#"]
        .iter()
        .any(|mark| inner.contains(mark))
    {
        return false;
    }
    let inner = inner.trim().trim_end_matches("()").trim_end();
    inner
        .strip_suffix("tojson")
        .is_some_and(|rest| rest.trim_end().ends_with('|'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_set_inside_an_if_are_known_after_it() {
        let source = "{% if args.a %}{%- set c = 1 %}{% else %}{% set c, d = 2, 3 %}{% endif %}{{ c }}{{ d }}";
        let node =
            Templates::new().node("here", &Value::String(source.to_owned()), &BTreeSet::new());
        assert!(matches!(node, Ok(Node::Text(_))), "{node:?}");
    }

    #[test]
    fn only_a_lone_tojson_is_json() {
        for yes in [
            "{{ a | tojson }}",
            " {{a|tojson}} ",
            "{{ a | default({}) | tojson() }}",
        ] {
            assert!(is_wholly_json(yes), "{yes}");
        }
        for no in [
            "{{ a }}",
            "x {{ a | tojson }}",
            "{{ a | tojson }}{{ b | tojson }}",
            "{{ tojson }}",
        ] {
            assert!(!is_wholly_json(no), "{no}");
        }
    }
}
