use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::NodeCredentials;
use crate::Reference;
use crate::credentials::{Credential, CredentialSource};

struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("monopod-node-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, file: &str) -> String {
        self.0.join(file).display().to_string()
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }

    fn auths(&self, file: &str, entries: &[(&str, &str)]) {
        let entry =
            |(key, user): &(&str, &str)| format!(r#""{key}":{{"username":"{user}","password":"hunter2"}}"#);
        let entries: Vec<_> = entries.iter().map(entry).collect();
        self.write(file, &format!(r#"{{"auths":{{{}}}}}"#, entries.join(",")));
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

async fn users(node: &NodeCredentials, image: &str) -> (Vec<String>, Vec<String>) {
    let (candidates, errors) = node.candidates(&Reference::parse(image).unwrap()).await;
    let users = candidates.iter().map(|candidate| {
        assert_eq!(candidate.source, CredentialSource::Node);
        match &candidate.credential {
            Credential::Basic { username, .. } => username.clone(),
            other => panic!("{other:?}"),
        }
    });
    for error in &errors {
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
    (users.collect(), errors.iter().map(ToString::to_string).collect())
}

#[test]
fn files_are_asked_in_their_order() {
    let places = |pairs: &[(&str, &str)], passwd: &str| -> Vec<String> {
        let node = NodeCredentials::new(variables(pairs), passwd);
        node.places.iter().map(|place| place.path.display().to_string()).collect()
    };
    const RUN: &str = "/run/containers/0/auth.json";
    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nbroken\nme:x:1000:100:Me:/home/me:/bin/sh\n";
    for (pairs, expected) in [
        (vec![], vec![RUN]),
        (
            vec![("HOME", "/root")],
            vec!["/root/.docker/config.json", "/root/.config/containers/auth.json", RUN],
        ),
        (
            vec![
                ("HOME", "/root"),
                ("REGISTRY_AUTH_FILE", "/a.json"),
                ("DOCKER_CONFIG", "/d"),
                ("XDG_RUNTIME_DIR", "/x"),
                ("XDG_CONFIG_HOME", "/c"),
            ],
            vec!["/a.json", "/d/config.json", "/x/containers/auth.json", "/c/containers/auth.json", RUN],
        ),
        (
            vec![("HOME", "/root"), ("SUDO_USER", "me")],
            vec![
                "/root/.docker/config.json",
                "/root/.config/containers/auth.json",
                RUN,
                "/run/user/1000/containers/auth.json",
                "/home/me/.docker/config.json",
                "/home/me/.config/containers/auth.json",
            ],
        ),
        (
            vec![("HOME", "/home/me"), ("SUDO_USER", "me")],
            vec![
                "/home/me/.docker/config.json",
                "/home/me/.config/containers/auth.json",
                RUN,
                "/run/user/1000/containers/auth.json",
            ],
        ),
        (vec![("SUDO_USER", "root")], vec![RUN]),
        (vec![("SUDO_USER", "nobody-here")], vec![RUN]),
        (vec![("REGISTRY_AUTH_FILE", ""), ("DOCKER_CONFIG", ""), ("HOME", "")], vec![RUN]),
        // To where the command was called.
        (
            vec![("REGISTRY_AUTH_FILE", "a.json"), ("DOCKER_CONFIG", "d")],
            vec!["a.json", "d/config.json", RUN],
        ),
        (vec![("XDG_RUNTIME_DIR", "x"), ("XDG_CONFIG_HOME", "c"), ("HOME", "h")], vec![RUN]),
    ] {
        assert_eq!(places(&pairs, PASSWD), expected, "{pairs:?}");
    }
    let node = NodeCredentials::new(variables(&[("SUDO_USER", "me")]), PASSWD);
    let user = node.places.last().unwrap().user.clone().unwrap();
    assert_eq!((user.uid, user.gid), (1000, 100), "whose helpers run as that user");
}

#[test]
fn what_the_environment_has_is_not_printed() {
    let node = NodeCredentials::new(variables(&[("HOME", "/root"), ("GITHUB_TOKEN", "hunter2")]), "");
    let printed = format!("{node:?}");
    assert!(printed.contains("/root/.docker/config.json") && !printed.contains("hunter2"), "{printed}");
}

#[tokio::test]
async fn of_each_file_the_most_specific_counts() {
    let home = Home::new("specific");
    home.auths(".docker/config.json", &[("https://index.docker.io/v1/", "hub"), ("x.io", "docker")]);
    home.auths(
        ".config/containers/auth.json",
        &[("x.io", "podman"), ("x.io/a", "a"), ("x.io/a/b", "b"), ("docker.io/library", "library")],
    );
    let node = NodeCredentials::new(variables(&[("HOME", &home.path(""))]), "");
    for (image, expected) in [
        ("x.io/c", vec!["docker", "podman"]),
        ("x.io/a/c", vec!["docker", "a"]),
        ("x.io/a/b:v1", vec!["docker", "b"]),
        ("busybox", vec!["hub", "library"]),
        ("y.io/a", vec![]),
    ] {
        assert_eq!(
            users(&node, image).await,
            (expected.iter().map(|s| (*s).to_owned()).collect(), vec![]),
            "{image}"
        );
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_and_the_others_are_asked() {
    let home = Home::new("wrong");
    home.write(".docker/config.json", r#"{"auths":{"x.io":{"auth":"hunter2"}}}"#);
    home.write("run/containers/auth.json", r#"{"auths":"hunter2"}"#);
    home.auths(".config/containers/auth.json", &[("x.io", "me")]);
    let absent = home.path("absent.json");
    let node = NodeCredentials::new(
        variables(&[
            ("HOME", &home.path("")),
            ("REGISTRY_AUTH_FILE", &absent),
            ("XDG_RUNTIME_DIR", &home.path("run")),
        ]),
        "",
    );
    let (found, errors) = users(&node, "x.io/a").await;
    assert_eq!(found, ["me"]);
    let told = [absent.as_str(), "the entry for \"x.io\"", "run/containers/auth.json: is not the JSON"];
    assert_eq!(errors.len(), told.len(), "{errors:?}");
    for (error, part) in errors.iter().zip(told) {
        assert!(error.contains(part), "{error}, not {part}");
    }
    fs::remove_file(home.0.join(".docker/config.json")).unwrap();
    fs::create_dir(home.0.join(".docker/config.json")).unwrap();
    let (found, errors) = users(&node, "x.io/a").await;
    assert!(found == ["me"] && errors[1].contains(".docker/config.json"), "{errors:?}");
}

#[tokio::test]
async fn helpers_of_a_host_come_before_the_store_and_both_before_the_file() {
    let home = Home::new("helpers");
    for name in ["host", "store"] {
        let program = home.0.join(format!("docker-credential-{name}"));
        let script = format!(
            "#!/bin/sh\nread -r s\nprintf '{{\"Username\":\"{name} %s\",\"Secret\":\"hunter2\"}}' \"$s\"\n"
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    home.write(
        ".docker/config.json",
        r#"{"auths":{"x.io":{"username":"file"},"https://index.docker.io/v1/":{}},
            "credHelpers":{"x.io":"host","z.io":"absent"},"credsStore":"store"}"#,
    );
    let path = format!("{}:/usr/bin:/bin", home.path(""));
    let node = NodeCredentials::new(variables(&[("HOME", &home.path("")), ("PATH", &path)]), "");
    assert_eq!(users(&node, "x.io/a").await.0, ["host x.io", "file"]);
    assert_eq!(users(&node, "busybox").await.0, ["store https://index.docker.io/v1/"]);
    let (found, errors) = users(&node, "z.io/a").await;
    assert!(found.is_empty() && errors.len() == 1, "{errors:?}");
    assert!(
        errors[0].starts_with("docker-credential-absent, which ") && errors[0].contains("z.io"),
        "{}",
        errors[0]
    );
}
