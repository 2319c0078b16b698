//! Probes and hooks.

use super::Type::{List, Nested};
use super::{INT_OR_STRING, INT32, INT64, Object, STRING, STRINGS, inner, not_yet, ok, refused};

pub(crate) static PROBE: Object = Object {
    name: "Probe",
    fields: &[
        ok("exec", Nested(&EXEC_ACTION)),
        not_yet("httpGet", Nested(&HTTP_GET_ACTION), "HTTP handlers"),
        not_yet("tcpSocket", Nested(&TCP_SOCKET_ACTION), "TCP handlers"),
        not_yet("grpc", Nested(&GRPC_ACTION), "gRPC handlers"),
        ok("initialDelaySeconds", INT32),
        ok("timeoutSeconds", INT32),
        ok("periodSeconds", INT32),
        ok("successThreshold", INT32),
        ok("failureThreshold", INT32),
        ok("terminationGracePeriodSeconds", INT64),
    ],
};

pub(crate) static LIFECYCLE: Object = Object {
    name: "Lifecycle",
    fields: &[
        ok("postStart", Nested(&LIFECYCLE_HANDLER)),
        ok("preStop", Nested(&LIFECYCLE_HANDLER)),
        not_yet("stopSignal", STRING, "stop signals from the manifest"),
    ],
};

pub(crate) static LIFECYCLE_HANDLER: Object = Object {
    name: "LifecycleHandler",
    fields: &[
        ok("exec", Nested(&EXEC_ACTION)),
        not_yet("httpGet", Nested(&HTTP_GET_ACTION), "HTTP handlers"),
        refused("tcpSocket", Nested(&TCP_SOCKET_ACTION), "not a hook in Kubernetes either; use exec"),
        not_yet("sleep", Nested(&SLEEP_ACTION), "sleep handlers"),
    ],
};

pub(crate) static EXEC_ACTION: Object = Object { name: "ExecAction", fields: &[ok("command", STRINGS)] };

pub(crate) static HTTP_GET_ACTION: Object = Object {
    name: "HTTPGetAction",
    fields: &[
        inner("path", STRING),
        inner("port", INT_OR_STRING),
        inner("host", STRING),
        inner("scheme", STRING),
        inner("httpHeaders", List(&Nested(&HTTP_HEADER))),
    ],
};

pub(crate) static HTTP_HEADER: Object =
    Object { name: "HTTPHeader", fields: &[inner("name", STRING), inner("value", STRING)] };

pub(crate) static TCP_SOCKET_ACTION: Object =
    Object { name: "TCPSocketAction", fields: &[inner("port", INT_OR_STRING), inner("host", STRING)] };

pub(crate) static GRPC_ACTION: Object =
    Object { name: "GRPCAction", fields: &[inner("port", INT32), inner("service", STRING)] };

pub(crate) static SLEEP_ACTION: Object = Object { name: "SleepAction", fields: &[inner("seconds", INT64)] };
