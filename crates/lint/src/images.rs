//! What well-known images run when the manifest gives no command.

/// Programs that go on until they are stopped, by the last part of their images' names.
const LASTING: [&str; 59] = [
    "alertmanager",
    "alloy",
    "apisix",
    "blackbox-exporter",
    "caddy",
    "cadvisor",
    "cassandra",
    "cloud-sql-proxy",
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

/// Those that are more often what a pod is for than there to help another container.
const OFTEN_MAIN: [&str; 4] = ["caddy", "httpd", "nginx", "tomcat"];

/// Where they listen when nothing else is said.
const PORTS: [(&str, &[u16]); 30] = [
    ("caddy", &[80, 443, 2019]),
    ("cassandra", &[9042]),
    ("cloud-sql-proxy", &[1433, 3306, 5432, 9090, 9801]),
    ("collectd", &[25826]),
    ("consul", &[8500, 8600]),
    ("daprd", &[3500, 9090, 50001]),
    ("elasticsearch", &[9200, 9300]),
    ("envoy", &[9901, 10000]),
    ("etcd", &[2379, 2380]),
    ("fluent-bit", &[2020, 24224]),
    ("fluentd", &[24224, 24231]),
    ("gce-proxy", &[3306, 5432]),
    ("grafana-agent", &[12345]),
    ("httpd", &[80]),
    ("influxdb", &[8086]),
    ("jaeger-agent", &[5775, 5778, 6831, 6832, 14271]),
    ("mariadb", &[3306]),
    ("memcached", &[11211]),
    ("mongo", &[27017]),
    ("mysql", &[3306]),
    ("nats", &[4222, 8222]),
    ("nginx", &[80]),
    ("opentelemetry-collector", &[4317, 4318, 8888, 13133]),
    ("opentelemetry-collector-contrib", &[4317, 4318, 8888, 13133]),
    ("pgbouncer", &[5432, 6432]),
    ("php", &[9000]),
    ("postgres", &[5432]),
    ("rabbitmq", &[5672, 15672, 15692]),
    ("redis", &[6379]),
    ("vault", &[8100, 8200]),
];

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

/// The ports an image of this name usually listens on.
pub(crate) fn ports(image: &str) -> &'static [u16] {
    let name = program(image);
    PORTS.iter().find(|(known, _)| *known == name).map_or(&[], |(_, ports)| *ports)
}

/// Something else in the pod may be there to help this one.
pub(crate) fn is_often_main(image: &str) -> bool {
    OFTEN_MAIN.contains(&program(image))
}

fn known(image: &str, names: &[&'static str]) -> Option<&'static str> {
    let name = program(image);
    names.iter().find(|known| **known == name).copied()
}
