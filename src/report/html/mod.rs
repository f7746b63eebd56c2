//! The page of a run: one file that needs nothing else, for any browser.
//!
//! Data in: [`Summary`] and the record it was made from, already cut and redacted. Data out: HTML
//! with its styles, script and data inside. Invariants: every number is the summary's own or counted
//! by `metrics`; all text of models, tools and suites is escaped or travels as compressed data that
//! the script puts in as text alone; the page's own policy forbids every request and every script
//! but its own; what is not in the record is said to be missing.
//!
//! `page.html` is the static part, drawn here with its charts. Trials and what was said in them are
//! data (`data.rs`), which the scripts unpack when
//! somebody looks.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, HtmlEscape, UndefinedBehavior, Value};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::metrics::{Summary, detail};
use crate::record::format::Header;
use crate::types::{ContentHash, ToolDefinition, TrialRecord};

mod answer;
mod charts;
mod closing;
mod data;
mod front;
mod heat;
mod tables;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = concat!(
    include_str!("style/page.css"),
    include_str!("style/charts.css"),
    include_str!("style/trials.css"),
);
const SCRIPT: &str = concat!(
    include_str!("script/base.js"),
    include_str!("script/list.js"),
    include_str!("script/trial.js"),
    include_str!("script/tools.js"),
    include_str!("script/start.js"),
);

/// What a page shows of a run beside its summary, as far as it may be shown.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// The header.
    pub header: &'a Header,
    /// Trial lines in file order.
    pub trials: &'a [TrialRecord],
    /// What stands under an address; nothing where it is not kept.
    pub content: &'a dyn Fn(&ContentHash) -> Option<&'a serde_json::Value>,
    /// A half line at the end of a file was left out.
    pub truncated: bool,
}

impl Shown<'_> {
    /// A list of offered tools, where the record holds it.
    fn tools(&self, address: &ContentHash) -> Option<Vec<ToolDefinition>> {
        serde_json::from_value((self.content)(address)?.clone()).ok()
    }
}

/// Writes the page. Errors are the writer's.
pub fn write_html<'a>(
    summary: &Summary,
    shown: &'a Shown<'a>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let offered = |address: &ContentHash| shown.tools(address);
    let detail = detail(shown.header, shown.trials, summary.by, &offered);
    let data = data::pack(summary, shown, &detail)?;
    let page = Page {
        title: &summary.header.run,
        policy: policy(),
        style: STYLE,
        script: SCRIPT,
        data,
        head: answer::head(summary),
        ranking: answer::ranking(summary),
        differences: answer::differences(summary),
        front: front::front(summary),
        heat: heat::heat(summary, &detail),
        failures: heat::failures(summary),
        flow: charts::flow(&detail),
        left_out: closing::tools_left_out(&detail),
        latency: charts::latency(summary, &detail),
        sizing: closing::sizing(summary, shown.header),
        notes: closing::notes(summary, shown),
    };
    let html = render(&page).map_err(io::Error::other)?;
    out.write_all(html.as_bytes())
}

/// What the template fills in.
#[derive(Serialize)]
struct Page<'a> {
    title: &'a str,
    policy: String,
    style: &'static str,
    script: &'static str,
    data: data::Packed,
    head: answer::Top,
    ranking: answer::Ranking,
    differences: answer::Differences,
    front: Option<front::Front>,
    heat: Option<heat::Heat>,
    failures: Option<heat::Failures>,
    flow: Option<charts::Flow>,
    left_out: Option<String>,
    latency: Vec<charts::Measure>,
    sizing: closing::Sizing,
    notes: closing::Notes,
}

/// No request, no frame, no form; only the script and the style that stand in the page itself.
fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
}

fn render(page: &Page<'_>) -> Result<String, minijinja::Error> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    templates.set_syntax(syntax.build()?);
    templates.add_filter("ticks", ticks);
    let template = templates.template_from_str(PAGE)?;
    template.render(Value::from(Serde(page)))
}

/// Escaped text in which what stands between back-ticks is code.
fn ticks(text: &str) -> Value {
    let mut html = String::with_capacity(text.len() + 16);
    let whole = text.matches('`').count() & !1;
    for (index, part) in text.splitn(whole + 1, '`').enumerate() {
        let part = HtmlEscape(part);
        if index % 2 == 1 {
            html.push_str(&format!("<code>{part}</code>"));
        } else {
            html.push_str(&part.to_string());
        }
    }
    Value::from_safe_string(html)
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
