//! What a command does, where that is evident: how long it runs, how it ends, and what it makes of SIGTERM.

mod shell;

use std::time::Duration;

use podspec::{Container, HookHandler, PodSpec, endless};

use crate::assumption::Term;

/// How a process goes by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Course {
    Ends { after: Duration, code: i32 },
    Never,
}

/// The exit code of who does not catch SIGTERM, and is not process 1.
const EXIT_SIGTERM: i32 = 143;

/// `None` where only the program knows.
pub(crate) fn course(container: &Container) -> Option<Course> {
    let words = words(container)?;
    course_of(&words)
}

fn course_of(words: &[String]) -> Option<Course> {
    if endless(words).is_some() {
        return Some(Course::Never);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match shell::script_of(&words) {
        Some((script, stops_at_failure)) => shell::course(script, stops_at_failure),
        None => shell::program(&words),
    }
}

/// How a hook goes that is a command or a pause.
pub(crate) fn hook(handler: &HookHandler) -> Option<(Duration, bool)> {
    match handler {
        HookHandler::Sleep(time) => Some((*time, true)),
        HookHandler::Exec(exec) => match course_of(&exec.command)? {
            Course::Ends { after, code } => Some((after, code == 0)),
            Course::Never => Some((Duration::MAX, true)),
        },
        HookHandler::HttpGet(_) => None,
    }
}

/// What comes of a stop signal. The first process of a process namespace ignores those that it does not catch.
pub(crate) fn term(spec: &PodSpec, container: &Container) -> Option<(Term, &'static str)> {
    let words = words(container)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let is_first = !spec.share_process_namespace && !spec.host_pid;
    let uncaught = |why: &'static str| {
        if is_first {
            (Term::Ignores, why)
        } else {
            (Term::EndsAfter(Duration::ZERO, EXIT_SIGTERM), "it does not catch it and is not process 1")
        }
    };
    let is_plain = |program: &str| ["sleep", "tail", "cat", "true", "false", "echo"].contains(&program);
    let Some((script, _)) = shell::script_of(&words) else {
        let program = words.first()?.rsplit('/').next()?;
        return is_plain(program).then(|| uncaught("process 1 ignores what it does not catch"));
    };
    match shell::trap(script) {
        shell::Trap::Exits(code) => Some((Term::EndsAfter(Duration::ZERO, code), "its trap")),
        shell::Trap::Ignores => Some((Term::Ignores, "its trap")),
        shell::Trap::Other => None,
        shell::Trap::None if shell::becomes_another(script, is_plain) => None,
        shell::Trap::None => Some(uncaught("a shell as process 1 without a trap")),
    }
}

