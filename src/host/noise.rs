//! Noise: did somebody else use this machine's processors while a trial ran?
//!
//! Data in: `/proc/stat` and the processor time of this process with its descendants. Data out: the
//! cores others kept busy and the share of time the hypervisor took. Invariants: own work is never
//! noise, children included, also those that ended in between; what cannot be read is no noise, and
//! says so by `None`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Above which a trial is marked. One busy neighbour on two cores halved decoding speed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseLimits {
    /// Cores that other processes may keep busy, on average over the trial.
    pub other_cores: f64,
    /// Share of all processor time that the hypervisor may take, 0 to 1.
    pub steal_share: f64,
}

impl Default for NoiseLimits {
    fn default() -> Self {
        Self {
            other_cores: 0.25,
            steal_share: 0.05,
        }
    }
}

/// What an interval was like.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// Cores that other processes kept busy.
    pub other_cores: f64,
    /// Share of all processor time that the hypervisor took, 0 to 1.
    pub steal_share: f64,
    /// One of them was above its limit.
    pub is_noisy: bool,
}

/// Processor time since boot, in ticks of usually 10 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticks {
    busy: u64,
    total: u64,
    steal: u64,
    cores: u64,
}

impl Ticks {
    /// Reads `/proc/stat`; `None` where there is none.
    pub fn now() -> Option<Self> {
        Self::read(Path::new("/proc"))
    }

    fn read(proc: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(proc.join("stat")).ok()?;
        let cores = text.lines().filter(|line| is_core(line)).count() as u64;
        let first = text.lines().next()?.strip_prefix("cpu ")?;
        let numbers: Vec<u64> = first
            .split_whitespace()
            .filter_map(|n| n.parse().ok())
            .collect();
        // user nice system idle iowait irq softirq steal; guest time is part of user already.
        let &[user, nice, system, idle, iowait, irq, softirq, steal, ..] = numbers.as_slice()
        else {
            return None;
        };
        let busy = user + nice + system + irq + softirq;
        Some(Self {
            busy,
            total: busy + idle + iowait + steal,
            steal,
            cores: cores.max(1),
        })
    }

    /// Share of time stolen from then until now, 0 to 1.
    pub fn steal_share_since(self) -> Option<f64> {
        let now = Self::now()?;
        let total = now.total.saturating_sub(self.total);
        Some(if total == 0 {
            0.0
        } else {
            now.steal.saturating_sub(self.steal) as f64 / total as f64
        })
    }
}

/// `cpu0 …`, not the sum line `cpu  …`.
fn is_core(line: &str) -> bool {
    line.strip_prefix("cpu")
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// One moment: the machine's ticks and our own.
#[derive(Clone, Copy, Debug)]
struct Sample {
    machine: Ticks,
    own: u64,
}

impl Sample {
    fn read(proc: &Path, process: u32) -> Option<Self> {
        let own = own_ticks(proc, process)?;
        Some(Self {
            machine: Ticks::read(proc)?,
            own,
        })
    }
}

/// Watches one interval after another, usually one per trial.
#[derive(Clone, Debug)]
pub struct NoiseMonitor {
    proc: PathBuf,
    process: u32,
    limits: NoiseLimits,
    since: Option<Sample>,
}

impl NoiseMonitor {
    /// Starts the first interval.
    pub fn start(limits: NoiseLimits) -> Self {
        Self::start_at(PathBuf::from("/proc"), std::process::id(), limits)
    }

    fn start_at(proc: PathBuf, process: u32, limits: NoiseLimits) -> Self {
        let since = Sample::read(&proc, process);
        Self {
            proc,
            process,
            limits,
            since,
        }
    }

    /// Starts the next interval.
    pub fn restart(&mut self) {
        self.since = Sample::read(&self.proc, self.process);
    }

    /// What the interval was like so far; `None` where it cannot be told, or when it was shorter
    /// than the system's clock of about 10 ms can resolve.
    pub fn noise(&self) -> Option<Noise> {
        let before = self.since?;
        let now = Sample::read(&self.proc, self.process)?;
        let total = now.machine.total.saturating_sub(before.machine.total);
        // Five ticks a core: below that one tick of rounding would look like noise.
        if total < 5 * now.machine.cores {
            return None;
        }
        let busy = now.machine.busy.saturating_sub(before.machine.busy);
        let others = busy.saturating_sub(now.own.saturating_sub(before.own));
        let cores = now.machine.cores as f64;
        let other_cores = others as f64 / total as f64 * cores;
        let stolen = now.machine.steal.saturating_sub(before.machine.steal);
        let steal_share = stolen as f64 / total as f64;
        let is_noisy =
            other_cores > self.limits.other_cores || steal_share > self.limits.steal_share;
        Some(Noise {
            other_cores,
            steal_share,
            is_noisy,
        })
    }

    /// Whether the interval was noisy; not knowing is no.
    pub fn is_noisy(&self) -> bool {
        self.noise().is_some_and(|noise| noise.is_noisy)
    }
}

/// Ticks of a process and all below it. Children that ended are in their parents' counts.
fn own_ticks(proc: &Path, process: u32) -> Option<u64> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut ticks: BTreeMap<u32, u64> = BTreeMap::new();
    for entry in std::fs::read_dir(proc).ok()?.flatten() {
        let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // A process may end between the listing and this read; then its parent has its time.
        let Ok(text) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let Some((parent, own)) = parse_stat(&text) else {
            continue;
        };
        children.entry(parent).or_default().push(id);
        ticks.insert(id, own);
    }
    let mut sum = 0;
    let mut open = vec![process];
    ticks.get(&process)?;
    while let Some(id) = open.pop() {
        sum += ticks.get(&id).copied().unwrap_or(0);
        open.extend(children.remove(&id).unwrap_or_default());
    }
    Some(sum)
}

