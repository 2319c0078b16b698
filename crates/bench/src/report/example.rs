//! A report for tests, with a row of each kind.

use super::{Part, Report, Row};
use crate::load::Load;
use crate::machine::{Machine, Program};

/// Its processor has a name that has to be escaped.
pub(crate) fn machine() -> Machine {
    Machine {
        date: "2026-11-30T20:15:00Z".to_owned(),
        kernel: "6.18.2".to_owned(),
        cpus: 2,
        cpu: "Some <CPU> & Co. @ 2.0GHz".to_owned(),
        is_virtual: true,
        memory_mib: 24_000,
        cgroup: "v1",
        file_system: "ext4".to_owned(),
        load: [0.2, 1.4],
    }
}

pub(crate) fn report() -> Report {
    let program = |name: &str, version: Option<&str>| Program {
        name: name.to_owned(),
        version: version.map(str::to_owned),
    };
    let programs = vec![
        program("monopod", Some("0.1.0")),
        program("podman", Some("4.3.1")),
        program("crun", Some("1.8.1")),
        program("skopeo", None),
    ];
    let mut report = Report::new(machine(), programs, Some("0123456789ab".to_owned()), false);
    report.parts = vec![
        part("client", 81.4, None),
        part("logs", 3.2, Some("cannot start \"cat\": No such file or directory")),
    ];
    for (name, what, unit, samples) in ROWS {
        report.add(Row::of(name, what, unit, samples.to_vec()));
    }
    report.faster_than("podman.play.a", "apply.a", Some(15.0));
    report.faster_than("podman.exec", "exec", Some(30.0));
    report.compare("exec", "crun.exec", Some(1.0));
    report.compare("serve.start.a", "floor.pod.a", Some(3.0));
    report.compare("start.1", "floor.start.1", Some(3.0));
    report.at_most("pod.memory.100", 300.0);
    report.at_most("binary", 12.0);
    report.note("podman cannot play pod c");
    report
}

fn part(name: &str, seconds: f64, failed: Option<&str>) -> Part {
    let load =
        Load { seconds, average: [0.2, 1.35], busy_percent: 61.2, others_percent: 0.48, steal_percent: 0.0 };
    Part { name: name.to_owned(), load, failed: failed.map(str::to_owned) }
}

type Example = (&'static str, &'static str, &'static str, &'static [f64]);

const ROWS: [Example; 14] = [
    ("apply.a", "monopod apply --wait=started, pod a", "ms", &[9.2, 9.8, 14.1]),
    ("podman.play.a", "  podman kube play", "ms", &[160.0, 199.0, 321.0]),
    ("serve.start.a", "in the daemon, pod a", "ms", &[4.1, 4.9, 8.0]),
    ("floor.pod.a", "  floor", "ms", &[2.0, 2.1, 3.0]),
    ("exec", "monopod exec of true", "ms", &[5.0, 6.0, 7.0]),
    ("podman.exec", "  podman exec", "ms", &[119.0, 138.0, 193.0]),
    ("crun.exec", "  crun exec", "ms", &[7.0, 5.5, 30.0]),
    ("many.50", "50 pods b at once", "s", &[0.83, 0.9, 1.1]),
    ("podman.many.50", "  podman kube play, 4 at a time", "s", &[10.7, 10.9, 11.2]),
    ("podman.stop.b", "podman pod stop, then podman pod rm, which nothing is beside", "ms", &[359.0]),
    ("pod.memory.100", "each of 100 pods b", "kB", &[280.0]),
    ("logs.cat.whole", "1 GiB of 100-byte lines, kept whole", "MiB/s", &[380.0, 402.0, 411.0]),
    ("podman.logs.whole", "  podman, k8s-file", "MiB/s", &[191.0, 195.0, 209.0]),
    ("binary", "release binary", "MB", &[30.1]),
];
