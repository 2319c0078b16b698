//! ClusterRoles that are sums of others follow those.

use authorization::aggregated_rules;
use serde_json::Value;
use store::Store;

use super::feed::{Feed, Seen};
use super::write::{edit, kind, log};
use crate::objects;

const PART: &str = "clusterrole-aggregation-controller";
/// A sum of sums of sums: each round settles one level.
const ROUNDS_MAX: usize = 8;

pub(super) async fn run(store: Store) {
    let mut feed = Feed::new(&store, kind("rbac.authorization.k8s.io", "clusterroles"));
    loop {
        match feed.next().await {
            Seen::Again => {}
            Seen::Present(..) | Seen::Gone(_) => settle(&store).await,
        }
    }
}

async fn settle(store: &Store) {
    let roles = kind("rbac.authorization.k8s.io", "clusterroles");
    for _ in 0..ROUNDS_MAX {
        let listed = store.list(roles.stored(), None, None, None, |_| true).objects;
        let all: Vec<Value> = listed.iter().filter_map(|object| objects::value(object).ok()).collect();
        let mut changed = false;
        for (object, role) in listed.iter().zip(&all) {
            let Some(rules) = aggregated_rules(role, &all).filter(|rules| role["rules"] != *rules) else {
                continue;
            };
            changed = true;
            let set = edit(store, roles, object.key.clone(), object.uid.clone(), move |role| {
                role["rules"] = rules;
                true
            });
            log(PART, &object.key, set.await.map(|_| ()));
        }
        if !changed {
            return;
        }
    }
}
