//! A container that may trace sees every process of its pid namespace from the inside: none of them may be
//! more than the containers are, not even while it is being set up.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

use container_config::{ContainerConfig, PidNamespace};
use linux_sys::process::wait;
use shim::container::Spawned;

use crate::Case;
use crate::bed::{Bed, DEFAULT_CAPABILITIES, NONE, bind, finish, read_line};

pub(crate) const CASES: &[Case] = &[
    ("a_tracer_finds_nothing_in_an_exec", a_tracer_finds_nothing_in_an_exec),
    ("a_tracer_finds_nothing_in_a_start", a_tracer_finds_nothing_in_a_start),
];

/// Makes this program the tracer, and names what it must not find.
pub(crate) const SECRET_VARIABLE: &str = "MONOPOD_CONTAINER_SECRET";
const SYS_PTRACE: u64 = 1 << 19;
const CAPABILITIES: u64 = DEFAULT_CAPABILITIES | SYS_PTRACE;
/// Each was enough by itself when there was something to find.
const EXECS: usize = 30;
const STARTS: usize = 15;

/// In the container: looks at the other processes until it is killed, or finds something.
pub(crate) fn look(secret: &str) -> ExitCode {
    println!("ready");
    let this = std::process::id().to_string();
    loop {
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let name = process.file_name().to_string_lossy().into_owned();
            if name == this || !name.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            if let Some(found) = find(&process.path(), secret) {
                println!("{found}");
                return ExitCode::FAILURE;
            }
        }
    }
}

fn find(process: &Path, secret: &str) -> Option<String> {
    if process.join("root").join(secret.trim_start_matches('/')).exists() {
        return Some("a root outside the container".to_owned());
    }
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let held = held.and_then(|held| u64::from_str_radix(held.trim(), 16).ok()).unwrap_or(0);
    if held & !CAPABILITIES != 0 {
        return Some(format!("capabilities {held:x}"));
    }
    let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let mut directories =
        descriptors.filter(|descriptor| fs::metadata(descriptor.path()).is_ok_and(|to| to.is_dir()));
    directories
        .next()
        .map(|descriptor| format!("a directory that is open: {:?}", fs::read_link(descriptor.path())))
}

fn tracer(bed: &Bed) -> ContainerConfig {
    let secret = bed.directory.join("secret");
    fs::write(&secret, "").unwrap();
    let this = std::env::current_exe().unwrap();
    let mut config = bed.config(&["/tracer"]);
    config.mounts.push(bind(&this, "/tracer", NONE));
    config.process.env.push(format!("{SECRET_VARIABLE}={}", secret.display()));
    config.process.capabilities.bounding = CAPABILITIES;
    config.process.capabilities.permitted = CAPABILITIES;
    config.process.capabilities.effective = CAPABILITIES;
    config
}

fn found_nothing(tracer: Spawned) {
    let running = fs::read_to_string(format!("/proc/{}/stat", tracer.container.pid())).unwrap();
    tracer.container.kill_all().unwrap();
    let finished = finish(tracer);
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("", ""));
    assert!(!running.contains(" Z "), "{running}");
}

fn a_tracer_finds_nothing_in_an_exec(bed: &Bed) {
    bed.enter();
    let tracer = bed.spawn(&tracer(bed)).unwrap();
    assert_eq!(read_line(&tracer.output), "ready");
    for _ in 0..EXECS {
        // Refused when the tracer has found something and ended.
        let Ok(executed) = bed.exec(&tracer.container, &["true"]) else { break };
        let _ = wait(executed.pidfd.as_fd()).unwrap();
    }
    found_nothing(tracer);
}

fn a_tracer_finds_nothing_in_a_start(bed: &Bed) {
    let mut sandbox = bed.sandbox_config();
    sandbox.shared_proc = Some(bed.directory.join("proc"));
    bed.enter_with(&sandbox);
    let mut config = tracer(bed);
    config.pid_namespace = PidNamespace::Pod;
    let tracer = bed.spawn(&config).unwrap();
    assert_eq!(read_line(&tracer.output), "ready");
    for _ in 0..STARTS {
        let mut config = bed.shell("true");
        config.pid_namespace = PidNamespace::Pod;
        bed.run(&config).ok();
    }
    found_nothing(tracer);
}
