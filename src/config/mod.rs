//! A space file, resolved: every value checked, every default filled in.
//!
//! One TOML file describes a whole job: the cells and their choices, the search, the scaling, the retraining and the
//! evaluation. Each struct here is a table of that file; every key is required unless marked.

mod check;
mod doc;
mod evaluate;
mod parse;
pub mod population;
mod retrain;
pub mod strategy;
pub mod study;
pub mod train;

pub use doc::Setting;

use serde::{Deserialize, Serialize};

use crate::arch::cell::CellOp;
use crate::arch::families::cells::{MixLayout, Normalize, Placement, Skeleton};
use crate::arch::op::Shape;
pub use crate::arch::scaling::Scaling;
use crate::arch::scaling::{STAGES, StageCells};
use crate::error::{Error, Result};
use crate::recipe::{Adam, Recipe, Sgd, SingleStep};
use crate::threat::{Attack, AttackNorm, AttackPlan, Pgd};
use crate::units::Macs;

/// A resolved space file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// A word for the job; part of default folder names.
    pub name: String,
    /// Default data source (`synthetic`), overridden by `--data`.
    pub data: String,
    /// MAC budgets, ascending; overridden by `--budgets`.
    pub budgets: Vec<Macs>,
    /// The run's seed; overridden by `--seed`.
    pub seed: u64,
    /// Layer 0; absent: pixels are not normalised.
    pub normalize: Option<Normalize>,
    /// The sequence and the widths of cells.
    pub placement: Placement,
    /// The choices of each kind of cell.
    pub cells: Vec<CellChoices>,
    /// `[split]`.
    pub split: Split,
    /// `[supernet]`.
    pub supernet: Supernet,
    /// `[search]`.
    pub search: Search,
    /// `[derive]`.
    pub derive: Derive,
    /// `[scaling]`.
    pub scaling: Scaling,
    /// `[retrain]`: how candidates are trained.
    #[serde(serialize_with = "retrain::serialize")]
    pub retrain: Recipe,
    /// `[evaluate]`.
    pub evaluate: Evaluate,
    /// `[study]` (optional): what `robustnas study` does with the space.
    pub study: Option<study::Study>,
}

/// `[[cells]]`: one kind of cell and the candidates of its edges.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CellChoices {
    /// The kind's name.
    pub kind: String,
    /// Intermediate nodes.
    pub nodes: usize,
    /// Operations of every edge that `edges` does not list.
    pub ops: Vec<CellOp>,
    /// Edges with operations of their own, or with fewer (an empty list removes the edge): `"0->3" = ["skip_connect"]`.
    pub edges: Vec<EdgeChoices>,
    /// States whose channels are the cell's output.
    pub concat: Vec<usize>,
}

/// An edge with a choice of its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EdgeChoices {
    /// Source state.
    pub from: usize,
    /// Target state.
    pub to: usize,
    /// Operations.
    pub ops: Vec<CellOp>,
}

/// How the training images are divided; validation and architecture samples never train the weights that they evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Training images used at all; 0 means every one.
    pub train: usize,
    /// Of these, held out for ranking candidates.
    pub validation: usize,
    /// Of the rest, the share that trains the supernet's weights; the other part trains the architecture.
    pub weights_share: f64,
    /// Test images used in the final table; 0 means every one.
    pub test: usize,
    /// Zero padding before a random crop back to size; 0 turns cropping off.
    pub crop_pad: usize,
    /// Whether images are mirrored at random.
    pub flip: bool,
}

/// The supernet's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Supernet {
    /// Channels `C` of the first stage.
    pub channels: usize,
    /// Cells.
    pub layers: usize,
    /// `K` (optional; 1): one `K`-th of the channels goes through the operations, as in PC-DARTS.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub partial: usize,
}

/// All channels.
fn whole() -> usize {
    1
}

fn is_whole(partial: &usize) -> bool {
    *partial == whole()
}

/// First or second order in the bilevel step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The gradient at the current weights.
    First,
    /// One virtual weight step; the Hessian-vector product by central differences.
    Second,
}

/// The search: how it chooses, and the constants of the two-stage search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// How networks are chosen (optional; two-stage). The keys of this table are the two-stage search's; the other strategies
    /// read `trials` alone.
    #[serde(default, skip_serializing_if = "is_two_stage")]
    pub strategy: strategy::Method,
    /// Trainings by which it chooses (optional for two-stage, which without them takes what the supernet selects).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trials: Option<strategy::Trials>,
    /// Passes over the weight half of the search data.
    pub epochs: u32,
    /// The first of them in stage one (adversarial loss alone); the rest are stage two.
    pub stage_one_epochs: u32,
    /// The first of them that train the weights only.
    pub warmup_epochs: u32,
    /// Images a step.
    pub batch: usize,
    /// First or second order.
    pub order: Order,
    /// Factor on the adversarial objective in stage two.
    pub lambda: f64,
    /// The inner attack.
    pub attack: Pgd,
    /// Batch-norm while attacking.
    pub attack_norm: AttackNorm,
    /// One step from noise or not, as recipes have it, in place of `attack` (optional).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub single_step: Option<SingleStep>,
    /// When the architecture is taken back and stays (optional; never).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collapse: Option<Collapse>,
    /// SGD on the weights.
    pub weights: Sgd,
    /// Adam on the architecture.
    pub arch: Adam,
    /// Standard deviation of the initial architecture parameters.
    pub arch_init: f64,
    /// Images of the architecture half on which each epoch's accuracies are measured.
    pub probe: usize,
}

/// Images on which a genotype is selected where a file does not say.
pub const JUDGED: usize = 500;

fn judged() -> usize {
    JUDGED
}

