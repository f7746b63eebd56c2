//! Servers known by name: `PRESET:MODEL` and `PRESET:MODEL@URL` to an [`Endpoint`].
//!
//! Data in: the embedded `catalogue/providers.yaml`, a user's own file of the same form, what the
//! configuration says of one model, and the values of variables. Data out: [`Preset`]s and endpoints.
//! Invariants: names are unique; unknown keys are refused; a key is taken from its variable here and
//! goes nowhere but into the endpoint's headers; an address holds no credentials.

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::types::endpoint::{Endpoint, Protocol, SchemaField};
use crate::types::secret::Secret;
use crate::types::{Mechanism, Wire};

const BUILT_IN: &str = include_str!("../../catalogue/providers.yaml");
const FORMAT_VERSION: u32 = 1;
/// Times a request is repeated after a transport fault, unless the configuration says otherwise.
const RETRIES: u32 = 4;

/// How a key goes over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyHeader {
    /// `Authorization: Bearer KEY`.
    #[default]
    Bearer,
    /// A header of this name, with the bare key.
    #[serde(untagged)]
    Named(String),
}

/// One server by name, as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Preset {
    /// Name, before the colon.
    pub name: String,
    /// What it is.
    pub title: String,
    /// Address; absent where the user has to give one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Variable that holds the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// How the key goes over.
    #[serde(default)]
    pub key_header: KeyHeader,
    /// What it speaks.
    pub protocol: Protocol,
    /// What it takes.
    pub wires: Vec<Wire>,
    /// How it constrains, the best first.
    #[serde(default)]
    pub mechanisms: Vec<Mechanism>,
    /// How it takes a JSON Schema.
    #[serde(default)]
    pub schema_field: SchemaField,
    /// See [`Endpoint::strict_subset`].
    #[serde(default)]
    pub strict_subset: bool,
    /// See [`Endpoint::llama_pages`].
    #[serde(default)]
    pub llama_pages: bool,
    /// Fields that it refuses.
    #[serde(default)]
    pub refuses: Vec<String>,
    /// Fields that have another name there.
    #[serde(default)]
    pub renames: BTreeMap<String, String>,
    /// Command that starts it, for those that run on one's own machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Where this stands.
    pub document: String,
    /// When it was written down.
    pub date: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PresetFile {
    version: u32,
    presets: Vec<Preset>,
}

/// A file of presets, an address or a header is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PresetError {
    /// What, where, why.
    pub message: String,
    /// What to do.
    pub hint: String,
}

fn wrong(message: String, hint: impl Into<String>) -> PresetError {
    PresetError {
        message,
        hint: hint.into(),
    }
}

/// All presets, the user's own among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presets(Vec<Preset>);

/// What the configuration says of one served model; what is absent is the preset's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointWishes {
    /// Address.
    pub base_url: Option<String>,
    /// Variable that holds the key.
    pub key_env: Option<String>,
    /// Headers with their values as written: `$NAME` is the value of a variable.
    pub headers: BTreeMap<String, String>,
    /// What it takes.
    pub wires: Option<Vec<Wire>>,
    /// How it constrains.
    pub mechanisms: Option<Vec<Mechanism>>,
    /// How it takes a JSON Schema.
    pub schema_field: Option<SchemaField>,
    /// Fields that it refuses.
    pub refuses: Option<Vec<String>>,
    /// Fields that have another name there.
    pub renames: BTreeMap<String, String>,
    /// Context in tokens.
    pub context_tokens: Option<u32>,
    /// Times a request is repeated.
    pub retries: Option<u32>,
    /// Certificates to trust, PEM.
    pub authority: Option<Vec<u8>>,
    /// Chat template for raw text.
    pub chat_template: Option<String>,
}

impl Presets {
    /// Those of this binary.
    pub fn built_in() -> Result<Self, PresetError> {
        Self::parse(BUILT_IN, Path::new("catalogue/providers.yaml"))
    }

