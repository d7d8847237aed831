//! The command line. Results and JSON go to standard output, everything else to standard error.

mod args;
mod attack;
mod bench;
mod compare;
mod console;
mod cost;
mod data;
mod draw;
mod ended;
mod export;
mod figure;
mod files;
mod frontier;
mod import;
mod manual;
mod named;
mod population;
mod progress;
mod rank;
mod report;
mod scale;
mod schema;
mod search;
mod space;
mod spaces;
mod status;
mod study;
mod subject;
mod submit;
mod train;
mod watch;
mod work;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub use console::say;

use self::console::Console;
use crate::error::Result;

/// Neural architecture search for networks that stay accurate under adversarial attack.
#[derive(Parser)]
#[command(name = "robustnas", version, long_version = VERSION, max_term_width = 110)]
#[command(
    after_help = "Exit codes: 0 done, 2 usage, 3 bad data or configuration, 4 run folder, 5 impossible request, \
    6 disk or I/O, 7 arithmetic, 70 internal error, 75 stopped early (the same command continues), 130 second Ctrl-C."
)]
struct Arguments {
    /// Threads; the result does not depend on it. Default: every core.
    #[arg(long, global = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Say only warnings and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say every step.
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run a search to ranked architectures, or continue one.
    #[command(after_help = "Examples:\n  robustnas search search_spaces/dsara.toml --data hf:data/cifar-10 \
        --budgets 100M,200M --out results/night --seed 1 --set search.epochs=25\n  \
        robustnas search dsara-small --data hf:DIR --on-end 'mail -s \"$ROBUSTNAS_RUN $ROBUSTNAS_OUTCOME\" me@example.org'")]
    Search(search::SearchArguments),
    /// Join a run: train and measure its candidates beside the process that leads it, from any machine that sees the folder.
    #[command(
        after_help = "Example:\n  robustnas work results/night\n\ndocs/cluster.md tells how workers share a run."
    )]
    Work(work::WorkArguments),
    /// Send the workers of a run to a cluster.
    #[command(after_help = "Examples:\n  robustnas search dsara-small --data hf:DIR --out results/night --begin\n  \
        robustnas submit results/night --nodes 8 --cpus 16 --time 8:00:00\n\ndocs/cluster.md has the whole of it.")]
    Submit(submit::SubmitArguments),
    /// Show the progress of runs.
    #[command(after_help = "Example:\n  robustnas status results/night")]
    Status {
        /// Run folders.
        #[arg(required = true)]
        runs: Vec<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Watch runs: a dashboard of their progress, curves, choices and candidates, or a line for every event.
    #[command(after_help = "Examples:\n  robustnas watch results/night\n  robustnas watch results/* --plain\n\n\
        Keys: q or Esc quits, Tab shows another panel, the left and right arrows another run, ? tells all.")]
    Watch(watch::WatchArguments),
    /// Print the ranked table of runs.
    #[command(after_help = "Example:\n  robustnas rank results/night results/last-week")]
    Rank {
        /// Run folders.
        #[arg(required = true)]
        runs: Vec<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Compare a run, or runs of several seeds, with others: what changed, and what is better beyond the intervals.
    #[command(
        after_help = "Example:\n  robustnas compare results/last-week results/night\n\nBoth sides must have been \
        measured alike, on the same test images."
    )]
    Compare {
        /// A run folder, or a folder of runs of several seeds.
        before: PathBuf,
        /// Another.
        after: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Draw the frontiers of runs into one figure, or write them as CSV or JSON.
    #[command(after_help = "Examples:\n  robustnas frontier results/night results/last-week --out frontier.png\n  \
        robustnas frontier results/night --out frontier.pdf --width 8.4cm --font-size 8pt --palette grey\n\n\
        Runs with other counting rules, data, samples or attacks are refused.")]
    Frontier(frontier::FrontierArguments),
    /// Write runs as one page of HTML: verdict, frontier, tables, curves, drawings, configuration.
    #[command(after_help = "Examples:\n  robustnas report results/night results/last-week --out night.html\n  \
        robustnas report results/night --optuna night.log\n\n\
        Every finished run has its own page as report.html; optuna-dashboard opens night.log.")]
    Report(report::ReportArguments),
    /// Write a network, or that of a run's rank, as ONNX, arch.json, safetensors, or a genotype.
    #[command(
        after_help = "Examples:\n  robustnas export results/night --origin searched --budget 100M --onnx best.onnx\n  \
        robustnas export preact-resnet:18 --weights trained.safetensors --onnx model.onnx\n\n\
        docs/export.md has the names and layouts of all tensors."
    )]
    Export(export::ExportArguments),
    /// Import the weights of another program's safetensors by a map of names.
    #[command(after_help = "Example:\n  robustnas import preact-resnet:18 --from theirs.safetensors --map names.toml \
        --out weights.safetensors\n\ndocs/export.md describes the map.")]
    Import(import::ImportArguments),
    /// Train a network by a recipe, or go on with it.
    #[command(
        after_help = "Examples:\n  robustnas train preact-resnet:18 --data cifar10:DIR --preset n-fgsm --epochs 30 \
        --out results/trained\n  robustnas train wrn:28-10 --data cifar10:DIR --preset trades --set \
        'train.awp={ gamma = 0.005, from = 10 }' --out results/wrn\n  robustnas train preact-resnet:18 --data \
        cifar10:DIR --preset n-fgsm --epochs 30 --out results/trained --figure curves.pdf \
        --width 8.4cm\n\ndocs/training.md tells of recipes and their keys."
    )]
    Train(train::TrainArguments),
    /// Attack a trained network and report its robust accuracy.
    #[command(after_help = "Example:\n  robustnas attack --net results/night/archs/ID/arch.json --data cifar10:DIR \
        --plan autoattack --eps 8/255 --norm linf --n 1000 --seed 0 --out results/attacked\n\n\
        docs/attacks.md describes the plans and the checks.")]
    Attack(attack::AttackArguments),
    /// Count parameters and multiply-accumulates of a network.
    #[command(
        after_help = "Examples:\n  robustnas cost dsara:search_spaces/genotypes/ARNAS.txt,channels=64,layers=20 \
        --json\n  robustnas cost wrn:28-10,act=silu,down=flc --per-layer\n  robustnas cost resnet:50 --image 224x224x3 \
        --classes 1000 --rule pycls\n\ndocs/networks.md describes the families, their keys and their elements."
    )]
    Cost(Box<cost::CostArguments>),
    /// Find depths and widths of residual networks for budgets (RobustScaling).
    #[command(after_help = "Example:\n  robustnas scale --family robust-resnet --budget 5G,10G,20G,40G")]
    Scale(scale::ScaleArguments),
    /// Compare design spaces by the errors of many shortly trained networks.
    #[command(after_help = "Example:\n  robustnas population search_spaces/populations/anynet-a.toml \
        search_spaces/populations/regnet.toml --n 24 --out results/population")]
    Population(population::PopulationArguments),
    /// Say whether strategies of search find more than chance does, by training or on a table of trained networks.
    #[command(after_help = "Examples:\n  robustnas study search_spaces/study-cifar10.toml --data cifar10:DIR --out \
        results/study-cifar10\n  robustnas study --table nas-robbench-201.csv --objective pgd20_8 \
        --report autoattack_8 --queries 60 --repeats 400 --noise 0.01\n\ndocs/search.md tells how to read it.")]
    Study(study::StudyArguments),
    /// Draw a network or its cells.
    #[command(after_help = "Examples:\n  robustnas draw darts:search_spaces/genotypes/DARTS_V2.txt,channels=36,\
        layers=20 --out cells.svg\n  \
        robustnas draw wrn:16-4 --out wrn.pdf --width 8.4cm --palette grey\n\ndocs/figures.md tells of figures for papers.")]
    Draw(draw::DrawArguments),
    /// Work with search spaces.
    Space {
        #[command(subcommand)]
        verb: SpaceVerb,
    },
    /// Work with data sets.
    Data {
        #[command(subcommand)]
        verb: DataVerb,
    },
    /// Time the program's own procedures on this machine.
    Bench {
        #[command(subcommand)]
        verb: bench::BenchVerb,
    },
    /// Print the JSON Schema of a document: ranked, frontier, arch, attack, eval or population.
    #[command(after_help = "Example:\n  robustnas schema ranked > ranked.schema.json")]
    Schema {
        /// The document.
        document: String,
    },
    /// Print what completes this program's command lines in a shell.
    #[command(
        after_help = "Example:\n  robustnas completions bash > ~/.local/share/bash-completion/completions/robustnas"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    #[command(after_help = "Example:\n  robustnas man | man -l -")]
    Man,
}

