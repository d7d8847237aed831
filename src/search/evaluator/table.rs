//! A table of networks that others have trained and measured: a search can be repeated hundreds of times, with the truth known.

use std::path::{Path, PathBuf};

use super::Evaluator;
use crate::arch::nb201::Nb201Cell;
use crate::error::{Error, Result, nearest};
use crate::search::space::{Space, nb201::Nb201};
use crate::search::trial::{Answer, Outcome, Proposal, Spent};
use crate::seed::Seed;
use crate::units::Macs;

/// The column of cells.
const ARCH: &str = "arch";

/// The column of multiply-accumulates.
const MACS: &str = "macs";

/// The column of names, which nothing reads.
const ID: &str = "id";

/// Every network of NAS-Bench-201 with numbers.
pub struct Table {
    path: PathBuf,
    space: Nb201,
    /// The names of the columns of numbers.
    columns: Vec<String>,
    /// By key: the cell as the table writes it, its cost, and a number for each column.
    rows: Vec<Row>,
}

struct Row {
    cell: Nb201Cell,
    macs: Macs,
    numbers: Vec<f64>,
}

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column(usize);

impl Table {
    /// Reads comma-separated lines under a header: `arch`, a cell as [`Nb201Cell`] writes it; `macs`, a whole number; any other
    /// columns but `id` hold numbers. There must be one line for each of the 6,466 networks, written as any of its cells.
    ///
    /// # Errors
    /// [`Error::Config`] with line and column of what is wrong or missing, and of a network that is there twice;
    /// [`Error::Data`] where networks are missing.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let fail = |line: usize, message: String| Error::Config { path: path.to_owned(), line, message };
        let malformed = |e: csv::Error| {
            let line = e.position().map_or(1, |p| p.line() as usize);
            match e.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    fail(line, format!("{len} fields; expected {expected_len}, as in the header"))
                }
                _ => fail(line, format!("no comma-separated line: {e}")),
            }
        };
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().map_err(malformed)?.clone();
        let place = |name: &str| {
            let missing = || {
                fail(1, format!("no column `{name}`; expected a header with `{ARCH}`, `{MACS}` and columns of numbers"))
            };
            header.iter().position(|column| column == name).ok_or_else(missing)
        };
        let (arch, macs) = (place(ARCH)?, place(MACS)?);
        let numeric: Vec<usize> = (0..header.len()).filter(|i| *i != arch && &header[*i] != ID).collect();
        if let Some(twice) = header.iter().enumerate().find(|(i, name)| header.iter().take(*i).any(|n| n == *name)) {
            return Err(fail(1, format!("column `{}` is there twice; expected names that differ", twice.1)));
        }

        let space = Nb201::new();
        let mut rows: Vec<Option<(Row, usize)>> = (0..space.networks()).map(|_| None).collect();
        for record in reader.records() {
            let record = record.map_err(malformed)?;
            let line = record.position().map_or(1, |p| p.line() as usize);
            let wrong = |column: usize, expected: &str| {
                fail(line, format!("column `{}`: `{}`; expected {expected}", &header[column], &record[column]))
            };
            let cell = Nb201Cell::parse(&record[arch], path).map_err(|e| match e {
                Error::Data { at: Some(at), message, .. } => {
                    fail(line, format!("column `{ARCH}`, byte {at}: {message}"))
                }
                other => other,
            })?;
            let cost = record[macs].parse().map(Macs).map_err(|_| wrong(macs, "a whole number"))?;
            let number = |column: usize| match record[column].trim().parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(number),
                _ => Err(wrong(column, "a number")),
            };
            let numbers = numeric.iter().map(|column| number(*column)).collect::<Result<_>>()?;
            let slot = &mut rows[usize::from(space.key(&cell))];
            if let Some((_, before)) = slot {
                return Err(fail(line, format!("the network of line {before} again; expected every network once")));
            }
            *slot = Some((Row { cell, macs: cost, numbers }, line));
        }
        let missing = rows.iter().filter(|row| row.is_none()).count();
        if missing > 0 {
            let lacks = |cell: &Nb201Cell| rows[usize::from(space.key(cell))].is_none();
            let first = Nb201::cells().find(lacks).map_or(String::new(), |cell| format!(", such as {cell}"));
            return Err(Error::data(
                path,
                format!(
                    "{missing} of {} networks are missing{first}; expected every network of NAS-Bench-201",
                    rows.len()
                ),
            ));
        }
        let columns = numeric.iter().map(|i| header[*i].to_owned()).collect();
        let rows = rows.into_iter().flatten().map(|(row, _)| row).collect();
        Ok(Table { path: path.to_owned(), space, columns, rows })
    }

    /// A column by its name.
    ///
    /// # Errors
    /// [`Error::Usage`] with the nearest name and all names there are.
    pub fn column(&self, name: &str) -> Result<Column> {
        let known = self.columns.iter().map(String::as_str);
        self.columns.iter().position(|column| column == name).map(Column).ok_or_else(|| {
            let near = nearest(name, known).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            let all = self.columns.join(", ");
            Error::Usage(format!("{}: no column of numbers `{name}`{near} There are: {all}", self.path.display()))
        })
    }

    /// The names of the columns of numbers.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The space that its networks are of.
    pub fn space(&self) -> &Nb201 {
        &self.space
    }

    /// The cells, as the table writes them.
    pub fn cells(&self) -> impl ExactSizeIterator<Item = &Nb201Cell> {
        self.rows.iter().map(|row| &row.cell)
    }

    /// Multiply-accumulates of one image, in the order of [`Self::cells`].
    pub fn macs(&self) -> impl ExactSizeIterator<Item = Macs> {
        self.rows.iter().map(|row| row.macs)
    }

    /// A column's numbers, in the order of [`Self::cells`].
    pub fn numbers(&self, column: Column) -> impl ExactSizeIterator<Item = f64> {
        self.rows.iter().map(move |row| row.numbers[column.0])
    }

    /// A cell's number in a column.
    pub fn number(&self, column: Column, cell: &Nb201Cell) -> f64 {
        self.row(cell).numbers[column.0]
    }

    fn row(&self, cell: &Nb201Cell) -> &Row {
        &self.rows[usize::from(self.space.key(cell))]
    }
}

