//! Reads the commands of a shell script, as far as they are plain text. What only a shell can tell is not guessed: a word that has to be
//! expanded is not plain, and a script with parts that are none of these is not whole.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// Scripts in scripts, and commands within commands.
const DEPTH_MAX: u32 = 8;
const CALLS_MAX: usize = 1_024;
/// What the values of variables may add to a script.
const VALUES_BYTES_MAX: usize = 64 << 10;
const SHELLS: [&str; 6] = ["sh", "bash", "ash", "dash", "ksh", "zsh"];

/// A script's commands in the order of its text.
pub(crate) struct Script {
    pub(crate) calls: Vec<Call>,
    /// Nothing was left out.
    pub(crate) is_whole: bool,
}

/// One program, or what is built into the shell, with its words.
#[derive(Clone, Default, Debug)]
pub(crate) struct Call {
    pub(crate) words: Vec<Plain>,
    pub(crate) redirects: Vec<Redirect>,
    /// In a loop, or what a loop waits for.
    pub(crate) is_repeated: bool,
    /// The script goes on when it fails.
    pub(crate) may_fail: bool,
    /// It depends on another command whether it is run.
    pub(crate) may_be_skipped: bool,
    pub(crate) in_background: bool,
    pub(crate) is_exec: bool,
}

#[derive(Clone, Default, Debug)]
pub(crate) struct Plain {
    pub(crate) text: String,
    /// `text` is all of it.
    pub(crate) is_plain: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Redirect {
    pub(crate) direction: Direction,
    pub(crate) target: Plain,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    Read,
    Write,
    /// Another descriptor, or text.
    Neither,
    HereDocument {
        strips_tabs: bool,
    },
}

impl Call {
    /// The name of the program, without its directory.
    pub(crate) fn program(&self) -> &str {
        let first = self.words.first().filter(|word| word.is_plain).map_or("", |word| word.text.as_str());
        first.rsplit('/').next().unwrap_or("")
    }

    /// The plain words after the program.
    pub(crate) fn arguments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.words.iter().skip(1).filter(|word| word.is_plain).map(|word| word.text.as_str())
    }
}

/// The script of `sh -c SCRIPT`.
pub(crate) fn script_of<'w>(words: &[&'w str]) -> Option<&'w str> {
    let (program, rest) = words.split_first()?;
    if !SHELLS.contains(&program.rsplit('/').next()?) {
        return None;
    }
    let flags = rest.iter().position(|word| !word.starts_with('-') && !word.starts_with('+'))?;
    let is_command = rest[..flags].iter().any(|flag| !flag.starts_with("--") && flag.contains('c'));
    is_command.then(|| rest[flags])
}

/// `known` are variables that the container has.
pub(crate) fn parse(script: &str, known: &BTreeMap<&str, &str>) -> Script {
    let mut parser = Parser::of(script, known);
    parser.commands(None);
    Script { is_whole: !parser.unclear && parser.calls.len() < CALLS_MAX, calls: parser.calls }
}

struct Parser<'s> {
    rest: Peekable<Chars<'s>>,
    known: &'s BTreeMap<&'s str, &'s str>,
    /// What the script sets; `None` of those whose value is not sure.
    variables: BTreeMap<String, Option<String>>,
    /// Left for values of variables.
    values_bytes: usize,
    calls: Vec<Call>,
    unclear: bool,
    depth: u32,
}

/// A list of commands that is being read.
#[derive(Default)]
struct List {
    call: Call,
    word: Option<Plain>,
    redirect: Option<Direction>,
    here_documents: Vec<(String, bool)>,
    loops: u32,
    cases: u32,
    /// Of `if`, up to `then`.
    in_condition: bool,
    branches: u32,
    braces: u32,
    /// In the body of a function, which ends with this many braces open.
    function: Option<u32>,
    /// After `&&` or `||`.
    is_chained: bool,
}

