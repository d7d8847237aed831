//! What a job works at, one thing after another.

use std::fmt;

use serde::Serialize;

use crate::arch::file::short;
use crate::record::Origin;
use crate::units::Macs;

/// A part of a job that has a beginning and an end. Its JSON names whose a checkpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Task {
    /// The supernet's search.
    Search,
    /// A candidate's training.
    Train {
        /// Its id.
        arch: String,
        /// Its budget.
        budget: Macs,
        /// Its origin.
        origin: Origin,
    },
    /// The ranked candidates on the test images, a step each.
    Test,
    /// The training of a network that was named.
    Network,
    /// A network of a population.
    Member {
        /// Its space.
        space: String,
        /// Its number there.
        index: u64,
    },
    /// A training of a study, or of a search that tries networks.
    #[serde(rename = "study")]
    Trial {
        /// Of what: `random 3, training 0`.
        name: String,
    },
}

impl fmt::Display for Task {
    /// A short name: `search`, `4M searched 9242d587`, `regnet 3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Task::Search => f.write_str("search"),
            Task::Train { arch, budget, origin } => {
                write!(f, "{budget} {} {}", origin.word(), short(arch))
            }
            Task::Test => f.write_str("test"),
            Task::Network => f.write_str("train"),
            Task::Member { space, index } => write!(f, "{space} {index}"),
            Task::Trial { name } => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Checkpoints of earlier versions are found by these.
    #[test]
    fn the_names_of_checkpoints_stay() {
        let origin = Origin::Random { genotype: 2 };
        let task = Task::Train { arch: "0123456789abcdef".into(), budget: Macs(4_000_000), origin };
        let origin = json!({"origin": "random", "genotype": 2});
        let stored = json!({"stage": "train", "arch": "0123456789abcdef", "budget": 4_000_000, "origin": origin});
        assert_eq!(serde_json::to_value(&task).unwrap(), stored);
        assert_eq!(serde_json::to_value(Task::Search).unwrap(), json!({"stage": "search"}));
        assert_eq!(task.to_string(), "4.00M random 01234567");
    }
}
