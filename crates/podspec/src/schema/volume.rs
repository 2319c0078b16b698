//! Volumes.

use super::Accepted::Text;
use super::Type::{List, Nested};
use super::container::{OBJECT_FIELD_SELECTOR, RESOURCE_FIELD_SELECTOR};
use super::pod::{LOCAL_OBJECT_REFERENCE, OBJECT_META};
use super::scheduling::LABEL_SELECTOR;
use super::storage::{
    AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE, AZURE_DISK_VOLUME_SOURCE, AZURE_FILE_VOLUME_SOURCE,
    CEPH_FS_VOLUME_SOURCE, CINDER_VOLUME_SOURCE, FC_VOLUME_SOURCE, FLEX_VOLUME_SOURCE, FLOCKER_VOLUME_SOURCE,
    GCE_PERSISTENT_DISK_VOLUME_SOURCE, GIT_REPO_VOLUME_SOURCE, GLUSTERFS_VOLUME_SOURCE, ISCSI_VOLUME_SOURCE,
    NFS_VOLUME_SOURCE, PHOTON_PERSISTENT_DISK_VOLUME_SOURCE, PORTWORX_VOLUME_SOURCE, QUOBYTE_VOLUME_SOURCE,
    RBD_VOLUME_SOURCE, SCALE_IO_VOLUME_SOURCE, STORAGE_OS_VOLUME_SOURCE, VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE,
};
use super::{
    BOOL, INT32, INT64, Object, QUANTITIES, QUANTITY, STRING, STRING_MAP, STRINGS, inner, not_yet, ok, only,
    refused, unread,
};

pub(crate) static VOLUME: Object = Object {
    name: "Volume",
    fields: &[
        ok("name", STRING),
        ok("hostPath", Nested(&HOST_PATH_VOLUME_SOURCE)),
        ok("emptyDir", Nested(&EMPTY_DIR_VOLUME_SOURCE)),
        refused(
            "gcePersistentDisk",
            Nested(&GCE_PERSISTENT_DISK_VOLUME_SOURCE),
            "a cloud disk; mount it on the host and use hostPath",
        ),
        refused(
            "awsElasticBlockStore",
            Nested(&AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE),
            "a cloud disk; mount it on the host and use hostPath",
        ),
        refused(
            "gitRepo",
            Nested(&GIT_REPO_VOLUME_SOURCE),
            "disabled in Kubernetes 1.36; clone in an init container into an emptyDir",
        ),
        ok("secret", Nested(&SECRET_VOLUME_SOURCE)),
        refused(
            "nfs",
            Nested(&NFS_VOLUME_SOURCE),
            "a network file system; mount it on the host and use hostPath",
        ),
        refused(
            "iscsi",
            Nested(&ISCSI_VOLUME_SOURCE),
            "a network disk; mount it on the host and use hostPath",
        ),
        refused(
            "glusterfs",
            Nested(&GLUSTERFS_VOLUME_SOURCE),
            "removed from Kubernetes in 1.26; mount it on the host and use hostPath",
        ),
        ok("persistentVolumeClaim", Nested(&PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE)),
        refused(
            "rbd",
            Nested(&RBD_VOLUME_SOURCE),
            "removed from Kubernetes in 1.31; mount it on the host and use hostPath",
        ),
        refused(
            "flexVolume",
            Nested(&FLEX_VOLUME_SOURCE),
            "deprecated in Kubernetes; mount it on the host and use hostPath",
        ),
        refused(
            "cinder",
            Nested(&CINDER_VOLUME_SOURCE),
            "a cloud disk; mount it on the host and use hostPath",
        ),
        refused(
            "cephfs",
            Nested(&CEPH_FS_VOLUME_SOURCE),
            "removed from Kubernetes in 1.31; mount it on the host and use hostPath",
        ),
        refused(
            "flocker",
            Nested(&FLOCKER_VOLUME_SOURCE),
            "removed from Kubernetes in 1.25; mount it on the host and use hostPath",
        ),
        ok("downwardAPI", Nested(&DOWNWARD_API_VOLUME_SOURCE)),
        refused("fc", Nested(&FC_VOLUME_SOURCE), "a network disk; mount it on the host and use hostPath"),
        refused(
            "azureFile",
            Nested(&AZURE_FILE_VOLUME_SOURCE),
            "a cloud disk; mount it on the host and use hostPath",
        ),
        ok("configMap", Nested(&CONFIG_MAP_VOLUME_SOURCE)),
        refused(
            "vsphereVolume",
            Nested(&VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE),
            "a cloud disk; mount it on the host and use hostPath",
        ),
        refused(
            "quobyte",
            Nested(&QUOBYTE_VOLUME_SOURCE),
            "removed from Kubernetes in 1.25; mount it on the host and use hostPath",
        ),
        refused(
            "azureDisk",
            Nested(&AZURE_DISK_VOLUME_SOURCE),
            "a cloud disk; mount it on the host and use hostPath",
        ),
        refused(
            "photonPersistentDisk",
            Nested(&PHOTON_PERSISTENT_DISK_VOLUME_SOURCE),
            "removed from Kubernetes in 1.16; mount it on the host and use hostPath",
        ),
        ok("projected", Nested(&PROJECTED_VOLUME_SOURCE)),
        refused(
            "portworxVolume",
            Nested(&PORTWORX_VOLUME_SOURCE),
            "a network disk; mount it on the host and use hostPath",
        ),
        refused(
            "scaleIO",
            Nested(&SCALE_IO_VOLUME_SOURCE),
            "removed from Kubernetes in 1.22; mount it on the host and use hostPath",
        ),
        refused(
            "storageos",
            Nested(&STORAGE_OS_VOLUME_SOURCE),
            "removed from Kubernetes in 1.25; mount it on the host and use hostPath",
        ),
        not_yet("csi", Nested(&CSI_VOLUME_SOURCE), "CSI volumes"),
        ok("ephemeral", Nested(&EPHEMERAL_VOLUME_SOURCE)),
        ok("image", Nested(&IMAGE_VOLUME_SOURCE)),
    ],
};

