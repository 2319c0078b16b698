//! Random documents and edits: what comes out means what was asked for, and comments stay.

use podspec::FieldPath;
use podspec::load::{Form, load_all};
use podspec::yaml;
use serde_json::{Map, Value};

use super::splice::begins_line;
use super::{CannotEdit, carry_out};
use crate::finding::{Edit, Fix};

/// xorshift64*
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % bound
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

const KEYS: [&str; 9] = ["name", "image", "command", "a-b.c/d", "yes", "0", "\u{e9}", "env", "x y"];
const TEXTS: [&str; 14] = [
    "plain",
    "",
    "two words",
    "it's",
    "say \"x\"",
    "true",
    "0644",
    "a: b",
    "x #y",
    "- z",
    "two\nlines\n",
    "no end\nhere",
    "{br},[ack]",
    "na\u{ef}ve \u{65e5}\u{672c}",
];

fn value(random: &mut Random, depth: usize) -> Value {
    match random.below(if depth == 0 { 4 } else { 8 }) {
        0 => Value::Null,
        1 => Value::from(random.below(100)),
        2 | 3 => Value::from(*random.pick(&TEXTS)),
        4 | 5 => (0..random.below(4)).map(|_| value(random, depth - 1)).collect(),
        _ => {
            let keys = (0..random.below(4)).map(|_| (*random.pick(&KEYS)).to_owned()).collect::<Vec<_>>();
            Value::Object(keys.into_iter().map(|key| (key, value(random, depth - 1))).collect())
        }
    }
}

/// Writes values as people do, in one way here and in another there.
struct Hand<'a> {
    random: &'a mut Random,
    out: String,
    comments: usize,
    step: usize,
    list_step: usize,
    newline: &'static str,
}

impl Hand<'_> {
    fn comment(&mut self) -> String {
        self.comments += 1;
        format!("# c{}.", self.comments)
    }

    fn end(&mut self) {
        if self.random.one_in(4) {
            let comment = self.comment();
            self.out.push_str(&format!(" {comment}"));
        }
        self.out.push_str(self.newline);
    }

    fn lines_between(&mut self, indent: usize) {
        if self.random.one_in(6) {
            let comment = self.comment();
            self.out.push_str(&format!("{}{comment}{}", " ".repeat(indent), self.newline));
        }
        if self.random.one_in(10) {
            self.out.push_str(self.newline);
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize) {
        let Value::String(text) = value else {
            let empty = value.is_null() && self.random.one_in(2);
            self.out.push_str(&if empty { String::new() } else { format!(" {value}") });
            return self.end();
        };
        let single = !text.contains('\n') && self.random.one_in(3);
        let written = match self.random.below(3) {
            0 => yaml::double_quoted(text),
            _ if single => format!("'{}'", text.replace('\'', "''")),
            _ => yaml::text(text, indent, false).replace('\n', self.newline),
        };
        self.out.push_str(&format!(" {written}"));
        if written.contains('\n') { self.out.push_str(self.newline) } else { self.end() }
    }

    fn below_key(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Object(fields) if !fields.is_empty() && !self.random.one_in(4) => {
                self.end();
                self.mapping(fields, indent + self.step, false);
            }
            Value::Array(items) if !items.is_empty() && !self.random.one_in(4) => {
                self.end();
                self.list(items, indent + self.list_step, false);
            }
            Value::Object(_) | Value::Array(_) => {
                self.out.push_str(&format!(" {}", yaml::flow(value)));
                self.end();
            }
            scalar => self.scalar(scalar, indent),
        }
    }

    fn mapping(&mut self, fields: &Map<String, Value>, indent: usize, mut begun: bool) {
        for (key, value) in fields {
            if !begun {
                self.lines_between(indent);
                self.out.push_str(&" ".repeat(indent));
            }
            begun = false;
            self.out.push_str(&format!("{}:", yaml::text(key, 0, true)));
            self.below_key(value, indent);
        }
    }

    fn list(&mut self, items: &[Value], indent: usize, mut begun: bool) {
        for item in items {
            if !begun {
                self.lines_between(indent);
                self.out.push_str(&" ".repeat(indent));
            }
            begun = false;
            self.out.push('-');
            match item {
                Value::Object(fields) if !fields.is_empty() && !self.random.one_in(4) => {
                    self.out.push(' ');
                    self.mapping(fields, indent + 2, true);
                }
                Value::Array(items) if !items.is_empty() && !self.random.one_in(4) => {
                    self.out.push(' ');
                    self.list(items, indent + 2, true);
                }
                Value::Object(_) | Value::Array(_) => {
                    self.out.push_str(&format!(" {}", yaml::flow(item)));
                    self.end();
                }
                scalar => self.scalar(scalar, indent),
            }
        }
    }
}

