//! The average of a network's weights in the course of a training.

use candle_core::Tensor;

use super::vectors::blend;
use crate::engine::Network;
use crate::error::Result;
use crate::recipe::{Average, AveragedStatistics};

/// An average at work.
pub struct Averaged {
    rule: Average,
    /// All numbers, the running statistics among them, `[layout.len()]`.
    numbers: Tensor,
    /// Updates so far, from the epoch on in which it begins.
    updates: u64,
}

impl Averaged {
    /// An average that is the network as it stands.
    ///
    /// # Errors
    /// [`crate::error::Error::Tensor`] where memory does not suffice.
    pub fn new(rule: Average, network: &Network) -> Result<Self> {
        Ok(Averaged { rule, numbers: network.state().copy()?, updates: 0 })
    }

    /// Takes the network in, behind a step of an epoch.
    ///
    /// # Errors
    /// As [`Averaged::new`].
    pub fn update(&mut self, network: &Network, epoch: u32) -> Result<()> {
        let begun = epoch >= self.rule.from();
        let kept = if begun { self.rule.kept(self.updates) } else { 0.0 };
        self.updates += u64::from(begun);
        let trainable = network.layout().trainable();
        let tail = network.layout().len() - trainable;
        let part = |t: &Tensor, from, len| t.narrow(0, from, len);
        blend(&part(&self.numbers, 0, trainable)?, kept, &part(network.state(), 0, trainable)?, 1.0 - kept)?;
        if tail > 0 {
            let kept = match self.rule.statistics() {
                AveragedStatistics::Average => kept,
                AveragedStatistics::Copy => 0.0,
            };
            blend(&part(&self.numbers, trainable, tail)?, kept, &part(network.state(), trainable, tail)?, 1.0 - kept)?;
        }
        Ok(())
    }

    /// All its numbers, `[layout.len()]`.
    pub fn numbers(&self) -> &Tensor {
        &self.numbers
    }

    /// How many updates it had.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Takes up saved numbers.
    pub fn restore(&mut self, numbers: Tensor, updates: u64) {
        (self.numbers, self.updates) = (numbers, updates);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::op::Shape;
    use crate::model;
    use crate::seed::Seed;
    use candle_core::Device;

    fn network() -> Network {
        let net = model::named("wrn:channels=4-4-4-4,depths=1-1-1", Shape::new(8, 8, 3), 3).unwrap();
        Network::new(net, Seed::root(1), &Device::Cpu).unwrap()
    }

    /// Sets every number of the network to a value, of a weight and of a statistic.
    fn averages(rule: Average, epochs: &[(u32, f64)]) -> (f64, f64) {
        let mut network = network();
        let set = |network: &mut Network, value: f64| {
            let numbers = Tensor::full(value as f32, network.layout().len(), &Device::Cpu).unwrap();
            network.set_state(&numbers).unwrap();
        };
        set(&mut network, 0.0);
        let mut average = Averaged::new(rule, &network).unwrap();
        for (epoch, value) in epochs {
            set(&mut network, *value);
            average.update(&network, *epoch).unwrap();
        }
        let numbers: Vec<f32> = average.numbers().to_vec1().unwrap();
        (f64::from(numbers[0]), f64::from(numbers[numbers.len() - 1]))
    }

    /// By hand: 0.1 and 2/11 are kept by the warm-up.
    #[test]
    fn an_exponential_average_with_warm_up() {
        let statistics = AveragedStatistics::Copy;
        let rule = Average::Ema { decay: 0.15, warmup: true, from: 0, statistics };
        let (weight, statistic) = averages(rule, &[(0, 1.0), (0, 2.0)]);
        // 0.9, then 0.15 of it and 0.85 of 2.
        assert!((weight - (0.15 * 0.9 + 0.85 * 2.0)).abs() < 1e-6, "{weight}");
        assert_eq!(statistic, 2.0);
        let rule = Average::Ema { decay: 0.5, warmup: false, from: 0, statistics: AveragedStatistics::Average };
        assert_eq!(averages(rule, &[(0, 1.0), (0, 2.0)]), (1.25, 1.25));
    }

    /// Before its epoch it is the network; from there the mean.
    #[test]
    fn a_mean_of_the_last_epochs() {
        let rule = Average::Swa { from: 1, statistics: AveragedStatistics::Average };
        assert_eq!(averages(rule, &[(0, 7.0)]), (7.0, 7.0));
        let (weight, statistic) = averages(rule, &[(0, 7.0), (1, 1.0), (1, 2.0), (2, 6.0)]);
        assert!((weight - 3.0).abs() < 1e-6 && (statistic - 3.0).abs() < 1e-6, "{weight} {statistic}");
    }
}
