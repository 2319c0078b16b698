//! Volumes of networks and clouds: all refused, all known, so that a typing error in one is still found.

use super::Type::Nested;
use super::pod::LOCAL_OBJECT_REFERENCE;
use super::{BOOL, INT32, Object, STRING, STRING_MAP, STRINGS, inner};

pub(crate) static NFS_VOLUME_SOURCE: Object = Object {
    name: "NFSVolumeSource",
    fields: &[inner("server", STRING), inner("path", STRING), inner("readOnly", BOOL)],
};

pub(crate) static ISCSI_VOLUME_SOURCE: Object = Object {
    name: "ISCSIVolumeSource",
    fields: &[
        inner("targetPortal", STRING),
        inner("iqn", STRING),
        inner("lun", INT32),
        inner("iscsiInterface", STRING),
        inner("fsType", STRING),
        inner("readOnly", BOOL),
        inner("portals", STRINGS),
        inner("chapAuthDiscovery", BOOL),
        inner("chapAuthSession", BOOL),
        inner("secretRef", Nested(&LOCAL_OBJECT_REFERENCE)),
        inner("initiatorName", STRING),
    ],
};

pub(crate) static FC_VOLUME_SOURCE: Object = Object {
    name: "FCVolumeSource",
    fields: &[
        inner("targetWWNs", STRINGS),
        inner("lun", INT32),
        inner("fsType", STRING),
        inner("readOnly", BOOL),
        inner("wwids", STRINGS),
    ],
};

pub(crate) static CEPH_FS_VOLUME_SOURCE: Object = Object {
    name: "CephFSVolumeSource",
    fields: &[
        inner("monitors", STRINGS),
        inner("path", STRING),
        inner("user", STRING),
        inner("secretFile", STRING),
        inner("secretRef", Nested(&LOCAL_OBJECT_REFERENCE)),
        inner("readOnly", BOOL),
    ],
};

pub(crate) static RBD_VOLUME_SOURCE: Object = Object {
    name: "RBDVolumeSource",
    fields: &[
        inner("monitors", STRINGS),
        inner("image", STRING),
        inner("fsType", STRING),
        inner("pool", STRING),
        inner("user", STRING),
        inner("keyring", STRING),
        inner("secretRef", Nested(&LOCAL_OBJECT_REFERENCE)),
        inner("readOnly", BOOL),
    ],
};

pub(crate) static GLUSTERFS_VOLUME_SOURCE: Object = Object {
    name: "GlusterfsVolumeSource",
    fields: &[inner("endpoints", STRING), inner("path", STRING), inner("readOnly", BOOL)],
};

pub(crate) static CINDER_VOLUME_SOURCE: Object = Object {
    name: "CinderVolumeSource",
    fields: &[
        inner("volumeID", STRING),
        inner("fsType", STRING),
        inner("readOnly", BOOL),
        inner("secretRef", Nested(&LOCAL_OBJECT_REFERENCE)),
    ],
};

pub(crate) static GCE_PERSISTENT_DISK_VOLUME_SOURCE: Object = Object {
    name: "GCEPersistentDiskVolumeSource",
    fields: &[
        inner("pdName", STRING),
        inner("fsType", STRING),
        inner("partition", INT32),
        inner("readOnly", BOOL),
    ],
};

pub(crate) static AWS_ELASTIC_BLOCK_STORE_VOLUME_SOURCE: Object = Object {
    name: "AWSElasticBlockStoreVolumeSource",
    fields: &[
        inner("volumeID", STRING),
        inner("fsType", STRING),
        inner("partition", INT32),
        inner("readOnly", BOOL),
    ],
};

pub(crate) static AZURE_DISK_VOLUME_SOURCE: Object = Object {
    name: "AzureDiskVolumeSource",
    fields: &[
        inner("diskName", STRING),
        inner("diskURI", STRING),
        inner("cachingMode", STRING),
        inner("fsType", STRING),
        inner("readOnly", BOOL),
        inner("kind", STRING),
    ],
};

pub(crate) static AZURE_FILE_VOLUME_SOURCE: Object = Object {
    name: "AzureFileVolumeSource",
    fields: &[inner("secretName", STRING), inner("shareName", STRING), inner("readOnly", BOOL)],
};

pub(crate) static VSPHERE_VIRTUAL_DISK_VOLUME_SOURCE: Object = Object {
    name: "VsphereVirtualDiskVolumeSource",
    fields: &[
        inner("volumePath", STRING),
        inner("fsType", STRING),
        inner("storagePolicyName", STRING),
        inner("storagePolicyID", STRING),
    ],
};

pub(crate) static PHOTON_PERSISTENT_DISK_VOLUME_SOURCE: Object = Object {
    name: "PhotonPersistentDiskVolumeSource",
    fields: &[inner("pdID", STRING), inner("fsType", STRING)],
};

pub(crate) static PORTWORX_VOLUME_SOURCE: Object = Object {
    name: "PortworxVolumeSource",
    fields: &[inner("volumeID", STRING), inner("fsType", STRING), inner("readOnly", BOOL)],
};

pub(crate) static QUOBYTE_VOLUME_SOURCE: Object = Object {
    name: "QuobyteVolumeSource",
    fields: &[
        inner("registry", STRING),
        inner("volume", STRING),
        inner("readOnly", BOOL),
        inner("user", STRING),
        inner("group", STRING),
        inner("tenant", STRING),
    ],
};

pub(crate) static SCALE_IO_VOLUME_SOURCE: Object = Object {
    name: "ScaleIOVolumeSource",
    fields: &[
        inner("gateway", STRING),
        inner("system", STRING),
        inner("secretRef", Nested(&LOCAL_OBJECT_REFERENCE)),
        inner("sslEnabled", BOOL),
        inner("protectionDomain", STRING),
        inner("storagePool", STRING),
        inner("storageMode", STRING),
        inner("volumeName", STRING),
        inner("fsType", STRING),
        inner("readOnly", BOOL),
    ],
};

pub(crate) static STORAGE_OS_VOLUME_SOURCE: Object = Object {
    name: "StorageOSVolumeSource",
    fields: &[
        inner("volumeName", STRING),
        inner("volumeNamespace", STRING),
        inner("fsType", STRING),
        inner("readOnly", BOOL),
        inner("secretRef", Nested(&LOCAL_OBJECT_REFERENCE)),
    ],
};

pub(crate) static FLEX_VOLUME_SOURCE: Object = Object {
    name: "FlexVolumeSource",
    fields: &[
        inner("driver", STRING),
        inner("fsType", STRING),
        inner("secretRef", Nested(&LOCAL_OBJECT_REFERENCE)),
        inner("readOnly", BOOL),
        inner("options", STRING_MAP),
    ],
};

pub(crate) static FLOCKER_VOLUME_SOURCE: Object = Object {
    name: "FlockerVolumeSource",
    fields: &[inner("datasetName", STRING), inner("datasetUUID", STRING)],
};

pub(crate) static GIT_REPO_VOLUME_SOURCE: Object = Object {
    name: "GitRepoVolumeSource",
    fields: &[inner("repository", STRING), inner("revision", STRING), inner("directory", STRING)],
};
