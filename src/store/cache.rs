//! The cache: GGUF files in one folder, each with a small JSON beside it.
//!
//! Data in: a folder. Data out: the models in it. Invariants: a sidecar is written after its file
//! has landed and removed before it; a file dropped in by hand counts as cached under its name; a
//! referenced file outside the folder is never removed.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::store::digest::{self, modified_ns, write_json};
use crate::store::error::PullError;
use crate::store::landing::{part_path, remove};
use crate::store::lock::Lock;

const SIDECAR_VERSION: u32 = 1;

/// A model on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedModel {
    /// Version of this form.
    pub version: u32,
    /// Canonical name: `family:tag`, `hf:owner/repo:quant`, or what the user chose.
    pub name: String,
    /// The weights. Absolute once listed.
    pub path: PathBuf,
    /// The source that delivered them, in words.
    pub source: String,
    /// SHA-256 of the weights; empty for a file dropped in by hand and not yet hashed.
    pub sha256: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Modification time of the file when it was hashed, in nanoseconds since 1970.
    pub modified_ns: u64,
    /// When it arrived, RFC 3339; empty for a file dropped in by hand.
    pub pulled_at: String,
}

/// The folder with the models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// A cache in `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where caches of this user go: `$XDG_CACHE_HOME/toolbench/models` or the system's like. Asks
    /// the environment through etcetera; call it from the cli and pass the result on.
    pub fn default_root() -> Option<PathBuf> {
        let strategy = etcetera::choose_base_strategy().ok()?;
        Some(strategy.cache_dir().join("toolbench").join("models"))
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Final name of a model's weights.
    pub fn weights_path(&self, name: &str) -> PathBuf {
        self.root.join(format!("{}.gguf", stem(name)))
    }

    /// Where the parts of a model are staged.
    pub(crate) fn staging_path(&self, name: &str) -> PathBuf {
        self.root.join(format!("{}.parts", stem(name)))
    }

    fn sidecar_path(&self, name: &str) -> PathBuf {
        self.root.join(format!("{}.json", stem(name)))
    }

    pub(crate) fn lock_path(&self, name: &str) -> PathBuf {
        self.root.join("locks").join(format!("{}.lock", stem(name)))
    }

    /// Folder of remembered hashes of files elsewhere.
    pub fn digest_folder(&self) -> PathBuf {
        self.root.join("digests")
    }

    /// All models, by name. A folder that does not exist holds none.
    pub fn list(&self) -> Vec<CachedModel> {
        let Ok(entries) = std::fs::read_dir(&self.root) else {
            return Vec::new();
        };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        let mut models: Vec<CachedModel> = files
            .iter()
            .filter(|path| ends_with(path, "json"))
            .filter_map(|p| self.read(p))
            .collect();
        for path in files.iter().filter(|path| ends_with(path, "gguf")) {
            if models.iter().all(|model| model.path != *path)
                && let Some(model) = dropped_in(path)
            {
                models.push(model);
            }
        }
        models.sort_by(|a, b| a.name.cmp(&b.name));
        models
    }

    /// Reads a sidecar whose weights are still there in the size they had.
    fn read(&self, sidecar: &Path) -> Option<CachedModel> {
        let text = std::fs::read_to_string(sidecar).ok()?;
        let mut model: CachedModel = serde_json::from_str(&text).ok()?;
        model.path = self.root.join(&model.path);
        let metadata = model.path.metadata().ok()?;
        (model.version == SIDECAR_VERSION && metadata.len() == model.bytes).then_some(model)
    }

    /// The model of a canonical name.
    pub fn find(&self, name: &str) -> Option<CachedModel> {
        self.read(&self.sidecar_path(name)).or_else(|| {
            let path = self.weights_path(name);
            dropped_in(&path).map(|model| CachedModel {
                name: name.to_owned(),
                ..model
            })
        })
    }

    /// Remembers a model whose weights have landed, or that are referenced where they are.
    pub(crate) fn record(
        &self,
        name: &str,
        path: &Path,
        source: &str,
        sha256: &str,
    ) -> Result<CachedModel, PullError> {
        let metadata = path.metadata().map_err(PullError::io("read", path))?;
        let model = CachedModel {
            version: SIDECAR_VERSION,
            name: name.to_owned(),
            path: path.to_owned(),
            source: source.to_owned(),
            sha256: sha256.to_owned(),
            bytes: metadata.len(),
            modified_ns: modified_ns(&metadata),
            pulled_at: crate::clock::now_rfc3339(),
        };
        // Relative inside the folder, so that the folder can be moved or mounted elsewhere.
        let stored = path.strip_prefix(&self.root).unwrap_or(path).to_owned();
        write_json(
            &self.sidecar_path(name),
            &CachedModel {
                path: stored,
                ..model.clone()
            },
        )?;
        Ok(model)
    }

    /// Removes a model with its leftovers; how many bytes became free. A referenced file outside
    /// the folder stays. `None` when there is no such model.
    pub fn remove(&self, name: &str) -> Result<Option<u64>, PullError> {
        let Some(_lock) = Lock::try_take(&self.lock_path(name))? else {
            return Err(PullError::Io {
                action: "remove",
                path: self.weights_path(name),
                source: std::io::Error::other("another toolbench is pulling it"),
            });
        };
        let model = self.find(name);
        let weights = self.weights_path(name);
        let part = part_path(&weights);
        let had_part = part.exists();
        remove(&self.sidecar_path(name));
        remove(&part);
        remove(&part.with_added_extension("state"));
        let _ = std::fs::remove_dir_all(self.staging_path(name));
        match model {
            Some(model) if model.path.starts_with(&self.root) => {
                std::fs::remove_file(&model.path).map_err(PullError::io("remove", &model.path))?;
                Ok(Some(model.bytes))
            }
            Some(_) => Ok(Some(0)),
            None => Ok(had_part.then_some(0)),
        }
    }

    /// SHA-256 of any GGUF: from the sidecar or from remembered hashes while size and modification
    /// time are unchanged, else computed. Blocks when it has to read the file.
    pub fn weights_sha256(
        &self,
        path: &Path,
        cancel: &CancellationToken,
    ) -> Result<String, PullError> {
        let metadata = path.metadata().map_err(PullError::io("read", path))?;
        let known = self.list().into_iter().find(|model| {
            model.path == path
                && !model.sha256.is_empty()
                && (model.bytes, model.modified_ns) == (metadata.len(), modified_ns(&metadata))
        });
        match known {
            Some(model) => Ok(model.sha256),
            None => digest::sha256_of_file(path, &self.digest_folder(), cancel),
        }
    }
}

