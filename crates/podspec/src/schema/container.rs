//! Containers.

use super::Type::{List, Nested};
use super::handler::{LIFECYCLE, PROBE};
use super::security::SECURITY_CONTEXT;
use super::{BOOL, INT32, INT32S, Object, QUANTITIES, QUANTITY, STRING, STRINGS, inner, not_yet, ok, when};

pub(crate) static CONTAINER: Object = Object {
    name: "Container",
    fields: &[
        ok("name", STRING),
        ok("image", STRING),
        ok("command", STRINGS),
        ok("args", STRINGS),
        ok("workingDir", STRING),
        ok("ports", List(&Nested(&CONTAINER_PORT))),
        ok("envFrom", List(&Nested(&ENV_FROM_SOURCE))),
        ok("env", List(&Nested(&ENV_VAR))),
        ok("resources", Nested(&RESOURCE_REQUIREMENTS)),
        ok("resizePolicy", List(&Nested(&CONTAINER_RESIZE_POLICY))),
        ok("restartPolicy", STRING),
        ok("restartPolicyRules", List(&Nested(&CONTAINER_RESTART_RULE))),
        ok("volumeMounts", List(&Nested(&VOLUME_MOUNT))),
        not_yet("volumeDevices", List(&Nested(&VOLUME_DEVICE)), "block volumes"),
        ok("livenessProbe", Nested(&PROBE)),
        ok("readinessProbe", Nested(&PROBE)),
        ok("startupProbe", Nested(&PROBE)),
        ok("lifecycle", Nested(&LIFECYCLE)),
        ok("terminationMessagePath", STRING),
        ok("terminationMessagePolicy", STRING),
        ok("imagePullPolicy", STRING),
        ok("securityContext", Nested(&SECURITY_CONTEXT)),
        ok("stdin", BOOL),
        ok("stdinOnce", BOOL),
        ok("tty", BOOL),
    ],
};

pub(crate) static EPHEMERAL_CONTAINER: Object = Object {
    name: "EphemeralContainer",
    fields: &[
        inner("name", STRING),
        inner("image", STRING),
        inner("command", STRINGS),
        inner("args", STRINGS),
        inner("workingDir", STRING),
        inner("ports", List(&Nested(&CONTAINER_PORT))),
        inner("envFrom", List(&Nested(&ENV_FROM_SOURCE))),
        inner("env", List(&Nested(&ENV_VAR))),
        inner("resources", Nested(&RESOURCE_REQUIREMENTS)),
        inner("resizePolicy", List(&Nested(&CONTAINER_RESIZE_POLICY))),
        inner("restartPolicy", STRING),
        inner("restartPolicyRules", List(&Nested(&CONTAINER_RESTART_RULE))),
        inner("volumeMounts", List(&Nested(&VOLUME_MOUNT))),
        inner("volumeDevices", List(&Nested(&VOLUME_DEVICE))),
        inner("livenessProbe", Nested(&PROBE)),
        inner("readinessProbe", Nested(&PROBE)),
        inner("startupProbe", Nested(&PROBE)),
        inner("lifecycle", Nested(&LIFECYCLE)),
        inner("terminationMessagePath", STRING),
        inner("terminationMessagePolicy", STRING),
        inner("imagePullPolicy", STRING),
        inner("securityContext", Nested(&SECURITY_CONTEXT)),
        inner("stdin", BOOL),
        inner("stdinOnce", BOOL),
        inner("tty", BOOL),
        inner("targetContainerName", STRING),
    ],
};

pub(crate) static CONTAINER_PORT: Object = Object {
    name: "ContainerPort",
    fields: &[
        ok("name", STRING),
        ok("hostPort", INT32),
        ok("containerPort", INT32),
        ok("protocol", STRING),
        ok("hostIP", STRING),
    ],
};

pub(crate) static ENV_VAR: Object = Object {
    name: "EnvVar",
    fields: &[ok("name", STRING), ok("value", STRING), ok("valueFrom", Nested(&ENV_VAR_SOURCE))],
};

