//! The pod itself and what belongs to it as a whole.

use super::Accepted::{Empty, Flag, Text};
use super::Type::{List, Nested};
use super::container::{CONTAINER, EPHEMERAL_CONTAINER, RESOURCE_REQUIREMENTS};
use super::scheduling::{AFFINITY, TOLERATION, TOPOLOGY_SPREAD_CONSTRAINT};
use super::security::{
    APP_ARMOR_PROFILE, SE_LINUX_OPTIONS, SECCOMP_PROFILE, WINDOWS_SECURITY_CONTEXT_OPTIONS,
};
use super::volume::VOLUME;
use super::{
    ANY, BOOL, INT32, INT64, INT64S, Object, QUANTITIES, STRING, STRING_MAP, STRINGS, TIME, inner, not_yet,
    ok, only, refused, unread,
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
        only("dnsPolicy", STRING, &[Text("ClusterFirst")], "other DNS policies"),
        ok("nodeSelector", STRING_MAP),
        ok("serviceAccountName", STRING),
        ok("serviceAccount", STRING),
        ok("automountServiceAccountToken", BOOL),
        ok("nodeName", STRING),
        ok("hostNetwork", BOOL),
        only("hostPID", BOOL, &[Flag(false)], "the host's process namespace"),
        only("hostIPC", BOOL, &[Flag(false)], "the host's IPC namespace"),
        ok("shareProcessNamespace", BOOL),
        ok("securityContext", Nested(&POD_SECURITY_CONTEXT)),
        not_yet("imagePullSecrets", List(&Nested(&LOCAL_OBJECT_REFERENCE)), "image pull secrets"),
        ok("hostname", STRING),
        not_yet("subdomain", STRING, "DNS names of pods"),
        ok("affinity", Nested(&AFFINITY)),
        ok("schedulerName", STRING),
        ok("tolerations", List(&Nested(&TOLERATION))),
        ok("hostAliases", List(&Nested(&HOST_ALIAS))),
        ok("priorityClassName", STRING),
        ok("priority", INT32),
        only("dnsConfig", Nested(&POD_DNS_CONFIG), &[Empty], "DNS settings of pods"),
        ok("readinessGates", List(&Nested(&POD_READINESS_GATE))),
        refused("runtimeClassName", STRING, "there is one built-in runtime; remove the field"),
        unread("enableServiceLinks", BOOL, "there are no Services, so there are no variables to set"),
        ok("preemptionPolicy", STRING),
        not_yet("overhead", QUANTITIES, "pod overhead"),
        not_yet("topologySpreadConstraints", List(&Nested(&TOPOLOGY_SPREAD_CONSTRAINT)), "topology spread"),
        only("setHostnameAsFQDN", BOOL, &[Flag(false)], "DNS names of pods"),
        ok("os", Nested(&POD_OS)),
        only("hostUsers", BOOL, &[Flag(true)], "user namespaces"),
        ok("schedulingGates", List(&Nested(&POD_SCHEDULING_GATE))),
        ok("resourceClaims", List(&Nested(&POD_RESOURCE_CLAIM))),
        ok("resources", Nested(&RESOURCE_REQUIREMENTS)),
        not_yet("hostnameOverride", STRING, "overriding the host name; use hostname"),
        only("schedulingGroup", Nested(&POD_SCHEDULING_GROUP), &[Empty], "pod groups"),
    ],
};

pub(crate) static POD_SECURITY_CONTEXT: Object = Object {
    name: "PodSecurityContext",
    fields: &[
        only("seLinuxOptions", Nested(&SE_LINUX_OPTIONS), &[Empty], "SELinux"),
        refused(
            "windowsOptions",
            Nested(&WINDOWS_SECURITY_CONTEXT_OPTIONS),
            "a setting of Windows containers",
        ),
        ok("runAsUser", INT64),
        ok("runAsGroup", INT64),
        ok("runAsNonRoot", BOOL),
        ok("supplementalGroups", INT64S),
        ok("supplementalGroupsPolicy", STRING),
        ok("fsGroup", INT64),
        not_yet("sysctls", List(&Nested(&SYSCTL)), "sysctls"),
        unread(
            "fsGroupChangePolicy",
            STRING,
            "it concerns persistent volumes, the only ones that are older than their pod",
        ),
        ok("seccompProfile", Nested(&SECCOMP_PROFILE)),
        not_yet("appArmorProfile", Nested(&APP_ARMOR_PROFILE), "AppArmor"),
        not_yet("seLinuxChangePolicy", STRING, "SELinux"),
    ],
};

pub(crate) static SYSCTL: Object =
    Object { name: "Sysctl", fields: &[inner("name", STRING), inner("value", STRING)] };

pub(crate) static HOST_ALIAS: Object =
    Object { name: "HostAlias", fields: &[ok("ip", STRING), ok("hostnames", STRINGS)] };

pub(crate) static POD_OS: Object =
    Object { name: "PodOS", fields: &[only("name", STRING, &[Text("linux")], "other operating systems")] };

pub(crate) static LOCAL_OBJECT_REFERENCE: Object =
    Object { name: "LocalObjectReference", fields: &[inner("name", STRING)] };

pub(crate) static POD_DNS_CONFIG: Object = Object {
    name: "PodDNSConfig",
    fields: &[
        inner("nameservers", STRINGS),
        inner("searches", STRINGS),
        inner("options", List(&Nested(&POD_DNS_CONFIG_OPTION))),
    ],
};

pub(crate) static POD_DNS_CONFIG_OPTION: Object =
    Object { name: "PodDNSConfigOption", fields: &[inner("name", STRING), inner("value", STRING)] };

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
