//! The program: command line only.

mod cli;
mod client;
mod engine;
mod footprint;
mod image;
mod images;
mod lint;
mod logs;
mod network;
mod outcome;
mod preflight;
mod remedy;
mod reset;
mod run;
mod serve;
mod services;
mod signals;
mod simulate;
mod start_trace;

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser};
use linux_sys::{clock, signal};
use rustix::fs::Mode;
use rustix::process::Signal;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

use cli::{Cli, Command, LogFormat};
use images::{Asker, ImageOptions};
use kubelet::Paths;
use node::{Node, Program};
use start_trace::{StartTrace, step};

/// The hidden first argument of the per-pod supervisor.
const SHIM: &str = "shim";
/// And that of the hook such a one makes when its engine is gone.
const HTTP_HOOK: &str = "http-hook";

fn main() -> ExitCode {
    let began_ns = clock::boot_ns();
    expect_signals();
    // Before anything else: a shim is there for as long as its pod and has to stay small.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == SHIM) {
        return shim::main();
    }
    if std::env::args_os().nth(1).is_some_and(|argument| argument == HTTP_HOOK) {
        return prober::run_hook_process(std::env::args_os().skip(2));
    }
    let cli = Cli::parse_from(simulate::respelled(std::env::args_os()));
    expect_umask(&cli.command);
    let trace = cli.command.traces_starts().then(|| StartTrace::new(cli.global.log_format, began_ns));
    init_log(&cli, trace.as_ref());
    match dispatch(&cli, trace) {
        Ok(code) => code,
        Err(error) => {
            outcome::report(&error);
            ExitCode::from(outcome::FAILURE)
        }
    }
}

fn dispatch(cli: &Cli, trace: Option<StartTrace>) -> Result<ExitCode> {
    match &cli.command {
        Command::Run(options) => run_pods(cli, options, trace),
        Command::Serve(options) => serve_api(cli, options, trace),
        Command::Simulate(options) => simulate::simulate(options, cli.global.namespace.as_deref()),
        Command::Client(verb) => client::run(verb, &cli.global, &paths(cli)?),
        Command::Lint(options) => lint::lint(options, cli.global.namespace.as_deref()),
        Command::Image(options) => {
            // An import may ask a program of somebody else for its applets.
            keep_inherited_descriptors();
            image::image(options, &paths(cli)?)
        }
        Command::Reset(options) => {
            preflight::check_machine()?;
            Ok(reset::reset(&paths(cli)?, options.keep_images)?.report())
        }
        Command::Version => Ok(print(concat!("monopod ", env!("CARGO_PKG_VERSION"), "\n").as_bytes())),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "monopod", &mut script);
            Ok(print(&script))
        }
    }
}

/// Who started this program may have left signals ignored or blocked, without which neither engine nor
/// shim can work. Failing that they are as they are.
fn expect_signals() {
    let [interrupt, terminate, hangup] = [Signal::INT, Signal::TERM, Signal::HUP].map(Signal::as_raw);
    // What asks for the end before anybody listens has to end the program, not be lost.
    let _ = signal::restore(&[Signal::CHILD.as_raw(), interrupt, terminate]);
    let _ = signal::unblock(&[hangup]);
    // A file may not grow over a limit the caller set: an error, as on a full disk.
    let _ = signal::ignore(Signal::XFSZ.as_raw());
}

/// What pods have on the machine is open to as many as this program says, whoever starts it. A file that is
/// made for the caller stays as closed as the caller wants it, and is never open to more.
fn expect_umask(command: &Command) {
    let ours = Mode::WGRP | Mode::WOTH;
    let callers = rustix::process::umask(ours);
    if matches!(command, Command::Image(_) | Command::Client(_) | Command::Lint(_)) {
        rustix::process::umask(ours | callers);
    }
}

/// A reader that has gone is no failure.
fn print(text: &[u8]) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            outcome::report(&anyhow::Error::new(error).context("cannot write to standard output"));
            ExitCode::from(outcome::FAILURE)
        }
        _ => ExitCode::SUCCESS,
    }
}

fn run_pods(cli: &Cli, options: &cli::Run, trace: Option<StartTrace>) -> Result<ExitCode> {
    keep_inherited_descriptors();
    let read = step("read the manifests")
        .in_scope(|| run::read_manifests(&options.manifests, cli.global.namespace.as_deref()));
    let manifests = match read {
        Ok(manifests) => manifests,
        Err(refused) => {
            outcome::say(format_args!("error: {refused}"));
            return Ok(ExitCode::from(outcome::REFUSED));
        }
    };
    for warning in &manifests.warnings {
        outcome::say(format_args!("warning: {warning}"));
    }
    let node = node(cli, &options.images, Asker::Command)?;
    let outcome = runtime()?.block_on(run::run(options, manifests.objects, node, trace))?;
    Ok(outcome.report())
}

fn serve_api(cli: &Cli, options: &cli::Serve, trace: Option<StartTrace>) -> Result<ExitCode> {
    keep_inherited_descriptors();
    let node = node(cli, &options.images, Asker::Server)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the event loop")?;
    Ok(runtime.block_on(serve::serve(options, node, trace))?.report())
}

/// What pods run on, if this machine has what they need.
fn node(cli: &Cli, images: &ImageOptions, asker: Asker) -> Result<Node> {
    let registries = images.registries(asker)?;
    let paths = paths(cli)?;
    step("look at the machine").in_scope(|| {
        preflight::check_machine()?;
        preflight::check_place(&paths)
    })?;
    let node = step("read what the node has").in_scope(|| Node::new(paths, Program::default()))?;
    node::raise_open_files();
    Ok(node.with_registries(registries))
}

/// Descriptors the caller left open stay here: a shim outlives this process, and whoever waits for the
/// other end of a pipe must not have to wait for a pod.
fn keep_inherited_descriptors() {
    const AFTER_STDERR: u32 = 3;
    if let Err(error) = linux_sys::exec::close_on_exec_from(AFTER_STDERR) {
        tracing::warn!("pods will hold on to the descriptors this program was started with: {error}");
    }
}

/// One thread is enough: containers are not in this process, and what waits for them does little.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the event loop")
}

fn paths(cli: &Cli) -> Result<Paths> {
    // Shims and containers have working directories of their own.
    let root = std::path::absolute(&cli.global.root)
        .with_context(|| format!("--root {}", cli.global.root.display()))?;
    let data_dir = match &cli.global.data_dir {
        Some(dir) => std::path::absolute(dir).with_context(|| format!("--data-dir {}", dir.display()))?,
        None => root.join("var/lib/monopod"),
    };
    Ok(Paths { data_dir, run_dir: root.join("run/monopod"), log_dir: root.join("var/log/pods") })
}

/// The engine's own messages, on standard error, and what `trace` collects.
fn init_log(cli: &Cli, trace: Option<&StartTrace>) {
    let level = match cli.global.verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::TRACE,
    };
    let stderr = std::io::stderr;
    let messages = fmt::layer()
        .with_writer(stderr)
        // It would be said on a standard error that takes nothing, by a panic.
        .log_internal_errors(false)
        .with_ansi(stderr().is_terminal() && outcome::may_color());
    let messages = match cli.global.log_format {
        LogFormat::Text => messages.without_time().with_target(false).boxed(),
        LogFormat::Json => messages.json().boxed(),
    };
    // The spans of starts are nobody's context.
    let shown = Targets::new().with_default(level).with_target(start_trace::TARGET, LevelFilter::OFF);
    let mut layers = vec![messages.with_filter(shown).boxed()];
    layers.extend(trace.map(|trace| trace.layer().boxed()));
    registry().with(layers).init();
}
