//! Which rows stand beside which.

use crate::table::{OTHERS, is_of};

#[derive(Debug)]
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) more_is_better: bool,
    pub(super) bars: &'static [Bar],
}

#[derive(Debug)]
pub(super) struct Bar {
    pub(super) row: &'static str,
    pub(super) says: &'static str,
    /// The row of which it is so many times something.
    pub(super) times: Option<(&'static str, &'static str)>,
}

impl Bar {
    pub(super) fn is_monopods(&self) -> bool {
        !OTHERS.iter().any(|other| is_of(self.row, other))
    }

    /// Its colour: what is inside the daemon is less than what a client waits for.
    pub(super) fn class(&self) -> &'static str {
        let other = OTHERS.into_iter().find(|other| is_of(self.row, other));
        other.unwrap_or(if self.row.starts_with("serve.start") { "inside" } else { "monopod" })
    }
}

const fn bar(row: &'static str, says: &'static str) -> Bar {
    Bar { row, says, times: None }
}

const fn beside(row: &'static str, says: &'static str, other: &'static str, words: &'static str) -> Bar {
    Bar { row, says, times: Some((other, words)) }
}

const AS_LONG: &str = "as long";
const AS_MUCH: &str = "as much";
const APPLY: &str = "monopod apply --wait=started";
const PLAY: &str = "podman kube play";
const INSIDE: &str = "of that, in the daemon";
const FLOOR: &str = "the floor";

pub(super) const GROUPS: &[Group] = &[
    Group {
        title: "Start a pod of 1 container",
        more_is_better: false,
        bars: &[
            bar("apply.a", APPLY),
            beside("serve.start.a", INSIDE, "floor.pod.a", FLOOR),
            bar("floor.pod.a", FLOOR),
            beside("podman.play.a", PLAY, "apply.a", AS_LONG),
        ],
    },
    Group {
        title: "Start a pod of 3 containers",
        more_is_better: false,
        bars: &[
            bar("apply.b", APPLY),
            beside("serve.start.b", INSIDE, "floor.pod.b", FLOOR),
            bar("floor.pod.b", FLOOR),
            beside("podman.play.b", PLAY, "apply.b", AS_LONG),
        ],
    },
    Group {
        title: "Start a pod of 2 init containers, a sidecar and an app; podman has no sidecars, and starts it as another app",
        more_is_better: false,
        bars: &[
            bar("apply.c", APPLY),
            beside("serve.start.c", INSIDE, "floor.pod.c", FLOOR),
            bar("floor.pod.c", FLOOR),
            beside("podman.play.cx", PLAY, "apply.c", AS_LONG),
        ],
    },
    Group {
        title: "Delete a pod of 3 containers, until nothing of it is left",
        more_is_better: false,
        bars: &[
            bar("delete.b", "monopod delete"),
            beside("podman.stop.b", "podman pod stop, pod rm", "delete.b", AS_LONG),
        ],
    },
    Group {
        title: "Execute true in a container",
        more_is_better: false,
        bars: &[
            bar("exec", "monopod exec"),
            beside("podman.exec", "podman exec", "exec", AS_LONG),
            beside("crun.exec", "crun exec", "exec", AS_LONG),
        ],
    },
    Group {
        title: "Start 50 pods of 3 containers at once",
        more_is_better: false,
        bars: &[
            bar("many.50", "monopod apply"),
            beside("podman.many.50", PLAY, "many.50", AS_LONG),
            beside("floor.many.50", FLOOR, "many.50", AS_LONG),
        ],
    },
    Group {
        title: "Memory for each of 100 pods of 3 containers, beside what runs in them",
        more_is_better: false,
        bars: &[
            bar("pod.memory.100", "monopod"),
            beside("podman.pod.memory.100", "podman", "pod.memory.100", AS_MUCH),
        ],
    },
    Group {
        title: "Log of lines of 100 bytes, written by cat",
        more_is_better: true,
        bars: &[
            bar("logs.cat.rotated", "monopod, rotated"),
            bar("logs.cat.whole", "monopod, kept whole"),
            beside("podman.logs.whole", "podman (conmon), kept whole", "logs.cat.whole", AS_MUCH),
        ],
    },
    Group {
        title: "The log read back",
        more_is_better: true,
        bars: &[
            bar("logs.readback", "monopod logs, all of it"),
            bar("logs.readback.few", "monopod logs, 16 MiB"),
            beside("podman.logs.readback", "podman logs, 16 MiB", "logs.readback.few", AS_MUCH),
        ],
    },
    Group {
        title: "Pull an image of 500 MB and run it",
        more_is_better: false,
        bars: &[
            bar("pull.run", "monopod run"),
            beside("podman.run", "podman run", "pull.run", AS_LONG),
            beside("skopeo.dir", "skopeo copy into a directory", "pull.run", AS_LONG),
        ],
    },
];
