use expect_test::{Expect, expect};
use podspec::FieldPath;
use serde_json::{Value, json};

use super::carry_out;
use crate::finding::{Edit, Fix};

const HEAD: &str = "kind: Pod\napiVersion: v1\n";

/// `spec.containers[0].name`
fn path(text: &str) -> FieldPath {
    let mut path = FieldPath::root();
    for part in text.split('.').filter(|part| !part.is_empty()) {
        let mut pieces = part.split(['[', ']']).filter(|piece| !piece.is_empty());
        if let Some(name) = pieces.next() {
            path = path.child(name);
        }
        path = pieces.fold(path, |path, index| path.index(index.parse().unwrap()));
    }
    path
}

fn set(at: &str, value: Value) -> Edit {
    Edit::Set { path: path(at), value }
}

fn append(at: &str, value: Value) -> Edit {
    Edit::Append { path: path(at), value }
}

fn remove(at: &str) -> Edit {
    Edit::Remove { path: path(at) }
}

fn relocate(from: &str, to: &str) -> Edit {
    Edit::Move { from: path(from), to: path(to) }
}

fn edited(text: &str, edits: Vec<Edit>) -> String {
    let fix = Fix { title: String::new(), edits };
    match carry_out(&format!("{HEAD}{text}"), 0, &fix) {
        Ok(changed) => changed.strip_prefix(HEAD).unwrap_or(&changed).to_owned(),
        Err(error) => format!("error: {error}"),
    }
}

fn check(text: &str, edits: Vec<Edit>, expected: &Expect) {
    expected.assert_eq(&edited(text, edits));
}

const SIDECAR: &str = "\
spec:
  restartPolicy: Always  # set at pod level
  initContainers:
  - name: log-shipper # ships
    image: filebeat:latest
  # the app
  containers:
  - name: main
    image: 'app:latest'   # the app's
    command:
      - sh
      - -c
      - |
        echo at http://web:80/ >> /log   # no comment
        sleep 1
    # all of its mounts
    volumeMounts:
      - name: logs
        mountPath: /var/log

  # the end
";

