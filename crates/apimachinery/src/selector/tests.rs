use std::collections::BTreeMap;

use serde_json::json;

use super::{FieldSelector, LabelSelector};

fn labels(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn label_selectors_select() {
    for (selector, has, matches) in [
        ("", "a=1", true),
        ("a", "a=1", true),
        ("a", "", false),
        ("!a", "b=1", true),
        ("! a", "a=1", false),
        ("a=1", "a=1", true),
        ("a==1", "a=2", false),
        ("a!=1", "a=2", true),
        ("a!=1", "", true),
        ("a=", "a=", true),
        ("a=,b=1", "a=,b=1", true),
        ("a in (1,2)", "a=2", true),
        ("a in (1,2)", "", false),
        ("a in (1,)", "a=", true),
        ("a in ()", "a=", true),
        ("a in (,1)", "a=1", true),
        ("a notin (1, 2)", "a=2", false),
        ("a notin (1, 2)", "", true),
        ("in in (notin,in)", "in=notin", true),
        ("a>1", "a=2", true),
        ("a < 10", "a=9", true),
        ("a<10", "a=x", false),
        ("a>1", "", false),
        (" a = 1 ,\tb != 2 ", "a=1,b=3", true),
        ("a=1,b!=2", "a=1,b=2", false),
        ("example.com/role=web", "example.com/role=web", true),
    ] {
        let parsed = LabelSelector::parse(selector).unwrap_or_else(|e| panic!("{selector}: {e}"));
        assert_eq!(parsed.matches(&labels(has)), matches, "{selector} on {has}");
        // The text of a selector is a selector that selects the same.
        assert_eq!(LabelSelector::parse(&parsed.to_string()).as_ref(), Ok(&parsed), "{parsed}");
    }
    assert!(LabelSelector::parse("").unwrap().is_everything());
    assert_eq!(LabelSelector::parse("b in (y,x),!c,a").unwrap().to_string(), "a,b in (x,y),!c");
}

#[test]
fn label_selectors_that_are_none() {
    for (selector, message) in [
        (",", "found ',', expected: !, identifier, or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in (b c)", "unable to parse requirement: found 'c', expected: ',' or ')'"),
        ("a=(", "unable to parse requirement: found '(', expected: identifier"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        (
            "a>x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
    ] {
        assert_eq!(LabelSelector::parse(selector).unwrap_err().0, message, "{selector}");
    }
    let error = LabelSelector::parse("a_/b=1").unwrap_err().0;
    assert!(
        error.starts_with(
            "unable to parse requirement: <nil>: Invalid value: \"a_/b\": prefix part a lowercase RFC 1123"
        ),
        "{error}"
    );
    let error = LabelSelector::parse("a=-").unwrap_err().0;
    assert!(
        error.starts_with("unable to parse requirement: values[0][a]: Invalid value: \"-\": a valid label"),
        "{error}"
    );
}

#[test]
fn label_selectors_of_objects() {
    let selector = json!({"matchLabels": {"a": "1"}, "matchExpressions": [
        {"key": "b", "operator": "In", "values": ["x", "y"]}, {"key": "c", "operator": "DoesNotExist"}]});
    let selector = LabelSelector::from_json(&selector).unwrap();
    assert_eq!(selector.to_string(), "a=1,b in (x,y),!c");
    assert!(selector.matches(&labels("a=1,b=x")) && !selector.matches(&labels("a=1,b=x,c=")));
    assert!(selector.matches(&json!({"a": "1", "b": "y"})) && !selector.matches(&json!(null)));
    let nothing = LabelSelector::from_json(&json!(null)).unwrap();
    assert!(!nothing.matches(&labels("")) && !nothing.is_everything());
    assert!(LabelSelector::from_json(&json!({})).unwrap().is_everything());
    for (selector, message) in [
        (
            json!({"matchExpressions": [{"key": "a", "operator": "Is"}]}),
            "\"Is\" is not a valid label selector operator",
        ),
        (
            json!({"matchExpressions": [{"key": "a", "operator": "In"}]}),
            "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
        ),
        (
            json!({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]}),
            "values: Invalid value: [\"x\"]: values set must be empty for exists and does not exist",
        ),
    ] {
        assert_eq!(LabelSelector::from_json(&selector).unwrap_err().0, message);
    }
}

#[test]
fn field_selectors_select() {
    let fields = |name: &str| match name {
        "metadata.name" => Some("x"),
        "status.phase" => Some("Running"),
        "odd" => Some("a,b=c\\"),
        _ => None,
    };
    for (selector, matches) in [
        ("", true),
        ("metadata.name=x", true),
        ("metadata.name==x,status.phase!=Failed", true),
        ("metadata.name=x,status.phase!=Running", false),
        ("spec.nodeName=", true),
        ("spec.nodeName!=", false),
        ("odd=a\\,b\\=c\\\\", true),
        (",metadata.name=x,", true),
    ] {
        let parsed = FieldSelector::parse(selector).unwrap();
        assert_eq!(parsed.matches(fields), matches, "{selector}");
        assert_eq!(FieldSelector::parse(&parsed.to_string()).as_ref(), Ok(&parsed));
    }
    let parsed = FieldSelector::parse("a!=1,b=2,c==3").unwrap();
    let terms: Vec<_> =
        parsed.terms().iter().map(|t| (t.field.as_str(), t.equal, t.value.as_str())).collect();
    assert_eq!(terms, [("a", false, "1"), ("b", true, "2"), ("c", true, "3")]);
    assert_eq!((parsed.exactly("b"), parsed.exactly("a")), (Some("2"), None));
}

#[test]
fn field_selectors_that_are_none() {
    for (selector, message) in [
        ("x", "invalid selector: 'x'; can't understand 'x'"),
        ("a=b,x!", "invalid selector: 'a=b,x!'; can't understand 'x!'"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        ("a=\\b", "invalid field selector: invalid escape sequence: \\b"),
        ("a=b\\", "invalid field selector: invalid escape sequence: \\"),
    ] {
        assert_eq!(FieldSelector::parse(selector).unwrap_err().0, message, "{selector}");
    }
}

/// Any text is a selector or an error.
#[test]
fn hostile_texts() {
    let parts = ["a", "in", "notin", "(", ")", ",", "=", "!", ">", "<", " ", "\\", "\u{e9}", "\0", "1"];
    let mut state: usize = 1;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..state % 9 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(parts[(state >> 33) % parts.len()]);
        }
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state = state.rotate_left(7);
        if let Ok(parsed) = LabelSelector::parse(&text) {
            assert_eq!(LabelSelector::parse(&parsed.to_string()), Ok(parsed), "{text:?}");
        }
        if let Ok(parsed) = FieldSelector::parse(&text) {
            assert_eq!(FieldSelector::parse(&parsed.to_string()), Ok(parsed), "{text:?}");
        }
    }
}
