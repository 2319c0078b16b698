//! A container that runs, and says that something is wrong.

use podspec::Container;

use super::case::{Case, kind_word};
use super::explanation::{Health, Link, Remedy, Trouble};
use super::words::{self, Complaint};
use super::{container, network};

const BY_NAME: &str = "container-name-as-host";

/// What rules say of a container whose log complains of the same.
fn rules(complaint: Complaint) -> &'static [&'static str] {
    match complaint {
        Complaint::Name => &[BY_NAME],
        Complaint::Refused => {
            &["localhost-port-not-declared", "sidecar-without-startup-probe", "readiness-does-not-gate-start"]
        }
        Complaint::PortInUse => &["port-conflict"],
        Complaint::NoFile => {
            &["volume-not-mounted", "paths-do-not-meet", "volume-not-shared", "volume-unused"]
        }
        Complaint::ReadOnly | Complaint::Denied => &[],
    }
}

pub(super) fn trouble(case: &Case<'_>, of: &Container) -> Option<Trouble> {
    let name = &of.name;
    let (_, since) = case.running(name)?;
    let said = words::complaint(words::of_running(case, of));
    let logs = || words::lines(case, name, case.attempt(name).map(|attempt| attempt.number));
    let word = kind_word(of);
    if let Some((complaint, line)) = said {
        let mut remedies = case.remedies_of(name, rules(complaint));
        let certain = !remedies.is_empty();
        if complaint == Complaint::Name {
            for host in words::hosts(of) {
                if let Some(mut trouble) = container::host_trouble(case, of, &host) {
                    trouble.logs = logs();
                    return Some(trouble);
                }
            }
        }
        remedies.extend(of_line(case, of, complaint, line));
        if certain || !remedies.is_empty() {
            let mut trouble =
                Trouble::new(Health::Stuck, format!("{word} {name} runs and {}", complains(complaint)));
            if let Some(finding) =
                case.findings_of(name).find(|finding| rules(complaint).contains(&finding.rule.id))
            {
                trouble.chain.push(Link::of(of, finding.message.clone()));
            }
            trouble.certain = certain;
            trouble.chain.insert(0, Link::of(of, format!("{word} {name} runs")).since(case.when(since.boot)));
            trouble.remedies = remedies;
            trouble.logs = logs();
            return Some(trouble);
        }
    }
    // Some programs say nothing of a name that they do not find. It is no Service's, so nobody has it.
    let by_name = case
        .own_findings_of(name)
        .find(|finding| finding.rule.id == BY_NAME)
        .filter(|_| case.around.complete);
    if let Some(finding) = by_name {
        let mut trouble = Trouble::new(Health::Stuck, format!("{word} {name} runs, but {}", finding.message));
        trouble.chain.push(Link::of(of, format!("{word} {name} runs")).since(case.when(since.boot)));
        trouble.remedies.push(Remedy::of(finding));
        trouble.logs = logs();
        return Some(trouble);
    }
    // What cannot work does not, whatever the container says.
    let finding = case.error_of(name)?;
    let mut trouble = Trouble::new(Health::Stuck, format!("{word} {name} runs, but {}", finding.message));
    trouble.chain.push(Link::of(of, format!("{word} {name} runs")).since(case.when(since.boot)));
    trouble.remedies.push(Remedy::of(finding));
    trouble.logs = logs();
    Some(trouble)
}

fn complains(complaint: Complaint) -> &'static str {
    match complaint {
        Complaint::Name => "cannot find a host by its name",
        Complaint::Refused => "is refused when it connects",
        Complaint::PortInUse => "cannot have its port, which another has",
        Complaint::NoFile => "does not find a file",
        Complaint::ReadOnly => "cannot write where it is read-only",
        Complaint::Denied => "is not permitted what it does",
    }
}

pub(super) fn remedies_of_lines(case: &Case<'_>, of: &Container, lines: Option<&[String]>) -> Vec<Remedy> {
    let Some((complaint, line)) = lines.and_then(words::complaint) else { return Vec::new() };
    let mut remedies = case.remedies_of(&of.name, rules(complaint));
    remedies.extend(of_line(case, of, complaint, line));
    remedies
}

fn of_line(case: &Case<'_>, of: &Container, complaint: Complaint, line: &str) -> Option<Remedy> {
    let is_local = ["localhost", "127.0.0.1", "[::1]"].iter().any(|name| line.contains(name));
    match complaint {
        Complaint::PortInUse => port_in_use(case, of, line),
        Complaint::Refused if is_local => {
            let port = words::port(
                line.split_once("localhost")
                    .or_else(|| line.split_once("127.0.0.1"))
                    .map_or(line, |(_, rest)| rest),
            )?;
            network::unreached(case, of, port, false)
                .map(|unreached| Remedy::new(format!("{}: {}", unreached.text, unreached.remedy.text)))
        }
        Complaint::ReadOnly => Some(Remedy::new(
            "mount an emptyDir where it writes, or take readOnly or readOnlyRootFilesystem away",
        )),
        Complaint::Denied => Some(Remedy::new(
            "see runAsUser, fsGroup and capabilities of its securityContext, and who owns the file",
        )),
        _ => None,
    }
}

/// All containers of a pod share its ports.
pub(super) fn port_in_use(case: &Case<'_>, of: &Container, line: &str) -> Option<Remedy> {
    let port = words::port(line);
    let holder = port
        .and_then(|port| network::holder(case, port))
        .filter(|holder| holder.container.as_ref() != Some(&of.name));
    Some(match (port, holder) {
        (Some(port), Some(holder)) => {
            let whose = holder
                .container
                .as_ref()
                .map_or("another process".to_owned(), |name| format!("container {name}"));
            Remedy::new(format!(
                "{whose} listens on {} already, and containers of a pod share their ports: give {} another port than {port}",
                network::socket(holder),
                of.name
            ))
        }
        _ => Remedy::new(format!(
            "containers of a pod share their ports: give {} one that no other has",
            of.name
        )),
    })
}
