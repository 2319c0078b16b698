//! Where images come from and when they go, as the command line says. The environment, which has proxies, authorities
//! and credentials of registries, is read here and nowhere else.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use images::{DEFAULT_POLICY_PATH, Policy, Registries};
use local_cluster::ImageThresholds;
use registry::{Client, Hosts, NodeCredentials};

use crate::client::parse_duration;

/// How registries are asked.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Images")]
pub(crate) struct RegistryOptions {
    /// Mirrors, insecure registries and certificates: DIR/HOST/hosts.toml as for containerd, DIR/HOST/*.crt as for
    /// docker and podman; give it again for more directories. Proxies (HTTPS_PROXY, NO_PROXY) and files of credentials
    /// (DOCKER_CONFIG, REGISTRY_AUTH_FILE) are those of the environment
    #[arg(long, value_name = "DIR", default_values = CONFIG_DIRS)]
    registry_config: Vec<PathBuf>,
    /// Which images may be pulled, and who has to have signed them, as containers-policy.json(5) says it [default:
    /// /etc/monopod/policy.json, if it is there]
    #[arg(long, value_name = "FILE")]
    signature_policy: Option<PathBuf>,
}

/// Our own, and those of containerd, podman and docker.
const CONFIG_DIRS: [&str; 4] =
    ["/etc/monopod/certs.d", "/etc/containerd/certs.d", "/etc/containers/certs.d", "/etc/docker/certs.d"];

impl RegistryOptions {
    /// # Errors
    /// When the environment or a file cannot be used.
    pub(crate) fn registries(&self, asker: Asker, pulls_at_once: usize) -> Result<Registries> {
        let mut variables = environment();
        let hosts = Hosts::new(self.registry_config.clone());
        let client = Client::new(hosts, &|name| variables.get(name).cloned());
        let client = client.context("cannot ask registries")?;
        if asker == Asker::Server {
            variables.remove(SUDO_USER);
        }
        // Nobody has a name where it cannot be read.
        let passwd = fs::read(PASSWD).unwrap_or_default();
        let credentials = NodeCredentials::new(variables, &String::from_utf8_lossy(&passwd));
        let policy = match &self.signature_policy {
            Some(path) => Policy::read(path),
            None => Policy::read_if_there(DEFAULT_POLICY_PATH.as_ref()),
        };
        let policy = policy.context("cannot use the signature policy")?;
        Ok(Registries { client, credentials, policy, pulls_at_once })
    }
}

/// Who asks registries: a user's command may have the credentials of the user who called sudo, a server serves
/// everybody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asker {
    Command,
    Server,
}

const SUDO_USER: &str = "SUDO_USER";
const PASSWD: &str = "/etc/passwd";

/// As far as it is text.
fn environment() -> BTreeMap<String, String> {
    let text = |text: std::ffi::OsString| text.into_string().ok();
    std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
}

/// What an engine does with images.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Images")]
pub(crate) struct ImageOptions {
    #[command(flatten)]
    registries: RegistryOptions,
    /// How many images are pulled at the same time, as the kubelet's maxParallelImagePulls
    #[arg(long, value_name = "NUMBER", default_value = "5")]
    max_parallel_image_pulls: NonZeroUsize,
    /// How full the disk is, in percent, when images that no pod uses are removed, as the kubelet's flag; 100 for never
    #[arg(long, value_name = "PERCENT", default_value_t = 85, value_parser = clap::value_parser!(u8).range(0..=100))]
    image_gc_high_threshold: u8,
    /// And when no more of them are removed
    #[arg(long, value_name = "PERCENT", default_value_t = 80, value_parser = clap::value_parser!(u8).range(0..=100))]
    image_gc_low_threshold: u8,
    /// An image that came or was used within this time stays
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = parse_duration)]
    minimum_image_ttl_duration: Duration,
}

impl ImageOptions {
    /// # Errors
    /// As [`RegistryOptions::registries`].
    pub(crate) fn registries(&self, asker: Asker) -> Result<Registries> {
        self.registries.registries(asker, self.max_parallel_image_pulls.get())
    }

    /// # Errors
    /// When the thresholds contradict each other.
    pub(crate) fn thresholds(&self) -> Result<ImageThresholds> {
        let (high_percent, low_percent) = (self.image_gc_high_threshold, self.image_gc_low_threshold);
        if low_percent >= high_percent {
            bail!(
                "--image-gc-low-threshold {low_percent} must be less than --image-gc-high-threshold {high_percent}"
            );
        }
        Ok(ImageThresholds { high_percent, low_percent, age_min: self.minimum_image_ttl_duration })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::{ImageOptions, ImageThresholds};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        images: ImageOptions,
    }

    #[test]
    fn thresholds_are_a_kubelets_unless_given() {
        let thresholds = |line: &str| {
            let parsed = Line::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())?;
            parsed.images.thresholds().map_err(|error| error.to_string())
        };
        assert_eq!(thresholds("x"), Ok(ImageThresholds::default()));
        let given = thresholds(
            "x --image-gc-high-threshold 100 --image-gc-low-threshold 99 --minimum-image-ttl-duration 0s",
        );
        let expected = ImageThresholds { high_percent: 100, low_percent: 99, age_min: Duration::ZERO };
        assert_eq!(given, Ok(expected));
        for (line, why) in [
            ("x --image-gc-high-threshold 80", "80 must be less than --image-gc-high-threshold 80"),
            ("x --image-gc-high-threshold 101", "101 is not in 0..=100"),
        ] {
            assert!(thresholds(line).unwrap_err().contains(why), "{line}");
        }
    }
}
