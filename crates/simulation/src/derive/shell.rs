//! Scripts that are a plain list of commands whose time is evident. Of any other script nothing is said.

use std::time::Duration;

use podspec::endless;

use super::Course;

/// Longer scripts are no plain lists.
const SCRIPT_BYTES_MAX: usize = 16 << 10;
/// Loops within loops.
const DEPTH_MAX: u32 = 4;
/// Commands that are run, with those in loops.
const COMMANDS_MAX: u32 = 10_000;
/// What ends nothing, takes no time and hardly ever fails.
const INSTANT: [&str; 15] = [
    ":", "true", "echo", "printf", "cd", "mkdir", "touch", "date", "export", "trap", "umask", "set",
    "hostname", "id", "pwd",
];

/// The script of `sh -c SCRIPT`, and whether the first failure ends it.
pub(super) fn script_of<'w>(words: &[&'w str]) -> Option<(&'w str, bool)> {
    let (program, rest) = words.split_first()?;
    if !["sh", "bash", "ash", "dash"].contains(&program.rsplit('/').next()?) {
        return None;
    }
    let flag = rest.iter().position(|word| word.starts_with('-') && word.ends_with('c'))?;
    let script = rest[flag + 1..].iter().find(|word| **word != "--")?;
    Some((script, rest[..=flag].iter().any(|flags| flags.contains('e'))))
}

/// What one program does, by its name and arguments.
pub(super) fn program(words: &[&str]) -> Option<Course> {
    let (program, arguments) = words.split_first()?;
    let ends = |after, code| Some(Course::Ends { after, code });
    match program.rsplit('/').next()? {
        "sleep" => sleep(arguments),
        "false" => ends(Duration::ZERO, 1),
        instant if INSTANT.contains(&instant) => ends(Duration::ZERO, 0),
        _ => None,
    }
}

fn sleep(arguments: &[&str]) -> Option<Course> {
    let mut after = Duration::ZERO;
    for argument in arguments {
        if ["infinity", "inf"].contains(argument) {
            return Some(Course::Never);
        }
        let number = argument.trim_end_matches(['s', 'm', 'h', 'd']);
        let unit = match &argument[number.len()..] {
            "" | "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let seconds = number.parse::<f64>().ok()? * unit;
        after = after.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
    }
    (!arguments.is_empty()).then_some(Course::Ends { after, code: 0 })
}

pub(super) fn course(script: &str, stops_at_failure: bool) -> Option<Course> {
    let tokens = tokens(script)?;
    let mut run = Run { stops_at_failure, ..Run::default() };
    match run.list(&tokens, 0)? {
        Flow::Goes => Some(Course::Ends { after: run.clock, code: run.status }),
        Flow::Exits => Some(Course::Ends { after: run.clock, code: run.status }),
        Flow::Hangs => Some(Course::Never),
    }
}

/// What a script does about SIGTERM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trap {
    None,
    Ignores,
    Exits(i32),
    /// Something that is not evident.
    Other,
}

/// Looked for in any script, also one whose course is not evident; the last one counts.
pub(super) fn trap(script: &str) -> Trap {
    let begins = |at: &usize| {
        script[..*at].trim_end_matches([' ', '\t']).ends_with(['\n', ';', '&', '{', '('])
            || script[..*at].trim().is_empty()
    };
    let places = script.match_indices("trap ").map(|(at, _)| at).filter(begins);
    let mut found = Trap::None;
    for at in places {
        if let Some(trap) = trap_of_term(script[at + "trap ".len()..].trim_start()) {
            found = trap;
        }
    }
    found
}

/// Of the words after `trap`; `None` when it is for other signals.
fn trap_of_term(words: &str) -> Option<Trap> {
    let (text, signals) = match words.chars().next()? {
        quote @ ('\'' | '"') => words[1..].split_once(quote)?,
        _ => words.split_once(' ')?,
    };
    let signals = signals.split(['\n', ';', '&', '|']).next().unwrap_or_default();
    if !signals.split_whitespace().any(|signal| ["TERM", "SIGTERM", "15"].contains(&signal)) {
        return None;
    }
    if text.is_empty() {
        return Some(Trap::Ignores);
    }
    let last = text.rsplit([';', '\n', '&']).map(str::trim).find(|part| !part.is_empty());
    let words: Vec<&str> = last.unwrap_or_default().split_whitespace().collect();
    Some(match words[..] {
        ["exit"] => Trap::Exits(0),
        ["exit", code] => code.parse().map_or(Trap::Other, Trap::Exits),
        _ => Trap::Other,
    })
}