    /// With a user's own file, whose presets win, where there is one.
    pub fn with_user_file(file: &Path) -> Result<Self, PresetError> {
        let mut presets = Self::built_in()?;
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(presets),
            Err(error) => {
                return Err(wrong(
                    format!("{}: {error}", file.display()),
                    "presets of your own stand in this file",
                ));
            }
        };
        for preset in Self::parse(&text, file)?.0 {
            match presets.0.iter_mut().find(|known| known.name == preset.name) {
                Some(known) => *known = preset,
                None => presets.0.push(preset),
            }
        }
        Ok(presets)
    }

    fn parse(text: &str, file: &Path) -> Result<Self, PresetError> {
        let fault = |reason: String| {
            let near = crate::types::names::hint_for_unknown_field(&reason);
            wrong(
                format!("{}: {reason}", file.display()),
                near.unwrap_or_else(|| {
                    "`toolbench model list --format json` shows presets as they are written"
                        .to_owned()
                }),
            )
        };
        let parsed: PresetFile =
            serde_saphyr::from_str(text).map_err(|error| fault(error.to_string()))?;
        if parsed.version != FORMAT_VERSION {
            return Err(fault(format!(
                "version {} is not known; this toolbench reads version {FORMAT_VERSION}",
                parsed.version
            )));
        }
        for (index, preset) in parsed.presets.iter().enumerate() {
            let name = &preset.name;
            if name.is_empty() || name.contains([':', '@', '/']) {
                return Err(fault(format!(
                    "`{name}` cannot be the name of a preset: no `:`, `@` or `/`"
                )));
            }
            if parsed.presets[..index]
                .iter()
                .any(|other| other.name == *name)
            {
                return Err(fault(format!("preset `{name}` is there twice")));
            }
            if let Some(url) = &preset.base_url {
                address(url)?;
            }
        }
        Ok(Self(parsed.presets))
    }

    /// The preset of a name.
    pub fn find(&self, name: &str) -> Option<&Preset> {
        self.0.iter().find(|preset| preset.name == name)
    }

    /// All of them, in order.
    pub fn all(&self) -> &[Preset] {
        &self.0
    }
}

/// `MODEL` or `MODEL@URL`. Names of models may hold `@`, so only an address after it counts.
pub fn split_address(text: &str) -> (&str, Option<&str>) {
    let at = ["@http://", "@https://"]
        .iter()
        .filter_map(|mark| text.rfind(mark))
        .max();
    match at {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// What follows the last `@` where that is `HOST:PORT`, with or without a path: an address that lacks
/// its scheme, and no part of a model's name.
pub fn bare_address(text: &str) -> Option<&str> {
    let (_, rest) = text.rsplit_once('@')?;
    let authority = rest.split('/').next()?;
    let (host, port) = authority.rsplit_once(':')?;
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let of_a_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-[]:".contains(&byte);
    (is_port && !host.is_empty() && host.bytes().all(of_a_host)).then_some(rest)
}

/// A checked address: http or https, no credentials, no query.
fn address(text: &str) -> Result<Url, PresetError> {
    let hint = "for example http://127.0.0.1:8080/v1";
    let url = Url::parse(text)
        .map_err(|error| wrong(format!("`{text}` is no address: {error}"), hint))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            format!(
                "the address of {} holds a password, which would be recorded",
                url.host_str().unwrap_or("the server")
            ),
            "name a header in toolbench.toml: headers = {Authorization = \"$VARIABLE\"}",
        ));
    }
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong(format!("`{text}` is no http address"), hint));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(
            format!(
                "`{}` has a query, which an address must not have",
                url.path()
            ),
            hint,
        ));
    }
    Ok(url)
}

/// Whether another machine is meant.
fn is_remote(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return true;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<std::net::IpAddr>() {
        Ok(address) => !(address.is_loopback() || address.is_unspecified()),
        Err(_) => !(bare.eq_ignore_ascii_case("localhost") || bare.ends_with(".localhost")),
    }
}

