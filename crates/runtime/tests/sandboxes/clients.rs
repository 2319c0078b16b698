//! Attachments to containers, and connections into pods.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::time::Duration;

use ports::{RuntimeService, SessionError};

use crate::Case;
use crate::bed::{Bed, blocking, read_all, read_to_end, wait_until};

pub(crate) const CASES: &[Case] = &[
    (
        "what_a_container_says_goes_to_all_who_are_attached",
        what_a_container_says_goes_to_all_who_are_attached,
    ),
    ("standard_input_stays_open_or_ends_with_its_first_client", standard_input_stays_open_or_ends),
    ("a_container_on_a_terminal_is_spoken_to", a_container_on_a_terminal_is_spoken_to),
    ("a_client_that_does_not_read_holds_up_nobody", a_client_that_does_not_read_holds_up_nobody),
    ("the_last_words_reach_a_slow_client", the_last_words_reach_a_slow_client),
    ("a_port_of_the_pod_is_connected_to", a_port_of_the_pod_is_connected_to),
    ("a_port_of_the_host_is_connected_to", a_port_of_the_host_is_connected_to),
];

fn pod_of(script: &str, fields: &str) -> String {
    format!("containers:\n- {{name: a, image: i, {fields} command: [sh, -c, '{script}']}}")
}

/// Reads until `text` has come.
fn read_until(from: &mut File, text: &str) -> String {
    let mut said = String::new();
    while !said.contains(text) {
        let mut bytes = [0; 1_000];
        let length = from.read(&mut bytes).unwrap();
        assert!(length > 0, "it ended after {said:?}");
        said.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    said
}

fn what_a_container_says_goes_to_all_who_are_attached(bed: &Bed) {
    let engine = bed.engine();
    let script = "echo early; while [ ! -e /tmp/go ]; do sleep 0.05; done; printf out; echo err >&2; exit 4";
    let running = engine.create(&bed.pod(&pod_of(script, ""), true));
    let SessionError::NotRunning(message) = running.attach("a", false).unwrap_err() else {
        panic!("not yet")
    };
    assert_eq!(message, "container \"a\" is not running");
    running.start("a", 0);
    running.wait_for_log("a", "early");
    let both = [running.attach("a", true).unwrap(), running.attach("a", false).unwrap()];
    let gone = running.attach("a", false).unwrap();
    drop(gone);
    running.exec("a", "touch /tmp/go", None, 9).unwrap();
    for streams in both {
        assert!(streams.stdin.is_none() && streams.terminal.is_none());
        assert_eq!(read_all(streams.stdout), "out", "from now on, and at once");
        assert_eq!(read_all(streams.stderr.unwrap()), "err\n");
    }
    assert_eq!(running.exit_of("a", 0).code, 4);
    assert_eq!(running.log("a", 0), "early\nout\nerr\n".replace("out\nerr\n", "err\nout"));
    running.end();
}

fn standard_input_stays_open_or_ends(bed: &Bed) {
    let engine = bed.engine();
    let running = engine.create(&bed.pod(&pod_of("cat; echo ended", "stdin: true,"), true));
    running.start("a", 0);
    for line in ["one\n", "two\n"] {
        let streams = running.attach("a", true).unwrap();
        File::from(streams.stdin.unwrap()).write_all(line.as_bytes()).unwrap();
        read_until(&mut blocking(streams.stdout), line);
    }
    assert!(running.attach("a", false).unwrap().stdin.is_none());
    running.end();
    let running = engine.create(&bed.pod(&pod_of("cat; echo ended", "stdin: true, stdinOnce: true,"), true));
    running.start("a", 0);
    drop(running.attach("a", false).unwrap());
    let streams = running.attach("a", true).unwrap();
    assert!(running.attach("a", true).unwrap().stdin.is_none(), "it is the first one's");
    File::from(streams.stdin.unwrap()).write_all(b"one\n").unwrap();
    assert_eq!(read_all(streams.stdout), "one\nended\n");
    assert_eq!(running.exit_of("a", 0).code, 0);
    running.end();
}

fn a_container_on_a_terminal_is_spoken_to(bed: &Bed) {
    let engine = bed.engine();
    let script = "echo ready; read line; echo \"got $line\"; stty size; read more";
    let running = engine.create(&bed.pod(&pod_of(script, "stdin: true, tty: true,"), true));
    running.start("a", 0);
    running.wait_for_log("a", "ready");
    let streams = running.attach("a", true).unwrap();
    assert!(streams.stderr.is_none());
    streams.terminal.as_ref().unwrap().resize(80, 24).unwrap();
    let mut input = blocking(streams.stdin.unwrap());
    input.write_all(b"words\n").unwrap();
    let mut output = blocking(streams.stdout);
    assert_eq!(read_until(&mut output, "24 80\r\n"), "words\r\ngot words\r\n24 80\r\n");
    input.write_all(b"\x04").unwrap();
    assert_eq!(read_to_end(output), "");
    // A copy of the master that outlives the container keeps its shim from nothing.
    running.exit_of("a", 0);
    running.end();
    drop(streams.terminal);
    // Output alone.
    let running = engine.create(&bed.pod(&pod_of("sleep 1000", "tty: true,"), true));
    running.start("a", 0);
    let streams = running.attach("a", true).unwrap();
    assert!(streams.stdin.is_none() && streams.terminal.is_some());
    running.end();
}

fn a_client_that_does_not_read_holds_up_nobody(bed: &Bed) {
    let engine = bed.engine();
    let script = "while [ ! -e /tmp/go ]; do sleep 0.05; done; seq 1 2000000; echo end >&2; sleep 1000";
    let running = engine.create(&bed.pod(&pod_of(script, ""), true));
    running.start("a", 0);
    let idle = running.attach("a", false).unwrap();
    let mut reading = running.attach("a", false).unwrap();
    running.exec("a", "touch /tmp/go", None, 9).unwrap();
    let mut errors = blocking(reading.stderr.take().unwrap());
    let output = reading.stdout;
    let reader = std::thread::spawn(move || {
        let (mut output, mut bytes, mut total) = (blocking(output), vec![0; 1 << 20], 0);
        loop {
            let length = output.read(&mut bytes).unwrap();
            assert!(length > 0, "it ended after {total} bytes");
            total += length;
            if bytes[..length].ends_with(b"\n2000000\n") {
                return total;
            }
        }
    });
    assert_eq!(read_until(&mut errors, "end"), "end\n", "all is written");
    assert!(reader.join().unwrap() > 13 << 20);
    // What was kept for it, and its end.
    let kept = read_all(idle.stdout).len();
    assert!(kept < 6 << 20, "{kept}");
    running.end();
}

fn the_last_words_reach_a_slow_client(bed: &Bed) {
    let engine = bed.engine();
    let script = "while [ ! -e /tmp/go ]; do sleep 0.05; done; seq 1 300000";
    let running = engine.create(&bed.pod(&pod_of(script, ""), true));
    running.start("a", 0);
    let streams = running.attach("a", false).unwrap();
    running.exec("a", "touch /tmp/go", None, 9).unwrap();
    running.exit_of("a", 0);
    let reader = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        read_all(streams.stdout)
    });
    running.stop();
    assert!(reader.join().unwrap().ends_with("\n300000\n"));
    running.end();
}

