//! From a cell and the facts of a model to a route, or the reason why there is none.

use crate::types::facts::TemplateSource;
use crate::types::{Constraint, DialectName, Mechanism, ModelFacts, Route, Wire};

/// Why a cell cannot be run. Listed under `excluded`, never scored as 0 %.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsupported(pub String);

/// The route of one cell. `template_has_tools` is what probing the template has shown.
pub fn route(
    dialect: DialectName,
    constraint: Constraint,
    facts: &ModelFacts,
    template_has_tools: bool,
) -> Result<Route, Unsupported> {
    if !facts.wires.contains(&Wire::RawText) {
        return Err(Unsupported(format!(
            "provider `{}` offers no raw-text wire",
            facts.provider
        )));
    }
    let template = match &facts.chat_template {
        Some(_) => TemplateSource::Weights,
        None => TemplateSource::PlainText,
    };
    if dialect == DialectName::Native && !template_has_tools {
        return Err(Unsupported(
            match template {
                TemplateSource::PlainText => {
                    "a base model without a chat template has no native tool form"
                }
                _ => "the model's chat template has no place for tools",
            }
            .to_owned(),
        ));
    }
    let mechanism = match constraint {
        Constraint::Off => None,
        Constraint::Grammar => Some(*facts.mechanisms.first().ok_or_else(|| {
            Unsupported(format!(
                "provider `{}` cannot hold decoding to a grammar",
                facts.provider
            ))
        })?),
    };
    debug_assert!(mechanism.is_none_or(|mechanism| mechanism == Mechanism::Llguidance));
    Ok(Route {
        leg: "main".to_owned(),
        wire: Wire::RawText,
        template,
        mechanism,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(template: Option<&str>, mechanisms: Vec<Mechanism>) -> ModelFacts {
        ModelFacts {
            chat_template: template.map(str::to_owned),
            wires: vec![Wire::RawText],
            mechanisms,
            ..ModelFacts::default()
        }
    }

    #[test]
    fn native_needs_a_template_with_tools() {
        let with = facts(Some("x"), vec![Mechanism::Llguidance]);
        assert!(route(DialectName::Native, Constraint::Off, &with, true).is_ok());
        let reason = route(DialectName::Native, Constraint::Off, &with, false).unwrap_err();
        assert!(reason.0.contains("no place for tools"));
        let base = facts(None, vec![]);
        let reason = route(DialectName::Native, Constraint::Off, &base, false).unwrap_err();
        assert!(reason.0.contains("base model"));
    }

    #[test]
    fn a_grammar_needs_a_mechanism() {
        let without = facts(Some("x"), vec![]);
        assert!(route(DialectName::Json, Constraint::Grammar, &without, false).is_err());
        assert_eq!(
            route(DialectName::Json, Constraint::Off, &without, false)
                .unwrap()
                .mechanism,
            None
        );
    }
}