/// Whether another program may be process 1 when the signal comes: by `exec`, or as the only command, of which a shell
/// makes no child.
pub(super) fn becomes_another(script: &str, is_plain: impl Fn(&str) -> bool) -> bool {
    let words: Vec<&str> = script.split_whitespace().collect();
    let program = |word: &str| !is_plain(word.rsplit('/').next().unwrap_or(word));
    if let Some(at) = words.iter().position(|word| *word == "exec") {
        // Without a program it only redirects.
        let next = words.get(at + 1);
        return next
            .is_some_and(|word| !word.starts_with(|c: char| "<>0123456789".contains(c)) && program(word));
    }
    let is_list = script.trim().contains([';', '\n', '&', '|', '(', '{', '`']);
    !is_list && words.first().is_some_and(|word| program(word))
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Word(String),
    /// `;` and a new line.
    End,
    And,
    Or,
    Background,
}

/// `None` for anything that only a shell can tell apart.
fn tokens(script: &str) -> Option<Vec<Token>> {
    if script.len() > SCRIPT_BYTES_MAX {
        return None;
    }
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    // The next word is where output goes.
    let mut redirects = false;
    let end_word = |word: &mut Option<String>, redirects: &mut bool, out: &mut Vec<Token>| {
        if let Some(word) = word.take()
            && !std::mem::take(redirects)
        {
            out.push(Token::Word(word));
        }
    };
    let mut rest = script.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\'' => word.get_or_insert_default().extend(rest.by_ref().take_while(|c| *c != '\'')),
            '"' => {
                let text: String = rest.by_ref().take_while(|c| *c != '"').collect();
                if text.contains(['\\', '`']) || text.contains("$(") {
                    return None;
                }
                word.get_or_insert_default().push_str(&text);
            }
            '#' if word.is_none() => while rest.next_if(|c| *c != '\n').is_some() {},
            '$' if rest.peek() == Some(&'(') => return None,
            '(' | ')' | '`' | '\\' | '<' | '{' | '}' | '*' | '?' => return None,
            '|' if rest.next_if_eq(&'|').is_none() => return None,
            '>' => {
                word.take_if(|word| word.chars().all(|c| c.is_ascii_digit()));
                end_word(&mut word, &mut redirects, &mut out);
                redirects = true;
                while rest.next_if(|c| ['>', '&'].contains(c)).is_some() {}
            }
            '|' | '&' | ';' | '\n' => {
                end_word(&mut word, &mut redirects, &mut out);
                redirects = false;
                out.push(match character {
                    '|' => Token::Or,
                    '&' if rest.next_if_eq(&'&').is_some() => Token::And,
                    '&' => Token::Background,
                    _ => Token::End,
                });
            }
            blank if blank.is_whitespace() => end_word(&mut word, &mut redirects, &mut out),
            other => word.get_or_insert_default().push(other),
        }
    }
    end_word(&mut word, &mut redirects, &mut out);
    Some(out)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flow {
    Goes,
    Exits,
    Hangs,
}

/// A script being run, by its times alone.
#[derive(Default)]
struct Run {
    clock: Duration,
    status: i32,
    stops_at_failure: bool,
    /// When the last command in the background ends; `None` for never.
    background: Option<Option<Duration>>,
    commands: u32,
}

impl Run {
    /// `None` when a command is met whose time is not evident.
    fn list(&mut self, tokens: &[Token], depth: u32) -> Option<Flow> {
        let mut rest = tokens;
        let mut before = Token::End;
        while !rest.is_empty() {
            let (command, after) = if is_word(rest.first(), "for") { split_loop(rest)? } else { split(rest) };
            let (separator, next) =
                after.split_first().map_or((&Token::End, after), |(first, next)| (first, next));
            let runs = match before {
                Token::And => self.status == 0,
                Token::Or => self.status != 0,
                _ => true,
            };
            if runs && !command.is_empty() {
                let tested = matches!(separator, Token::And | Token::Or);
                let flow = self.command(command, *separator == Token::Background, depth)?;
                if flow != Flow::Goes {
                    return Some(flow);
                }
                if self.stops_at_failure && self.status != 0 && !tested {
                    return Some(Flow::Exits);
                }
            }
            if !command.is_empty() || *separator != Token::End {
                before = separator.clone();
            }
            rest = next;
        }
        Some(Flow::Goes)
    }

