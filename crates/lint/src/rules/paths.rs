//! Files that one container writes and another reads, in a volume that they share or should
//! (<https://kubernetes.io/docs/concepts/workloads/pods/#pods-with-multiple-containers>).

use podspec::field::quote;

use super::volumes::{mount, the};
use crate::files::{self, Use, is_within, mount_at, place_in_volume};
use crate::finding::{Context, Edit, Finding};
use crate::pod::{Container, Kind, Mount, Pod};
use crate::program::cut;
use crate::rule::{PATHS_DO_NOT_MEET, VOLUME_NOT_MOUNTED};

/// Files and mounts that are compared with one another.
const STEPS_MAX: usize = 5_000_000;

/// Where a volume would hide what every image has.
const NOT_FOR_VOLUMES: [&str; 9] = ["/", "/bin", "/dev", "/etc", "/lib", "/proc", "/sbin", "/sys", "/usr"];

pub(super) fn check(pod: &Pod<'_>, _: &Context, findings: &mut Vec<Finding>) {
    let facts: Vec<Facts<'_>> = pod.containers.iter().map(Facts::of).collect();
    let written: usize = facts.iter().map(|facts| facts.writes.len() + 1).sum();
    let mounted: usize = pod.containers.iter().map(|container| container.mounts.len()).sum();
    let mut steps = 0;
    for (i, reader) in pod.containers.iter().enumerate() {
        // What else happens in it might make the file.
        if !files::is_ordinary(reader) {
            continue;
        }
        if facts[i].reads.is_empty() {
            continue;
        }
        let unused: Vec<&Mount<'_>> =
            reader.mounts.iter().filter(|own| !is_used(reader, &facts[i], own)).collect();
        for read in &facts[i].reads {
            steps += (written + mounted) * (1 + unused.len());
            if steps > STEPS_MAX {
                return;
            }
            let made_here = facts[i].writes.iter().any(|write| same_file(write.path, read.path))
                || files::writes_vaguely(reader);
            if made_here {
                continue;
            }
            let found = match mount_at(reader, read.path) {
                None => unmounted(pod, &facts, i, read)
                    .or_else(|| beside_the_mount(pod, &facts, i, read, &unused)),
                Some(mount) => elsewhere_in_the_volume(pod, &facts, i, read, mount),
            };
            // One finding per container: the others are of the same cause.
            if let Some(finding) = found {
                findings.push(finding);
                break;
            }
        }
    }
}

struct Facts<'c> {
    reads: Vec<Use<'c>>,
    writes: Vec<Use<'c>>,
}

impl<'c> Facts<'c> {
    fn of(container: &'c Container<'_>) -> Self {
        Self { reads: files::reads(container), writes: files::writes(container) }
    }
}

/// Who might have written what `reader` reads: all but init containers after it.
fn others<'p, 'a>(pod: &'p Pod<'a>, reader: usize) -> impl Iterator<Item = (usize, &'p Container<'a>)> {
    pod.containers.iter().enumerate().filter(move |(i, container)| {
        *i != reader && (pod.at_once(*i, reader) || container.kind == Kind::Init && *i < reader)
    })
}

/// The file is in a volume of another container, which the reader does not mount at all.
fn unmounted(pod: &Pod<'_>, facts: &[Facts<'_>], i: usize, read: &Use<'_>) -> Option<Finding> {
    let reader = &pod.containers[i];
    for (j, writer) in others(pod, i) {
        let Some(there) = mount_at(writer, read.path) else { continue };
        let Some(volume) = pod.volume(there.volume) else { continue };
        if reader.mounts.iter().any(|mount| mount.volume == there.volume) || !volume.is_empty_dir() {
            continue;
        }
        let is_written = facts[j].writes.iter().any(|write| write.path == read.path);
        // A program that is not known may write a log there; but scratch, which many have at one path, is each one's own.
        let is_log = read.follows() && !is_scratch(there.mount_path) && !files::is_ordinary(writer);
        if !is_written && !is_log {
            continue;
        }
        let message = format!(
            "{} reads {}, which is in the volume {} of {}, but does not mount that volume",
            the(reader),
            read.path,
            quote(there.volume),
            the(writer)
        );
        let help = format!(
            "mount the volume {} at {} in {} too",
            quote(there.volume),
            there.mount_path,
            the(reader)
        );
        let finding = Finding::new(&VOLUME_NOT_MOUNTED, word_of(reader, read.path), message, help)
            .related(there.path.clone(), format!("{} mounts it here", the(writer)));
        let title = format!("mount {} at {} in {}", there.volume, there.mount_path, reader.name);
        let edit = Edit::Append {
            path: reader.path.child("volumeMounts"),
            value: mount(there.volume, there.mount_path),
        };
        return Some(if hides(reader, there.mount_path) { finding } else { finding.fix(title, vec![edit]) });
    }
    None
}

