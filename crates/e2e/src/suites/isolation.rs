//! What a container may not do, and what it may not see.

use anyhow::Result;
use serde_json::json;

use crate::bed::Bed;
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    host_files_are_hidden,
    host_programs_are_read_only,
    writable_layer_is_private,
    read_only_root,
    default_capabilities,
    dropped_capabilities,
    seccomp_is_on,
    kernel_files_are_masked,
    devices_are_closed,
    no_foreign_descriptors,
];

fn host_files_are_hidden(bed: &Bed) -> Result<()> {
    require_root()?;
    let secret = bed.file("secret", "x")?;
    let script = format!(
        "[ -e {} ] && say sees-tmp; find /root /home /srv /opt -mindepth 1 | grep . && say sees-files
         [ -e /etc/shadow ] && say sees-shadow; [ -e /etc/hosts ] && say has-hosts; say end",
        secret.display()
    );
    bed.run_pod(&Pod::new("hidden").app("main", &script))?.expect_code(0)?;
    for seen in ["main sees-tmp", "main sees-files", "main sees-shadow"] {
        bed.trace.expect_absent(seen)?;
    }
    bed.trace.expect_order(&["main has-hosts", "main end"])
}

/// A write to /usr may succeed, but only in the container's own layer.
fn host_programs_are_read_only(bed: &Bed) -> Result<()> {
    require_root()?;
    let name = format!("monopod-e2e-{}", std::process::id());
    let script = format!("echo x > /usr/bin/{name} && say wrote || say refused");
    bed.run_pod(&Pod::new("usr").app("main", &script))?.expect_code(0)?;
    anyhow::ensure!(
        !std::path::Path::new("/usr/bin").join(name).exists(),
        "a container wrote to the host's /usr"
    );
    Ok(())
}

fn writable_layer_is_private(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("layer")
        .init("writer", "echo x > /root-file; touch /tmp/tmp-file; say wrote")
        .app("main", "[ -e /root-file ] && say leaked; [ -e /tmp/tmp-file ] && say leaked; say end");
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_absent("main leaked")?;
    bed.trace.expect_order(&["writer wrote", "main end"])
}

fn read_only_root(bed: &Bed) -> Result<()> {
    require_root()?;
    let fields = json!({"securityContext": {"readOnlyRootFilesystem": true}});
    let pod = Pod::new("read-only-root").app_with(
        "main",
        "touch /x 2>/dev/null || say refused; echo still > /dev/termination-log && say message; echo x > /dev/null && say dev",
        &fields,
    );
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["main refused", "main message", "main dev"])
}

/// The fourteen that container engines give; none of them lets it mount or load modules.
fn default_capabilities(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("caps").app("main", "say $(grep CapEff /proc/self/status | cut -f2)");
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["main 00000000a80425fb"])
}

fn dropped_capabilities(bed: &Bed) -> Result<()> {
    require_root()?;
    let fields = json!({"securityContext": {
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}, "allowPrivilegeEscalation": false}});
    let script =
        "say $(grep CapEff /proc/self/status | cut -f2) $(grep NoNewPrivs /proc/self/status | cut -f2)";
    bed.run_pod(&Pod::new("drop").app_with("main", script, &fields))?.expect_code(0)?;
    bed.trace.expect_order(&["main 0000000000000400 1"])
}

fn seccomp_is_on(bed: &Bed) -> Result<()> {
    require_root()?;
    let fields = json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}});
    let script = "say $(grep Seccomp: /proc/self/status | cut -f2)";
    let pod = Pod::new("seccomp").app("main", script).app_with("open", script, &fields);
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["main 2"])?;
    bed.trace.expect_order(&["open 0"])
}

fn kernel_files_are_masked(bed: &Bed) -> Result<()> {
    require_root()?;
    let script = "head -c1 /proc/kcore 2>/dev/null | grep -q . && say kcore
        echo 0 2>/dev/null > /proc/sys/kernel/randomize_va_space && say sysctl
        mkdir /sys/x 2>/dev/null && say sysfs; say end";
    bed.run_pod(&Pod::new("masked").app("main", script))?.expect_code(0)?;
    for seen in ["main kcore", "main sysctl", "main sysfs"] {
        bed.trace.expect_absent(seen)?;
    }
    bed.trace.expect_order(&["main end"])
}

/// A container may make a node, since CAP_MKNOD is a default; its cgroup keeps it from opening it.
fn devices_are_closed(bed: &Bed) -> Result<()> {
    require_root()?;
    let script = "for node in null zero full random urandom tty; do [ -c /dev/$node ] || say no $node; done
        echo x > /dev/null && mknod /tmp/kmsg c 1 11 && say made
        head -c 1 /tmp/kmsg > /dev/null 2>&1 && say opened; say end";
    bed.run_pod(&Pod::new("devices").app("main", script))?.expect_code(0)?;
    bed.trace.expect_order(&["main made", "main end"])?;
    bed.trace.expect_absent("main opened")
}

fn no_foreign_descriptors(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("fds").app_with("main", "", &json!({"command": ["ls", "/proc/self/fd"]}));
    let finished = bed.run_pod(&pod)?;
    finished.expect_code(0)?;
    // 0, 1, 2 and the directory that ls itself reads.
    for fd in 4..40 {
        let leaked = finished
            .stdout
            .lines()
            .any(|line| line.split_whitespace().last() == Some(&fd.to_string()) && line.contains("main"));
        anyhow::ensure!(!leaked, "descriptor {fd} came from the engine");
    }
    Ok(())
}
