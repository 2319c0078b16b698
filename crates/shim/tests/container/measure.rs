//! How long a start takes; only when asked.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use linux_sys::process::wait;

use crate::Case;
use crate::bed::{Bed, finish, wait_end};

pub(crate) const CASES: &[Case] =
    &[("measure_a_start", measure_a_start), ("measure_a_command", measure_a_command)];

const ROUNDS: usize = 100;
const PAUSE: Duration = Duration::from_millis(30);

fn show(name: &str, mut times: Vec<Duration>) {
    times.sort();
    println!("{name}: min {:?}, p10 {:?}, median {:?}", times[0], times[ROUNDS / 10], times[ROUNDS / 2]);
}

/// As a probe: a command that does nothing.
fn measure_a_command(bed: &Bed) {
    if std::env::var_os("MONOPOD_MEASURE").is_none() {
        return;
    }
    bed.enter();
    let running = bed.spawn(&bed.config(&["sleep", "1000"])).unwrap();
    let (mut begins, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        std::thread::sleep(PAUSE);
        let begin = Instant::now();
        let executed = bed.exec(&running.container, &["true"]).unwrap();
        begins.push(begin.elapsed());
        wait_end(executed.pidfd.as_fd());
        wait(executed.pidfd.as_fd()).unwrap();
        ends.push(begin.elapsed());
    }
    show("a command begins", begins);
    show("a command has ended", ends);
    running.container.kill_all().unwrap();
    finish(running);
}

fn measure_a_start(bed: &Bed) {
    if std::env::var_os("MONOPOD_MEASURE").is_none() {
        return;
    }
    let entering = Instant::now();
    bed.enter();
    println!("sandbox: {:?}", entering.elapsed());
    let config = bed.config(&["true"]);
    let mut starts: Vec<Duration> = Vec::new();
    let mut ends: Vec<Duration> = Vec::new();
    for _ in 0..ROUNDS {
        // Long enough for the kernel to be cold again, as it is when a pod starts.
        std::thread::sleep(PAUSE);
        let begin = Instant::now();
        let spawned = bed.spawn(&config).unwrap();
        starts.push(begin.elapsed());
        let begin = Instant::now();
        finish(spawned).ok();
        ends.push(begin.elapsed());
    }
    show("spawn", starts);
    show("end and removal", ends);
    let begin = Instant::now();
    bed.destroy();
    println!("teardown: {:?}", begin.elapsed());
}
