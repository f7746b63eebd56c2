//! The catalogue of tiers and of published measurements.
//!
//! Data in: the embedded `catalogue/tiers.yaml` and `catalogue/published.yaml`, and a user's own
//! `tiers.yaml`. Data out: [`Tier`]s and [`Published`]. Invariants: names are unique in a file, and a
//! user's tier stands before the others and replaces the one of its name; unknown keys are refused;
//! every figure has a document and a date.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::types::tier::{
    Device, Figure, MatchRule, Published, PublishedClaim, PublishedContext, PublishedModel,
    PublishedSpeed, Tier, TierPrice,
};

const TIERS: &str = include_str!("../../catalogue/tiers.yaml");
const PUBLISHED: &str = include_str!("../../catalogue/published.yaml");
const FORMAT_VERSION: u32 = 1;
/// Hours of a year.
const HOURS_A_YEAR: f64 = 8766.0;

/// A file of tiers is wrong, or could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tiers in {file} are not valid: {reason}", file = .file.display())]
pub struct TierError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong, with line and column where the parser knows them.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TierFile {
    version: u32,
    #[serde(default)]
    documents: BTreeMap<String, Document>,
    tiers: Vec<TierRow>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "document")]
    name: String,
    date: String,
    #[serde(default)]
    verified: bool,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum OneOrRange {
    One(f64),
    Range(f64, f64),
}

impl OneOrRange {
    fn range(self) -> (f64, f64) {
        match self {
            Self::One(value) => (value, value),
            Self::Range(low, high) => (low, high),
        }
    }
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Sizes {
    One(f64),
    Several(Vec<f64>),
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct FigureRow {
    value: f64,
    source: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PriceRow {
    amount: Option<f64>,
    lifetime_years: Option<f64>,
    per_hour: Option<f64>,
    currency: String,
    source: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TierRow {
    name: String,
    title: Option<String>,
    device: Device,
    memory_gib: Sizes,
    #[serde(rename = "match", default)]
    rule: MatchRule,
    working_set: Option<f64>,
    #[serde(default)]
    reserve_gib: f64,
    bandwidth_gb_per_second: Option<FigureRow>,
    compute_tera_per_second: Option<FigureRow>,
    precision: Option<String>,
    watts: Option<FigureRow>,
    price: Option<PriceRow>,
}

/// All tiers: the user's own first, then the built-in ones that it does not replace.
pub fn tiers_with_user_file(file: &Path) -> Result<Vec<Tier>, TierError> {
    let built_in = parse_tiers(TIERS, Path::new("catalogue/tiers.yaml"))?;
    let mut tiers = match std::fs::read_to_string(file) {
        Ok(text) => parse_tiers(&text, file)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            return Err(TierError {
                file: file.to_owned(),
                reason: error.to_string(),
            });
        }
    };
    for tier in built_in {
        if tiers.iter().all(|own| own.name != tier.name) {
            tiers.push(tier);
        }
    }
    Ok(tiers)
}

/// What others have measured.
pub fn published() -> Result<Published, TierError> {
    parse_published(PUBLISHED, Path::new("catalogue/published.yaml"))
}

/// Reads one file of tiers.
pub fn parse_tiers(text: &str, file: &Path) -> Result<Vec<Tier>, TierError> {
    let wrong = |reason: String| TierError {
        file: file.to_owned(),
        reason,
    };
    let parsed: TierFile =
        serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()))?;
    check_version(parsed.version).map_err(wrong)?;
    let documents = Documents(parsed.documents);
    let mut tiers: Vec<Tier> = Vec::new();
    for row in parsed.tiers {
        for tier in expanded(&row, &documents)
            .map_err(|reason| wrong(format!("tier `{}`: {reason}", row.name)))?
        {
            if tiers.iter().any(|other| other.name == tier.name) {
                return Err(wrong(format!("tier `{}` is there twice", tier.name)));
            }
            tiers.push(tier);
        }
    }
    Ok(tiers)
}

fn check_version(version: u32) -> Result<(), String> {
    if version == FORMAT_VERSION {
        return Ok(());
    }
    Err(format!(
        "version {version} is not known; this toolbench reads version {FORMAT_VERSION}"
    ))
}

struct Documents(BTreeMap<String, Document>);

impl Documents {
    fn find(&self, source: &str) -> Result<&Document, String> {
        let named = self.0.get(source);
        named.ok_or_else(|| format!("`{source}` names no document"))
    }

