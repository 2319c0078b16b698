//! What a container's process finds: user, arguments, environment, pid namespace, working directory.

use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::bed::{Bed, SOON};
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    own_pid_namespace,
    shared_pid_namespace,
    shared_pid_namespace_survives_an_exit,
    run_as_user_and_group,
    run_as_non_root_refuses_root,
    environment_is_expanded,
    working_directory,
    command_that_is_not_there,
    termination_message,
    killed_by_a_signal,
    orphans_do_not_outlive_the_container,
    few_open_files,
];

fn own_pid_namespace(bed: &Bed) -> Result<()> {
    require_root()?;
    bed.run_pod(&Pod::new("own-pids").app("main", "say pid $$$$"))?.expect_code(0)?;
    bed.trace.expect_order(&["main pid 1"])
}

/// PID 1 is the shim's small init; containers see and may signal one another.
fn shared_pid_namespace(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("shared-pids")
        .spec(&json!({"shareProcessNamespace": true}))
        .app("victim", "[ $$$$ -ne 1 ] && say own-pid-is-not-1; echo $$$$ > /trace/victim; serve")
        .app("main", "until grep -q '^victim start' /trace/log; do sleep 0.05; done; kill -TERM $(cat /trace/victim) && say sent");
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["victim own-pid-is-not-1", "victim start"])?;
    bed.trace.expect_order(&["main sent"])?;
    bed.trace.expect_order(&["victim stop"])
}

fn shared_pid_namespace_survives_an_exit(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("shared-exit")
        .spec(&json!({"shareProcessNamespace": true}))
        .init("prepare", "say end")
        .app("short", "say end")
        .app("long", "until grep -q '^short end' /trace/log; do sleep 0.05; done; sleep 0.5; say end");
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["prepare end", "short end", "long end"])
}

fn run_as_user_and_group(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("user")
        .spec(&json!({"securityContext": {"runAsUser": 1234, "runAsGroup": 2345, "supplementalGroups": [3456]}}))
        .app("main", "say $(id -u) $(id -g) $(id -G)")
        .app_with("own", "say $(id -u)", &json!({"securityContext": {"runAsUser": 4567}}));
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["main 1234 2345 2345 3456"])?;
    bed.trace.expect_order(&["own 4567"])
}

fn run_as_non_root_refuses_root(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("non-root").app_with(
        "main",
        "say start",
        &json!({"securityContext": {"runAsNonRoot": true}}),
    );
    let mut engine = bed.start_pod(&pod)?;
    engine.wait_output("CreateContainerConfigError", SOON)?;
    bed.interrupt(engine)?.expect_line(&["runAsNonRoot"])?;
    bed.trace.expect_absent("main start")
}

fn environment_is_expanded(bed: &Bed) -> Result<()> {
    require_root()?;
    let fields = json!({"env": [
        {"name": "HOST", "value": "localhost"}, {"name": "URL", "value": "http://$(HOST):$(PORT)/$$(HOST)"}]});
    let pod = Pod::new("env").app_with("main", "say $URL; say path ${PATH:+set}", &fields);
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["main http://localhost:$(PORT)/$(HOST)", "main path set"])
}

fn working_directory(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("cwd").app_with("main", "say $(pwd)", &json!({"workingDir": "/made/for/it"}));
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["main /made/for/it"])
}

fn command_that_is_not_there(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("no-command").app_with("main", "", &json!({"command": ["/no/such/program"]}));
    let finished = bed.run_pod(&pod)?;
    finished.expect_code(1)?.expect_line(&["main", "/no/such/program"])?.expect_output("StartError")?;
    Ok(())
}

fn termination_message(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("message").app("main", "echo out-of-luck > /dev/termination-log; exit 4");
    bed.run_pod(&pod)?.expect_code(1)?.expect_output("out-of-luck")?;
    Ok(())
}

fn killed_by_a_signal(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("signalled").app("main", "sh -c 'kill -KILL $$$$'; exit $?");
    bed.run_pod(&pod)?.expect_code(1)?.expect_line(&["main", "137"])?;
    Ok(())
}

fn orphans_do_not_outlive_the_container(bed: &Bed) -> Result<()> {
    require_root()?;
    for shared in [false, true] {
        let pod = Pod::new(if shared { "orphans-shared" } else { "orphans" })
            .spec(&json!({"shareProcessNamespace": shared}))
            .app("main", "setsid sleep 1000000 < /dev/null > /dev/null 2>&1 & say end");
        bed.run_pod(&pod)?.expect_code(0)?;
        bed.expect_settled()?;
    }
    ensure!(bed.trace.count("main end") == 2, "{:?}", bed.trace.lines());
    Ok(())
}

/// What the engine and its shims need is theirs; containers keep the limit the engine was started with.
fn few_open_files(bed: &Bed) -> Result<()> {
    require_root()?;
    const CONTAINERS: usize = 30;
    let names: Vec<String> = (0..CONTAINERS).map(|n| format!("app-{n}")).collect();
    let script = "say has $(ulimit -Sn); until [ $(grep -c has /trace/log) -eq 30 ]; do sleep 0.05; done";
    let pod = names.iter().fold(Pod::new("few-files"), |pod, name| pod.app(name, script));
    let run = bed.run_command();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -Sn 64; exec \"$0\" \"$@\""]).arg(run.get_program()).args(run.get_args());
    bed.finish(limited.arg(bed.manifest(&pod)?))?.expect_code(0)?;
    names.iter().try_for_each(|name| bed.trace.expect_order(&[&format!("{name} has 64")]))
}
