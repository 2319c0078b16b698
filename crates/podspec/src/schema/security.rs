//! Security settings of containers.

use super::Type::Nested;
use super::{BOOL, INT64, Object, STRING, STRINGS, inner, ok, unread, when};

pub(crate) static SECURITY_CONTEXT: Object = Object {
    name: "SecurityContext",
    fields: &[
        ok("capabilities", Nested(&CAPABILITIES)),
        ok("privileged", BOOL),
        when("seLinuxOptions", Nested(&SE_LINUX_OPTIONS), SE_LINUX_CASE),
        unread(
            "windowsOptions",
            Nested(&WINDOWS_SECURITY_CONTEXT_OPTIONS),
            "it is about containers of Windows; a pod whose `os.name` is `linux` may not have it",
        ),
        ok("runAsUser", INT64),
        ok("runAsGroup", INT64),
        ok("runAsNonRoot", BOOL),
        ok("readOnlyRootFilesystem", BOOL),
        ok("allowPrivilegeEscalation", BOOL),
        ok("procMount", STRING),
        ok("seccompProfile", Nested(&SECCOMP_PROFILE)),
        ok("appArmorProfile", Nested(&APP_ARMOR_PROFILE)),
    ],
};

pub(crate) static CAPABILITIES: Object =
    Object { name: "Capabilities", fields: &[ok("add", STRINGS), ok("drop", STRINGS)] };

pub(crate) static SECCOMP_PROFILE: Object =
    Object { name: "SeccompProfile", fields: &[ok("type", STRING), ok("localhostProfile", STRING)] };

pub(crate) const SE_LINUX_CASE: &str =
    "where the kernel has no SELinux: it changes nothing there, as on a kubelet. Where it has, the pod fails";

pub(crate) static SE_LINUX_OPTIONS: Object = Object {
    name: "SELinuxOptions",
    fields: &[inner("user", STRING), inner("role", STRING), inner("type", STRING), inner("level", STRING)],
};

pub(crate) static APP_ARMOR_PROFILE: Object = Object {
    name: "AppArmorProfile",
    fields: &[
        when(
            "type",
            STRING,
            "for `Unconfined`, and for `Localhost` where the kernel has AppArmor; without it the pod fails, as on such a \
             kubelet, and with `RuntimeDefault`, since there is no default profile",
        ),
        ok("localhostProfile", STRING),
    ],
};

pub(crate) static WINDOWS_SECURITY_CONTEXT_OPTIONS: Object = Object {
    name: "WindowsSecurityContextOptions",
    fields: &[
        inner("gmsaCredentialSpecName", STRING),
        inner("gmsaCredentialSpec", STRING),
        inner("runAsUserName", STRING),
        inner("hostProcess", BOOL),
    ],
};
