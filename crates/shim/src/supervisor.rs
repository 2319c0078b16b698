//! The shim's state and its loop.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use cri_log::Stream;
use lifecycle::{ContainerRecord, Exit, Observation, SandboxSnapshot};
use linux_sys::lock::Lock;
use linux_sys::process::{ExitStatus, reap_any};
use linux_sys::signal::SignalFd;
use podspec::{BootTime, ContainerName, TerminationMessagePolicy};
use shim_protocol::{Message, Reply, ReplyBody, SandboxLaunch};

use crate::connection::{Connection, ConnectionError};
use crate::container::{Container, Sandbox};
use crate::exec::RunningExec;
use crate::footprint;
use crate::log_pump::{LogPump, Scratch, TURN_BYTES_MAX};
use crate::note;
use crate::orphan::Orphan;
use crate::poll::{Poller, Source};
use crate::stop::Stop;
use crate::tap::{Input, LingeringTap};
use crate::times;

/// A container's name and attempt.
pub(crate) type ContainerKey = (ContainerName, u32);

#[derive(Debug)]
pub(crate) struct Shim {
    pub(crate) launch: SandboxLaunch,
    /// `None` once it is destroyed.
    pub(crate) sandbox: Option<Sandbox>,
    pub(crate) poller: Poller,
    pub(crate) containers: BTreeMap<ContainerKey, Supervised>,
    pub(crate) execs: BTreeMap<u32, RunningExec>,
    pub(crate) lingering: Vec<LingeringTap>,
    pub(crate) engine: Option<Engine>,
    pub(crate) stop: Option<Stop>,
    pub(crate) orphan: Option<Box<Orphan>>,
    /// Set when there is nothing left to supervise.
    pub(crate) over: bool,
    pub(crate) scratch: Scratch,
    /// When memory is to be given back.
    pub(crate) release_at: Option<BootTime>,
    pub(crate) listener: Option<UnixListener>,
    signals: SignalFd,
    last_key: u32,
    _alive: Lock,
}

/// The engine that speaks to this shim.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) key: u32,
    pub(crate) connection: Connection,
}

/// One attempt, from its start until the engine has it removed.
#[derive(Debug)]
pub(crate) struct Supervised {
    pub(crate) record: ContainerRecord,
    /// `None` once it has exited.
    pub(crate) live: Option<Live>,
}

#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) key: u32,
    pub(crate) container: Container,
    pub(crate) pump: LogPump,
    pub(crate) input: Input,
    pub(crate) stop_signal: i32,
    pub(crate) message_policy: TerminationMessagePolicy,
}

/// What a new supervisor takes over.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) launch: SandboxLaunch,
    pub(crate) sandbox: Sandbox,
    pub(crate) listener: UnixListener,
    pub(crate) signals: SignalFd,
    pub(crate) alive: Lock,
}

