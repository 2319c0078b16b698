//! Carrying out the engine's requests.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::{fs, io};

use cri_log::LogName;
use lifecycle::ContainerRecord;
use podspec::{ContainerName, VolumeName};
use rustix::fs::{Mode, OFlags, open};
use shim_protocol::{ReplyBody, Request, RequestBody, VERSION, attempt_dir, attempt_record_path};

use crate::clock;
use crate::note;
use crate::supervisor::{ContainerKey, Live, Shim};
use crate::times;

impl Shim {
    pub(crate) fn carry_out(&mut self, Request { id, body, timed }: Request) {
        times::begin(timed);
        let reply = match body {
            RequestBody::CreateSandbox(_) => failed("this shim has a sandbox already"),
            RequestBody::Adopt { version } => self.adopt(version),
            RequestBody::StartContainer { attempt, config } => self.start_container(attempt, &config),
            RequestBody::SignalContainer { container, attempt } => self.signal(&(container, attempt)),
            RequestBody::KillContainer { container, attempt } => self.kill(&(container, attempt)),
            RequestBody::ResizeContainer { container, attempt, limits, of_pod } => {
                self.resize(&(container, attempt), &limits, &of_pod)
            }
            RequestBody::Exec(exec) => match self.begin_requested_exec(id, exec) {
                Ok(Some((started, descriptors))) => return self.reply_with(id, started, descriptors),
                Ok(None) => return,
                Err(refusal) => refusal.reply(),
            },
            RequestBody::Attach { container, stdin } => {
                let (attached, descriptors) = self.attach(&container, stdin);
                return self.reply_with(id, attached, descriptors);
            }
            RequestBody::OpenNetwork => match open_network() {
                Ok(netns) => return self.reply_with(id, ReplyBody::NetworkOpened, vec![netns]),
                Err(error) => failed(&format!("cannot open the pod's network: {error}")),
            },
            RequestBody::OpenVolume { volume } => match open_volume(&self.launch.pod_dir, &volume) {
                Ok(directory) => return self.reply_with(id, ReplyBody::VolumeOpened, vec![directory]),
                Err(error) => failed(&format!("cannot open volume {volume}: {error}")),
            },
            RequestBody::RemoveContainer { container, attempt } => self.forget(&(container, attempt)),
            RequestBody::StopSandbox => return self.begin_stop(Some(id)),
        };
        self.reply(id, reply);
    }

    /// The container's stop signal to its main process.
    pub(crate) fn signal(&mut self, key: &ContainerKey) -> ReplyBody {
        self.on_live(key, |live, record| {
            live.container.signal(live.stop_signal)?;
            record.stop_signal_sent = Some(clock::boot());
            Ok(())
        })
    }

    pub(crate) fn kill(&mut self, key: &ContainerKey) -> ReplyBody {
        self.on_live(key, |live, record| {
            live.container.kill_all()?;
            record.kill_sent = Some(clock::boot());
            Ok(())
        })
    }

    pub(crate) fn record_path(&self, (container, attempt): &ContainerKey) -> PathBuf {
        attempt_record_path(&self.attempt_dir(container, *attempt))
    }

    pub(crate) fn log_path(&self, (container, attempt): &ContainerKey) -> PathBuf {
        self.launch.log_dir.join(container.as_str()).join(LogName::current(*attempt).to_string())
    }

    pub(crate) fn attempt_dir(&self, container: &ContainerName, attempt: u32) -> PathBuf {
        attempt_dir(&self.launch.pod_dir, container, attempt)
    }

    /// Nothing to do for one that has exited.
    fn on_live(
        &mut self,
        key: &ContainerKey,
        act: impl FnOnce(&Live, &mut ContainerRecord) -> io::Result<()>,
    ) -> ReplyBody {
        let Some(supervised) = self.containers.get_mut(key) else { return unknown(key) };
        let Some(live) = &supervised.live else { return ReplyBody::Done };
        match act(live, &mut supervised.record) {
            Ok(()) => ReplyBody::Done,
            Err(error) => failed(&format!("cannot signal container {:?}: {error}", key.0.as_str())),
        }
    }

    fn adopt(&self, version: u32) -> ReplyBody {
        if version != VERSION {
            return failed(&format!(
                "it speaks protocol version {VERSION}, the engine {version}: use the version that started the pod, or `monopod reset`"
            ));
        }
        ReplyBody::Adopted { version: VERSION, snapshot: self.snapshot() }
    }

    /// The record goes at once, so that no later engine takes the attempt for one that is kept. The files
    /// are left to the engine: removing a large tree here would keep every container's output waiting.
    fn forget(&mut self, key: &ContainerKey) -> ReplyBody {
        match self.containers.get(key) {
            Some(supervised) if supervised.live.is_some() => {
                return failed(&format!("container {:?} is running", key.0.as_str()));
            }
            Some(_) => {
                if let Err(error) = fs::remove_file(self.record_path(key)) {
                    note::error("cannot remove a container's record", &error);
                }
                self.containers.remove(key);
            }
            None => {}
        }
        ReplyBody::Done
    }
}

/// That of this process.
pub(crate) fn open_network() -> io::Result<OwnedFd> {
    Ok(fs::File::open("/proc/self/ns/net")?.into())
}

fn open_volume(pod_dir: &Path, volume: &VolumeName) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(open(pod_dir.join("volumes").join(volume.as_str()), flags, Mode::empty())?)
}

pub(crate) fn failed(message: &str) -> ReplyBody {
    ReplyBody::Failed { message: message.to_owned() }
}

pub(crate) fn unknown((container, attempt): &ContainerKey) -> ReplyBody {
    failed(&format!("container {:?} has no attempt {attempt} in this sandbox", container.as_str()))
}
