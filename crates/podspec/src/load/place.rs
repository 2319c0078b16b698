//! Where in the text the values of a document stand.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::field::{FieldPath, Segment};

/// Bytes of a text, from `start` up to `end`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

/// Where one value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// Of the key, or of the value where it has none; 1-based, 0 when unknown.
    pub line: u32,
    /// With its quotes; `None` for entries of lists and for the document itself.
    pub key: Option<Span>,
    /// Without anchor and tag. Empty where nothing is written, which means null.
    pub value: Span,
    /// Key and value, with what stands before them: the dash of a list, anchor and tag.
    pub entry: Span,
    pub form: Form,
    pub origin: Origin,
}

/// Whose text a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Origin {
    /// Its own.
    #[default]
    Here,
    /// `*alias` stands here, and that is the place. What it contains has places at the anchor, where the text is.
    Alias,
    /// `<<` has brought the entry, and it has its place at the anchor.
    Merge,
}

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Form {
    #[default]
    Scalar,
    /// A list or a mapping by lines and indentation.
    Block,
    /// A list or a mapping in brackets, as in JSON.
    Flow,
}

/// The places of a document's values, in the shape of the document.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Places {
    pub place: Place,
    pub items: Vec<Places>,
    pub fields: BTreeMap<String, Places>,
}

/// What [`Places::find`] has found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    pub places: &'a Places,
    /// How many segments of the path lead there; fewer than it has when the rest is not in the text.
    pub depth: usize,
    /// It, or something around it, comes from elsewhere in the text.
    pub is_borrowed: bool,
}

