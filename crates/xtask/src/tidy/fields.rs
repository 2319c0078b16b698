//! Every field of v1.Pod has its row in COMPATIBILITY.md, and every row of what is there for use names a test of it.
//! What the fields are is read from the tables of `api-schema`; its rows get their tests from `podspec`'s tests.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::tidy::Source;

const PAGE: &str = "COMPATIBILITY.md";
const SCHEMA: &str = "crates/api-schema/schema/";
const SUITES: &str = "crates/e2e/src/suites/";

/// A part of the page: the type that its tables begin with, and a field that another part has.
struct Part {
    mark: &'static str,
    root: &'static str,
    elsewhere: &'static str,
}

const PARTS: [Part; 2] = [
    Part { mark: "fields", root: "core.Pod", elsewhere: "core.PodStatus" },
    Part { mark: "status", root: "core.PodStatus", elsewhere: "" },
];

/// `Object.field`.
type Name = String;

/// What the page says of a field.
#[derive(Debug)]
struct Row {
    state: String,
    tests: Vec<String>,
}

pub(super) fn check(sources: &[Source]) -> Vec<String> {
    let Some(page) = sources.iter().find(|source| source.path == PAGE) else {
        return vec![format!("there is no {PAGE}")];
    };
    let types = types(sources);
    let tests = Tests { sources };
    PARTS.iter().flat_map(|part| check_part(part, &page.text, &types, &tests)).collect()
}

fn check_part(part: &Part, page: &str, types: &Types<'_>, tests: &Tests<'_>) -> Vec<String> {
    let mark = part.mark;
    let Some(rows) = rows(page, mark) else {
        return vec![format!("{PAGE}: no tables between <!-- {mark}: begin and <!-- {mark}: end")];
    };
    let fields = fields(types, part);
    let mut complaints = vec![];
    for name in fields.iter().filter(|name| !rows.contains_key(*name)) {
        complaints.push(format!("{PAGE}: {name} has no row"));
    }
    for (name, row) in &rows {
        if !fields.contains(name) {
            complaints.push(format!("{PAGE}: the API has no {name}: remove the row"));
        }
        if row.needs_test() && row.tests.is_empty() {
            complaints.push(format!("{PAGE}: {name} is {}, and no test shows it", row.state));
        }
        for test in row.tests.iter().filter(|test| !tests.contain(test)) {
            complaints.push(format!("{PAGE}: {name}: there is no test {test}"));
        }
    }
    complaints
}

impl Row {
    /// Supported in every case, or in some; written in a status.
    fn needs_test(&self) -> bool {
        ["supported", "written", "`"].iter().any(|begin| self.state.starts_with(begin))
    }
}

/// The rows of the tables between the marks: name, type, state, tests. Each table's heading is its object.
fn rows(page: &str, mark: &str) -> Option<BTreeMap<Name, Row>> {
    let (_, rest) = page.split_once(&format!("<!-- {mark}: begin"))?;
    let (tables, _) = rest.split_once(&format!("<!-- {mark}: end"))?;
    let mut object = "";
    let mut rows = BTreeMap::new();
    for line in tables.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            object = heading;
        }
        let Some(cells) = line.strip_prefix("| `").and_then(|line| line.strip_suffix(" |")) else { continue };
        let cells: Vec<&str> = cells.split(" | ").map(str::trim).collect();
        let [field, _, state, ref tests @ ..] = cells[..] else { continue };
        let tests =
            tests.iter().flat_map(|cell| cell.split(", ")).map(|test| test.trim_matches(['`', '|', ' ']));
        let tests = tests.filter(|test| !test.is_empty()).map(str::to_owned).collect();
        let name = format!("{object}.{}", field.trim_end_matches('`'));
        rows.insert(name, Row { state: state.to_owned(), tests });
    }
    Some(rows)
}

/// By `package.Type`: the fields, each with its type's full name; `=` is a type whose fields are taken.
type Types<'a> = HashMap<String, Vec<(&'a str, String)>>;

/// What `src/table.rs` of `api-schema` describes, as far as it names fields.
fn types(sources: &[Source]) -> Types<'_> {
    let mut types = Types::new();
    for source in sources.iter().filter(|source| source.path.starts_with(SCHEMA)) {
        let (mut package, mut current) = ("", String::new());
        for line in source.text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["package", alias, ..] => package = alias,
                [kind @ ("kind" | "type"), name, ..] if !line.starts_with(' ') => {
                    current = format!("{package}.{name}");
                    let own = ["kind", "apiVersion"].map(|field| (field, "string".to_owned()));
                    types.insert(current.clone(), if kind == "kind" { own.to_vec() } else { vec![] });
                }
                [_, name, ty, ..] if line.starts_with(' ') => {
                    let ty = ty.trim_matches(|c: char| !c.is_alphanumeric());
                    let ty = if ty.contains('.') { ty.to_owned() } else { format!("{package}.{ty}") };
                    types.entry(current.clone()).or_default().push((name.trim_end_matches('*'), ty));
                }
                _ => {}
            }
        }
    }
    types
}

/// Every field of the part's first type and of all below it.
fn fields(types: &Types<'_>, part: &Part) -> BTreeSet<Name> {
    let mut names = BTreeSet::new();
    let mut seen = BTreeSet::from([part.root.to_owned()]);
    let mut next = vec![part.root.to_owned()];
    while let Some(ty) = next.pop() {
        let object = ty.split_once('.').map_or(ty.as_str(), |(_, object)| object);
        let mut own = types.get(&ty).cloned().unwrap_or_default();
        while let Some((field, below)) = own.pop() {
            if field == "=" {
                own.extend(types.get(&below).cloned().unwrap_or_default());
                continue;
            }
            names.insert(format!("{object}.{field}"));
            if types.contains_key(&below) && below != part.elsewhere && seen.insert(below.clone()) {
                next.push(below);
            }
        }
    }
    names
}

