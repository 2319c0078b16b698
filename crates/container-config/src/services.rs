//! Variables that say where Services are
//! (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>).

use podspec::{Pod, PortProtocol};

use crate::environment::Variable;

/// The Service that every pod is told of: the API.
const API: (&str, &str) = ("default", "kubernetes");

/// A Service with an address of its own, as variables speak of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceAddress {
    pub namespace: String,
    pub name: String,
    /// The first of its cluster IPs.
    pub address: String,
    /// In the order of the Service.
    pub ports: Vec<NamedPort>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedPort {
    /// May be empty.
    pub name: String,
    pub protocol: PortProtocol,
    pub port: u16,
}

/// Those of the Services that a pod is told of: the API always, and those of its namespace with `enableServiceLinks`.
/// One of the namespace that is called as the API is hides it.
pub(crate) fn variables(pod: &Pod, services: &[ServiceAddress]) -> Vec<Variable> {
    let is_own = |service: &&ServiceAddress| service.namespace == pod.namespace && pod.spec.service_links;
    let is_api = |service: &&ServiceAddress| (service.namespace.as_str(), service.name.as_str()) == API;
    let hides = |service: &ServiceAddress| service.name == API.1;
    let is_hidden = services.iter().any(|service| is_own(&service) && hides(service));
    let told = services.iter().filter(|service| is_own(service) || is_api(service) && !is_hidden);
    told.flat_map(of_service).collect()
}

fn of_service(service: &ServiceAddress) -> Vec<Variable> {
    let Some(first) = service.ports.first() else { return Vec::new() };
    let name = in_capitals(&service.name);
    let mut variables = Vec::new();
    let mut set = |suffix: String, value: String| {
        variables.push(Variable { name: format!("{name}_{suffix}"), value });
    };
    set("SERVICE_HOST".to_owned(), service.address.clone());
    set("SERVICE_PORT".to_owned(), first.port.to_string());
    for port in service.ports.iter().filter(|port| !port.name.is_empty()) {
        set(format!("SERVICE_PORT_{}", in_capitals(&port.name)), port.port.to_string());
    }
    // An address of IPv6 has colons itself.
    let host = if service.address.contains(':') {
        format!("[{}]", service.address)
    } else {
        service.address.clone()
    };
    // As links between containers of Docker were written.
    for (index, port) in service.ports.iter().enumerate() {
        let protocol = protocol(port.protocol);
        let url = format!("{protocol}://{host}:{}", port.port);
        if index == 0 {
            set("PORT".to_owned(), url.clone());
        }
        let prefix = format!("PORT_{}_{}", port.port, protocol.to_ascii_uppercase());
        set(prefix.clone(), url);
        set(format!("{prefix}_PROTO"), protocol.to_owned());
        set(format!("{prefix}_PORT"), port.port.to_string());
        set(format!("{prefix}_ADDR"), service.address.clone());
    }
    variables
}

fn protocol(protocol: PortProtocol) -> &'static str {
    match protocol {
        PortProtocol::Tcp => "tcp",
        PortProtocol::Udp => "udp",
        PortProtocol::Sctp => "sctp",
    }
}

