//! `monopod image`: the image store, with or without engines beside.

mod cli;
mod output;
mod table;

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
        Command::Load(options) => load(&store, options, &pods),
        Command::Ls(options) => list(&store, options, &pods()?),
        Command::Inspect { images } => inspect(&store, images, &pods()?),
        Command::Rm(options) => Ok(remove(&store, options, &pods)),
    }
}

fn living_pods(paths: &Paths) -> Result<Vec<PodImages>, PortError> {
    let uses = runtime::image_uses(paths)?.into_iter();
    Ok(uses.map(|used| PodImages { pod: used.pod, names: used.names, ids: used.ids }).collect())
}

fn load(store: &Store, options: &Load, pods: images::LivingPods<'_>) -> Result<ExitCode> {
    let source = match options.archive.as_os_str() == "-" {
        true => Source::Stdin,
        false => Source::Path(options.archive.clone()),
    };
    let name = match options.name.as_deref().map(parse_name) {
        Some(Err(error)) => {
            outcome::report(&error);
            return Ok(ExitCode::from(REFUSED));
        }
        name => name.transpose()?,
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

fn parse_name(name: &str) -> Result<Reference> {
    let reference = Reference::parse(name).with_context(|| format!("--name {name}"))?;
    if reference.digest.is_some() {
        bail!("--name {name}: a digest cannot be given; give a tag");
    }
    Ok(reference)
}

fn list(store: &Store, options: &List, pods: &[PodImages]) -> Result<ExitCode> {
    let images = store.list(pods)?;
    let text = match options.output {
        Format::Table => table::table(&images),
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