/// What is called a test: `suite::test` of the end-to-end suites, or `crate/path/file.rs::test`.
struct Tests<'a> {
    sources: &'a [Source],
}

impl Tests<'_> {
    fn contain(&self, test: &str) -> bool {
        let Some((place, name)) = test.split_once("::") else { return false };
        if place.ends_with(".rs") {
            return self.text(&format!("crates/{place}")).is_some_and(|text| has_unit_test(text, name));
        }
        let is_listed = self
            .text(&format!("{SUITES}mod.rs"))
            .is_some_and(|text| text.contains(&format!("tests: {place}::TESTS")));
        is_listed && self.text(&format!("{SUITES}{place}.rs")).is_some_and(|text| is_in_suite(text, name))
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.sources.iter().find(|source| source.path == path).map(|source| source.text.as_str())
    }
}

/// The suite's list names it: what is not there is never run.
fn is_in_suite(text: &str, name: &str) -> bool {
    let list = text.split_once("tests![").and_then(|(_, rest)| rest.split_once(']'));
    list.is_some_and(|(list, _)| list.split(',').any(|test| test.trim() == name))
}

fn has_unit_test(text: &str, name: &str) -> bool {
    let begins = [format!("fn {name}("), format!("async fn {name}(")];
    let mut is_test = false;
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if is_test && begins.iter().any(|begin| line.starts_with(begin)) {
            return true;
        } else if !line.starts_with(['#', '/']) {
            is_test = false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::Source;

    const META: &str = "package meta meta v1 x\n\ntype ObjectMeta\n  1 name string\n";
    const CORE: &str = "package core - v1 x\n\nkind Pod\n  1 metadata meta.ObjectMeta\n  2 spec PodSpec\n  3 status PodStatus\n\
        \ntype PodSpec\n  1 containers* [Container] map(name)\n\
        \ntype Container\n  1 name* string\n  2 = Handler\n\ntype Handler\n  1 exec ?Action\n\ntype Action\n\
        \ntype PodStatus\n  1 phase string\n";
    const PAGE: &str = "<!-- fields: begin -->\n### Pod\n| field | type | state | test |\n|---|---|---|---|\n\
        | `kind` | string | supported | `one::it` |\n| `apiVersion` | string | accepted, changes nothing: why |  |\n\
        | `metadata` | M | supported in part | `a/src/b.rs::unit` |\n| `spec` | S | supported | `one::it`, `a/src/b.rs::later` |\n\
        | `status` | object | accepted, changes nothing: why |  |\n### ObjectMeta\n| `name` | string | not yet: this |  |\n\
        ### PodSpec\n| `containers` | list | `x` only; not yet: y | `one::it` |\n### Container\n\
        | `name` | string | supported | `one::it` |\n| `exec` | Action | refused: why |  |\n<!-- fields: end -->\n\
        <!-- status: begin -->\n### PodStatus\n| `phase` | string | written | `one::it` |\n<!-- status: end -->\n";

    fn complaints(page: &str) -> Vec<String> {
        let file = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
        check(&[
            file("COMPATIBILITY.md", page),
            file("crates/api-schema/schema/meta.txt", META),
            file("crates/api-schema/schema/core.txt", CORE),
            file("crates/e2e/src/suites/mod.rs", "Suite { name: \"one\", tests: one::TESTS },"),
            file(
                "crates/e2e/src/suites/one.rs",
                "const TESTS: &[Test] =\n    tests![it, other];\nfn unlisted() {}",
            ),
            file("crates/e2e/src/suites/two.rs", "tests![it]"),
            file(
                "crates/a/src/b.rs",
                "#[test]\n/// Why.\nfn unit() {}\nfn helper() {}\n    #[tokio::test(x)]\n    async fn later() {}\n",
            ),
        ])
    }

    /// The page with one thing changed, and the only complaint of it.
    fn complaint(from: &str, to: &str) -> String {
        assert!(PAGE.contains(from), "{from}");
        let found = complaints(&PAGE.replacen(from, to, 1));
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }

    #[test]
    fn every_field_has_a_row_and_every_supported_one_a_test() {
        assert_eq!(complaints(PAGE), Vec::<String>::new());
        let of_page = |what: &str| format!("COMPATIBILITY.md: {what}");
        assert_eq!(
            complaint("| `exec` | Action | refused: why |  |\n", ""),
            of_page("Container.exec has no row")
        );
        assert_eq!(
            complaint("### PodSpec\n", "### PodSpec\n| `nodes` | string | refused: why |  |\n"),
            of_page("the API has no PodSpec.nodes: remove the row")
        );
        assert_eq!(
            complaint("supported | `one::it` |", "supported |  |"),
            of_page("Pod.kind is supported, and no test shows it")
        );
        assert_eq!(
            complaint("not yet: y | `one::it` |", "not yet: y |  |"),
            of_page("PodSpec.containers is `x` only; not yet: y, and no test shows it")
        );
        assert_eq!(
            complaint("written | `one::it` |", "written |"),
            of_page("PodStatus.phase is written, and no test shows it")
        );
        for absent in
            ["one::unlisted", "one::none", "two::it", "it", "a/src/b.rs::helper", "a/src/c.rs::unit"]
        {
            assert_eq!(
                complaint("supported | `one::it` |", &format!("supported | `{absent}` |")),
                of_page(&format!("Pod.kind: there is no test {absent}"))
            );
        }
        assert_eq!(
            complaint("<!-- status: end -->", ""),
            of_page("no tables between <!-- status: begin and <!-- status: end")
        );
    }
}
