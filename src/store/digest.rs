//! SHA-256 of weights, remembered by size and modification time, so that big files are not read
//! again for every run.
//!
//! Data in: a path, the cache's folder. Data out: the hash. Invariant: a remembered hash is used
//! only while size and modification time are what they were.

use std::fs::{File, Metadata};
use std::io::Write as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::store::error::PullError;
use crate::store::landing::read_chunks;
use crate::types::hash::{ContentHash, to_hex};

/// What is remembered of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    path: std::path::PathBuf,
    bytes: u64,
    modified_ns: u64,
    sha256: String,
}

/// Modification time in nanoseconds since 1970; 0 where the system keeps none.
pub(crate) fn modified_ns(metadata: &Metadata) -> u64 {
    let since = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// SHA-256 of a file: remembered in `folder`, or computed and remembered. Blocks for about a
/// second per gigabyte when it has to read.
pub fn sha256_of_file(
    path: &Path,
    folder: &Path,
    cancel: &CancellationToken,
) -> Result<String, PullError> {
    let path = path.canonicalize().map_err(PullError::io("read", path))?;
    let metadata = path.metadata().map_err(PullError::io("read", &path))?;
    let (bytes, modified_ns) = (metadata.len(), modified_ns(&metadata));
    let key = ContentHash::of_bytes(path.as_os_str().as_encoded_bytes());
    let note = folder.join(format!("{}.json", key.short()));
    if let Ok(text) = std::fs::read_to_string(&note)
        && let Ok(known) = serde_json::from_str::<Remembered>(&text)
        && known.path == path
        && (known.bytes, known.modified_ns) == (bytes, modified_ns)
    {
        return Ok(known.sha256);
    }
    let sha256 = hash_file(&path, cancel)?;
    let known = Remembered {
        path,
        bytes,
        modified_ns,
        sha256: sha256.clone(),
    };
    // Only a saving: a folder that cannot be written costs time, not correctness.
    let _ = write_json(&note, &known);
    Ok(sha256)
}

/// SHA-256 of a file, read now.
pub(crate) fn hash_file(path: &Path, cancel: &CancellationToken) -> Result<String, PullError> {
    let file = File::open(path).map_err(PullError::io("read", path))?;
    let mut hasher = Sha256::new();
    read_chunks(file, path, cancel, |chunk| {
        hasher.update(chunk);
        Ok(())
    })?;
    Ok(to_hex(&hasher.finalize()))
}

/// Writes JSON under a temporary name and renames it, so that a reader never sees half a file.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), PullError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, value)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(PullError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_remembered_until_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.gguf");
        let notes = folder.path().join("digests");
        let cancel = CancellationToken::new();
        std::fs::write(&file, b"GGUF one").unwrap();
        let first = sha256_of_file(&file, &notes, &cancel).unwrap();
        assert_eq!(first, ContentHash::of_bytes(b"GGUF one").0);
        let note = std::fs::read_dir(&notes)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let text = std::fs::read_to_string(&note)
            .unwrap()
            .replace(&first, "remembered");
        std::fs::write(&note, text).unwrap();
        assert_eq!(
            sha256_of_file(&file, &notes, &cancel).unwrap(),
            "remembered"
        );
        std::fs::write(&file, b"GGUF other").unwrap();
        assert_eq!(
            sha256_of_file(&file, &notes, &cancel).unwrap(),
            ContentHash::of_bytes(b"GGUF other").0
        );
    }

    #[test]
    fn hashing_stops_when_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.gguf");
        std::fs::write(&file, b"GGUF").unwrap();
        let cancel = CancellationToken::new();
        cancel.cancel();
        assert!(matches!(
            hash_file(&file, &cancel),
            Err(PullError::Cancelled)
        ));
    }
}
