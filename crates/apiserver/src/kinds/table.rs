//! The table itself, in the order of discovery.

use crate::kinds::plain::{NotRun, Plain};
use apimachinery::meta::NameRule;

use crate::kinds::{Columns, Kind, Rules, Subresource, Verb};
use crate::{columns, rules};
use Verb::{Create, Delete, DeleteCollection, Get, List, Patch, Update, Watch};

const ALL: &[Verb] = &[Create, Delete, DeleteCollection, Get, List, Patch, Update, Watch];
/// Namespaces are deleted one by one.
const NO_COLLECTION: &[Verb] = &[Create, Delete, Get, List, Patch, Update, Watch];
const CREATE: &[Verb] = &[Create];
/// What is measured when somebody asks.
const MEASURED: &[Verb] = &[Get, List];
/// What the engine writes, for others to see.
const READ: &[Verb] = &[Get, List, Watch];
const STATUS: &[Verb] = &[Get, Patch, Update];
const STREAM: &[Verb] = &[Create, Get];
const PROXY: &[Verb] = &[Create, Delete, Get, Patch, Update];

const NONE: &[Subresource] = &[];

const fn kind(group: &'static str, version: &'static str, kind: &'static str) -> Kind {
    Kind {
        group,
        version,
        kind,
        plural: "",
        resource: "",
        singular: "",
        short_names: &[],
        categories: &[],
        namespaced: true,
        verbs: ALL,
        subresources: NONE,
        names: NameRule::DnsSubdomain,
        rules: &Plain,
        columns: &columns::NAME_AND_AGE,
    }
}

impl Kind {
    const fn named(mut self, plural: &'static str, singular: &'static str) -> Self {
        self.plural = plural;
        self.resource = plural;
        self.singular = singular;
        self
    }

    const fn short(mut self, names: &'static [&'static str]) -> Self {
        self.short_names = names;
        self
    }

    /// Under which name the store has it, where that is not the plural: `PLURAL.GROUP`.
    const fn stored_as(mut self, resource: &'static str) -> Self {
        self.resource = resource;
        self
    }

    const fn in_all(mut self) -> Self {
        self.categories = &["all"];
        self
    }

    const fn of_cluster(mut self) -> Self {
        self.namespaced = false;
        self
    }

    const fn verbs(mut self, verbs: &'static [Verb]) -> Self {
        self.verbs = verbs;
        self
    }

    const fn with(mut self, subresources: &'static [Subresource]) -> Self {
        self.subresources = subresources;
        self
    }

    const fn names(mut self, names: NameRule) -> Self {
        self.names = names;
        self
    }

    const fn ruled(mut self, rules: &'static dyn Rules) -> Self {
        self.rules = rules;
        self
    }

    const fn shown(mut self, columns: &'static dyn Columns) -> Self {
        self.columns = columns;
        self
    }
}

const fn sub(
    name: &'static str,
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    verbs: &'static [Verb],
) -> Subresource {
    Subresource { name, group, version, kind, verbs }
}

const POD_SUBRESOURCES: &[Subresource] = &[
    sub("attach", "", "v1", "PodAttachOptions", STREAM),
    sub("binding", "", "v1", "Binding", CREATE),
    sub("ephemeralcontainers", "", "v1", "Pod", STATUS),
    sub("eviction", "policy", "v1", "Eviction", CREATE),
    sub("exec", "", "v1", "PodExecOptions", STREAM),
    sub("log", "", "v1", "Pod", &[Get]),
    sub("portforward", "", "v1", "PodPortForwardOptions", STREAM),
    sub("proxy", "", "v1", "PodProxyOptions", PROXY),
    // Of monopod alone: what its own client explains a pod from.
    sub("record", "", "v1", "Pod", &[Get]),
    sub("resize", "", "v1", "Pod", STATUS),
    sub("status", "", "v1", "Pod", STATUS),
];

const NAMESPACE_SUBRESOURCES: &[Subresource] =
    &[sub("finalize", "", "v1", "Namespace", &[Update]), sub("status", "", "v1", "Namespace", STATUS)];

const NODE_SUBRESOURCES: &[Subresource] =
    &[sub("proxy", "", "v1", "NodeProxyOptions", PROXY), sub("status", "", "v1", "Node", STATUS)];

