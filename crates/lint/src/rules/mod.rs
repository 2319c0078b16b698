//! The rules, by what they are about.

mod hosts;
mod jobs;
mod old;
mod paths;
mod ports;
mod resources;
mod sidecars;
mod start;
mod stop;
mod volumes;

use crate::finding::{Context, Finding};
use crate::pod::Pod;

type Check = fn(&Pod<'_>, &Context, &mut Vec<Finding>);

pub(crate) const CHECKS: [Check; 10] = [
    volumes::check,
    paths::check,
    sidecars::check,
    hosts::check,
    ports::check,
    start::check,
    stop::check,
    resources::check,
    jobs::check,
    old::check,
];
