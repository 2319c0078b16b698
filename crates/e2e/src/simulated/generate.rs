//! Pods of scripts whose times are known: drawn by a seed, and only those that come out the same on a slow machine.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use simulation::Flag;

use super::{Case, MACHINES, Story};

/// Of a seed so many pods are drawn until one is good.
const DRAWS_MAX: u64 = 50;

/// How much sooner or later processes may end, in seconds, with the same to come of it: what hangs on who is first to end a process
/// says nothing of the rules.
const SHIFTS_S: [f64; 3] = [0.0, -0.2, 0.2];

/// The pod of a seed.
pub(crate) fn generate(seed: u64) -> Result<Case> {
    for draw in 0..DRAWS_MAX {
        let drawn = |late_s| draw_pod(seed, &mut Random::new(seed * DRAWS_MAX + draw), late_s);
        let case = drawn(0.0)?;
        let mut stories = Vec::new();
        for late_s in SHIFTS_S {
            let case = drawn(late_s)?;
            let story = |machine| Story::of(&case.pod, &case.simulated(machine, case.delete_after));
            stories.extend(MACHINES.map(story));
        }
        let is_fit = |story: &Story| story.same_things(&stories[0]) && !story.hangs_on_who_is_first();
        if stories.iter().all(is_fit) {
            return Ok(case);
        }
    }
    anyhow::bail!("no pod of seed {seed} comes out the same on machines of different speed")
}

fn draw_pod(seed: u64, random: &mut Random, late_s: f64) -> Result<Case> {
    let policy = random.of(&["Always", "OnFailure", "Never"]);
    let mut stated = Stated { flags: Vec::new(), late_s };
    let mut init = Vec::new();
    for index in 0..random.below(3) {
        let kind = if random.one_in(2) { Kind::Init } else { Kind::Sidecar };
        init.push(container(random, kind, &format!("i{index}"), policy, &mut stated));
    }
    let mut apps = Vec::new();
    for index in 0..=random.below(2) {
        apps.push(container(random, Kind::App, &format!("a{index}"), policy, &mut stated));
    }
    let delete_after = Duration::from_millis(2_250 + 500 * random.below(7));
    let manifest = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": format!("p{seed}")},
        "spec": {
            "restartPolicy": policy,
            // Longer than any hook that is to be done in it.
            "terminationGracePeriodSeconds": 2 + random.below(2),
            "volumes": [{"name": "v", "emptyDir": {}}],
            "initContainers": init,
            "containers": apps,
        },
    });
    Case::new(manifest, &stated.flags, delete_after)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Init,
    Sidecar,
    App,
}

/// What is said of a pod.
struct Stated {
    flags: Vec<(Flag, String)>,
    /// Of [`SHIFTS_S`].
    late_s: f64,
}

fn container(random: &mut Random, kind: Kind, name: &str, policy: &str, stated: &mut Stated) -> Value {
    let mut script = trap(random, name, stated);
    script.push_str(&format!("n=$(cat /v/{name} 2> /dev/null || echo 0); echo $((n + 1)) > /v/{name}\n"));
    let mut value = json!({
        "name": name,
        "image": "localhost/host",
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    });
    if kind == Kind::Sidecar {
        value["restartPolicy"] = "Always".into();
    } else if random.one_in(5) {
        value["restartPolicy"] = random.of(&["OnFailure", "Never"]).into();
    }
    if kind != Kind::Init {
        hooks(random, &mut value);
        probes(random, name, &mut value, &mut script, stated);
    }
    script.push_str(&lives(random, kind, name, policy, stated));
    value["command"] = json!(["sh", "-c", script]);
    value
}

fn trap(random: &mut Random, name: &str, stated: &mut Stated) -> String {
    let (trap, term) = match random.below(4) {
        0 => ("", "ignores"),
        1 => ("trap 'exit 0' TERM\n", "0s"),
        2 => ("trap 'exit 3' TERM\n", "0s:3"),
        _ => ("trap 'sleep 0.5; exit 0' TERM\n", "500ms"),
    };
    stated.flags.push((Flag::Term, format!("{name}={term}")));
    trap.to_owned()
}

