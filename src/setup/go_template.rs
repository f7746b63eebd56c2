//! A chat template as the Go template of a Modelfile, where it is a plain sequence of messages.
//!
//! Data in: the Jinja template and tokens of the weights. Data out: a Go template. Invariants: found by
//! rendering sentinels, never by a model's name; given only where what it would write equals what the
//! Jinja template writes, for conversations of several turns.

use crate::dialect::Template;
use crate::types::{Message, ModelFacts, Role};

const SYSTEM: &str = "toolbenchSystemText";
const USER: &str = "toolbenchFirstQuestion";
const ANSWER: &str = "toolbenchFirstAnswer";
const FURTHER: &str = "toolbenchSecondQuestion";

/// What stands around the texts of a conversation.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pieces {
    start: String,
    system: (String, String),
    user: (String, String),
    assistant: (String, String),
    generation: String,
}

/// The Go template; `None` where the Jinja template is more than a sequence of messages. `with_system`:
/// conversations begin with a system message.
pub(super) fn expressed(facts: &ModelFacts, with_system: bool) -> Option<String> {
    let template = Template::of(facts).ok()?;
    let render =
        |messages: &[Message], generation: bool| template.render(messages, &[], generation).ok();
    let mut pieces = pieces(&render, &facts.bos_token, with_system)?;
    for shape in shapes(with_system) {
        if render(&shape, true)? != pieces.write(&shape) {
            return None;
        }
    }
    let bos = facts.bos_token.as_str();
    if facts.adds_bos && !bos.is_empty() {
        // The tokenizer adds it: twice would be another prompt.
        if pieces.start == bos {
            pieces.start.clear();
        } else if pieces.write(&shapes(with_system)[0]).starts_with(bos) {
            return None;
        }
    }
    Some(pieces.go())
}

type Render<'a> = dyn Fn(&[Message], bool) -> Option<String> + 'a;

fn pieces(render: &Render<'_>, bos: &str, with_system: bool) -> Option<Pieces> {
    let system = || with_system.then(|| Message::text(Role::System, SYSTEM));
    let asked: Vec<Message> = system()
        .into_iter()
        .chain([Message::text(Role::User, USER)])
        .collect();
    let mut answered = asked.clone();
    answered.push(Message::text(Role::Assistant, ANSWER));
    let mut again = answered.clone();
    again.push(Message::text(Role::User, FURTHER));
    let after = |text: &str, mark: &str| text.split_once(mark).map(|(_, rest)| rest.to_owned());
    let between = |text: &str, one: &str, two: &str| {
        let (_, rest) = text.split_once(one)?;
        rest.split_once(two).map(|(found, _)| found.to_owned())
    };
    let ready = render(&asked, true)?;
    let long = render(&again, true)?;
    let after_user = after(&render(&asked, false)?, USER)?;
    let after_answer = after(&render(&answered, false)?, ANSWER)?;
    let generation = after(&ready, USER)?.strip_prefix(&after_user)?.to_owned();
    let before_answer = between(&long, USER, ANSWER)?
        .strip_prefix(&after_user)?
        .to_owned();
    let before_user = between(&long, ANSWER, FURTHER)?
        .strip_prefix(&after_answer)?
        .to_owned();
    let mut pieces = Pieces {
        user: (before_user.clone(), after_user),
        assistant: (before_answer, after_answer),
        generation,
        ..Pieces::default()
    };
    if with_system {
        let (start, _) = ready.split_once(SYSTEM)?;
        let after_system = between(&ready, SYSTEM, USER)?;
        // What begins every conversation is the token, where it is no part of every message; the rest
        // belongs to the system message.
        let own = Some(bos).filter(|bos| !before_user.starts_with(bos));
        let bare = own.and_then(|bos| start.strip_prefix(bos)).unwrap_or(start);
        start[..start.len() - bare.len()].clone_into(&mut pieces.start);
        bare.clone_into(&mut pieces.system.0);
        after_system
            .strip_suffix(&before_user)?
            .clone_into(&mut pieces.system.1);
    } else {
        let (start, _) = ready.split_once(USER)?;
        start
            .strip_suffix(&before_user)?
            .clone_into(&mut pieces.start);
    }
    Some(pieces)
}

