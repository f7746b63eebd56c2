//! Where a merged run was made.
//!
//! Data in: [`Summary`]. Data out: one sentence; none for a run that was not merged.

use super::text::count;
use crate::metrics::Summary;
use crate::metrics::summary::Machine;

/// Its shards and their machines, equal ones together.
pub(super) fn origin(summary: &Summary) -> Option<String> {
    let shards = &summary.header.merged_from;
    if shards.is_empty() {
        return None;
    }
    let named = |machine: &Machine| match machine.cpu.as_str() {
        "" => machine.tier.clone(),
        cpu => format!("{cpu} ({})", machine.tier),
    };
    let mut machines: Vec<(String, Vec<&str>)> = Vec::new();
    for shard in shards {
        let name = named(&shard.machine);
        match machines.iter_mut().find(|(known, _)| *known == name) {
            Some((_, parts)) => parts.push(&shard.shard),
            None => machines.push((name, vec![&shard.shard])),
        }
    }
    let places: Vec<String> = machines
        .iter()
        .map(|(name, parts)| format!("{} on {name}", parts.join(", ")))
        .collect();
    Some(format!(
        "merged from {}: {}. Latency holds for the tier; the heading names the first machine.",
        count(shards.len(), "shard"),
        places.join("; ")
    ))
}
