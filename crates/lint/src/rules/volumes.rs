//! Volumes that are not defined, not mounted, or not by everyone who needs them
//! (<https://kubernetes.io/docs/concepts/storage/volumes/>).

use std::collections::{BTreeMap, BTreeSet};

use podspec::field::quote;
use podspec::json::{list, text};
use serde_json::{Value, json};

use crate::FINDINGS_MAX;
use crate::finding::{Context, Edit, Finding};
use crate::images;
use crate::pod::{Container, Kind, Pod, Volume};
use crate::rule::{VOLUME_NOT_DEFINED, VOLUME_NOT_SHARED, VOLUME_UNUSED};

/// Names looked for by likeness, which takes time, and how long they may be.
const SUGGESTIONS_MAX: usize = 8;
const NAME_BYTES_MAX: usize = 63;

pub(super) fn check(pod: &Pod<'_>, _: &Context, findings: &mut Vec<Finding>) {
    let has_near = not_defined(pod, findings);
    if !has_near {
        unused(pod, findings);
    }
    not_shared(pod, findings);
}

/// Whether one of the names is nearly that of a volume, which then may be mounted by nobody for that reason alone.
fn not_defined(pod: &Pod<'_>, findings: &mut Vec<Finding>) -> bool {
    let defined: BTreeSet<&str> = pod.volumes.iter().map(|volume| volume.name).collect();
    let mounted: BTreeSet<&str> =
        pod.containers.iter().flat_map(|c| &c.mounts).map(|mount| mount.volume).collect();
    // Defined twice, a volume would be as wrong as not at all: the first mount has the fix.
    let mut offered: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for container in &pod.containers {
        for mount in &container.mounts {
            let name = mount.volume;
            if name.is_empty() || defined.contains(name) || findings.len() >= FINDINGS_MAX {
                continue;
            }
            let path = mount.path.child("name");
            let message =
                format!("the pod defines no volume {}, which {} mounts", quote(name), the(container));
            let is_first = !offered.contains_key(name);
            let is_worth = offered.len() < SUGGESTIONS_MAX && name.len() <= NAME_BYTES_MAX;
            let near = *offered.entry(name).or_insert_with(|| {
                // The name of one that nobody mounts yet is the more likely one.
                let free = defined.iter().copied().filter(|defined| !mounted.contains(defined));
                let near = || {
                    podspec::nearest(name, free).or_else(|| podspec::nearest(name, defined.iter().copied()))
                };
                if is_worth { near() } else { None }
            });
            let finding = match near.and_then(|near| pod.volume(near)) {
                Some(near) => {
                    let help = format!("did you mean {}?", quote(near.name));
                    Finding::new(&VOLUME_NOT_DEFINED, path.clone(), message, help)
                        .related(near.path.child("name"), "the volume with the nearest name")
                        .fix(
                            format!("mount {}", near.name),
                            vec![Edit::Set { path, value: near.name.into() }],
                        )
                }
                None => {
                    let volume = json!({"name": name, "emptyDir": {}});
                    let edit = Edit::Append { path: Pod::path().child("volumes"), value: volume };
                    let help = format!(
                        "define it in spec.volumes, beside containers: {{name: {name}, emptyDir: {{}}}}"
                    );
                    let finding = Finding::new(&VOLUME_NOT_DEFINED, path, message, help);
                    if is_first {
                        finding.fix(format!("define the volume {name} as an emptyDir"), vec![edit])
                    } else {
                        finding
                    }
                }
            };
            findings.push(finding);
        }
    }
    offered.values().any(Option::is_some)
}

fn unused(pod: &Pod<'_>, findings: &mut Vec<Finding>) {
    if pod.containers.is_empty() {
        return;
    }
    let used = used(pod);
    for volume in &pod.volumes {
        if volume.name.is_empty() || used.contains(volume.name) {
            continue;
        }
        let message = format!("no container mounts the volume {}", quote(volume.name));
        let help = "add it to volumeMounts of each container that needs it, or remove it";
        findings.push(Finding::new(&VOLUME_UNUSED, volume.path.child("name"), message, help));
    }
}

