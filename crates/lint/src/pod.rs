//! A pod as the rules look at it. What is missing or of another type is as if it were not set; what admission fills in makes no difference.

use std::collections::BTreeMap;

use podspec::FieldPath;
use podspec::json::{fields, flag, integer, list, text};
use serde_json::Value;

use crate::hosts::{Mention, mentions};
use crate::listens::{Listen, listens};
use crate::program::{self, Program, Word};

/// More containers or volumes than these are not looked at; clusters take fewer.
const CONTAINERS_MAX: usize = 256;
const VOLUMES_MAX: usize = 1_024;
/// Of each list in a container.
const ENTRIES_MAX: usize = 512;
/// What is read of all commands and their variables together.
const TEXTS_BYTES_MAX: usize = 1 << 20;

/// What Kubernetes gives a pod that says nothing.
const GRACE_SECONDS: i64 = 30;

pub(crate) struct Pod<'a> {
    pub(crate) json: &'a Value,
    pub(crate) spec: &'a Value,
    /// Those of `initContainers`, then those of `containers`.
    pub(crate) containers: Vec<Container<'a>>,
    pub(crate) volumes: Vec<Volume<'a>>,
    /// Which hosts each container speaks to.
    pub(crate) mentions: Vec<Vec<Mention<'a>>>,
    /// On which ports each container listens.
    pub(crate) listens: Vec<Vec<Listen>>,
    /// By the name of the volume: the container, and which of its mounts.
    mounts: BTreeMap<&'a str, Vec<(usize, usize)>>,
    volume_names: BTreeMap<&'a str, usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Ends before the next one starts.
    Init,
    /// An init container that goes on beside what follows.
    Sidecar,
    App,
}

pub(crate) struct Container<'a> {
    pub(crate) json: &'a Value,
    pub(crate) path: FieldPath,
    pub(crate) kind: Kind,
    pub(crate) name: &'a str,
    pub(crate) image: &'a str,
    pub(crate) mounts: Vec<Mount<'a>>,
    pub(crate) ports: Vec<Port>,
    /// `command`, then `args`, as far as they are strings, with variables of the container put in.
    pub(crate) words: Vec<Word<'a>>,
    pub(crate) env: BTreeMap<&'a str, Variable<'a>>,
    pub(crate) program: Program,
}

pub(crate) struct Variable<'a> {
    pub(crate) value: &'a str,
    pub(crate) path: FieldPath,
}

pub(crate) struct Mount<'a> {
    pub(crate) json: &'a Value,
    pub(crate) path: FieldPath,
    pub(crate) volume: &'a str,
    pub(crate) mount_path: &'a str,
}

#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) path: FieldPath,
    pub(crate) number: u16,
    pub(crate) protocol: String,
}

pub(crate) struct Volume<'a> {
    pub(crate) json: &'a Value,
    pub(crate) path: FieldPath,
    pub(crate) name: &'a str,
}

impl<'a> Pod<'a> {
    pub(crate) fn of(json: &'a Value) -> Self {
        let spec = json.get("spec").unwrap_or(&Value::Null);
        let root = FieldPath::root().child("spec");
        let mut containers: Vec<Container<'a>> = Vec::new();
        let mut texts_bytes = TEXTS_BYTES_MAX;
        for section in ["initContainers", "containers"] {
            let path = root.child(section);
            for (i, container) in list(spec, section).iter().enumerate().take(CONTAINERS_MAX) {
                containers.push(Container::of(
                    container,
                    path.index(i),
                    section == "containers",
                    &mut texts_bytes,
                ));
            }
        }
        let path = root.child("volumes");
        let volumes = list(spec, "volumes").iter().take(VOLUMES_MAX).enumerate();
        let volumes = volumes.filter(|(_, json)| !is_admissions(text(json, "name")));
        let volume = |(i, json)| Volume { json, path: path.index(i), name: text(json, "name") };
        let volumes: Vec<Volume<'a>> = volumes.map(volume).collect();
        let mut mounts: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
        for (i, container) in containers.iter().enumerate() {
            for (j, mount) in container.mounts.iter().enumerate() {
                mounts.entry(mount.volume).or_default().push((i, j));
            }
        }
        Self {
            json,
            spec,
            mentions: containers.iter().map(mentions).collect(),
            listens: containers.iter().map(listens).collect(),
            // The first of a name.
            volume_names: volumes.iter().enumerate().rev().map(|(i, volume)| (volume.name, i)).collect(),
            mounts,
            containers,
            volumes,
        }
    }

