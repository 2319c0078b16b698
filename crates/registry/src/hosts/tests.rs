use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Endpoint, Hosts, HostsError, spellings};

/// A directory of this test's own, gone with it.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("monopod-hosts-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, file: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn endpoints(&self, dirs: &[&str], domain: &str) -> Result<Vec<Endpoint>, HostsError> {
        Hosts::new(dirs.iter().map(|dir| self.0.join(dir)).collect()).endpoints(domain)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn urls(endpoints: &[Endpoint]) -> Vec<&str> {
    endpoints.iter().map(|endpoint| endpoint.url.as_str()).collect()
}

#[test]
fn without_configuration_a_host_stands_for_itself() {
    for (domain, url, or_plain_http) in [
        ("docker.io", "https://registry-1.docker.io/v2", false),
        ("ghcr.io", "https://ghcr.io/v2", false),
        ("x.io:5000", "https://x.io:5000/v2", false),
        ("localhost:5000", "https://localhost:5000/v2", true),
        ("127.9.0.1:5000", "https://127.9.0.1:5000/v2", true),
        ("[::1]:5000", "https://[::1]:5000/v2", true),
        ("[::2]", "https://[::2]/v2", false),
        ("127.0.0.1.evil.io", "https://127.0.0.1.evil.io/v2", false),
    ] {
        let endpoints = Hosts::new(vec![PathBuf::from("/nonexistent")]).endpoints(domain).unwrap();
        assert_eq!(endpoints.len(), 1, "{domain}");
        let Endpoint { can_resolve, can_pull, is_mirror, namespace, .. } = &endpoints[0];
        assert_eq!((endpoints[0].url.as_str(), endpoints[0].or_plain_http), (url, or_plain_http));
        assert_eq!((*can_resolve, *can_pull, *is_mirror, namespace), (true, true, false, &None), "{domain}");
    }
}

