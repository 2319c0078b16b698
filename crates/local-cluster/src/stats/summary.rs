//! stats/v1alpha1 `Summary`, as a kubelet gives it. What the kernel does not count is left out.

use linux_sys::tree_usage::TreeUsage;
use podspec::WallTime;
use serde_json::{Map, Value, json};

use super::{ContainerStats, Figures, NodeStats, PodStats, Stats};
use crate::usage::disk::FileSystem;
use crate::usage::host::Interface;

pub(crate) fn summary(stats: &Stats) -> Value {
    let disk = stats.node.disk.as_ref().map(|disk| disk.pods);
    let pods: Vec<Value> =
        stats.pods.iter().map(|pod| pod_stats(pod, disk.as_ref(), stats.node.now)).collect();
    json!({"node": node_stats(&stats.node), "pods": pods})
}

fn node_stats(node: &NodeStats) -> Value {
    let (now, booted) = (node.now.rfc3339_seconds(), node.host.booted.rfc3339_seconds());
    let mut stats = measured(node.figures.as_ref(), true);
    stats.insert("nodeName".into(), node.name.as_str().into());
    stats.insert("startTime".into(), booted.as_str().into());
    if let Some(pods) = &node.pods {
        let mut pods = measured(Some(pods), false);
        pods.insert("name".into(), "pods".into());
        pods.insert("startTime".into(), booted.into());
        stats.insert("systemContainers".into(), json!([pods]));
    }
    if let Some(first) = node.interfaces.first() {
        let mut network = interface(first);
        network["time"] = now.as_str().into();
        network["interfaces"] = node.interfaces.iter().map(interface).collect();
        stats.insert("network".into(), network);
    }
    if let Some(disk) = &node.disk {
        stats.insert("fs".into(), whole(&disk.pods, node.now));
        let (images, layers) = (whole(&disk.images, node.now), whole(&disk.pods, node.now));
        stats.insert("runtime".into(), json!({"imageFs": images, "containerFs": layers}));
    }
    let processes = &node.host.processes;
    let rlimit = json!({"time": now, "maxpid": processes.max, "curproc": processes.running});
    stats.insert("rlimit".into(), rlimit);
    stats.into()
}

fn pod_stats(pod: &PodStats, disk: Option<&FileSystem>, now: WallTime) -> Value {
    let mut stats = measured(pod.figures.as_ref(), false);
    stats.insert("podRef".into(), json!({"name": pod.name, "namespace": pod.namespace, "uid": pod.uid}));
    stats.insert("startTime".into(), pod.started.map(WallTime::rfc3339_seconds).into());
    let containers = pod.containers.iter().map(|container| container_stats(container, disk, now));
    stats.insert("containers".into(), containers.collect());
    if let Some(processes) = pod.figures.and_then(|figures| figures.usage.processes) {
        stats.insert("process_stats".into(), json!({"process_count": processes}));
    }
    let Some(disk) = disk else { return stats.into() };
    let volumes = pod.volumes.iter().map(|(name, usage)| {
        let mut volume = part(disk, *usage, now);
        volume["name"] = name.as_str().into();
        volume
    });
    let in_memory = pod.memory_volumes.iter().map(|(name, held)| {
        let mut volume = whole(held, now);
        volume["name"] = name.as_str().into();
        volume
    });
    if !pod.volumes.is_empty() || !pod.memory_volumes.is_empty() {
        stats.insert("volume".into(), volumes.chain(in_memory).collect());
    }
    let of_containers = pod.containers.iter().flat_map(|container| [container.layer, container.logs]);
    let all = of_containers.flatten().chain(pod.volumes.iter().map(|(_, usage)| *usage));
    stats
        .insert("ephemeral-storage".into(), part(disk, all.fold(TreeUsage::default(), TreeUsage::plus), now));
    stats.into()
}

fn container_stats(container: &ContainerStats, disk: Option<&FileSystem>, now: WallTime) -> Value {
    let mut stats = measured(container.figures.as_ref(), false);
    stats.insert("name".into(), container.name.as_str().into());
    stats.insert("startTime".into(), container.started.rfc3339_seconds().into());
    if let Some(disk) = disk {
        for (name, usage) in [("rootfs", container.layer), ("logs", container.logs)] {
            if let Some(usage) = usage {
                stats.insert(name.into(), part(disk, usage, now));
            }
        }
    }
    stats.into()
}

/// Processors, memory and swap. What is available is told of what has a limit; the whole machine is one.
fn measured(figures: Option<&Figures>, whole: bool) -> Map<String, Value> {
    let mut stats = Map::new();
    let Some(Figures { at, usage, nanocores }) = figures else { return stats };
    let time = at.rfc3339_seconds();
    if let Some(cpu_ns) = usage.cpu_ns {
        let mut cpu = json!({"time": time, "usageCoreNanoSeconds": cpu_ns});
        put(&mut cpu, "usageNanoCores", *nanocores);
        stats.insert("cpu".into(), cpu);
    }
    if let Some(working_set) = usage.working_set_bytes {
        let mut memory = json!({"time": time, "workingSetBytes": working_set});
        put(&mut memory, "usageBytes", usage.memory_bytes);
        put(&mut memory, "rssBytes", usage.rss_bytes);
        put(&mut memory, "pageFaults", usage.page_faults);
        put(&mut memory, "majorPageFaults", usage.major_page_faults);
        let available = usage.memory_limit_bytes.map(|limit| limit.saturating_sub(working_set));
        put(&mut memory, "availableBytes", available);
        stats.insert("memory".into(), memory);
    }
    if let Some(swap) = usage.swap_bytes.filter(|bytes| !whole || *bytes > 0) {
        stats.insert("swap".into(), json!({"time": time, "swapUsageBytes": swap}));
    }
    stats
}

