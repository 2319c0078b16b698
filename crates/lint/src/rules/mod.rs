//! The rules, by what they are about.

mod hosts;
mod paths;
mod sidecars;
mod volumes;

use crate::finding::{Context, Finding};
use crate::pod::Pod;

type Check = fn(&Pod<'_>, &Context, &mut Vec<Finding>);

pub(crate) const CHECKS: [Check; 4] = [volumes::check, paths::check, sidecars::check, hosts::check];
