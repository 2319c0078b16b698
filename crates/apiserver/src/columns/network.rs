//! Policies, and where addresses of Services come from.

use podspec::json::{fields, list, text};
use serde_json::Value;

use super::{AGE, NAME, Printed, age, column, name, or};

pub static NETWORK_POLICIES: Printed = Printed {
    columns: const { &[NAME, column("Pod-Selector", "The pods that it is about"), AGE] },
    cells: |policy, now| {
        vec![name(policy), selector(&policy["spec"]["podSelector"]).into(), age(policy, now)]
    },
};

pub static SERVICE_CIDRS: Printed = Printed {
    columns: const { &[NAME, column("CIDRs", "The ranges of addresses"), AGE] },
    cells: |ranges, now| {
        let cidrs: Vec<&str> = list(&ranges["spec"], "cidrs").iter().filter_map(Value::as_str).collect();
        vec![name(ranges), cidrs.join(",").into(), age(ranges, now)]
    },
};

pub static IP_ADDRESSES: Printed = Printed {
    columns: const { &[NAME, column("ParentRef", "Whose address it is"), AGE] },
    cells: |address, now| {
        let parent = &address["spec"]["parentRef"];
        let mut shown = text(parent, "resource").to_owned();
        if !text(parent, "group").is_empty() {
            shown = format!("{shown}.{}", text(parent, "group"));
        }
        for part in
            ["namespace", "name"].map(|name| text(parent, name)).into_iter().filter(|part| !part.is_empty())
        {
            shown = format!("{shown}/{part}");
        }
        vec![name(address), or(&shown, "<none>").into(), age(address, now)]
    },
};

/// As kubectl prints a label selector: by key, those of `matchLabels` as if they were written so.
fn selector(selector: &Value) -> String {
    let equal = fields(&selector["matchLabels"]).iter();
    let mut parts: Vec<(String, String)> =
        equal.map(|(key, value)| (key.clone(), format!("{key}={}", value.as_str().unwrap_or("")))).collect();
    for expression in list(selector, "matchExpressions") {
        let key = text(expression, "key");
        let mut values: Vec<&str> = list(expression, "values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let part = match text(expression, "operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        };
        parts.push((key.to_owned(), part));
    }
    parts.sort();
    or(&parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>().join(","), "<none>")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::selector;

    #[test]
    fn selectors() {
        for (object, printed) in [
            (json!({}), "<none>"),
            (json!({"matchLabels": {"b": "1", "a": "2"}}), "a=2,b=1"),
            (
                json!({"matchLabels": {"c": ""}, "matchExpressions": [
                    {"key": "a", "operator": "In", "values": ["y", "x"]},
                    {"key": "b", "operator": "NotIn", "values": ["z"]},
                    {"key": "d", "operator": "Exists"},
                    {"key": "e", "operator": "DoesNotExist"},
                ]}),
                "a in (x,y),b notin (z),c=,d,!e",
            ),
        ] {
            assert_eq!(selector(&object), printed);
        }
    }
}