pub(crate) static EMPTY_DIR_VOLUME_SOURCE: Object = Object {
    name: "EmptyDirVolumeSource",
    fields: &[only("medium", STRING, &[Text("Memory")], "huge pages"), ok("sizeLimit", QUANTITY)],
};

pub(crate) static HOST_PATH_VOLUME_SOURCE: Object =
    Object { name: "HostPathVolumeSource", fields: &[ok("path", STRING), ok("type", STRING)] };

pub(crate) static CONFIG_MAP_VOLUME_SOURCE: Object = Object {
    name: "ConfigMapVolumeSource",
    fields: &[
        ok("name", STRING),
        ok("items", List(&Nested(&KEY_TO_PATH))),
        ok("defaultMode", INT32),
        ok("optional", BOOL),
    ],
};

pub(crate) static SECRET_VOLUME_SOURCE: Object = Object {
    name: "SecretVolumeSource",
    fields: &[
        ok("secretName", STRING),
        ok("items", List(&Nested(&KEY_TO_PATH))),
        ok("defaultMode", INT32),
        ok("optional", BOOL),
    ],
};

pub(crate) static DOWNWARD_API_VOLUME_SOURCE: Object = Object {
    name: "DownwardAPIVolumeSource",
    fields: &[ok("items", List(&Nested(&DOWNWARD_API_VOLUME_FILE))), ok("defaultMode", INT32)],
};

pub(crate) static DOWNWARD_API_VOLUME_FILE: Object = Object {
    name: "DownwardAPIVolumeFile",
    fields: &[
        ok("path", STRING),
        ok("fieldRef", Nested(&OBJECT_FIELD_SELECTOR)),
        ok("resourceFieldRef", Nested(&RESOURCE_FIELD_SELECTOR)),
        ok("mode", INT32),
    ],
};

pub(crate) static KEY_TO_PATH: Object =
    Object { name: "KeyToPath", fields: &[ok("key", STRING), ok("path", STRING), ok("mode", INT32)] };

pub(crate) static PROJECTED_VOLUME_SOURCE: Object = Object {
    name: "ProjectedVolumeSource",
    fields: &[ok("sources", List(&Nested(&VOLUME_PROJECTION))), ok("defaultMode", INT32)],
};

pub(crate) static VOLUME_PROJECTION: Object = Object {
    name: "VolumeProjection",
    fields: &[
        ok("secret", Nested(&SECRET_PROJECTION)),
        ok("downwardAPI", Nested(&DOWNWARD_API_PROJECTION)),
        ok("configMap", Nested(&CONFIG_MAP_PROJECTION)),
        ok("serviceAccountToken", Nested(&SERVICE_ACCOUNT_TOKEN_PROJECTION)),
        not_yet("clusterTrustBundle", Nested(&CLUSTER_TRUST_BUNDLE_PROJECTION), "trust bundles"),
        not_yet("podCertificate", Nested(&POD_CERTIFICATE_PROJECTION), "pod certificates"),
    ],
};

pub(crate) static SECRET_PROJECTION: Object = Object {
    name: "SecretProjection",
    fields: &[ok("name", STRING), ok("items", List(&Nested(&KEY_TO_PATH))), ok("optional", BOOL)],
};