/// Whatever a container has from a volume.
fn used<'a>(pod: &Pod<'a>) -> BTreeSet<&'a str> {
    let mut used = BTreeSet::new();
    let others = list(pod.spec, "ephemeralContainers").iter();
    for container in pod.containers.iter().map(|container| container.json).chain(others) {
        for field in ["volumeMounts", "volumeDevices"] {
            used.extend(list(container, field).iter().map(|entry| text(entry, "name")));
        }
        for variable in list(container, "env") {
            used.insert(text(&variable["valueFrom"]["fileKeyRef"], "volumeName"));
        }
    }
    used
}

/// A log shipper without any volume, beside a container that writes into one of its own.
fn not_shared(pod: &Pod<'_>, findings: &mut Vec<Finding>) {
    for (i, shipper) in pod.containers.iter().enumerate() {
        let Some(program) = images::log_shipper(shipper.image) else { continue };
        // Whatever is configured, sent to or told otherwise may do without files.
        let is_bare = shipper.mounts.is_empty()
            && shipper.ports.is_empty()
            && !shipper.has_words()
            && list(shipper.json, "env").is_empty()
            && list(shipper.json, "envFrom").is_empty();
        if !is_bare {
            continue;
        }
        let mut candidates = pod.volumes.iter().filter_map(|volume| {
            let writer = sole_writer(pod, volume, i)?;
            Some((volume, writer))
        });
        let (Some((volume, (writer, mount))), None) = (candidates.next(), candidates.next()) else {
            continue;
        };
        let message = format!(
            "{} runs {program} and mounts nothing, so it sees none of the files that {} writes to the volume {}",
            the(shipper),
            the(writer),
            quote(volume.name)
        );
        let help =
            format!("mount the volume in {} too: volumes are shared by those who mount them", the(shipper));
        let value = json!({"name": volume.name, "mountPath": mount});
        let edit = Edit::Append { path: shipper.path.child("volumeMounts"), value };
        findings.push(
            Finding::new(&VOLUME_NOT_SHARED, shipper.path.clone(), message, help)
                .related(volume.path.child("name"), "the volume")
                .fix(format!("mount {} at {mount} in {}", volume.name, shipper.name), vec![edit]),
        );
    }
}

/// The only container that mounts this emptyDir, and where; it runs beside the one at `but`.
fn sole_writer<'p, 'a>(
    pod: &'p Pod<'a>,
    volume: &'p Volume<'a>,
    but: usize,
) -> Option<(&'p Container<'a>, &'a str)> {
    if !volume.is_empty_dir() {
        return None;
    }
    let mut mounts = pod.mounts_of(volume.name);
    let (at, writer, mount) = mounts.next()?;
    let is_alone = mounts.next().is_none();
    // A place for scratch is nobody else's.
    let is_scratch = ["/tmp", "/var/tmp", "/run", "/var/run", "/var/cache", "/dev/shm", "/cache"]
        .iter()
        .any(|dir| crate::files::is_within(mount.mount_path, dir));
    let runs_beside = pod.at_once(at, but) || writer.kind == Kind::Init;
    (is_alone && !is_scratch && runs_beside && !crate::files::is_read_only(mount))
        .then_some((writer, mount.mount_path))
}

/// `the container "app"`
pub(super) fn the(container: &Container<'_>) -> String {
    let kind = match container.kind {
        Kind::Init => "init container",
        Kind::Sidecar => "sidecar",
        Kind::App => "container",
    };
    format!("the {kind} {}", quote(container.name))
}

/// An entry of `volumeMounts`.
pub(super) fn mount(volume: &str, mount_path: &str) -> Value {
    json!({"name": volume, "mountPath": mount_path})
}