fn in_capitals(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{container, facts, image, node, pod};

    fn service(
        namespace: &str,
        name: &str,
        address: &str,
        ports: &[(&str, PortProtocol, u16)],
    ) -> ServiceAddress {
        let port = |(name, protocol, port): &(&str, PortProtocol, u16)| NamedPort {
            name: (*name).to_owned(),
            protocol: *protocol,
            port: *port,
        };
        ServiceAddress {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            address: address.to_owned(),
            ports: ports.iter().map(port).collect(),
        }
    }

    fn api() -> ServiceAddress {
        service("default", "kubernetes", "10.96.0.1", &[("https", PortProtocol::Tcp, 443)])
    }

    fn names(namespace: &str, links: bool, services: &[ServiceAddress]) -> Vec<String> {
        let mut pod = pod(vec![container("c")]);
        namespace.clone_into(&mut pod.namespace);
        pod.spec.service_links = links;
        let hosts = variables(&pod, services).into_iter().filter(|v| v.name.ends_with("_SERVICE_HOST"));
        hosts.map(|variable| format!("{}={}", variable.name, variable.value)).collect()
    }

    #[test]
    fn variables_of_one() {
        let redis = service(
            "a",
            "redis-primary",
            "10.0.0.11",
            &[("client-port", PortProtocol::Tcp, 6379), ("", PortProtocol::Udp, 53)],
        );
        let found: Vec<String> = of_service(&redis)
            .iter()
            .map(|variable| format!("{}={}", variable.name, variable.value))
            .collect();
        assert_eq!(
            found,
            [
                "REDIS_PRIMARY_SERVICE_HOST=10.0.0.11",
                "REDIS_PRIMARY_SERVICE_PORT=6379",
                "REDIS_PRIMARY_SERVICE_PORT_CLIENT_PORT=6379",
                "REDIS_PRIMARY_PORT=tcp://10.0.0.11:6379",
                "REDIS_PRIMARY_PORT_6379_TCP=tcp://10.0.0.11:6379",
                "REDIS_PRIMARY_PORT_6379_TCP_PROTO=tcp",
                "REDIS_PRIMARY_PORT_6379_TCP_PORT=6379",
                "REDIS_PRIMARY_PORT_6379_TCP_ADDR=10.0.0.11",
                "REDIS_PRIMARY_PORT_53_UDP=udp://10.0.0.11:53",
                "REDIS_PRIMARY_PORT_53_UDP_PROTO=udp",
                "REDIS_PRIMARY_PORT_53_UDP_PORT=53",
                "REDIS_PRIMARY_PORT_53_UDP_ADDR=10.0.0.11",
            ]
        );
        let six = of_service(&service("a", "s", "fd00::1", &[("", PortProtocol::Tcp, 80)]));
        assert_eq!((six[0].value.as_str(), six[2].value.as_str()), ("fd00::1", "tcp://[fd00::1]:80"));
    }

    #[test]
    fn a_pod_is_told_of_its_namespace_and_of_the_api() {
        let all = [
            service("a", "db", "10.0.0.2", &[("", PortProtocol::Tcp, 5432)]),
            service("b", "other", "10.0.0.3", &[("", PortProtocol::Tcp, 1)]),
            api(),
        ];
        let (db, kubernetes) = ("DB_SERVICE_HOST=10.0.0.2", "KUBERNETES_SERVICE_HOST=10.96.0.1");
        assert_eq!(names("a", true, &all), [db, kubernetes]);
        assert_eq!(names("a", false, &all), [kubernetes]);
        assert_eq!(names("default", true, &all), [kubernetes]);
        assert_eq!(names("default", false, &all), [kubernetes]);
        let own = service("a", "kubernetes", "10.0.0.9", &[("", PortProtocol::Tcp, 1)]);
        assert_eq!(names("a", true, &[own.clone(), api()]), ["KUBERNETES_SERVICE_HOST=10.0.0.9"]);
        assert_eq!(names("a", false, &[own, api()]), [kubernetes]);
    }

    #[test]
    fn a_container_can_name_them_and_take_their_place() {
        let mut own = container("c");
        let value = |name: &str, value: &str| podspec::EnvVar {
            name: name.to_owned(),
            source: podspec::EnvSource::Value(value.to_owned()),
        };
        own.env = vec![
            value("URL", "https://$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)"),
            value("KUBERNETES_PORT", "mine"),
        ];
        let pod = pod(vec![own.clone()]);
        let mut objects = crate::Objects::default();
        objects.set_services(vec![api()]);
        let images = crate::VolumeImages::new();
        let config =
            crate::container_config(&pod, &own, &image(), &facts(), &node(), &objects, &images).unwrap();
        let has = |entry: &str| config.process.env.iter().filter(|held| *held == entry).count();
        assert_eq!(has("URL=https://10.96.0.1:443"), 1);
        assert_eq!(has("KUBERNETES_PORT=mine"), 1);
        assert_eq!(has("KUBERNETES_SERVICE_PORT_HTTPS=443"), 1);
        assert!(!config.process.env.iter().any(|held| held.starts_with("KUBERNETES_PORT=tcp")));
    }
}
