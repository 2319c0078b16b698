use std::path::PathBuf;

use expect_test::expect;
use lint::text::Options;
use serde_json::Value;

use super::human::Style;
use super::{Format, code, github, human, json, look, sarif};
use crate::run::ManifestText;

const TEXT: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  containers:
  - name: main # the app
    image: example.com/app:1.0
    imagePolicy: Never
    volumeMounts:
    - name: shared-log
      mountPath: /var/log
  volumes:
  - name: shared-logs
    emptyDir: {}
";

fn file(name: &str, text: &str) -> ManifestText {
    ManifestText { path: Some(PathBuf::from(name)), name: name.to_owned(), text: text.to_owned() }
}

fn plain() -> Style {
    Style { color: false, unicode: false, columns: None }
}

fn rendered(files: Vec<ManifestText>, unreadable: Vec<String>, format: Format) -> (String, u8) {
    let report = look(files, unreadable, &Options::default());
    let text = match format {
        Format::Human => human::render(&report, plain()),
        Format::Json => json::render(&report),
        Format::Sarif => sarif::render(&report),
        Format::Github => github::render(&report),
    };
    (text, code(&report, false))
}

#[test]
fn people_see_arrows() {
    let (text, code) = rendered(vec![file("pod.yaml", TEXT)], vec![], Format::Human);
    assert_eq!(code, 1);
    expect![[r#"
        error[unknown-field] (monopod lint --explain unknown-field)

          x unknown field "spec.containers[0].imagePolicy"
            ,-[pod.yaml:9:5]
          8 |     image: example.com/app:1.0
          9 |     imagePolicy: Never
            :     ^^^^^|^^^^^
            :          `-- spec.containers[0].imagePolicy
         10 |     volumeMounts:
            `----
          help: did you mean "imagePullPolicy"?

        error[volume-not-defined] (monopod lint --explain volume-not-defined)

          x the pod defines no volume "shared-log", which the container "main" mounts
            ,-[pod.yaml:11:13]
         10 |     volumeMounts:
         11 |     - name: shared-log
            :             ^^^^^|^^^^
            :                  `-- spec.containers[0].volumeMounts[0].name
         12 |       mountPath: /var/log
         13 |   volumes:
         14 |   - name: shared-logs
            :           ^^^^^|^^^^^
            :                `-- the volume with the nearest name
         15 |     emptyDir: {}
            `----
          help: did you mean "shared-logs"?
                --fix can do it: mount shared-logs

        2 errors in 1 file
    "#]]
    .assert_eq(&text);
}

#[test]
fn lines_too_long_are_shown_in_part() {
    let long = format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{\"name\":\"web\",\"annotations\":{{\"a\":\"{}\"}}}},\"spec\":{{\"containers\":[{{\"name\":\"{}\",\"image\":\"i:1\"}}]}}}}",
        "x".repeat(100_000),
        '\u{e9}'
    );
    let (text, code) = rendered(vec![file("pod.json", &long)], vec![], Format::Human);
    assert_eq!(code, 1);
    assert!(text.contains("spec.containers[0].name") && text.len() < 2_000, "{text}");
}

#[test]
fn machines_get_json() {
    let (text, _) =
        rendered(vec![file("pod.yaml", TEXT)], vec!["x.yaml: cannot be read".to_owned()], Format::Json);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["summary"]["errors"], 2, "{text}");
    let mount = &value["findings"][1];
    assert_eq!(mount["rule"], "volume-not-defined");
    assert_eq!(
        mount["start"],
        serde_json::json!({"line": 11, "column": 13, "offset": TEXT.find("shared-log\n").unwrap()})
    );
    let edit = &mount["fix"]["edits"][0];
    assert_eq!(
        (&edit["start"]["line"], &edit["text"]),
        (&11.into(), &"    - name: shared-logs\n".into()),
        "{text}"
    );
    assert_eq!(value["unreadable"][0], "x.yaml: cannot be read");
}

#[test]
fn code_scanning_gets_sarif() {
    let (text, code) = rendered(vec![file("./a b/pod.yaml", TEXT)], vec!["gone".to_owned()], Format::Sarif);
    assert_eq!(code, 2);
    let sarif: Value = serde_json::from_str(&text).unwrap();
    let run = &sarif["runs"][0];
    let result = &run["results"][1];
    assert_eq!(
        run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize]["id"],
        result["ruleId"]
    );
    let change = &result["fixes"][0]["artifactChanges"][0];
    assert_eq!(change["artifactLocation"]["uri"], "a%20b/pod.yaml");
    assert_eq!(change["replacements"][0]["insertedContent"]["text"], "    - name: shared-logs\n");
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
}

#[test]
fn workflows_get_commands() {
    let broken = "kind: Pod\napiVersion: v1\n\tx: %\n";
    let (text, code) = rendered(vec![file("a,b.yaml", TEXT), file("c.yaml", broken)], vec![], Format::Github);
    assert_eq!(code, 2);
    expect![[r#"
        ::error file=a%2Cb.yaml,line=9,endLine=9,col=5,endColumn=16,title=unknown-field::spec.containers[0].imagePolicy: unknown field "spec.containers[0].imagePolicy"%0Adid you mean "imagePullPolicy"?
        ::error file=a%2Cb.yaml,line=11,endLine=11,col=13,endColumn=23,title=volume-not-defined::spec.containers[0].volumeMounts[0].name: the pod defines no volume "shared-log", which the container "main" mounts%0Adid you mean "shared-logs"?
        ::error file=c.yaml,line=2,endLine=2,col=13,endColumn=13,title=syntax::not valid YAML: while scanning a plain scalar, found a tab
        3 errors in 2 files
    "#]].assert_eq(&text);
}

#[test]
fn nothing_is_said_of_what_is_right() {
    let right = TEXT.replace("    imagePolicy: Never\n", "").replace("shared-log\n", "shared-logs\n");
    assert_eq!(
        rendered(vec![file("a", &right)], vec![], Format::Human),
        ("nothing found in 1 file\n".to_owned(), 0)
    );
    let allowed = TEXT
        .replace("    imagePolicy", "    # monopod:allow unknown-field\n    imagePolicy")
        .replace("shared-log\n", "shared-log # monopod:allow volume-not-defined, invalid-field\n");
    let (text, code) = rendered(vec![file("a", &allowed)], vec![], Format::Human);
    assert_eq!(code, 0, "{text}");
}
