//! What well-known images run when the manifest gives no command.

/// Programs that go on until they are stopped, by the last part of their images' names.
const LASTING: [&str; 61] = [
    "alertmanager",
    "alloy",
    "apisix",
    "blackbox-exporter",
    "caddy",
    "cadvisor",
    "cassandra",
    "cloud-sql-proxy",
    "cloudflared",
    "collectd",
    "consul",
    "couchdb",
    "elasticsearch",
    "envoy",
    "etcd",
    "filebeat",
    "fluent-bit",
    "fluentd",
    "gce-proxy",
    "grafana",
    "grafana-agent",
    "haproxy",
    "httpd",
    "influxdb",
    "jaeger-agent",
    "kibana",
    "kong",
    "logstash",
    "loki",
    "mariadb",
    "memcached",
    "metricbeat",
    "minio",
    "mongo",
    "mosquitto",
    "mysql",
    "mysqld-exporter",
    "nats",
    "nginx",
    "nginx-prometheus-exporter",
    "node-exporter",
    "oauth2-proxy",
    "opentelemetry-collector",
    "opentelemetry-collector-contrib",
    "otelcol",
    "pgbouncer",
    "postgres",
    "postgres-exporter",
    "prometheus",
    "promtail",
    "rabbitmq",
    "redis",
    "redis-exporter",
    "redis_exporter",
    "registry",
    "statsd-exporter",
    "telegraf",
    "tomcat",
    "traefik",
    "vector",
    "zookeeper",
];

/// Those that are there to take files of others away.
const LOG_SHIPPERS: [&str; 8] =
    ["alloy", "filebeat", "fluent-bit", "fluentd", "grafana-agent", "logstash", "promtail", "vector"];

/// The program of an image's name: `docker.elastic.co/beats/filebeat:8.1` is filebeat.
pub(crate) fn program(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or("");
    let last = name.rsplit('/').next().unwrap_or("");
    last.split(':').next().unwrap_or("")
}

/// The well-known program that does not end by itself, if the image is of one.
pub(crate) fn lasting(image: &str) -> Option<&'static str> {
    known(image, &LASTING)
}

pub(crate) fn log_shipper(image: &str) -> Option<&'static str> {
    known(image, &LOG_SHIPPERS)
}

fn known(image: &str, names: &[&'static str]) -> Option<&'static str> {
    let name = program(image);
    names.iter().find(|known| **known == name).copied()
}