/// What counts as a collapse of the search, looked at behind each epoch whose architecture moved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collapse {
    /// The largest share of operations without weights (pools, skips) that the arg-max genotype of a kind of cell may have
    /// (optional).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weightless: Option<f64>,
    /// The least share that the dominant eigenvalue of the architecture's Hessian, averaged over five epochs, may be of that
    /// five epochs later (optional; .75 in R-DARTS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eigenvalue: Option<f64>,
}

fn is_two_stage(method: &strategy::Method) -> bool {
    *method == strategy::Method::TwoStage
}

/// How a genotype is selected from a supernet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Select {
    /// What the supernet loses most without, operation by operation and edge by edge (DARTS-PT).
    #[default]
    Perturb,
    /// The largest architecture parameters: the paper's rule, and DARTS'.
    Argmax,
}

/// From the supernet to genotypes, and the controls beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derive {
    /// Genotypes that are searched for at each budget: the best of the trials; without trials the selected one and seeded
    /// samples of the edge distributions.
    pub genotypes: u32,
    /// How the supernet's first genotype is selected (optional; perturb).
    #[serde(default)]
    pub select: Select,
    /// Images of the architecture half on which it is selected, the first ones (optional; 500).
    #[serde(default = "judged")]
    pub images: usize,
    /// Incoming edges kept per node.
    pub edges_per_node: usize,
    /// Control: random genotypes.
    pub random: u32,
    /// Control: a hand-made residual network of the same MACs.
    pub hand_made: bool,
}

/// How candidates are measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evaluate {
    /// Images a pass.
    pub batch: usize,
    /// Whether small attacks look for masked gradients (optional; false). They cost about 75 forward passes of 64
    /// images.
    pub probe: bool,
    /// Whether each network is timed on this machine (optional; false). Times are the one part of a run that another
    /// run of the same seed does not repeat.
    pub time: bool,
    /// Gradients averaged for one, against randomised networks (optional; 1, or that of the plans).
    pub gradient_samples: u32,
    /// The attacks, each on all images that are right clean; ranking uses their worst case.
    ///
    /// The file has a list of tables with all constants, of names (`"autoattack"`, `"pgd-20"`, whatever
    /// `robustnas attack --plan` takes) and of plan files, or one name alone. Names mean the ball of the optional keys
    /// `norm` (linf) and `eps` (8/255 under linf); paths are relative to the working directory.
    pub attacks: Vec<Attack>,
}

impl Evaluate {
    /// The plan by which networks are measured.
    pub fn plan(&self) -> AttackPlan {
        let plan = AttackPlan::new("evaluation", self.attacks.clone());
        AttackPlan { cascade: false, gradient_samples: self.gradient_samples, ..plan }
    }
}

impl Config {
    /// The supernet's skeleton for images of a size.
    ///
    /// # Errors
    /// [`Error::Net`] when there are fewer layers than stages.
    pub fn supernet_skeleton(&self, image: Shape, classes: usize) -> Result<Skeleton> {
        Ok(Skeleton {
            image,
            classes,
            normalize: self.normalize.clone(),
            stem: self.placement.stem_multiplier * self.supernet.channels,
            stem_kind: Default::default(),
            cells: self.placement.row(self.supernet.channels, self.supernet.layers)?,
        })
    }

    /// A derived network's skeleton with the given ordinary cells and channels per stage; the stem has
    /// `stem_multiplier` times the first stage's channels.
    pub fn scaled_skeleton(&self, image: Shape, classes: usize, cells: &[usize], channels: &[usize]) -> Skeleton {
        Skeleton {
            image,
            classes,
            normalize: self.normalize.clone(),
            stem: self.placement.stem_multiplier * channels[0],
            stem_kind: Default::default(),
            cells: self.placement.scaled_row(cells, channels),
        }
    }

    /// The facts about each stage's ordinary cells that RobustScaling uses.
    ///
    /// # Errors
    /// [`Error::Net`] when a stage's kind has no `[[cells]]` entry or there are not three stages.
    pub fn stage_cells(&self) -> Result<StageCells> {
        let mut stages = StageCells { nodes: [0; STAGES], concat: [0; STAGES] };
        if self.placement.stages.len() != STAGES {
            return Err(Error::Net(format!(
                "RobustScaling needs {STAGES} stages, not {}",
                self.placement.stages.len()
            )));
        }
        for (s, kind) in self.placement.stages.iter().enumerate() {
            let cell = self.cells.iter().find(|c| c.kind == *kind);
            let cell = cell.ok_or_else(|| Error::Net(format!("the space has no `{kind}` cell")))?;
            (stages.nodes[s], stages.concat[s]) = (cell.nodes, cell.concat.len());
        }
        Ok(stages)
    }

    /// The places of every kind's mixing weights.
    pub fn mix_layout(&self) -> MixLayout {
        use crate::arch::families::cells::{MixEdge, MixKind};
        let mut offset = 0;
        let kinds = self
            .cells
            .iter()
            .map(|cell| {
                let mut edges = Vec::new();
                for to in 2..cell.nodes + 2 {
                    for from in 0..to {
                        let own = cell.edges.iter().find(|e| (e.from, e.to) == (from, to));
                        let ops = own.map_or(&cell.ops, |e| &e.ops).clone();
                        if !ops.is_empty() {
                            edges.push(MixEdge { from, to, offset, ops });
                            offset += edges.last().map_or(0, |e| e.ops.len());
                        }
                    }
                }
                MixKind { kind: cell.kind.clone(), nodes: cell.nodes, edges, concat: cell.concat.clone() }
            })
            .collect();
        MixLayout { kinds, partial: self.supernet.partial }
    }
}
