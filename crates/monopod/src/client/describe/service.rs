//! A Service in words.

use podspec::WallTime;
use podspec::json::{integer, list, text, texts};
use serde_json::Value;

use super::{Lines, annotations, events_table, pairs};
use crate::client::tabs;

/// Endpoints that are named; the rest is counted.
const ENDPOINTS_SHOWN_MAX: usize = 3;

pub(super) fn describe(service: &Value, slices: &[Value], events: Option<&[Value]>, now: WallTime) -> String {
    let mut out = Lines::default();
    let (metadata, spec) = (&service["metadata"], &service["spec"]);
    let joined = |name: &str| texts(spec, name).map_or_else(|| "<none>".to_owned(), |texts| texts.join(","));
    out.field(0, "Name", text(metadata, "name"));
    out.field(0, "Namespace", text(metadata, "namespace"));
    out.column("Labels", pairs(&metadata["labels"]));
    annotations(&mut out, &metadata["annotations"]);
    let selector = pairs(&spec["selector"]).join(",");
    out.field(0, "Selector", if selector.is_empty() { "<none>" } else { &selector });
    out.field(0, "Type", text(spec, "type"));
    out.some(0, "IP Family Policy", text(spec, "ipFamilyPolicy"));
    out.field(0, "IP Families", &joined("ipFamilies"));
    out.field(0, "IP", text(spec, "clusterIP"));
    out.field(0, "IPs", &joined("clusterIPs"));
    out.some(0, "Desired LoadBalancer IP", text(spec, "loadBalancerIP"));
    out.some(0, "External Name", text(spec, "externalName"));
    let ingress = list(&service["status"]["loadBalancer"], "ingress").iter();
    let ingress: Vec<&str> = ingress
        .map(|entry| match text(entry, "ip") {
            "" => text(entry, "hostname"),
            ip => ip,
        })
        .collect();
    out.some(0, "LoadBalancer Ingress", &ingress.join(", "));
    for port in list(spec, "ports") {
        describe_port(&mut out, port, slices);
    }
    out.field(0, "Session Affinity", text(spec, "sessionAffinity"));
    out.some(0, "External Traffic Policy", text(spec, "externalTrafficPolicy"));
    out.some(0, "Internal Traffic Policy", text(spec, "internalTrafficPolicy"));
    out.some(0, "Traffic Distribution", text(spec, "trafficDistribution"));
    if let Some(events) = events {
        events_table(&mut out, events, now);
    }
    tabs::align(&out.0)
}

fn describe_port(out: &mut Lines, port: &Value, slices: &[Value]) {
    let (name, protocol) = (text(port, "name"), text(port, "protocol"));
    let shown = if name.is_empty() { "<unset>" } else { name };
    let number = |name: &str| integer(port, name).unwrap_or_default();
    out.field(0, "Port", &format!("{shown}\t{}/{protocol}", number("port")));
    let target = port["targetPort"].as_str().map_or_else(|| number("targetPort").to_string(), str::to_owned);
    out.field(0, "TargetPort", &format!("{target}/{protocol}"));
    out.some(0, "AppProtocol", text(port, "appProtocol"));
    if number("nodePort") != 0 {
        out.field(0, "NodePort", &format!("{shown}\t{}/{protocol}", number("nodePort")));
    }
    out.field(0, "Endpoints", &endpoints(name, slices));
}

/// Those that are ready, with their port of this name.
fn endpoints(name: &str, slices: &[Value]) -> String {
    let mut found = Vec::new();
    for slice in slices {
        let Some(port) = list(slice, "ports").iter().find(|port| text(port, "name") == name) else {
            continue;
        };
        let number = integer(port, "port").unwrap_or_default();
        let ready =
            list(slice, "endpoints").iter().filter(|endpoint| endpoint["conditions"]["ready"] != false);
        for address in ready.flat_map(|endpoint| list(endpoint, "addresses")).filter_map(Value::as_str) {
            let is_ipv6 = address.contains(':');
            found.push(if is_ipv6 { format!("[{address}]:{number}") } else { format!("{address}:{number}") });
        }
    }
    match found.len() {
        0 => String::new(),
        count if count > ENDPOINTS_SHOWN_MAX => {
            let more = count - ENDPOINTS_SHOWN_MAX;
            format!("{} + {more} more...", found[..ENDPOINTS_SHOWN_MAX].join(","))
        }
        _ => found.join(","),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_of_a_service_is_said() {
        let service = json!({
            "metadata": {"name": "web", "namespace": "default", "labels": {"a": "b"}},
            "spec": {
                "type": "NodePort", "selector": {"app": "web"}, "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"],
                "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None",
                "internalTrafficPolicy": "Cluster", "externalTrafficPolicy": "Local",
                "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "web", "nodePort": 30080}],
            },
        });
        let endpoint = |ip: &str, ready: bool| json!({"addresses": [ip], "conditions": {"ready": ready}});
        let slices = [json!({
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": [
                endpoint("10.0.0.1", true), endpoint("10.0.0.2", false), endpoint("fd00::3", true),
                endpoint("10.0.0.4", true), endpoint("10.0.0.5", true),
            ],
        })];
        let said = describe(&service, &slices, Some(&[]), WallTime(0));
        let lines: Vec<&str> = said.lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                "Name:                     web",
                "Namespace:                default",
                "Labels:                   a=b",
                "Annotations:              <none>",
                "Selector:                 app=web",
                "Type:                     NodePort",
                "IP Family Policy:         SingleStack",
                "IP Families:              IPv4",
                "IP:                       10.96.0.9",
                "IPs:                      10.96.0.9",
                "Port:                     http  80/TCP",
                "TargetPort:               web/TCP",
                "NodePort:                 http  30080/TCP",
                "Endpoints:                10.0.0.1:8080,[fd00::3]:8080,10.0.0.4:8080 + 1 more...",
                "Session Affinity:         None",
                "External Traffic Policy:  Local",
                "Internal Traffic Policy:  Cluster",
                "Events:                   <none>",
            ]
        );
        assert!(describe(&json!({}), &[], None, WallTime(0)).starts_with("Name:"));
    }
}