/// Conversations of one to three questions.
fn shapes(with_system: bool) -> Vec<Vec<Message>> {
    let turns = [
        (Role::User, "Is it raining in Oslo?"),
        (Role::Assistant, "It is {{ raining }}, 5 mm."),
        (Role::User, "line one\nline two"),
        (Role::Assistant, "{\"tool\":\"x\"}"),
        (Role::User, "thanks"),
    ];
    let system = with_system.then(|| Message::text(Role::System, "Be brief.\n\nUse tools."));
    [1, 3, 5]
        .into_iter()
        .map(|count| {
            let said = turns[..count]
                .iter()
                .map(|(role, text)| Message::text(*role, *text));
            system.clone().into_iter().chain(said).collect()
        })
        .collect()
}

impl Pieces {
    fn around(&self, role: Role) -> &(String, String) {
        match role {
            Role::System => &self.system,
            Role::Assistant => &self.assistant,
            Role::User | Role::Tool => &self.user,
        }
    }

    /// What the Go template writes.
    fn write(&self, messages: &[Message]) -> String {
        let mut text = self.start.clone();
        for message in messages {
            let (before, after) = self.around(message.role);
            text.push_str(before);
            text.push_str(&message.content);
            text.push_str(after);
        }
        text + &self.generation
    }

    fn go(&self) -> String {
        let message = |(before, after): &(String, String)| {
            format!("{}{{{{ .Content }}}}{}", literal(before), literal(after))
        };
        format!(
            "{}{{{{ range .Messages }}}}{{{{ if eq .Role \"system\" }}}}{}{{{{ else if eq .Role \
             \"assistant\" }}}}{}{{{{ else }}}}{}{{{{ end }}}}{{{{ end }}}}{}",
            literal(&self.start),
            message(&self.system),
            message(&self.assistant),
            message(&self.user),
            literal(&self.generation)
        )
    }
}

/// Text that a Go template writes as it is.
fn literal(text: &str) -> String {
    text.replace("{{", "{{ \"{{\" }}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(template: &str, adds_bos: bool) -> ModelFacts {
        ModelFacts {
            chat_template: Some(template.to_owned()),
            bos_token: "<s>".to_owned(),
            eos_token: "</s>".to_owned(),
            adds_bos,
            ..ModelFacts::default()
        }
    }

    const CHATML: &str = "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    #[test]
    fn a_plain_sequence_is_expressed() {
        let go = expressed(&facts(CHATML, true), true).unwrap();
        assert_eq!(
            go,
            "{{ range .Messages }}{{ if eq .Role \"system\" }}<|im_start|>system\n{{ .Content }}<|im_end|>\n{{ else if eq .Role \"assistant\" }}<|im_start|>assistant\n{{ .Content }}<|im_end|>\n{{ else }}<|im_start|>user\n{{ .Content }}<|im_end|>\n{{ end }}{{ end }}<|im_start|>assistant\n"
        );
        let without = expressed(&facts(CHATML, false), false).unwrap();
        assert!(without.starts_with("<s>{{ range"), "{without}");
    }

    /// Some weights have the beginning of a message as their first token.
    #[test]
    fn a_token_that_begins_every_message_stays_there() {
        let template = CHATML.replace("{{ bos_token }}", "");
        let of = |adds_bos| {
            let mut facts = facts(&template, adds_bos);
            facts.bos_token = "<|im_start|>".to_owned();
            expressed(&facts, true)
        };
        let go = of(false).unwrap();
        assert!(
            go.starts_with("{{ range .Messages }}{{ if eq .Role \"system\" }}<|im_start|>system"),
            "{go}"
        );
        assert_eq!(of(true), None, "the tokenizer would write it twice");
    }

    #[test]
    fn what_is_more_than_a_sequence_is_not() {
        let counting =
            "{% for m in messages %}[{{ loop.index }}:{{ m.role }}]{{ m.content }}{% endfor %}>";
        assert_eq!(expressed(&facts(counting, false), true), None);
        let trims = "{% for m in messages %}<{{ m.role }}>{{ m.content | upper }}{% endfor %}<a>";
        assert_eq!(expressed(&facts(trims, false), true), None);
        let refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}";
        assert_eq!(expressed(&facts(refuses, false), true), None);
        assert!(expressed(&facts(refuses, false), false).is_some());
        assert_eq!(expressed(&ModelFacts::default(), true), None);
    }
}
