//! What pods and nodes use, as metrics-server shows it.

use podspec::json::{list, text};
use podspec::quantity::Quantity;
use serde_json::Value;

use super::{NAME, Printed, name};
use crate::kinds::Column;

pub static NODE_METRICS: Printed = Printed {
    columns: const { &[NAME, CPU, MEMORY, WINDOW] },
    cells: |object, _| cells(object, std::slice::from_ref(object)),
};

pub static POD_METRICS: Printed = Printed {
    columns: const { &[NAME, CPU, MEMORY, WINDOW] },
    cells: |object, _| cells(object, list(object, "containers")),
};

const CPU: Column = quantity("cpu", "Processors, on average over the window");
const MEMORY: Column = quantity("memory", "Memory that could not be dropped at once");
const WINDOW: Column = Column {
    name: "Window",
    ty: "string",
    format: "duration",
    priority: 0,
    description: "How long the use of processors was observed",
};

const fn quantity(name: &'static str, description: &'static str) -> Column {
    Column { name, ty: "string", format: "quantity", priority: 0, description }
}

fn cells(object: &Value, measured: &[Value]) -> Vec<Value> {
    let sum = |resource| {
        let amounts = measured.iter().filter_map(|of| Quantity::parse(text(&of["usage"], resource)).ok());
        amounts.fold(Quantity::from_units(0), Quantity::plus).to_string()
    };
    vec![name(object), sum("cpu").into(), sum("memory").into(), object["window"].clone()]
}
