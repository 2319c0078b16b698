//! `monopod image`: the image store, with or without engines beside.

mod bars;
mod cli;
mod import;
mod output;
mod prune;
mod pull;
mod save;
mod table;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use images::{LoadOptions, PodImages, Reference, Source, Store};
use kubelet::Paths;
use ports::PortError;

pub(crate) use cli::Image;
use cli::{Command, Format, List, Load, Remove};

use crate::outcome::{self, FAILURE, REFUSED};

pub(crate) fn image(options: &Image, paths: &Paths) -> Result<ExitCode> {
    // The store is closed to other users.
    if !rustix::process::geteuid().is_root() {
        bail!("images have to be handled as root, since their files have owners\nremedy: run it with sudo");
    }
    let store = Store::new(&paths.data_dir.join("images"));
    let pods = || living_pods(paths);
    match &options.command {
        Command::Pull(options) => pull::pull(options, paths),
        Command::Prune(options) => prune::prune(&store, options, &pods),
        Command::Load(options) => load(&store, options, &pods),
        Command::Save(options) => save::save(&store, options),
        Command::Import(options) => import::import(&store, options, &pods),
        Command::Ls(options) => list(&store, options, &known(pods())),
        Command::Inspect { images } => inspect(&store, images, &known(pods())),
        Command::Rm(options) => Ok(remove(&store, options, &pods)),
    }
}

fn living_pods(paths: &Paths) -> Result<Vec<PodImages>, PortError> {
    let uses = runtime::image_uses(paths)?.into_iter();
    Ok(uses.map(|used| PodImages { pod: used.pod, names: used.names, ids: used.ids }).collect())
}

/// Enough to tell people of; nothing is removed on the strength of it.
fn known(pods: Result<Vec<PodImages>, PortError>) -> Vec<PodImages> {
    pods.unwrap_or_else(|error| {
        tracing::warn!("which images are in use is not known: {error}");
        Vec::new()
    })
}

fn load(store: &Store, options: &Load, pods: images::LivingPods<'_>) -> Result<ExitCode> {
    let source = source(&options.archive);
    let name = match options.name.as_deref().map(|name| parse_name("--name", name)).transpose() {
        Ok(name) => name,
        Err(error) => return Ok(refused(&error)),
    };
    let loaded = store
        .load(&source, &LoadOptions { name }, pods, &mut output::progress())
        .with_context(|| format!("cannot load {}", options.archive.display()))
        .map_err(output::with_remedy)?;
    let mut text = String::new();
    for image in loaded {
        for name in image.names {
            text.push_str(&format!("loaded {name}\n"));
        }
    }
    Ok(crate::print(text.as_bytes()))
}

/// `-` is standard input.
fn source(path: &Path) -> Source {
    if path.as_os_str() == "-" { Source::Stdin } else { Source::Path(path.to_owned()) }
}

fn parse_name(argument: &str, name: &str) -> Result<Reference> {
    let reference = Reference::parse(name).with_context(|| format!("{argument} {name:?}"))?;
    if reference.digest.is_some() {
        bail!("{argument} {name:?}: a digest cannot be given; give a tag");
    }
    Ok(reference)
}

/// The command line was refused; nothing was begun.
fn refused(error: &anyhow::Error) -> ExitCode {
    outcome::report(error);
    ExitCode::from(REFUSED)
}

fn list(store: &Store, options: &List, pods: &[PodImages]) -> Result<ExitCode> {
    let images = store.list(pods)?;
    let text = match options.output {
        Format::Table => table::table(&images),
        Format::Wide => table::wide(&images),
        Format::Json => output::json(&images)?,
    };
    Ok(crate::print(text.as_bytes()))
}

fn inspect(store: &Store, images: &[String], pods: &[PodImages]) -> Result<ExitCode> {
    let details = images.iter().map(|image| store.details(image, pods)).collect::<Result<Vec<_>, _>>()?;
    Ok(crate::print(output::json(&details)?.as_bytes()))
}

/// Goes on past errors.
fn remove(store: &Store, options: &Remove, pods: images::LivingPods<'_>) -> ExitCode {
    let mut text = String::new();
    let mut failed = false;
    for image in &options.images {
        match store.remove(image, options.force, pods) {
            Ok(removed) => {
                for name in removed.names {
                    text.push_str(&format!("removed {name}\n"));
                }
            }
            Err(error) => {
                failed = true;
                outcome::report(&error.into());
            }
        }
    }
    let printed = crate::print(text.as_bytes());
    if failed { ExitCode::from(FAILURE) } else { printed }
}