impl List {
    fn word(&mut self) -> &mut Plain {
        self.word.get_or_insert_with(|| Plain { text: String::new(), is_plain: true })
    }

    fn push(&mut self, character: char) {
        self.word().text.push(character);
    }

    /// Something that has to be expanded stands here; a zero byte takes its place, so that what is around it is not taken for one word.
    fn expanded(&mut self) {
        self.push('\0');
        self.vague();
    }

    fn vague(&mut self) {
        self.word().is_plain = false;
    }
}

impl<'s> Parser<'s> {
    fn of(script: &'s str, known: &'s BTreeMap<&'s str, &'s str>) -> Self {
        Self {
            rest: script.chars().peekable(),
            known,
            variables: BTreeMap::new(),
            values_bytes: VALUES_BYTES_MAX,
            calls: Vec::new(),
            unclear: false,
            depth: 0,
        }
    }

    /// Up to the end, or to `closing`.
    fn commands(&mut self, closing: Option<char>) {
        if self.depth >= DEPTH_MAX {
            self.unclear = true;
            self.rest = "".chars().peekable();
            return;
        }
        self.depth += 1;
        let mut list = List::default();
        while let Some(character) = self.rest.next() {
            if Some(character) == closing && (character != ')' || list.cases == 0) {
                break;
            }
            if self.calls.len() >= CALLS_MAX {
                break;
            }
            self.character(character, &mut list);
        }
        self.end_call(&mut list, false);
        self.depth -= 1;
    }

    fn character(&mut self, character: char, list: &mut List) {
        match character {
            '\\' => match self.rest.next() {
                Some('\n') | None => {}
                Some(escaped) => list.push(escaped),
            },
            '\'' => {
                list.word();
                while let Some(quoted) = self.rest.next_if(|c| *c != '\'') {
                    list.push(quoted);
                }
                self.rest.next();
            }
            '"' => self.quoted(list),
            '$' => self.dollar(list),
            '`' => self.backquoted(list),
            '#' if list.word.is_none() => while self.rest.next_if(|c| *c != '\n').is_some() {},
            '\n' => {
                self.end_call(list, false);
                self.here_documents(list);
            }
            ';' => self.end_call(list, false),
            '&' => self.ampersand(list),
            '|' if self.rest.next_if_eq(&'|').is_some() => {
                list.call.may_fail = true;
                self.end_call(list, false);
                list.is_chained = true;
            }
            '|' => {
                self.rest.next_if_eq(&'&');
                self.end_call(list, false);
            }
            '(' => self.parenthesis(list),
            // The end of a group, or of a pattern of `case`, which is no command.
            ')' => {
                if list.cases > 0 {
                    list.word = None;
                    list.call = Call::default();
                } else {
                    self.end_call(list, false);
                }
            }
            '<' | '>' => self.redirection(character, list),
            blank if blank.is_whitespace() => self.end_word(list),
            '*' | '?' => {
                list.push(character);
                list.vague();
            }
            '~' if list.word.is_none() => {
                list.push('~');
                list.vague();
            }
            '{' if list.word.is_some() || self.rest.peek().is_some_and(|c| !c.is_whitespace()) => {
                list.push('{');
                list.vague();
            }
            other => list.push(other),
        }
    }

    fn ampersand(&mut self, list: &mut List) {
        if self.rest.next_if_eq(&'&').is_some() {
            self.end_call(list, false);
            list.is_chained = true;
        } else if self.rest.next_if_eq(&'>').is_some() {
            self.rest.next_if_eq(&'>');
            self.end_word(list);
            list.redirect = Some(Direction::Write);
        } else {
            self.end_call(list, true);
        }
    }