#[test]
fn directories_of_hosts_have_their_spellings() {
    for (host, expected) in [
        ("x.io", vec!["x.io"]),
        ("x.io:5000", vec!["x.io_5000_", "x.io:5000"]),
        ("[::1]", vec!["[::1]"]),
        ("[::1]:5000", vec!["[::1]_5000_", "[::1]:5000"]),
        ("../../etc", vec![]),
        ("..", vec![]),
        ("_default", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(spellings(host), expected, "{host}");
    }
}

#[test]
fn mirrors_come_first_and_in_the_order_of_the_file() {
    let dir = Dir::new("order");
    dir.write(
        "a/docker.io/hosts.toml",
        "server = \"https://registry-1.docker.io\"\n\
         [host.\"https://z.io\"]\n  capabilities = [\"pull\"]\n\
         [host.\"http://10.0.0.1:5000\"]\n  skip_verify = true\n  dial_timeout = \"2s\"\n\
         [host.\"https://a.io/hub\"]\n  override_path = true\n\
         [host.\"https://a.io/hub\".header]\n  X-A = [\"1\", \"2\"]\n  X-B = \"3\"\n",
    );
    let endpoints = dir.endpoints(&["a"], "docker.io").unwrap();
    assert_eq!(
        urls(&endpoints),
        ["https://z.io/v2", "http://10.0.0.1:5000/v2", "https://a.io/hub", "https://registry-1.docker.io/v2"]
    );
    let can = |at: usize| (endpoints[at].can_resolve, endpoints[at].can_pull);
    assert_eq!([can(0), can(1), can(3)], [(false, true), (true, true), (true, true)]);
    assert_eq!(endpoints[1].connect_timeout, Some(Duration::from_secs(2)));
    let headers: Vec<_> = endpoints[2].headers.iter().map(|h| format!("{}={}", h.name, h.value)).collect();
    assert_eq!(headers, ["X-A=1", "X-A=2", "X-B=3"]);
    let namespaces: Vec<_> = endpoints.iter().map(|endpoint| endpoint.namespace.as_deref()).collect();
    assert_eq!(namespaces, [Some("docker.io"), Some("docker.io"), Some("docker.io"), None]);
    assert_eq!(endpoints.iter().map(|e| e.is_mirror).collect::<Vec<_>>(), [true, true, true, false]);
}

#[test]
fn the_first_directory_that_says_who_is_asked_counts_and_defaults_come_last() {
    let dir = Dir::new("first");
    let server = |name: &str| format!("server = \"https://{name}\"\n");
    dir.write("a/_default/hosts.toml", server("default-a.io"));
    dir.write("b/x.io:5000/hosts.toml", server("colon.io"));
    dir.write("b/x.io_5000_/hosts.toml", server("underscores.io"));
    dir.write("c/x.io:5000/hosts.toml", server("c.io"));
    dir.write("c/empty.io/hosts.toml", "");
    for (domain, expected) in [
        ("x.io:5000", "https://underscores.io/v2"),
        ("x.io", "https://default-a.io/v2"),
        ("empty.io", "https://default-a.io/v2"),
    ] {
        assert_eq!(urls(&dir.endpoints(&["a", "b", "c"], domain).unwrap()), [expected], "{domain}");
    }
    let replaced = dir.endpoints(&["c", "b"], "x.io:5000").unwrap();
    assert_eq!(urls(&replaced), ["https://c.io/v2"]);
    assert_eq!(replaced[0].namespace.as_deref(), Some("x.io:5000"));
}

#[test]
fn a_default_mirror_comes_before_the_host_itself() {
    let dir = Dir::new("default");
    dir.write("_default/hosts.toml", "[host.\"https://mirror.io\"]\n");
    assert_eq!(
        urls(&dir.endpoints(&[""], "quay.io").unwrap()),
        ["https://mirror.io/v2", "https://quay.io/v2"]
    );
    let endpoints = dir.endpoints(&[""], "localhost:5000").unwrap();
    assert_eq!(endpoints.iter().map(|e| e.or_plain_http).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn docker_hub_answers_under_another_name() {
    let dir = Dir::new("hub");
    for toml in
        ["server = \"https://docker.io\"\n", "skip_verify = false\n", "server = \"registry-1.docker.io\"\n"]
    {
        dir.write("docker.io/hosts.toml", toml);
        let endpoints = dir.endpoints(&[""], "docker.io").unwrap();
        assert_eq!(urls(&endpoints), ["https://registry-1.docker.io/v2"], "{toml}");
        assert_eq!(endpoints[0].namespace, None, "{toml}");
    }
}

#[test]
fn errors_name_file_line_and_what_is_wrong() {
    let dir = Dir::new("wrong");
    let many = (0..17).map(|n| format!("[host.\"https://m{n}.io\"]\n")).collect::<String>();
    for (text, line, part) in [
        ("server = \"https://a.io\"\nmirror = \"b\"\n", Some(2), "\"mirror\" is not a key of hosts.toml"),
        ("[host.\"https://a.io\"]\n\n  capabilites = []\n", Some(3), "\"capabilites\" is not a key"),
        ("[host.\"https://a.io\"]\n  server = \"x\"\n", Some(2), "\"server\" is not a key"),
        ("\nproxy = \"http://p\"\n", Some(2), "HTTPS_PROXY"),
        ("capabilities = [\n \"pull\",\n \"fly\"]\n", Some(1), "\"fly\" is none of"),
        ("[host.\"ftp://a.io\"]\n", Some(1), "neither https nor http"),
        ("server = \"https://u:p@a.io\"\n", Some(1), "a user in it"),
        ("server = 5\n", Some(1), "server is not a string"),
        ("server = \n", Some(1), "is not TOML"),
        ("skip_verify = \"yes\"\n", Some(1), "neither true nor false"),
        ("ca = 5\n", Some(1), "neither a string nor a list"),
        ("client = [[\"a\"]]\n", Some(1), "a list of pairs"),
        ("client = [\"a\", \"b\"]\n", Some(1), "more than one certificate"),
        ("dial_timeout = \"soon\"\n", Some(1), "\"soon\" is not a time"),
        ("dial_timeout = \"0s\"\n", Some(1), "\"0s\" is not a time"),
        ("dial_timeout = \"10m1ms\"\n", Some(1), "\"10m1ms\" is not a time"),
        ("host = 5\n", Some(1), "host is not a table"),
        ("[header]\n \"a b\" = \"c\"\n", Some(2), "is not the name of a header"),
        ("[header]\n a = \"\\n\"\n", Some(2), "not printable"),
        (many.as_str(), Some(17), "more than 16 hosts"),
    ] {
        let path = dir.write("x.io/hosts.toml", text);
        let error = dir.endpoints(&[""], "x.io").expect_err(text);
        assert_eq!((&error.path, error.line), (&path, line), "{text}: {error}");
        assert!(error.problem.contains(part), "{text}: {error}");
        let place = format!("{}:{}: ", path.display(), line.unwrap());
        assert!(error.to_string().starts_with(&place), "{error}");
    }
    assert!(dir.endpoints(&[""], "y.io").is_ok(), "other hosts go on");
    dir.write("x.io/hosts.toml", vec![b'#'; 257 << 10]);
    assert!(dir.endpoints(&[""], "x.io").unwrap_err().problem.contains("longer than"));
    dir.write("x.io/hosts.toml", b"\xff");
    assert!(dir.endpoints(&[""], "x.io").unwrap_err().problem.contains("UTF-8"));
    fs::remove_file(dir.0.join("x.io/hosts.toml")).unwrap();
    fs::create_dir(dir.0.join("x.io/hosts.toml")).unwrap();
    assert!(dir.endpoints(&[""], "x.io").unwrap_err().problem.contains("regular file"));
}

#[test]
fn a_header_is_a_secret() {
    let dir = Dir::new("header");
    dir.write("x.io/hosts.toml", "[header]\n Authorization = \"Bearer hunter2\"\n");
    let endpoints = dir.endpoints(&[""], "x.io").unwrap();
    assert_eq!(endpoints[0].headers[0].value, "Bearer hunter2");
    assert!(!format!("{endpoints:?}").contains("hunter2"));
}

/// A certificate and its key, as PEM.
fn certificate(name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn certificates_are_those_of_whom_is_asked() {
    let dir = Dir::new("tls");
    let (ca, _) = certificate("ca");
    let (other, _) = certificate("other");
    let (client, key) = certificate("client");
    dir.write("docker/x.io:5000/ca.crt", format!("{ca}{other}"));
    dir.write("docker/x.io:5000/me.cert", &client);
    dir.write("docker/x.io:5000/me.key", &key);
    dir.write("docker/x.io:5000/README", "nothing");
    dir.write("docker/mirror.io/ca.crt", &other);
    dir.write("docker/docker.io/ca.crt", &ca);
    let tls = |endpoints: &[Endpoint]| -> Vec<(usize, bool)> {
        endpoints.iter().map(|e| (e.tls.ca.len(), e.tls.identity.is_some())).collect()
    };
    let dirs = ["containerd", "docker"];
    assert_eq!(tls(&dir.endpoints(&dirs, "x.io:5000").unwrap()), [(2, true)]);
    assert_eq!(tls(&dir.endpoints(&dirs, "x.io").unwrap()), [(0, false)]);
    assert_eq!(tls(&dir.endpoints(&dirs, "docker.io").unwrap()), [(1, false)]);

    // What containerd is told of mirrors does not hide the CA of docker; a mirror's are its own.
    dir.write(
        "containerd/_default/hosts.toml",
        "[host.\"https://mirror.io\"]\n[host.\"http://x.io:5000\"]\n",
    );
    assert_eq!(
        tls(&dir.endpoints(&dirs, "x.io:5000").unwrap()),
        [(1, false), (0, false), (2, true)],
        "mirror, plain http, the host itself"
    );
    // What the file says of an entry counts alone; files are beside it.
    let toml = "ca = \"own.pem\"\nclient = [[\"c.pem\", \"k.pem\"]]\nskip_verify = true\n";
    dir.write("containerd/x.io:5000/hosts.toml", toml);
    dir.write("containerd/x.io:5000/own.pem", &ca);
    dir.write("containerd/x.io:5000/c.pem", &client);
    dir.write("containerd/x.io:5000/k.pem", &key);
    let own = dir.endpoints(&dirs, "x.io:5000").unwrap();
    assert_eq!((tls(&own), own[0].tls.skip_verify), (vec![(1, true)], true));
    for together in
        ["client = \"both.pem\"\n", "client = [\"both.pem\"]\n", "client = [[\"both.pem\", \"\"]]\n"]
    {
        dir.write("containerd/x.io:5000/hosts.toml", together);
        dir.write("containerd/x.io:5000/both.pem", format!("{client}{key}"));
        assert_eq!(tls(&dir.endpoints(&dirs, "x.io:5000").unwrap()), [(0, true)], "{together}");
    }
}

#[test]
fn certificates_that_cannot_be_used_are_errors_of_their_host() {
    let (ca, _) = certificate("ca");
    let (client, key) = certificate("client");
    let (_, foreign) = certificate("foreign");
    let der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cases = [
        (vec![("ca.crt", "")], "ca.crt", "no certificate"),
        (vec![("ca.crt", der)], "ca.crt", "cannot be trusted"),
        (vec![("ca.crt", ca.as_str()), ("a.cert", client.as_str())], "a.cert", "needs a.key beside it"),
        (vec![("a.key", key.as_str())], "a.key", "needs a.cert beside it"),
        (vec![("a.cert", client.as_str()), ("a.key", foreign.as_str())], "a.key", "does not fit"),
        (vec![("a.cert", client.as_str()), ("a.key", ca.as_str())], "a.key", "no private key"),
        (
            vec![
                ("a.cert", client.as_str()),
                ("a.key", key.as_str()),
                ("b.cert", client.as_str()),
                ("b.key", key.as_str()),
            ],
            "b.cert",
            "second client certificate",
        ),
    ];
    for (n, (files, named, part)) in cases.iter().enumerate() {
        let dir = Dir::new(&format!("bad-{n}"));
        files.iter().for_each(|(file, text)| drop(dir.write(&format!("x.io/{file}"), text)));
        let error = dir.endpoints(&[""], "x.io").expect_err(part);
        assert_eq!(error.path.file_name().unwrap(), Path::new(named), "{error}");
        assert!(error.problem.contains(part), "{error}");
        assert!(!error.to_string().contains("BEGIN") && !error.to_string().contains(&key[40..60]), "{error}");
        assert!(dir.endpoints(&[""], "y.io").is_ok());
    }
    let dir = Dir::new("many");
    (0..65).for_each(|n| drop(dir.write(&format!("x.io/{n}.txt"), "")));
    assert!(dir.endpoints(&[""], "x.io").unwrap_err().problem.contains("more than 64 files"));
}
