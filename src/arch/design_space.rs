//! Design spaces: distributions of networks from which populations are drawn, so that spaces are compared by the
//! distribution of their networks' errors rather than by their best network.
//!
//! Source: Radosavovic et al. 2019 and 2020, and the samplers of their code (pycls), whose ranges and quantisation
//! these are.

pub mod draw;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::cost::{activations, cost};
use super::elements::Elements;
use super::families::Model;
use super::families::anynet::{AnyNet, Block, Stage, Stem};
use super::families::regnet::{RegNet, Rounding};
use super::families::robust_resnet::RobustResNet;
use super::families::wrn::Wrn;
use super::net::Net;
use super::op::Shape;
use super::scaling::{STAGES, depth_share};
use crate::error::{Error, Result};
use crate::seed::{Seed, Stream};
use crate::units::{Fraction, Macs, Params};

/// Draws outside of the limits after which a space is reported to have no network within them.
const DRAWS: u64 = 20_000;

/// Widths are multiples of this.
const QUANTUM: usize = 8;

/// A distribution of networks of a family: in a file, the table called after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DesignSpace {
    /// Stages drawn one by one.
    Anynet(AnyNetSpace),
    /// Widths on a quantised line.
    Regnet(RegNetSpace),
    /// Wide residual networks of basic blocks.
    Wrn(StageSpace),
    /// RobustResNets of the published block.
    RobustResnet(StageSpace),
}

/// The constraints on AnyNets, after what good ones have in common; each level adds one to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Every stage has its depth, width, bottleneck and group width.
    A,
    /// Stages share the bottleneck.
    B,
    /// And the group width.
    C,
    /// And widths do not fall.
    D,
    /// And depths do not fall.
    E,
}

/// AnyNets of bottlenecks. Depths are uniform, widths log-uniform multiples of eight (the paper gives their limits, 16
/// and 1024), bottlenecks and group widths uniform among those listed; ordered values are drawn and sorted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnyNetSpace {
    /// What is shared and ordered.
    pub level: Level,
    /// Strides of the stages; as many as there are.
    pub strides: Vec<usize>,
    /// Least and most blocks of a stage.
    pub depth: [usize; 2],
    /// Least and most channels of a stage, multiples of eight.
    pub width: [usize; 2],
    /// Channels of the 3x3 convolution as factors of the width.
    pub bottleneck: Vec<Fraction>,
    /// Group widths.
    pub group: Vec<usize>,
    /// The stem.
    #[serde(with = "text")]
    pub stem: Stem,
    /// Channels of the stem.
    pub stem_width: usize,
    /// The elements other than ReLU and batch normalisation, as in a form: `act=silu,se=0.25`.
    #[serde(default, with = "text")]
    pub elements: Elements,
}

/// RegNets without skipped levels. Depth is uniform; `w0` (in steps of 8), `wa` (of 0.1) and `wm` (of 0.001) are
/// log-uniform; the group width is a power of two below eight and a log-uniform multiple of eight above.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegNetSpace {
    /// Least and most stages.
    pub stages: [usize; 2],
    /// Least and most blocks in all.
    pub depth: [usize; 2],
    /// Range of `w0`, multiples of eight.
    pub w0: [usize; 2],
    /// Range of `wa`.
    pub wa: [f64; 2],
    /// Range of `wm`.
    pub wm: [f64; 2],
    /// Range of the group width, powers of two.
    pub group: [usize; 2],
    /// Channels of the 3x3 convolution as factors of the width.
    pub bottleneck: Vec<Fraction>,
    /// The stem.
    #[serde(with = "text")]
    pub stem: Stem,
    /// Channels of the stem.
    pub stem_width: usize,
    /// The elements other than ReLU and batch normalisation, as in a form: `act=silu,se=0.25`.
    #[serde(default, with = "text")]
    pub elements: Elements,
}

/// Three stages, depths and widening factors of each uniform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageSpace {
    /// Least and most blocks of a stage.
    pub depth: [usize; 2],
    /// Least and most widening factors of a stage.
    pub width: [usize; 2],
}

/// Values that are written as in a form.
mod text {
    use super::{Deserialize, Deserializer, Serializer};

    pub fn serialize<T: std::fmt::Display, S: Serializer>(value: &T, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(value)
    }

    pub fn deserialize<'de, T: std::str::FromStr<Err = String>, D: Deserializer<'de>>(d: D) -> Result<T, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a drawn network may cost, ends included; absent: anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Multiply-accumulates.
    pub macs: Option<[u64; 2]>,
    /// Parameters.
    pub params: Option<[u64; 2]>,
    /// Activations as pycls counts them.
    pub acts: Option<[u64; 2]>,
}

