//! What each rule says, and what it leaves alone, case by case. A case is a line that says what is special about it, and a pod's spec.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use lint::{Context, check};

/// The findings of each case of a text whose cases begin with `# `.
fn say(cases: &str) -> String {
    let mut out = String::new();
    for case in cases.split("\n# ").skip(1) {
        let (title, spec) = case.split_once('\n').expect("a case has a title and a spec");
        let text = format!("kind: Pod\napiVersion: v1\nmetadata: {{name: the-pod}}\nspec:\n{spec}\n");
        let (documents, errors) = podspec::load::load_all(title, &text);
        assert!(errors.is_empty(), "{title}: {errors:?}");
        let context = Context { services: BTreeSet::from(["known".to_owned()]), complete: false };
        let findings = check(&documents[0].value, &context);
        out.push_str(&format!("{title}:"));
        for finding in findings.iter().filter(|finding| finding.rule.id != "latest-tag") {
            let fix = finding.fix.as_ref().map_or(String::new(), |fix| format!(" (fix: {})", fix.title));
            out.push_str(&format!("\n  {} {}{fix}", finding.rule.id, finding.path));
        }
        out.push('\n');
    }
    out
}

fn expect_of(cases: &str, expected: &Expect) {
    expected.assert_eq(&say(cases));
}

