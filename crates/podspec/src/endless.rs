//! Commands that are sure never to end by themselves, among those people give to containers.

/// What of the command never ends; `None` where that is not sure.
#[must_use]
pub fn endless(words: &[String]) -> Option<&'static str> {
    let borrowed: Vec<&str> = words.iter().map(String::as_str).collect();
    program(&borrowed).or_else(|| script(&borrowed))
}

/// `tail -f`, `sleep infinity`
fn program(words: &[&str]) -> Option<&'static str> {
    let (program, arguments) = words.split_first()?;
    match program.rsplit('/').next()? {
        "tail" => {
            let follows = |a: &&str| match a.strip_prefix("--") {
                Some(long) => long.starts_with("follow") || long == "retry",
                None => a.starts_with('-') && a.contains(['f', 'F']),
            };
            let ends_with_process = arguments.iter().any(|a| a.starts_with("--pid"));
            (arguments.iter().any(follows) && !ends_with_process).then_some("tail -f")
        }
        "sleep" => arguments.iter().any(|a| ["infinity", "inf"].contains(a)).then_some("sleep infinity"),
        _ => None,
    }
}

fn script(words: &[&str]) -> Option<&'static str> {
    let [shell, rest @ ..] = words else { return None };
    if !["sh", "bash", "ash", "dash"].contains(&shell.rsplit('/').next()?) {
        return None;
    }
    let flag = rest.iter().position(|w| w.starts_with('-') && w.ends_with('c'))?;
    let script = rest[flag + 1..].iter().find(|word| **word != "--")?;
    let ends_at_failure = rest[..=flag].iter().any(|flags| flags.contains('e'));
    endless_loop(script).filter(|_| !ends_at_failure).or_else(|| sequence(&commands(script)?))
}

/// One command in a list: its words, and what stands between it and the next.
struct Command {
    words: Vec<String>,
    background: bool,
}

/// Each command is waited for before the next, but for those in the background, for which `wait` waits.
fn sequence(commands: &[Command]) -> Option<&'static str> {
    let mut in_background: Vec<Option<&'static str>> = Vec::new();
    for Command { words, background } in commands {
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        if words.first() == Some(&"exec") {
            words.remove(0);
        }
        let endless = program(&words);
        match words[..] {
            // Ends this process, or perhaps what is waited for.
            ["exit" | "return" | "kill" | "pkill" | "killall" | "eval" | "source" | ".", ..] => return None,
            _ if *background => in_background.push(endless),
            ["wait"] => {
                if let Some(endless) = in_background.iter().find_map(|endless| *endless) {
                    return Some(endless);
                }
                in_background.clear();
            }
            ["wait", "$!"] => {
                if let Some(Some(endless)) = in_background.last() {
                    return Some(endless);
                }
            }
            _ if endless.is_some() => return endless,
            _ => {}
        }
    }
    None
}

/// The commands of a script that is a plain list of them, without redirections. `None` for anything that
/// only a shell can tell apart.
fn commands(script: &str) -> Option<Vec<Command>> {
    const COMPOUND: [&str; 10] =
        ["if", "then", "else", "while", "until", "for", "case", "function", "!", "{"];
    let mut splitter = Splitter::default();
    let mut characters = script.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\'' => splitter.quoted(characters.by_ref().take_while(|c| *c != '\'')),
            '"' => {
                let text: String = characters.by_ref().take_while(|c| *c != '"').collect();
                if text.contains(['\\', '`']) || text.contains("$(") {
                    return None;
                }
                splitter.quoted(text.chars());
            }
            '#' if splitter.word.is_none() => while characters.next_if(|c| *c != '\n').is_some() {},
            '|' | '(' | ')' | '`' | '\\' | '<' => return None,
            '>' => {
                splitter.redirect();
                while characters.next_if(|c| ['>', '&'].contains(c)).is_some() {}
            }
            '&' if characters.next_if_eq(&'&').is_some() => splitter.end_command(false),
            '&' => splitter.end_command(true),
            ';' | '\n' => splitter.end_command(false),
            blank if blank.is_whitespace() => splitter.end_word(),
            other => splitter.word.get_or_insert_default().push(other),
        }
    }
    splitter.end_command(false);
    let compound = |command: &Command| command.words.first().is_some_and(|w| COMPOUND.contains(&w.as_str()));
    (!splitter.commands.iter().any(compound)).then_some(splitter.commands)
}

#[derive(Default)]
struct Splitter {
    commands: Vec<Command>,
    words: Vec<String>,
    word: Option<String>,
    /// The next word is where output goes.
    redirects: bool,
}

