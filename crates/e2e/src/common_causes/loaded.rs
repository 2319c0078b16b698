//! The manifests of `common-causes/`, with images that this machine has: their names alone are others.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::archive::{Layer, docker};
use crate::bed::{Bed, SOON};
use crate::suites::images;
use crate::wait;

/// What their containers use.
const PROGRAMS: [&str; 9] = ["sh", "sleep", "date", "tail", "cat", "touch", "ls", "nc", "wget"];

/// Serves a page on port 8080 until it is told to end.
const APP: &str = r"trap 'exit 0' TERM; echo app
while true; do
  printf 'HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\nserved\n' | nc -l -N 8080 > /dev/null & wait $!
done";
/// Ships what the app writes, as that of its name does.
const SHIPPER: &str = "exec tail -n +1 -F /var/log/app.log";

/// One of them, with the names of images that [`load`] loads.
pub(crate) fn manifest(name: &str) -> Result<String> {
    let path = super::repository().join("crates/e2e/common-causes").join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(["app:latest", "filebeat:latest", "busybox:1.36"].iter().fold(text, |text, image| {
        text.replace(&format!("image: {image}"), &format!("image: localhost/{image}"))
    }))
}

/// Images with a few of this machine's programs.
pub(crate) fn load(bed: &Bed) -> Result<()> {
    let entrypoint = |script: &str| json!({"Entrypoint": ["sh", "-c", script], "Env": ["PATH=/bin"]});
    for (name, process) in [
        ("localhost/app:latest", entrypoint(APP)),
        ("localhost/filebeat:latest", entrypoint(SHIPPER)),
        ("localhost/busybox:1.36", json!({"Cmd": ["sh"], "Env": ["PATH=/bin"]})),
    ] {
        load_one(bed, name, &process)?;
    }
    Ok(())
}

fn load_one(bed: &Bed, name: &str, process: &Value) -> Result<()> {
    let archive = bed.dir().join("common-cause.tar");
    fs::write(&archive, docker(name, process, vec![programs()?])?)?;
    images::run(bed, &["load", archive.to_str().context("the test's directory is no text")?])?
        .expect_code(0)?;
    Ok(())
}

/// The programs, with the libraries that they are linked to.
fn programs() -> Result<Layer> {
    let mut layer =
        Layer::new().directory("bin", 0o755)?.directory("tmp", 0o1777)?.directory("var/log", 0o755)?;
    let mut libraries = BTreeSet::new();
    for program in PROGRAMS {
        let path = ["/usr/bin", "/bin"]
            .map(|dir| Path::new(dir).join(program))
            .into_iter()
            .find(|path| path.exists());
        let path = path.with_context(|| format!("this machine has no {program}"))?;
        let path = fs::canonicalize(path)?;
        layer = layer.program(&format!("bin/{program}"), &fs::read(&path)?)?;
        let listed = Command::new("ldd").arg(&path).output().context("cannot run ldd")?;
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        libraries.extend(text.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned));
    }
    for library in libraries {
        layer = layer.program(library.trim_start_matches('/'), &fs::read(&library)?)?;
    }
    Ok(layer)
}

/// `monopod why POD`, until it says all of `parts`; what it said.
pub(crate) fn wait_why(bed: &Bed, arguments: &[&str], parts: &[&str]) -> Result<String> {
    let mut last = String::new();
    let found = wait::until(&format!("why {arguments:?} says {parts:?}"), SOON * 3, || {
        last = why(bed, arguments).unwrap_or_else(|error| error.to_string());
        let line: String = last.split_whitespace().collect::<Vec<_>>().join(" ");
        parts.iter().all(|part| line.contains(part)).then_some(())
    });
    found.with_context(|| format!("it said:\n{last}"))?;
    Ok(last)
}

/// What it says now; it has to succeed.
pub(crate) fn why(bed: &Bed, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(bed.program());
    command.arg("--root").arg(bed.root()).arg("why").args(arguments);
    let finished = bed.finish(&mut command)?;
    ensure!(finished.expect_code(0).is_ok(), "{}{}", finished.stdout, finished.stderr);
    Ok(finished.stdout)
}
