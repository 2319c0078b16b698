//! What is counted, as Prometheus reads it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the latency histogram.
const BUCKETS_MS: [u64; 10] = [1, 2, 5, 10, 25, 50, 100, 500, 1_000, 10_000];

/// Counters of one server. Labels are verbs, resources of the table and status codes: a bounded set.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, String, u16), Series>>,
    watches: AtomicI64,
}

#[derive(Clone, Debug, Default)]
struct Series {
    count: u64,
    seconds: f64,
    buckets: [u64; BUCKETS_MS.len()],
}

/// Counts a watch for as long as it lives.
#[derive(Debug)]
pub(crate) struct Watching(std::sync::Arc<crate::api::Api>);

impl Watching {
    pub(crate) fn new(api: &std::sync::Arc<crate::api::Api>) -> Self {
        api.metrics.watches.fetch_add(1, Ordering::Relaxed);
        Self(api.clone())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.metrics.watches.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn record(&self, verb: &'static str, resource: &str, code: u16, took: Duration) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let series = requests.entry((verb, resource.to_owned(), code)).or_default();
        series.count += 1;
        series.seconds += took.as_secs_f64();
        let ms = took.as_secs_f64() * 1_000.0;
        for (bucket, bound) in series.buckets.iter_mut().zip(BUCKETS_MS) {
            if ms <= Duration::from_millis(bound).as_secs_f64() * 1_000.0 {
                *bucket += 1;
            }
        }
    }

    pub(crate) fn text(&self, version: &str, revision: u64) -> String {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let watches = self.watches.load(Ordering::Relaxed);
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "# HELP monopod_build_info The version of this program.\n# TYPE monopod_build_info gauge"
        );
        let _ = writeln!(out, "monopod_build_info{{version=\"{version}\"}} 1");
        let _ = writeln!(
            out,
            "# HELP monopod_store_revision The last resourceVersion given.\n# TYPE monopod_store_revision gauge"
        );
        let _ = writeln!(out, "monopod_store_revision {revision}");
        let _ = writeln!(out, "# HELP monopod_watches Watches that are open.\n# TYPE monopod_watches gauge");
        let _ = writeln!(out, "monopod_watches {watches}");
        let _ = writeln!(
            out,
            "# HELP apiserver_request_total Requests answered.\n# TYPE apiserver_request_total counter"
        );
        for ((verb, resource, code), series) in &requests {
            let labels = format!("verb=\"{verb}\",resource=\"{resource}\",code=\"{code}\"");
            let _ = writeln!(out, "apiserver_request_total{{{labels}}} {}", series.count);
        }
        let name = "apiserver_request_duration_seconds";
        let _ = writeln!(out, "# HELP {name} Time until the answer began.\n# TYPE {name} histogram");
        for ((verb, resource, code), series) in &requests {
            let labels = format!("verb=\"{verb}\",resource=\"{resource}\",code=\"{code}\"");
            for (count, bound) in series.buckets.iter().zip(BUCKETS_MS) {
                let seconds = Duration::from_millis(bound).as_secs_f64();
                let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{seconds}\"}} {count}");
            }
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", series.count);
            let _ = writeln!(out, "{name}_sum{{{labels}}} {}", series.seconds);
            let _ = writeln!(out, "{name}_count{{{labels}}} {}", series.count);
        }
        out
    }
}