/// Parent and ticks (own and of ended children) from `/proc/PID/stat`, whose second field is a name
/// that may hold anything.
fn parse_stat(text: &str) -> Option<(u32, u64)> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let parent = u32::try_from(number(1)?).ok()?;
    Some((
        parent,
        number(11)? + number(12)? + number(13)? + number(14)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(proc: &Path, stat: &str, processes: &[(u32, u32, u64)]) {
        std::fs::write(
            proc.join("stat"),
            format!("cpu  {stat}\ncpu0 1\ncpu1 1\nintr 5\n"),
        )
        .unwrap();
        for (id, parent, ticks) in processes {
            let folder = proc.join(id.to_string());
            std::fs::create_dir_all(&folder).unwrap();
            let line = format!("{id} (a) b) S {parent} 0 0 0 0 0 0 0 0 0 {ticks} 0 0 0 20");
            std::fs::write(folder.join("stat"), line).unwrap();
        }
    }

    #[test]
    fn own_work_is_no_noise_and_others_are() {
        let folder = tempfile::tempdir().unwrap();
        let proc = folder.path();
        let own = [(10, 1, 100), (11, 10, 50), (12, 11, 5), (99, 1, 7)];
        write(proc, "1000 0 0 1000 0 0 0 0 0 0", &own);
        let mut monitor = NoiseMonitor::start_at(proc.to_owned(), 10, NoiseLimits::default());
        assert_eq!(monitor.noise(), None, "no time has passed");
        // 200 ticks: 150 of ours (10, 11 and 12), 10 of 99, 40 idle.
        let busy = [(10, 1, 110), (11, 10, 150), (12, 11, 45), (99, 1, 17)];
        write(proc, "1160 0 0 1040 0 0 0 0 0 0", &busy);
        let noise = monitor.noise().unwrap();
        assert!((noise.other_cores - 0.1).abs() < 1e-9, "{noise:?}");
        assert!(!noise.is_noisy && !monitor.is_noisy());
        monitor.restart();
        // 200 ticks: 60 of others.
        write(proc, "1220 0 0 1180 0 0 0 0 0 0", &busy);
        assert!(monitor.is_noisy());
        monitor.restart();
        // 200 ticks: 30 stolen.
        write(proc, "1220 0 0 1350 0 0 0 30 0 0", &busy);
        let noise = monitor.noise().unwrap();
        assert!(noise.is_noisy && (noise.steal_share - 0.15).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_read_is_no_noise() {
        let folder = tempfile::tempdir().unwrap();
        let monitor = NoiseMonitor::start_at(folder.path().to_owned(), 10, NoiseLimits::default());
        assert_eq!(monitor.noise(), None);
        assert!(!monitor.is_noisy());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_real_files_parse() {
        assert!(Sample::read(Path::new("/proc"), std::process::id()).is_some());
    }
}
