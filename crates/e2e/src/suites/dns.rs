//! What a pod is called, and whom it asks for names.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::pod::Pod;
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    whom_each_policy_asks,
    resolvers_of_the_pod,
    names_of_a_pod,
    names_that_are_too_long,
    aliases_of_hosts,
    without_a_network_nobody_is_asked,
    too_many_resolvers_are_said,
];

const NO_RESOLVER: &str = "# This pod has no network beyond its own loopback.\n";

/// A pod whose containers, of every kind, keep what `script` says.
fn says(name: &str, spec: &Value, script: &str) -> Pod {
    let kept = format!("{{ {script}; }} > /trace/$POD.$NAME.said 2>&1");
    Pod::new(name).spec(spec).init("init", &kept).app("main", &kept)
}

/// What both said, which is the same.
fn said(bed: &Bed, pods: &Pods<'_>, name: &str) -> Result<String> {
    pods.wait_phase(name, "Succeeded")?;
    let read = |container: &str| fs::read_to_string(bed.dir().join(format!("trace/{name}.{container}.said")));
    let (init, main) = (read("init")?, read("main")?);
    ensure!(init == main, "{name}: {init:?} in the init container, {main:?} in the other");
    Ok(main)
}

fn expect_said(bed: &Bed, pods: &Pods<'_>, name: &str, expected: &str) -> Result<()> {
    let found = said(bed, pods, name)?;
    ensure!(found == expected, "{name}: {found:?}, expected {expected:?}");
    Ok(())
}

fn of_host() -> Result<String> {
    fs::read_to_string("/etc/resolv.conf").context("/etc/resolv.conf")
}

/// The cluster's DNS, with its domains before the host's.
fn of_cluster(of_host: &str) -> String {
    let searches = of_host.lines().filter_map(|line| line.strip_prefix("search "));
    let searches: String = searches.map(|searches| format!(" {}", searches.trim())).collect();
    format!(
        "search default.svc.cluster.local svc.cluster.local cluster.local{searches}\n\
         nameserver 10.201.0.10\noptions ndots:5\n"
    )
}

fn whom_each_policy_asks(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let of_host = of_host()?;
    let of_cluster = of_cluster(&of_host);
    let cases = [
        ("default", json!({"dnsPolicy": "Default"}), of_host.as_str()),
        ("cluster", json!({"dnsPolicy": "ClusterFirst"}), &of_cluster),
        ("cluster-net", json!({"dnsPolicy": "ClusterFirst", "hostNetwork": true}), &of_host),
        ("with-host-net", json!({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true}), &of_cluster),
        (
            "none",
            json!({"dnsPolicy": "None", "hostNetwork": true, "dnsConfig": {"nameservers": ["192.0.2.1"]}}),
            "nameserver 192.0.2.1\n",
        ),
    ];
    for (name, spec, _) in &cases {
        pods.create(&says(name, spec, "cat /etc/resolv.conf"))?;
    }
    for (name, _, expected) in cases {
        expect_said(bed, &pods, name, expected)?;
    }
    pods.finish()
}

fn without_a_network_nobody_is_asked(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start_with(bed, &["--no-pod-network"])?;
    pods.create(&says("alone", &json!({}), "cat /etc/resolv.conf"))?;
    expect_said(bed, &pods, "alone", NO_RESOLVER)?;
    pods.finish()
}

fn too_many_resolvers_are_said(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let config = json!({"nameservers": ["192.0.2.1", "192.0.2.2", "192.0.2.3"]});
    pods.create(&says("many", &json!({"dnsConfig": config}), "grep -c nameserver /etc/resolv.conf"))?;
    let event = pods.wait_event("many", "DNSConfigForming ")?;
    let applied = "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: \
                   10.201.0.10 192.0.2.1 192.0.2.2";
    ensure!(event.contains(applied), "{event}");
    expect_said(bed, &pods, "many", "3\n")?;
    pods.finish()
}