impl Preset {
    /// The endpoint of a model: the preset, what the configuration changes, and what variables hold.
    /// `context_tokens` is what the run asks for.
    pub fn endpoint(
        &self,
        model: &str,
        wishes: &EndpointWishes,
        context_tokens: u32,
        variables: &BTreeMap<String, String>,
    ) -> Result<Endpoint, PresetError> {
        let url = wishes.base_url.as_ref().or(self.base_url.as_ref());
        let url = url.ok_or_else(|| {
            wrong(
                format!("preset `{}` has no address of its own", self.name),
                format!("{}:{model}@http://HOST:PORT/v1", self.name),
            )
        })?;
        let url = self.completed(address(url)?);
        let key_variable = wishes.key_env.clone().or_else(|| self.key_env.clone());
        let mut renames = self.renames.clone();
        renames.extend(wishes.renames.clone());
        Ok(Endpoint {
            preset: self.name.clone(),
            protocol: self.protocol,
            base_url: url.as_str().trim_end_matches('/').to_owned(),
            model: model.to_owned(),
            headers: self.headers(wishes, variables)?,
            key_variable,
            authority: wishes.authority.clone(),
            wires: wishes.wires.clone().unwrap_or_else(|| self.wires.clone()),
            mechanisms: wishes
                .mechanisms
                .clone()
                .unwrap_or_else(|| self.mechanisms.clone()),
            schema_field: wishes.schema_field.unwrap_or(self.schema_field),
            strict_subset: self.strict_subset,
            llama_pages: self.llama_pages,
            refuses: wishes
                .refuses
                .clone()
                .unwrap_or_else(|| self.refuses.clone()),
            renames,
            chat_template: wishes.chat_template.clone(),
            context_tokens: wishes.context_tokens.unwrap_or(context_tokens),
            remote: is_remote(&url),
            retries: wishes.retries.unwrap_or(RETRIES),
        })
    }

    /// An address without a path gets the one that the family's pages stand under.
    fn completed(&self, mut url: Url) -> Url {
        let family = matches!(
            self.protocol,
            Protocol::ChatCompletions | Protocol::Responses
        );
        if family && url.path().trim_matches('/').is_empty() {
            let own = self
                .base_url
                .as_deref()
                .and_then(|own| Url::parse(own).ok());
            url.set_path(own.as_ref().map_or("/v1", Url::path));
        }
        url
    }

    fn headers(
        &self,
        wishes: &EndpointWishes,
        variables: &BTreeMap<String, String>,
    ) -> Result<Vec<(String, Secret)>, PresetError> {
        let value = |name: &str| variables.get(name).filter(|value| !value.is_empty());
        let mut headers = Vec::new();
        let variable = wishes.key_env.as_ref().or(self.key_env.as_ref());
        let asked_for = wishes.key_env.is_some();
        match variable.map(|name| (name, value(name))) {
            Some((_, Some(key))) => headers.push(match &self.key_header {
                KeyHeader::Bearer => (
                    "authorization".to_owned(),
                    Secret::new(format!("Bearer {}", key.trim())),
                ),
                KeyHeader::Named(header) => (header.clone(), Secret::new(key.trim())),
            }),
            Some((name, None)) if asked_for => {
                return Err(wrong(
                    format!("the variable {name}, which `key-env` names, is not set"),
                    format!("export {name}=…"),
                ));
            }
            Some((_, None)) | None => {}
        }
        for (header, written) in &wishes.headers {
            let text = match written.strip_prefix('$') {
                Some(name) => value(name).ok_or_else(|| {
                    wrong(
                        format!("the variable {name}, which header `{header}` names, is not set"),
                        format!("export {name}=…"),
                    )
                })?,
                None => written,
            };
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(header));
            headers.push((header.clone(), Secret::new(text)));
        }
        Ok(headers)
    }
}

#[cfg(test)]
#[path = "presets_tests.rs"]
mod tests;
