//! Of what a container found, what belongs to this one run is given the name of its role.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

/// What a run's names stand for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Directories of the run, each with the name of its role; the longer ones first.
    pub(crate) directories: Vec<(PathBuf, &'static str)>,
    /// The container's group, as `/monopod/poduid/main-0`.
    pub(crate) cgroup: String,
    /// `net:[1]` to whose it is.
    pub(crate) namespaces: BTreeMap<String, &'static str>,
}

/// What an overlay was made of: paths of the run, or descriptors.
const OVERLAY_DIRECTORIES: [&str; 3] = ["lowerdir=", "upperdir=", "workdir="];

pub(crate) fn normalised(mut seen: Value, names: &Names) -> Value {
    rename(&mut seen, names);
    for namespace in seen["namespaces"].as_object_mut().into_iter().flat_map(|map| map.values_mut()) {
        let whose = namespace.as_str().and_then(|id| names.namespaces.get(id)).copied();
        *namespace = Value::from(whose.unwrap_or("its own"));
    }
    let keyring = &mut seen["process"]["session_keyring"];
    if let Some((kind, _name)) = keyring.as_str().and_then(|text| text.rsplit_once(';')) {
        *keyring = Value::from(kind.to_owned());
    }
    for mounts in seen["mounts"].as_object_mut().into_iter().flat_map(|map| map.values_mut()) {
        // One mount is the rule; several are compared as one value.
        if let Some([only]) = mounts.as_array().map(Vec::as_slice) {
            *mounts = only.clone();
        }
    }
    seen
}

fn rename(value: &mut Value, names: &Names) {
    match value {
        Value::String(text) => *text = renamed(text, names),
        Value::Array(list) => {
            list.retain(|item| {
                let text = item.as_str().unwrap_or_default();
                !OVERLAY_DIRECTORIES.iter().any(|option| text.starts_with(option))
            });
            list.iter_mut().for_each(|item| rename(item, names));
        }
        Value::Object(map) => map.values_mut().for_each(|item| rename(item, names)),
        _ => {}
    }
}

fn renamed(text: &str, names: &Names) -> String {
    let mut text = text.replace(&names.cgroup, "(cgroup)");
    for (directory, role) in &names.directories {
        text = text.replace(&*directory.to_string_lossy(), role);
    }
    text
}