    fn parenthesis(&mut self, list: &mut List) {
        if list.word.is_some() && list.call.words.is_empty() && self.rest.next_if_eq(&')').is_some() {
            // A function: what it does counts where it stands, but may not be done.
            list.word = None;
            list.function = list.function.or(Some(list.braces));
        } else if list.word.is_some() {
            self.unclear = true;
            list.vague();
        } else if list.cases == 0 {
            self.end_call(list, false);
            let before = self.calls.len();
            self.commands(Some(')'));
            let mut blanks = self.rest.clone();
            while blanks.next_if(|c| *c == ' ').is_some() {}
            let in_background = blanks.next() == Some('&') && blanks.next() != Some('&');
            for call in &mut self.calls[before..] {
                call.in_background |= in_background;
                call.may_be_skipped |= list.is_chained || list.branches > 0 || list.function.is_some();
                call.is_repeated |= list.loops > 0;
            }
        }
    }

    fn quoted(&mut self, list: &mut List) {
        list.word();
        while let Some(character) = self.rest.next() {
            match character {
                '"' => return,
                '\\' => match self.rest.next() {
                    Some('\n') | None => {}
                    Some(escaped @ ('"' | '\\' | '$' | '`')) => list.push(escaped),
                    Some(other) => {
                        list.push('\\');
                        list.push(other);
                    }
                },
                '$' => self.dollar(list),
                '`' => self.backquoted(list),
                other => list.push(other),
            }
        }
    }

    /// What is between backquotes, as commands of their own.
    fn backquoted(&mut self, list: &mut List) {
        list.expanded();
        self.commands(Some('`'));
    }