/// Both mount the volume, and one of them uses a path that is not in it.
fn beside_the_mount(
    pod: &Pod<'_>,
    facts: &[Facts<'_>],
    i: usize,
    read: &Use<'_>,
    unused: &[&Mount<'_>],
) -> Option<Finding> {
    let reader = &pod.containers[i];
    for own in unused {
        for (j, writer) in others(pod, i) {
            for there in writer.mounts.iter().filter(|mount| mount.volume == own.volume) {
                let written = facts[j].writes.iter().find_map(|write| {
                    let place = place_in_volume(there, write.path)?;
                    is_within(write.path, there.mount_path).then_some((write, place))
                });
                let Some((write, place)) = written.filter(|(_, place)| ends_with(read.path, place)) else {
                    continue;
                };
                return Some(missed(reader, read, own, writer, write, there, &place));
            }
        }
    }
    None
}

fn missed(
    reader: &Container<'_>,
    read: &Use<'_>,
    own: &Mount<'_>,
    writer: &Container<'_>,
    write: &Use<'_>,
    there: &Mount<'_>,
    place: &str,
) -> Finding {
    let seen_at = seen_at(own, place);
    let message = format!(
        "{} reads {}, which is in no volume: {} writes {} in the volume {}, which {} sees as {}",
        the(reader),
        read.path,
        the(writer),
        write.path,
        quote(own.volume),
        the(reader),
        seen_at.as_deref().unwrap_or("a file below another path"),
    );
    let wanted = wanted_mount_path(read.path, place);
    let help = match (&wanted, &seen_at) {
        (Some(path), Some(seen)) => format!("read {seen}, or mount the volume at {path} in {}", the(reader)),
        (None, Some(seen)) => format!("read {seen}"),
        _ => "let both paths lead to one file of the volume".to_owned(),
    };
    let path = own.path.child("mountPath");
    let finding = Finding::new(&PATHS_DO_NOT_MEET, path.clone(), message, help)
        .related(word_of(reader, read.path), format!("read here: {}", read.path))
        .related(there.path.child("mountPath"), format!("{} mounts the volume here", the(writer)));
    match wanted.filter(|wanted| !hides(reader, wanted)) {
        Some(wanted) => finding.fix(
            format!("mount {} at {wanted} in {}", own.volume, reader.name),
            vec![Edit::Set { path, value: wanted.into() }],
        ),
        None => finding,
    }
}

/// The reader looks in the volume for a file of the writer's name, in another directory of it.
fn elsewhere_in_the_volume(
    pod: &Pod<'_>,
    facts: &[Facts<'_>],
    i: usize,
    read: &Use<'_>,
    own: &Mount<'_>,
) -> Option<Finding> {
    let reader = &pod.containers[i];
    let wanted = place_in_volume(own, read.path)?;
    pod.volume(own.volume).filter(|volume| volume.is_empty_dir())?;
    // All who might write it are known, and none writes it: there is one who writes a file of this name.
    let mut near = None;
    let mut outside = None;
    for (j, writer, there) in pod.mounts_of(own.volume) {
        if !files::is_ordinary(writer) || files::writes_vaguely(writer) {
            return None;
        }
        for write in &facts[j].writes {
            let in_mount = is_within(write.path, there.mount_path);
            match place_in_volume(there, write.path).filter(|_| in_mount) {
                Some(place) if same_file(&place, &wanted) => return None,
                Some(place) if base(&place) == base(&wanted) && j != i => {
                    near = Some((writer, write, there, place));
                }
                None if j != i
                    && mount_at(writer, write.path).is_none()
                    && ends_with(write.path, &wanted) =>
                {
                    outside = Some((writer, write, there));
                }
                _ => {}
            }
        }
    }
    if let (None, Some((writer, write, there))) = (&near, outside) {
        return Some(written_outside(reader, read, own, writer, write, there, &wanted));
    }
    let (writer, write, there, place) = near?;
    let message = format!(
        "{} reads {}, which nobody writes: {} writes {}, which is {} in {}",
        the(reader),
        read.path,
        the(writer),
        write.path,
        seen_at(own, &place).unwrap_or_else(|| "outside of what is mounted".to_owned()),
        the(reader),
    );
    let help = match seen_at(own, &place) {
        Some(seen) => format!("read {seen}, or write it so that both paths are the same below the volume"),
        None => "mount the same part of the volume in both (subPath)".to_owned(),
    };
    Some(
        Finding::new(&PATHS_DO_NOT_MEET, word_of(reader, read.path), message, help)
            .related(own.path.clone(), format!("{} mounts the volume here", the(reader)))
            .related(there.path.clone(), format!("{} mounts it here", the(writer))),
    )
}

/// The writer mounts the volume, and writes beside it.
fn written_outside(
    reader: &Container<'_>,
    read: &Use<'_>,
    own: &Mount<'_>,
    writer: &Container<'_>,
    write: &Use<'_>,
    there: &Mount<'_>,
    place: &str,
) -> Finding {
    let message = format!(
        "{} writes {}, which is in no volume: {} reads {} in the volume {}, which {} has at {}",
        the(writer),
        write.path,
        the(reader),
        read.path,
        quote(own.volume),
        the(writer),
        there.mount_path,
    );
    let path = there.path.child("mountPath");
    let help = format!("write it below {}, or mount the volume where it is written", there.mount_path);
    let finding = Finding::new(&PATHS_DO_NOT_MEET, path.clone(), message, help)
        .related(word_of(writer, write.path), format!("written here: {}", write.path))
        .related(own.path.child("mountPath"), format!("{} mounts the volume here", the(reader)));
    match wanted_mount_path(write.path, place).filter(|wanted| !hides(writer, wanted)) {
        Some(wanted) if place_in_volume(there, there.mount_path).is_some_and(|part| part.is_empty()) => {
            finding.fix(
                format!("mount {} at {wanted} in {}", there.volume, writer.name),
                vec![Edit::Set { path, value: wanted.into() }],
            )
        }
        _ => finding,
    }
}

/// The file itself, or a directory that it is in.
fn same_file(written: &str, read: &str) -> bool {
    is_within(written, read) || is_within(read, written)
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or("")
}

fn ends_with(path: &str, place: &str) -> bool {
    !place.is_empty() && path.strip_suffix(place).is_some_and(|dir| dir.ends_with('/'))
}

/// Where the volume would have to be for the file to be at `path`.
fn wanted_mount_path(path: &str, place: &str) -> Option<String> {
    let dir = path.strip_suffix(place)?.trim_end_matches('/');
    (!dir.is_empty() && !NOT_FOR_VOLUMES.contains(&dir)).then(|| dir.to_owned())
}

/// The path below the mount at which a place in the volume is seen.
fn seen_at(mount: &Mount<'_>, place: &str) -> Option<String> {
    let shown = place_in_volume(mount, mount.mount_path)?;
    let below = if shown.is_empty() { place } else { place.strip_prefix(&shown)?.strip_prefix('/')? };
    Some(format!("{}/{below}", mount.mount_path.trim_end_matches('/')))
}

/// A mount there would hide another of the container's, or be hidden, or hide what the image has to have.
fn hides(container: &Container<'_>, mount_path: &str) -> bool {
    NOT_FOR_VOLUMES.contains(&mount_path)
        || container
            .mounts
            .iter()
            .any(|mount| mount.mount_path.trim_end_matches('/') == mount_path.trim_end_matches('/'))
}

fn is_scratch(mount_path: &str) -> bool {
    ["/tmp", "/var/tmp", "/run", "/var/run", "/var/cache", "/dev/shm"]
        .iter()
        .any(|dir| is_within(mount_path, dir))
}

/// The container does something in the mount, or has been told of it.
fn is_used(container: &Container<'_>, facts: &Facts<'_>, own: &Mount<'_>) -> bool {
    let words = container.words.iter().map(|word| word.text.as_str());
    let mut texts = words.chain(container.env.values().map(|variable| cut(variable.value)));
    facts.reads.iter().chain(&facts.writes).any(|used| is_within(used.path, own.mount_path))
        || texts.any(|text| names_path(text, own.mount_path))
}

/// Whether the text has this path, or one below it.
fn names_path(text: &str, path: &str) -> bool {
    let is_path = |c: char| c.is_alphanumeric() || "._-/".contains(c);
    let path = path.trim_end_matches('/');
    !path.is_empty()
        && text.match_indices(path).any(|(at, _)| {
            let (before, after) = (&text[..at], &text[at + path.len()..]);
            !before.ends_with(is_path) && (after.starts_with('/') || !after.starts_with(is_path))
        })
}

/// The word of the container's command that holds the path.
fn word_of(container: &Container<'_>, path: &str) -> podspec::FieldPath {
    let word = container.words.iter().find(|word| word.text.contains(path));
    word.map_or_else(|| container.path.clone(), |word| word.path.clone())
}
