//! The subject of a measurement: a network with its weights, the images, and the attacks.

use std::num::NonZero;
use std::path::{Path, PathBuf};

use super::args::positive;
use super::console::Console;
use super::files;
use super::named::network;
use super::search::of_run;
use crate::arch::cost::cost;
use crate::arch::file::id_of;
use crate::data::split::Splits;
use crate::data::{Dataset, Source};
use crate::error::{Error, Result};
use crate::jobs::attack::Subject;
use crate::model::{Model, weights};
use crate::report::attacked::Attacked;
use crate::store::run::read_run;
use crate::threat::{AttackPlan, Norm, Threat};
use crate::units::Fraction;

/// The most images a pass.
const LARGEST_BATCH: usize = 1 << 20;

/// The network and the attacks.
#[derive(clap::Args)]
pub struct SubjectArguments {
    /// The network: darts:FILE,channels=36,layers=20, preact-resnet:18, an arch.json, a model.onnx, a run folder, or any
    /// other that `cost` takes.
    #[arg(long)]
    pub net: String,
    /// Its weights, in this program's layout or in PyTorch's. Default: weights.safetensors beside an arch.json; a
    /// model.onnx has its own.
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Images: npy:DIR, synthetic, cifar10:DIR, cifar100:DIR, hf:DIR or folder:DIR. The test half is attacked. Default, with
    /// --like: those of the run.
    #[arg(long, required_unless_present = "like")]
    data: Option<String>,
    /// Attack as the networks of this run were tested: its test images, its attacks and its seed, so that `frontier` can show
    /// the result beside it.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["plan", "eps", "norm", "n"])]
    like: Option<PathBuf>,
    /// autoattack, autoattack-plus, rand, apgd-only, one attack such as fgsm, pgd-20, apgd-t or square, or a .toml or
    /// .json file.
    #[arg(long, default_value = "autoattack")]
    pub plan: String,
    /// Radius of the ball, as a fraction. Default: 8/255; for a plan file, its own.
    #[arg(long)]
    eps: Option<Fraction>,
    /// Norm of the ball: linf, l2 or l1. Default: linf; for a plan file, its own.
    #[arg(long)]
    norm: Option<Norm>,
    /// The first N images; 0: all.
    #[arg(long, default_value_t = 1000)]
    n: usize,
    /// Seed of the attacks' random numbers. Default: 0; with --like, the run's.
    #[arg(long)]
    seed: Option<u64>,
    /// Images a pass; no influence on the result.
    #[arg(long, default_value_t = 128)]
    pub batch: usize,
    /// Classes of the networks. Default: those of the data, or of --weights where these are more; a file's own.
    #[arg(long, value_parser = positive::<NonZero<usize>>)]
    pub classes: Option<NonZero<usize>>,
}

/// A subject, read and checked.
pub struct Prepared {
    /// The images.
    pub data: Dataset,
    /// The network.
    pub subject: Subject,
    /// The attacks.
    pub plan: AttackPlan,
    /// The images that are attacked.
    pub ids: Vec<u32>,
    /// The seed of the attacks.
    pub seed: u64,
}

impl SubjectArguments {
    /// Reads network, images and plan.
    pub fn prepare(&self, console: Console) -> Result<Prepared> {
        let (data, subject) = self.measured(console)?;
        let (plan, ids, seed) = match &self.like {
            Some(run) => of_run_on(run, &data)?,
            None => {
                let images = data.test.len();
                let count = if self.n == 0 { images } else { self.n.min(images) };
                (self.plan()?, (0..count as u32).collect(), 0)
            }
        };
        let plan = plan.for_classes(subject.network.net().classes())?;
        Ok(Prepared { data, subject, plan, ids, seed: self.seed.unwrap_or(seed) })
    }