impl Span {
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { start: number(start), end: number(end).max(number(start)) }
    }

    #[must_use]
    pub fn range(self) -> Range<usize> {
        let number = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        number(self.start)..number(self.end)
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

impl Places {
    /// The value at `path`, or the nearest value around it.
    #[must_use]
    pub fn find(&self, path: &FieldPath) -> Found<'_> {
        let mut found = Found { places: self, depth: 0, is_borrowed: self.place.origin != Origin::Here };
        for segment in path.segments() {
            let next = match segment {
                Segment::Field(name) | Segment::Key(name) => found.places.fields.get(name),
                Segment::Index(index) => found.places.items.get(*index),
            };
            let Some(next) = next else { break };
            let is_borrowed = found.is_borrowed || next.place.origin != Origin::Here;
            found = Found { places: next, depth: found.depth + 1, is_borrowed };
        }
        found
    }

    /// The line of the value at `path`, or of the nearest value around it; 1-based, 0 when unknown.
    #[must_use]
    pub fn line_of(&self, path: &FieldPath) -> u32 {
        self.find(path).places.place.line
    }

    /// What a list or a mapping contains here, in the order of the text: without what was merged in.
    #[must_use]
    pub fn entries(&self) -> Vec<&Self> {
        let own = self.items.iter().chain(self.fields.values());
        let mut entries: Vec<&Self> = own.filter(|entry| entry.place.origin != Origin::Merge).collect();
        entries.sort_by_key(|entry| entry.place.entry);
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::super::load_all;
    use super::{Form, Origin, Places};

    /// One line each: path, key, value and entry as they stand in the text, and how.
    fn places(text: &str) -> String {
        let (documents, errors) = load_all("f.yaml", text);
        assert!(errors.is_empty(), "{errors:?}");
        let mut out = String::new();
        for document in documents {
            out += &format!("document \"{}\"\n", text[document.extent.range()].escape_default());
            describe(text, "", &document.places, &mut out);
        }
        out
    }

    fn describe(text: &str, path: &str, at: &Places, out: &mut String) {
        let place = at.place;
        let part = |span: super::Span| format!("\"{}\"", text[span.range()].escape_default());
        let origin = match place.origin {
            Origin::Here => "",
            Origin::Alias => " alias",
            Origin::Merge => " merged",
        };
        let form = match place.form {
            Form::Scalar => "",
            Form::Block => " block",
            Form::Flow => " flow",
        };
        let key = place.key.map_or(String::new(), part);
        let (value, entry) = (part(place.value), part(place.entry));
        *out += &format!("{}{path}{form}{origin}: {key} | {value} | {entry}\n", place.line);
        for (i, item) in at.items.iter().enumerate() {
            describe(text, &format!("{path}[{i}]"), item, out);
        }
        for (name, field) in &at.fields {
            describe(text, &format!("{path}.{}", name.escape_default()), field, out);
        }
    }

    #[test]
    fn everything_has_its_place() {
        let text = "\u{feff}# head\nkind: A # of it\napiVersion: v1\na:\n  - x # c\n  - &q \"y\"\n\n# tail\nb: &m\n  c: |\n    h\u{e9}\n\n    l\n\n  \
                    # in\ne:\n'f': {a: 1, b: [1, 2,], c, \"d\": }\n? g\n: h\ni: !!str 5\nj: *q\nk:\n- \n-\n- {}\n- - 1\n  - u: v\n    w: &z [2]\n\
                    l: >- # folded\n\n  two\n  lines\n\n\nm: plain\n  goes on # d\no:\n  <<: *m\n  own: *z\n---\nkind: B\napiVersion: v1\nkeep: |+\n  x\n\nz:\n  last";
        expect_test::expect![[r#"
            document "\u{feff}# head\nkind: A # of it\napiVersion: v1\na:\n  - x # c\n  - &q \"y\"\n\n# tail\nb: &m\n  c: |\n    h\u{e9}\n\n    l\n\n  # in\ne:\n\'f\': {a: 1, b: [1, 2,], c, \"d\": }\n? g\n: h\ni: !!str 5\nj: *q\nk:\n- \n-\n- {}\n- - 1\n  - u: v\n    w: &z [2]\nl: >- # folded\n\n  two\n  lines\n\n\nm: plain\n  goes on # d\no:\n  <<: *m\n  own: *z\n"
            2 block:  | "kind: A # of it\napiVersion: v1\na:\n  - x # c\n  - &q \"y\"\n\n# tail\nb: &m\n  c: |\n    h\u{e9}\n\n    l\n\n  # in\ne:\n\'f\': {a: 1, b: [1, 2,], c, \"d\": }\n? g\n: h\ni: !!str 5\nj: *q\nk:\n- \n-\n- {}\n- - 1\n  - u: v\n    w: &z [2]\nl: >- # folded\n\n  two\n  lines\n\n\nm: plain\n  goes on # d\no:\n  <<: *m\n  own: *z" | "kind: A # of it\napiVersion: v1\na:\n  - x # c\n  - &q \"y\"\n\n# tail\nb: &m\n  c: |\n    h\u{e9}\n\n    l\n\n  # in\ne:\n\'f\': {a: 1, b: [1, 2,], c, \"d\": }\n? g\n: h\ni: !!str 5\nj: *q\nk:\n- \n-\n- {}\n- - 1\n  - u: v\n    w: &z [2]\nl: >- # folded\n\n  two\n  lines\n\n\nm: plain\n  goes on # d\no:\n  <<: *m\n  own: *z"
            4.a block: "a" | "- x # c\n  - &q \"y\"" | "a:\n  - x # c\n  - &q \"y\""
            5.a[0]:  | "x" | "- x"
            6.a[1]:  | "\"y\"" | "- &q \"y\""
            3.apiVersion: "apiVersion" | "v1" | "apiVersion: v1"
            9.b block: "b" | "c: |\n    h\u{e9}\n\n    l" | "b: &m\n  c: |\n    h\u{e9}\n\n    l"
            10.b.c: "c" | "|\n    h\u{e9}\n\n    l" | "c: |\n    h\u{e9}\n\n    l"
            16.e: "e" | "" | "e:"
            17.f flow: "\'f\'" | "{a: 1, b: [1, 2,], c, \"d\": }" | "\'f\': {a: 1, b: [1, 2,], c, \"d\": }"
            17.f.a: "a" | "1" | "a: 1"
            17.f.b flow: "b" | "[1, 2,]" | "b: [1, 2,]"
            17.f.b[0]:  | "1" | "1"
            17.f.b[1]:  | "2" | "2"
            17.f.c: "c" | "" | "c"
            17.f.d: "\"d\"" | "" | "\"d\":"
            18.g: "g" | "h" | "? g\n: h"
            20.i: "i" | "5" | "i: !!str 5"
            21.j alias: "j" | "*q" | "j: *q"
            22.k block: "k" | "- \n-\n- {}\n- - 1\n  - u: v\n    w: &z [2]" | "k:\n- \n-\n- {}\n- - 1\n  - u: v\n    w: &z [2]"
            23.k[0]:  | "" | "-"
            24.k[1]:  | "" | "-"
            25.k[2] flow:  | "{}" | "- {}"
            26.k[3] block:  | "- 1\n  - u: v\n    w: &z [2]" | "- - 1\n  - u: v\n    w: &z [2]"
            26.k[3][0]:  | "1" | "- 1"
            27.k[3][1] block:  | "u: v\n    w: &z [2]" | "- u: v\n    w: &z [2]"
            27.k[3][1].u: "u" | "v" | "u: v"
            28.k[3][1].w flow: "w" | "[2]" | "w: &z [2]"
            28.k[3][1].w[0]:  | "2" | "2"
            2.kind: "kind" | "A" | "kind: A"
            29.l: "l" | ">- # folded\n\n  two\n  lines" | "l: >- # folded\n\n  two\n  lines"
            35.m: "m" | "plain\n  goes on" | "m: plain\n  goes on"
            37.o block: "o" | "<<: *m\n  own: *z" | "o:\n  <<: *m\n  own: *z"
            10.o.c merged: "c" | "|\n    h\u{e9}\n\n    l" | "c: |\n    h\u{e9}\n\n    l"
            39.o.own alias: "own" | "*z" | "own: *z"
            28.o.own[0]:  | "2" | "2"
            document "---\nkind: B\napiVersion: v1\nkeep: |+\n  x\n\nz:\n  last"
            41 block:  | "kind: B\napiVersion: v1\nkeep: |+\n  x\n\nz:\n  last" | "kind: B\napiVersion: v1\nkeep: |+\n  x\n\nz:\n  last"
            42.apiVersion: "apiVersion" | "v1" | "apiVersion: v1"
            43.keep: "keep" | "|+\n  x\n\n" | "keep: |+\n  x\n\n"
            41.kind: "kind" | "B" | "kind: B"
            46.z: "z" | "last" | "z:\n  last"
        "#]].assert_eq(&places(text));
    }

    #[test]
    fn of_json_too() {
        let text = "{\"kind\": \"A\", \"apiVersion\":\"v1\"}\n {\n\t\"kind\": \"B\",\n\t\"apiVersion\": \"v1\",\n\t\"\u{e9}\": [ {\"a\":null} , [] ]\n}\n";
        expect_test::expect![[r#"
            document "{\"kind\": \"A\", \"apiVersion\":\"v1\"}"
            1 flow:  | "{\"kind\": \"A\", \"apiVersion\":\"v1\"}" | "{\"kind\": \"A\", \"apiVersion\":\"v1\"}"
            1.apiVersion: "\"apiVersion\"" | "\"v1\"" | "\"apiVersion\":\"v1\""
            1.kind: "\"kind\"" | "\"A\"" | "\"kind\": \"A\""
            document "\n {\n\t\"kind\": \"B\",\n\t\"apiVersion\": \"v1\",\n\t\"\u{e9}\": [ {\"a\":null} , [] ]\n}"
            2 flow:  | "{\n\t\"kind\": \"B\",\n\t\"apiVersion\": \"v1\",\n\t\"\u{e9}\": [ {\"a\":null} , [] ]\n}" | "{\n\t\"kind\": \"B\",\n\t\"apiVersion\": \"v1\",\n\t\"\u{e9}\": [ {\"a\":null} , [] ]\n}"
            4.apiVersion: "\"apiVersion\"" | "\"v1\"" | "\"apiVersion\": \"v1\""
            3.kind: "\"kind\"" | "\"B\"" | "\"kind\": \"B\""
            5.\u{e9} flow: "\"\u{e9}\"" | "[ {\"a\":null} , [] ]" | "\"\u{e9}\": [ {\"a\":null} , [] ]"
            5.\u{e9}[0] flow:  | "{\"a\":null}" | "{\"a\":null}"
            5.\u{e9}[0].a: "\"a\"" | "null" | "\"a\":null"
            5.\u{e9}[1] flow:  | "[]" | "[]"
        "#]].assert_eq(&places(text));
    }

    #[test]
    fn what_comes_from_elsewhere_is_told_apart() {
        let text = "kind: A\napiVersion: v1\na: &a {x: {w: 1}}\nb: *a\nc: {<<: *a, z: 2}\n";
        let (documents, _) = load_all("f.yaml", text);
        let root = crate::FieldPath::root();
        for (path, is_borrowed, shown) in [
            (root.child("a").child("x").child("w"), false, "1"),
            (root.child("b"), true, "*a"),
            (root.child("b").child("x").child("w"), true, "1"),
            (root.child("c").child("x"), true, "{w: 1}"),
            (root.child("c").child("z"), false, "2"),
            (root.child("c").child("none").child("z"), false, "{<<: *a, z: 2}"),
        ] {
            let found = documents[0].places.find(&path);
            let value = &text[found.places.place.value.range()];
            assert_eq!((found.is_borrowed, value), (is_borrowed, shown), "{path}");
        }
    }
}
