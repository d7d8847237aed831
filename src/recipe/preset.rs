//! Methods by a word, with their usual constants.

use std::str::FromStr;

use super::Method;
use crate::error::nearest;
use crate::threat::AttackNorm;
use crate::units::Fraction;

/// The words of presets, for messages and help.
pub const PRESETS: &str = "standard, n-fgsm, pgd-STEPS (such as pgd-10), trades";

const EPS: Fraction = Fraction::of_255(8);
const STEP: Fraction = Fraction::of_255(2);
/// A method with its usual constants: radius 8/255, steps of 2/255, N-FGSM's noise of twice the radius, TRADES' ten
/// steps and beta 6. PGD attacks on running statistics, as in the space files; the other two leave no choice.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// The word on the command line and in results.
    pub word: String,
    /// The method.
    pub method: Method,
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let steps = |text: &str| text.strip_prefix("pgd-").and_then(|n| n.parse().ok()).filter(|n: &u32| *n > 0);
        let method = match (text, steps(text)) {
            ("standard", _) => Method::Standard,
            ("n-fgsm", _) => Method::NFgsm { eps: EPS, noise: "2".parse()? },
            ("trades", _) => Method::Trades { eps: EPS, step: STEP, steps: 10, beta: 6.0 },
            (_, Some(steps)) => Method::PgdAt { eps: EPS, step: STEP, steps, attack_norm: AttackNorm::Eval },
            _ => {
                let hint = nearest(text, ["standard", "n-fgsm", "pgd-10", "trades"]);
                let hint = hint.map(|word| format!("did you mean `{word}`? ")).unwrap_or_default();
                return Err(format!("unknown method `{text}`; {hint}known: {PRESETS}"));
            }
        };
        Ok(Preset { word: text.to_owned(), method })
    }
}
