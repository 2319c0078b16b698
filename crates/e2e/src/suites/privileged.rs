//! Containers that may do what the machine's administrator may, and pods that see what is the host's.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::bed::Bed;
use crate::pod::Pod;
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![all_rights_and_devices, namespaces_of_the_host];

/// Beside a container that has none of it.
fn all_rights_and_devices(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let script = "field() { grep \"^$1:\" /proc/self/status | cut -f2; }
        mark caps $(field CapEff); mark seccomp $(field Seccomp)
        find /dev -mindepth 1 -maxdepth 1 -type c | sort > /trace/$NAME.devices
        mknod /tmp/kmsg c 1 11; (: < /tmp/kmsg) 2> /dev/null && mark opened || mark closed
        mkdir /tmp/m; mount -t tmpfs none /tmp/m 2> /dev/null && mark mounted || mark refused
        grep -q ' /proc/sys ' /proc/self/mountinfo && mark masked || mark bare
        while read -r _ _ _ _ at how _; do [ $at = /sys ] && mark sys ${how%%,*}; done < /proc/self/mountinfo
        live";
    let privileged = json!({"securityContext": {"privileged": true}});
    pods.create(&Pod::new("mixed").app_with("main", script, &privileged).app("plain", script))?;
    pods.wait_ready("mixed")?;
    pods.wait_mark("mixed", "main start")?;
    let history = pods.wait_mark("mixed", "plain start")?;
    let own = fs::read_to_string("/proc/self/status")?;
    let own = own.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).context("no CapBnd")?;
    for line in [&format!("main caps {own}"), "main seccomp 0", "main mounted", "main bare", "main sys rw"] {
        history.expect_count(line, 1)?;
    }
    for line in [
        "plain caps 00000000a80425fb",
        "plain seccomp 2",
        "plain refused",
        "plain masked",
        "plain sys ro",
        "plain closed",
    ] {
        history.expect_count(line, 1)?;
    }
    if fs::File::open("/dev/kmsg").is_ok() {
        history.expect_count("main opened", 1)?;
    }
    let devices = |name: &str| fs::read_to_string(bed.dir().join(format!("trace/{name}.devices")));
    let (all, few) = (devices("main")?, devices("plain")?);
    for entry in fs::read_dir("/dev")?.flatten() {
        let path = entry.path().display().to_string();
        // Its terminals are its own.
        if entry.file_type()?.is_char_device() && !["/dev/ptmx", "/dev/console"].contains(&path.as_str()) {
            ensure!(all.lines().any(|line| line == path), "the privileged container has no {path}");
        }
    }
    ensure!(few.lines().count() < 10, "an ordinary container has {few}");
    pods.finish()
}

/// Processes and queues of the host, and nothing of it without being asked for.
fn namespaces_of_the_host(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let this = std::process::id();
    let script = format!(
        "for ns in pid ipc net uts; do mark $ns $(readlink /proc/self/ns/$ns); done
         [ \"$(tr '\\0' ' ' < /proc/{this}/cmdline | cut -c1-200 | grep -c e2e)\" = 1 ] && mark sees || mark blind; live"
    );
    for (name, field) in [("pids", "hostPID"), ("queues", "hostIPC"), ("plain", "hostNetwork")] {
        let spec = json!({ field: name != "plain" });
        pods.create(&Pod::new(name).spec(&spec).app("main", &script).app("other", &script))?;
    }
    for (name, of_host, sees) in
        [("pids", &["pid"][..], "sees"), ("queues", &["ipc"], "blind"), ("plain", &[], "blind")]
    {
        for container in ["main", "other"] {
            let history = pods.wait_mark(name, &format!("{container} start"))?;
            history.expect_count(&format!("{container} {sees}"), 1)?;
            for ns in ["pid", "ipc", "net", "uts"] {
                let own = fs::read_link(format!("/proc/self/ns/{ns}"))?;
                let same = history.count(&format!("{container} {ns} {}", own.display())) == 1;
                ensure!(same == of_host.contains(&ns), "{name}: {ns} of {container}\n{history}");
            }
        }
        pods.delete(name, None)?;
    }
    for name in ["pids", "queues", "plain"] {
        pods.wait_gone(name)?;
        let history = pods.history(name);
        history.expect_count("main stop", 1)?;
        history.expect_count("other stop", 1)?;
    }
    pods.finish()
}