impl Splitter {
    fn quoted(&mut self, text: impl Iterator<Item = char>) {
        self.word.get_or_insert_default().extend(text);
    }

    /// A number right before it is a descriptor's.
    fn redirect(&mut self) {
        self.word.take_if(|word| word.chars().all(|c| c.is_ascii_digit()));
        self.end_word();
        self.redirects = true;
    }

    fn end_word(&mut self) {
        if let Some(word) = self.word.take()
            && !std::mem::take(&mut self.redirects)
        {
            self.words.push(word);
        }
    }

    fn end_command(&mut self, background: bool) {
        self.end_word();
        self.redirects = false;
        let words = std::mem::take(&mut self.words);
        if !words.is_empty() {
            self.commands.push(Command { words, background });
        }
    }
}

/// `while true; do ...; done` as the last command, with nothing that could leave it.
fn endless_loop(script: &str) -> Option<&'static str> {
    const LEAVES: [&str; 12] = [
        "break", "exit", "return", "exec", "kill", "pkill", "killall", "set", "eval", "source", "if", "case",
    ];
    const HEADS: [(&str, &str); 3] =
        [("while true", "while true"), ("while :", "while true"), ("until false", "until false")];
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    if script.split(|c| !is_word(c)).any(|word| LEAVES.contains(&word)) {
        return None;
    }
    let body_end = script.trim_end_matches([';', ' ', '\n', '\t']);
    let (at, (head, name)) = HEADS.iter().find_map(|head| Some((script.find(head.0)?, head)))?;
    let before = script[..at].trim_end_matches([' ', '\t']);
    let after = script[at + head.len()..].trim_start_matches([' ', '\t']);
    let begins = before.is_empty() || before.ends_with([';', '\n']);
    // The loop is the only compound command, so its end is the script's.
    let alone = !before.contains(['|', '&', '(', '{', '\'', '"'])
        && script.split(|c| !is_word(c)).filter(|word| ["do", "done"].contains(word)).count() == 2;
    let is_loop = after.starts_with([';', '\n']) && body_end.ends_with("done");
    (begins && alone && is_loop).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::endless;

    fn of(words: &[&str]) -> Option<&'static str> {
        endless(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn scripts_that_never_end() {
        for (script, expected) in [
            ("tail -n+1 -F /var/log/app.log", "tail -f"),
            ("exec tail -f /x", "tail -f"),
            ("tail -f /x & wait", "tail -f"),
            ("tail -f /x &\nwait", "tail -f"),
            ("trap 'exit 0' TERM; tail -f \"/x y\" > /dev/stdout 2>&1 & wait $!", "tail -f"),
            ("date & sleep infinity & wait", "sleep infinity"),
            ("mkdir -p /x && tail -f /x/log", "tail -f"),
            ("echo 'a; b' # why\nsleep infinity; echo unreached", "sleep infinity"),
            ("while true; do date >> /x; sleep 5; done", "while true"),
            ("echo begin; while :; do curl x | grep y || true; sleep 1; done;", "while true"),
            ("until false\ndo\n  sleep 1\ndone\n", "until false"),
        ] {
            assert_eq!(of(&["/bin/sh", "-c", script]), Some(expected), "{script}");
        }
        assert_eq!(of(&["bash", "-c", "--", "while true; do sleep 30; done;"]), Some("while true"));
    }

    #[test]
    fn scripts_that_may_end() {
        for script in [
            "until nc -z db 5432; do sleep 1; done",
            "tail -f /x &",
            "tail -f /x & wait -n",
            "tail -f /x & sleep 5; kill $!",
            "tail -f /x & date & wait $!",
            "tail -f /x | head -n 1",
            "echo 'x; tail -f /y'",
            "echo \"x; tail -f /y; z\"",
            "if true; then tail -f /x; fi",
            "test -e /x || tail -f /x",
            "timeout 5 tail -f /x",
            "exit 0; tail -f /x",
            "f() { tail -f /x; }; true",
            "while true; do test -e /x && break; done",
            "while true; do date; done & sleep 5",
            "test -e /x && while true; do date; done",
            "for i in 1 2; do while true; do exit; done; done",
            "echo while true; do; done",
            "date > 'tail -f'",
            "cat << END\ntail -f /x\nEND\n",
            "",
            "\"",
        ] {
            assert_eq!(of(&["sh", "-c", script]), None, "{script}");
        }
        assert_eq!(of(&["sh", "-ec", "while true; do false; done"]), None);
        assert_eq!(of(&["sh", "-c"]), None);
        assert_eq!(of(&[]), None);
    }
}
