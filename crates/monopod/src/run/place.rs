//! Where one run has its API: a directory of its own below the run directory, named by the process.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind, IsTerminal};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use apiserver::server::Running;
use kubelet::Paths;
use linux_sys::remove_tree::remove_tree;
use network::{Ahead, Size};
use rustix::process::{Pid, test_kill_process};
use rustix::rand::{GetRandomFlags, getrandom};

use crate::cli;
use crate::engine::Plan;
use crate::network::PodNetworkPlan;
use crate::outcome;
use crate::serve::{SOCKET, write_admin_kubeconfig};
use crate::start_trace::StartTrace;

const RUNS: &str = "runs";
const CLAIMS: &str = "run-claims";

/// Removed with the value.
#[derive(Debug)]
pub(super) struct Place {
    dir: PathBuf,
    /// Where the directories of claims are made: what is in them ends with the run, as the claims do.
    claims: PathBuf,
    /// The name of its network. A run that had the same number may have left pods, and their network.
    network: String,
}

impl Place {
    pub(super) fn new(paths: &Paths) -> Result<Self> {
        let dir = paths.run_dir.join(RUNS).join(std::process::id().to_string());
        for (dir, mode) in [(&paths.data_dir, 0o755), (&paths.run_dir, 0o755), (&dir, 0o700)] {
            let made = DirBuilder::new().recursive(true).mode(mode).create(dir);
            made.with_context(|| format!("cannot create {}", dir.display()))?;
        }
        let claims = paths.data_dir.join(CLAIMS);
        clear(&paths.run_dir.join(RUNS));
        clear(&claims);
        let mut tag = [0; 4];
        getrandom(&mut tag, GetRandomFlags::empty()).context("cannot name the run's network")?;
        let network = format!("run-{}-{:08x}", std::process::id(), u32::from_ne_bytes(tag));
        Ok(Self { dir, claims: claims.join(std::process::id().to_string()), network })
    }

    /// `pods`: how many there are to be.
    pub(super) fn plan(&self, options: &cli::Run, pods: usize, trace: Option<StartTrace>) -> Result<Plan> {
        Ok(Plan {
            objects: store::Place::Memory,
            listen: options.listen,
            socket: self.dir.join(SOCKET),
            pki: None,
            claims: self.claims.clone(),
            bound: true,
            backoff: options.restarts.backoff(),
            eviction_hard: options.eviction_hard.clone(),
            images: options.images.thresholds()?,
            pod_processes_max: options.bounds.pod_max_pids,
            log_limits: options.logs.limits(),
            network: PodNetworkPlan {
                name: self.network.clone(),
                size: Size::Small,
                ahead: Ahead::Once(pods),
                options: options.network.clone(),
            },
            trace,
        })
    }

    /// Says how to reach the API, to people, or to whoever asked for a port.
    pub(super) fn tell(&self, server: &Running) -> Result<()> {
        let Some(address) = server.address else {
            if io::stderr().is_terminal() {
                let socket = self.dir.join(SOCKET);
                outcome::say(format_args!("the API is at {}; kubectl needs --listen", socket.display()));
            }
            return Ok(());
        };
        let kubeconfig = self.dir.join("kubeconfig");
        write_admin_kubeconfig(server, &kubeconfig)?;
        outcome::say(format_args!(
            "the API is at https://{address}: kubectl --kubeconfig {} get pods",
            kubeconfig.display()
        ));
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for error in remove_tree(&self.dir).into_iter().chain(remove_tree(&self.claims)) {
            tracing::warn!("something of this run is left: {error}");
        }
        if let Some(claims) = self.claims.parent() {
            let _ = fs::remove_dir(claims);
        }
        // The last one removes their directory.
        if let Some(runs) = self.dir.parent() {
            let _ = fs::remove_dir(runs);
        }
    }
}

/// Removes what runs that were killed have left in a directory of directories that are named by process.
fn clear(runs: &Path) {
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        // One that was given to another process stays until that has ended, too.
        let lives = pid.is_some_and(|pid| {
            test_kill_process(pid).is_ok_and(|()| true)
                || test_kill_process(pid)
                    .is_err_and(|error| io::Error::from(error).kind() == ErrorKind::PermissionDenied)
        });
        if !lives {
            for error in remove_tree(&entry.path()) {
                tracing::warn!("something of an earlier run is left: {error}");
            }
        }
    }
}