#[test]
fn blocks_grow_where_their_like_stands() {
    check(
        SIDECAR,
        vec![
            set("spec.initContainers[0].restartPolicy", json!("Always")),
            append("spec.initContainers[0].volumeMounts", json!({"mountPath": "/var/log", "name": "logs"})),
            append("spec.containers[0].volumeMounts", json!({"name": "more", "mountPath": "/more"})),
            append("spec.volumes", json!({"name": "logs", "emptyDir": {}})),
            append("spec.volumes", json!({"name": "more", "emptyDir": {"medium": "Memory"}})),
            set("spec.volumes[0].emptyDir.sizeLimit", json!("64Mi")),
            append("spec.containers[0].command", json!("x: #y")),
        ],
        &expect![[r#"
            spec:
              restartPolicy: Always  # set at pod level
              initContainers:
              - name: log-shipper # ships
                image: filebeat:latest
                restartPolicy: Always
                volumeMounts:
                - name: logs
                  mountPath: /var/log
              # the app
              containers:
              - name: main
                image: 'app:latest'   # the app's
                command:
                  - sh
                  - -c
                  - |
                    echo at http://web:80/ >> /log   # no comment
                    sleep 1
                  - 'x: #y'
                # all of its mounts
                volumeMounts:
                  - name: logs
                    mountPath: /var/log
                  - name: more
                    mountPath: /more
              volumes:
              - name: logs
                emptyDir:
                  sizeLimit: 64Mi
              - name: more
                emptyDir:
                  medium: Memory

              # the end
        "#]],
    );
}

#[test]
fn values_are_changed_in_their_own_words() {
    check(
        SIDECAR,
        vec![
            set("spec.containers[0].image", json!("app:1.0")),
            set(
                "spec.containers[0].command[2]",
                json!("echo at http://localhost:80/ >> /log   # no comment\nsleep 1\n"),
            ),
            set("spec.initContainers[0].image", json!("yes")),
            set("spec.restartPolicy", json!("Never")),
            set(
                "spec.containers[0].volumeMounts",
                json!([{"name": "logs", "mountPath": "/logs", "readOnly": true}]),
            ),
        ],
        &expect![[r#"
            spec:
              restartPolicy: Never  # set at pod level
              initContainers:
              - name: log-shipper # ships
                image: "yes"
              # the app
              containers:
              - name: main
                image: 'app:1.0'   # the app's
                command:
                  - sh
                  - -c
                  - |
                    echo at http://localhost:80/ >> /log   # no comment
                    sleep 1
                # all of its mounts
                volumeMounts:
                  - name: logs
                    mountPath: /logs
                    readOnly: true

              # the end
        "#]],
    );
    check(
        "a: \"x \\\"web\\\" y\"\nb: 'it''s web'\nc: >-\n  folded web\n  and web\nd: [\"web\", web, 'web']\ne:\nf: ~ # none\ng: [] # empty\nh: {}\ni: 1\nj: {k: v}\n",
        vec![
            set("a", json!("x \"localhost\" y")),
            set("b", json!("it's local'host")),
            set("c", json!("folded web and localhost")),
            set("d[0]", json!("l")),
            set("d[1]", json!("a, b")),
            set("d[2]", json!("")),
            set("e", json!(5)),
            set("f", json!({"x": [1]})),
            set("g", json!([{"x": 1, "y": 2}])),
            set("h.x", json!("y")),
            set("i", json!({"x": {"y": []}})),
            set("j.l", json!(["m", 1])),
            set("j.k", json!(null)),
        ],
        &expect![[r#"
            a: "x \"localhost\" y"
            b: 'it''s local''host'
            c: >-
              folded web
              and localhost
            d: ["l", "a, b", '']
            e: 5
            f: # none
              x:
              - 1
            g: # empty
            - x: 1
              "y": 2
            h:
              x: "y"
            i:
              x:
                "y": []
            j: {k: null, l: [m, 1]}
        "#]],
    );
}

#[test]
fn entries_go_with_their_lines() {
    check(
        SIDECAR,
        vec![
            remove("spec.restartPolicy"),
            remove("spec.initContainers[0].name"),
            remove("spec.containers[0].command[1]"),
            remove("spec.containers[0].volumeMounts[0]"),
        ],
        &expect![[r#"
            spec:
              initContainers:
              - # ships
                image: filebeat:latest
              # the app
              containers:
              - name: main
                image: 'app:latest'   # the app's
                command:
                  - sh
                  - |
                    echo at http://web:80/ >> /log   # no comment
                    sleep 1
                # all of its mounts
                volumeMounts: []

              # the end
        "#]],
    );
    check(
        "a: [1, 2, 3,]\nb: {x: 1, y: 2}\nc: {x: 1}\nd:\n  only: 1 # it\n  # end\ne: # of e\n  - 1\nf:\n- only: 1\nlast: 1",
        vec![
            remove("a[2]"),
            remove("a[0]"),
            remove("b.x"),
            remove("c.x"),
            remove("d.only"),
            remove("e[0]"),
            remove("f[0].only"),
            remove("last"),
        ],
        &expect![[r#"
            a: [2,]
            b: {y: 2}
            c: {}
            d: {}
              # end
            e: [] # of e
            f:
            - {}"#]],
    );
}

#[test]
fn entries_move_with_their_comments() {
    let text = "\
spec:
    containers:
      # the app
      - name: main
        image: app
      # ships
      # logs
      - name: shipper # it
        command: [\"sh\", \"-c\",
          \"x\"]
        args:
        - |
            a
             b
    # end
";
    check(
        text,
        vec![
            relocate("spec.containers[1]", "spec.initContainers"),
            set("spec.initContainers[0].restartPolicy", json!("Always")),
        ],
        &expect![[r#"
            spec:
                initContainers:
                  # ships
                  # logs
                  - name: shipper # it
                    restartPolicy: Always
                    command: ["sh", "-c",
                      "x"]
                    args:
                    - |
                        a
                         b
                containers:
                  # the app
                  - name: main
                    image: app
                # end
        "#]],
    );
    check(
        "spec:\n  initContainers:\n  - name: a\n    image: x\n  containers:\n      - name: b\n        # of c\n      - name: c\n        image: |\n          x\n\n          y",
        vec![
            relocate("spec.containers[1]", "spec.initContainers"),
            relocate("spec.initContainers[0]", "spec.containers"),
        ],
        &expect![[r#"
            spec:
              initContainers:
              - name: c
                image: |-
                  x

                  y
              containers:
                  - name: b
                  - name: a
                    image: x
                    # of c"#]],
    );
    check(
        "spec: {containers: [{name: a}, {name: b, image: x}]}\n",
        vec![relocate("spec.containers[1]", "spec.initContainers")],
        &expect![[r#"
            spec: {containers: [{name: a}], initContainers: [{name: b, image: x}]}
        "#]],
    );
    check(
        "spec:\n  containers:\n  - name: a\n  initContainers: []\n",
        vec![relocate("spec.containers[0]", "spec.initContainers")],
        &expect![[r#"
            spec:
              containers: []
              initContainers:
              - name: a
        "#]],
    );
}

#[test]
fn odd_texts_stay_as_odd_as_they_are() {
    // Windows.
    assert_eq!(
        edited(
            "a:\r\n- x # c\r\nb: 1\r\n",
            vec![append("a", json!("w")), append("c", json!({"d": 1, "e": 2})), remove("b")]
        ),
        "a:\r\n- x # c\r\n- w\r\nc:\r\n- d: 1\r\n  e: 2\r\n"
    );
    // No newline at the end.
    assert_eq!(edited("a:\n- x", vec![append("a", json!("w")), set("b", json!(1))]), "b: 1\na:\n- x\n- w");
    assert_eq!(edited("a: |\n  x", vec![set("b", json!([1]))]), "b:\n- 1\na: |\n  x");
    // What is kept of a block scalar ends with empty lines.
    assert_eq!(edited("a: |+\n  x\n\nb: 1\n", vec![remove("b"), set("c", json!(2))]), "c: 2\na: |+\n  x\n\n");
}

#[test]
fn what_others_see_too_is_left() {
    let text = "a: &a\n- x\nb: *a\nc: &c {d: {e: 1}}\nf:\n  <<: *c\n";
    for (edit, outcome) in [
        (append("b", json!("y")), "error: b is an alias"),
        (append("a", json!("y")), "error: no change"),
        (set("f.d.e", json!(2)), "error: f.d.e is an alias or comes from a merge"),
        (remove("f.d"), "error: f.d is an alias or comes from a merge"),
    ] {
        let edited = edited(text, vec![edit.clone()]);
        assert!(edited.starts_with(outcome), "{edit:?}: {edited}");
    }
    let own = edited(text, vec![set("b", json!(["z"])), set("f.d", json!(2)), set("a[0]", json!("w"))]);
    assert_eq!(own, "a: &a\n- w\nb:\n- z\nc: &c {d: {e: 1}}\nf:\n  <<: *c\n  d: 2\n");
}

#[test]
fn json_stays_json() {
    let text = "{\n\t\"kind\": \"Pod\",\n\t\"apiVersion\": \"v1\",\n\t\"spec\": {\n\t\t\"containers\": [\n\t\t\t{\"name\": \"a\"}\n\t\t],\n\t\t\"volumes\": []\n\t}\n}\n";
    let fix = |edits| Fix { title: String::new(), edits };
    let changed = carry_out(
        text,
        0,
        &fix(vec![
            append("spec.volumes", json!({"name": "x", "emptyDir": {}})),
            append("spec.containers", json!({"name": "b", "args": ["1"]})),
            set("spec.containers[0].image", json!("yes")),
            set("spec.restartPolicy", json!("Never")),
            remove("spec.containers[1].args"),
        ]),
    );
    expect![[r#"
        {
        	"kind": "Pod",
        	"apiVersion": "v1",
        	"spec": {
        		"containers": [
        			{"name": "a", "image": "yes"},
        			{
        				"name": "b"
        			}
        		],
        		"volumes": [
        			{
        				"name": "x",
        				"emptyDir": {}
        			}
        		],
        		"restartPolicy": "Never"
        	}
        }
    "#]]
    .assert_eq(&changed.unwrap());
    let tight = "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"spec\":{\"a\":[1]}}{\"kind\":\"Pod\",\"apiVersion\":\"v1\"}";
    let changed =
        carry_out(tight, 0, &fix(vec![append("spec.a", json!({"b": [2, 3]})), set("spec.c", json!("d"))]));
    assert_eq!(
        changed.as_deref(),
        Ok(
            "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"spec\":{\"a\":[1,{\"b\":[2,3]}],\"c\":\"d\"}}{\"kind\":\"Pod\",\"apiVersion\":\"v1\"}"
        )
    );
}
