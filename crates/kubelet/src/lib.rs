//! One loop per pod: observe, plan, apply.
