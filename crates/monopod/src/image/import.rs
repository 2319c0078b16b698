//! `monopod image import`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use images::{Applets, ImportOptions, ImportedProcess, LivingPods, Store};

use super::cli::Import;
use super::output::with_remedy;
use super::{parse_name, refused, source};

/// In place of names of applets.
const AUTO: &str = "auto";

pub(super) fn import(store: &Store, options: &Import, pods: LivingPods<'_>) -> Result<ExitCode> {
    let parsed = match parse(options) {
        Ok(parsed) => parsed,
        Err(error) => return Ok(refused(&error)),
    };
    let imported = store
        .import(&source(&options.source), &parsed, pods)
        .with_context(|| format!("cannot import {}", options.source.display()))
        .map_err(with_remedy)?;
    Ok(crate::print(format!("imported {}\n", imported.names.join(" ")).as_bytes()))
}

fn parse(options: &Import) -> Result<ImportOptions> {
    let applets = match options.applets.as_slice() {
        [] => Applets::Auto,
        [only] if only == AUTO => Applets::Asked,
        names => Applets::Named(names.to_vec()),
    };
    for variable in &options.env {
        if variable.split_once('=').is_none_or(|(name, _)| name.is_empty()) {
            bail!("--env {variable:?}: is not NAME=VALUE");
        }
    }
    let label = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => bail!("--label {text:?}: is not NAME=VALUE"),
    };
    if options.workdir.as_ref().is_some_and(|dir| !dir.starts_with('/')) {
        bail!("--workdir: must be an absolute path");
    }
    let process = ImportedProcess {
        entrypoint: words("--entrypoint", &options.entrypoint)?,
        cmd: words("--cmd", &options.cmd)?,
        env: options.env.clone(),
        working_dir: options.workdir.clone(),
        user: options.user.clone(),
        labels: options.label.iter().map(label).collect::<Result<BTreeMap<_, _>>>()?,
    };
    Ok(ImportOptions { name: parse_name("NAME", &options.name)?, applets, process })
}

/// No quoting is known: for words with spaces in them there is JSON.
fn words(flag: &str, text: &str) -> Result<Vec<String>> {
    if text.starts_with('[') {
        return serde_json::from_str(text)
            .with_context(|| format!("{flag} {text:?}: is no array of strings"));
    }
    if text.contains(['"', '\'', '\\']) {
        bail!("{flag} {text:?}: quotes and backslashes mean nothing here: give a JSON array of words");
    }
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn quotes_are_refused() {
        for text in ["sh -c 'a b'", r#"sh -c "a b""#, r"a\ b"] {
            let error = words("--cmd", text).unwrap_err().to_string();
            assert!(error.contains("JSON array"), "{error}");
        }
        assert_eq!(words("--cmd", r#"["it's"]"#).unwrap(), ["it's"]);
    }

    #[test]
    fn words_and_arrays_of_them() {
        assert_eq!(words("--cmd", "").unwrap(), [""; 0]);
        assert_eq!(words("--cmd", " sh  -l ").unwrap(), ["sh", "-l"]);
        assert_eq!(words("--cmd", r#"["sh", "-c", "a b"]"#).unwrap(), ["sh", "-c", "a b"]);
        assert!(words("--cmd", "[1]").is_err() && words("--cmd", "[").is_err());
    }
}
