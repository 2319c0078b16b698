//! The pod itself and what belongs to it as a whole.

use super::Accepted::Empty;
use super::Type::{List, Nested};
use super::container::{CONTAINER, EPHEMERAL_CONTAINER, RESOURCE_REQUIREMENTS};
use super::scheduling::{AFFINITY, TOLERATION, TOPOLOGY_SPREAD_CONSTRAINT};
use super::security::{
    APP_ARMOR_PROFILE, SE_LINUX_CASE, SE_LINUX_OPTIONS, SECCOMP_PROFILE, WINDOWS_SECURITY_CONTEXT_OPTIONS,
};
use super::volume::VOLUME;
use super::{
    ANY, BOOL, INT32, INT64, INT64S, Object, QUANTITIES, STRING, STRING_MAP, STRINGS, TIME, inner, ok, only,
    refused, unread, when,
};

pub(crate) static POD: Object = Object {
    name: "Pod",
    fields: &[
        ok("kind", STRING),
        ok("apiVersion", STRING),
        ok("metadata", Nested(&OBJECT_META)),
        ok("spec", Nested(&POD_SPEC)),
        unread("status", ANY, "the engine makes the status of its own pods"),
    ],
};

pub(crate) static OBJECT_META: Object = Object {
    name: "ObjectMeta",
    fields: &[
        ok("name", STRING),
        ok("generateName", STRING),
        ok("namespace", STRING),
        unread("selfLink", STRING, "set by the server on create, as in Kubernetes"),
        unread("uid", STRING, "every pod gets a uid of its own, as in Kubernetes"),
        unread("resourceVersion", STRING, "set by the server on create, as in Kubernetes"),
        unread("generation", INT64, "set by the server on create, as in Kubernetes"),
        unread("creationTimestamp", TIME, "set by the server on create, as in Kubernetes"),
        unread("deletionTimestamp", TIME, "set by the server on create, as in Kubernetes"),
        unread("deletionGracePeriodSeconds", INT64, "set by the server on create, as in Kubernetes"),
        ok("labels", STRING_MAP),
        ok("annotations", STRING_MAP),
        ok("ownerReferences", List(&Nested(&OWNER_REFERENCE))),
        ok("finalizers", STRINGS),
        unread(
            "managedFields",
            List(&Nested(&MANAGED_FIELDS_ENTRY)),
            "set by the server on create, as in Kubernetes",
        ),
    ],
};

pub(crate) static OWNER_REFERENCE: Object = Object {
    name: "OwnerReference",
    fields: &[
        ok("apiVersion", STRING),
        ok("kind", STRING),
        ok("name", STRING),
        ok("uid", STRING),
        ok("controller", BOOL),
        ok("blockOwnerDeletion", BOOL),
    ],
};

pub(crate) static MANAGED_FIELDS_ENTRY: Object = Object {
    name: "ManagedFieldsEntry",
    fields: &[
        inner("manager", STRING),
        inner("operation", STRING),
        inner("apiVersion", STRING),
        inner("time", TIME),
        inner("fieldsType", STRING),
        inner("fieldsV1", ANY),
        inner("subresource", STRING),
    ],
};

