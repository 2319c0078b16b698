//! Creates, which are answered when they are durable, in turns with what making durable costs here.

use std::fs::File;
use std::io::Write as _;

use anyhow::{Context, Result};
use linux_sys::clock::boot_ns;
use serde_json::Value;

use super::{CONFIG_MAPS, Client, PODS, Size, config_map, ms, pending_pod};
use crate::bed::Bed;
use crate::report::{Report, Row};
use crate::stats::Stats;

const BEYOND_MS_MAX: f64 = 1.0;
/// What a small transaction writes at least.
const BLOCK_BYTES: usize = 4096;
/// Creates under way at a time while the store is filled.
const FILLING: usize = 50;

pub(super) async fn measure(client: &Client, bed: &Bed, size: Size, report: &mut Report) -> Result<()> {
    let path = bed.dir().join("fsync");
    let mut file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut fsync = Row::new("fsync", "4 KiB appended to a file, fsync", "ms");
    let mut rows = [
        (
            CONFIG_MAPS,
            config_map as fn(&str) -> Value,
            Row::new("create.configmap", "create of a ConfigMap", "ms"),
        ),
        (PODS, pending_pod, Row::new("create.pod", "create of a pod", "ms")),
    ];
    for n in 0..size.creates() {
        fsync.samples.push(ms(append(&mut file)?));
        for (path, object, row) in &mut rows {
            let object = object(&format!("create-{n}"));
            let began = boot_ns();
            client.create(path, &object).await?;
            row.samples.push(ms(boot_ns() - began));
        }
    }
    let floor = Stats::of(&fsync.samples).median;
    report.add(fsync);
    for (_, _, row) in rows {
        let beyond = row.samples.iter().map(|sample| sample - floor).collect();
        let name = format!("{}.net", row.name);
        report.add(row);
        report.add(Row::of(&name, "  less the median fsync", "ms", beyond));
        report.at_most(&name, BEYOND_MS_MAX);
    }
    Ok(())
}

fn append(file: &mut File) -> Result<i64> {
    let began = boot_ns();
    file.write_all(&[1; BLOCK_BYTES])?;
    file.sync_all()?;
    Ok(boot_ns() - began)
}

/// Until there are `pods` pods, with those of [`measure`].
pub(super) async fn fill(client: &Client, pods: usize) -> Result<()> {
    let list: Value = serde_json::from_slice(&client.get(PODS, super::client::JSON).await?)?;
    let there = list["items"].as_array().map_or(0, Vec::len);
    let names: Vec<String> = (there..pods).map(|n| format!("fill-{n}")).collect();
    for names in names.chunks(FILLING) {
        let creates: Vec<_> = names
            .iter()
            .map(|name| {
                let (client, object) = (client.clone(), pending_pod(name));
                tokio::spawn(async move { client.create(PODS, &object).await })
            })
            .collect();
        for create in creates {
            create.await??;
        }
    }
    Ok(())
}
