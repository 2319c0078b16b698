//! Protobuf bodies, written here by hand.

use api_schema::protobuf::{DecodeError, Fault, decode, is_protobuf};
use api_schema::{Schema, check};
use serde_json::{Value, json};

/// A message under construction.
#[derive(Clone, Default)]
struct Wire(Vec<u8>);

impl Wire {
    fn varint(mut self, mut number: u64) -> Self {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
        self
    }

    fn tag(self, number: u64, wire_type: u64) -> Self {
        self.varint(number << 3 | wire_type)
    }

    fn number(self, number: u64, value: i64) -> Self {
        self.tag(number, 0).varint(value.cast_unsigned())
    }

    fn bytes(self, number: u64, bytes: &[u8]) -> Self {
        let mut wire = self.tag(number, 2).varint(bytes.len() as u64);
        wire.0.extend_from_slice(bytes);
        wire
    }

    fn text(self, number: u64, text: &str) -> Self {
        self.bytes(number, text.as_bytes())
    }

    #[expect(clippy::needless_pass_by_value, reason = "messages are built in place")]
    fn message(self, number: u64, inner: Wire) -> Self {
        self.bytes(number, &inner.0)
    }

    fn entry(self, number: u64, key: &str, value: &str) -> Self {
        self.message(number, wire().text(1, key).text(2, value))
    }
}

fn wire() -> Wire {
    Wire::default()
}

fn body(api_version: &str, kind: &str, object: Wire) -> Vec<u8> {
    let unknown = wire()
        .message(1, wire().text(1, api_version).text(2, kind))
        .message(2, object)
        .text(3, "")
        .text(4, "");
    [b"k8s\0", &unknown.0[..]].concat()
}

fn quantity(text: &str) -> Wire {
    wire().text(1, text)
}

/// As Go's encoder writes them: what is no pointer is there with its zero.
fn pod() -> Wire {
    let probe = wire()
        .message(
            1,
            wire().message(1, wire().text(1, "true")).message(3, wire().message(1, port("http")).text(2, "")),
        )
        .number(2, 0)
        .number(7, 0);
    let resources = wire().message(1, wire().text(1, "cpu").message(2, quantity("500m")));
    let container = wire()
        .text(1, "c")
        .text(2, "")
        .text(3, "sh")
        .text(3, "")
        .message(6, wire().text(1, "").number(2, 0).number(3, 80).text(4, "TCP"))
        .message(7, wire().text(1, "A").text(2, ""))
        .message(8, resources)
        .message(10, probe)
        .message(15, wire().number(2, 0).number(4, -1).number(5, 1))
        .number(16, 0)
        .text(24, "Always");
    let volume = wire().text(1, "v").message(2, wire().message(2, wire().text(1, "")));
    let spec = wire()
        .message(1, volume)
        .message(2, container)
        .number(4, 0)
        .entry(7, "disk", "")
        .number(11, 0)
        .message(14, wire())
        .number(2_000, 7);
    let metadata = wire()
        .text(1, "p")
        .text(2, "")
        .message(8, wire())
        .entry(11, "a", "b")
        .entry(11, "c", "")
        .message(9, wire().number(1, 86_400).number(2, 5));
    wire().message(1, metadata).message(2, spec).message(3, wire().message(2, wire()).text(1, ""))
}

fn port(name: &str) -> Wire {
    wire().number(1, 1).number(2, 0).text(3, name)
}

#[test]
fn a_pod_is_as_its_json() {
    let expected = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "labels": {"a": "b", "c": ""}, "deletionTimestamp": "1970-01-02T00:00:00Z"},
        "spec": {
            "volumes": [{"name": "v", "emptyDir": {}}],
            "containers": [{
                "name": "c",
                "command": ["sh", ""],
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "env": [{"name": "A"}],
                "resources": {"limits": {"cpu": "500m"}},
                "livenessProbe": {
                    "exec": {"command": ["true"]},
                    "tcpSocket": {"port": "http"},
                    "terminationGracePeriodSeconds": 0,
                },
                "securityContext": {"privileged": false, "runAsUser": -1, "runAsNonRoot": true},
                "restartPolicy": "Always",
            }],
            "terminationGracePeriodSeconds": 0,
            "nodeSelector": {"disk": ""},
            "securityContext": {},
        },
        "status": {"conditions": [{}]},
    });
    let mut decoded = decode(&body("v1", "Pod", pod())).unwrap();
    assert_eq!(decoded, expected);
    assert!(check(Schema::get().kind("", "v1", "Pod").unwrap(), &mut decoded).is_empty());
}

