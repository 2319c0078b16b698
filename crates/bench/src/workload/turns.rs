//! Who is measured takes turns, every second round in the opposite order, so that whatever else the machine does meets all of them.

use anyhow::{Context, Result};

use super::Size;
use super::api::ms;
use crate::report::Row;

/// Times by the names of their rows, in nanoseconds.
pub(super) type Took = Vec<(String, i64)>;

/// Each of `turns` is one as often in a round, one right after the other. The round is the second argument of `act`.
pub(super) fn take_turns<T: Copy>(
    turns: &[(T, usize)],
    rounds: usize,
    mut act: impl FnMut(T, usize) -> Result<()>,
) -> Result<()> {
    (0..rounds).try_for_each(|round| in_order(turns, round).into_iter().try_for_each(|turn| act(turn, round)))
}

/// [`take_turns`], of which the first ones warm up; all others are samples of `rows`, which are in milliseconds.
pub(super) fn measure_in_turns<T: Copy>(
    turns: &[(T, usize)],
    size: Size,
    rounds: usize,
    rows: &mut [Row],
    mut measure: impl FnMut(T) -> Result<Took>,
) -> Result<()> {
    take_turns(turns, size.warm_up() + rounds, |turn, round| {
        let took = measure(turn)?;
        if round < size.warm_up() {
            return Ok(());
        }
        took.into_iter().try_for_each(|(name, ns)| add_sample(rows, &name, ms(ns)))
    })
}

pub(super) fn add_sample(rows: &mut [Row], name: &str, sample: f64) -> Result<()> {
    let row = rows.iter_mut().find(|row| row.name == name);
    row.with_context(|| format!("no row {name}"))?.samples.push(sample);
    Ok(())
}

fn in_order<T: Copy>(turns: &[(T, usize)], round: usize) -> Vec<T> {
    let mut order: Vec<T> =
        turns.iter().flat_map(|(turn, times)| std::iter::repeat_n(*turn, *times)).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use anyhow::{Result, bail};

    use super::{Size, measure_in_turns, take_turns};
    use crate::report::Row;

    #[test]
    fn every_second_round_is_the_other_way_round() {
        let mut taken = String::new();
        let done = take_turns(&[('a', 2), ('b', 1), ('c', 0)], 3, |turn, round| {
            taken.push_str(&format!("{turn}{round} "));
            Ok(())
        });
        done.unwrap();
        assert_eq!(taken, "a0 a0 b0 b1 a1 a1 a2 a2 b2 ");
    }

    #[test]
    fn rounds_that_warm_up_are_no_samples() {
        let mut rows = [Row::new("a", "", "ms"), Row::new("b", "", "ms")];
        let mut ns = 0;
        let mut took = |name: &str| -> Result<_> {
            ns += 1_000_000;
            Ok(vec![(name.to_owned(), ns)])
        };
        measure_in_turns(&[("a", 1), ("b", 1)], Size::Quick, 2, &mut rows, &mut took).unwrap();
        assert_eq!(rows.map(|row| row.samples), [vec![4.0, 5.0], vec![3.0, 6.0]]);
    }

    #[test]
    fn a_failure_and_a_name_without_a_row_end_it() {
        let mut rows = [Row::new("a", "", "ms")];
        let mut count = 0;
        let failed = measure_in_turns(&[("a", 3)], Size::Quick, 1, &mut rows, |_| {
            count += 1;
            bail!("broken")
        });
        assert_eq!((failed.unwrap_err().to_string().as_str(), count), ("broken", 1));
        let other = |_| Ok(vec![("other".to_owned(), 1)]);
        let failed = measure_in_turns(&[("a", 1)], Size::Quick, 1, &mut rows, other);
        assert_eq!(failed.unwrap_err().to_string(), "no row other");
    }
}