/// Version, commit and features.
const VERSION: &str = env!("ROBUSTNAS_VERSION");

#[derive(Subcommand)]
enum SpaceVerb {
    /// List the spaces that are part of the program.
    List,
    /// Print a space.
    #[command(after_help = "Example:\n  robustnas space show dsara-small > my-space.toml")]
    Show {
        /// A file, or a name of `space list`.
        space: PathBuf,
    },
    /// Check a space file and summarise it.
    #[command(after_help = "Example:\n  robustnas space check search_spaces/dsara.toml")]
    Check {
        /// A file, or a name of `space list`.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
enum DataVerb {
    /// Read a whole data set and summarise it.
    #[command(after_help = "Example:\n  robustnas data check hf:data/cifar-10")]
    Check {
        /// synthetic, cifar10:DIR, cifar100:DIR, hf:DIR, folder:DIR or npy:DIR.
        data: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Parses the command line and runs the verb.
///
/// # Errors
/// That of the verb; [`Error::exit_code`](crate::error::Error::exit_code) is the program's. A command line that does
/// not parse ends the process with code 2.
pub fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(threads) = arguments.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global();
        pool.map_err(|e| crate::error::Error::Usage(format!("--threads {threads}: {e}")))?;
    }
    let console = match (arguments.quiet, arguments.verbose) {
        (true, _) => Console::Quiet,
        (false, true) => Console::Verbose,
        (false, false) => Console::Usual,
    };
    match arguments.verb {
        Verb::Search(arguments) => search::search(&arguments, console),
        Verb::Work(arguments) => work::work(&arguments, console),
        Verb::Submit(arguments) => submit::submit(&arguments, console),
        Verb::Status { runs, json } => status::status(&runs, json, console),
        Verb::Watch(arguments) => watch::watch(&arguments, console),
        Verb::Rank { runs, json } => rank::rank(&runs, json, console),
        Verb::Compare { before, after, json } => compare::compare(&before, &after, json, console),
        Verb::Frontier(arguments) => frontier::frontier(&arguments, console),
        Verb::Report(arguments) => report::report(&arguments, console),
        Verb::Export(arguments) => export::export(&arguments, console),
        Verb::Import(arguments) => import::import(&arguments, console),
        Verb::Train(arguments) => train::train(&arguments, console),
        Verb::Attack(arguments) => attack::attack(&arguments, console),
        Verb::Cost(arguments) => cost::cost(&arguments, console),
        Verb::Scale(arguments) => scale::scale(&arguments, console),
        Verb::Population(arguments) => population::population(&arguments, console),
        Verb::Study(arguments) => study::study(&arguments, console),
        Verb::Draw(arguments) => draw::draw(&arguments, console),
        Verb::Space { verb: SpaceVerb::List } => space::list(),
        Verb::Space { verb: SpaceVerb::Show { space } } => files::print(&spaces::read(&space)?.0),
        Verb::Space { verb: SpaceVerb::Check { file, json } } => space::check(&file, json),
        Verb::Data { verb: DataVerb::Check { data, json } } => data::check(&data, json),
        Verb::Bench { verb } => bench::bench(&verb, console),
        Verb::Schema { document } => schema::schema(&document),
        Verb::Completions { shell } => manual::completions(shell),
        Verb::Man => manual::man(),
    }
}