/// A file name for a model name: characters that some system forbids become `@`.
fn stem(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
                c
            } else {
                '@'
            }
        })
        .collect()
}

fn ends_with(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|end| end == extension)
}

/// A GGUF without sidecar, put there by hand.
fn dropped_in(path: &Path) -> Option<CachedModel> {
    let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
    Some(CachedModel {
        version: SIDECAR_VERSION,
        name: path.file_stem()?.to_string_lossy().into_owned(),
        path: path.to_owned(),
        source: "put there by hand".to_owned(),
        sha256: String::new(),
        bytes: metadata.len(),
        modified_ns: modified_ns(&metadata),
        pulled_at: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_recorded_listed_found_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("models"));
        assert!(cache.list().is_empty());
        std::fs::create_dir_all(cache.root()).unwrap();
        let path = cache.weights_path("qwen2.5-coder:0.5b");
        assert_eq!(path.file_name().unwrap(), "qwen2.5-coder@0.5b.gguf");
        std::fs::write(&path, b"GGUF").unwrap();
        let recorded = cache
            .record("qwen2.5-coder:0.5b", &path, "hub x/y", "abc")
            .unwrap();
        assert_eq!(cache.list(), std::slice::from_ref(&recorded));
        assert_eq!(cache.find("qwen2.5-coder:0.5b"), Some(recorded));
        assert_eq!(
            cache
                .weights_sha256(&path, &CancellationToken::new())
                .unwrap(),
            "abc"
        );
        assert_eq!(cache.remove("qwen2.5-coder:0.5b").unwrap(), Some(4));
        assert!(!path.exists() && cache.list().is_empty());
        assert_eq!(cache.remove("qwen2.5-coder:0.5b").unwrap(), None);
    }

    #[test]
    fn a_moved_folder_still_lists() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("old"));
        std::fs::create_dir_all(cache.root()).unwrap();
        std::fs::write(cache.weights_path("a:b"), b"GGUF").unwrap();
        cache
            .record("a:b", &cache.weights_path("a:b"), "hub", "abc")
            .unwrap();
        std::fs::rename(cache.root(), folder.path().join("new")).unwrap();
        let moved = Cache::new(folder.path().join("new"));
        assert_eq!(moved.list()[0].path, moved.weights_path("a:b"));
    }

    #[test]
    fn a_file_dropped_in_counts_and_a_vanished_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        std::fs::write(folder.path().join("mine.gguf"), b"GGUF").unwrap();
        let gone = cache.weights_path("gone:1b");
        std::fs::write(&gone, b"GGUF").unwrap();
        cache.record("gone:1b", &gone, "hub", "abc").unwrap();
        std::fs::remove_file(&gone).unwrap();
        let names: Vec<_> = cache.list().into_iter().map(|model| model.name).collect();
        assert_eq!(names, ["mine"]);
        assert_eq!(cache.find("mine").unwrap().bytes, 4);
    }

    #[test]
    fn a_referenced_file_outside_survives_removal() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("models"));
        let outside = folder.path().join("outside.gguf");
        std::fs::write(&outside, b"GGUF").unwrap();
        cache.record("mine", &outside, "path", "abc").unwrap();
        assert_eq!(cache.find("mine").unwrap().path, outside);
        assert_eq!(cache.remove("mine").unwrap(), Some(0));
        assert!(outside.exists() && cache.find("mine").is_none());
    }
}
