//! On which ports a container evidently listens.

use std::collections::BTreeMap;

use podspec::FieldPath;

use crate::pod::Container;
use crate::program;
use crate::shell::Call;

/// Of one container.
const LISTENS_MAX: usize = 128;
/// Of one number.
const PLACES_MAX: usize = 64;

/// A port somebody listens on, by what the manifest says.
#[derive(Clone, Debug)]
pub(crate) struct Listen {
    pub(crate) port: u16,
    pub(crate) protocol: String,
    /// The address, where it is one of several.
    pub(crate) address: Option<String>,
    pub(crate) path: FieldPath,
    /// The program listens there and nowhere else, as it is one that does as it is told.
    pub(crate) is_certain: bool,
}

/// The ports that are declared, and those that words of the command name beyond doubt.
pub(crate) fn listens(container: &Container<'_>) -> Vec<Listen> {
    let declared = container.ports.iter().map(|port| Listen {
        port: port.number,
        protocol: port.protocol.clone(),
        address: None,
        path: port.path.clone(),
        is_certain: false,
    });
    let mut listens: Vec<Listen> = declared.take(LISTENS_MAX).collect();
    for said in said(container) {
        let known =
            listens.iter().position(|known| known.port == said.port && known.protocol == said.protocol);
        if let Some(known) = known {
            let known = &mut listens[known];
            known.address = known.address.take().or(said.address);
        } else if listens.len() < LISTENS_MAX {
            listens.push(said);
        }
    }
    listens
}

/// Those that words of the command name.
pub(crate) fn said(container: &Container<'_>) -> Vec<Listen> {
    let program = &container.program;
    let mut found = Vec::new();
    for call in &program.calls {
        let mut add = |port: u16, address: Option<&str>, word: &str, is_certain: bool| {
            let is_script = |text: &str| program.script.as_deref() == Some(text);
            let at = container.words.iter().find(|w| w.text == word || is_script(&w.text));
            let path = at.map_or_else(|| container.path.child("command"), |word| word.path.clone());
            let address = address.filter(|address| !["", "0.0.0.0", "[::]", "*", "::"].contains(address));
            let address = address.map(str::to_owned);
            found.push(Listen { port, protocol: "TCP".to_owned(), address, path, is_certain });
        };
        by_program(call, &mut |port, address, word| add(port, address, word, true));
        by_flag(call, &mut |port, address, word| add(port, address, word, false));
    }
    found
}

/// Where each number that may be a port stands, in the commands and variables of all containers.
pub(crate) struct Numbers<'p>(BTreeMap<u16, Vec<&'p FieldPath>>);

impl<'p> Numbers<'p> {
    pub(crate) fn of(containers: &'p [Container<'_>]) -> Self {
        let mut numbers = Self(BTreeMap::new());
        for container in containers {
            numbers.add(container);
        }
        numbers
    }

    fn add(&mut self, container: &'p Container<'_>) {
        let words = container.words.iter().map(|word| (word.text.as_str(), &word.path));
        let variables = container.env.values().map(|variable| (program::cut(variable.value), &variable.path));
        for (text, path) in words.chain(variables) {
            for number in text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()) {
                let places = self.0.entry(number).or_default();
                if places.last() != Some(&path) && places.len() < PLACES_MAX {
                    places.push(path);
                }
            }
        }
    }

    /// Whether it stands somewhere but in these texts: then it may have to do with this port.
    pub(crate) fn has(&self, port: u16, but: &[&FieldPath]) -> bool {
        self.0.get(&port).is_some_and(|places| places.iter().any(|place| !but.contains(place)))
    }
}

fn by_program<'c>(call: &'c Call, add: &mut dyn FnMut(u16, Option<&str>, &'c str)) {
    let words: Vec<&str> = call.arguments().collect();
    let program = call.program();
    let is_flag =
        |word: &&str, letter: char| word.starts_with('-') && !word.starts_with("--") && word.contains(letter);
    let number = |word: &str| word.parse::<u16>().ok();
    match program {
        "nc" | "ncat" | "netcat" if words.iter().any(|word| is_flag(word, 'l')) => {
            if words.iter().any(|word| is_flag(word, 'u')) {
                return;
            }
            let after_flag = words
                .windows(2)
                .find(|pair| is_flag(&pair[0], 'p'))
                .and_then(|pair| Some((number(pair[1])?, pair[1])));
            let last = words.last().and_then(|word| Some((number(word)?, *word)));
            if let Some((port, word)) = after_flag.or(last) {
                add(port, None, word);
            }
        }
        "socat" => {
            for word in &words {
                let upper = word.to_ascii_uppercase();
                let listens = ["TCP-LISTEN:", "TCP4-LISTEN:", "TCP6-LISTEN:", "TCP-L:"]
                    .iter()
                    .find_map(|kind| upper.strip_prefix(kind));
                if let Some(port) = listens.and_then(|rest| number(rest.split(',').next()?)) {
                    add(port, None, word);
                }
            }
        }
        _ if program.starts_with("python") => {
            let module = words.iter().position(|word| ["http.server", "SimpleHTTPServer"].contains(word));
            if let Some(at) = module {
                let port = words.get(at + 1).and_then(|word| Some((number(word)?, *word)));
                let (port, word) = port.unwrap_or((8000, words[at]));
                add(port, None, word);
            }
        }
        "busybox" | "httpd" if program == "httpd" || words.first() == Some(&"httpd") => {
            if let Some((port, word)) = words
                .windows(2)
                .find(|pair| pair[0] == "-p")
                .and_then(|pair| Some((number(pair[1].rsplit(':').next()?)?, pair[1])))
            {
                add(port, None, word);
            }
        }
        "php" => {
            if let Some((pair, (address, port))) = words
                .windows(2)
                .find(|pair| pair[0] == "-S")
                .and_then(|pair| Some((pair, pair[1].rsplit_once(':')?)))
                && let Some(port) = number(port)
            {
                add(port, Some(address), pair[1]);
            }
        }
        _ => {}
    }
}

/// `--listen-address=:9090`, `--bind 0.0.0.0:80`
fn by_flag<'c>(call: &'c Call, add: &mut dyn FnMut(u16, Option<&str>, &'c str)) {
    let words: Vec<&'c str> = call.arguments().collect();
    for (i, word) in words.iter().enumerate() {
        let Some(flag) = word.strip_prefix('-') else { continue };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, value),
            None => (flag, words.get(i + 1).copied().unwrap_or("")),
        };
        let name = name.trim_start_matches('-');
        let parts = || name.split(['-', '.', '_']);
        let is_listener =
            parts().any(|part| ["listen", "bind"].contains(&part)) && !parts().any(|part| part == "udp");
        if !is_listener {
            continue;
        }
        let value_word = if flag.contains('=') { word } else { value };
        let address_and_port = value.rsplit_once("://").map_or(value, |(_, rest)| rest);
        match address_and_port.rsplit_once(':') {
            // Without brackets it is an address of IPv6, and no port.
            Some((address, _)) if address.contains(':') && !address.ends_with(']') => {}
            Some((address, port)) => {
                if let Ok(port) = port.parse() {
                    add(port, Some(address), value_word);
                }
            }
            None if name.ends_with("port") => {
                if let Ok(port) = value.parse() {
                    add(port, None, value_word);
                }
            }
            None => {}
        }
    }
}
