//! `monopod image prune`.

use std::process::ExitCode;

use anyhow::Result;
use images::{LivingPods, PruneOptions, Store};

use super::cli::Prune;
use super::table::size;

pub(super) fn prune(store: &Store, options: &Prune, pods: LivingPods<'_>) -> Result<ExitCode> {
    let pruned = store.prune(
        &PruneOptions {
            images: options.all,
            own: options.all,
            unused_for: options.until.unwrap_or_default(),
            bytes: None,
            dry_run: options.dry_run,
        },
        pods,
    )?;
    let (removed, freed) =
        if options.dry_run { ("would remove", "would free") } else { ("removed", "freed") };
    let mut text = String::new();
    for name in pruned.names {
        text.push_str(&format!("{removed} {name}\n"));
    }
    text.push_str(&format!("{freed} {}\n", size(pruned.bytes)));
    Ok(crate::print(text.as_bytes()))
}
