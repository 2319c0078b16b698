//! `monopod lint`: what will not work in manifests, before anything starts.

mod cli;
mod fix;
mod github;
mod human;
mod json;
mod report;
mod sarif;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::process::ExitCode;

use ::lint::Severity;
use ::lint::text::{Options, Text, all_rules, examine, page};
use anyhow::Result;

use crate::outcome;
use crate::run::{ManifestText, manifest_texts};
use cli::Format;
pub(crate) use cli::{HELP, Lint};
use report::Report;

/// Looks at the manifests; the exit code says how bad it is.
pub(crate) fn lint(options: &Lint, namespace: Option<&str>) -> Result<ExitCode> {
    if options.list {
        return outcome::print(list().as_bytes()).map(|()| ExitCode::SUCCESS);
    }
    if let Some(id) = &options.explain {
        return outcome::print(page(id).unwrap_or_default().as_bytes()).map(|()| ExitCode::SUCCESS);
    }
    let (mut files, unreadable) = manifest_texts(&options.manifests);
    let wanted = Options {
        allow: options.allow.iter().cloned().collect(),
        only: options.rules.iter().cloned().collect(),
        namespace: namespace.map(str::to_owned),
    };
    let mut before = None;
    if options.fix {
        if options.diff {
            // Nothing is written, so it is as bad as it was.
            before = Some(code(&look(files.clone(), unreadable.clone(), &wanted), options.strict));
        }
        fix::fix(&mut files, &wanted, options.diff)?;
    }
    let report = look(files, unreadable, &wanted);
    let text = match options.output {
        Format::Human => human::render(&report, human::Style::of_output(options.fix, options.no_color)),
        Format::Json => json::render(&report),
        Format::Sarif => sarif::render(&report),
        Format::Github => github::render(&report),
    };
    // What is left goes beside the patch, or the corrected text.
    if options.fix {
        outcome::say(format_args!("{}", text.trim_end()));
    } else {
        outcome::print(text.as_bytes())?;
    }
    Ok(ExitCode::from(before.unwrap_or_else(|| code(&report, options.strict))))
}

fn look(files: Vec<ManifestText>, unreadable: Vec<String>, wanted: &Options) -> Report {
    let texts: Vec<Text<'_>> = files.iter().map(|file| Text { name: &file.name, text: &file.text }).collect();
    let examined = examine(&texts, wanted);
    Report { files: files.into_iter().zip(examined).collect(), unreadable }
}

fn code(report: &Report, strict: bool) -> u8 {
    let is_unreadable = report.files.iter().any(|(_, examined)| examined.is_unreadable);
    let is_bad = report.count(Severity::Error) > 0 || strict && report.count(Severity::Warning) > 0;
    match () {
        () if is_unreadable || !report.unreadable.is_empty() => outcome::REFUSED,
        () if is_bad => outcome::FAILURE,
        () => 0,
    }
}

fn list() -> String {
    let rules = all_rules();
    let width = rules.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
    let mut out = String::new();
    for rule in rules {
        let _ = writeln!(out, "{:width$}  {:7}  {}", rule.id, human::word(rule.severity), rule.summary);
    }
    out
}
