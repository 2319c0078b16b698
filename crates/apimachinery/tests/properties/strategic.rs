//! Strategic merge patch.

use api_schema::Schema;
use apimachinery::patch::{json_patch, merge_patch, strategic_merge};
use serde_json::{Value, json};

use crate::draw::Draw;
use crate::two_way;

const ROUNDS: u64 = 1_000;

#[test]
fn a_patch_from_one_object_to_another_leads_there() {
    let ty = Schema::get().kind("", "v1", "Pod").unwrap();
    for seed in 0..ROUNDS {
        let mut draw = Draw(seed);
        let (from, to) = (draw.pod(), draw.pod());
        let patch = two_way::patch(Some(ty), from.as_object().unwrap(), to.as_object().unwrap());
        let patch = Value::Object(patch);
        let patched = strategic_merge(ty, &from, &patch).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        assert_eq!(patched, to, "seed {seed}: {patch}");
        // And changes nothing when one is there.
        let again = strategic_merge(ty, &patched, &patch).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        assert_eq!(again, to, "seed {seed}: {patch}");
    }
}

/// A patch that is a whole object leaves what it does not name, and has all it names.
#[test]
fn a_whole_object_as_a_patch_adds() {
    let ty = Schema::get().kind("", "v1", "Pod").unwrap();
    for seed in 0..ROUNDS {
        let mut draw = Draw(seed);
        let (from, patch) = (draw.pod(), draw.pod());
        let patched = strategic_merge(ty, &from, &patch).unwrap();
        assert_eq!(strategic_merge(ty, &patched, &patch).unwrap(), patched, "seed {seed}");
        let names = |object: &Value| -> Vec<String> {
            let containers = object["spec"]["containers"].as_array().unwrap();
            containers.iter().map(|c| c["name"].to_string()).collect()
        };
        let (all, before, added) = (names(&patched), names(&from), names(&patch));
        assert!(before.iter().chain(&added).all(|name| all.contains(name)), "seed {seed}");
        assert!(all.iter().all(|name| before.contains(name) || added.contains(name)), "seed {seed}");
        let in_order: Vec<&String> = all.iter().filter(|name| added.contains(name)).collect();
        assert_eq!(in_order, added.iter().collect::<Vec<_>>(), "seed {seed}");
    }
}

/// Patches with parts in places where they make no sense are patches or errors.
#[test]
fn hostile_patches() {
    let ty = Schema::get().kind("", "v1", "Pod").unwrap();
    let parts = [
        json!(null),
        json!(1),
        json!("x"),
        json!([]),
        json!([[]]),
        json!([1, "x", {}]),
        json!({}),
        json!({"$patch": "delete"}),
        json!({"$patch": {}}),
        json!({"$retainKeys": [{}], "$setElementOrder/x": [], "$deleteFromPrimitiveList/y": {}}),
        json!([{"name": "a", "$patch": "delete"}, {"$patch": "replace"}]),
        json!([{"op": "move", "from": "/spec", "path": "/spec/containers"}, {"op": "add", "path": "", "value": 1}]),
        json!([{"op": "copy", "from": "", "path": "/x"}, {"op": "test", "path": "", "value": {}}]),
        json!({"apiVersion": "v1", "kind": [], "metadata": {"managedFields": [{}]}}),
    ];
    for seed in 0..ROUNDS {
        let mut draw = Draw(seed);
        let (mut object, mut patch) = (draw.pod(), draw.pod());
        for target in [&mut object, &mut patch] {
            let at = [
                "/spec",
                "/spec/containers",
                "/spec/containers/0",
                "/metadata",
                "/metadata/finalizers",
                "/spec/volumes",
                "",
            ];
            let part = parts[draw.below(parts.len())].clone();
            if let Some(target) = target.pointer_mut(at[draw.below(at.len())]) {
                *target = part;
            }
        }
        // None of these panics; what they give is not said.
        drop(strategic_merge(ty, &object, &patch));
        drop(merge_patch(&object, &patch));
        drop(json_patch(&object, &patch));
        let writer = crate::apply::writer("m", 1);
        drop(apimachinery::apply::apply(ty, Some(&object), &patch, &writer, seed % 2 == 0));
        drop(apimachinery::apply::track_update(ty, Some(&object), patch, &writer));
    }
}
