//! The table of fields in COMPATIBILITY.md is the one the code goes by, with the tests that `fields.txt` names.
//! `UPDATE_EXPECT=1 cargo test -p podspec` rewrites it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use expect_test::expect_file;
use podspec::schema::{Accepted, Field, Object, POD, Support, Type};

const BEGIN: &str = "<!-- fields: begin (written by podspec's tests) -->\n";
const END: &str = "<!-- fields: end -->\n";

#[test]
fn every_field_is_listed() {
    let page = include_str!("../../../COMPATIBILITY.md");
    let (before, rest) = page.split_once(BEGIN).expect("COMPATIBILITY.md has a mark where the fields begin");
    let (_, after) = rest.split_once(END).expect("COMPATIBILITY.md has a mark where the fields end");
    let mut tests = tests();
    let expected = format!("{before}{BEGIN}{}{END}{after}", fields(&mut tests));
    assert!(tests.is_empty(), "fields.txt has tests of what is no field: {:?}", tests.keys());
    expect_file!["../../../COMPATIBILITY.md"].assert_eq(&expected);
}

/// By `Object.field`: the tests that show what the field does.
fn tests() -> BTreeMap<&'static str, Vec<&'static str>> {
    let lines = include_str!("fields.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut tests = BTreeMap::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let field = words.next().expect("a line that is not empty has a word");
        assert!(tests.insert(field, words.collect()).is_none(), "fields.txt has {field} twice");
    }
    tests
}

/// One section for each object, in the order in which they are met; takes out the tests that it names.
fn fields(tests: &mut BTreeMap<&'static str, Vec<&'static str>>) -> String {
    let mut objects: Vec<&'static Object> = vec![POD];
    let mut next = 0;
    while let Some(object) = objects.get(next).copied() {
        for below in object.fields.iter().filter_map(|f| nested(&f.ty)) {
            if objects.iter().all(|o| o.name != below.name) {
                objects.push(below);
            }
        }
        next += 1;
    }
    let mut text = String::new();
    for object in &objects {
        write!(text, "\n### {}\n\n", object.name).unwrap();
        let holders = holders(object, &objects);
        if !holders.is_empty() {
            write!(text, "In {holders}.\n\n").unwrap();
        }
        text.push_str("| field | type | state | test |\n|---|---|---|---|\n");
        for field in object.fields {
            let shown = tests.remove(format!("{}.{}", object.name, field.name).as_str()).unwrap_or_default();
            let shown: Vec<String> = shown.iter().map(|test| format!("`{test}`")).collect();
            let (ty, state, shown) = (type_name(&field.ty), state(field), shown.join(", "));
            writeln!(text, "| `{}` | {ty} | {state} | {shown} |", field.name).unwrap();
        }
    }
    text.push('\n');
    text
}

fn nested(ty: &Type) -> Option<&'static Object> {
    match ty {
        Type::Nested(object) => Some(object),
        Type::List(item) | Type::Map(item) => nested(item),
        _ => None,
    }
}

/// Where an object is used.
fn holders(object: &Object, objects: &[&'static Object]) -> String {
    let mut names = Vec::new();
    for holder in objects {
        for field in holder.fields {
            if nested(&field.ty).is_some_and(|below| below.name == object.name) {
                names.push(format!("`{}.{}` ({})", holder.name, field.name, word(field)));
            }
        }
    }
    names.join(", ")
}

fn type_name(ty: &Type) -> String {
    match ty {
        Type::Text => "string".to_owned(),
        Type::Flag => "boolean".to_owned(),
        Type::Int32 => "int32".to_owned(),
        Type::Int64 => "int64".to_owned(),
        Type::Quantity => "Quantity".to_owned(),
        Type::IntOrString => "int or string".to_owned(),
        Type::Time => "Time".to_owned(),
        Type::Any => "object".to_owned(),
        Type::Nested(object) => object.name.to_owned(),
        Type::List(item) => format!("list of {}", type_name(item)),
        Type::Map(item) => format!("map of {}", type_name(item)),
    }
}

fn word(field: &Field) -> &'static str {
    match field.support {
        Support::Supported => "supported",
        Support::When(_) | Support::Only(..) => "supported in part",
        Support::Unread(_) => "accepted",
        Support::NotYet(_) => "not yet",
        Support::Refused(_) => "refused",
        Support::Inner => "as what holds it",
    }
}

fn state(field: &Field) -> String {
    let word = word(field);
    match field.support {
        Support::Supported | Support::Inner => word.to_owned(),
        Support::When(case) => format!("supported {case}"),
        Support::Only(values, missing) => {
            let values: Vec<String> =
                values.iter().map(|v| v.to_text().unwrap_or_else(|| "{}".to_owned())).collect();
            let values: Vec<String> = values.iter().map(|v| format!("`{v}`")).collect();
            format!("{} only; not yet: {missing}", values.join(", "))
        }
        Support::Unread(why) => format!("{word}, changes nothing: {why}"),
        Support::NotYet(what) | Support::Refused(what) => format!("{word}: {what}"),
    }
}

/// Keeps the pattern above exhaustive when a kind of value is added.
#[test]
fn values_are_shown_as_they_are_written() {
    let shown: Vec<_> = [Accepted::Text("None"), Accepted::Flag(false), Accepted::Number(0), Accepted::Empty]
        .iter()
        .map(Accepted::to_text)
        .collect();
    assert_eq!(shown, [Some("None".into()), Some("false".into()), Some("0".into()), None]);
}