fn put(object: &mut Value, name: &str, amount: Option<u64>) {
    if let Some(amount) = amount {
        object[name] = amount.into();
    }
}

fn interface(interface: &Interface) -> Value {
    let Interface { name, rx_bytes, rx_errors, tx_bytes, tx_errors } = interface;
    json!({
        "name": name, "rxBytes": rx_bytes, "rxErrors": rx_errors, "txBytes": tx_bytes, "txErrors": tx_errors,
    })
}

/// All of a file system.
fn whole(disk: &FileSystem, now: WallTime) -> Value {
    let used = TreeUsage { bytes: disk.used_bytes(), inodes: disk.inodes.saturating_sub(disk.inodes_free) };
    part(disk, used, now)
}

/// What `used` is of a file system.
fn part(disk: &FileSystem, used: TreeUsage, now: WallTime) -> Value {
    let mut stats = json!({
        "time": now.rfc3339_seconds(), "availableBytes": disk.available_bytes,
        "capacityBytes": disk.capacity_bytes, "usedBytes": used.bytes, "inodesUsed": used.inodes,
    });
    if disk.inodes > 0 {
        stats["inodes"] = disk.inodes.into();
        stats["inodesFree"] = disk.inodes_free.into();
    }
    stats
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::summary;
    use crate::stats::tests::stats;

    #[test]
    fn all_that_is_known_is_told() {
        let summary = summary(&stats());
        let node = &summary["node"];
        assert_eq!((&node["nodeName"], &node["startTime"]), (&json!("box"), &json!("1970-01-01T00:00:07Z")));
        let now = "1970-01-01T00:01:00Z";
        let expected = json!({
            "time": now, "usageBytes": 50, "workingSetBytes": 40, "rssBytes": 30, "pageFaults": 9,
            "majorPageFaults": 1, "availableBytes": 60,
        });
        assert_eq!(node["memory"], expected);
        assert_eq!(
            node["cpu"],
            json!({"time": now, "usageCoreNanoSeconds": 2_000_000_000, "usageNanoCores": 5})
        );
        assert_eq!(node["rlimit"], json!({"time": now, "maxpid": 100, "curproc": 8}));
        assert_eq!(node["systemContainers"][0]["name"], "pods");
        assert_eq!((&node["network"]["name"], &node["network"]["rxBytes"]), (&json!("eth0"), &json!(1)));
        assert_eq!(node["fs"]["usedBytes"], 700);
        assert!(node["runtime"]["imageFs"]["inodes"].is_null(), "it has no such limit");
        let pod = &summary["pods"][0];
        assert_eq!(pod["podRef"], json!({"name": "web", "namespace": "default", "uid": "u1"}));
        assert_eq!(pod["process_stats"], json!({"process_count": 3}));
        let volume = json!({
            "time": now, "name": "data", "availableBytes": 300, "capacityBytes": 1_000, "usedBytes": 20,
            "inodes": 10, "inodesFree": 4, "inodesUsed": 2,
        });
        let in_memory = json!({
            "time": now, "name": "cache", "availableBytes": 48, "capacityBytes": 64, "usedBytes": 16,
            "inodes": 8, "inodesFree": 6, "inodesUsed": 2,
        });
        assert_eq!(pod["volume"], json!([volume, in_memory]));
        // Two trees of the container, and a volume on disk.
        assert_eq!(
            (&pod["ephemeral-storage"]["usedBytes"], &pod["ephemeral-storage"]["inodesUsed"]),
            (&json!(120), &json!(8))
        );
        let main = &pod["containers"][0];
        assert_eq!((&main["name"], &main["startTime"]), (&json!("main"), &json!("1970-01-01T00:00:30Z")));
        assert_eq!((&main["rootfs"]["usedBytes"], &main["logs"]["usedBytes"]), (&json!(60), &json!(40)));
        assert!(main["memory"]["availableBytes"].is_null(), "it has no limit");
        assert_eq!(pod["containers"][1]["cpu"], json!(null), "its group is gone");
    }

    #[test]
    fn counters_alone_say_nothing_of_disks_and_rates() {
        let mut stats = stats();
        stats.node.disk = None;
        stats.pods[0].figures = None;
        let summary = summary(&stats);
        assert!(summary["node"]["fs"].is_null() && summary["pods"][0]["ephemeral-storage"].is_null());
        assert!(summary["pods"][0]["cpu"].is_null() && summary["pods"][0]["process_stats"].is_null());
    }
}
