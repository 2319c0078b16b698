//! Starting a container. Its record is on disk before anybody is told.

use std::fs;
use std::io;

use container_config::{ContainerConfig, PidNamespace, signal_name};
use lifecycle::{ContainerRecord, Exit, ProcessUser};
use rustix::rand::{GetRandomFlags, getrandom};
use shim_protocol::{RecordError, ReplyBody, write_record};

use crate::clock;
use crate::container::{Container, Output, ResizeError, SpawnError, SpawnPaths, spawn};
use crate::exit;
use crate::log_file::LogFile;
use crate::log_pump::LogPump;
use crate::note;
use crate::supervisor::{ContainerKey, Live, Shim, Supervised};
use crate::tap::Input;
use crate::times;

const ID_BYTES: usize = 32;

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("attempt {attempt} of the container was started before")]
    Repeated { attempt: u32 },
    #[error("the pod's sandbox is being stopped")]
    Stopping,
    #[error("cannot make the container's directory")]
    Directory(#[source] io::Error),
    #[error("cannot open the container's log")]
    Log(#[source] io::Error),
    #[error("cannot name the container")]
    Id(#[source] io::Error),
    #[error("cannot watch the container's output")]
    Watch(#[source] io::Error),
    #[error("cannot record the container")]
    Record(#[source] RecordError),
    // Without words of their own: these errors name their step.
    #[error(transparent)]
    Limits(ResizeError),
    #[error(transparent)]
    Spawn(SpawnError),
}

impl Shim {
    pub(crate) fn start_container(&mut self, attempt: u32, config: &ContainerConfig) -> ReplyBody {
        let key = (config.name.clone(), attempt);
        match self.try_start(&key, config) {
            Ok(record) => ReplyBody::Started(record),
            Err(StartError::Spawn(
                error @ (SpawnError::Execute { .. } | SpawnError::Start { .. } | SpawnError::Killed),
            )) => ReplyBody::StartFailed(self.record_start_error(&key, &error)),
            Err(error) => {
                // Never what belongs to an earlier start of the same attempt.
                if !matches!(error, StartError::Repeated { .. } | StartError::Stopping) {
                    self.remove_traces(&key);
                }
                let of_volumes = matches!(&error, StartError::Spawn(SpawnError::Volume { .. }));
                ReplyBody::CreateFailed { message: note::chain(&error), of_volumes }
            }
        }
    }

    fn try_start(
        &mut self,
        key: &ContainerKey,
        config: &ContainerConfig,
    ) -> Result<ContainerRecord, StartError> {
        let (name, attempt) = (&key.0, key.1);
        if self.containers.contains_key(key) {
            return Err(StartError::Repeated { attempt });
        }
        if self.sandbox.is_none() || self.stop.is_some() {
            return Err(StartError::Stopping);
        }
        self.widen_pod(&config.of_pod).map_err(StartError::Limits)?;
        times::done("limits of the pod");
        let Some(sandbox) = &self.sandbox else { return Err(StartError::Stopping) };
        let attempt_dir = self.attempt_dir(name, attempt);
        fs::create_dir_all(&attempt_dir).map_err(StartError::Directory)?;
        let log_dir = self.launch.log_dir.join(name.as_str());
        let log = LogFile::open(&log_dir, attempt, config.log_limits).map_err(StartError::Log)?;
        let id = random_id().map_err(StartError::Id)?;
        times::done("log");
        let paths = SpawnPaths { attempt_dir, attempt };
        let target = match &config.pid_namespace {
            PidNamespace::Of(target) => self.live(target).map(|live| &live.container),
            PidNamespace::Container | PidNamespace::Pod | PidNamespace::Host => None,
        };
        let spawned = spawn(sandbox, config, &paths, target).map_err(StartError::Spawn)?;
        let started = clock::now();
        for warning in &spawned.warnings {
            note::warning(&format!("container {name}: {warning}"));
        }
        let record = ContainerRecord {
            name: name.clone(),
            attempt,
            id,
            started,
            user: Some(user_of(config)),
            stop_signal: signal_name(config.stop_signal),
            stop_signal_sent: None,
            kill_sent: None,
            exit: None,
        };
        let live_key = self.next_key();
        match self.watch_and_record(key, live_key, log, spawned.output, &record) {
            Ok(pump) => {
                let input = match spawned.input {
                    None if config.stdin && config.tty => Input::Terminal,
                    None => Input::None,
                    Some(writer) if config.stdin_once => Input::FirstAttachment(writer),
                    Some(writer) => Input::Pipe(writer),
                };
                let live = Live {
                    key: live_key,
                    container: spawned.container,
                    pump,
                    input,
                    stop_signal: config.stop_signal,
                    message_policy: config.termination_message_policy,
                };
                self.containers.insert(key.clone(), Supervised { record: record.clone(), live: Some(live) });
                self.narrow_pod();
                times::done("limits of the pod");
                Ok(record)
            }
            Err(error) => {
                abandon(&spawned.container);
                Err(error)
            }
        }
    }

    fn watch_and_record(
        &self,
        key: &ContainerKey,
        live_key: u32,
        log: LogFile,
        output: Output,
        record: &ContainerRecord,
    ) -> Result<LogPump, StartError> {
        let (stdout, stderr) = match output {
            Output::Pipes { stdout, stderr } => (stdout, Some(stderr)),
            Output::Pty(master) => (master, None),
        };
        let pump = LogPump::new(log, stdout, stderr, live_key, &self.poller).map_err(StartError::Watch)?;
        times::done("watch output");
        write_record(&self.record_path(key), record).map_err(StartError::Record)?;
        times::done("record");
        Ok(pump)
    }

    /// The attempt counts, so it is recorded like one that ran.
    fn record_start_error(&mut self, key: &ContainerKey, error: &SpawnError) -> Exit {
        let at = clock::now();
        let exit = exit::start_error(note::chain(error), at);
        let record = ContainerRecord {
            name: key.0.clone(),
            attempt: key.1,
            id: random_id().unwrap_or_default(),
            started: at,
            user: None,
            stop_signal: String::new(),
            stop_signal_sent: None,
            kill_sent: None,
            exit: Some(exit.clone()),
        };
        if let Err(error) = write_record(&self.record_path(key), &record) {
            note::error("cannot record a container that did not start", &error);
        }
        self.containers.insert(key.clone(), Supervised { record, live: None });
        exit
    }

    /// No attempt is counted, so nothing of it stays.
    fn remove_traces(&self, key: &ContainerKey) {
        let (name, attempt) = key;
        let removed =
            [fs::remove_dir_all(self.attempt_dir(name, *attempt)), fs::remove_file(self.log_path(key))];
        for error in removed.into_iter().filter_map(Result::err) {
            if error.kind() != io::ErrorKind::NotFound {
                note::error("cannot remove what a failed start left", &error);
            }
        }
    }
}

/// Ends a process that is not going to be supervised.
fn abandon(container: &Container) {
    if let Err(error) = container.kill_all() {
        note::error("cannot kill a container that is given up", &error);
    }
    for error in container.remove_cgroup() {
        note::error("a container that is given up leaves something", &error);
    }
}

/// 64 hexadecimal digits, as other runtimes' ids have.
fn user_of(config: &ContainerConfig) -> ProcessUser {
    let process = &config.process;
    ProcessUser { uid: process.uid, gid: process.gid, groups: process.groups.clone() }
}

fn random_id() -> io::Result<String> {
    let mut bytes = [0; ID_BYTES];
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
