//! Where it was measured.

use std::fs;

use linux_sys::cgroup::Hierarchies;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) cpus: usize,
    pub(crate) cpu: String,
    pub(crate) cgroup: &'static str,
    /// Of one minute, before and after.
    pub(crate) load: [f64; 2],
}

impl Machine {
    pub(crate) fn now() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let v2 = Hierarchies::detect().is_ok_and(|hierarchies| hierarchies.is_v2());
        Self {
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: model.map_or("unknown", |(_, model)| model).to_owned(),
            cgroup: if v2 { "v2" } else { "v1" },
            load: [load(); 2],
        }
    }

    pub(crate) fn finish(&mut self) {
        self.load[1] = load();
    }
}

fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default()
}
