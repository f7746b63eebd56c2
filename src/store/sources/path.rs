//! A file on this machine: copied into the cache, or pointed to.

use std::path::Path;
use std::sync::Arc;

use crate::store::digest::hash_file;
use crate::store::error::PullError;
use crate::store::landing::{Landed, Landing, off_thread};
use crate::store::pull::Job;

/// Copies, or hashes where it is.
pub(crate) async fn fetch(job: &Job<'_>, path: &Path, copy: bool) -> Result<Landed, PullError> {
    let path = path.canonicalize().map_err(PullError::io("read", path))?;
    let bytes = path.metadata().map_err(PullError::io("read", &path))?.len();
    let source_name = path.display().to_string();
    check_magic(&path, &source_name)?;
    let cancel = job.cancel.clone();
    if !copy {
        let read = path.clone();
        let sha256 = off_thread(move || hash_file(&read, &cancel)).await?;
        return Ok(Landed {
            path,
            sha256,
            bytes,
        });
    }
    job.check_space(bytes)?;
    job.progress.start(Some(bytes));
    let (disk, destination) = (Arc::clone(&job.disk), job.destination.clone());
    let expected = job.expected.clone();
    let landed = off_thread(move || {
        let mut landing = Landing::fresh(&disk, &destination)?;
        landing.append_file(&path, &cancel)?;
        landing.finish(&source_name, &expected)
    })
    .await?;
    job.progress.advance(bytes);
    Ok(landed)
}

fn check_magic(path: &Path, source_name: &str) -> Result<(), PullError> {
    use std::io::Read as _;
    let mut start = [0_u8; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    match read {
        Ok(()) if &start == b"GGUF" => Ok(()),
        _ => Err(PullError::NotGguf {
            source_name: source_name.to_owned(),
        }),
    }
}