/// A document, now and then JSON.
fn document(random: &mut Random) -> String {
    let mut root = Map::new();
    for key in ["spec", "data"] {
        root.insert(key.to_owned(), value(random, 4));
    }
    root.insert("apiVersion".to_owned(), "v1".into());
    root.insert("kind".to_owned(), "Pod".into());
    let value = Value::Object(root.clone());
    if random.one_in(8) {
        return if random.one_in(2) { format!("{value:#}\n") } else { value.to_string() };
    }
    let newline = if random.one_in(6) { "\r\n" } else { "\n" };
    let (step, list_step) = (*random.pick(&[2, 2, 4]), *random.pick(&[0, 2]));
    let mut hand = Hand { random, out: String::new(), comments: 0, step, list_step, newline };
    hand.mapping(&root, 0, false);
    let mut text = hand.out;
    assert_eq!(load_all("", &text).0[0].value, value, "{text}");
    if random.one_in(6) {
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
    }
    text
}

fn paths(value: &Value, at: &FieldPath, out: &mut Vec<(FieldPath, Value)>) {
    out.push((at.clone(), value.clone()));
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| paths(item, &at.index(index), out));
        }
        Value::Object(fields) => fields.iter().for_each(|(key, field)| paths(field, &at.child(key), out)),
        _ => {}
    }
}

/// An edit that fits, and whether everything that was written stays.
fn edit(random: &mut Random, root: &Value) -> Option<(Edit, bool)> {
    let mut all = Vec::new();
    paths(root, &FieldPath::root(), &mut all);
    all.retain(|(path, _)| {
        ["spec", "data"].iter().any(|name| path.is_within(&FieldPath::root().child(name)))
    });
    let (path, old) = random.pick(&all).clone();
    let new = value(random, 2);
    let is_scalar = |value: &Value| !value.is_array() && !value.is_object();
    Some(match (random.below(5), &old) {
        (0, _) => {
            let keeps = is_scalar(&old);
            (Edit::Set { path, value: new }, keeps)
        }
        (1, Value::Object(fields)) => {
            let key = *random.pick(&KEYS);
            let keeps = fields.get(key).is_none_or(is_scalar);
            (Edit::Set { path: path.child(key), value: new }, keeps)
        }
        (2, Value::Array(_) | Value::Null) => (Edit::Append { path, value: new }, true),
        (3, _) if path.segments().len() > 1 => (Edit::Remove { path }, false),
        (4, Value::Array(items)) if !items.is_empty() => {
            let from = path.index(random.below(items.len()));
            let lists: Vec<_> =
                all.iter().filter(|(to, list)| list.is_array() && !to.is_within(&from)).collect();
            let (to, _) = random.pick(&lists);
            let beside = path.parent().child("moved");
            let has_key = matches!(path.segments().last(), Some(podspec::field::Segment::Field(_)));
            let to = if random.one_in(2) && has_key { beside } else { to.clone() };
            (Edit::Move { from, to }, true)
        }
        _ => return None,
    })
}

/// What moves from or to a place where there can be no lines of its own is written anew.
fn is_rewritten(text: &str, edit: &Edit) -> bool {
    let Edit::Move { from, to } = edit else { return false };
    let (documents, _) = load_all("", text);
    let places = &documents[0].places;
    let [list, target, around] = [&from.parent(), to, &to.parent()].map(|path| places.find(path).places);
    let stands_alone = begins_line(text, places.find(from).places.place.entry.range().start);
    let is_filled = target.place.form == Form::Flow && !target.items.is_empty();
    let is_of_list = target.place.key.is_none() && target.items.is_empty();
    is_of_list
        || list.place.form == Form::Flow
        || around.place.form == Form::Flow
        || is_filled
        || !stands_alone
}

fn comments(text: &str) -> Vec<&str> {
    let mut found: Vec<&str> =
        text.match_indices("# c").map(|(at, _)| &text[at..at + text[at..].find('.').unwrap()]).collect();
    found.sort_unstable();
    found
}

#[test]
fn edits_of_documents() {
    let mut random = Random(43);
    let (mut done, mut refused) = (0, Vec::new());
    while done + refused.len() < 2_000 {
        let text = document(&mut random);
        let root = load_all("", &text).0.remove(0).value;
        let Some((edit, keeps)) = edit(&mut random, &root) else { continue };
        let keeps = keeps && !is_rewritten(&text, &edit);
        let mut wanted = root.clone();
        let fix = Fix { title: String::new(), edits: vec![edit.clone()] };
        if fix.apply(&mut wanted).is_err() {
            continue;
        }
        match carry_out(&text, 0, &fix) {
            Ok(changed) => {
                done += 1;
                assert_eq!(load_all("", &changed).0[0].value, wanted, "{edit:?} of\n{text}");
                let (before, after) = (comments(&text), comments(&changed));
                assert!(!keeps || before == after, "{edit:?} loses comments of\n{text}\nas\n{changed}");
                assert_eq!(
                    text.contains('\r'),
                    changed.contains('\r'),
                    "{edit:?} of\n{text:?}\nas\n{changed:?}"
                );
            }
            Err(error) => {
                assert_eq!(error, CannotEdit::NoWay);
                refused.push((edit, text));
            }
        }
    }
    let some: String = refused.iter().take(3).map(|(edit, text)| format!("{edit:?} of\n{text}\n")).collect();
    assert!(refused.len() * 200 < done, "{} of {done} were refused:\n{some}", refused.len());
}