/// This program in a container: accepts one connection and answers it.
pub(crate) fn listen() {
    let listener = TcpListener::bind("127.0.0.1:80").unwrap();
    println!("up");
    let (mut client, _) = listener.accept().unwrap();
    let mut bytes = [0; 3];
    client.read_exact(&mut bytes).unwrap();
    client.write_all(b"hi ").unwrap();
    client.write_all(&bytes).unwrap();
    drop(client);
    std::thread::sleep(Duration::from_secs(1_000));
}

/// This program in a container: answers one HTTP request, and writes down what that was.
pub(crate) fn answer_one_request() {
    let listener = TcpListener::bind("127.0.0.1:80").unwrap();
    println!("up");
    let (mut client, _) = listener.accept().unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.extend_from_slice(&byte);
    }
    let mut order = File::options().create(true).append(true).open("/w/order").unwrap();
    order.write_all(head.split(|byte| *byte == b'\r').next().unwrap()).unwrap();
    order.write_all(b"\n").unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
}

/// A mount of the directory of this program, and the path of the program in it.
pub(crate) fn lent_program() -> (String, String) {
    let program = std::env::current_exe().unwrap();
    let (dir, name) = (program.parent().unwrap().display(), program.file_name().unwrap().display());
    (dir.to_string(), format!("/program/{name}"))
}

fn a_port_of_the_pod_is_connected_to(bed: &Bed) {
    let engine = bed.engine();
    let (dir, program) = lent_program();
    let pod = format!(
        "volumes: [{{name: program, hostPath: {{path: {dir}}}}}]\ncontainers:\n- {{name: a, image: i, \
         volumeMounts: [{{name: program, mountPath: /program}}], command: [{program}, listen]}}"
    );
    let running = engine.create(&bed.pod(&pod, true));
    let dial = |port| bed.wait(engine.runtime.dial(&running.pod, &ports::LOOPBACKS, port));
    running.start("a", 0);
    running.wait_for_log("a", "up");
    let socket = dial(80).unwrap();
    let mut socket = blocking(OwnedFd::from(socket));
    socket.write_all(b"you").unwrap();
    assert_eq!(read_to_end(socket), "hi you");
    let SessionError::Refused(message) = dial(81).unwrap_err() else { panic!("nobody is there") };
    assert_eq!(
        message,
        "cannot connect to port 81 of the pod: 127.0.0.1: connection refused; ::1: connection refused"
    );
    running.end();
}

fn a_port_of_the_host_is_connected_to(bed: &Bed) {
    let engine = bed.engine();
    let running = engine
        .create(&bed.pod("hostNetwork: true\ncontainers:\n- {name: a, image: i, command: ['true']}", true));
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = bed.wait(engine.runtime.dial(&running.pod, &ports::LOOPBACKS, port)).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    accepted.write_all(b"host").unwrap();
    drop(accepted);
    assert_eq!(read_all(socket.into()), "host");
    wait_until("it is refused when nobody is there", || {
        drop(TcpListener::bind("[::1]:0").unwrap());
        matches!(
            bed.wait(engine.runtime.dial(&running.pod, &ports::LOOPBACKS, 1)),
            Err(SessionError::Refused(_))
        )
    });
    running.end();
}