impl Shim {
    pub(crate) fn new(parts: Parts, connection: Connection) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(&parts.signals, Source::Signals)?;
        parts.listener.set_nonblocking(true)?;
        poller.add(&parts.listener, Source::Listener)?;
        let mut shim = Self {
            launch: parts.launch,
            sandbox: Some(parts.sandbox),
            poller,
            containers: BTreeMap::new(),
            execs: BTreeMap::new(),
            lingering: Vec::new(),
            engine: None,
            stop: None,
            orphan: None,
            over: false,
            scratch: Scratch::default(),
            release_at: Some(footprint::release_time()),
            listener: Some(parts.listener),
            signals: parts.signals,
            last_key: 0,
            _alive: parts.alive,
        };
        shim.take_engine(connection)?;
        Ok(shim)
    }

    /// Serves until the sandbox is stopped.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        loop {
            self.expire_execs();
            self.expire_taps();
            self.settle();
            self.release_memory();
            if self.over {
                return Ok(());
            }
            for source in self.poller.wait(self.next_deadline())? {
                self.serve(source)?;
            }
        }
    }

    /// Draws every conclusion from what has happened so far, so that only events are left to wait for.
    fn settle(&mut self) {
        self.advance_orphan();
        // An orphaned pod goes on where its sandbox has ended.
        while self.advance_stop() {
            self.advance_orphan();
        }
    }

    /// The running attempt of a container.
    pub(crate) fn live(&self, container: &ContainerName) -> Option<&Live> {
        let mut supervised = self.containers.iter().filter(|((name, _), _)| name == container);
        supervised.find_map(|(_, supervised)| supervised.live.as_ref())
    }

    pub(crate) fn next_key(&mut self) -> u32 {
        self.last_key += 1;
        self.last_key
    }

    pub(crate) fn snapshot(&self) -> SandboxSnapshot {
        SandboxSnapshot {
            attempt: self.launch.attempt,
            ips: self.launch.addresses.clone(),
            containers: self.containers.values().map(|supervised| supervised.record.clone()).collect(),
        }
    }

    /// Tells whoever decides for the pod: its engine, or this process when there is none.
    pub(crate) fn report_exit(&mut self, (container, attempt): ContainerKey, exit: Exit) {
        if let Some(orphan) = &mut self.orphan {
            orphan.take_in(Observation::ContainerExited { container, attempt, exit });
        } else {
            self.send(&Message::ContainerExited { container, attempt, exit });
        }
    }

    pub(crate) fn report_lost_output(&mut self, (container, attempt): ContainerKey, loss: &io::Error) {
        self.send(&Message::OutputLost { container, attempt, message: note::chain(loss) });
    }

    pub(crate) fn reply(&mut self, id: u64, body: ReplyBody) {
        self.reply_with(id, body, Vec::new());
    }

    /// `descriptors` are those that the body says come with it.
    pub(crate) fn reply_with(&mut self, id: u64, body: ReplyBody, descriptors: Vec<OwnedFd>) {
        self.send_with(&Message::Reply(Reply { id, body, times: times::take() }), descriptors);
    }

    /// The new engine takes the place of the one before.
    pub(crate) fn take_engine(&mut self, connection: Connection) -> io::Result<()> {
        connection.set_nonblocking(true)?;
        let key = self.next_key();
        self.poller.add(&connection, Source::Connection(key))?;
        self.engine = Some(Engine { key, connection });
        self.kill_execs_of_lost_engines();
        Ok(())
    }

    fn serve(&mut self, source: Source) -> io::Result<()> {
        if !matches!(source, Source::Log(..) | Source::Tap(_) | Source::Deadline) {
            self.release_later();
        }
        match source {
            Source::Signals => self.receive_signals()?,
            Source::Deadline => {}
            Source::Listener => self.accept(),
            Source::Connection(key) => self.serve_engine(key),
            Source::Log(key, stream) => self.pump_log(key, stream),
            Source::ExecOutput(key) => self.read_exec_output(key),
            Source::Tap(key) => self.serve_tap(key),
        }
        Ok(())
    }

    /// All but SIGCHLD mean somebody else: whoever shuts the machine down sends SIGTERM to the engine too,
    /// which stops its pods in order through their shims.
    fn receive_signals(&mut self) -> io::Result<()> {
        while self.signals.next_signal()?.is_some() {}
        while let Some((pid, status)) = reap_any()? {
            self.process_ended(pid, status);
        }
        Ok(())
    }

    fn process_ended(&mut self, pid: i32, status: ExitStatus) {
        let is_main = |supervised: &Supervised| {
            supervised.live.as_ref().is_some_and(|live| live.container.pid() == pid)
        };
        let container = self.containers.iter().find(|(_, supervised)| is_main(supervised));
        let exec = self.execs.iter().find(|(_, exec)| exec.pid == pid);
        if let Some((key, _)) = container {
            self.container_ended(&key.clone(), status);
        } else if let Some((&key, _)) = exec {
            self.exec_ended(key, status);
        } else if self.sandbox.as_ref().and_then(Sandbox::init_pid) == Some(pid) {
            // The kernel has killed all processes of the pod with it, and no container can start again.
            note::warning("the init of the pod's process namespace is gone, and so is the sandbox");
            self.begin_stop(None);
        }
    }

    fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        let taken = match listener.accept() {
            Ok((socket, _)) => self.take_engine(Connection::new(socket)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = taken {
            note::error("cannot take a connection", &error);
        }
    }

    fn serve_engine(&mut self, key: u32) {
        let Some(engine) = self.engine.as_mut().filter(|engine| engine.key == key) else { return };
        if let Err(error) = engine.connection.receive().and_then(|()| engine.connection.flush()) {
            return self.lose_engine(&error);
        }
        loop {
            // A request may have ended the connection it came by.
            let Some(engine) = self.engine.as_mut().filter(|engine| engine.key == key) else { return };
            match engine.connection.next_request() {
                Ok(Some(request)) => self.carry_out(request),
                Ok(None) => return self.watch_output(),
                Err(error) => return self.lose_engine(&error),
            }
        }
    }

    pub(crate) fn send(&mut self, message: &Message) {
        self.send_with(message, Vec::new());
    }

    fn send_with(&mut self, message: &Message, descriptors: Vec<OwnedFd>) {
        let Some(engine) = &mut self.engine else { return };
        match engine.connection.send(message, descriptors) {
            Ok(()) => self.watch_output(),
            Err(error) => self.lose_engine(&error),
        }
    }

    fn watch_output(&self) {
        let Some(Engine { key, connection }) = &self.engine else { return };
        let wanted = connection.has_output();
        if let Err(error) = self.poller.want_output(connection, Source::Connection(*key), wanted) {
            note::error("cannot wait for the engine's connection", &error);
        }
    }

    fn lose_engine(&mut self, error: &ConnectionError) {
        if !matches!(error, ConnectionError::Closed) {
            note::error("the connection to the engine is given up", error);
        }
        self.engine = None;
        self.kill_execs_of_lost_engines();
        if self.launch.bound {
            self.become_orphan();
        }
    }

    fn pump_log(&mut self, key: u32, stream: Stream) {
        let mut containers = self.containers.iter_mut();
        let found = containers.find_map(|(container, supervised)| {
            let live = supervised.live.as_mut().filter(|live| live.key == key)?;
            Some((container, live))
        });
        let Some((container, live)) = found else { return };
        live.pump.pump(stream, TURN_BYTES_MAX, &mut self.scratch, &self.poller);
        live.pump.watch_taps(&self.poller);
        if let Some(loss) = live.pump.take_loss() {
            let container = container.clone();
            self.report_lost_output(container, &loss);
        }
        if self.scratch.is_large() {
            self.release_later();
        }
    }

    fn next_deadline(&self) -> Option<BootTime> {
        let execs = self.execs.values().filter_map(|exec| exec.deadline);
        let stop = self.stop.as_ref().map(|stop| stop.deadline);
        let orphan = self.orphan.as_ref().and_then(|orphan| orphan.wake_at());
        let taps = self.lingering.iter().map(LingeringTap::until);
        execs.chain(stop).chain(orphan).chain(taps).chain(self.release_at).min()
    }
}
