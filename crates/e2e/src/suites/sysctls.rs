//! Parameters of the kernel that are a pod's own.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::pod::{Pod, both};
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    safe_ones_hold_in_all_containers,
    a_port_below_1024,
    others_are_forbidden,
    values_that_the_kernel_refuses
];

fn with(sysctls: &[(&str, &str)]) -> Value {
    let list: Vec<Value> =
        sysctls.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({"securityContext": {"sysctls": list}})
}

fn of_host(name: &str) -> Result<String> {
    Ok(fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/")))?.trim().to_owned())
}

fn safe_ones_hold_in_all_containers(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let wanted = [
        ("kernel.shm_rmid_forced", "1"),
        ("net.ipv4.tcp_keepalive_time", "301"),
        ("net.ipv4.ip_local_port_range", "20000 20999"),
    ];
    let names = wanted.map(|(name, _)| name);
    let before: Vec<String> = names.iter().map(|name| of_host(name)).collect::<Result<_>>()?;
    let files = names.map(|name| format!("/proc/sys/{}", name.replace('.', "/"))).join(" ");
    let script = format!("mark $(cat {files})");
    pods.create(
        &Pod::new("set")
            .spec(&with(&wanted))
            .init("first", &script)
            .sidecar("side", &format!("{script}; live"))
            .app("main", &format!("{script}; live"))
            .app("other", &format!("{script}; live")),
    )?;
    pods.create(&Pod::new("unset").app("main", &format!("{script}; live")))?;
    for name in ["first", "side", "main", "other"] {
        pods.wait_mark("set", &format!("{name} 1 301 20000 20999"))?;
    }
    pods.wait_ready("set")?;
    pods.wait_ready("unset")?;
    let found = pods.history("unset");
    ensure!(!found.0.iter().any(|mark| mark.line.contains("301")), "{found}");
    let after: Vec<String> = names.iter().map(|name| of_host(name)).collect::<Result<_>>()?;
    ensure!(before == after, "the host had {before:?}, and has {after:?}");
    pods.finish()
}

/// What a parameter is for: a user without any right serves port 80.
fn a_port_below_1024(bed: &Bed) -> Result<()> {
    require_root()?;
    if !std::path::Path::new("/usr/bin/perl").exists() {
        return crate::outcome::skip("needs /usr/bin/perl");
    }
    let pods = Pods::start(bed)?;
    let bind = "perl -MIO::Socket::INET -e 'exit(IO::Socket::INET->new(LocalAddr => \"127.0.0.1:80\", Listen => 1) ? 0 : 1)'";
    let script = format!("{bind} && mark bound || mark refused");
    let user = json!({"securityContext": {"runAsUser": 1000, "capabilities": {"drop": ["ALL"]}}});
    let open = with(&[("net.ipv4.ip_unprivileged_port_start", "80")]);
    pods.create(&Pod::new("open").spec(&open).app_with("main", &script, &user))?;
    let closed = with(&[("net.ipv4.ip_unprivileged_port_start", "81")]);
    pods.create(&Pod::new("closed").spec(&closed).app_with("main", &script, &user))?;
    pods.wait_mark("open", "main bound")?;
    pods.wait_mark("closed", "main refused")?;
    pods.finish()
}

/// The pod fails with its reason, and nothing of it is begun.
fn others_are_forbidden(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let before = of_host("kernel.msgmax")?;
    for (name, sysctl) in
        [("ipc", "kernel.msgmax"), ("node", "vm.swappiness"), ("net", "net.ipv4.ip_forward")]
    {
        let spec = both(
            &with(&[("net.ipv4.tcp_fin_timeout", "30"), (sysctl, "1")]),
            &json!({"restartPolicy": "Always"}),
        );
        pods.create(&Pod::new(name).spec(&spec).app("main", "live"))?;
        let status = pods.wait_phase(name, "Failed")?;
        let why = format!("forbidden sysctl: \"{sysctl}\" not allowlisted");
        ensure!(status["reason"] == "SysctlForbidden", "{status:#}");
        ensure!(status["message"] == format!("Pod was rejected: {why}"), "{status:#}");
        ensure!(status["containerStatuses"].is_null(), "{status:#}");
        pods.wait_event(name, &format!("SysctlForbidden {why}"))?;
        pods.history(name).expect_absent("main start")?;
    }
    ensure!(of_host("kernel.msgmax")? == before);
    pods.finish()
}

fn values_that_the_kernel_refuses(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    pods.create(&Pod::new("odd").spec(&with(&[("net.ipv4.tcp_fin_timeout", "soon")])).app("main", "live"))?;
    let event = pods.wait_event("odd", "FailedCreatePodSandBox ")?;
    ensure!(event.contains("net.ipv4.tcp_fin_timeout") && event.contains("soon"), "{event}");
    pods.history("odd").expect_absent("main start")?;
    pods.finish()
}
