//! Where the things of pods are.

use std::path::PathBuf;

use crate::PodContext;
use podspec::Pod;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paths {
    /// `var/lib/monopod` under the root.
    pub data_dir: PathBuf,
    /// `run/monopod` under the root.
    pub run_dir: PathBuf,
    /// `var/log/pods` under the root.
    pub log_dir: PathBuf,
}

impl Paths {
    /// The directory that holds one directory per pod, named by its UID.
    #[must_use]
    pub fn pods_dir(&self) -> PathBuf {
        self.data_dir.join("pods")
    }

    /// The run directory of the pod with this UID.
    #[must_use]
    pub fn pod_run_dir(&self, uid: &str) -> PathBuf {
        self.run_dir.join("pods").join(uid)
    }

    #[must_use]
    pub fn context(&self, pod: Pod, bound: bool) -> PodContext {
        let uid = pod.uid.as_str();
        PodContext {
            pod_dir: self.pods_dir().join(uid),
            run_dir: self.pod_run_dir(uid),
            log_dir: self.log_dir.join(format!("{}_{}_{uid}", pod.namespace, pod.name)),
            pod,
            bound,
        }
    }
}