/// Without it, what runs is the image's to say.
fn words(container: &Container) -> Option<Vec<String>> {
    let command = container.command.as_ref().filter(|command| !command.is_empty())?;
    let arguments = container.args.iter().flatten();
    Some(command.iter().chain(arguments).cloned().collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use podspec::{IDENTITY_BYTES, Pod, load_pods};

    use super::{Course, course, term};
    use crate::assumption::Term;

    fn pod(command: &[&str], more: &str) -> Pod {
        let command: Vec<String> = command.iter().map(|word| format!("{word:?}")).collect();
        let text = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{{more} containers: \
             [{{name: c, image: i, command: [{}]}}]}}}}",
            command.join(", ")
        );
        load_pods("test", &text, || [7; IDENTITY_BYTES]).unwrap().remove(0).admitted.pod
    }

    fn course_of(command: &[&str]) -> Option<Course> {
        course(&pod(command, "").spec.containers[0])
    }

    #[test]
    fn courses() {
        let ends = |ms, code| Some(Course::Ends { after: Duration::from_millis(ms), code });
        for (script, expected) in [
            ("true", ends(0, 0)),
            ("sleep 5", ends(5_000, 0)),
            ("sleep 1.5; exit 3", ends(1_500, 3)),
            ("sleep 1m && false || exit 7", ends(60_000, 7)),
            ("false && sleep 5", ends(0, 1)),
            ("true || sleep 5", ends(0, 0)),
            ("false; sleep 1", ends(1_000, 0)),
            ("set -e; false; sleep 1", ends(0, 1)),
            ("echo \"it is $HOME\" > /tmp/x; sleep 0.2 # and no more", ends(200, 0)),
            ("trap 'exit 0' TERM; sleep 3 & wait $!; exit 4", ends(3_000, 4)),
            ("sleep 3 & sleep 1; wait; exit 0", ends(3_000, 0)),
            ("sleep 1 & exit 2", ends(0, 2)),
            ("for n in 1 2 3; do sleep 1; echo $n; done; exit 9", ends(3_000, 9)),
            ("for a in 1 2; do for b in x y; do sleep 1; done; done", ends(4_000, 0)),
            ("exec sleep 2; exit 5", ends(2_000, 0)),
            ("X=1; sleep 1", ends(1_000, 0)),
            ("sleep infinity", Some(Course::Never)),
            ("echo x; exec tail -f /dev/null", Some(Course::Never)),
            ("while true; do date; sleep 1; done", Some(Course::Never)),
            ("", ends(0, 0)),
            // Only a shell, or the program, knows.
            ("curl x; sleep 1", None),
            ("sleep $N", None),
            ("for n in $(seq 3); do sleep 1; done", None),
            ("for n in 1 2; do sleep 1", None),
            ("if true; then exit 1; fi", None),
            ("sleep 1 | cat", None),
            ("sleep 1e400", None),
            ("sleep -1", None),
            ("exit 300", None),
            (
                "for a in 1 2 3 4 5 6 7 8 9 0; do for b in 1 2 3 4 5 6 7 8 9 0; do for c in 1 2 3 4 5 6 7 8 9 0; do \
              for d in 1 2 3 4 5 6 7 8 9 0; do echo; done; done; done; done",
                None,
            ),
        ] {
            assert_eq!(course_of(&["sh", "-c", script]), expected, "{script}");
        }
        assert_eq!(course_of(&["sh", "-ec", "false; sleep 1"]), ends(0, 1));
        assert_eq!(course_of(&["/bin/sleep", "5"]), ends(5_000, 0));
        assert_eq!(course_of(&["false"]), ends(0, 1));
        assert_eq!(course_of(&["nginx"]), None);
        assert_eq!(course_of(&["sh", "-c"]), None);
    }

    #[test]
    fn what_comes_of_a_stop_signal() {
        let obeys = |code| Some(Term::EndsAfter(Duration::ZERO, code));
        for (script, expected) in [
            ("while :; do sleep 1; done", Some(Term::Ignores)),
            ("trap 'exit 0' TERM; while :; do sleep 1; done", obeys(0)),
            ("x=1\n  trap \"echo; exit 3\" INT TERM\nsleep 9 & wait", obeys(3)),
            ("trap '' TERM; sleep 9", Some(Term::Ignores)),
            ("trap 'exit 0' INT; sleep 9", Some(Term::Ignores)),
            ("trap 'stopping=yes' TERM; sleep 9 & wait", None),
            ("trap - TERM; trap 'exit 5' 15; sleep 9", obeys(5)),
            ("echo 'trap x TERM'; sleep 9", Some(Term::Ignores)),
            ("setup; exec nginx", None),
            ("nginx -g 'daemon off'", None),
            ("exec >> /log; sleep 5", Some(Term::Ignores)),
            ("exec sleep 5", Some(Term::Ignores)),
        ] {
            let pod = pod(&["sh", "-c", script], "");
            assert_eq!(term(&pod.spec, &pod.spec.containers[0]).map(|(term, _)| term), expected, "{script}");
        }
        let shared = pod(&["sleep", "9"], "shareProcessNamespace: true,");
        assert_eq!(term(&shared.spec, &shared.spec.containers[0]).map(|(term, _)| term), obeys(143));
        let server = pod(&["nginx"], "");
        assert_eq!(term(&server.spec, &server.spec.containers[0]), None);
    }
}
