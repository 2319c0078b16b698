//! The containers of a pod share one network namespace, and nothing of the host's.

use anyhow::Result;
use serde_json::json;

use crate::bed::Bed;
use crate::outcome::skip;
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    localhost_is_shared,
    two_on_one_port_conflict,
    pods_do_not_share_ports,
    same_host_name_and_ipc,
    host_network_is_the_hosts
];

const LISTEN: &str = "perl -MIO::Socket::INET -e '
    $s = IO::Socket::INET->new(LocalAddr => \"127.0.0.1:8080\", Listen => 5) or do { print STDERR \"bind: $!\\n\"; exit 98 };
    open(F, \">>\", \"/trace/log\"); syswrite(F, \"$ENV{NAME} listening\\n\");
    $c = $s->accept; print $c \"hello\\n\"; close $c'";
const CONNECT: &str = "perl -MIO::Socket::INET -e '
    $s = IO::Socket::INET->new(\"127.0.0.1:8080\") or exit 1; $l = <$s>; open(F, \">>\", \"/trace/log\");
    syswrite(F, \"$ENV{NAME} got $l\")'";

fn require_perl() -> Result<()> {
    require_root()?;
    if std::path::Path::new("/usr/bin/perl").exists() { Ok(()) } else { skip("needs /usr/bin/perl") }
}

fn localhost_is_shared(bed: &Bed) -> Result<()> {
    require_perl()?;
    let client = format!("until grep -q '^server listening' /trace/log; do sleep 0.05; done; {CONNECT}");
    let pod = Pod::new("localhost").app("server", LISTEN).app("client", &client);
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["server listening", "client got hello"])
}

/// As in Kubernetes: the second one's bind fails with EADDRINUSE, and its container with it.
fn two_on_one_port_conflict(bed: &Bed) -> Result<()> {
    require_perl()?;
    let second = format!(
        "until grep -q '^first listening' /trace/log; do sleep 0.05; done; {LISTEN}; code=$?; {CONNECT}; exit $code"
    );
    let pod = Pod::new("conflict").app("first", LISTEN).app("second", &second);
    let finished = bed.run_pod(&pod)?;
    finished
        .expect_code(1)?
        .expect_line(&["second", "Address already in use"])?
        .expect_line(&["second", "98"])?;
    bed.trace.expect_absent("second listening")
}

fn pods_do_not_share_ports(bed: &Bed) -> Result<()> {
    require_perl()?;
    let script = format!(
        "{LISTEN} & until grep -q '^one listening' /trace/log && grep -q '^two listening' /trace/log; do sleep 0.05; done; {CONNECT}; wait"
    );
    let one = bed.manifest(&Pod::new("pod-one").app("one", &script))?;
    let two = bed.manifest(&Pod::new("pod-two").app("two", &script))?;
    bed.finish(bed.run_command().arg(one).arg(two))?.expect_code(0)?;
    bed.trace.expect_order(&["one got hello"])?;
    bed.trace.expect_order(&["two got hello"])
}

/// The pod's name is everybody's host name; network, IPC and UTS are shared, PID and mounts are not.
fn same_host_name_and_ipc(bed: &Bed) -> Result<()> {
    require_root()?;
    // Both live until both have looked: a namespace's number is used again.
    let script = "say host $(cat /proc/sys/kernel/hostname)
        for ns in net ipc uts pid mnt; do echo \"$ns $(readlink /proc/self/ns/$ns)\" >> /trace/$NAME; done
        say looked; until [ $(grep -c looked /trace/log) -eq 2 ]; do sleep 0.05; done";
    let pod = Pod::new("same").app("a", script).app("b", script);
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["a host same"])?;
    bed.trace.expect_order(&["b host same"])?;
    let read = |name: &str| std::fs::read_to_string(bed.dir().join("trace").join(name));
    let (a, b) = (read("a")?, read("b")?);
    for (left, right) in a.lines().zip(b.lines()) {
        let shared = ["net", "ipc", "uts"].iter().any(|ns| left.starts_with(ns));
        anyhow::ensure!((left == right) == shared, "a has {left}, b has {right}");
    }
    Ok(())
}

fn host_network_is_the_hosts(bed: &Bed) -> Result<()> {
    require_root()?;
    let script = "readlink /proc/self/ns/net > /trace/$NAME
        say $(cat /proc/sys/kernel/hostname) $(cat /etc/hostname) $HOSTNAME";
    bed.run_pod(&Pod::new("host").spec(&json!({"hostNetwork": true})).app("main", script))?.expect_code(0)?;
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy();
    bed.trace.expect_order(&[&format!("main {name} {name} {name}")])?;
    let found = std::fs::read_to_string(bed.dir().join("trace/main"))?;
    let own = std::fs::read_link("/proc/thread-self/ns/net")?;
    anyhow::ensure!(
        found.trim() == own.to_string_lossy(),
        "the container is in {found}, the host in {own:?}"
    );
    Ok(())
}
