//! `robustnas attack`.

use std::path::PathBuf;

use super::console::{Console, say};
use super::files;
use super::progress::Terminal;
use super::subject::{Prepared, SubjectArguments, Trained};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::jobs::attack::{Job, Subject, run};
use crate::jobs::{Interrupt, stored};
use crate::report::attacked;
use crate::report::stored::table;
use crate::store::attack::RESULT;

/// What `attack` takes.
#[derive(clap::Args)]
pub struct AttackArguments {
    #[command(flatten)]
    subject: SubjectArguments,
    /// Make the attacks on this network, and measure --net with what comes out. Named like --net.
    #[arg(long, value_name = "NET")]
    transfer_from: Option<String>,
    /// The numbers of --transfer-from, as --weights are those of --net.
    #[arg(long, value_name = "WEIGHTS", requires = "transfer_from")]
    source_weights: Option<PathBuf>,
    /// Make no attacks, and measure --net on images that --save-adversarial kept: a file, or a folder of files. They are
    /// checked to be in the ball of --norm and --eps.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["plan", "n", "like", "transfer_from", "out"])]
    adversarial: Option<PathBuf>,
    /// A folder for verdicts and result; the same command continues an attack that was stopped.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Keep the attacked images in which the network errs: OUT/adversarial, safetensors, a file a batch.
    #[arg(long, requires = "out")]
    save_adversarial: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Attacks a network, or measures it on images that were attacked earlier.
pub fn attack(arguments: &AttackArguments, console: Console) -> Result<()> {
    let AttackArguments { subject, adversarial, out, save_adversarial, json, .. } = arguments;
    if let Some(path) = adversarial {
        let ((data, network), threat) = (subject.measured(console)?, subject.threat()?);
        let job = stored::Job { data, subject: network, path: path.clone(), threat, batch: subject.batch };
        let result = stored::run(job)?;
        return if *json { files::print_json(&result) } else { files::print(&table(&result)) };
    }
    let Prepared { data, subject: network, plan, ids, seed } = subject.prepare(console)?;
    let source = arguments.source(&data, &network, console)?;
    let batch = subject.batch;
    let save_adversarial = *save_adversarial;
    let job = Job { data: &data, ids, subject: network, source, plan, seed, batch, out: out.clone(), save_adversarial };
    let result = run(job, &Interrupt::install(say, || ())?, &mut Terminal::new(console))?;
    if *json {
        files::print_json(&result)?
    } else {
        files::print(&attacked::table(&result))?
    }
    out.iter().for_each(|folder| console.wrote(&folder.join(RESULT)));
    Ok(())
}

impl AttackArguments {
    /// The network that the attacks are made on, if it is another than the one that is measured.
    fn source(&self, data: &Dataset, target: &Subject, console: Console) -> Result<Option<Subject>> {
        let Some(net) = &self.transfer_from else { return Ok(None) };
        let (weights, option) = (self.source_weights.as_deref(), "--source-weights");
        let named = Trained { net, weights, option, classes: self.subject.classes };
        let source = named.load(data, console)?;
        let (own, theirs) = (source.network.net().classes(), target.network.net().classes());
        if own != theirs {
            let words =
                format!("--transfer-from: `{net}` has {own} classes, --net has {theirs}; labels must mean the same");
            return Err(Error::Usage(words));
        }
        Ok(Some(source))
    }
}