#[test]
fn every_shape_is_decoded() {
    let secret =
        wire().message(2, wire().text(1, "k").bytes(2, &[0, 1, 0xff])).number(5, 0).text(3, "Opaque");
    let lease =
        wire().message(2, wire().text(1, "h").number(2, 40).message(4, wire().number(1, 1).number(2, 1_500)));
    let service = wire().message(
        2,
        wire()
            .message(
                1,
                wire()
                    .text(1, "")
                    .text(2, "TCP")
                    .number(3, 80)
                    .message(4, wire().number(1, 0).number(2, 8080)),
            )
            .message(1, wire().number(3, 81).message(4, wire().number(1, 0).number(2, 0)))
            .message(14, wire().message(1, wire().number(1, 10))),
    );
    let revision = wire().message(2, wire().text(1, r#"{"spec":{"a":[1]}}"#)).number(3, 7);
    let review = wire().message(
        2,
        wire()
            .message(5, wire().text(1, "scopes").message(2, wire().text(1, "a").text(1, "b")))
            .text(3, "jane"),
    );
    let sysctls = wire().message(2, wire().message(14, wire().number(4, 5).number(4, -1).bytes(4, &[6, 7])));
    let managed =
        wire().message(1, wire().message(17, wire().message(7, wire().text(1, r#"{"f:spec":{}}"#))));
    let ephemeral = wire()
        .message(2, wire().message(34, wire().message(1, wire().text(1, "d").text(2, "i")).text(2, "c")));
    let cases = [
        ("v1", "Secret", secret, json!({"data": {"k": "AAH/"}, "immutable": false, "type": "Opaque"})),
        (
            "coordination.k8s.io/v1",
            "Lease",
            lease,
            json!({"spec": {"holderIdentity": "h", "leaseDurationSeconds": 40, "renewTime": "1970-01-01T00:00:01.000001Z"}}),
        ),
        (
            "v1",
            "Service",
            service,
            json!({"spec": {
                "ports": [{"protocol": "TCP", "port": 80, "targetPort": 8080}, {"port": 81}],
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10}},
            }}),
        ),
        ("apps/v1", "ControllerRevision", revision, json!({"data": {"spec": {"a": [1]}}, "revision": 7})),
        (
            "authorization.k8s.io/v1",
            "SubjectAccessReview",
            review,
            json!({"spec": {"extra": {"scopes": ["a", "b"]}, "user": "jane"}}),
        ),
        ("v1", "Pod", sysctls, json!({"spec": {"securityContext": {"supplementalGroups": [5, -1, 6, 7]}}})),
        ("v1", "Pod", managed, json!({"metadata": {"managedFields": [{"fieldsV1": {"f:spec": {}}}]}})),
        (
            "v1",
            "Pod",
            ephemeral,
            json!({"spec": {"ephemeralContainers": [{"name": "d", "image": "i", "targetContainerName": "c"}]}}),
        ),
        (
            "policy/v1",
            "DeleteOptions",
            wire().number(1, 0).message(2, wire().text(1, "u")).text(4, "Background"),
            json!({"gracePeriodSeconds": 0, "preconditions": {"uid": "u"}, "propagationPolicy": "Background"}),
        ),
    ];
    for (api_version, kind, object, mut expected) in cases {
        expected["apiVersion"] = Value::from(api_version);
        expected["kind"] = Value::from(kind);
        assert_eq!(decode(&body(api_version, kind, object)).unwrap(), expected, "{kind}");
    }
}

#[test]
fn says_what_cannot_be_decoded() {
    let field = |ty, field, fault| DecodeError::Field { ty, field, fault };
    let metadata = |inner| body("v1", "Pod", wire().message(1, inner));
    let cases = [
        (b"{}".to_vec(), DecodeError::Magic),
        (b"k8s\0\x0a\x05".to_vec(), DecodeError::Envelope(Fault::Truncated)),
        (b"k8s\0".to_vec(), DecodeError::UnknownKind { api_version: String::new(), kind: String::new() }),
        (
            body("v1", "PodSpec", wire()),
            DecodeError::UnknownKind { api_version: "v1".into(), kind: "PodSpec".into() },
        ),
        (metadata(wire().number(1, 1)), field("ObjectMeta", "name", Fault::WireType)),
        (metadata(wire().bytes(1, b"\xff")), field("ObjectMeta", "name", Fault::Utf8)),
        (metadata(wire().text(7, "1")), field("ObjectMeta", "generation", Fault::WireType)),
        (
            metadata(wire().message(8, wire().number(1, i64::MAX))),
            field("ObjectMeta", "creationTimestamp", Fault::Time),
        ),
        (metadata(wire().tag(1, 3)), DecodeError::Message { ty: "ObjectMeta", fault: Fault::Tag }),
        (metadata(wire().tag(0, 0).varint(1)), DecodeError::Message { ty: "ObjectMeta", fault: Fault::Tag }),
        (
            metadata(Wire(vec![0x38, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])),
            DecodeError::Message { ty: "ObjectMeta", fault: Fault::Varint },
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(decode(&bytes).unwrap_err(), expected);
    }
    let zipped = wire().message(1, wire().text(1, "v1").text(2, "Pod")).text(3, "gzip");
    let zipped = [b"k8s\0", &zipped.0[..]].concat();
    assert_eq!(decode(&zipped).unwrap_err(), DecodeError::ContentEncoding("gzip".into()));
    assert!(is_protobuf(&zipped) && !is_protobuf(b"k8s"));
}

#[test]
fn a_body_may_carry_json() {
    let unknown = wire().text(2, r#"{"kind":"Pod"}"#).text(4, "application/json");
    let body = [b"k8s\0", &unknown.0[..]].concat();
    assert_eq!(decode(&body).unwrap(), json!({"kind": "Pod"}));
}

/// Truncated at every byte, and with bytes changed at random: an error or an object, never a panic.
#[test]
fn hostile_bytes_are_refused() {
    let good = body("v1", "Pod", pod());
    for end in 0..good.len() {
        drop(decode(&good[..end]));
    }
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 16).unwrap_or(0)
    };
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..1 + next() % 4 {
            let at = 4 + next() % (bytes.len() - 4);
            bytes[at] = next().to_le_bytes()[0];
        }
        drop(decode(&bytes));
    }
    for _ in 0..20_000 {
        let noise: Vec<u8> = (0..next() % 64).map(|_| next().to_le_bytes()[0]).collect();
        drop(decode(&body("v1", "Pod", Wire(noise))));
    }
}
