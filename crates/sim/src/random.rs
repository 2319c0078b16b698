//! Random pods with random behaviours and mishaps, as scenario texts.

use std::fmt::Write as _;

/// The scenario of a seed: the same on every machine.
#[must_use]
pub fn scenario(seed: u64) -> String {
    let random = &mut Random::new(seed);
    let mut text = String::from("pod");
    let _ = write!(text, " restart={}", random.of(&["Always", "OnFailure", "Never"]));
    let _ = write!(text, " grace={}", random.of(&["0", "1", "5", "30"]));
    optional(&mut text, random, 5, " deadline=", &["3", "12", "40"]);
    optional(&mut text, random, 4, " volumes=", &["2s", "fail,ok", "1s:fail,2s"]);
    optional(&mut text, random, 4, " sandbox=", &["2s", "fail,ok", "1s:fail,2s"]);
    optional(&mut text, random, 4, " stop=", &["1s", "3s"]);
    optional(&mut text, random, 5, " gates=", &["g", "g,h"]);
    optional(&mut text, random, 5, " backoff=", &["1s..10s", "2s..2s", "10s..60s"]);
    text.push('\n');
    let mut names = Vec::new();
    for index in 0..random.below(4) {
        let kind = random.of(&["init", "sidecar"]);
        names.push(format!("i{index}"));
        container(&mut text, random, kind, &format!("i{index}"));
    }
    for index in 0..=random.below(3) {
        names.push(format!("a{index}"));
        container(&mut text, random, "app", &format!("a{index}"));
    }
    events(&mut text, random, &names);
    crashes(&mut text, random);
    text.push_str(if random.one_in(3) { "together\nuntil 200s\n" } else { "until 200s\n" });
    text
}

fn container(text: &mut String, random: &mut Random, kind: &str, name: &str) {
    let _ = write!(text, "{kind} {name}");
    let runs: &[&str] = if kind == "init" { &["0s", "1s", "3s"] } else { &["1s", "3s", "20s", "forever"] };
    let _ = write!(text, " run={}", random.list(runs));
    let codes: &[&str] =
        if kind == "init" { &["0", "0", "0", "1", "42", "oom:0"] } else { &["0", "1", "42", "oom"] };
    let _ = write!(text, " exit={}", random.list(codes));
    optional(text, random, 2, " term=", &["0s", "1s", "4s:0", "2s:42", "ignore"]);
    optional(text, random, 4, " image=", &["x", "y"]);
    let pulls = [
        "2s",
        "ErrImagePull,ok",
        "1s:ErrImagePull,1s",
        "ErrImageNeverPull,ok",
        "5s,1s",
        "RegistryUnavailable,1s:ok",
    ];
    optional(text, random, 4, " pull=", &pulls);
    let starts = ["create-fails,ok", "exec-fails,ok", "slow:2s", "late:2s", "ok,slow:3s"];
    optional(text, random, 4, " start=", &starts);
    if kind != "sidecar" {
        optional(text, random, 6, " restart=", &["OnFailure", "Never"]);
    }
    if random.one_in(5) {
        let rules = ["42:Restart", "42:RestartAllContainers", "!0:RestartAllContainers", "1:Restart"];
        let _ = write!(text, " rules={}", random.of(&rules));
    }
    if random.one_in(3) {
        optional(text, random, 2, " cpu=", &["100", "100..200"]);
        optional(text, random, 2, " memory=", &["64", "64..128"]);
        optional(text, random, 2, " resize=", &["1s", "fail,ok", "2s:fail,ok", "fail"]);
        optional(text, random, 3, " resize-restarts=", &["cpu", "memory", "cpu,memory"]);
    }
    if kind != "init" {
        optional(text, random, 4, " poststart=", &["0s", "2s", "1s:fail,1s", "4s:fail"]);
        optional(text, random, 4, " prestop=", &["1s", "3s:fail", "50s"]);
        probe(text, random, "startup", &["ok", "fail,ok", "fail", "error,ok", "error", "500ms:fail,ok"]);
        probe(text, random, "liveness", &["ok", "ok,ok,fail", "fail,fail,ok", "error,error,fail", "warn,2s"]);
        probe(
            text,
            random,
            "readiness",
            &["ok", "fail,fail,ok", "ok,fail,ok,fail", "error,ok", "1s:fail,ok"],
        );
    }
    text.push('\n');
}