/// A network of a space.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// Its description.
    pub model: Model,
    /// The network.
    pub net: Net,
    /// Multiply-accumulates.
    pub macs: Macs,
    /// Parameters.
    pub params: Params,
    /// Activations as pycls counts them.
    pub acts: u64,
}

impl DesignSpace {
    /// The family's word, the key of its table.
    pub fn word(&self) -> &'static str {
        match self {
            DesignSpace::Anynet(_) => "anynet",
            DesignSpace::Regnet(_) => "regnet",
            DesignSpace::Wrn(_) => "wrn",
            DesignSpace::RobustResnet(_) => "robust-resnet",
        }
    }

    /// Checks ranges against each other.
    ///
    /// # Errors
    /// The key that does not fit and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let range = |key, [low, high]: [usize; 2], unit: usize| {
            if low == 0 || low > high {
                Err((key, format!("`{key}` goes from {low} to {high}; expected 1 or more, the smaller number first")))
            } else if !low.is_multiple_of(unit) || !high.is_multiple_of(unit) {
                Err((key, format!("`{key}` goes from {low} to {high}; expected multiples of {unit}")))
            } else {
                Ok(())
            }
        };
        let real = |key, [low, high]: [f64; 2], least: f64| {
            if low >= least && low <= high && high.is_finite() {
                Ok(())
            } else {
                Err((
                    key,
                    format!("`{key}` goes from {low} to {high}; expected {least} or more, the smaller number first"),
                ))
            }
        };
        let listed = |key, empty: bool| if empty { Err((key, format!("`{key}` lists nothing"))) } else { Ok(()) };
        match self {
            DesignSpace::Anynet(s) => {
                listed("strides", s.strides.is_empty() || s.strides.contains(&0))?;
                listed("bottleneck", s.bottleneck.is_empty() || s.bottleneck.contains(&Fraction::ZERO))?;
                listed("group", s.group.is_empty() || s.group.contains(&0))?;
                range("depth", s.depth, 1)?;
                range("width", s.width, QUANTUM)?;
                range("stem_width", [s.stem_width; 2], 1)
            }
            DesignSpace::Regnet(s) => {
                range("stages", s.stages, 1)?;
                range("depth", s.depth, 1)?;
                range("w0", s.w0, QUANTUM)?;
                real("wa", s.wa, 0.1)?;
                real("wm", s.wm, 1.001)?;
                range("group", s.group, 1)?;
                if !s.group.iter().all(|g| g.is_power_of_two()) {
                    return Err((
                        "group",
                        format!("`group` goes from {} to {}; expected powers of two", s.group[0], s.group[1]),
                    ));
                }
                listed("bottleneck", s.bottleneck.is_empty() || s.bottleneck.contains(&Fraction::ZERO))?;
                range("stem_width", [s.stem_width; 2], 1)
            }
            DesignSpace::Wrn(s) | DesignSpace::RobustResnet(s) => {
                range("depth", s.depth, 1)?;
                range("width", s.width, 1)
            }
        }
    }

    /// Draws a network for an image within limits. Depends on the seed alone.
    ///
    /// # Errors
    /// [`Error::Impossible`] when none of many draws is within the limits; [`Error::Net`] for an image that is too
    /// small.
    pub fn draw(&self, limits: &Limits, image: Shape, classes: usize, seed: Seed) -> Result<Drawn> {
        let mut seen: Option<[u64; 2]> = None;
        for attempt in 0..DRAWS {
            let Some(model) = self.sample(&mut seed.index(attempt).stream()) else { continue };
            let net = model.lower(image, classes)?;
            let (cost, acts) = (cost(&net), activations(&net));
            let within = |range: Option<[u64; 2]>, n: u64| range.is_none_or(|[low, high]| (low..=high).contains(&n));
            if within(limits.macs, cost.macs.0) && within(limits.params, cost.params.0) && within(limits.acts, acts) {
                return Ok(Drawn { model, net, macs: cost.macs, params: cost.params, acts });
            }
            let macs = cost.macs.0;
            seen = Some(seen.map_or([macs; 2], |[low, high]| [low.min(macs), high.max(macs)]));
        }
        let seen = match seen {
            None => {
                "none of them is a network (RegNets may not skip a level or have another number of stages)".to_owned()
            }
            Some([low, high]) => format!("they had {} to {} MACs", Macs(low), Macs(high)),
        };
        Err(Error::Impossible(format!(
            "{DRAWS} networks were drawn from the space and none is within its limits; {seen}"
        )))
    }

    /// Draws a network; `None` where the drawn parameters do not define one.
    fn sample(&self, stream: &mut Stream) -> Option<Model> {
        match self {
            DesignSpace::Anynet(space) => Some(Model::AnyNet(space.sample(stream))),
            DesignSpace::Regnet(space) => space.sample(stream).map(Model::RegNet),
            DesignSpace::Wrn(space) => {
                let (depths, widths) = space.sample(stream);
                Some(Model::Wrn(Wrn::new(depths, widths)))
            }
            DesignSpace::RobustResnet(space) => {
                let (depths, widths) = space.sample(stream);
                Some(Model::RobustResNet(RobustResNet::new(depths, widths)))
            }
        }
    }
}