    /// Reads the images and the network.
    pub fn measured(&self, console: Console) -> Result<(Dataset, Subject)> {
        if !(1..=LARGEST_BATCH).contains(&self.batch) {
            return Err(Error::Usage(format!("--batch {}: expected 1 to {LARGEST_BATCH}", self.batch)));
        }
        let source = match (&self.data, &self.like) {
            (Some(source), _) => source.clone(),
            (None, Some(run)) => of_run(run, None)?.data,
            (None, None) => return Err(Error::Usage("--data is missing: it says where the images are".into())),
        };
        let data = Source::parse(&source)?.load()?;
        if data.test.is_empty() {
            return Err(Error::Usage(format!("--data {source}: there are no test images to attack")));
        }
        let (weights, option) = (self.weights.as_deref(), "--weights");
        let named = Trained { net: &self.net, weights, option, classes: self.classes };
        let subject = named.load(&data, console)?;
        Ok((data, subject))
    }

    /// The ball.
    pub fn threat(&self) -> Result<Threat> {
        let norm = self.norm.unwrap_or_default();
        Threat::usual(norm, self.eps).map_err(|why| Error::Usage(format!("--eps is missing: {why}")))
    }

    /// The plan, by name or from a file.
    fn plan(&self) -> Result<AttackPlan> {
        let path = PathBuf::from(&self.plan);
        if AttackPlan::is_file(&path) {
            let own = self.eps.map(|eps| Threat { norm: self.norm.unwrap_or_default(), eps });
            if own.is_none() && self.norm.is_some() {
                return Err(Error::Usage("--norm for a plan from a file needs --eps, too".into()));
            }
            return AttackPlan::from_text(&files::read(&path)?, &path, own);
        }
        AttackPlan::named(&self.plan, self.threat()?).map_err(|why| Error::Usage(format!("--plan: {why}")))
    }
}

/// By what and on which images the networks of a run were tested, and the seed of the attacks.
///
/// # Errors
/// [`Error::Usage`] where the images are not the run's.
fn of_run_on(run: &Path, data: &Dataset) -> Result<(AttackPlan, Vec<u32>, u64)> {
    let (config, stated) = (of_run(run, None)?, read_run(run)?.file.data_id);
    let found = data.content_id();
    if found != stated {
        let words = format!("the run's images have the content {stated}, those of --data {found}; give the run's");
        return Err(Error::Usage(format!("--like {}: {words}", run.display())));
    }
    Ok((config.evaluate.plan(), Splits::of(data, &config.split)?.test, config.seed))
}

/// A network and its weights, by name and file.
pub struct Trained<'a> {
    /// The network: any that `cost` takes.
    pub net: &'a str,
    /// The file of its weights, if given.
    pub weights: Option<&'a Path>,
    /// The option that names it.
    pub option: &'static str,
    /// Its classes, where they are not those of the data.
    pub classes: Option<NonZero<usize>>,
}

impl Trained<'_> {
    /// Reads the network and checks that it is one for the data; returns it with its description for results.
    ///
    /// # Errors
    /// [`Error::Usage`] for a network of other images or classes, and where its weights are missing or given twice;
    /// whatever reading it fails with.
    pub fn load(&self, data: &Dataset, console: Console) -> Result<Subject> {
        let name = &*network(self.net, console)?;
        let known = self.classes.map_or(data.classes.len(), NonZero::get);
        // Files know their classes; of arrays of labels the largest is no sure sign of their number.
        let mut model = Model::load(name, data.image, known, &files::bytes)?;
        if let Some(weights) = self.weights
            && self.classes.is_none()
            && let Some(classes) = model.classes_of(weights)?.filter(|classes| *classes > known)
        {
            model = Model::load(name, data.image, classes, &files::bytes)?;
        }
        let net = &model.net;
        if net.input_shape() != data.image {
            let grey = net.input_shape().c == 1 && data.image.c == 3;
            let hint = if grey { "; images without colours have one channel as `--data grey:SOURCE`" } else { "" };
            let words = format!("`{name}` takes {} images, the data has {}{hint}", net.input_shape(), data.image);
            return Err(Error::Usage(words));
        }
        if let Some(label) = data.test.labels.iter().find(|l| **l as usize >= net.classes()) {
            let words = format!("`{name}` has {} classes, the data has a label {label}", net.classes());
            return Err(Error::Usage(words));
        }
        let (arch, cost) = (id_of(net)?, cost(net));
        let (network, _) = model.with_weights(self.weights, self.option)?;
        let weights = weights::id_of(&network)?;
        let about = Attacked { net: name.to_owned(), arch, weights, params: cost.params, macs: cost.macs };
        Ok(Subject { network, about })
    }
}
