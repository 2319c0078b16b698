//! Draws pods that have much in common, so that patches between them do everything patches can do.

use serde_json::{Map, Value, json};

/// Random numbers that are always the same (SplitMix64).
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 16).unwrap_or(0) % bound
    }

    fn chance(&mut self) -> bool {
        self.below(2) == 0
    }

    fn one_of(&mut self, texts: &[&str]) -> String {
        texts[self.below(texts.len())].to_owned()
    }

    /// Some of the texts, in any order; never none.
    fn some_of(&mut self, texts: &[&str]) -> Vec<String> {
        let mut left = texts.to_vec();
        let count = 1 + self.below(texts.len());
        (0..count).map(|_| left.remove(self.below(left.len())).to_owned()).collect()
    }

    pub(crate) fn pod(&mut self) -> Value {
        let mut metadata = Map::new();
        metadata.insert("name".to_owned(), "p".into());
        if self.chance() {
            let labels = self.some_of(&["a", "b", "c"]);
            let labels = labels.into_iter().map(|key| (key, self.one_of(&["1", "2"]).into()));
            metadata.insert("labels".to_owned(), Value::Object(labels.collect()));
        }
        if self.chance() {
            metadata.insert("finalizers".to_owned(), self.some_of(&["a/1", "b/1", "c/1", "d/1"]).into());
        }
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": self.spec()})
    }

    fn spec(&mut self) -> Value {
        let mut spec = Map::new();
        let names = self.some_of(&["a", "b", "c", "d"]);
        let containers: Vec<Value> = names.iter().map(|name| self.container(name)).collect();
        spec.insert("containers".to_owned(), containers.into());
        if self.chance() {
            let names = self.some_of(&["v", "w", "x"]);
            let volumes: Vec<Value> = names.iter().map(|name| self.volume(name)).collect();
            spec.insert("volumes".to_owned(), volumes.into());
        }
        if self.chance() {
            spec.insert("nodeName".to_owned(), self.one_of(&["n", "m"]).into());
        }
        if self.chance() {
            let keys = self.some_of(&["k", "l"]);
            let tolerations: Vec<Value> = keys.iter().map(|key| json!({ "key": key })).collect();
            spec.insert("tolerations".to_owned(), tolerations.into());
        }
        if self.chance() {
            let options = json!({"runAsUser": self.below(3)});
            spec.insert("securityContext".to_owned(), options);
        }
        Value::Object(spec)
    }

    fn container(&mut self, name: &str) -> Value {
        let mut container = json!({"name": name, "image": self.one_of(&["1", "2", "3"])});
        if self.chance() {
            container["command"] = self.some_of(&["x", "y", "z"]).into();
        }
        if self.chance() {
            let names = self.some_of(&["A", "B", "C"]);
            let env = names.iter().map(|name| json!({"name": name, "value": self.one_of(&["1", "2"])}));
            container["env"] = env.collect();
        }
        if self.chance() {
            let numbers = self.some_of(&["80", "81"]);
            let ports = numbers.iter().map(|number| {
                json!({"containerPort": number.parse::<u16>().unwrap_or(1), "name": self.one_of(&["p", "q"])})
            });
            container["ports"] = ports.collect();
        }
        container
    }

    fn volume(&mut self, name: &str) -> Value {
        if self.chance() {
            json!({"name": name, "emptyDir": {"medium": self.one_of(&["Memory", "HugePages"])}})
        } else {
            json!({"name": name, "hostPath": {"path": self.one_of(&["/a", "/b"])}})
        }
    }
}