/// Attempt after attempt, each with its time and exit code.
fn lives(random: &mut Random, kind: Kind, name: &str, policy: &str, stated: &mut Stated) -> String {
    let for_ever = match kind {
        Kind::Init => false,
        Kind::Sidecar => !random.one_in(4),
        Kind::App => random.one_in(if policy == "Always" { 2 } else { 3 }),
    };
    if for_ever {
        stated.flags.push((Flag::Exit, format!("{name}=never")));
        return "sleep 1000 & wait $!".to_owned();
    }
    let mut cases = String::new();
    let mut runs = Vec::new();
    let count = 1 + random.below(3);
    for attempt in 0..count {
        let time = random.of(&["0.5", "0.5", "1.5", "2.5"]);
        let last = attempt + 1 == count;
        let code = match kind {
            Kind::Init if last => random.of(&["0", "0", "0", "7"]),
            Kind::Init => random.of(&["0", "1"]),
            _ => random.of(&["0", "1", "42"]),
        };
        let pattern = if last { "*".to_owned() } else { attempt.to_string() };
        cases.push_str(&format!(" {pattern}) t={time} c={code};;"));
        let ends_s = time.parse::<f64>().unwrap_or_default() + stated.late_s;
        runs.push(format!("{code}@{ends_s:.1}s"));
    }
    stated.flags.push((Flag::Exit, format!("{name}={}", runs.join(","))));
    format!("case $n in{cases} esac\nsleep $t & wait $!\nexit $c")
}

/// Their times are none of those at which processes end.
fn hooks(random: &mut Random, value: &mut Value) {
    let command = |script: &str| json!({"exec": {"command": ["sh", "-c", script]}});
    if random.one_in(4) {
        value["lifecycle"]["postStart"] = match random.below(4) {
            0 => command("sleep 0.2; exit 1"),
            1 => json!({"sleep": {"seconds": 1}}),
            _ => command("sleep 0.2"),
        };
    }
    if random.one_in(4) {
        value["lifecycle"]["preStop"] = match random.below(4) {
            0 => command("sleep 0.2; exit 1"),
            1 => json!({"sleep": {"seconds": 1}}),
            2 => command("sleep 20"),
            _ => command("sleep 0.2"),
        };
    }
}

/// Each looks for a file that the script makes when its time has come.
fn probes(random: &mut Random, name: &str, value: &mut Value, script: &mut String, stated: &mut Stated) {
    let probe = |test: &str, threshold: u64| {
        json!({
            "exec": {"command": ["sh", "-c", test]},
            "periodSeconds": 1,
            "timeoutSeconds": 20,
            "failureThreshold": threshold,
        })
    };
    let mut file = |name: &str, after: &str| script.push_str(&format!("(sleep {after}; : > /is-{name}) &\n"));
    if random.one_in(4) {
        let time = random.of(&["0.5", "1.5", "9.5"]);
        file("up", time);
        value["startupProbe"] = probe("test -e /is-up", 2 + random.below(2));
        stated.flags.push((Flag::Startup, format!("{name}@{time}s")));
    }
    if random.one_in(3) {
        let time = random.of(&["0.5", "1.5"]);
        file("ready", time);
        let mut test = "test -e /is-ready".to_owned();
        if random.one_in(2) {
            let off = random.of(&["2.5", "3.5"]);
            file("busy", off);
            test.push_str(" && ! test -e /is-busy");
            stated.flags.push((Flag::ProbeFails, format!("{name}=readiness@{off}s")));
        }
        value["readinessProbe"] = probe(&test, 1 + random.below(2));
        stated.flags.push((Flag::Ready, format!("{name}@{time}s")));
    }
    if random.one_in(4) {
        let time = random.of(&["1.5", "2.5"]);
        file("dead", time);
        value["livenessProbe"] = probe("! test -e /is-dead", 1 + random.below(2));
        stated.flags.push((Flag::ProbeFails, format!("{name}=liveness@{time}s")));
    }
}

/// xorshift64*: the same sequence on every machine.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let index = usize::try_from(self.below(choices.len() as u64)).unwrap_or(0);
        choices.get(index).copied().unwrap_or_default()
    }
}
