//! Plays every `scenarios/*.scn` and compares it with the timeline below its `---` line.
//! `UPDATE_EXPECT=1` writes the timelines anew.

use std::fs;
use std::path::{Path, PathBuf};

use sim::Scenario;

const SEPARATOR: &str = "---\n";

#[test]
fn scenarios_play_as_written() {
    let mut failures = Vec::new();
    let files = scenario_files();
    assert!(!files.is_empty(), "no scenarios found");
    for path in &files {
        if let Err(failure) = play(path) {
            failures.push(format!("{}:\n{failure}", path.display()));
        }
    }
    assert!(failures.is_empty(), "{} of {} failed\n{}", failures.len(), files.len(), failures.join("\n"));
}

fn play(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
    let (script, expected) = text.split_once(SEPARATOR).unwrap_or((&text, ""));
    let scenario = Scenario::parse(script).map_err(|e| e.to_string())?;
    let timeline = std::panic::catch_unwind(|| sim::run(&scenario)).map_err(|_| "panicked, see above")?;
    if timeline == expected {
        return Ok(());
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return fs::write(path, format!("{script}{SEPARATOR}{timeline}")).map_err(|e| e.to_string());
    }
    Err(difference(expected, &timeline))
}

/// The first line that differs, with the lines around it.
fn difference(expected: &str, found: &str) -> String {
    let same = expected.lines().zip(found.lines()).take_while(|(a, b)| a == b).count();
    let show = |text: &str| {
        text.lines().skip(same.saturating_sub(2)).take(6).map(|l| format!("    {l}\n")).collect::<String>()
    };
    format!("  line {} expected\n{}  found\n{}", same + 1, show(expected), show(found))
}

fn scenario_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the scenarios folder")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "scn"))
        .collect();
    files.sort();
    files
}