const SERVICE_SUBRESOURCES: &[Subresource] =
    &[sub("proxy", "", "v1", "ServiceProxyOptions", PROXY), sub("status", "", "v1", "Service", STATUS)];

const SERVICE_CIDR_SUBRESOURCES: &[Subresource] = &[sub("status", NETWORKING, "v1", "ServiceCIDR", &[Get])];

const QUOTA_SUBRESOURCES: &[Subresource] = &[sub("status", "", "v1", "ResourceQuota", STATUS)];
const CLAIM_SUBRESOURCES: &[Subresource] = &[sub("status", "resource.k8s.io", "v1", "ResourceClaim", STATUS)];

const VOLUME_SUBRESOURCES: &[Subresource] = &[sub("status", "", "v1", "PersistentVolume", STATUS)];
const VOLUME_CLAIM_SUBRESOURCES: &[Subresource] = &[sub("status", "", "v1", "PersistentVolumeClaim", STATUS)];

const RBAC: &str = "rbac.authorization.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";
const DEVICES: &str = "resource.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const METRICS: &str = "metrics.k8s.io";

/// Core first; then groups as they are listed in `/apis`.
pub(super) static KINDS: &[Kind] = &[
    kind("", "v1", "ConfigMap")
        .ruled(&rules::CONFIG_MAPS)
        .shown(&columns::CONFIG_MAPS)
        .named("configmaps", "configmap")
        .short(&["cm"]),
    kind("", "v1", "Endpoints")
        .ruled(&rules::ENDPOINTS)
        .shown(&columns::ENDPOINTS)
        .named("endpoints", "endpoints")
        .short(&["ep"]),
    kind("", "v1", "Event")
        .ruled(&rules::EVENTS)
        .shown(&columns::EVENTS)
        .named("events", "event")
        .short(&["ev"]),
    kind("", "v1", "LimitRange")
        .ruled(&rules::LIMIT_RANGES)
        .shown(&columns::NAME_AND_CREATED)
        .named("limitranges", "limitrange")
        .short(&["limits"]),
    kind("", "v1", "Namespace")
        .ruled(&rules::NAMESPACES)
        .shown(&columns::NAMESPACES)
        .named("namespaces", "namespace")
        .names(NameRule::DnsLabel)
        .short(&["ns"])
        .of_cluster()
        .verbs(NO_COLLECTION)
        .with(NAMESPACE_SUBRESOURCES),
    kind("", "v1", "Node")
        .ruled(&rules::NODES)
        .shown(&columns::NODES)
        .named("nodes", "node")
        .short(&["no"])
        .of_cluster()
        .with(NODE_SUBRESOURCES),
    kind("", "v1", "PersistentVolume")
        .ruled(&rules::PERSISTENT_VOLUMES)
        .shown(&columns::PERSISTENT_VOLUMES)
        .named("persistentvolumes", "persistentvolume")
        .short(&["pv"])
        .of_cluster()
        .with(VOLUME_SUBRESOURCES),
    kind("", "v1", "PersistentVolumeClaim")
        .ruled(&rules::PERSISTENT_VOLUME_CLAIMS)
        .shown(&columns::PERSISTENT_VOLUME_CLAIMS)
        .named("persistentvolumeclaims", "persistentvolumeclaim")
        .short(&["pvc"])
        .with(VOLUME_CLAIM_SUBRESOURCES),
    kind("", "v1", "Pod")
        .ruled(&rules::PODS)
        .shown(&columns::PODS)
        .named("pods", "pod")
        .short(&["po"])
        .in_all()
        .with(POD_SUBRESOURCES),
    kind("", "v1", "PodTemplate")
        .ruled(&rules::POD_TEMPLATES)
        .shown(&columns::POD_TEMPLATES)
        .named("podtemplates", "podtemplate"),
    kind("", "v1", "ReplicationController")
        .named("replicationcontrollers", "replicationcontroller")
        .short(&["rc"])
        .in_all()
        .ruled(&NotRun),
    kind("", "v1", "ResourceQuota")
        .ruled(&rules::RESOURCE_QUOTAS)
        .shown(&columns::RESOURCE_QUOTAS)
        .named("resourcequotas", "resourcequota")
        .short(&["quota"])
        .with(QUOTA_SUBRESOURCES),
    kind("", "v1", "Secret").ruled(&rules::SECRETS).shown(&columns::SECRETS).named("secrets", "secret"),
    kind("", "v1", "Service")
        .ruled(&rules::SERVICES)
        .shown(&columns::SERVICES)
        .named("services", "service")
        .names(NameRule::DnsLabel)
        .short(&["svc"])
        .in_all()
        .with(SERVICE_SUBRESOURCES),
    kind("", "v1", "ServiceAccount")
        .ruled(&rules::SERVICE_ACCOUNTS)
        .named("serviceaccounts", "serviceaccount")
        .short(&["sa"])
        .with(&[sub("token", AUTHENTICATION, "v1", "TokenRequest", CREATE)]),
    kind("apps", "v1", "DaemonSet")
        .named("daemonsets", "daemonset")
        .stored_as("daemonsets.apps")
        .short(&["ds"])
        .in_all()
        .ruled(&NotRun),
    kind("apps", "v1", "Deployment")
        .named("deployments", "deployment")
        .stored_as("deployments.apps")
        .short(&["deploy"])
        .in_all()
        .ruled(&NotRun),
    kind("apps", "v1", "ReplicaSet")
        .named("replicasets", "replicaset")
        .stored_as("replicasets.apps")
        .short(&["rs"])
        .in_all()
        .ruled(&NotRun),
    kind("apps", "v1", "StatefulSet")
        .named("statefulsets", "statefulset")
        .stored_as("statefulsets.apps")
        .short(&["sts"])
        .in_all()
        .ruled(&NotRun),
    kind("events.k8s.io", "v1", "Event")
        .ruled(&rules::NEW_EVENTS)
        .shown(&columns::EVENTS)
        .named("events", "event")
        .stored_as("events")
        .short(&["ev"]),
    kind(AUTHENTICATION, "v1", "SelfSubjectReview")
        .named("selfsubjectreviews", "selfsubjectreview")
        .of_cluster()
        .verbs(CREATE),
    kind(AUTHENTICATION, "v1", "TokenReview").named("tokenreviews", "tokenreview").of_cluster().verbs(CREATE),
    kind(AUTHORIZATION, "v1", "LocalSubjectAccessReview")
        .named("localsubjectaccessreviews", "localsubjectaccessreview")
        .verbs(CREATE),
    kind(AUTHORIZATION, "v1", "SelfSubjectAccessReview")
        .named("selfsubjectaccessreviews", "selfsubjectaccessreview")
        .of_cluster()
        .verbs(CREATE),
    kind(AUTHORIZATION, "v1", "SelfSubjectRulesReview")
        .named("selfsubjectrulesreviews", "selfsubjectrulesreview")
        .of_cluster()
        .verbs(CREATE),
    kind(AUTHORIZATION, "v1", "SubjectAccessReview")
        .named("subjectaccessreviews", "subjectaccessreview")
        .of_cluster()
        .verbs(CREATE),
    kind("batch", "v1", "CronJob")
        .named("cronjobs", "cronjob")
        .stored_as("cronjobs.batch")
        .short(&["cj"])
        .in_all()
        .ruled(&NotRun),
    kind("batch", "v1", "Job").named("jobs", "job").stored_as("jobs.batch").in_all().ruled(&NotRun),
    kind(NETWORKING, "v1", "NetworkPolicy")
        .ruled(&rules::NETWORK_POLICIES)
        .shown(&columns::NETWORK_POLICIES)
        .named("networkpolicies", "networkpolicy")
        .stored_as("networkpolicies.networking.k8s.io")
        .short(&["netpol"]),
    kind(NETWORKING, "v1", "ServiceCIDR")
        .shown(&columns::SERVICE_CIDRS)
        .named("servicecidrs", "servicecidr")
        .stored_as("servicecidrs.networking.k8s.io")
        .of_cluster()
        .verbs(READ)
        .with(SERVICE_CIDR_SUBRESOURCES),
    kind(NETWORKING, "v1", "IPAddress")
        .ruled(&rules::IP_ADDRESSES)
        .shown(&columns::IP_ADDRESSES)
        .named("ipaddresses", "ipaddress")
        .stored_as("ipaddresses.networking.k8s.io")
        .short(&["ip"])
        .names(NameRule::PathSegment)
        .of_cluster(),
    kind(RBAC, "v1", "ClusterRole")
        .ruled(&rules::CLUSTER_ROLES)
        .shown(&columns::NAME_AND_CREATED)
        .named("clusterroles", "clusterrole")
        .stored_as("clusterroles.rbac.authorization.k8s.io")
        .names(NameRule::PathSegment)
        .of_cluster(),
    kind(RBAC, "v1", "ClusterRoleBinding")
        .ruled(&rules::CLUSTER_BINDINGS)
        .shown(&columns::BINDINGS)
        .named("clusterrolebindings", "clusterrolebinding")
        .stored_as("clusterrolebindings.rbac.authorization.k8s.io")
        .names(NameRule::PathSegment)
        .of_cluster(),
    kind(RBAC, "v1", "Role")
        .ruled(&rules::ROLES)
        .shown(&columns::NAME_AND_CREATED)
        .named("roles", "role")
        .stored_as("roles.rbac.authorization.k8s.io")
        .names(NameRule::PathSegment),
    kind(RBAC, "v1", "RoleBinding")
        .ruled(&rules::BINDINGS)
        .shown(&columns::BINDINGS)
        .named("rolebindings", "rolebinding")
        .stored_as("rolebindings.rbac.authorization.k8s.io")
        .names(NameRule::PathSegment),
    kind("storage.k8s.io", "v1", "StorageClass")
        .ruled(&rules::STORAGE_CLASSES)
        .shown(&columns::STORAGE_CLASSES)
        .named("storageclasses", "storageclass")
        .stored_as("storageclasses.storage.k8s.io")
        .short(&["sc"])
        .of_cluster(),
    kind("scheduling.k8s.io", "v1", "PriorityClass")
        .ruled(&rules::PRIORITY_CLASSES)
        .shown(&columns::PRIORITY_CLASSES)
        .named("priorityclasses", "priorityclass")
        .stored_as("priorityclasses.scheduling.k8s.io")
        .short(&["pc"])
        .of_cluster(),
    kind("coordination.k8s.io", "v1", "Lease")
        .ruled(&rules::LEASES)
        .shown(&columns::LEASES)
        .named("leases", "lease")
        .stored_as("leases.coordination.k8s.io"),
    kind("node.k8s.io", "v1", "RuntimeClass")
        .ruled(&rules::RUNTIME_CLASSES)
        .shown(&columns::RUNTIME_CLASSES)
        .named("runtimeclasses", "runtimeclass")
        .stored_as("runtimeclasses.node.k8s.io")
        .of_cluster(),
    kind("discovery.k8s.io", "v1", "EndpointSlice")
        .ruled(&rules::ENDPOINT_SLICES)
        .shown(&columns::ENDPOINT_SLICES)
        .named("endpointslices", "endpointslice")
        .stored_as("endpointslices.discovery.k8s.io"),
    kind(DEVICES, "v1", "DeviceClass")
        .ruled(&rules::DEVICE_CLASSES)
        .named("deviceclasses", "deviceclass")
        .stored_as("deviceclasses.resource.k8s.io")
        .of_cluster(),
    kind(DEVICES, "v1", "ResourceClaim")
        .ruled(&rules::RESOURCE_CLAIMS)
        .shown(&columns::RESOURCE_CLAIMS)
        .named("resourceclaims", "resourceclaim")
        .stored_as("resourceclaims.resource.k8s.io")
        .with(CLAIM_SUBRESOURCES),
    kind(DEVICES, "v1", "ResourceClaimTemplate")
        .ruled(&rules::RESOURCE_CLAIM_TEMPLATES)
        .named("resourceclaimtemplates", "resourceclaimtemplate")
        .stored_as("resourceclaimtemplates.resource.k8s.io"),
    kind(DEVICES, "v1", "ResourceSlice")
        .ruled(&rules::RESOURCE_SLICES)
        .shown(&columns::RESOURCE_SLICES)
        .named("resourceslices", "resourceslice")
        .stored_as("resourceslices.resource.k8s.io")
        .of_cluster(),
    // Last, so that `pods` and `nodes` alone are the core group's.
    kind(METRICS, "v1beta1", "NodeMetrics")
        .shown(&columns::NODE_METRICS)
        .named("nodes", "")
        .stored_as("nodes.metrics.k8s.io")
        .of_cluster()
        .verbs(MEASURED),
    kind(METRICS, "v1beta1", "PodMetrics")
        .shown(&columns::POD_METRICS)
        .named("pods", "")
        .stored_as("pods.metrics.k8s.io")
        .verbs(MEASURED),
];
