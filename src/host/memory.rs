//! Memory: what is installed, or what the container may use, and what is free.

use std::path::Path;

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// What is known of memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Installed, or the lowest limit of the control groups around this process.
    pub total_bytes: u64,
    /// Usable without swapping, within that limit.
    pub available_bytes: u64,
}

impl Memory {
    /// Reads it.
    pub fn read() -> Self {
        let kind = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
        let Ok(system) = System::new_with_specifics(kind) else {
            return Self::default();
        };
        let installed = system.total_memory();
        let root = system.cgroup_limits();
        let (limit, free) = own_limit(Path::new("/proc/self/cgroup"), Path::new("/sys/fs/cgroup"));
        let total = [
            Some(installed),
            limit,
            root.as_ref().map(|limits| limits.total_memory),
        ];
        let available = [
            Some(system.available_memory()),
            free,
            root.as_ref().map(|limits| limits.free_memory),
        ];
        let lowest = |values: [Option<u64>; 3]| {
            values
                .into_iter()
                .flatten()
                .filter(|bytes| *bytes > 0)
                .min()
                .unwrap_or(0)
        };
        let total_bytes = lowest(total);
        Self {
            total_bytes,
            available_bytes: lowest(available).min(total_bytes),
        }
    }
}

/// Lowest `memory.max` from this process's group up to the root (version 2), and what is left of
/// it. sysinfo looks at the root only.
fn own_limit(own: &Path, root: &Path) -> (Option<u64>, Option<u64>) {
    let text = std::fs::read_to_string(own).unwrap_or_default();
    let Some(group) = text.lines().find_map(|line| line.strip_prefix("0::/")) else {
        return (None, None);
    };
    let folder = root.join(group);
    let number =
        |path: &Path| -> Option<u64> { std::fs::read_to_string(path).ok()?.trim().parse().ok() };
    let (mut limit, mut free) = (None::<u64>, None::<u64>);
    for folder in folder
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
    {
        let Some(max) = number(&folder.join("memory.max")) else {
            continue;
        };
        let used = number(&folder.join("memory.current")).unwrap_or(0);
        limit = Some(limit.map_or(max, |known| known.min(max)));
        let left = max.saturating_sub(used);
        free = Some(free.map_or(left, |known| known.min(left)));
    }
    (limit, free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_limit_on_the_way_up_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("cgroup");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        let own = folder.path().join("own");
        std::fs::write(&own, "0::/a/b\n").unwrap();
        assert_eq!(own_limit(&own, &root), (None, None));
        std::fs::write(root.join("a/b/memory.max"), "max\n").unwrap();
        std::fs::write(root.join("a/memory.max"), "1000\n").unwrap();
        std::fs::write(root.join("a/memory.current"), "400\n").unwrap();
        std::fs::write(root.join("memory.max"), "5000\n").unwrap();
        assert_eq!(own_limit(&own, &root), (Some(1000), Some(600)));
        assert_eq!(own_limit(Path::new("/nowhere"), &root), (None, None));
    }
}