impl AnyNetSpace {
    fn sample(&self, stream: &mut Stream) -> AnyNet {
        let stages = self.strides.len();
        let shared = |draw: &mut dyn FnMut() -> usize, shared: bool| -> Vec<usize> {
            if shared { vec![draw(); stages] } else { (0..stages).map(|_| draw()).collect() }
        };
        let mut depths = shared(&mut || draw::uniform(stream, self.depth), false);
        let mut widths = shared(&mut || draw::log_uniform(stream, self.width, QUANTUM), false);
        let factors = shared(&mut || stream.below(self.bottleneck.len()), self.level >= Level::B);
        let groups = shared(&mut || stream.below(self.group.len()), self.level >= Level::C);
        if self.level >= Level::D {
            widths.sort_unstable();
        }
        if self.level >= Level::E {
            depths.sort_unstable();
        }
        let stage = |s: usize| {
            let bottleneck = self.bottleneck[factors[s]];
            let (width, group) = Rounding::Pycls.compatible(widths[s], bottleneck, self.group[groups[s]]);
            Stage { depth: depths[s], width, stride: self.strides[s], bottleneck, group }
        };
        let stages = (0..stages).map(stage).collect();
        AnyNet {
            stem: self.stem,
            stem_width: self.stem_width,
            block: Block::Bottleneck,
            stages,
            elements: self.elements,
        }
    }
}

impl RegNetSpace {
    fn sample(&self, stream: &mut Stream) -> Option<RegNet> {
        let net = RegNet {
            depth: draw::uniform(stream, self.depth),
            w0: draw::log_uniform(stream, self.w0, QUANTUM),
            wa: draw::log_uniform_real(stream, self.wa, 10),
            wm: draw::log_uniform_real(stream, self.wm, 1000),
            group: draw::power_or_multiple(stream, self.group, QUANTUM),
            bottleneck: self.bottleneck[stream.below(self.bottleneck.len())],
            rounding: Rounding::Pycls,
            stem: self.stem,
            stem_width: self.stem_width,
            elements: self.elements,
        };
        let [least, most] = self.stages;
        (net.is_gapless() && (least..=most).contains(&net.stages().len())).then_some(net)
    }
}

impl StageSpace {
    fn sample(&self, stream: &mut Stream) -> ([usize; STAGES], [usize; STAGES]) {
        let mut all = |range| std::array::from_fn(|_| draw::uniform(stream, range));
        (all(self.depth), all(self.width))
    }
}

/// The parameters of a network, by name; a population reports the values that good networks have.
pub fn parameters(model: &Model) -> Vec<(&'static str, f64)> {
    let stages = |depths: [usize; STAGES], widths: [usize; STAGES]| {
        let (depth, width) = (depths.iter().sum::<usize>(), widths.iter().sum::<usize>());
        let share = depth_share(depths, widths.map(|w| w as f64));
        vec![("depth", depth as f64), ("width", width as f64), ("depth share", share)]
    };
    match model {
        Model::AnyNet(net) => {
            let count = net.stages.len() as f64;
            let mean = |read: fn(&Stage) -> f64| net.stages.iter().map(read).sum::<f64>() / count;
            let widths: Vec<f64> = net.stages.iter().map(|s| s.width as f64).collect();
            vec![
                ("depth", count * mean(|s| s.depth as f64)),
                ("first width", widths.first().copied().unwrap_or_default()),
                ("last width", widths.last().copied().unwrap_or_default()),
                ("mean bottleneck", mean(|s| s.bottleneck.value())),
                ("mean group width", mean(|s| s.group as f64)),
            ]
        }
        Model::RegNet(net) => vec![
            ("depth", net.depth as f64),
            ("w0", net.w0 as f64),
            ("wa", net.wa),
            ("wm", net.wm),
            ("group width", net.group as f64),
            ("bottleneck", net.bottleneck.value()),
        ],
        Model::RobustResNet(net) => stages(net.depths, net.widths),
        Model::Wrn(net) => stages(net.depths, [0, 1, 2].map(|s| net.channels[s] / super::scaling::BASE[s])),
        Model::Nb201(_)
        | Model::PreActResNet(_)
        | Model::ResNet(_)
        | Model::SkNet(_)
        | Model::RobNet(_)
        | Model::ConvNeXt(_)
        | Model::Vit(_)
        | Model::Xcit(_) => Vec::new(),
    }
}
