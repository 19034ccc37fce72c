//! What was measured in several rounds, as one number and its spread.

/// A median, and the half of all values that is nearest to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Sample {
    /// # Panics
    /// Without values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let quantile = |share: f64| {
            let place = share * (values.len() - 1) as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Sample { median: quantile(0.5), low: quantile(0.25), high: quantile(0.75) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wild_value_moves_nothing_much() {
        let sample = Sample::of([3.0, 900.0, 1.0, 4.0, 2.0]);
        assert_eq!(sample, Sample { median: 3.0, low: 2.0, high: 4.0 });
        assert_eq!(Sample::of([7.0]), Sample { median: 7.0, low: 7.0, high: 7.0 });
        assert_eq!(Sample::of([1.0, 2.0]).median, 1.5);
    }
}