    fn dollar(&mut self, list: &mut List) {
        match self.rest.peek().copied() {
            Some('(') => {
                self.rest.next();
                list.expanded();
                if self.rest.next_if_eq(&'(').is_some() {
                    self.arithmetic();
                } else {
                    self.commands(Some(')'));
                }
            }
            Some('{') => {
                self.rest.next();
                let mut name = String::new();
                let mut depth = 1;
                for character in self.rest.by_ref() {
                    depth += match character {
                        '{' => 1,
                        '}' => -1,
                        _ => 0,
                    };
                    if depth == 0 {
                        break;
                    }
                    name.push(character);
                }
                self.variable(&name, list);
            }
            Some(first) if first.is_ascii_alphabetic() || first == '_' => {
                let mut name = String::new();
                while let Some(character) = self.rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(character);
                }
                self.variable(&name, list);
            }
            Some(special) if special.is_ascii_digit() || "@*#?!$-".contains(special) => {
                self.rest.next();
                list.expanded();
            }
            _ => list.push('$'),
        }
    }

    fn arithmetic(&mut self) {
        let mut depth = 2;
        for character in self.rest.by_ref() {
            depth += match character {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            if depth == 0 {
                return;
            }
        }
    }

    fn variable(&mut self, name: &str, list: &mut List) {
        let value = match self.variables.get(name) {
            Some(value) => value.as_deref(),
            None => self.known.get(name).copied(),
        };
        match value.and_then(|value| Some((value, self.values_bytes.checked_sub(value.len())?))) {
            Some((value, left)) => {
                self.values_bytes = left;
                list.word().text.push_str(value);
            }
            None => list.expanded(),
        }
    }

    fn redirection(&mut self, sign: char, list: &mut List) {
        // A number right before is a descriptor's.
        list.word.take_if(|word| word.is_plain && word.text.chars().all(|c| c.is_ascii_digit()));
        self.end_word(list);
        let next = self.rest.peek().copied();
        if next == Some('(') {
            self.rest.next();
            list.expanded();
            self.commands(Some(')'));
            return;
        }
        let mut direction = if sign == '<' { Direction::Read } else { Direction::Write };
        match (sign, next) {
            ('<', Some('<')) => {
                self.rest.next();
                direction = if self.rest.next_if_eq(&'<').is_some() {
                    Direction::Neither
                } else {
                    Direction::HereDocument { strips_tabs: self.rest.next_if_eq(&'-').is_some() }
                };
            }
            (_, Some('&')) => {
                self.rest.next();
                let is_descriptor =
                    self.rest.peek().is_some_and(|c| c.is_ascii_digit() || *c == '-' || *c == '$');
                if sign == '<' || is_descriptor {
                    direction = Direction::Neither;
                }
            }
            ('>', Some('>' | '|')) | ('<', Some('>')) => drop(self.rest.next()),
            _ => {}
        }
        list.redirect = Some(direction);
    }

    fn here_documents(&mut self, list: &mut List) {
        for (end, strips_tabs) in std::mem::take(&mut list.here_documents) {
            loop {
                let mut line = String::new();
                let mut ended = false;
                for character in self.rest.by_ref() {
                    if character == '\n' {
                        ended = true;
                        break;
                    }
                    line.push(character);
                }
                let line = if strips_tabs { line.trim_start_matches('\t') } else { &line };
                if line == end || !ended {
                    break;
                }
            }
        }
    }

    fn end_word(&mut self, list: &mut List) {
        let Some(word) = list.word.take() else { return };
        match list.redirect.take() {
            None => list.call.words.push(word),
            Some(Direction::HereDocument { strips_tabs }) => {
                list.here_documents.push((word.text, strips_tabs));
            }
            Some(direction) => list.call.redirects.push(Redirect { direction, target: word }),
        }
    }

    fn end_call(&mut self, list: &mut List, in_background: bool) {
        self.end_word(list);
        list.redirect = None;
        let mut call = std::mem::take(&mut list.call);
        call.in_background = in_background;
        self.keywords(&mut call, list);
        call.is_repeated |= list.loops > 0;
        call.may_fail |= list.in_condition;
        let is_branch = list.branches > 0 && !list.in_condition || list.cases > 0;
        call.may_be_skipped |= std::mem::take(&mut list.is_chained) || is_branch || list.function.is_some();
        self.assignments(&mut call);
        strip_wrappers(&mut call);
        if call.words.is_empty() && call.redirects.is_empty() {
            return;
        }
        let words: Vec<&str> = call.words.iter().filter(|w| w.is_plain).map(|w| w.text.as_str()).collect();
        if let Some(script) = script_of(&words).filter(|_| call.words.iter().all(|word| word.is_plain)) {
            self.nested(script, &call);
            return;
        }
        if ["eval", "source", "."].contains(&call.program())
            || call.words.first().is_some_and(|w| !w.is_plain)
        {
            self.unclear = true;
        }
        self.calls.push(call);
    }

    /// `sh -c '...'` within a script: its commands instead.
    fn nested(&mut self, script: &str, around: &Call) {
        let variables = self.variables.clone();
        let (depth, values_bytes) = (self.depth, self.values_bytes);
        let mut inner = Parser { variables, depth, values_bytes, ..Parser::of(script, self.known) };
        inner.commands(None);
        self.values_bytes = inner.values_bytes;
        self.unclear |= inner.unclear;
        for mut call in inner.calls {
            call.is_repeated |= around.is_repeated;
            call.may_fail |= around.may_fail;
            call.may_be_skipped |= around.may_be_skipped;
            call.in_background |= around.in_background;
            self.calls.push(call);
        }
        if !around.redirects.is_empty() {
            self.calls.push(Call { redirects: around.redirects.clone(), ..Call::default() });
        }
    }

    /// Takes the words off that only say when a command is run.
    fn keywords(&mut self, call: &mut Call, list: &mut List) {
        loop {
            let Some(first) = call.words.first().filter(|word| word.is_plain) else { return };
            match first.text.as_str() {
                "if" => {
                    list.branches += 1;
                    list.in_condition = true;
                }
                "elif" => list.in_condition = true,
                "then" => list.in_condition = false,
                "fi" => list.branches = list.branches.saturating_sub(1),
                "!" => call.may_fail = true,
                "{" => list.braces += 1,
                "}" => {
                    list.braces = list.braces.saturating_sub(1);
                    list.function.take_if(|around| *around >= list.braces);
                }
                "else" | "do" | "time" => {}
                "while" | "until" => list.loops += 1,
                "done" => list.loops = list.loops.saturating_sub(1),
                "esac" => list.cases = list.cases.saturating_sub(1),
                "for" | "select" => {
                    list.loops += 1;
                    if let Some(name) = call.words.get(1) {
                        self.variables.insert(name.text.clone(), None);
                    }
                    call.words.clear();
                }
                "case" => {
                    list.cases += 1;
                    call.words.clear();
                }
                "function" => drop(call.words.drain(..call.words.len().min(2))),
                _ => return,
            }
            if !call.words.is_empty() {
                call.words.remove(0);
            }
        }
    }

    /// `NAME=value` before a command or instead of one.
    fn assignments(&mut self, call: &mut Call) {
        let name_of = |word: &Plain| {
            let (name, _) = word.text.split_once('=')?;
            let is_name = !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && !name.starts_with(|c: char| c.is_ascii_digit());
            is_name.then(|| name.to_owned())
        };
        if ["export", "local", "readonly", "declare"].contains(&call.program()) {
            call.words.remove(0);
        }
        while let Some(name) = call.words.first().and_then(name_of) {
            let word = call.words.remove(0);
            let value = word.is_plain.then(|| word.text[name.len() + 1..].to_owned());
            // Set twice, it may be either.
            let is_set = self.variables.contains_key(&name) || self.known.contains_key(name.as_str());
            let value = value.filter(|_| !is_set);
            self.variables.insert(name, value);
        }
        if call.program() == "read" {
            for name in call.arguments() {
                self.variables.insert(name.to_owned(), None);
            }
        }
    }
}

