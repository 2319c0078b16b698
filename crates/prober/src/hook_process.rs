//! A hook made by a process of its own, for who has no event loop: a shim whose engine is gone.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;
use std::time::Duration;

use podspec::HttpGetAction;
use tokio::net::TcpStream;

use crate::{Dial, HookSuccess, Pod, http_hook};

/// What is expected after the name of the command.
pub const USAGE: &str = "PORT POD_IP TIMEOUT_MS (0: none), and the action as JSON on standard input";

/// Of the action: more than a manifest can hold of it.
const ACTION_BYTES_MAX: u64 = 4 << 20;

/// Makes the hook from the network that this process is in, as [`USAGE`] says: a handler without a host means the
/// loopback here, so this is the pod's network then, and the host's for a handler with one. The action is a
/// [`HttpGetAction`]; it comes by standard input because its headers may be secret.
///
/// What failed is written to standard output, and the exit code is 1; after a success it is 0, and the message of the
/// event is written, if there is one.
pub fn run_hook_process(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (text, code) = match prepare(arguments, io::stdin().lock()).and_then(|hook| hook.run()) {
        Ok(HookSuccess { fallback }) => (fallback.unwrap_or_default(), ExitCode::SUCCESS),
        Err(error) => (error, ExitCode::FAILURE),
    };
    let mut out = io::stdout().lock();
    // Who does not read it does not miss it.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    code
}

struct Hook {
    action: HttpGetAction,
    port: u16,
    pod_ip: IpAddr,
    timeout: Option<Duration>,
}

fn prepare(arguments: impl IntoIterator<Item = OsString>, input: impl Read) -> Result<Hook, String> {
    let arguments: Vec<String> =
        arguments.into_iter().map(|text| text.to_string_lossy().into_owned()).collect();
    let [port, pod_ip, timeout_ms] = arguments.as_slice() else {
        return Err(format!("a hook takes {USAGE}, not {arguments:?}"));
    };
    let wrong = |what: &str, text: &str| format!("{text:?} is no {what}: a hook takes {USAGE}");
    let port = port.parse().map_err(|_| wrong("PORT", port))?;
    let pod_ip = pod_ip.parse().map_err(|_| wrong("POD_IP", pod_ip))?;
    let timeout_ms: u64 = timeout_ms.parse().map_err(|_| wrong("TIMEOUT_MS", timeout_ms))?;
    let timeout = (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms));
    let action = serde_json::from_reader(input.take(ACTION_BYTES_MAX));
    let action = action.map_err(|error| format!("cannot read the action from standard input: {error}"))?;
    Ok(Hook { action, port, pod_ip, timeout })
}

impl Hook {
    fn run(self) -> Result<HookSuccess, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot start the event loop of the hook: {error}"))?;
        let pod = Pod { ip: self.pod_ip, dial: InPod(self.pod_ip) };
        let done = runtime.block_on(http_hook(&pod, &self.action, self.port, self.timeout));
        // The resolver may still be at work.
        runtime.shutdown_background();
        done
    }
}

/// The network of this process is the pod's, which has this address.
struct InPod(IpAddr);

impl Dial for InPod {
    async fn dial(&self, port: u16) -> io::Result<TcpStream> {
        let mut first = None;
        for address in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), self.0] {
            match TcpStream::connect((address, port)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => _ = first.get_or_insert(error),
            }
        }
        Err(first.unwrap_or_else(|| io::ErrorKind::ConnectionRefused.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use podspec::{HttpGetAction, HttpScheme, PortRef};

    use super::prepare;
    use crate::HookSuccess;

    fn arguments(port: &str) -> [OsString; 3] {
        [port, "127.0.0.2", "20000"].map(OsString::from)
    }

    fn action() -> Vec<u8> {
        let action = HttpGetAction {
            host: None,
            port: PortRef::Name("web".to_owned()),
            path: "/bye".to_owned(),
            scheme: HttpScheme::Http,
            headers: vec![],
        };
        serde_json::to_vec(&action).unwrap()
    }

    #[test]
    fn a_hook_goes_to_the_loopback_and_speaks_of_the_pod() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).unwrap();
            stream.write_all(b"HTTP/1.1 204 X\r\n\r\n").unwrap();
            String::from_utf8(head[..length].to_vec()).unwrap()
        });
        let hook = prepare(arguments(&port.to_string()), &*action()).unwrap();
        assert_eq!(hook.run(), Ok(HookSuccess::default()));
        let head = server.join().unwrap();
        assert!(head.starts_with(&format!("GET /bye HTTP/1.1\r\nHost: 127.0.0.2:{port}\r\n")), "{head}");
        // Nobody listens any more.
        let failure = prepare(arguments(&port.to_string()), &*action()).unwrap().run().unwrap_err();
        assert!(failure.ends_with("connect: connection refused"), "{failure}");
    }

    #[test]
    fn says_what_it_takes() {
        for (arguments, text) in [
            (vec![], "a hook takes PORT POD_IP"),
            (vec!["x", "10.0.0.1", "0"], "\"x\" is no PORT: a hook takes"),
            (vec!["1", "x", "0"], "\"x\" is no POD_IP: a hook takes"),
            (vec!["1", "10.0.0.1", "x"], "\"x\" is no TIMEOUT_MS: a hook takes"),
        ] {
            let error = prepare(arguments.into_iter().map(OsString::from), &*action()).err().unwrap();
            assert!(error.starts_with(text), "{error}");
        }
        let error = prepare(arguments("1"), &b"{"[..]).err().unwrap();
        assert!(error.starts_with("cannot read the action from standard input: "), "{error}");
    }
}
