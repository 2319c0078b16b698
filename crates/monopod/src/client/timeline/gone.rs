//! The pods that are gone and can still be shown.

use podspec::time::human_duration;
use podspec::{BootTime, Pod};

use crate::client::context::Context;
use crate::client::failure::{Failure, Result};
use crate::client::tabs::align;
use crate::client::{print, record};

pub(super) fn list(context: &Context) -> Result<()> {
    let Some(paths) = &context.paths else {
        return Err(Failure::refused(
            "name a pod: what is kept of pods that are gone is on their own machine",
        ));
    };
    let dir = journal::kept_dir(&paths.data_dir);
    let kept =
        journal::kept(&paths.data_dir).map_err(|error| Failure::said(record::unreadable(&dir, &error)))?;
    let now = record::now();
    let mut lines = String::from("NAMESPACE\tNAME\tOUTCOME\tREMOVED\tUID\n");
    let mut any = false;
    for kept in kept.iter().rev() {
        let Ok(found) = kubelet::read_record(&kept.dir, now) else { continue };
        let Pod { namespace, name, uid, .. } = &found.pod;
        if context.explicit_namespace.as_ref().is_some_and(|wanted| wanted != namespace) {
            continue;
        }
        any = true;
        let outcome = match &found.observed.finished {
            Some(finished) if finished.succeeded => "Succeeded".to_owned(),
            Some(finished) => finished.reason.clone().unwrap_or_else(|| "Failed".to_owned()),
            None => "stopped".to_owned(),
        };
        let ago = BootTime(now.wall.0).since(BootTime(kept.removed.0));
        lines.push_str(&format!("{namespace}\t{name}\t{outcome}\t{} ago\t{uid}\n", human_duration(ago)));
    }
    if !any {
        print::note(format_args!("No pods that are gone are kept."));
        return Ok(());
    }
    print::text(&align(&lines))
}