    fn command(&mut self, tokens: &[Token], background: bool, depth: u32) -> Option<Flow> {
        self.commands += 1;
        if self.commands > COMMANDS_MAX {
            return None;
        }
        if is_word(tokens.first(), "for") {
            return if background { None } else { self.repeat(tokens, depth) };
        }
        let mut words: Vec<&str> = Vec::new();
        for token in tokens {
            let Token::Word(word) = token else { return None };
            words.push(word);
        }
        if words.iter().all(|word| is_assignment(word)) {
            return Some(Flow::Goes);
        }
        let is_exec = words[0] == "exec";
        let words = if is_exec { &words[1..] } else { &words[..] };
        match words {
            [] => Some(Flow::Goes),
            ["exit", code @ ..] if !background => {
                if let [code] = code {
                    self.status = code.parse().ok().filter(|code| (0..=255).contains(code))?;
                }
                Some(Flow::Exits)
            }
            ["wait"] | ["wait", "$!"] if !background => match self.background.take() {
                None => Some(Flow::Goes),
                Some(None) => Some(Flow::Hangs),
                Some(Some(ends)) => {
                    self.clock = self.clock.max(ends);
                    Some(Flow::Goes)
                }
            },
            ["set", flags, ..] if flags.starts_with('-') && flags.contains('e') => {
                self.stops_at_failure = true;
                Some(Flow::Goes)
            }
            words => self.program(words, background, is_exec),
        }
    }

    fn program(&mut self, words: &[&str], background: bool, is_exec: bool) -> Option<Flow> {
        let owned: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let course = if endless(&owned).is_some() { Course::Never } else { program(words)? };
        match course {
            _ if background => {
                let ends = match course {
                    Course::Ends { after, .. } => Some(self.clock.checked_add(after)?),
                    Course::Never => None,
                };
                // A plain `wait` waits for all of them.
                self.background = match (self.background, ends) {
                    (Some(None), _) | (_, None) => Some(None),
                    (Some(Some(other)), Some(ends)) => Some(Some(ends.max(other))),
                    (None, ends) => Some(ends),
                };
                self.status = 0;
                Some(Flow::Goes)
            }
            Course::Never => Some(Flow::Hangs),
            Course::Ends { after, code } => {
                self.clock = self.clock.checked_add(after)?;
                self.status = code;
                Some(if is_exec { Flow::Exits } else { Flow::Goes })
            }
        }
    }

    /// `for NAME in WORDS; do ...; done`
    fn repeat(&mut self, tokens: &[Token], depth: u32) -> Option<Flow> {
        let (head, body) = split(tokens);
        let times = head.len().checked_sub(3)?;
        let is_plain = |token: &Token| matches!(token, Token::Word(word) if !word.contains('$'));
        if !is_word(head.get(2), "in") || !head.iter().all(is_plain) || depth >= DEPTH_MAX {
            return None;
        }
        let body = body.strip_prefix(&[Token::End])?;
        let (first, body) = body.split_first()?;
        let body = body.strip_suffix(&[Token::Word("done".to_owned())])?;
        if !is_word(Some(first), "do") {
            return None;
        }
        for _ in 0..times {
            let flow = self.list(body, depth + 1)?;
            if flow != Flow::Goes {
                return Some(flow);
            }
        }
        Some(Flow::Goes)
    }
}

fn is_word(token: Option<&Token>, word: &str) -> bool {
    matches!(token, Some(Token::Word(held)) if held == word)
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// The first command, and what follows it.
fn split(tokens: &[Token]) -> (&[Token], &[Token]) {
    let end = tokens.iter().position(|token| !matches!(token, Token::Word(_))).unwrap_or(tokens.len());
    tokens.split_at(end)
}

/// The same of a loop; `None` where it has no end.
fn split_loop(tokens: &[Token]) -> Option<(&[Token], &[Token])> {
    let mut open = 0_u32;
    let mut begins = true;
    for (index, token) in tokens.iter().enumerate() {
        if begins && is_word(Some(token), "for") {
            open += 1;
        }
        if begins && is_word(Some(token), "done") {
            open = open.checked_sub(1)?;
            if open == 0 {
                return Some(tokens.split_at(index + 1));
            }
        }
        begins = !matches!(token, Token::Word(word) if word != "do");
    }
    None
}
