//! Mounts of a container as other runtimes are told of them.

use std::path::Path;

use container_config::{ContainerConfig, Layer, Mount, MountKind, MountOptions};
use serde_json::{Value, json};

use super::Place;

/// What containerd gives a container's /dev.
const DEV_OPTIONS: [&str; 3] = ["strictatime", "mode=755", "size=65536k"];

/// The root's inner layers come first, as they are part of it.
pub(super) fn mounts(config: &ContainerConfig, place: &Place) -> Vec<Value> {
    let inner = config.root.layers.iter().skip(1).zip(&place.inner_layers);
    let layers = inner.map(|(layer, (upper, work))| {
        let mut options = vec![overlay_options(layer, upper, work)];
        options.extend(config.root.read_only.then(|| "ro".to_owned()));
        mount(&layer.target, "overlay", "overlay", &options)
    });
    let configured = config.mounts.iter().map(of_kind);
    let termination_log = (!config.termination_message_path.is_empty()).then(|| {
        let options = ["bind", "rprivate", "rw"].map(str::to_owned).to_vec();
        mount(&config.termination_message_path, "bind", &path(&place.termination_log), &options)
    });
    layers.chain(configured).chain(termination_log).collect()
}

/// For mount(2); none of the paths has a character that means something there.
pub(super) fn overlay_options(layer: &Layer, upper: &Path, work: &Path) -> String {
    let lower: Vec<String> = layer.lower.iter().map(|lower| path(lower)).collect();
    format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), path(upper), path(work))
}

fn of_kind(configured: &Mount) -> Value {
    let (kind, source, own): (&str, String, Vec<&str>) = match &configured.kind {
        MountKind::Proc => ("proc", "proc".to_owned(), vec![]),
        MountKind::Sysfs => ("sysfs", "sysfs".to_owned(), vec![]),
        MountKind::Mqueue => ("mqueue", "mqueue".to_owned(), vec![]),
        MountKind::Cgroup => ("cgroup", "cgroup".to_owned(), vec!["relatime"]),
        MountKind::Devpts => {
            ("devpts", "devpts".to_owned(), vec!["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"])
        }
        MountKind::Dev => ("tmpfs", "tmpfs".to_owned(), DEV_OPTIONS.to_vec()),
        // Not as overlay has it: no case that is compared mounts one.
        MountKind::Image(source) => ("image", source.volume.clone(), vec![]),
        MountKind::OwnImage => ("image", configured.target.clone(), vec![]),
        MountKind::Bind(source) => {
            let own = if source.recursive { "rbind" } else { "bind" };
            ("bind", path(&source.path), vec![own, "rprivate"])
        }
    };
    let mut options: Vec<String> = own.into_iter().map(str::to_owned).collect();
    options.extend(flags(configured.options));
    mount(&configured.target, kind, &source, &options)
}

fn flags(options: MountOptions) -> impl Iterator<Item = String> {
    let flags = [
        (options.read_only, "ro"),
        (options.nosuid, "nosuid"),
        (options.nodev, "nodev"),
        (options.noexec, "noexec"),
    ];
    flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name.to_owned())
}

fn mount(target: &str, kind: &str, source: &str, options: &[String]) -> Value {
    json!({"destination": target, "type": kind, "source": source, "options": options})
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
