//! How long a start takes; only when asked.

use std::time::{Duration, Instant};

use crate::Case;
use crate::bed::{Bed, finish};

pub(crate) const CASES: &[Case] = &[("measure_a_start", measure_a_start)];

const ROUNDS: usize = 100;
const PAUSE: Duration = Duration::from_millis(30);

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
    for (name, mut times) in [("spawn", starts), ("end and removal", ends)] {
        times.sort();
        println!("{name}: min {:?}, p10 {:?}, median {:?}", times[0], times[ROUNDS / 10], times[ROUNDS / 2]);
    }
    let begin = Instant::now();
    bed.destroy();
    println!("teardown: {:?}", begin.elapsed());
}
