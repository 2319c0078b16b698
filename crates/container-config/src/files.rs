//! The files of a projected volume (<https://kubernetes.io/docs/concepts/storage/projected-volumes/>).

use std::collections::BTreeMap;

use podspec::Pod;
use podspec::source::{
    DownwardFile, KeyToPath, ObjectKind, ObjectRef, Projected, Projection, TokenProjection,
};

use crate::config::NodeFacts;
use crate::downward;
use crate::objects::{ObjectData, Objects, not_found};

/// A token is nobody's but its container's, where one user is.
const PRIVATE_MODE: u32 = 0o600;

/// What is to be at a path in a volume.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    pub content: Vec<u8>,
    pub mode: u32,
    /// Whose it is; `None` for root.
    pub uid: Option<u32>,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("mode", &self.mode).field("uid", &self.uid).finish_non_exhaustive()
    }
}

/// Files by their relative path.
pub type Files = BTreeMap<String, File>;

/// What became of asking for each token.
pub type Tokens = BTreeMap<TokenProjection, Result<String, String>>;

/// # Errors
/// Everything that is missing, in one line and Kubernetes' words.
pub fn projected_files(
    pod: &Pod,
    projected: &Projected,
    objects: &Objects,
    tokens: &Tokens,
    node: &NodeFacts,
) -> Result<Files, String> {
    let mut files = Files::new();
    let mut errors: Vec<String> = Vec::new();
    for source in &projected.sources {
        let made = match source {
            Projection::Object { object, items } => of_object(object, items, objects, projected.default_mode),
            Projection::Downward(items) => of_pod(items, pod, node, projected.default_mode),
            Projection::Token(token) => of_token(token, pod, tokens, projected.default_mode),
        };
        match made {
            Ok(made) => files.extend(made),
            Err(error) if errors.contains(&error) => {}
            Err(error) => errors.push(error),
        }
    }
    match errors.as_slice() {
        [] => Ok(files),
        [only] => Err(only.clone()),
        all => Err(format!("[{}]", all.join(", "))),
    }
}

fn of_object(
    object: &ObjectRef,
    items: &[KeyToPath],
    objects: &Objects,
    default_mode: u32,
) -> Result<Files, String> {
    let nothing = ObjectData::default();
    let data = match objects.find(object) {
        Some(data) => data,
        None if object.optional => &nothing,
        None => return Err(not_found(object.kind, &object.name)),
    };
    let file = |content: &[u8], mode: Option<u32>| File {
        content: content.to_owned(),
        mode: mode.unwrap_or(default_mode),
        uid: None,
    };
    if items.is_empty() {
        let all = data.data.iter().chain(&data.binary);
        return Ok(all.map(|(key, content)| (key.clone(), file(content, None))).collect());
    }
    let mut files = Files::new();
    for KeyToPath { key, path, mode } in items {
        match data.data.get(key).or_else(|| data.binary.get(key)) {
            Some(content) => drop(files.insert(path.clone(), file(content, *mode))),
            None if object.optional => {}
            None => {
                let kind = match object.kind {
                    ObjectKind::ConfigMap => "config",
                    ObjectKind::Secret => "secret",
                };
                return Err(format!("references non-existent {kind} key: {key}"));
            }
        }
    }
    Ok(files)
}

fn of_pod(items: &[DownwardFile], pod: &Pod, node: &NodeFacts, default_mode: u32) -> Result<Files, String> {
    let file = |item: &DownwardFile| {
        let content =
            downward::value(&item.value, pod, None, node, &[]).map_err(|error| error.to_string())?;
        let mode = item.mode.unwrap_or(default_mode);
        Ok((item.path.clone(), File { content: content.into_bytes(), mode, uid: None }))
    };
    items.iter().map(file).collect()
}

fn of_token(token: &TokenProjection, pod: &Pod, tokens: &Tokens, default_mode: u32) -> Result<Files, String> {
    let uid = only_user(pod);
    // The volume's group gets its share of the mode when the file is made.
    let is_private = uid.is_some() || pod.spec.fs_group.is_some();
    let mode = if is_private { PRIVATE_MODE } else { default_mode };
    let content = tokens.get(token).cloned().unwrap_or_else(|| Err("no token was asked for".to_owned()))?;
    Ok(Files::from([(token.path.clone(), File { content: content.into_bytes(), mode, uid })]))
}

/// The one user that all containers of the pod say they run as.
fn only_user(pod: &Pod) -> Option<u32> {
    let mut users = pod.spec.init_and_app_containers().map(|container| container.security.run_as_user);
    let first = users.next()??;
    users.all(|user| user == Some(first)).then_some(first)
}
