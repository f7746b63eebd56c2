//! From a cell and the facts of a model to a route, or the reason why there is none.

use crate::types::facts::TemplateSource;
use crate::types::{Constraint, DialectName, Mechanism, ModelFacts, Route, Wire, WirePreference};

/// Why a cell cannot be run. Listed under `excluded`, never scored as 0 %.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsupported(pub String);

/// The route of one cell. `template_has_tools` is what probing the template has shown.
pub fn route(
    dialect: DialectName,
    constraint: Constraint,
    preference: WirePreference,
    facts: &ModelFacts,
    template_has_tools: bool,
) -> Result<Route, Unsupported> {
    let wire = wire(dialect, preference, facts, template_has_tools)?;
    let template = match (wire, &facts.chat_template) {
        (Wire::Chat | Wire::ChatWithTools, _) => TemplateSource::Server,
        (Wire::RawText, Some(_)) => TemplateSource::Weights,
        (Wire::RawText, None) => TemplateSource::PlainText,
    };
    let mechanism = match constraint {
        Constraint::Off => None,
        Constraint::Grammar => Some(mechanism(dialect, wire, facts)?),
    };
    Ok(Route {
        leg: "main".to_owned(),
        wire,
        template,
        mechanism,
    })
}

/// What goes over: what is preferred, where the provider offers it and the dialect can use it.
fn wire(
    dialect: DialectName,
    preference: WirePreference,
    facts: &ModelFacts,
    template_has_tools: bool,
) -> Result<Wire, Unsupported> {
    let native = dialect == DialectName::Native;
    let candidates: &[Wire] = match (preference, native) {
        (WirePreference::Auto, true) => &[Wire::ChatWithTools, Wire::RawText],
        // A server that can chat knows its template; where nobody else does, it is left to it.
        (WirePreference::Auto, false) if facts.chat_template.is_none() => {
            &[Wire::Chat, Wire::RawText]
        }
        (WirePreference::Auto, false) => &[Wire::RawText, Wire::Chat],
        (WirePreference::Raw, _) => &[Wire::RawText],
        (WirePreference::Chat, _) => &[Wire::Chat],
        (WirePreference::Tools, _) => &[Wire::ChatWithTools],
    };
    let offered = |wire: &Wire| facts.wires.contains(wire);
    match candidates.iter().copied().find(offered) {
        Some(Wire::ChatWithTools) if !native => Err(Unsupported(format!(
            "`{dialect}` describes tools in the text; chat with tools is for `native`"
        ))),
        Some(Wire::RawText) if native && !template_has_tools => Err(Unsupported(
            match &facts.chat_template {
                None => "a base model without a chat template has no native tool form",
                Some(_) => "the model's chat template has no place for tools",
            }
            .to_owned(),
        )),
        Some(Wire::Chat) if native => Err(Unsupported(
            "`native` needs the template's own tool form, and over chat without tools the server fills in the template".to_owned(),
        )),
        Some(wire) => Ok(wire),
        None => {
            let names: Vec<&str> = candidates.iter().map(|wire| wire.as_str()).collect();
            Err(Unsupported(format!(
                "provider `{}` offers no {} wire",
                facts.provider,
                names.join(" or ")
            )))
        }
    }
}

/// The first of the provider's mechanisms that can hold this dialect over this wire.
fn mechanism(
    dialect: DialectName,
    wire: Wire,
    facts: &ModelFacts,
) -> Result<Mechanism, Unsupported> {
    let fits = |mechanism: &Mechanism| match mechanism {
        Mechanism::Llguidance | Mechanism::Gbnf => wire != Wire::ChatWithTools,
        Mechanism::JsonSchema => dialect == DialectName::Json && wire != Wire::ChatWithTools,
        Mechanism::StrictTools => wire == Wire::ChatWithTools,
    };
    if let Some(found) = facts.mechanisms.iter().copied().find(fits) {
        return Ok(found);
    }
    let names: Vec<&str> = facts.mechanisms.iter().map(|one| one.as_str()).collect();
    Err(Unsupported(if names.is_empty() {
        format!(
            "provider `{}` cannot hold decoding to a grammar",
            facts.provider
        )
    } else {
        format!(
            "provider `{}` can constrain by {}, which cannot hold `{dialect}` over {}",
            facts.provider,
            names.join(", "),
            wire.as_str()
        )
    }))
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
        assert!(
            route(
                DialectName::Native,
                Constraint::Off,
                WirePreference::Auto,
                &with,
                true
            )
            .is_ok()
        );
        let reason = route(
            DialectName::Native,
            Constraint::Off,
            WirePreference::Auto,
            &with,
            false,
        )
        .unwrap_err();
        assert!(reason.0.contains("no place for tools"));
        let base = facts(None, vec![]);
        let reason = route(
            DialectName::Native,
            Constraint::Off,
            WirePreference::Auto,
            &base,
            false,
        )
        .unwrap_err();
        assert!(reason.0.contains("base model"));
    }

    #[test]
    fn a_grammar_needs_a_mechanism() {
        let without = facts(Some("x"), vec![]);
        assert!(
            route(
                DialectName::Json,
                Constraint::Grammar,
                WirePreference::Auto,
                &without,
                false
            )
            .is_err()
        );
        assert_eq!(
            route(
                DialectName::Json,
                Constraint::Off,
                WirePreference::Auto,
                &without,
                false
            )
            .unwrap()
            .mechanism,
            None
        );
    }

    fn served(mechanisms: Vec<Mechanism>) -> ModelFacts {
        ModelFacts {
            provider: "served".into(),
            wires: vec![Wire::Chat, Wire::ChatWithTools],
            mechanisms,
            ..ModelFacts::default()
        }
    }

    #[test]
    fn a_served_model_gets_the_wire_its_dialect_needs() {
        let facts = served(vec![Mechanism::JsonSchema, Mechanism::StrictTools]);
        let of = |dialect, constraint, wire| route(dialect, constraint, wire, &facts, false);
        let native = of(
            DialectName::Native,
            Constraint::Grammar,
            WirePreference::Auto,
        )
        .unwrap();
        assert_eq!(
            (native.wire, native.mechanism, native.template),
            (
                Wire::ChatWithTools,
                Some(Mechanism::StrictTools),
                TemplateSource::Server
            )
        );
        let json = of(DialectName::Json, Constraint::Grammar, WirePreference::Auto).unwrap();
        assert_eq!(
            (json.wire, json.mechanism),
            (Wire::Chat, Some(Mechanism::JsonSchema))
        );
        for (dialect, constraint, wire, words) in [
            (
                DialectName::React,
                Constraint::Grammar,
                WirePreference::Auto,
                "cannot hold `react`",
            ),
            (
                DialectName::React,
                Constraint::Off,
                WirePreference::Tools,
                "for `native`",
            ),
            (
                DialectName::Native,
                Constraint::Off,
                WirePreference::Chat,
                "fills in the template",
            ),
            (
                DialectName::Json,
                Constraint::Off,
                WirePreference::Raw,
                "offers no raw text wire",
            ),
        ] {
            let reason = of(dialect, constraint, wire).unwrap_err();
            assert!(reason.0.contains(words), "{reason}");
        }
    }
}
