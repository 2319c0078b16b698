//! What a start, a shim, a log line, the API and the network cost, and how late things are. `cargo xtask bench` builds this and the release binary, and
//! runs both.
//!
//! One program with four parts: it measures; it is the floor ([`floor`]) that starts are measured beside; it keeps the place
//! ([`beside`]) where programs of others run, as podman; and it is what runs in all their containers ([`inside`]), so that all
//! start the same program.

mod bed;
mod beside;
mod chart;
mod engine;
mod floor;
mod image;
mod inside;
mod layer;
mod load;
mod machine;
mod plan;
mod pod;
mod podman;
mod profile;
mod reaper;
mod report;
mod stats;
mod table;
mod timed;
mod wait;
mod workload;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

use bed::Bed;
use beside::{keeper, namespaces};
use linux_sys::namespace::{self, Namespaces};
use load::Reading;
use machine::Machine;
use report::Report;
use workload::Size;

const USAGE: &str =
    "usage: bench MONOPOD [--quick] [--only PART[,PART...]] [--json FILE] [--report DIR] [--commit NAME]
       (as root; `cargo xtask bench` builds both programs)";

fn main() -> ExitCode {
    let began = linux_sys::clock::boot_ns();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        // First: its time is what is measured.
        ["stamp", name] => inside::stamp(name, began),
        ["hold", name] => inside::hold(name, began),
        ["describe"] => inside::describe(),
        ["describe", "then-tell", file] => inside::describe_and_tell(Path::new(file)),
        ["describe", "when-told", file] => inside::describe_when_told(Path::new(file)),
        ["write", exchange, bytes, line_bytes] => inside::write(Path::new(exchange), bytes, line_bytes),
        ["agent", name, exchange] => inside::agent::main(name, Path::new(exchange)),
        ["probed", file] => inside::probed::main(Path::new(file), began),
        ["true"] => Ok(()),
        [keeper::COMMAND] => keeper::main(),
        ["apart", program, ref args @ ..] => namespaces::apart(program, args),
        ["timed", ref args @ ..] => timed::main(args, began),
        ["floor", plan] => floor::main(Path::new(plan)),
        ["floor-many", list] => floor::many::main(Path::new(list)),
        _ => return reaper::run(|| i32::from(!is_done(measure(&args)))).unwrap_or(ExitCode::FAILURE),
    };
    if is_done(done) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says why not.
fn is_done(done: Result<()>) -> bool {
    done.inspect_err(|error| eprintln!("bench: {error:#}")).is_ok()
}

fn measure(args: &[&str]) -> Result<()> {
    let options = Options::parse(args)?;
    if !rustix::process::geteuid().is_root() {
        bail!("needs root, as monopod does: it makes namespaces, mounts and cgroups");
    }
    let began = Reading::now();
    // Before there is any other thread: engines change the network that they are in.
    namespace::unshare(Namespaces::NET).context("cannot make a network namespace")?;
    namespace::set_loopback_up().context("cannot set its loopback interface up")?;
    let bed = Bed::new(&options.program)?;
    let programs = machine::programs(&options.program);
    let quick = options.size == Size::Quick;
    let mut report = Report::new(Machine::now(bed.dir()), programs, options.commit.clone(), quick);
    workload::measure(&bed, options.size, options.only.as_deref(), &options.program, &mut report)?;
    report.machine.finish(&began.until_now());
    print!("{}", table::table(&report));
    report.profiles.iter().for_each(|profile| print!("\n{}", profile.text()));
    if let Some(path) = &options.json {
        write(path, &(serde_json::to_string_pretty(&report)? + "\n"))?;
    }
    if let Some(dir) = &options.report {
        write_report(dir, &report)?;
    }
    let failed: Vec<(&str, &str)> = report.failed().collect();
    for (part, why) in &failed {
        println!("FAILED  bench::{part}: {why}");
    }
    ensure!(failed.is_empty(), "{} parts failed, and their rows are missing", failed.len());
    Ok(())
}

/// What is kept in the repository.
fn write_report(dir: &Path, report: &Report) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let summary = serde_json::to_string_pretty(&report.summary()?)? + "\n";
    write(&dir.join("report.txt"), table::table(report).trim_start())?;
    write(&dir.join("report.json"), &summary)?;
    if let Some(text) = profile::text(report) {
        write(&dir.join("profile.txt"), text.trim_start())?;
    }
    write(&dir.join("chart.svg"), &chart::svg(report))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[derive(Debug)]
struct Options {
    program: PathBuf,
    size: Size,
    only: Option<String>,
    json: Option<PathBuf>,
    /// A directory.
    report: Option<PathBuf>,
    /// What the program was built from.
    commit: Option<String>,
}

impl Options {
    fn parse(args: &[&str]) -> Result<Self> {
        let [program, flags @ ..] = args else { bail!("{USAGE}") };
        let mut options = Self {
            program: PathBuf::from(program),
            size: Size::Full,
            only: None,
            json: None,
            report: None,
            commit: None,
        };
        let mut flags = flags.iter();
        while let Some(flag) = flags.next() {
            if *flag == "--quick" {
                options.size = Size::Quick;
                continue;
            }
            let value = flags.next().context(USAGE)?;
            match *flag {
                "--only" => options.only = Some((*value).to_owned()),
                "--json" => options.json = Some(PathBuf::from(value)),
                "--report" => options.report = Some(PathBuf::from(value)),
                "--commit" => options.commit = Some((*value).to_owned()),
                _ => bail!("{USAGE}"),
            }
        }
        Ok(options)
    }
}