pub(crate) static POD_SPEC: Object = Object {
    name: "PodSpec",
    fields: &[
        ok("volumes", List(&Nested(&VOLUME))),
        ok("initContainers", List(&Nested(&CONTAINER))),
        ok("containers", List(&Nested(&CONTAINER))),
        refused("ephemeralContainers", List(&Nested(&EPHEMERAL_CONTAINER)), "cannot be set on create"),
        ok("restartPolicy", STRING),
        ok("terminationGracePeriodSeconds", INT64),
        ok("activeDeadlineSeconds", INT64),
        ok("dnsPolicy", STRING),
        ok("nodeSelector", STRING_MAP),
        ok("serviceAccountName", STRING),
        ok("serviceAccount", STRING),
        ok("automountServiceAccountToken", BOOL),
        ok("nodeName", STRING),
        ok("hostNetwork", BOOL),
        ok("hostPID", BOOL),
        ok("hostIPC", BOOL),
        ok("shareProcessNamespace", BOOL),
        ok("securityContext", Nested(&POD_SECURITY_CONTEXT)),
        ok("imagePullSecrets", List(&Nested(&LOCAL_OBJECT_REFERENCE))),
        ok("hostname", STRING),
        ok("subdomain", STRING),
        ok("affinity", Nested(&AFFINITY)),
        ok("schedulerName", STRING),
        ok("tolerations", List(&Nested(&TOLERATION))),
        ok("hostAliases", List(&Nested(&HOST_ALIAS))),
        ok("priorityClassName", STRING),
        ok("priority", INT32),
        ok("dnsConfig", Nested(&POD_DNS_CONFIG)),
        ok("readinessGates", List(&Nested(&POD_READINESS_GATE))),
        ok("runtimeClassName", STRING),
        ok("enableServiceLinks", BOOL),
        ok("preemptionPolicy", STRING),
        when("overhead", QUANTITIES, "for cpu and memory; not yet: other resources"),
        ok("topologySpreadConstraints", List(&Nested(&TOPOLOGY_SPREAD_CONSTRAINT))),
        ok("setHostnameAsFQDN", BOOL),
        ok("os", Nested(&POD_OS)),
        ok("hostUsers", BOOL),
        ok("schedulingGates", List(&Nested(&POD_SCHEDULING_GATE))),
        ok("resourceClaims", List(&Nested(&POD_RESOURCE_CLAIM))),
        ok("resources", Nested(&RESOURCE_REQUIREMENTS)),
        ok("hostnameOverride", STRING),
        only("schedulingGroup", Nested(&POD_SCHEDULING_GROUP), &[Empty], "pod groups"),
    ],
};

pub(crate) static POD_SECURITY_CONTEXT: Object = Object {
    name: "PodSecurityContext",
    fields: &[
        when("seLinuxOptions", Nested(&SE_LINUX_OPTIONS), SE_LINUX_CASE),
        unread(
            "windowsOptions",
            Nested(&WINDOWS_SECURITY_CONTEXT_OPTIONS),
            "it is about containers of Windows; a pod whose `os.name` is `linux` may not have it",
        ),
        ok("runAsUser", INT64),
        ok("runAsGroup", INT64),
        ok("runAsNonRoot", BOOL),
        ok("supplementalGroups", INT64S),
        ok("supplementalGroupsPolicy", STRING),
        ok("fsGroup", INT64),
        ok("sysctls", List(&Nested(&SYSCTL))),
        ok("fsGroupChangePolicy", STRING),
        ok("seccompProfile", Nested(&SECCOMP_PROFILE)),
        ok("appArmorProfile", Nested(&APP_ARMOR_PROFILE)),
        unread("seLinuxChangePolicy", STRING, "it is about labels, and where there are any the pod fails"),
    ],
};

pub(crate) static SYSCTL: Object =
    Object { name: "Sysctl", fields: &[ok("name", STRING), ok("value", STRING)] };

pub(crate) static HOST_ALIAS: Object =
    Object { name: "HostAlias", fields: &[ok("ip", STRING), ok("hostnames", STRINGS)] };

pub(crate) static POD_OS: Object = Object { name: "PodOS", fields: &[ok("name", STRING)] };

pub(crate) static LOCAL_OBJECT_REFERENCE: Object =
    Object { name: "LocalObjectReference", fields: &[ok("name", STRING)] };

pub(crate) static POD_DNS_CONFIG: Object = Object {
    name: "PodDNSConfig",
    fields: &[
        ok("nameservers", STRINGS),
        ok("searches", STRINGS),
        ok("options", List(&Nested(&POD_DNS_CONFIG_OPTION))),
    ],
};

pub(crate) static POD_DNS_CONFIG_OPTION: Object =
    Object { name: "PodDNSConfigOption", fields: &[ok("name", STRING), ok("value", STRING)] };

pub(crate) static POD_READINESS_GATE: Object =
    Object { name: "PodReadinessGate", fields: &[ok("conditionType", STRING)] };

pub(crate) static POD_SCHEDULING_GATE: Object =
    Object { name: "PodSchedulingGate", fields: &[ok("name", STRING)] };

pub(crate) static POD_RESOURCE_CLAIM: Object = Object {
    name: "PodResourceClaim",
    fields: &[ok("name", STRING), ok("resourceClaimName", STRING), ok("resourceClaimTemplateName", STRING)],
};

pub(crate) static POD_SCHEDULING_GROUP: Object =
    Object { name: "PodSchedulingGroup", fields: &[inner("podGroupName", STRING)] };
