//! What plans cost. The kubelet makes one whenever something happens to a pod, so a start is a dozen of them, and a pod at rest costs
//! the one that finds nothing to do.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lifecycle::{Action, Exit, ExitReason, Observation, Observed, ProbeOutcome, plan};
use podspec::{BootTime, IDENTITY_BYTES, Moment, PodSpec, WallTime};

const MILLISECOND: i64 = 1_000_000;
/// More happens to no pod here.
const STEPS_MAX: i64 = 1_000;
/// Init containers that end are called so.
const ENDS: &str = "init";
const EXIT_AT_SIGTERM: i32 = 143;

fn plans(criterion: &mut Criterion) {
    for (name, containers, inits) in [("a", 1, ""), ("b", 3, ""), ("c", 1, INITS), ("of-20", 20, "")] {
        let spec = pod(containers, inits);
        let mut life = Life { spec: &spec, observed: Observed::default(), step: 0, states: Vec::new() };
        life.goes_on(vec![Observation::Accepted]);
        let start = std::mem::take(&mut life.states);
        let steady = start.last().cloned().expect("a start has plans");
        life.goes_on(vec![Observation::DeletionRequested { grace: std::time::Duration::from_secs(5) }]);
        let mut group = criterion.benchmark_group(format!("plan/{name}"));
        for (kind, states) in [("start", start), ("steady", vec![steady]), ("termination", life.states)] {
            // The time of one plan is the inverse.
            group.throughput(Throughput::Elements(states.len() as u64));
            group.bench_function(kind, |bencher| {
                bencher.iter(|| {
                    states.iter().for_each(|(observed, now)| drop(black_box(plan(&spec, observed, *now))));
                });
            });
        }
        group.finish();
    }
}

/// A pod that is acted on at once, and does as it is told.
struct Life<'s> {
    spec: &'s PodSpec,
    observed: Observed,
    step: i64,
    /// In which a plan was made.
    states: Vec<(Observed, Moment)>,
}

impl Life<'_> {
    /// Until nothing more happens.
    fn goes_on(&mut self, mut happens: Vec<Observation>) {
        while let Some(observation) = happens.pop() {
            self.step += 1;
            assert!(self.step < STEPS_MAX, "the pod does not settle");
            let now = self.now();
            self.observed.observe(self.spec, &observation, now);
            self.states.push((self.observed.clone(), now));
            for action in plan(self.spec, &self.observed, now).actions {
                self.observed.issue(self.spec, &action, now);
                happens.splice(0..0, self.answers(action));
            }
        }
    }

    fn now(&self) -> Moment {
        let at = self.step * MILLISECOND;
        Moment { boot: BootTime(at), wall: WallTime(at) }
    }

    /// The last one happens first.
    fn answers(&self, action: Action) -> Vec<Observation> {
        let exit = |code, reason| {
            let (started, finished) = (Some(self.now()), self.now());
            Exit { code, signal: None, reason, message: String::new(), started, finished }
        };
        match action {
            Action::SetUpVolumes => vec![Observation::VolumesReady],
            Action::CreateSandbox { attempt } => {
                vec![Observation::SandboxCreated { attempt, ips: Vec::new() }]
            }
            Action::EnsureImage { container, image, .. } => {
                let image_id = image.clone();
                vec![Observation::ImageReady { container, image, image_id, repo_digest: None, pulled: None }]
            }
            Action::StartContainer { container, attempt, .. } => {
                let id = format!("{container}-{attempt}");
                let ends = container.as_str().starts_with(ENDS).then(|| Observation::ContainerExited {
                    container: container.clone(),
                    attempt,
                    exit: exit(0, ExitReason::Completed),
                });
                let started =
                    Observation::ContainerStarted { container, attempt, id, started: self.now(), user: None };
                ends.into_iter().chain([started]).collect()
            }
            Action::RunProbe { container, attempt, probe, .. } => {
                vec![Observation::ProbeFinished { container, attempt, probe, outcome: ProbeOutcome::Success }]
            }
            Action::SignalContainer { container, attempt } => vec![Observation::ContainerExited {
                container,
                attempt,
                exit: exit(EXIT_AT_SIGTERM, ExitReason::Error),
            }],
            Action::RemoveContainer { container, attempt } => {
                vec![Observation::ContainerRemoved { container, attempt }]
            }
            Action::StopSandbox { attempt } => vec![Observation::SandboxStopped { attempt }],
            Action::RemoveVolumes => vec![Observation::VolumesRemoved],
            Action::RunHook { .. } | Action::ResizeContainer { .. } | Action::KillContainer { .. } => {
                Vec::new()
            }
        }
    }
}

const INITS: &str = "
  volumes: [{name: data, emptyDir: {}}]
  initContainers:
  - {name: init-one, image: image, command: ['true']}
  - {name: init-two, image: image, command: ['true']}
  - {name: sidecar, image: image, command: [serve], restartPolicy: Always, volumeMounts: [{name: data, mountPath: /data}]}";

fn pod(containers: usize, inits: &str) -> PodSpec {
    let containers: String =
        (0..containers).map(|n| format!("\n  - {{name: app-{n}, image: image, command: [serve]}}")).collect();
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:{inits}\n  containers:{containers}\n"
    );
    let loaded = podspec::load_pods("bench", &text, || [0; IDENTITY_BYTES]).expect("a pod that can be run");
    loaded.into_iter().next().expect("one pod").admitted.pod.spec
}

criterion_group!(benches, plans);
criterion_main!(benches);
