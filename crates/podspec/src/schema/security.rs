//! Security settings of containers.

use super::Accepted::{Empty, Flag, Text};
use super::Type::Nested;
use super::{BOOL, INT64, Object, STRING, STRINGS, inner, not_yet, ok, only, refused};

pub(crate) static SECURITY_CONTEXT: Object = Object {
    name: "SecurityContext",
    fields: &[
        ok("capabilities", Nested(&CAPABILITIES)),
        only("privileged", BOOL, &[Flag(false)], "privileged containers"),
        only("seLinuxOptions", Nested(&SE_LINUX_OPTIONS), &[Empty], "SELinux"),
        refused(
            "windowsOptions",
            Nested(&WINDOWS_SECURITY_CONTEXT_OPTIONS),
            "a setting of Windows containers",
        ),
        ok("runAsUser", INT64),
        ok("runAsGroup", INT64),
        ok("runAsNonRoot", BOOL),
        ok("readOnlyRootFilesystem", BOOL),
        ok("allowPrivilegeEscalation", BOOL),
        only("procMount", STRING, &[Text("Default")], "an unmasked /proc"),
        ok("seccompProfile", Nested(&SECCOMP_PROFILE)),
        not_yet("appArmorProfile", Nested(&APP_ARMOR_PROFILE), "AppArmor"),
    ],
};

pub(crate) static CAPABILITIES: Object =
    Object { name: "Capabilities", fields: &[ok("add", STRINGS), ok("drop", STRINGS)] };

pub(crate) static SECCOMP_PROFILE: Object = Object {
    name: "SeccompProfile",
    fields: &[
        only("type", STRING, &[Text("RuntimeDefault"), Text("Unconfined")], "seccomp profiles from files"),
        not_yet("localhostProfile", STRING, "seccomp profiles from files"),
    ],
};

pub(crate) static SE_LINUX_OPTIONS: Object = Object {
    name: "SELinuxOptions",
    fields: &[inner("user", STRING), inner("role", STRING), inner("type", STRING), inner("level", STRING)],
};

pub(crate) static APP_ARMOR_PROFILE: Object =
    Object { name: "AppArmorProfile", fields: &[inner("type", STRING), inner("localhostProfile", STRING)] };

pub(crate) static WINDOWS_SECURITY_CONTEXT_OPTIONS: Object = Object {
    name: "WindowsSecurityContextOptions",
    fields: &[
        inner("gmsaCredentialSpecName", STRING),
        inner("gmsaCredentialSpec", STRING),
        inner("runAsUserName", STRING),
        inner("hostProcess", BOOL),
    ],
};