fn probe(text: &mut String, random: &mut Random, kind: &str, results: &[&str]) {
    if !random.one_in(4) {
        return;
    }
    let _ = write!(text, " {kind}={}", random.of(results));
    optional(text, random, 2, &format!(" {kind}-period="), &["2s", "5s", "10s"]);
    optional(text, random, 3, &format!(" {kind}-threshold="), &["1", "2"]);
    optional(text, random, 3, &format!(" {kind}-delay="), &["2s", "7s"]);
    if kind == "readiness" {
        optional(text, random, 3, " readiness-successes=", &["2", "3"]);
    } else {
        optional(text, random, 3, &format!(" {kind}-probegrace="), &["1s", "8s", "40s"]);
    }
}

fn events(text: &mut String, random: &mut Random, names: &[String]) {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for _ in 0..random.below(6) {
        let at = random.below(40_000);
        let who = random.of(&names);
        let what = match random.below(17) {
            0 | 1 => format!("delete grace={}", random.of(&["0", "2", "10", "60"])),
            2 | 3 => "lose-sandbox".to_owned(),
            4 | 5 => format!("restart-engine down={}", random.of(&["0s", "1s", "15s"])),
            6..=8 => format!("exit {who} {}", random.of(&["0", "1", "42", "oom"])),
            9 | 10 => format!("image {who} {}", random.of(&["x", "y", "z"])),
            11 | 12 => {
                let amounts = ["cpu=300", "cpu=100..200", "memory=256", "cpu=100 memory=64"];
                format!("resize {who} {}", random.of(&amounts))
            }
            13 => format!("gate {} {}", random.of(&["g", "h"]), random.of(&["True", "True", "False", "-"])),
            15 => format!("backoff {}", random.of(&["1s..5s", "10s..300s"])),
            14 => format!("deadline {}", random.of(&["1", "20", "40"])),
            _ => "evict".to_owned(),
        };
        // Mishaps like to happen in the very moment of something else.
        let at = if random.one_in(2) { at / 1_000 * 1_000 } else { at };
        let _ = writeln!(text, "at {at}ms {what}");
    }
}

/// In every second pod the engine dies between two of its actions, or before it has written what it saw.
fn crashes(text: &mut String, random: &mut Random) {
    if random.one_in(2) {
        return;
    }
    for _ in 0..=random.below(3) {
        let (point, most) = if random.one_in(2) { ("action", 40) } else { ("observation", 60) };
        let count = 1 + random.below(most);
        let down = random.of(&["0s", "0s", "700ms", "3s", "15s"]);
        let _ = writeln!(text, "at {point} {count} restart-engine down={down}");
    }
}

fn optional(text: &mut String, random: &mut Random, one_in: u64, key: &str, choices: &[&str]) {
    if random.one_in(one_in) {
        let _ = write!(text, "{key}{}", random.of(choices));
    }
}

/// xorshift64*: the same sequence on every machine.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
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
        let last = choices.len() - 1;
        let index = usize::try_from(self.below(choices.len() as u64)).unwrap_or(0);
        choices.get(index.min(last)).copied().unwrap_or_default()
    }

    /// One to three of the choices, with commas between.
    fn list(&mut self, choices: &[&str]) -> String {
        let mut text = self.of(choices).to_owned();
        for _ in 0..self.below(3) {
            text.push(',');
            text.push_str(self.of(choices));
        }
        text
    }
}