#[test]
fn sidecars() {
    expect_of(
        "
# a loop
  initContainers:
  - {name: a, image: a:1, command: [sh, -c, 'while true; do date; sleep 1; done']}
# a shipper with flags
  initContainers:
  - {name: a, image: fluent/fluent-bit:3, args: [-c, /etc/x.conf]}
# postgres is a server
  initContainers:
  - {name: a, image: postgres:16}
# postgres with another command
  initContainers:
  - {name: a, image: postgres:16, command: [pg_isready]}
# postgres with a subcommand
  initContainers:
  - {name: a, image: postgres:16, args: [pg_dump]}
# a config test
  initContainers:
  - {name: a, image: haproxy:3, args: [-c, -f, /x, --validate]}
# haproxy tests its config
  initContainers:
  - {name: a, image: haproxy:3, args: [-c, -f, /x]}
# nginx tests its config
  initContainers:
  - {name: a, image: nginx:1, args: [-t]}
# told to end by a variable
  initContainers:
  - {name: a, image: vector:1, env: [{name: RUN_ONCE, value: '1'}]}
# with rules for its exits
  initContainers:
  - {name: a, image: a:1, restartPolicy: Never, restartPolicyRules: [{action: Restart}], command: [sleep, infinity]}
# a sidecar
  initContainers:
  - {name: a, image: redis:7, restartPolicy: Always}
# waits for something
  initContainers:
  - {name: a, image: a:1, command: [sh, -c, 'until wget -q http://x; do sleep 1; done']}
# an image of a longer name
  initContainers:
  - {name: a, image: example.com/nginx-setup:1}
# an image of the name in a repository
  initContainers:
  - {name: a, image: 'registry.example.com:5000/mirror/redis@sha256:aa'}
",
        &expect![[r#"
            a loop:
              sidecar-as-init spec.initContainers[0] (fix: make a a sidecar)
            a shipper with flags:
              sidecar-as-init spec.initContainers[0] (fix: make a a sidecar)
            postgres is a server:
              sidecar-as-init spec.initContainers[0] (fix: make a a sidecar)
            postgres with another command:
            postgres with a subcommand:
            a config test:
            haproxy tests its config:
            nginx tests its config:
            told to end by a variable:
            with rules for its exits:
              sidecar-as-init spec.initContainers[0]
            a sidecar:
            waits for something:
            an image of a longer name:
            an image of the name in a repository:
              sidecar-as-init spec.initContainers[0] (fix: make a a sidecar)
        "#]],
    );
}

#[test]
fn volumes_and_paths() {
    expect_of(
        "
# a typing error
  containers:
  - {name: a, image: a:1, volumeMounts: [{name: confg, mountPath: /x}]}
  volumes: [{name: config, configMap: {name: c}}]
# two that miss one
  containers:
  - {name: a, image: a:1, volumeMounts: [{name: data, mountPath: /x}]}
  - {name: b, image: a:1, volumeMounts: [{name: data, mountPath: /x}]}
# a device
  containers:
  - {name: a, image: a:1, volumeDevices: [{name: disk, devicePath: /dev/x}]}
  volumes: [{name: disk, persistentVolumeClaim: {claimName: c}}]
# variables from a volume
  containers:
  - {name: a, image: a:1, env: [{name: X, valueFrom: {fileKeyRef: {volumeName: v, path: p, key: k}}}]}
  volumes: [{name: v, emptyDir: {}}]
# follows the log of a program
  containers:
  - {name: a, image: a:1, volumeMounts: [{name: v, mountPath: /var/log/app}]}
  - {name: b, image: a:1, command: [tail, -F, /var/log/app/a.log]}
  volumes: [{name: v, emptyDir: {}}]
# reads what may be in its own image
  containers:
  - {name: a, image: a:1, volumeMounts: [{name: v, mountPath: /etc/app}]}
  - {name: b, image: a:1, command: [cat, /etc/app/conf]}
  volumes: [{name: v, emptyDir: {}}]
# makes the file itself
  containers:
  - {name: a, image: a:1, command: [sh, -c, 'echo > /d/f'], volumeMounts: [{name: v, mountPath: /d}]}
  - {name: b, image: a:1, command: [sh, -c, 'echo > /d/f; cat /d/f']}
  volumes: [{name: v, emptyDir: {}}]
# another program might make it
  containers:
  - {name: a, image: a:1, command: [sh, -c, 'echo > /d/f'], volumeMounts: [{name: v, mountPath: /d}]}
  - {name: b, image: a:1, command: [sh, -c, 'make-it; cat /d/f']}
  volumes: [{name: v, emptyDir: {}}]
# a path from a variable
  containers:
  - {name: a, image: a:1, command: [sh, -c, 'echo > $OUT'], env: [{name: OUT, value: /d/f}], volumeMounts: [{name: v, mountPath: /d}]}
  - {name: b, image: a:1, command: [cat, $(IN)], env: [{name: IN, value: /d/f}]}
  volumes: [{name: v, emptyDir: {}}]
# an init container after the reader
  initContainers:
  - {name: a, image: a:1, command: [cat, /d/f]}
  - {name: b, image: a:1, command: [sh, -c, 'echo > /d/f'], volumeMounts: [{name: v, mountPath: /d}]}
  containers: [{name: c, image: a:1}]
  volumes: [{name: v, emptyDir: {}}]
# the writer misses the volume
  containers:
  - {name: a, image: a:1, command: [sh, -c, 'echo > /var/log/app.log'], volumeMounts: [{name: v, mountPath: /logs}]}
  - {name: b, image: a:1, command: [tail, -F, /logs/app.log], volumeMounts: [{name: v, mountPath: /logs}]}
  volumes: [{name: v, emptyDir: {}}]
# another directory of the volume
  containers:
  - {name: a, image: a:1, command: [sh, -c, 'echo > /d/app.log'], volumeMounts: [{name: v, mountPath: /d}]}
  - {name: b, image: a:1, command: [tail, -F, /d/logs/app.log], volumeMounts: [{name: v, mountPath: /d}]}
  volumes: [{name: v, emptyDir: {}}]
# another part of the volume
  containers:
  - {name: a, image: a:1, command: [sh, -c, 'echo > /d/app.log'], volumeMounts: [{name: v, mountPath: /d, subPath: one}]}
  - {name: b, image: a:1, command: [tail, -F, /d/app.log], volumeMounts: [{name: v, mountPath: /d, subPath: two}]}
  volumes: [{name: v, emptyDir: {}}]
# the same part by two ways
  containers:
  - {name: a, image: a:1, command: [sh, -c, 'echo > /d/one/app.log'], volumeMounts: [{name: v, mountPath: /d}]}
  - {name: b, image: a:1, command: [tail, -F, /e/app.log], volumeMounts: [{name: v, mountPath: /e, subPath: one}]}
  volumes: [{name: v, emptyDir: {}}]
# the fix would hide the system
  containers:
  - {name: a, image: a:1, command: [sh, -c, 'echo > /d/app.conf'], volumeMounts: [{name: v, mountPath: /d}]}
  - {name: b, image: a:1, command: [cat, /etc/app.conf], volumeMounts: [{name: v, mountPath: /e}]}
  volumes: [{name: v, emptyDir: {}}]
# one mount path within another word
  containers:
  - {name: a, image: a:1, command: [sh, -c, 'echo > /d/app.log'], volumeMounts: [{name: v, mountPath: /d}]}
  - {name: b, image: a:1, command: [cat, /logs-of-app/app.log], volumeMounts: [{name: v, mountPath: /logs}]}
  volumes: [{name: v, emptyDir: {}}]
# a shipper that is sent to
  containers:
  - {name: a, image: a:1, volumeMounts: [{name: v, mountPath: /d}]}
  - {name: b, image: fluent/fluentd:1, ports: [{containerPort: 24224}]}
  volumes: [{name: v, emptyDir: {}}]
# a shipper beside scratch
  containers:
  - {name: a, image: a:1, volumeMounts: [{name: v, mountPath: /tmp}]}
  - {name: b, image: fluent/fluentd:1}
  volumes: [{name: v, emptyDir: {}}]
",
        &expect![[r#"
            a typing error:
              volume-not-defined spec.containers[0].volumeMounts[0].name (fix: mount config)
            two that miss one:
              volume-not-defined spec.containers[0].volumeMounts[0].name (fix: define the volume data as an emptyDir)
              volume-not-defined spec.containers[1].volumeMounts[0].name
            a device:
            variables from a volume:
            follows the log of a program:
              volume-not-mounted spec.containers[1].command[2] (fix: mount v at /var/log/app in b)
            reads what may be in its own image:
            makes the file itself:
            another program might make it:
            a path from a variable:
              volume-not-mounted spec.containers[1].command[1] (fix: mount v at /d in b)
            an init container after the reader:
            the writer misses the volume:
              paths-do-not-meet spec.containers[0].volumeMounts[0].mountPath (fix: mount v at /var/log in a)
            another directory of the volume:
              paths-do-not-meet spec.containers[1].command[2]
            another part of the volume:
              paths-do-not-meet spec.containers[1].command[2]
            the same part by two ways:
            the fix would hide the system:
              paths-do-not-meet spec.containers[1].volumeMounts[0].mountPath
            one mount path within another word:
              paths-do-not-meet spec.containers[1].volumeMounts[0].mountPath (fix: mount v at /logs-of-app in b)
            a shipper that is sent to:
            a shipper beside scratch:
        "#]],
    );
}

#[test]
fn hosts_and_ports() {
    expect_of(
        "
# a URL in a variable
  containers:
  - {name: a, image: a:1, env: [{name: X, value: 'http://b:80/'}]}
  - {name: b, image: a:1}
# a host in a variable
  containers:
  - {name: a, image: a:1, env: [{name: DB_HOST, value: b}]}
  - {name: b, image: a:1}
# a name in a variable of another meaning
  containers:
  - {name: a, image: a:1, env: [{name: MODE, value: b}]}
  - {name: b, image: a:1}
# a kind of server, and a GHOST
  containers:
  - {name: a, image: a:1, env: [{name: WEB_SERVER, value: b}, {name: GHOST, value: b}, {name: HOSTNAME, value: b}]}
  - {name: b, image: a:1}
# the host name of a database
  containers:
  - {name: a, image: a:1, env: [{name: DB_HOSTNAME, value: b}]}
  - {name: b, image: a:1}
# a Service of that name
  containers:
  - {name: a, image: a:1, env: [{name: DB_HOST, value: known}]}
  - {name: known, image: a:1}
# its own name
  containers:
  - {name: a, image: a:1, args: ['--join=a:80']}
# the name of the pod
  containers:
  - {name: a, image: a:1, args: ['--join=the-pod:80']}
  - {name: the-pod, image: a:1}
# an init container's name
  initContainers: [{name: db, image: a:1}]
  containers:
  - {name: a, image: a:1, args: ['--join=db:80']}
# a longer name
  containers:
  - {name: a, image: a:1, args: ['--join=db-0.db:80']}
  - {name: db, image: a:1}
# a user and a group
  containers:
  - {name: a, image: a:1, command: [sh, -c, 'chown b:1000 /x; echo b:80'] }
  - {name: b, image: a:1}
# another port than its own
  containers:
  - {name: a, image: a:1, args: ['--x=b:9999']}
  - {name: b, image: a:1, ports: [{containerPort: 80}]}
# in a probe
  containers:
  - {name: a, image: a:1, readinessProbe: {httpGet: {host: b, port: 80}}}
  - {name: b, image: a:1, ports: [{containerPort: 80}]}
# localhost in a probe
  containers:
  - {name: a, image: a:1, readinessProbe: {httpGet: {host: 127.0.0.1, port: 80}}, lifecycle: {preStop: {httpGet: {host: localhost, port: 80}}}}
# localhost in a probe on the network of the machine
  hostNetwork: true
  containers:
  - {name: a, image: a:1, readinessProbe: {httpGet: {host: 127.0.0.1, port: 80}}}
# in an exec probe
  containers:
  - {name: a, image: a:1, readinessProbe: {exec: {command: [nc, -z, b, '80']}}}
  - {name: b, image: a:1, ports: [{containerPort: 80}]}
# a comment in a script
  containers:
  - {name: a, image: a:1, command: [sh, -c, \"# asks http://b:80\\nexec app\"]}
  - {name: b, image: a:1}
# psql
  containers:
  - {name: a, image: a:1, command: [sh, -c, 'psql -h b -c x']}
  - {name: b, image: postgres:16}
# two on one port
  containers:
  - {name: a, image: a:1, ports: [{containerPort: 80}]}
  - {name: b, image: a:1, ports: [{containerPort: 80}]}
# an init container and an app
  initContainers: [{name: a, image: a:1, ports: [{containerPort: 80}]}]
  containers: [{name: b, image: a:1, ports: [{containerPort: 80}]}]
# a sidecar and an app
  initContainers: [{name: a, image: a:1, restartPolicy: Always, ports: [{containerPort: 80}]}]
  containers: [{name: b, image: a:1, ports: [{containerPort: 80}]}]
# in commands
  containers:
  - {name: a, image: a:1, command: [python3, -m, http.server, '8000']}
  - {name: b, image: a:1, command: [sh, -c, 'nc -lk -p 8000']}
# an address of IPv6
  containers:
  - {name: a, image: a:1, args: ['--bind-address=::1']}
  - {name: b, image: a:1, args: ['--bind-address=::1']}
# the headless Service of the pod
  subdomain: db
  containers:
  - {name: a, image: a:1, env: [{name: DB_HOST, value: db}]}
  - {name: db, image: a:1}
# a client with a port
  containers:
  - {name: a, image: a:1, command: [redis-cli, -p, '6379']}
  - {name: b, image: redis:7, ports: [{containerPort: 6379}]}
# a typing error in localhost
  containers:
  - {name: a, image: a:1, command: [sh, -c, 'while true; do curl localhost:8081; done; trap x TERM']}
  - {name: b, image: a:1, ports: [{containerPort: 8080}]}
# the usual port of an image
  containers:
  - {name: a, image: a:1, env: [{name: R, value: 'redis://localhost:6379'}]}
  - {name: b, image: redis:7}
# on the network of the machine
  hostNetwork: true
  containers:
  - {name: a, image: a:1, command: [curl, 'http://localhost:8081']}
# where it listens itself
  containers:
  - {name: a, image: a:1, args: ['--metrics-addr=localhost:9000', '--listen=127.0.0.1:9001']}
# a probe elsewhere
  containers:
  - {name: a, image: a:1, livenessProbe: {httpGet: {port: 81}}, ports: [{containerPort: 80}]}
# a probe of what the other declares
  containers:
  - {name: a, image: a:1, livenessProbe: {httpGet: {port: 80}}}
  - {name: b, image: a:1, ports: [{containerPort: 80}]}
# a probe by name
  containers:
  - {name: a, image: a:1, livenessProbe: {httpGet: {port: http}}, ports: [{name: http, containerPort: 80}]}
# a probe of a port that a variable tells
  containers:
  - {name: a, image: a:1, livenessProbe: {httpGet: {port: 81}}, env: [{name: PORT, value: '81'}]}
# a probe of another program of the script
  containers:
  - {name: a, image: a:1, livenessProbe: {tcpSocket: {port: 81}}, command: [sh, -c, 'my-server & exec python3 -m http.server']}
# a probe beside the command
  containers:
  - {name: a, image: a:1, livenessProbe: {tcpSocket: {port: 81}}, command: [python3, -m, http.server]}
",
        &expect![[r#"
            a URL in a variable:
              container-name-as-host spec.containers[0].env[0].value (fix: use localhost instead of b)
            a host in a variable:
              container-name-as-host spec.containers[0].env[0].value (fix: use localhost instead of b)
            a name in a variable of another meaning:
            a kind of server, and a GHOST:
            the host name of a database:
              container-name-as-host spec.containers[0].env[0].value (fix: use localhost instead of b)
            a Service of that name:
            its own name:
            the name of the pod:
            an init container's name:
            a longer name:
            a user and a group:
            another port than its own:
            in a probe:
              container-name-as-host spec.containers[0].readinessProbe.httpGet.host (fix: leave the host out)
            localhost in a probe:
              probe-host-is-the-node spec.containers[0].readinessProbe.httpGet.host (fix: leave the host out)
              probe-host-is-the-node spec.containers[0].lifecycle.preStop.httpGet.host (fix: leave the host out)
            localhost in a probe on the network of the machine:
            in an exec probe:
              container-name-as-host spec.containers[0].readinessProbe.exec.command[2] (fix: use localhost instead of b)
            a comment in a script:
            psql:
              container-name-as-host spec.containers[0].command[2] (fix: use localhost instead of b)
            two on one port:
              port-conflict spec.containers[1].ports[0]
            an init container and an app:
            a sidecar and an app:
              port-conflict spec.containers[0].ports[0]
            in commands:
              port-conflict spec.containers[1].command[2]
            an address of IPv6:
            the headless Service of the pod:
            a client with a port:
            a typing error in localhost:
              localhost-port-not-declared spec.containers[0].command[2]
            the usual port of an image:
            on the network of the machine:
            where it listens itself:
            a probe elsewhere:
              probe-port-not-declared spec.containers[0].livenessProbe.httpGet.port (fix: declare port 81)
            a probe of what the other declares:
            a probe by name:
            a probe of a port that a variable tells:
            a probe of another program of the script:
              probe-port-not-declared spec.containers[0].livenessProbe.tcpSocket.port (fix: declare port 81)
            a probe beside the command:
              probe-port-not-listened spec.containers[0].livenessProbe.tcpSocket.port (fix: ask port 8000)
        "#]],
    );
}

#[test]
fn starts_and_stops() {
    expect_of(
        "
# asked once by an app
  initContainers: [{name: a, image: a:1, restartPolicy: Always, ports: [{containerPort: 80}]}]
  containers: [{name: b, image: a:1, command: [sh, -c, 'curl localhost:80 && exec b']}]
# asked in a loop
  initContainers: [{name: a, image: a:1, restartPolicy: Always, ports: [{containerPort: 80}]}]
  containers: [{name: b, image: a:1, command: [sh, -c, 'until curl localhost:80; do sleep 1; done; exec b']}]
# may fail
  initContainers: [{name: a, image: a:1, restartPolicy: Always, ports: [{containerPort: 80}]}]
  containers: [{name: b, image: a:1, command: [sh, -c, 'curl localhost:80 || true; exec b']}]
# after a while
  initContainers: [{name: a, image: a:1, restartPolicy: Always, ports: [{containerPort: 80}]}]
  containers: [{name: b, image: a:1, command: [sh, -c, 'sleep 10; curl localhost:80; exec b']}]
# in the background
  initContainers: [{name: a, image: a:1, restartPolicy: Always, ports: [{containerPort: 80}]}]
  containers: [{name: b, image: a:1, command: [sh, -c, '(curl localhost:80; curl localhost:80) & exec b']}]
# in some cases
  initContainers: [{name: a, image: a:1, restartPolicy: Always, ports: [{containerPort: 80}]}]
  containers: [{name: b, image: a:1, command: [sh, -c, 'if [ -e /x ]; then curl localhost:80; fi; exec b']}]
# a setting of a server
  initContainers: [{name: a, image: a:1, restartPolicy: Always, ports: [{containerPort: 80}]}]
  containers: [{name: b, image: a:1, env: [{name: URL, value: 'http://localhost:80'}]}]
# a setting of a job
  restartPolicy: Never
  initContainers: [{name: a, image: a:1, restartPolicy: Always, ports: [{containerPort: 80}]}]
  containers: [{name: b, image: a:1, env: [{name: URL, value: 'http://localhost:80'}]}]
# with a postStart hook
  initContainers: [{name: a, image: a:1, restartPolicy: Always, ports: [{containerPort: 80}], lifecycle: {postStart: {exec: {command: [x]}}}}]
  containers: [{name: b, image: a:1, command: [curl, localhost:80]}]
# readiness alone
  initContainers: [{name: a, image: a:1, restartPolicy: Always, ports: [{containerPort: 80}], readinessProbe: {tcpSocket: {port: 80}}}]
  containers: [{name: b, image: a:1, command: [curl, localhost:80]}]
# readiness between apps, where a failure is final
  restartPolicy: Never
  containers:
  - {name: a, image: a:1, ports: [{containerPort: 80}], readinessProbe: {tcpSocket: {port: 80}}}
  - {name: b, image: a:1, command: [curl, localhost:80]}
# readiness between apps
  containers:
  - {name: a, image: a:1, ports: [{containerPort: 80}], readinessProbe: {tcpSocket: {port: 80}}}
  - {name: b, image: a:1, command: [curl, localhost:80]}
# an init container asks an app
  initContainers: [{name: a, image: a:1, command: [sh, -c, 'until nc -z localhost 80; do sleep 1; done']}]
  containers: [{name: b, image: a:1, ports: [{containerPort: 80}]}]
# an init container asks a sidecar behind it
  initContainers:
  - {name: a, image: a:1, command: [wget, 'http://127.0.0.1:80']}
  - {name: b, image: a:1, restartPolicy: Always, ports: [{containerPort: 80}]}
  containers: [{name: c, image: a:1}]
# an init container writes a setting
  initContainers: [{name: a, image: a:1, command: [render], env: [{name: UP, value: 'http://localhost:80'}]}]
  containers: [{name: b, image: a:1, ports: [{containerPort: 80}]}]
# a hook of the whole time
  containers: [{name: a, image: a:1, lifecycle: {preStop: {sleep: {seconds: 30}}}}]
# a hook in a script
  containers: [{name: a, image: a:1, lifecycle: {preStop: {exec: {command: [sh, -c, 'touch /x; sleep 20; sleep 15s']}}}}]
# a hook that may be short
  containers: [{name: a, image: a:1, lifecycle: {preStop: {exec: {command: [sh, -c, 'while busy; do sleep 60; done']}}}}]
# a hook that is long in some cases
  containers: [{name: a, image: a:1, lifecycle: {preStop: {exec: {command: [sh, -c, 'if [ -e /x ]; then sleep 60; fi; test -e /y && sleep 60']}}}}]
# a hook within the time
  terminationGracePeriodSeconds: 60
  containers: [{name: a, image: a:1, lifecycle: {preStop: {sleep: {seconds: 30}}}}]
# a shell without a trap
  containers: [{name: a, image: a:1, command: [sh, -c, 'while true; do date; sleep 1; done']}]
# a shell that waits long
  containers: [{name: a, image: a:1, command: [bash, -c, 'date; tail -f /dev/null']}]
# a shell with shared processes
  shareProcessNamespace: true
  containers: [{name: a, image: a:1, command: [sh, -c, 'while true; do date; sleep 1; done']}]
# a shell and little time
  terminationGracePeriodSeconds: 2
  containers: [{name: a, image: a:1, command: [sh, -c, 'while true; do date; sleep 1; done']}]
# a shell that ends
  containers: [{name: a, image: a:1, command: [sh, -c, 'date; sleep 1']}]
# a deaf app and a shipper
  initContainers: [{name: s, image: fluent/fluent-bit:3, restartPolicy: Always}]
  containers: [{name: a, image: a:1, command: [sh, -c, 'while true; do date; sleep 1; done']}]
# a deaf app and a sidecar with a trap to do
  initContainers:
  - {name: s, image: a:1, restartPolicy: Always, command: [sh, -c, \"trap 'flush; exit 0' TERM; sleep 9999 & wait\"]}
  containers: [{name: a, image: a:1, command: [sh, -c, 'while true; do date; sleep 1; done']}]
# a deaf app and a sidecar that just ends
  initContainers:
  - {name: s, image: a:1, restartPolicy: Always, command: [sh, -c, \"trap 'exit 0' TERM; sleep 9999 & wait\"]}
  containers: [{name: a, image: a:1, command: [sh, -c, 'while true; do date; sleep 1; done']}]
# two times that are too long together
  initContainers: [{name: s, image: a:1, restartPolicy: Always, args: [--drain-time-s, '20']}]
  containers: [{name: a, image: a:1, lifecycle: {preStop: {sleep: {seconds: 20}}}}]
# a helper of a job
  restartPolicy: OnFailure
  containers:
  - {name: work, image: a:1}
  - {name: help, image: a:1, command: [tail, -F, /x]}
# nothing but helpers
  restartPolicy: Never
  containers:
  - {name: one, image: a:1, command: [tail, -F, /x]}
# a helper that is told to quit
  restartPolicy: Never
  containers:
  - {name: work, image: a:1, command: [sh, -c, 'work; curl -X POST localhost:15020/quitquitquit']}
  - {name: help, image: envoyproxy/envoy:v1}
",
        &expect![[r#"
            asked once by an app:
              sidecar-without-startup-probe spec.initContainers[0]
            asked in a loop:
            may fail:
            after a while:
            in the background:
            in some cases:
            a setting of a server:
            a setting of a job:
              sidecar-without-startup-probe spec.initContainers[0]
            with a postStart hook:
            readiness alone:
              readiness-does-not-gate-start spec.initContainers[0].readinessProbe (fix: give a a startupProbe)
            readiness between apps, where a failure is final:
              readiness-does-not-gate-start spec.containers[0].readinessProbe
            readiness between apps:
            an init container asks an app:
              init-waits-for-later spec.initContainers[0].command[2]
            an init container asks a sidecar behind it:
              init-waits-for-later spec.initContainers[0].command[1]
            an init container writes a setting:
            a hook of the whole time:
              prestop-exceeds-grace spec.containers[0].lifecycle.preStop.sleep.seconds (fix: set the grace period to 60 s)
            a hook in a script:
              prestop-exceeds-grace spec.containers[0].lifecycle.preStop.exec.command (fix: set the grace period to 65 s)
            a hook that may be short:
            a hook that is long in some cases:
            a hook within the time:
            a shell without a trap:
              shell-ignores-term spec.containers[0].command[2] (fix: set a trap for TERM)
            a shell that waits long:
              shell-ignores-term spec.containers[0].command[2]
            a shell with shared processes:
            a shell and little time:
            a shell that ends:
            a deaf app and a shipper:
              grace-too-short-for-sidecars spec.containers[0].command[2]
              shell-ignores-term spec.containers[0].command[2] (fix: set a trap for TERM)
            a deaf app and a sidecar with a trap to do:
              grace-too-short-for-sidecars spec.containers[0].command[2]
              shell-ignores-term spec.containers[0].command[2] (fix: set a trap for TERM)
            a deaf app and a sidecar that just ends:
              shell-ignores-term spec.containers[0].command[2] (fix: set a trap for TERM)
            two times that are too long together:
              grace-too-short-for-sidecars spec.initContainers[0] (fix: set the grace period to 45 s)
            a helper of a job:
              job-kept-alive spec.containers[1] (fix: make help a sidecar)
            nothing but helpers:
            a helper that is told to quit:
              localhost-port-not-declared spec.containers[0].command[2]
        "#]],
    );
}

#[test]
fn resources_and_old_names() {
    expect_of(
        "
# memory without limits
  containers: [{name: a, image: a:1, volumeMounts: [{name: v, mountPath: /x}]}]
  volumes: [{name: v, emptyDir: {medium: Memory}}]
# memory that counts against a container
  containers: [{name: a, image: a:1, resources: {limits: {memory: 1Gi}}, volumeMounts: [{name: v, mountPath: /x}]}]
  volumes: [{name: v, emptyDir: {medium: Memory}}]
# memory that counts against the pod
  resources: {limits: {memory: 1Gi}}
  containers: [{name: a, image: a:1, volumeMounts: [{name: v, mountPath: /x}]}]
  volumes: [{name: v, emptyDir: {medium: Memory}}]
# sidecars that take it all
  resources: {limits: {cpu: 1, memory: 1Gi}}
  initContainers:
  - {name: s, image: a:1, restartPolicy: Always, resources: {requests: {cpu: 500m}}}
  - {name: t, image: a:1, restartPolicy: Always, resources: {limits: {cpu: 500m}}}
  containers: [{name: a, image: a:1}]
# sidecars that leave something
  resources: {limits: {cpu: 1}}
  initContainers: [{name: s, image: a:1, restartPolicy: Always, resources: {requests: {cpu: 500m}}}]
  containers: [{name: a, image: a:1}]
# old names
  serviceAccount: a
  nodeSelector: {beta.kubernetes.io/arch: amd64, kubernetes.io/os: linux}
  containers: [{name: a, image: a:1}]
  volumes: [{name: g, gitRepo: {repository: x}}]
# both names of the account
  serviceAccount: a
  serviceAccountName: a
  containers: [{name: a, image: a:1}]
",
        &expect![[r#"
            memory without limits:
              memory-volume-without-limit spec.volumes[0].emptyDir
            memory that counts against a container:
            memory that counts against the pod:
            sidecars that take it all:
              limits-below-sidecars spec.resources.limits[cpu]
            sidecars that leave something:
            old names:
              deprecated-field spec.nodeSelector[beta.kubernetes.io/arch] (fix: use kubernetes.io/arch)
              deprecated-field spec.volumes[0].gitRepo
              renamed-field spec.serviceAccount (fix: rename it)
              volume-unused spec.volumes[0].name
            both names of the account:
        "#]],
    );
}

#[test]
fn tags() {
    for (image, is_said) in [
        ("nginx", true),
        ("nginx:latest", true),
        ("registry.example.com:5000/nginx", true),
        ("registry.example.com:5000/nginx:1.27", false),
        ("nginx@sha256:aa", false),
        ("nginx:latest@sha256:aa", false),
        ("localhost/host", false),
        ("", false),
    ] {
        let pod = serde_json::json!({"spec": {"containers": [{"name": "a", "image": image}]}});
        let said = check(&pod, &Context::default()).iter().any(|finding| finding.rule.id == "latest-tag");
        assert_eq!(said, is_said, "{image}");
    }
}
