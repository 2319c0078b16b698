//! `monopod image pull`.

use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use images::{Images, SharedPods};
use kubelet::Paths;

use super::bars::Bars;
use super::cli::Pull;
use super::living_pods;
use crate::images::Asker;
use crate::outcome::{self, FAILURE};
use crate::signals::Signals;

/// As a shell says of what ended by SIGINT.
const INTERRUPTED: u8 = 130;

pub(super) fn pull(options: &Pull, paths: &Paths) -> Result<ExitCode> {
    let registries = options.registries.registries(Asker::Command, 1)?;
    let for_pods = paths.clone();
    let pods = SharedPods::new(move || living_pods(&for_pods));
    let images = Images::new(&paths.data_dir.join("images"), false).with_registries(registries, pods);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start the event loop")?.block_on(pull_all(&images, options))
}

/// Goes on past errors, but not past a signal.
async fn pull_all(images: &Images, options: &Pull) -> Result<ExitCode> {
    let mut signals = Signals::install().context("cannot take signals")?;
    let mut failed = false;
    for name in &options.images {
        let bars = if options.quiet { Bars::none() } else { Bars::new() };
        let pulled = tokio::select! {
            pulled = images.pull(name, options.platform.clone(), &bars) => pulled,
            () = signals.next() => {
                bars.finish();
                // Dropped, it is given up; nothing of it is to be left.
                images.idle().await;
                outcome::say(format_args!("interrupted: {name} was not pulled"));
                return Ok(ExitCode::from(INTERRUPTED));
            }
        };
        bars.finish();
        match pulled {
            Ok((config, _)) if options.quiet => {
                crate::print(format!("{}\n", config.id).as_bytes());
            }
            Ok((config, _)) => {
                let digest = config.repo_digest.as_deref().unwrap_or(&config.id);
                crate::print(format!("pulled {name}: {digest}\n").as_bytes());
            }
            Err(error) => {
                failed = true;
                outcome::report(&anyhow!(error.message));
            }
        }
    }
    images.idle().await;
    Ok(if failed { ExitCode::from(FAILURE) } else { ExitCode::SUCCESS })
}
