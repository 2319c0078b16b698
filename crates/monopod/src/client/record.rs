//! A pod's record, from wherever there is one: its engine, or the pod's directory when none answers or the pod is gone from the API.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use client::ClientError;
use journal::Record;
use kubelet::{Paths, load_pod, read_record};
use linux_sys::clock;
use local_cluster::record;
use podspec::{BootTime, Moment, Pod, WallTime};
use ports::PortError;

use crate::client::context::{Context, pod_path};
use crate::client::failure::{Failure, Result};
use crate::client::record_file;
use crate::client::target::pod_name;

/// Pods of one name whose engines are gone, of which the newest is meant.
const DIRECTORIES_MAX: usize = 4_096;

/// The record that an argument of the command line means: of a pod, by NAME or pod/NAME, or in a file, whose path has a slash.
pub(super) async fn meant(context: &Context, argument: &str) -> Result<Record> {
    let path = Path::new(argument);
    // What there is no file of was more likely meant as TYPE/NAME.
    if argument.contains('/') && pod_name(argument).is_err() && path.exists() {
        return record_file::open(path);
    }
    obtain(context, pod_name(argument)?).await
}

/// The record of the pod with this name in the namespace that is spoken of; of one that is gone from the API also by its UID.
pub(super) async fn obtain(context: &Context, name: &str) -> Result<Record> {
    let namespace = &context.namespace;
    let failure = match of_engine(context, name).await {
        Ok(record) => return Ok(record),
        Err(failure) => failure,
    };
    let Some(paths) = context.paths.as_ref().filter(|_| may_be_elsewhere(&failure)) else {
        return Err(failure);
    };
    let found = match on_disk(paths, namespace, name) {
        Ok(None) => kept(paths, namespace, name),
        found => found,
    };
    match found {
        Ok(Some(record)) => Ok(record),
        Ok(None) if context.pod(namespace, name).await.is_ok() => Err(Failure::said(format!(
            "nothing has happened to pod {namespace}/{name} yet, since no node has it: see `monopod why {name}`"
        ))),
        Ok(None) => Err(Failure::said(format!(
            "there is no pod {namespace}/{name}: {}, and none is in {} or {}",
            tried(&failure),
            paths.pods_dir().display(),
            journal::kept_dir(&paths.data_dir).display()
        ))),
        Err(error) => Err(Failure::said(format!("{}, and {error}", tried(&failure)))),
    }
}

/// From the API.
async fn of_engine(context: &Context, name: &str) -> Result<Record> {
    let record = context.get(&format!("{}/record", pod_path(&context.namespace, name))).await?;
    serde_json::from_value(record).map_err(|error| {
        Failure::said(format!(
            "the engine's record of the pod cannot be read, as that of another version: {error}"
        ))
    })
}

/// Nobody answered, or who did does not know the pod.
pub(super) fn may_be_elsewhere(failure: &Failure) -> bool {
    failure.is_not_found() || matches!(failure, Failure::Api { error: ClientError::NoEngine { .. }, .. })
}

fn tried(failure: &Failure) -> String {
    match failure {
        Failure::Api { error: ClientError::NoEngine { .. }, .. } => "no engine runs".to_owned(),
        _ => "the engine has none of this name".to_owned(),
    }
}

/// From the directory of the newest pod of this name; `None` when there is none.
fn on_disk(paths: &Paths, namespace: &str, name: &str) -> std::result::Result<Option<Record>, String> {
    let mut newest: Option<Record> = None;
    let mut failed = None;
    for dir in pod_dirs(&paths.pods_dir())? {
        // Of a pod that is being removed, or was never begun.
        let Ok(pod) = load_pod(&dir) else { continue };
        if !is_meant(&pod, namespace, name) {
            continue;
        }
        match record::read(&paths.context(pod, false)) {
            Ok(record)
                if newest
                    .as_ref()
                    .is_none_or(|newest| newest.observed.accepted < record.observed.accepted) =>
            {
                newest = Some(record);
            }
            Ok(_) => {}
            Err(error) => failed = Some(PortError::chain(&error).to_string()),
        }
    }
    match (newest, failed) {
        (None, Some(error)) => Err(error),
        (newest, _) => Ok(newest),
    }
}

/// From what is kept of pods that were removed: the last of this name.
fn kept(paths: &Paths, namespace: &str, name: &str) -> std::result::Result<Option<Record>, String> {
    let kept = journal::kept(&paths.data_dir)
        .map_err(|error| unreadable(&journal::kept_dir(&paths.data_dir), &error))?;
    let now = now();
    for kept in kept.into_iter().rev() {
        // Those of another version, too, are left out: the next one of the name may be readable.
        let Ok(mut record) = read_record(&kept.dir, now) else { continue };
        if is_meant(&record.pod, namespace, name) {
            let ago = now.wall.0.saturating_sub(kept.removed.0).max(0);
            record.now = Moment { boot: BootTime(now.boot.0.saturating_sub(ago)), wall: kept.removed };
            return Ok(Some(record));
        }
    }
    Ok(None)
}

fn is_meant(pod: &Pod, namespace: &str, name: &str) -> bool {
    (pod.namespace == namespace && pod.name == name) || pod.uid.as_str() == name
}

pub(super) fn now() -> Moment {
    Moment { boot: BootTime(clock::boot_ns()), wall: WallTime(clock::wall_ns()) }
}

pub(super) fn unreadable(dir: &Path, error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => "\nremedy: run monopod with sudo",
        _ => "",
    };
    format!("{} cannot be read: {error}{remedy}", dir.display())
}

fn pod_dirs(all: &Path) -> std::result::Result<Vec<PathBuf>, String> {
    let entries = match fs::read_dir(all) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(all, &error)),
    };
    Ok(entries.flatten().map(|entry| entry.path()).take(DIRECTORIES_MAX).collect())
}