fn resolvers_of_the_pod(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let config = json!({
        "nameservers": ["192.0.2.1", "2001:db8::1"],
        "searches": ["one.example", "two.example"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
    });
    let own = "search one.example two.example\nnameserver 192.0.2.1\nnameserver 2001:db8::1\noptions ndots:2 edns0\n";
    let cluster = of_cluster(&of_host()?)
        .replace("\nnameserver 10.201.0.10", " one.example two.example\nnameserver 10.201.0.10")
        .replace("options", "nameserver 192.0.2.1\nnameserver 2001:db8::1\noptions")
        .replace("ndots:5", "ndots:2 edns0");
    for policy in ["None", "ClusterFirst", "Default"] {
        let spec = json!({"dnsPolicy": policy, "dnsConfig": config});
        pods.create(&says(&policy.to_lowercase(), &spec, "cat /etc/resolv.conf"))?;
    }
    expect_said(bed, &pods, "none", own)?;
    expect_said(bed, &pods, "clusterfirst", &cluster)?;
    // The host's come first, and there are three at most.
    let all = said(bed, &pods, "default")?;
    let servers = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.strip_prefix("nameserver ")).map(str::to_owned).collect()
    };
    let mut expected = servers(&of_host()?);
    expected.extend(["192.0.2.1".to_owned(), "2001:db8::1".to_owned()]);
    expected.truncate(3);
    ensure!(servers(&all) == expected, "{all}");
    ensure!(all.contains("one.example two.example\n") && all.contains("ndots:2"), "{all}");
    pods.finish()
}

fn names_of_a_pod(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let of_machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let whole = "web-0.db.default.svc.cluster.local";
    let both = format!("\t{whole}\tweb-0");
    let cases = [
        ("plain", json!({}), "plain", "\tplain"),
        ("named", json!({"hostname": "web-0"}), "web-0", "\tweb-0"),
        ("below", json!({"hostname": "web-0", "subdomain": "db"}), "web-0", &both),
        ("whole", json!({"hostname": "web-0", "subdomain": "db", "setHostnameAsFQDN": true}), whole, &both),
        (
            "other",
            json!({"subdomain": "db", "hostnameOverride": "a.b.example"}),
            "a.b.example",
            "\ta.b.example",
        ),
        ("host", json!({"hostname": "web-0", "hostNetwork": true}), &of_machine, ""),
    ];
    let script =
        "cat /proc/sys/kernel/hostname /etc/hostname; echo $HOSTNAME; grep \"^10[.].*$HOSTNAME\" /etc/hosts";
    for (name, spec, ..) in &cases {
        pods.create(&says(name, spec, &format!("{script} || true")))?;
    }
    for (name, _, hostname, line) in cases {
        let found = said(bed, &pods, name)?;
        let lines: Vec<&str> = found.lines().collect();
        ensure!(lines.get(..3) == Some(&[hostname; 3]), "{name}: {found}");
        ensure!(
            line.is_empty() || matches!(lines.get(3..), Some([found]) if found.ends_with(line)),
            "{name}: {found}"
        );
    }
    pods.finish()
}

/// What the kernel has no room for makes no sandbox, and is said in the kubelet's words.
fn names_that_are_too_long(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let hostname = "h".repeat(40);
    let spec = json!({"hostname": hostname, "subdomain": "db", "setHostnameAsFQDN": true});
    pods.create(&Pod::new("long").spec(&spec).app("main", "live"))?;
    let whole = format!("{hostname}.db.default.svc.cluster.local");
    let event = pods.wait_event("long", "FailedCreatePodSandBox ")?;
    let expected = format!(
        "failed to construct FQDN from pod hostname and cluster domain, FQDN {whole} is too long (64 characters is \
         the max, {} characters requested)",
        whole.len()
    );
    ensure!(event.contains(&expected), "{event}");
    pods.history("long").expect_absent("main start")?;
    pods.finish()
}

fn aliases_of_hosts(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let aliases = json!([
        {"ip": "192.0.2.7", "hostnames": ["one.example", "one"]},
        {"ip": "2001:db8::7", "hostnames": ["two.example"]},
    ]);
    let end = "\n# Entries added by HostAliases.\n192.0.2.7\tone.example\tone\n2001:db8::7\ttwo.example\n";
    for (name, host_network) in [("own", false), ("host", true)] {
        let spec = json!({"hostAliases": aliases, "hostNetwork": host_network});
        pods.create(&says(
            name,
            &spec,
            "getent ahosts one.example | head -1 | sed s,::ffff:,,; cat /etc/hosts",
        ))?;
    }
    for name in ["own", "host"] {
        let found = said(bed, &pods, name)?;
        let (resolved, hosts) = found.split_once('\n').context("nothing was said")?;
        ensure!(resolved.starts_with("192.0.2.7 "), "{name}: {resolved}");
        ensure!(hosts.ends_with(end), "{name}: {hosts}");
        let of_host = fs::read_to_string("/etc/hosts")?;
        ensure!(hosts.contains(of_host.trim_end()) == (name == "host"), "{name}: {hosts}");
    }
    pods.finish()
}
