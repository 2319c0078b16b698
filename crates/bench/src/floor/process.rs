//! From a cgroup to an executed program.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result, bail};
use container_config::{ContainerConfig, Process};
use linux_sys::cgroup::{Entry, Group};
use linux_sys::namespace::{self, Namespaces};
use linux_sys::process::{Child, clone_child};
use linux_sys::rlimit::Limit;
use linux_sys::seccomp::Instruction;
use linux_sys::{credentials, exec, rlimit, seccomp, signal};
use rustix::fs::{Gid, Mode, Uid};
use rustix::process::Signal;

use super::file_system::{self, Root};
use super::sandbox::{Sandbox, limits};

/// Returns when the program has been executed.
pub(super) fn start(sandbox: &Sandbox, pod_dir: &Path, config: &ContainerConfig) -> Result<Child> {
    let dir = pod_dir.join("containers").join(config.name.as_str());
    let root = file_system::make(&dir, config)?;
    let group = sandbox.hierarchies.group(Path::new(&sandbox.cgroup).join(format!("{}-0", config.name)));
    group.create()?;
    group.limit(&limits(&config.resources))?;
    let (files, directory) = match group.entry()? {
        Entry::Files(files) => (files, None),
        Entry::Directory(directory) => (Vec::new(), Some(directory)),
    };
    // Execve closes the other end.
    let (executed, executing) = std::io::pipe()?;
    let child =
        clone_child(Namespaces::MOUNT | Namespaces::PID, directory.as_ref().map(AsFd::as_fd), || {
            let failed = run(config, &root, &group, &files);
            eprintln!("bench floor: {:#}", failed.err().unwrap_or_else(|| anyhow::anyhow!("no error")));
            // Any byte says that it failed.
            let _ = rustix::io::write(&executing, b"!");
            1
        })?;
    drop(executing);
    let mut said = Vec::new();
    File::from(OwnedFd::from(executed)).read_to_end(&mut said)?;
    if !said.is_empty() {
        bail!("the process ended");
    }
    Ok(child)
}

/// In the child, which has this program's memory for itself and no other thread.
fn run(config: &ContainerConfig, root: &Root, group: &Group, cgroups: &[OwnedFd]) -> Result<Infallible> {
    for cgroup in cgroups {
        rustix::io::write(cgroup, b"0").context("cannot join a cgroup")?;
    }
    signal::reset();
    rustix::process::umask(Mode::empty());
    if cgroups.is_empty() {
        namespace::unshare(Namespaces::CGROUP)?;
    }
    rustix::process::setsid()?;
    credentials::new_session_keyring()?;
    // Refused where this process may not lower it; then it stays, in the shim too.
    let _ = fs::write("/proc/self/oom_score_adj", config.process.oom_score_adj.to_string());
    root.mount(config, group, cgroups.is_empty())?;
    become_process(&config.process)?;
    execute(&config.process)
}

fn become_process(process: &Process) -> Result<()> {
    rustix::process::chdir(process.cwd.as_str())?;
    rustix::process::umask(Mode::from_raw_mode(process.umask));
    for limit in &process.rlimits {
        rlimit::set(limit.resource, Limit { soft: limit.soft, hard: limit.hard })?;
    }
    credentials::limit_bounding(process.capabilities.bounding)?;
    let groups: Vec<Gid> = process.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    rustix::thread::set_thread_groups(&groups)?;
    rustix::thread::set_thread_gid(Gid::from_raw(process.gid))?;
    rustix::thread::set_keep_capabilities(true)?;
    rustix::thread::set_thread_uid(Uid::from_raw(process.uid))?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if process.no_new_privileges {
        set_capabilities(process)?;
        rustix::thread::set_no_new_privs(true)?;
        return load_seccomp(process);
    }
    let permitted = credentials::permitted_capabilities()?;
    credentials::set_capabilities(permitted, permitted)?;
    load_seccomp(process)?;
    set_capabilities(process)
}

fn set_capabilities(process: &Process) -> Result<()> {
    let sets = process.capabilities;
    Ok(credentials::set_capabilities(sets.effective, sets.permitted)?)
}

fn load_seccomp(process: &Process) -> Result<()> {
    let instruction = |filter: &container_config::SockFilter| Instruction {
        code: filter.0,
        jt: filter.1,
        jf: filter.2,
        k: filter.3,
    };
    let program: Vec<Instruction> = process.seccomp.iter().map(instruction).collect();
    if !program.is_empty() {
        seccomp::load(&program).context("cannot load the seccomp filter")?;
    }
    Ok(())
}

fn execute(process: &Process) -> Result<Infallible> {
    const AFTER_STDERR: u32 = 3;
    let array = |texts: &[String]| -> Result<exec::CStringArray> {
        let texts = texts.iter().map(|text| CString::new(text.as_str())).collect::<Result<_, _>>()?;
        Ok(exec::CStringArray::new(texts))
    };
    let program = CString::new(process.args.first().context("no command")?.as_str())?;
    let (args, env) = (array(&process.args)?, array(&process.env)?);
    exec::close_on_exec_from(AFTER_STDERR)?;
    Err(std::io::Error::from(exec::execve(&program, &args, &env))).context("cannot execute the program")
}
