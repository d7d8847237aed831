//! `robustnas submit`.

use std::path::PathBuf;

use super::args::program;
use super::console::Console;
use super::files;
use super::search::of_run;
use crate::error::{IoContext, Result};
use crate::jobs::slurm::Array;

/// A batch system.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Cluster {
    /// Slurm, by `sbatch`.
    Slurm,
}

/// What `submit` takes.
#[derive(clap::Args)]
pub struct SubmitArguments {
    /// The run's folder, which `search --begin` made, or of any run that is not finished. Every node must see it under this path.
    run: PathBuf,
    /// The batch system.
    #[arg(long, value_enum, default_value = "slurm")]
    cluster: Cluster,
    /// Jobs, each of which is a worker of the run.
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u16).range(1..=1000))]
    nodes: u16,
    /// Processors of a job.
    #[arg(long, default_value = "4", value_parser = clap::value_parser!(u16).range(1..=1024))]
    cpus: u16,
    /// Memory of a job: 8G. Default: the cluster's.
    #[arg(long)]
    mem: Option<String>,
    /// Time of a job: 8:00:00. One that is not done by then saves, and is queued again. Default: the cluster's.
    #[arg(long)]
    time: Option<String>,
    /// The partition. Default: the cluster's.
    #[arg(long)]
    partition: Option<String>,
    /// The account. Default: yours.
    #[arg(long)]
    account: Option<String>,
    /// Other resources of a job: gpu:1.
    #[arg(long)]
    gres: Option<String>,
    /// Seconds before the end of its time at which a job is told to save; Slurm is up to a minute off.
    #[arg(long, default_value = "180")]
    warning: u32,
    /// Print the script and send nothing.
    #[arg(long)]
    print: bool,
}

/// Sends the workers of a run to a cluster.
pub fn submit(arguments: &SubmitArguments, console: Console) -> Result<()> {
    let config = of_run(&arguments.run, None)?;
    let Cluster::Slurm = arguments.cluster;
    let array = Array {
        program: program()?,
        run: std::fs::canonicalize(&arguments.run).at(&arguments.run)?,
        name: format!("robustnas-{}", config.name),
        jobs: arguments.nodes,
        cpus: arguments.cpus,
        memory: arguments.mem.clone(),
        time: arguments.time.clone(),
        partition: arguments.partition.clone(),
        account: arguments.account.clone(),
        gres: arguments.gres.clone(),
        warning: arguments.warning,
    };
    if arguments.print {
        return files::print(&array.script()?);
    }
    let number = array.send()?;
    console.note(&format!(
        "{} jobs of array {number} work at {}; robustnas status tells how far they are",
        arguments.nodes,
        arguments.run.display()
    ));
    files::print(&format!("{number}\n"))
}
