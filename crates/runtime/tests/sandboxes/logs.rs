//! Logs of real containers: fast writers, rotation, followers.

use std::fs;
use std::time::Instant;

use container_config::LogLimits;
use cri_log::LogName;
use runtime::logs::{LogFollower, LogWatcher};

use crate::Case;
use crate::bed::{Bed, PATIENCE};

pub(crate) const CASES: &[Case] = &[
    ("a_follower_loses_no_line_of_a_fast_writer", a_follower_loses_no_line_of_a_fast_writer),
    ("a_follower_goes_on_with_the_next_attempt", a_follower_goes_on_with_the_next_attempt),
];

/// About 70 MB of log: seven files.
const LINES: u64 = 1_500_000;

fn a_follower_loses_no_line_of_a_fast_writer(bed: &Bed) {
    let engine = bed.engine();
    let pod = bed.pod(&format!("containers:\n- {{name: a, image: i, command: [seq, '1', '{LINES}']}}"), true);
    let running = engine.create(&pod);
    let _guard = bed.enter();
    let watcher = LogWatcher::new().unwrap();
    let follower = watcher.follow(&pod.log_dir.join("a"), 0).unwrap();
    let finish = follower.finish_handle();
    let began = Instant::now();
    running.start("a", 0);
    let reader = tokio::spawn(count_lines(follower));
    assert_eq!(running.exit_of("a", 0).code, 0);
    let written = began.elapsed();
    finish.finish();
    assert_eq!(bed.wait(reader).unwrap(), LINES);
    let (written, read) = (written.as_millis(), began.elapsed().as_millis());
    println!("  {LINES} lines written in {written} ms, read in {read} ms");
    let limits = LogLimits::default();
    let mut names: Vec<LogName> = fs::read_dir(pod.log_dir.join("a"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .inspect(|entry| assert!(entry.metadata().unwrap().len() <= limits.file_bytes_max))
        .map(|entry| LogName::parse(entry.file_name().to_str().unwrap()).unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), limits.files_max);
    running.end();
}

/// Every line is the next number.
async fn count_lines(mut follower: LogFollower) -> u64 {
    let mut count = 0;
    while let Some(chunk) = follower.next_chunk().await.unwrap() {
        assert!(!chunk.after_gap, "after line {count}");
        for record in chunk.records() {
            count += 1;
            let text = std::str::from_utf8(record.text).unwrap();
            assert_eq!(text.parse(), Ok(count));
        }
    }
    count
}

fn a_follower_goes_on_with_the_next_attempt(bed: &Bed) {
    let engine = bed.engine();
    let pod = bed.pod("containers:\n- {name: a, image: i, command: [sh, -c, 'echo begin; echo end']}", true);
    let running = engine.create(&pod);
    let _guard = bed.enter();
    let watcher = LogWatcher::new().unwrap();
    let mut follower = watcher.follow(&pod.log_dir.join("a"), 0).unwrap();
    let finish = follower.finish_handle();
    let reader = tokio::spawn(async move {
        let mut found = Vec::new();
        while let Some(chunk) = follower.next_chunk().await.unwrap() {
            let lines = chunk.records().map(|record| String::from_utf8_lossy(record.text).into_owned());
            found.extend(lines.map(|line| format!("{} {line}", chunk.attempt)));
        }
        found
    });
    for attempt in 0..2 {
        running.start("a", attempt);
        running.exit_of("a", attempt);
    }
    finish.finish();
    let found = bed.wait(async { tokio::time::timeout(PATIENCE, reader).await }).unwrap().unwrap();
    assert_eq!(found, ["0 begin", "0 end", "1 begin", "1 end"]);
    running.end();
}
