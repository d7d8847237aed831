//! `robustnas compare`.

use std::path::Path;

use super::console::Console;
use super::files;
use super::rank::history;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::jobs::state::name;
use crate::rank::by_budget;
use crate::record::Record;
use crate::report::comparison::{Comparison, Network, Side};
use crate::report::evaluated::Evaluated;
use crate::report::protocol::{Protocol, Split};
use crate::store::run::of_seeds;

/// Compares runs, or folders of runs of several seeds, with what changed between them.
pub fn compare(before: &Path, after: &Path, json: bool, console: Console) -> Result<()> {
    let [first, second] = [read(before, console)?, read(after, console)?];
    let differences = first.protocol.differences(&second.protocol);
    if !differences.is_empty() {
        let words = differences.join("; ");
        let (before, after) = (before.display(), after.display());
        return Err(Error::Usage(format!("{before} and {after} were not measured alike: {words}")));
    }
    let mut changed = first.config.differences(&second.config);
    changed.retain(|change| !["seed: ", "name: "].iter().any(|key| change.starts_with(key)));
    let compared = Comparison::of(&first.side, &second.side, changed)?;
    if json { files::print_json(&compared) } else { files::print(&compared.text()) }
}

/// A side as it was read.
struct Read {
    side: Side,
    config: Config,
    protocol: Protocol,
}

fn read(folder: &Path, console: Console) -> Result<Read> {
    let (mut runs, mut first) = (Vec::new(), None);
    for run in of_seeds(folder)? {
        let history = history(&run, console)?;
        if !history.is_finished(&run) {
            return Err(Error::Usage(format!("{}: the run is not finished, and cannot be compared", run.display())));
        }
        let records = history.records();
        let protocol = Protocol::of(&records, Split::Test)?;
        let config = Config::stored(&history.run.config, &run.join("config.toml"))?;
        runs.push(networks(&run, &records)?);
        first.get_or_insert((config, protocol));
    }
    let (config, protocol) =
        first.ok_or_else(|| Error::Usage(format!("{}: neither a run nor a folder of runs", folder.display())))?;
    Ok(Read { side: Side { name: name(folder), runs }, config, protocol })
}

/// The networks of a run that may be ranked and were measured on the test images.
fn networks(run: &Path, records: &[Record]) -> Result<Vec<Network>> {
    let mut networks = Vec::new();
    for ranking in by_budget(records) {
        for record in ranking.ranked.iter().filter(|record| Split::Test.of(record).is_some()) {
            let path = run.join("archs").join(&record.arch).join("eval.json");
            let Evaluated { flags, .. } = Evaluated::from_json(&path, files::read(&path)?.as_bytes())?;
            let flags = flags.ok_or_else(|| {
                let words = "has counts alone, as older versions wrote them, and not which images are right; robustnas \
                             frontier puts such runs side by side";
                Error::data(&path, words)
            })?;
            let kind = record.origin.kind();
            let first = ranking.first(kind).is_some_and(|first| std::ptr::eq(first, *record));
            networks.push(Network { budget: record.budget, kind, macs: record.cost.macs, first, flags });
        }
    }
    Ok(networks)
}
