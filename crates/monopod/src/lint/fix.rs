//! `--fix`: the corrections written where the manifests are, or shown.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use lint::text::{Lines, Mended, Options, Text, mend, patch};

use super::report::plural;
use crate::outcome;
use crate::run::ManifestText;

/// Tries at a name for a file that nobody has.
const NAMES_MAX: u32 = 100;

/// Mends every manifest. What is shown instead of written comes back as a patch; of standard input, the corrected text goes to
/// standard output.
pub(super) fn fix(files: &mut [ManifestText], options: &Options, only_show: bool) -> Result<()> {
    let texts: Vec<(String, String)> =
        files.iter().map(|file| (file.name.clone(), file.text.clone())).collect();
    let texts: Vec<Text<'_>> = texts.iter().map(|(name, text)| Text { name, text }).collect();
    let mut patches = String::new();
    for (file, text) in files.iter_mut().zip(&texts) {
        let mended = mend(*text, &texts, options);
        for line in told(&file.name, text.text, &mended) {
            outcome::say(format_args!("{line}"));
        }
        if only_show {
            patches.push_str(&patch(&file.name, &file.text, &mended.text));
        } else if let Some(path) = &file.path {
            if mended.text != file.text {
                replace(path, &mended.text).with_context(|| format!("cannot write {}", path.display()))?;
            }
        } else {
            outcome::print(mended.text.as_bytes())?;
        }
        file.text = mended.text;
    }
    outcome::print(patches.as_bytes())
}

/// What was done and what was not, a line each.
fn told(name: &str, text: &str, mended: &Mended) -> Vec<String> {
    let title =
        |located: &lint::text::Located| located.fix.as_ref().map_or("", |fix| fix.title.as_str()).to_owned();
    let done = mended.done.iter().map(|located| format!("{name}: {} [{}]", title(located), located.rule.id));
    let mut lines: Vec<String> = done.collect();
    let of_text = Lines::of(text);
    for (located, error) in &mended.left {
        let line = if mended.done.is_empty() { of_text.line(located.at.range().start) } else { 0 };
        let place = if line > 0 { format!("{name}:{line}") } else { name.to_owned() };
        lines.push(format!("{place}: could not {} [{}]: {error}", title(located), located.rule.id));
    }
    if mended.is_cut {
        let count = plural(mended.done.len(), "correction", "corrections");
        lines.push(format!("{name}: stopped after {count}: run it again for more"));
    }
    lines
}

/// Puts a text in the place of a file, whole or not at all; owner and mode stay. A link is followed.
fn replace(path: &Path, text: &str) -> Result<()> {
    let path = fs::canonicalize(path)?;
    let before = fs::metadata(&path)?;
    let (temporary, mut file) = beside(&path)?;
    let written = (|| {
        file.write_all(text.as_bytes())?;
        // Only root can give a file away; where the two are the same, nothing is to be done.
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (before.uid(), before.gid()) {
            fchown(&file, Some(before.uid()), Some(before.gid()))?;
        }
        file.set_permissions(before.permissions())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)
    })();
    if written.is_err() {
        // The first error counts.
        let _ = fs::remove_file(&temporary);
    }
    Ok(written?)
}

fn beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut number = 0;
    loop {
        let temporary = path.with_file_name(format!(".{name}.{}-{number}", std::process::id()));
        match File::options().write(true).create_new(true).open(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < NAMES_MAX => number += 1,
            opened => return opened.map(|file| (temporary, file)),
        }
    }
}
