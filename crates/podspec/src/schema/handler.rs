//! Probes and hooks.

use super::Type::{List, Nested};
use super::{INT_OR_STRING, INT32, INT64, Object, STRING, STRINGS, ok, refused};

pub(crate) static PROBE: Object = Object {
    name: "Probe",
    fields: &[
        ok("exec", Nested(&EXEC_ACTION)),
        ok("httpGet", Nested(&HTTP_GET_ACTION)),
        ok("tcpSocket", Nested(&TCP_SOCKET_ACTION)),
        ok("grpc", Nested(&GRPC_ACTION)),
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
        ok("stopSignal", STRING),
    ],
};

pub(crate) static LIFECYCLE_HANDLER: Object = Object {
    name: "LifecycleHandler",
    fields: &[
        ok("exec", Nested(&EXEC_ACTION)),
        ok("httpGet", Nested(&HTTP_GET_ACTION)),
        refused("tcpSocket", Nested(&TCP_SOCKET_ACTION), "not a hook in Kubernetes either; use exec"),
        ok("sleep", Nested(&SLEEP_ACTION)),
    ],
};

pub(crate) static EXEC_ACTION: Object = Object { name: "ExecAction", fields: &[ok("command", STRINGS)] };

pub(crate) static HTTP_GET_ACTION: Object = Object {
    name: "HTTPGetAction",
    fields: &[
        ok("path", STRING),
        ok("port", INT_OR_STRING),
        ok("host", STRING),
        ok("scheme", STRING),
        ok("httpHeaders", List(&Nested(&HTTP_HEADER))),
    ],
};

pub(crate) static HTTP_HEADER: Object =
    Object { name: "HTTPHeader", fields: &[ok("name", STRING), ok("value", STRING)] };

pub(crate) static TCP_SOCKET_ACTION: Object =
    Object { name: "TCPSocketAction", fields: &[ok("port", INT_OR_STRING), ok("host", STRING)] };

pub(crate) static GRPC_ACTION: Object =
    Object { name: "GRPCAction", fields: &[ok("port", INT32), ok("service", STRING)] };

pub(crate) static SLEEP_ACTION: Object = Object { name: "SleepAction", fields: &[ok("seconds", INT64)] };
