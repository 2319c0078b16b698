//! The OCI image configuration
//! (<https://github.com/opencontainers/image-spec/blob/main/config.md>), of which Docker's is a superset.

use std::collections::BTreeMap;

use container_config::ImageConfig;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::store::{CONFIG_BYTES_MAX, ConfigError, LAYERS_MAX};
use registry::Digest;

/// What monopod reads of it. Whatever may be absent may also be null.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OciConfig {
    pub(crate) platform: Platform,
    /// As it stands there; meant to be RFC 3339.
    pub(crate) created: Option<String>,
    pub(crate) process: Process,
    /// From the bottom.
    pub(crate) diff_ids: Vec<Digest>,
}

/// What programs of an image run on, in the words of Go: `linux`, `amd64`, `v8`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Deserialize)]
pub struct Platform {
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) os: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) architecture: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) variant: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Process {
    user: Option<String>,
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
    stop_signal: Option<String>,
    #[serde(default, deserialize_with = "keys")]
    volumes: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(flatten)]
    platform: Platform,
    created: Option<String>,
    config: Option<Process>,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(rename = "type")]
    kind: String,
    diff_ids: Option<Vec<String>>,
}

fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Of a set, which is an object in JSON; what is behind the keys says nothing.
fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let set: Option<BTreeMap<String, IgnoredAny>> = Option::deserialize(deserializer)?;
    Ok(set.unwrap_or_default().into_keys().collect())
}

impl OciConfig {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        if bytes.len() as u64 > CONFIG_BYTES_MAX {
            return Err(ConfigError::TooLong);
        }
        let document: Document =
            serde_json::from_slice(bytes).map_err(|source| ConfigError::Malformed { source })?;
        if document.rootfs.kind != "layers" {
            return Err(ConfigError::RootFsType { found: document.rootfs.kind });
        }
        let diff_ids = document.rootfs.diff_ids.unwrap_or_default();
        match diff_ids.len() {
            0 => return Err(ConfigError::NoLayers),
            found if found > LAYERS_MAX => return Err(ConfigError::TooManyLayers { found }),
            _ => {}
        }
        let digest = |(at, text): (usize, &String)| {
            Digest::parse(text).ok_or_else(|| ConfigError::DiffId { at, text: text.clone() })
        };
        Ok(Self {
            platform: document.platform,
            created: document.created,
            process: document.config.unwrap_or_default(),
            diff_ids: diff_ids.iter().enumerate().map(digest).collect::<Result<_, _>>()?,
        })
    }

    /// Without layers and accounts, which are files of the image.
    pub(crate) fn image_config(&self, id: String) -> ImageConfig {
        let process = self.process.clone();
        ImageConfig {
            id,
            entrypoint: process.entrypoint.unwrap_or_default(),
            cmd: process.cmd.unwrap_or_default(),
            env: process.env.unwrap_or_default(),
            working_dir: process.working_dir.unwrap_or_default(),
            user: process.user.unwrap_or_default(),
            stop_signal: process.stop_signal.unwrap_or_default(),
            volumes: process.volumes,
            ..ImageConfig::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::OciConfig;
    use crate::store::LAYERS_MAX;

    fn diff_ids(count: usize) -> String {
        let digest = format!("\"sha256:{}\"", "a".repeat(64));
        vec![digest; count].join(",")
    }

    #[test]
    fn nulls_and_absent_fields_are_empty() {
        let rootfs = format!("\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[{}]}}", diff_ids(1));
        for text in [
            format!("{{{rootfs}}}"),
            format!("{{\"config\":null,\"created\":null,\"variant\":null,{rootfs}}}"),
            format!(
                "{{\"config\":{{\"Env\":null,\"Volumes\":null,\"Cmd\":null,\"User\":\"\",\"Other\":{{\"x\":[1]}}}},{rootfs}}}"
            ),
        ] {
            let config = OciConfig::parse(text.as_bytes()).expect(&text);
            let image = config.image_config("id".into());
            assert!(image.env.is_empty() && image.cmd.is_empty() && image.entrypoint.is_empty());
        }
        let text = format!(
            "{{\"os\":\"linux\",\"config\":{{\"Entrypoint\":[\"/a\"],\"Cmd\":[\"b\"],\"Env\":[\"A=1\"],\
             \"WorkingDir\":\"/w\",\"User\":\"1:2\",\"StopSignal\":\"SIGINT\",\"Volumes\":{{\"/v\":{{}},\"/u\":null}}}},{rootfs}}}"
        );
        let image = OciConfig::parse(text.as_bytes()).unwrap().image_config("id".into());
        assert_eq!((image.entrypoint, image.cmd), (vec!["/a".to_owned()], vec!["b".to_owned()]));
        assert_eq!((image.env, image.working_dir), (vec!["A=1".to_owned()], "/w".to_owned()));
        assert_eq!((image.user, image.stop_signal), ("1:2".to_owned(), "SIGINT".to_owned()));
        assert_eq!(image.volumes, ["/u", "/v"]);
    }

    #[test]
    fn hostile_configurations_are_errors() {
        let rootfs =
            |ids: &str| format!("{{\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[{ids}]}}}}").into_bytes();
        assert!(OciConfig::parse(&rootfs(&diff_ids(LAYERS_MAX))).is_ok());
        let deep = [b"{\"config\":".as_slice(), &b"[".repeat(1_000_000)].concat();
        for (bytes, part) in [
            (b"".to_vec(), "cannot be read"),
            (b"{}".to_vec(), "cannot be read"),
            (b"{\"rootfs\":null}".to_vec(), "cannot be read"),
            (b"{\"rootfs\":{\"type\":\"other\"}}".to_vec(), "\"other\" is not supported"),
            (rootfs(""), "no layers"),
            (rootfs("\"sha256:../../../etc\""), "diff_ids[0]: \"sha256:../../../etc\" is not"),
            (rootfs("1"), "cannot be read"),
            (rootfs(&diff_ids(LAYERS_MAX + 1)), "128 layers, the limit is 127"),
            (b"{\"config\":{\"Env\":{}},\"rootfs\":{\"type\":\"layers\"}}".to_vec(), "cannot be read"),
            (deep, "cannot be read"),
            (vec![b' '; 5 << 20], "longer than"),
        ] {
            let error = OciConfig::parse(&bytes).unwrap_err().to_string();
            assert!(error.contains(part), "{error}, not {part}");
        }
    }
}