/// Answers a search from a table, with errors of measurement as they are asked for.
pub struct Lookup<'a> {
    /// The table.
    pub table: &'a Table,
    /// What the search is to make large.
    pub objective: Column,
    /// The standard deviation of what is added to every answer anew, in the units of the column.
    pub noise: f64,
    /// What an answer after next to no training errs by: a standard deviation in the units of the column, which falls linearly
    /// to nothing at a full training, and an error that a network keeps at a fidelity however often it is asked. An assumption,
    /// for tables that know nothing of partial trainings; without it they are not answered.
    pub partial: Option<f64>,
    /// Of the errors.
    pub seed: Seed,
}

impl Evaluator<Nb201Cell> for Lookup<'_> {
    fn evaluate(&mut self, number: usize, proposal: &Proposal<Nb201Cell>) -> Result<Answer> {
        let share = proposal.fidelity.share();
        let row = self.table.row(&proposal.arch);
        let mut objective = row.numbers[self.objective.0];
        objective += self.noise * f64::from(self.seed.child("noise").index(number as u64).stream().normal());
        if share < 1.0 {
            let Some(partial) = self.partial else {
                return Err(Error::Impossible(format!(
                    "{}: {share} of a training was asked for, and the table knows whole ones only; say what such an answer errs by",
                    self.table.path.display()
                )));
            };
            let key = u64::from(self.table.space.key(&proposal.arch));
            let seed = self.seed.child("partial").index(share.to_bits()).index(key);
            objective += partial * (1.0 - share) * f64::from(seed.stream().normal());
        }
        let training = Macs((row.macs.0 as f64 * share).round() as u64);
        let spent = Spent { trainings: share, training, evaluation: Macs(0) };
        Ok(Answer { outcome: Outcome::Measured { objective }, spent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::trial::{Fidelity, Origin};

    /// A line for every network, with numbers of its own.
    fn lines() -> Vec<String> {
        let space = Nb201::new();
        let mut seen = vec![false; space.networks()];
        let first = |cell: &Nb201Cell| !std::mem::replace(&mut seen[usize::from(space.key(cell))], true);
        let cells = Nb201::cells().filter(first).collect::<Vec<_>>().into_iter().enumerate();
        cells.map(|(i, cell)| format!("{i},{cell},{},{}", 1000 + i, i as f64 / 1e4)).collect()
    }

    fn text(lines: &[String]) -> String {
        format!("id,arch,macs,robust\n{}\n", lines.join("\n"))
    }

    fn refused(text: &str) -> String {
        Table::parse(text, Path::new("t.csv")).err().expect("this is no table").to_string()
    }

    #[test]
    fn cells_of_one_network_have_one_line() {
        let table = Table::parse(&text(&lines()), Path::new("t.csv")).unwrap();
        let robust = table.column("robust").unwrap();
        assert_eq!((table.cells().len(), table.columns()), (6466, &["macs".to_owned(), "robust".to_owned()][..]));
        let read = |text: &str| table.number(robust, &Nb201Cell::parse(text, Path::new("c")).unwrap());
        let direct = read("|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|");
        assert_eq!(direct, read("|skip_connect~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|"));
        assert_ne!(direct, read("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let good = lines();
        let with = |at: usize, line: &str| {
            let mut lines = good.clone();
            lines[at] = line.to_owned();
            refused(&text(&lines))
        };
        let cell = good[7].split(',').nth(1).unwrap();
        assert_eq!(with(7, &format!("7,{cell},1007,much")), "t.csv:9: column `robust`: `much`; expected a number");
        assert_eq!(with(7, &format!("7,{cell},1007,NaN")), "t.csv:9: column `robust`: `NaN`; expected a number");
        assert_eq!(with(7, &format!("7,{cell},-1,0.5")), "t.csv:9: column `macs`: `-1`; expected a whole number");
        assert_eq!(with(7, &format!("7,{cell},1007")), "t.csv:9: 3 fields; expected 4, as in the header");
        let unknown = cell.replacen(cell.split(['|', '~']).nth(1).unwrap(), "max_pool_3x3", 1);
        assert!(
            with(7, &format!("7,{unknown},1007,0.5"))
                .starts_with("t.csv:9: column `arch`, byte 1: NAS-Bench-201 has no")
        );
        let twice = with(7, &good[3]);
        assert_eq!(twice, "t.csv:9: the network of line 5 again; expected every network once");
        let missing = refused(&text(&good[1..]));
        assert!(missing.starts_with("t.csv: 1 of 6466 networks are missing, such as |none~0|+"), "{missing}");
        assert!(refused("id,arch,robust\n").starts_with("t.csv:1: no column `macs`; expected a header"));
        assert_eq!(refused("arch,macs,a,a\n"), "t.csv:1: column `a` is there twice; expected names that differ");
        let table = Table::parse(&text(&good), Path::new("t.csv")).unwrap();
        let unknown = table.column("robus").unwrap_err().to_string();
        assert_eq!(unknown, "t.csv: no column of numbers `robus`; did you mean `robust`? There are: macs, robust");
    }

    /// Noise is new in every trial, what a partial training errs by stays; both have the deviation that was asked for.
    #[test]
    fn errors_are_as_they_are_asked_for() {
        let table = Table::parse(&text(&lines()), Path::new("t.csv")).unwrap();
        let objective = table.column("robust").unwrap();
        let ask = |noise, partial, number, share, cell: &Nb201Cell| {
            let mut lookup = Lookup { table: &table, objective, noise, partial, seed: Seed::root(1) };
            let fidelity = Fidelity::new(share).unwrap();
            lookup.evaluate(number, &Proposal { arch: *cell, fidelity, origin: Origin::Drawn })
        };
        let deviation = |errors: &[f64]| (errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64).sqrt();
        let error = |answer: Answer, cell: &Nb201Cell| match answer.outcome {
            Outcome::Measured { objective: found } => found - table.number(objective, cell),
            Outcome::Failed { reason } => panic!("{reason}"),
        };
        let cells: Vec<Nb201Cell> = table.cells().copied().collect();
        let exact = ask(0.0, None, 3, 1.0, &cells[9]).unwrap();
        assert_eq!((error(exact.clone(), &cells[9]), exact.spent.training), (0.0, Macs(1009)));
        let noisy: Vec<f64> =
            (0..4000).map(|n| error(ask(0.01, None, n, 1.0, &cells[9]).unwrap(), &cells[9])).collect();
        assert!((deviation(&noisy) - 0.01).abs() < 5e-4, "{}", deviation(&noisy));
        let part: Vec<f64> = cells.iter().map(|c| error(ask(0.0, Some(0.04), 0, 0.25, c).unwrap(), c)).collect();
        assert!((deviation(&part) - 0.03).abs() < 1.5e-3, "{}", deviation(&part));
        let again = ask(0.0, Some(0.04), 5, 0.25, &cells[9]).unwrap();
        assert_eq!((error(again.clone(), &cells[9]), again.spent.training), (part[9], Macs(252)));
        assert!(
            ask(0.0, None, 0, 0.25, &cells[9]).unwrap_err().to_string().contains("the table knows whole ones only")
        );
    }
}
