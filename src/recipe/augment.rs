//! Changes to a batch beyond crops and flips, and to its targets with it.

use serde::{Deserialize, Serialize};

/// What is done to a batch before it is attacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Side of a black square at a random place, clipped at the border (DeVries and Taylor 2017); 0: none.
    pub cutout: usize,
    /// Two images are blended by `Beta(mixup, mixup)` (Zhang et al. 2018); 0: none.
    pub mixup: f64,
    /// A rectangle of another image, of area `1 - Beta(cutmix, cutmix)` (Yun et al. 2019), one for the batch; 0: none.
    pub cutmix: f64,
    /// Share of the batches that are mixed; where both ways are on, a coin decides between them.
    pub share: f64,
}

impl Augment {
    /// Nothing.
    pub const NONE: Augment = Augment { cutout: 0, mixup: 0.0, cutmix: 0.0, share: 0.0 };

    /// Whether targets become shares of two classes.
    pub fn mixes(&self) -> bool {
        self.share > 0.0 && (self.mixup > 0.0 || self.cutmix > 0.0)
    }

    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        let Augment { mixup, cutmix, share, .. } = *self;
        let amounts = [("mixup", mixup), ("cutmix", cutmix)];
        let bad = amounts.into_iter().find(|(_, a)| !(*a >= 0.0 && a.is_finite()));
        if let Some((key, amount)) = bad {
            return Some((key, format!("must be at least 0, got {amount}")));
        }
        if !(0.0..=1.0).contains(&share) {
            return Some(("share", format!("must be from 0 to 1, got {share}")));
        }
        let lost = share == 0.0 && (mixup > 0.0 || cutmix > 0.0);
        lost.then(|| ("share", "is 0, so that no batch is mixed: write 1 for every batch".to_owned()))
    }
}
