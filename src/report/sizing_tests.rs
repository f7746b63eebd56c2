//! The page about hardware in every format.

use super::*;
use crate::sizing::tests::sample_page;

fn written(format: SizingFormat) -> String {
    let mut out = Vec::new();
    write_sizing(&sample_page(), format, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn terminal() {
    let text = written(SizingFormat::Terminal(Terminal::default()));
    insta::assert_snapshot!("sizing_terminal", text);
    let detailed = Terminal {
        detailed: true,
        ..Terminal::default()
    };
    for text in [text, written(SizingFormat::Terminal(detailed))] {
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}

#[test]
fn markdown_has_every_cells_predictions() {
    let text = written(SizingFormat::Markdown);
    insta::assert_snapshot!("sizing_markdown", text);
    assert!(
        text.matches("## Predicted for tiers nobody has run")
            .count()
            >= 2
    );
}

#[test]
fn csv_has_a_line_for_each_measurement_prediction_and_figure() {
    let page = sample_page();
    let text = written(SizingFormat::Csv);
    let count = |kind: &str| text.lines().filter(|line| line.starts_with(kind)).count();
    assert_eq!(count("measured,"), page.cells.len());
    assert_eq!(count("predicted,"), page.predictions.len());
    assert_eq!(count("published,"), page.published.len());
    assert_eq!(
        count("verdict,"),
        page.answer.as_ref().unwrap().claims.len()
    );
    assert_eq!(count("demand,"), page.demands.len());
    assert!(count("demand,") > 0);
    assert_eq!(count("published figure,"), page.claims.len());
    let fields = text.lines().next().unwrap().split(',').count();
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    assert!(
        reader
            .records()
            .all(|record| record.unwrap().len() == fields)
    );
}

#[test]
fn json_reads_back_as_the_page() {
    let text = written(SizingFormat::Json);
    let schema = crate::sizing::sizing_schema();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let faults: Vec<String> = validator
        .iter_errors(&value)
        .map(|it| it.to_string())
        .collect();
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(value["schema"], crate::sizing::SIZING_SCHEMA);
    // What is predicted is called so where it stands.
    for found in value["predictions"].as_array().unwrap() {
        assert!(found["success_measured_on"].is_string());
    }
}

#[test]
fn an_endpoint_is_no_machine_and_little_is_not_nothing() {
    let mut page = sample_page();
    page.demands.truncate(1);
    page.demands[0].remote = true;
    page.demands[0].machines = 8;
    page.demands[0].per_hour = 0.4;
    page.cells[0].excluded_trials = 1;
    page.cells[0].success.n = 99;
    let mut out = Vec::new();
    write_sizing(&page, SizingFormat::Markdown, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("0.4 an hour with"), "{text}");
    assert!(text.contains("8 times what this endpoint gave to one client"));
    assert!(
        text.contains("99 (−1)"),
        "scored, and what is outside of it"
    );
}
