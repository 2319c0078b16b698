//! `cargo xtask screenshots`: what commands say, as the pictures of README.md.
//!
//! Each command runs on a terminal of a fixed size, with data that is in the repository, so that a picture changes only when what it
//! shows does. No root is needed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::shell;

/// Where they are, from the workspace.
const DIR: &str = "docs/images";
/// What a test of timelines has made: a pod that crashes.
const RECORD: &str = "./crates/explain/tests/timeline/golden/record.json";

struct Shot {
    name: &'static str,
    columns: u32,
    command: &'static str,
}

const SHOTS: [Shot; 4] = [
    Shot { name: "lint", columns: 100, command: "lint examples/broken/paths-do-not-meet.yaml" },
    Shot { name: "why", columns: 100, command: "why RECORD" },
    Shot { name: "timeline", columns: 110, command: "timeline RECORD" },
    Shot {
        name: "simulate",
        columns: 110,
        command: "simulate examples/sidecar-pod.yaml --exit main-container=1@5s --delete@60s",
    },
];
/// What `timeline -o svg` draws.
const PICTURE: &str = "timeline-picture";

pub(crate) fn take() -> Result<()> {
    ensure!(shell::exists("script"), "screenshots need script (bsdutils)");
    shell::run(&mut shell::cargo(&["build", "-q", "-p", "monopod"]))?;
    let root = shell::workspace_root();
    let program = shell::target_dir()?.join("debug/monopod");
    fs::create_dir_all(root.join(DIR)).with_context(|| format!("cannot make {DIR}"))?;
    for shot in &SHOTS {
        let said = on_a_terminal(&root, &program, shot)?;
        let text = format!("\x1b[1m$ monopod {}\x1b[0m\n{said}", shown(shot.command));
        let picture = anstyle_svg::Term::new().render_svg(&text);
        write(&root, shot.name, &picture)?;
    }
    let mut command = Command::new(&program);
    command.args(["timeline", RECORD, "-o", "svg"]).current_dir(&root);
    write(&root, PICTURE, &shell::output(&mut command)?)
}

/// With the path of the record as somebody would have it.
fn shown(command: &str) -> String {
    command.replace("RECORD", "web")
}

fn write(root: &Path, name: &str, picture: &str) -> Result<()> {
    let file = format!("{DIR}/{name}.svg");
    fs::write(root.join(&file), picture).with_context(|| format!("cannot write {file}"))?;
    println!("{file}");
    Ok(())
}

/// Its exit code is not looked at: lint finds what is wrong, and a simulated pod may fail.
fn on_a_terminal(root: &Path, program: &Path, shot: &Shot) -> Result<String> {
    let Shot { columns, command, .. } = shot;
    let command = command.replace("RECORD", RECORD);
    let line = format!("stty rows 60 cols {columns}; {} {command}", program.display());
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(root).stdin(Stdio::null());
    script
        .env_remove("NO_COLOR")
        .env_remove("COLUMNS")
        .envs([("TERM", "xterm-256color"), ("LC_ALL", "C.UTF-8")]);
    let output = script.stderr(Stdio::inherit()).output().context("cannot start script")?;
    let said = String::from_utf8(output.stdout).context("a screenshot is not UTF-8")?.replace("\r\n", "\n");
    ensure!(said.lines().count() > 2, "monopod {command} says nothing:\n{said}");
    Ok(said)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{DIR, PICTURE, SHOTS};
    use crate::shell::workspace_root;

    #[test]
    fn every_picture_is_there_and_shown() {
        let root = workspace_root();
        let readme = fs::read_to_string(root.join("README.md")).unwrap();
        for name in SHOTS.iter().map(|shot| shot.name).chain([PICTURE]) {
            let file = format!("{DIR}/{name}.svg");
            assert!(readme.contains(&file), "README.md does not show {file}");
            let picture = fs::read_to_string(root.join(&file)).unwrap_or_default();
            assert!(picture.starts_with("<svg"), "{file}: run `cargo xtask screenshots`");
        }
    }
}