    fn figure(&self, row: Option<&FigureRow>, unit: f64) -> Result<Option<Figure>, String> {
        let Some(row) = row else { return Ok(None) };
        if !row.value.is_finite() || row.value <= 0.0 {
            return Err(format!("{} is no figure of a machine", row.value));
        }
        let found = self.of(row.source.as_deref())?;
        Ok(Some(Figure {
            value: row.value * unit,
            document: found.name,
            date: found.date,
            verified: found.verified,
        }))
    }

    /// A figure of a user's own file need not name a document.
    fn of(&self, source: Option<&str>) -> Result<Document, String> {
        let own = || Document {
            name: "the tiers.yaml it stands in".to_owned(),
            date: "undated".to_owned(),
            verified: false,
        };
        source.map_or_else(|| Ok(own()), |source| self.find(source).cloned())
    }
}

/// A row of several sizes is a tier for each.
fn expanded(row: &TierRow, documents: &Documents) -> Result<Vec<Tier>, String> {
    let (sizes, several) = match &row.memory_gib {
        Sizes::One(size) => (vec![*size], false),
        Sizes::Several(sizes) => (sizes.clone(), true),
    };
    if sizes.is_empty() || sizes.iter().any(|size| !size.is_finite() || *size <= 0.0) {
        return Err("`memory-gib` must be above 0".to_owned());
    }
    if row.name.is_empty() {
        return Err("it has no name".to_owned());
    }
    check_shares(row, &sizes)?;
    let title = row.title.clone().unwrap_or_else(|| row.name.clone());
    sizes
        .iter()
        .map(|size| {
            let mut rule = row.rule.clone();
            if several {
                // What the system sees of it lies a little below what was sold.
                rule.memory_gib = Some((size * 0.85, size * 1.02));
            }
            Ok(Tier {
                name: if several {
                    format!("{}-{size}g", row.name)
                } else {
                    row.name.clone()
                },
                title: if several {
                    format!("{title}, {size} GB")
                } else {
                    title.clone()
                },
                device: row.device,
                memory_gib: *size,
                working_set_gib: working_set(row, *size),
                reserve_gib: row.reserve_gib,
                bandwidth_bytes_per_second: documents
                    .figure(row.bandwidth_gb_per_second.as_ref(), 1e9)?,
                compute_operations_per_second: documents
                    .figure(row.compute_tera_per_second.as_ref(), 1e12)?,
                compute_precision: row.precision.clone(),
                watts: documents.figure(row.watts.as_ref(), 1.0)?,
                price: price(row.price.as_ref(), documents)?,
                rule,
            })
        })
        .collect()
}

/// What is set aside is a part of the memory, and what the device may keep at work is a share of it.
fn check_shares(row: &TierRow, sizes: &[f64]) -> Result<(), String> {
    let reserve = row.reserve_gib;
    let least = sizes.iter().copied().fold(f64::INFINITY, f64::min);
    if !reserve.is_finite() || reserve < 0.0 || reserve >= least {
        return Err(format!(
            "`reserve-gib` {reserve}: a number from 0 and below the memory of {least} GiB is wanted"
        ));
    }
    if let Some(share) = row.working_set
        && !(share > 0.0 && share <= 1.0)
    {
        return Err(format!(
            "`working-set` {share}: a share of the memory, above 0 and up to 1, is wanted"
        ));
    }
    let crossed = |range: Option<(f64, f64)>| {
        range.is_some_and(|(low, high)| low > high || low.is_nan() || high.is_nan())
    };
    let cores = row
        .rule
        .cores
        .map(|(least, most)| (f64::from(least), f64::from(most)));
    if crossed(cores) || crossed(row.rule.memory_gib) {
        return Err("`match`: a range begins above its end".to_owned());
    }
    Ok(())
}

/// The share that is given, or Apple's own rule.
fn working_set(row: &TierRow, size: f64) -> Option<f64> {
    let apple = || {
        let share = if size <= 36.0 { 2.0 / 3.0 } else { 0.75 };
        (row.device == Device::Apple).then_some(share)
    };
    row.working_set.or_else(apple).map(|share| share * size)
}

fn price(row: Option<&PriceRow>, documents: &Documents) -> Result<Option<TierPrice>, String> {
    let Some(row) = row else { return Ok(None) };
    let source = documents.of(row.source.as_deref())?;
    let from = format!("{}, {}", source.name, source.date);
    let (per_hour, basis) = match (row.per_hour, row.amount, row.lifetime_years) {
        (Some(hour), None, None) => (hour, format!("by the hour ({from})")),
        (None, Some(amount), Some(years)) if years > 0.0 => (
            amount / (years * HOURS_A_YEAR),
            format!("{amount} {} over {years} years ({from})", row.currency),
        ),
        _ => {
            return Err(
                "a price is `per-hour`, or `amount` and `lifetime-years`, and `currency`"
                    .to_owned(),
            );
        }
    };
    if !per_hour.is_finite() || per_hour < 0.0 {
        return Err(format!("{per_hour} is no price"));
    }
    Ok(Some(TierPrice {
        per_hour,
        currency: row.currency.clone(),
        basis,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishedFile {
    version: u32,
    documents: BTreeMap<String, Document>,
    models: Vec<PublishedModel>,
    speeds: Vec<SpeedRow>,
    claims: Vec<ClaimRow>,
    contexts: Vec<ContextRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SpeedRow {
    model: String,
    tier: String,
    decode: Option<OneOrRange>,
    prefill: Option<OneOrRange>,
    compute_tera_per_second: Option<f64>,
    #[serde(default)]
    calibrates: bool,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimRow {
    what: String,
    figure: String,
    beside: String,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ContextRow {
    from_gib: f64,
    context_tokens: u32,
    source: String,
}

fn parse_published(text: &str, file: &Path) -> Result<Published, TierError> {
    let wrong = |reason: String| TierError {
        file: file.to_owned(),
        reason,
    };
    let parsed: PublishedFile =
        serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()))?;
    check_version(parsed.version).map_err(wrong)?;
    let documents = Documents(parsed.documents);
    let find = |source: &str| documents.find(source).map_err(wrong);
    Ok(Published {
        speeds: parsed
            .speeds
            .iter()
            .map(|row| {
                let source = find(&row.source)?;
                if parsed.models.iter().all(|model| model.name != row.model) {
                    return Err(wrong(format!("`{}` names no model", row.model)));
                }
                Ok(PublishedSpeed {
                    model: row.model.clone(),
                    tier: row.tier.clone(),
                    decode: row.decode.map(OneOrRange::range),
                    prefill: row.prefill.map(OneOrRange::range),
                    compute_operations_per_second: row.compute_tera_per_second.map(|t| t * 1e12),
                    calibrates: row.calibrates,
                    document: source.name.clone(),
                    date: source.date.clone(),
                    verified: source.verified,
                })
            })
            .collect::<Result<_, _>>()?,
        claims: parsed
            .claims
            .iter()
            .map(|row| {
                let source = find(&row.source)?;
                Ok(PublishedClaim {
                    what: row.what.clone(),
                    figure: row.figure.clone(),
                    beside: row.beside.clone(),
                    document: source.name.clone(),
                    date: source.date.clone(),
                    verified: source.verified,
                })
            })
            .collect::<Result<_, _>>()?,
        contexts: parsed
            .contexts
            .iter()
            .map(|row| {
                let source = find(&row.source)?;
                Ok(PublishedContext {
                    from_gib: row.from_gib,
                    context_tokens: row.context_tokens,
                    document: source.name.clone(),
                    date: source.date.clone(),
                    verified: source.verified,
                })
            })
            .collect::<Result<_, _>>()?,
        models: parsed.models,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(tiers: &str) -> Result<Vec<Tier>, TierError> {
        let text = format!("version: 1\ntiers:\n{tiers}\n");
        parse_tiers(&text, Path::new("tiers.yaml"))
    }

    #[test]
    fn the_shipped_files_read_and_every_figure_has_its_document() {
        let tiers = tiers_with_user_file(Path::new("/nowhere/tiers.yaml")).unwrap();
        for name in [
            "l4",
            "a10",
            "a100-80g",
            "h100",
            "h200",
            "rtx-4090",
            "m2-max-32g",
            "laptop-16g",
        ] {
            assert!(tiers.iter().any(|tier| tier.name == name), "{name}");
        }
        for tier in &tiers {
            let figures = [
                &tier.bandwidth_bytes_per_second,
                &tier.compute_operations_per_second,
            ];
            for figure in figures.into_iter().chain([&tier.watts]).flatten() {
                assert!(
                    !figure.document.is_empty() && figure.date.len() == 10,
                    "{}",
                    tier.name
                );
            }
            assert!(
                figures.iter().all(|figure| figure.is_some()),
                "{}",
                tier.name
            );
            assert!(tier.compute_precision.is_some(), "{}", tier.name);
            assert!(tier.price.is_none(), "prices cannot be checked here");
        }
        let figures = |name: &str| {
            let tier = tiers.iter().find(|tier| tier.name == name).unwrap();
            let value = |figure: &Option<Figure>| figure.as_ref().unwrap().value;
            (
                value(&tier.bandwidth_bytes_per_second) / 1e9,
                value(&tier.compute_operations_per_second) / 1e12,
            )
        };
        assert_eq!(figures("m3-max-30-36g"), (300.0, 10.7));
        assert_eq!(figures("m3-max-30-96g"), (300.0, 10.7));
        assert_eq!(figures("m3-max-48g"), (400.0, 14.2));
        assert_eq!(figures("m4-max-32-36g"), (410.0, 13.7));
        let published = published().unwrap();
        for speed in &published.speeds {
            assert!(
                tiers.iter().any(|tier| tier.name == speed.tier),
                "{}",
                speed.tier
            );
        }
        // What was asked for stands there, as given.
        let phi: Vec<_> = published
            .speeds
            .iter()
            .filter(|speed| speed.model == "phi3.5-mini-int4")
            .map(|speed| (speed.tier.as_str(), speed.decode, speed.calibrates))
            .collect();
        assert_eq!(
            phi,
            [
                ("m2-max-32g", Some((25.0, 30.0)), false),
                ("l4", Some((120.0, 150.0)), false),
                ("a100-80g", Some((200.0, 250.0)), false)
            ]
        );
        assert_eq!((published.claims.len(), published.contexts.len()), (5, 3));
    }

    #[test]
    fn several_sizes_are_several_tiers_and_macs_keep_some_memory() {
        let tiers =
            parse("  - {name: m9, title: M9, device: apple, memory-gib: [16, 64]}").unwrap();
        let shown: Vec<_> = tiers
            .iter()
            .map(|tier| {
                (
                    tier.name.as_str(),
                    tier.title.as_str(),
                    tier.working_set_gib,
                )
            })
            .collect();
        assert_eq!(shown[1], ("m9-64g", "M9, 64 GB", Some(48.0)));
        assert!((shown[0].2.unwrap() - 10.667).abs() < 1e-3);
    }

    #[test]
    fn a_users_tier_replaces_the_one_of_its_name_and_has_a_price() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tiers.yaml");
        let text = "version: 1\ntiers:\n  - {name: l4, device: nvidia, memory-gib: 24, price: {amount: 8766, lifetime-years: 2, currency: EUR}}\n";
        std::fs::write(&file, text).unwrap();
        let tiers = tiers_with_user_file(&file).unwrap();
        assert_eq!(tiers.iter().filter(|tier| tier.name == "l4").count(), 1);
        let price = tiers[0].price.clone().unwrap();
        assert!((price.per_hour - 0.5).abs() < 1e-12 && price.currency == "EUR");
    }

    #[test]
    fn mistakes_are_named() {
        for (row, word) in [
            ("  - {name: a, device: cpu, memory-gib: 0}", "above 0"),
            ("  - {name: a, device: tpu, memory-gib: 1}", "tpu"),
            (
                "  - {name: a, device: cpu, memory-gib: 8, reserve-gib: -100}",
                "`reserve-gib` -100",
            ),
            (
                "  - {name: a, device: cpu, memory-gib: [8, 16], reserve-gib: 8}",
                "below the memory of 8 GiB",
            ),
            (
                "  - {name: a, device: apple, memory-gib: 8, working-set: 7}",
                "`working-set` 7",
            ),
            (
                "  - {name: a, device: apple, memory-gib: 8, working-set: .nan}",
                "`working-set` NaN",
            ),
            (
                "  - {name: a, device: cpu, memory-gib: 8, match: {cores: [9, 2]}}",
                "begins above its end",
            ),
            (
                "  - {name: a, device: cpu, memory-gib: 1, watts: {value: 1, source: x}}",
                "names no document",
            ),
            (
                "  - {name: a, device: cpu, memory-gib: 1, watts: {value: -1}}",
                "is no figure",
            ),
            (
                "  - {name: a, device: cpu, memory-gib: 1, price: {amount: 1, currency: USD}}",
                "lifetime-years",
            ),
            (
                "  - {name: a, device: cpu, memory-gib: 1, memry: 2}",
                "memry",
            ),
            (
                "  - {name: a, device: cpu, memory-gib: 1}\n  - {name: a, device: cpu, memory-gib: 1}",
                "there twice",
            ),
        ] {
            let error = parse(row).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let error = parse_tiers("version: 9\ntiers: []", Path::new("t")).unwrap_err();
        assert!(error.to_string().contains("version 9"), "{error}");
    }
}
