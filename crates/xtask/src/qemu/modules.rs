//! Modules of the guest's kernel, each with those that it needs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::shell::run;

/// What pods need of the kernel that this kernel does not have in itself: layers, and the pod network with its rules.
const WANTED: [&str; 12] = [
    "overlay",
    "veth",
    "dummy",
    "nf_tables",
    "nf_conntrack_netlink",
    "nft_chain_nat",
    "nft_ct",
    "nft_fib_inet",
    "nft_masq",
    "nft_nat",
    "nft_numgen",
    "nft_reject_inet",
];
/// In a module's section `.modinfo`, which is texts that end with a zero.
const DEPENDS: &[u8] = b"\0depends=";

#[derive(PartialEq, Eq, Debug)]
pub(super) struct Module {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// Those of a kernel's package, in the order in which they can be loaded. `dir` is for what is unpacked meanwhile.
pub(super) fn collect(tree: &Path, dir: &Path) -> Result<Vec<Module>> {
    let mut files = BTreeMap::new();
    index(tree, &mut files)?;
    let mut read = |name: &str| {
        let file = files.get(name).with_context(|| format!("no module {name} below {}", tree.display()))?;
        plain(file, dir)
    };
    let mut modules = Vec::new();
    for name in WANTED {
        add(name, &mut vec![], &mut modules, &mut read)?;
    }
    Ok(modules)
}

/// Adds the module after those it depends on. `waiting` are those that wait for it.
fn add(
    name: &str,
    waiting: &mut Vec<String>,
    modules: &mut Vec<Module>,
    read: &mut impl FnMut(&str) -> Result<Vec<u8>>,
) -> Result<()> {
    if modules.iter().any(|module| module.name == name) {
        return Ok(());
    }
    ensure!(!waiting.iter().any(|other| other == name), "module {name} depends on itself: {waiting:?}");
    let bytes = read(name)?;
    waiting.push(name.to_owned());
    for other in depends(&bytes) {
        add(&other, waiting, modules, read)?;
    }
    waiting.pop();
    modules.push(Module { name: name.to_owned(), bytes });
    Ok(())
}

/// The names of the modules that must be there first, as the module itself says.
fn depends(module: &[u8]) -> Vec<String> {
    let at = module.windows(DEPENDS.len()).position(|window| window == DEPENDS);
    let rest = at.map_or(&[][..], |at| &module[at + DEPENDS.len()..]);
    let names = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(names);
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Every module's file by its name, in which `-` and `_` are the same.
fn index(dir: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            index(&path, files)?;
            continue;
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(name) = name.strip_suffix(".ko").or_else(|| name.strip_suffix(".ko.xz")) {
            files.insert(name.replace('-', "_"), path);
        }
    }
    Ok(())
}

/// The module as the kernel loads it; some kernels' packages have it compressed.
fn plain(file: &Path, dir: &Path) -> Result<Vec<u8>> {
    let compressed = file.extension().is_some_and(|extension| extension == "xz");
    let unpacked = dir.join("module.ko");
    if compressed {
        let script = "exec xz -dc \"$1\" > \"$2\"";
        run(Command::new("sh").args(["-c", script, "sh"]).arg(file).arg(&unpacked))?;
    }
    let plain = if compressed { &unpacked } else { file };
    fs::read(plain).with_context(|| format!("cannot read {}", plain.display()))
}

#[cfg(test)]
mod tests {
    use super::{add, depends};
    use anyhow::{Context, Result};

    #[test]
    fn a_module_says_what_it_needs() {
        let module = b"\x7fELF..\0license=GPL\0depends=nf_tables,nf_nat\0name=nft_nat\0";
        assert_eq!(depends(module), ["nf_tables", "nf_nat"]);
        assert_eq!(depends(b"license=GPL\0depends=\0name=veth\0"), [""; 0]);
        assert_eq!(depends(b"no information"), [""; 0]);
    }

    #[test]
    fn each_module_comes_once_and_after_what_it_needs() {
        let all = [("a", "b,c"), ("b", "c"), ("c", ""), ("d", "e"), ("e", "d"), ("f", "gone")];
        let mut read = |name: &str| -> Result<Vec<u8>> {
            let (_, depends) = all.iter().find(|(found, _)| *found == name).context("no such module")?;
            Ok(format!("\0depends={depends}\0").into_bytes())
        };
        let mut modules = vec![];
        add("a", &mut vec![], &mut modules, &mut read).unwrap();
        add("c", &mut vec![], &mut modules, &mut read).unwrap();
        let names: Vec<_> = modules.iter().map(|module| module.name.as_str()).collect();
        assert_eq!(names, ["c", "b", "a"]);
        for (name, said) in [("d", "depends on itself"), ("f", "no such module")] {
            let error = add(name, &mut vec![], &mut modules, &mut read).unwrap_err();
            assert!(error.to_string().contains(said), "{error:#}");
        }
    }
}
