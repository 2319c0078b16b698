//! What a container runs, as far as its manifest says.

use std::collections::BTreeMap;

use podspec::FieldPath;
use podspec::json::{list, texts};
use serde_json::Value;

use crate::pod::Variable;
use crate::shell::{self, Call, Plain};

/// What is longer is cut: no rule needs the rest of it.
pub(crate) const TEXT_BYTES_MAX: usize = 64 << 10;
const WORDS_MAX: usize = 1_024;

/// A word of `command` or `args`.
pub(crate) struct Word<'a> {
    pub(crate) path: FieldPath,
    /// As it stands in the manifest.
    pub(crate) raw: &'a str,
    /// With `$(NAME)` put in, where the value is known.
    pub(crate) text: String,
}

/// The commands a container runs.
#[derive(Default)]
pub(crate) struct Program {
    pub(crate) calls: Vec<Call>,
    /// Nothing else is run: the command is given, and is a program by name or a script that was understood.
    pub(crate) is_known: bool,
    /// The script of a shell that is the container's first process.
    pub(crate) script: Option<String>,
    /// What never ends, as `podspec::endless` says it.
    pub(crate) endless: Option<&'static str>,
}

impl Program {
    pub(crate) fn of(container: &Value, words: &[Word<'_>], env: &BTreeMap<&str, Variable<'_>>) -> Self {
        let has_command = texts(container, "command").is_some();
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        let known = env.iter().map(|(name, variable)| (*name, variable.value)).collect();
        let mut program = of_words(&texts, &known);
        if !has_command {
            // What the image's entrypoint is, and what it makes of its arguments, is not known.
            program.is_known = false;
            if program.script.is_none() {
                program.calls.iter_mut().for_each(|call| call.words.insert(0, Plain::default()));
            }
        } else {
            let words: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            program.endless = podspec::endless(&words);
        }
        program
    }
}

/// The commands of an exec action.
pub(crate) fn of_action(action: &Value, env: &BTreeMap<&str, Variable<'_>>) -> Program {
    let words = texts(action, "command").unwrap_or_default();
    let texts: Vec<&str> = words.iter().take(WORDS_MAX).map(|word| cut(word)).collect();
    let known = env.iter().map(|(name, variable)| (*name, variable.value)).collect();
    of_words(&texts, &known)
}

fn of_words(words: &[&str], known: &BTreeMap<&str, &str>) -> Program {
    if let Some(script) = shell::script_of(words) {
        let parsed = shell::parse(script, known);
        return Program {
            calls: parsed.calls,
            is_known: parsed.is_whole,
            script: Some(script.to_owned()),
            endless: None,
        };
    }
    if words.is_empty() {
        return Program::default();
    }
    let call = Call {
        words: words.iter().map(|word| Plain { text: (*word).to_owned(), is_plain: true }).collect(),
        ..Call::default()
    };
    Program { calls: vec![call], is_known: true, ..Program::default() }
}

/// The words of `command` and `args`, as long as there are bytes left for them.
pub(crate) fn words<'a>(
    container: &'a Value,
    path: &FieldPath,
    env: &BTreeMap<&'a str, Variable<'a>>,
    texts_bytes: &mut usize,
) -> Vec<Word<'a>> {
    let mut words = Vec::new();
    for field in ["command", "args"] {
        let path = path.child(field);
        for (i, word) in list(container, field).iter().enumerate().take(WORDS_MAX) {
            let Some(raw) = word.as_str().map(cut) else { continue };
            let text = expand(raw, env);
            let Some(left) = texts_bytes.checked_sub(text.len()) else { return words };
            *texts_bytes = left;
            words.push(Word { path: path.index(i), raw, text });
        }
    }
    words
}

/// What fits, up to a whole character.
pub(crate) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

/// `$(NAME)` of variables whose values the manifest has; `$$` is a dollar.
fn expand(raw: &str, env: &BTreeMap<&str, Variable<'_>>) -> String {
    let mut text = String::new();
    let mut rest = raw;
    while let Some(at) = rest.find("$(") {
        let (before, reference) = rest.split_at(at);
        text.push_str(before);
        let known = reference[2..].split_once(')').and_then(|(name, after)| Some((env.get(name)?, after)));
        match known {
            Some((variable, after)) if !before.ends_with('$') && text.len() < TEXT_BYTES_MAX => {
                text.push_str(cut(variable.value));
                rest = after;
            }
            _ => {
                text.push_str("$(");
                rest = &reference[2..];
            }
        }
    }
    text.push_str(rest);
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    text
}