pub(crate) static CONFIG_MAP_PROJECTION: Object = Object {
    name: "ConfigMapProjection",
    fields: &[ok("name", STRING), ok("items", List(&Nested(&KEY_TO_PATH))), ok("optional", BOOL)],
};

pub(crate) static DOWNWARD_API_PROJECTION: Object = Object {
    name: "DownwardAPIProjection",
    fields: &[ok("items", List(&Nested(&DOWNWARD_API_VOLUME_FILE)))],
};

pub(crate) static SERVICE_ACCOUNT_TOKEN_PROJECTION: Object = Object {
    name: "ServiceAccountTokenProjection",
    fields: &[ok("audience", STRING), ok("expirationSeconds", INT64), ok("path", STRING)],
};

pub(crate) static CLUSTER_TRUST_BUNDLE_PROJECTION: Object = Object {
    name: "ClusterTrustBundleProjection",
    fields: &[
        inner("name", STRING),
        inner("signerName", STRING),
        inner("labelSelector", Nested(&LABEL_SELECTOR)),
        inner("optional", BOOL),
        inner("path", STRING),
    ],
};

pub(crate) static POD_CERTIFICATE_PROJECTION: Object = Object {
    name: "PodCertificateProjection",
    fields: &[
        inner("signerName", STRING),
        inner("keyType", STRING),
        inner("maxExpirationSeconds", INT32),
        inner("credentialBundlePath", STRING),
        inner("keyPath", STRING),
        inner("certificateChainPath", STRING),
        inner("userAnnotations", STRING_MAP),
    ],
};

pub(crate) static PERSISTENT_VOLUME_CLAIM_VOLUME_SOURCE: Object = Object {
    name: "PersistentVolumeClaimVolumeSource",
    fields: &[ok("claimName", STRING), ok("readOnly", BOOL)],
};

pub(crate) static EPHEMERAL_VOLUME_SOURCE: Object = Object {
    name: "EphemeralVolumeSource",
    fields: &[ok("volumeClaimTemplate", Nested(&PERSISTENT_VOLUME_CLAIM_TEMPLATE))],
};

pub(crate) static PERSISTENT_VOLUME_CLAIM_TEMPLATE: Object = Object {
    name: "PersistentVolumeClaimTemplate",
    fields: &[ok("metadata", Nested(&OBJECT_META)), ok("spec", Nested(&PERSISTENT_VOLUME_CLAIM_SPEC))],
};

const FILLED: &str = "volumes that begin with what another one holds";

pub(crate) static PERSISTENT_VOLUME_CLAIM_SPEC: Object = Object {
    name: "PersistentVolumeClaimSpec",
    fields: &[
        ok("accessModes", STRINGS),
        ok("selector", Nested(&LABEL_SELECTOR)),
        ok("resources", Nested(&VOLUME_RESOURCE_REQUIREMENTS)),
        ok("volumeName", STRING),
        ok("storageClassName", STRING),
        only("volumeMode", STRING, &[Text("Filesystem")], "block volumes"),
        not_yet("dataSource", Nested(&TYPED_LOCAL_OBJECT_REFERENCE), FILLED),
        not_yet("dataSourceRef", Nested(&TYPED_OBJECT_REFERENCE), FILLED),
        not_yet("volumeAttributesClassName", STRING, "classes of volume attributes"),
    ],
};

pub(crate) static VOLUME_RESOURCE_REQUIREMENTS: Object = Object {
    name: "VolumeResourceRequirements",
    fields: &[unread("limits", QUANTITIES, "nothing bounds what is in a volume"), ok("requests", QUANTITIES)],
};

pub(crate) static TYPED_LOCAL_OBJECT_REFERENCE: Object = Object {
    name: "TypedLocalObjectReference",
    fields: &[inner("apiGroup", STRING), inner("kind", STRING), inner("name", STRING)],
};

pub(crate) static TYPED_OBJECT_REFERENCE: Object = Object {
    name: "TypedObjectReference",
    fields: &[
        inner("apiGroup", STRING),
        inner("kind", STRING),
        inner("name", STRING),
        inner("namespace", STRING),
    ],
};

pub(crate) static IMAGE_VOLUME_SOURCE: Object =
    Object { name: "ImageVolumeSource", fields: &[ok("reference", STRING), ok("pullPolicy", STRING)] };

pub(crate) static CSI_VOLUME_SOURCE: Object = Object {
    name: "CSIVolumeSource",
    fields: &[
        inner("driver", STRING),
        inner("readOnly", BOOL),
        inner("fsType", STRING),
        inner("volumeAttributes", STRING_MAP),
        inner("nodePublishSecretRef", Nested(&LOCAL_OBJECT_REFERENCE)),
    ],
};
