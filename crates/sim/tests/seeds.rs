//! Random pods with random behaviours and mishaps, checked by the fixpoint and by the checker alone.
//! A seed that fails prints its scenario, which belongs into `scenarios/` once the bug is found.
//! `SIM_SEEDS=FROM..TO` plays others.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sim::Scenario;

const SEEDS: std::ops::Range<u64> = 0..1_000;
/// Seeds whose scenario is printed when they fail.
const SHOWN_MAX: usize = 3;

#[test]
fn random_pods_keep_every_promise() {
    let mut failed: Vec<(u64, String)> = Vec::new();
    for seed in seeds() {
        let text = scenario(&mut Random::new(seed));
        let parsed = Scenario::parse(&text).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{text}"));
        if catch_unwind(AssertUnwindSafe(|| sim::run(&parsed))).is_err() {
            failed.push((seed, text));
        }
    }
    let list: Vec<u64> = failed.iter().map(|(seed, _)| *seed).collect();
    let shown: String =
        failed.iter().take(SHOWN_MAX).map(|(seed, text)| format!("\nseed {seed}\n{text}")).collect();
    assert!(failed.is_empty(), "{} seeds failed: {list:?}{shown}", failed.len());
}

fn seeds() -> std::ops::Range<u64> {
    let Ok(range) = std::env::var("SIM_SEEDS") else { return SEEDS };
    let (from, to) = range.split_once("..").expect("SIM_SEEDS is FROM..TO");
    from.parse().expect("a number")..to.parse().expect("a number")
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

fn scenario(random: &mut Random) -> String {
    let mut text = String::from("pod");
    let _ = write!(text, " restart={}", random.of(&["Always", "OnFailure", "Never"]));
    let _ = write!(text, " grace={}", random.of(&["0", "1", "5", "30"]));
    optional(&mut text, random, 5, " deadline=", &["3", "12", "40"]);
    optional(&mut text, random, 4, " volumes=", &["2s", "fail,ok", "1s:fail,2s"]);
    optional(&mut text, random, 4, " sandbox=", &["2s", "fail,ok", "1s:fail,2s"]);
    optional(&mut text, random, 4, " stop=", &["1s", "3s"]);
    text.push('\n');
    for index in 0..random.below(4) {
        let kind = random.of(&["init", "sidecar"]);
        container(&mut text, random, kind, &format!("i{index}"));
    }
    for index in 0..=random.below(3) {
        container(&mut text, random, "app", &format!("a{index}"));
    }
    for _ in 0..random.below(4) {
        let at = random.below(40_000);
        let what = match random.below(7) {
            0 | 1 => format!("delete grace={}", random.of(&["0", "2", "10", "60"])),
            2 => "lose-sandbox".to_owned(),
            3 | 4 => format!("restart-engine down={}", random.of(&["0s", "1s", "15s"])),
            _ => format!(
                "exit {} {}",
                random.of(&["a0", "a1", "i0", "i1"]),
                random.of(&["0", "1", "42", "oom"])
            ),
        };
        // Mishaps like to happen in the very moment of something else.
        let at = if random.one_in(2) { at / 1_000 * 1_000 } else { at };
        let _ = writeln!(text, "at {at}ms {what}");
    }
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
    optional(
        text,
        random,
        4,
        " pull=",
        &["2s", "ErrImagePull,ok", "1s:ErrImagePull,1s", "ErrImageNeverPull,ok"],
    );
    optional(
        text,
        random,
        4,
        " start=",
        &["create-fails,ok", "exec-fails,ok", "slow:2s", "late:2s", "ok,slow:3s"],
    );
    if kind != "sidecar" {
        optional(text, random, 6, " restart=", &["OnFailure", "Never"]);
    }
    if random.one_in(5) {
        let rule =
            random.of(&["42:Restart", "42:RestartAllContainers", "!0:RestartAllContainers", "1:Restart"]);
        let _ = write!(text, " rules={rule}");
    }
    if kind != "init" {
        optional(text, random, 4, " poststart=", &["0s", "2s", "1s:fail,1s", "4s:fail"]);
        optional(text, random, 4, " prestop=", &["1s", "3s:fail", "50s"]);
        if random.one_in(4) {
            let _ = write!(
                text,
                " startup={}",
                random.of(&["ok", "fail,ok", "fail", "error,ok", "500ms:fail,ok"])
            );
            optional(text, random, 3, " threshold=", &["1", "2"]);
            optional(text, random, 3, " delay=", &["2s"]);
            optional(text, random, 3, " probegrace=", &["1s", "8s"]);
        }
    }
    text.push('\n');
}

fn optional(text: &mut String, random: &mut Random, one_in: u64, key: &str, choices: &[&str]) {
    if random.one_in(one_in) {
        let _ = write!(text, "{key}{}", random.of(choices));
    }
}