pub(crate) static ENV_VAR_SOURCE: Object = Object {
    name: "EnvVarSource",
    fields: &[
        ok("fieldRef", Nested(&OBJECT_FIELD_SELECTOR)),
        ok("resourceFieldRef", Nested(&RESOURCE_FIELD_SELECTOR)),
        ok("configMapKeyRef", Nested(&CONFIG_MAP_KEY_SELECTOR)),
        ok("secretKeyRef", Nested(&SECRET_KEY_SELECTOR)),
        ok("fileKeyRef", Nested(&FILE_KEY_SELECTOR)),
    ],
};

pub(crate) static OBJECT_FIELD_SELECTOR: Object =
    Object { name: "ObjectFieldSelector", fields: &[ok("apiVersion", STRING), ok("fieldPath", STRING)] };

pub(crate) static RESOURCE_FIELD_SELECTOR: Object = Object {
    name: "ResourceFieldSelector",
    fields: &[ok("containerName", STRING), ok("resource", STRING), ok("divisor", QUANTITY)],
};

pub(crate) static CONFIG_MAP_KEY_SELECTOR: Object = Object {
    name: "ConfigMapKeySelector",
    fields: &[ok("name", STRING), ok("key", STRING), ok("optional", BOOL)],
};

pub(crate) static SECRET_KEY_SELECTOR: Object = Object {
    name: "SecretKeySelector",
    fields: &[ok("name", STRING), ok("key", STRING), ok("optional", BOOL)],
};

pub(crate) static FILE_KEY_SELECTOR: Object = Object {
    name: "FileKeySelector",
    fields: &[ok("volumeName", STRING), ok("path", STRING), ok("key", STRING), ok("optional", BOOL)],
};

pub(crate) static ENV_FROM_SOURCE: Object = Object {
    name: "EnvFromSource",
    fields: &[
        ok("prefix", STRING),
        ok("configMapRef", Nested(&CONFIG_MAP_ENV_SOURCE)),
        ok("secretRef", Nested(&SECRET_ENV_SOURCE)),
    ],
};

pub(crate) static CONFIG_MAP_ENV_SOURCE: Object =
    Object { name: "ConfigMapEnvSource", fields: &[ok("name", STRING), ok("optional", BOOL)] };

pub(crate) static SECRET_ENV_SOURCE: Object =
    Object { name: "SecretEnvSource", fields: &[ok("name", STRING), ok("optional", BOOL)] };

pub(crate) static RESOURCE_REQUIREMENTS: Object = Object {
    name: "ResourceRequirements",
    fields: &[
        when("limits", QUANTITIES, "for all but huge pages (not yet)"),
        when("requests", QUANTITIES, "for all but huge pages (not yet)"),
        when(
            "claims",
            List(&Nested(&RESOURCE_CLAIM)),
            "for containers; forbidden for a pod, as in Kubernetes",
        ),
    ],
};

pub(crate) static RESOURCE_CLAIM: Object =
    Object { name: "ResourceClaim", fields: &[ok("name", STRING), ok("request", STRING)] };

pub(crate) static CONTAINER_RESIZE_POLICY: Object = Object {
    name: "ContainerResizePolicy",
    fields: &[ok("resourceName", STRING), ok("restartPolicy", STRING)],
};

pub(crate) static CONTAINER_RESTART_RULE: Object = Object {
    name: "ContainerRestartRule",
    fields: &[ok("action", STRING), ok("exitCodes", Nested(&CONTAINER_RESTART_RULE_ON_EXIT_CODES))],
};

pub(crate) static CONTAINER_RESTART_RULE_ON_EXIT_CODES: Object = Object {
    name: "ContainerRestartRuleOnExitCodes",
    fields: &[ok("operator", STRING), ok("values", INT32S)],
};

pub(crate) static VOLUME_MOUNT: Object = Object {
    name: "VolumeMount",
    fields: &[
        ok("name", STRING),
        ok("readOnly", BOOL),
        ok("recursiveReadOnly", STRING),
        ok("mountPath", STRING),
        ok("subPath", STRING),
        when(
            "mountPropagation",
            STRING,
            "with `None` and `HostToContainer`; with `Bidirectional` for `emptyDir` volumes of pods with the host's users",
        ),
        ok("subPathExpr", STRING),
    ],
};

pub(crate) static VOLUME_DEVICE: Object =
    Object { name: "VolumeDevice", fields: &[inner("name", STRING), inner("devicePath", STRING)] };