    pub(crate) fn path() -> FieldPath {
        FieldPath::root().child("spec")
    }

    pub(crate) fn restart_policy(&self) -> &'a str {
        Some(text(self.spec, "restartPolicy")).filter(|policy| !policy.is_empty()).unwrap_or("Always")
    }

    pub(crate) fn grace_seconds(&self) -> i64 {
        match integer(self.spec, "terminationGracePeriodSeconds") {
            Some(seconds) if seconds < 0 => 1,
            Some(seconds) => seconds,
            None => GRACE_SECONDS,
        }
    }

    /// Its containers are on the machine's network, where anybody may listen.
    pub(crate) fn uses_host_network(&self) -> bool {
        flag(self.spec, "hostNetwork")
    }

    /// No process of a container is the first of its process namespace.
    pub(crate) fn shares_processes(&self) -> bool {
        flag(self.spec, "shareProcessNamespace") || flag(self.spec, "hostPID")
    }

    pub(crate) fn volume(&self, name: &str) -> Option<&Volume<'a>> {
        self.volume_names.get(name).map(|i| &self.volumes[*i])
    }

    /// Whether both run at some time, where neither is waiting for the other's end.
    pub(crate) fn at_once(&self, one: usize, other: usize) -> bool {
        let (first, second) = (one.min(other), one.max(other));
        first != second
            && self.containers.get(first).is_some_and(|first| first.kind != Kind::Init)
            && second < self.containers.len()
    }

    /// Every mount of the volume.
    pub(crate) fn mounts_of<'p>(
        &'p self,
        volume: &str,
    ) -> impl Iterator<Item = (usize, &'p Container<'a>, &'p Mount<'a>)> {
        let mounts = self.mounts.get(volume).map_or(&[] as &[_], Vec::as_slice);
        mounts.iter().map(|(i, j)| (*i, &self.containers[*i], &self.containers[*i].mounts[*j]))
    }
}

/// Whether a volume is that with the token of the pod's account, which the API gives to every container: nobody has meant
/// anything by it.
fn is_admissions(volume: &str) -> bool {
    volume.starts_with("kube-api-access-")
}

impl<'a> Container<'a> {
    fn of(json: &'a Value, path: FieldPath, is_app: bool, texts_bytes: &mut usize) -> Self {
        let kind = match (is_app, text(json, "restartPolicy")) {
            (true, _) => Kind::App,
            (false, "Always") => Kind::Sidecar,
            (false, _) => Kind::Init,
        };
        let mount = |(i, json): (usize, &'a Value)| Mount {
            json,
            path: path.child("volumeMounts").index(i),
            volume: text(json, "name"),
            mount_path: text(json, "mountPath"),
        };
        let mounts = entries(json, "volumeMounts").map(mount);
        let mounts = mounts.filter(|mount| !is_admissions(mount.volume)).collect();
        let ports =
            entries(json, "ports").filter_map(|(i, port)| Port::of(port, path.child("ports").index(i)));
        let variables = entries(json, "env").filter_map(|(i, variable)| {
            let value = variable.get("value").and_then(Value::as_str)?;
            Some((
                text(variable, "name"),
                Variable { value, path: path.child("env").index(i).child("value") },
            ))
        });
        let env: BTreeMap<_, _> = variables.collect();
        let words = program::words(json, &path, &env, texts_bytes);
        Self {
            json,
            kind,
            name: text(json, "name"),
            image: text(json, "image"),
            mounts,
            ports: ports.collect(),
            program: Program::of(json, &words, &env),
            words,
            env,
            path,
        }
    }

    /// Has a command or args of its own in the manifest.
    pub(crate) fn has_words(&self) -> bool {
        !self.words.is_empty()
    }

    pub(crate) fn has_command(&self) -> bool {
        !list(self.json, "command").is_empty()
    }
}

impl Port {
    fn of(json: &Value, path: FieldPath) -> Option<Self> {
        let number = u16::try_from(integer(json, "containerPort")?).ok()?;
        let protocol = Some(text(json, "protocol")).filter(|protocol| !protocol.is_empty()).unwrap_or("TCP");
        Some(Self { path, number, protocol: protocol.to_owned() })
    }
}

impl Volume<'_> {
    /// An emptyDir, as one is that names no source.
    pub(crate) fn is_empty_dir(&self) -> bool {
        fields(self.json).keys().all(|name| name == "name") || self.json.get("emptyDir").is_some()
    }
}

fn entries<'a>(json: &'a Value, name: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    list(json, name).iter().enumerate().take(ENTRIES_MAX)
}