/// Programs that only run another one.
fn strip_wrappers(call: &mut Call) {
    loop {
        match call.program() {
            "exec" => {
                call.is_exec = true;
                call.words.remove(0);
            }
            "nohup" | "setsid" | "command" | "builtin" if call.words.len() > 1 => drop(call.words.remove(0)),
            "env" if call.words.get(1).is_some_and(|word| word.is_plain && word.text.contains('=')) => {
                drop(call.words.remove(1));
            }
            "env" | "timeout" | "stdbuf" | "nice" if call.words.len() > 1 => {
                let is_timeout = call.program() == "timeout";
                call.words.remove(0);
                while call.words.first().is_some_and(|word| word.text.starts_with('-')) {
                    call.words.remove(0);
                }
                if is_timeout && !call.words.is_empty() {
                    call.words.remove(0);
                }
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Call, Direction, parse, script_of};

    /// `word word >file [flags]`, with `?` for what is not plain.
    fn show(call: &Call) -> String {
        let mut parts: Vec<String> = call
            .words
            .iter()
            .map(|word| if word.is_plain { word.text.clone() } else { "?".to_owned() })
            .collect();
        for redirect in &call.redirects {
            let sign = match redirect.direction {
                Direction::Read => "<",
                Direction::Write => ">",
                Direction::Neither | Direction::HereDocument { .. } => "=",
            };
            let target = if redirect.target.is_plain { redirect.target.text.as_str() } else { "?" };
            parts.push(format!("{sign}{target}"));
        }
        let flags = [
            (call.is_repeated, "repeated"),
            (call.may_fail, "may fail"),
            (call.may_be_skipped, "may be skipped"),
            (call.in_background, "background"),
            (call.is_exec, "exec"),
        ];
        let flags: Vec<&str> = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| *flag).collect();
        if !flags.is_empty() {
            parts.push(format!("[{}]", flags.join(", ")));
        }
        parts.join(" ")
    }

    fn calls(script: &str) -> Vec<String> {
        parse(script, &BTreeMap::from([("OUT", "/out/x")])).calls.iter().map(show).collect()
    }

    #[test]
    fn commands_are_taken_apart() {
        for (script, expected) in [
            ("a b; c", vec!["a b", "c"]),
            ("a 'b c' \"d $e\" f\\ g", vec!["a b c ? f g"]),
            ("a && b || c", vec!["a", "b [may fail, may be skipped]", "c [may be skipped]"]),
            ("a | b & c", vec!["a", "b [background]", "c"]),
            ("# a\na # b\n", vec!["a"]),
            ("a > /x 2>&1 >> /y < /z", vec!["a >/x =1 >/y </z"]),
            ("a &> /x", vec!["a >/x"]),
            ("a <<E > /x\nb; c > /y\nE\nd", vec!["a >/x", "d"]),
            ("a <<-'E'\n\tb\n\tE\nd", vec!["a", "d"]),
            ("a <<< b", vec!["a =b"]),
            (
                "if a; then b; else c; fi; d",
                vec!["a [may fail]", "b [may be skipped]", "c [may be skipped]", "d"],
            ),
            ("until a; do b; done; c", vec!["a [repeated]", "b [repeated]", "c"]),
            ("for i in 1 2; do a $i; done", vec!["a ? [repeated]"]),
            ("case $x in a|b) c;; *) d;; esac; e", vec!["c [may be skipped]", "d [may be skipped]", "e"]),
            (
                "f() { a; { b; }; c; }; d",
                vec!["a [may be skipped]", "b [may be skipped]", "c [may be skipped]", "d"],
            ),
            ("(a; b) & c", vec!["a [background]", "b [background]", "c"]),
            ("(a; b) && c", vec!["a", "b", "c [may be skipped]"]),
            ("x=$(a b); c $x", vec!["a b", "c ?"]),
            ("x=/y; a $x ${x}/z; x=1; b $x", vec!["a /y /y/z", "b ?"]),
            ("a > $OUT; OUT=1; b $OUT", vec!["a >/out/x", "b ?"]),
            ("read l; a $l", vec!["read l", "a ?"]),
            ("a `b c` d", vec!["b c", "a ? d"]),
            ("a $((1 + (2))) b", vec!["a ? b"]),
            ("a *.log [x] {b,c} ~/d", vec!["a ? [x] ? ?"]),
            ("exec a b", vec!["a b [exec]"]),
            ("X=1 nohup timeout -s9 5 env Y=2 a b", vec!["a b"]),
            ("export X=1 Y=2", vec![]),
            ("! a", vec!["a [may fail]"]),
            ("sh -ec 'a; b > /x' || c", vec!["a [may fail]", "b >/x [may fail]", "c [may be skipped]"]),
            ("while :; do a; done > /x", vec![": [repeated]", "a [repeated]", ">/x"]),
            ("a 'b", vec!["a b"]),
            ("a \"b $(c", vec!["c", "a ?"]),
            ("", vec![]),
        ] {
            assert_eq!(calls(script), expected, "{script}");
        }
    }

    #[test]
    fn what_only_a_shell_knows_makes_a_script_unclear() {
        for (script, is_whole) in [
            ("a; b", true),
            ("if a; then b; fi", true),
            ("f() { a; }; f", true),
            ("eval a", false),
            (". /x", false),
            ("$CMD a", false),
            ("x=(a b)", false),
        ] {
            assert_eq!(parse(script, &BTreeMap::new()).is_whole, is_whole, "{script}");
        }
    }

    #[test]
    fn a_script_is_the_word_after_c() {
        for (words, script) in [
            (vec!["sh", "-c", "a"], Some("a")),
            (vec!["/bin/bash", "-euxc", "a", "b"], Some("a")),
            (vec!["bash", "-c", "--", "a"], Some("a")),
            (vec!["bash", "-e", "-c", "a"], Some("a")),
            (vec!["sh", "/script"], None),
            (vec!["sh", "-c"], None),
            (vec!["python3", "-c", "a"], None),
            (vec![], None),
        ] {
            assert_eq!(script_of(&words), script, "{words:?}");
        }
    }
}
