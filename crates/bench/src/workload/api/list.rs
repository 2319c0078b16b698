//! Lists of all pods, until the last byte is here.

use anyhow::Result;
use linux_sys::clock::boot_ns;

use super::client::{Client, JSON, TABLE};
use super::{PODS, Size, ms};
use crate::report::{Report, Row};

const MS_MAX: f64 = 20.0;

pub(super) async fn measure(client: &Client, size: Size, report: &mut Report) -> Result<()> {
    let pods = size.stored_pods();
    let mut rows = [
        (JSON, Row::new("list.json", &format!("list of {pods} pods: JSON"), "ms")),
        (TABLE, Row::new("list.table", "  as kubectl get takes it: Table", "ms")),
    ];
    for _ in 0..size.lists() {
        for (accept, row) in &mut rows {
            let began = boot_ns();
            client.get(PODS, accept).await?;
            row.samples.push(ms(boot_ns() - began));
        }
    }
    for (_, row) in rows {
        let name = row.name.clone();
        report.add(row);
        report.at_most(&name, MS_MAX);
    }
    Ok(())
}
