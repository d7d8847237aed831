//! Slurm: a run as an array of jobs, each of which joins the run as `robustnas work` does. The run's folder is the only state;
//! Slurm starts processes and nothing else is asked of it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, IoContext, Result};

/// An array of jobs that work at a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    /// This program, by its whole path.
    pub program: PathBuf,
    /// The run's folder, by its whole path.
    pub run: PathBuf,
    /// The name of the jobs.
    pub name: String,
    /// Jobs.
    pub jobs: u16,
    /// Processors of each.
    pub cpus: u16,
    /// Memory of each, as Slurm writes it: `8G`.
    pub memory: Option<String>,
    /// The most time that each may take at once, as Slurm writes it: `8:00:00`. A job that comes to its end saves what it is at
    /// and is queued again.
    pub time: Option<String>,
    /// The partition.
    pub partition: Option<String>,
    /// The account.
    pub account: Option<String>,
    /// Other resources: `gpu:1`.
    pub gres: Option<String>,
    /// Seconds before the end of the time at which a job is told. Slurm may be a minute late or early.
    pub warning: u32,
}

impl Array {
    /// The script for `sbatch`.
    ///
    /// A job puts itself into the queue again only where the end of its time was near: after TERM somebody else has
    /// decided, and a job that was cancelled would come back. It names itself as a part of the array, because the bare number
    /// of the last part is that of the whole array.
    ///
    /// # Errors
    /// [`Error::Usage`] for a value that would break its line of the script.
    pub fn script(&self) -> Result<String> {
        let (cpus, last) = (self.cpus, self.jobs.saturating_sub(1));
        let log = self.run.join("slurm-%A_%a.log");
        let mut text = String::from("#!/bin/bash\n");
        let mut line = |key: &str, value: &str| {
            if value.contains(['\n', '\r', '"']) {
                return Err(Error::Usage(format!("--{key} {value:?}: expected one line without quotes")));
            }
            let _ = writeln!(text, "#SBATCH --{key}=\"{value}\"");
            Ok(())
        };
        line("job-name", &self.name)?;
        line("array", &format!("0-{last}"))?;
        line("ntasks", "1")?;
        line("cpus-per-task", &cpus.to_string())?;
        let optional = [
            ("mem", &self.memory),
            ("time", &self.time),
            ("partition", &self.partition),
            ("account", &self.account),
            ("gres", &self.gres),
        ];
        for (key, value) in optional {
            value.as_ref().map_or(Ok(()), |value| line(key, value))?;
        }
        line("signal", &format!("B:USR1@{}", self.warning))?;
        line("output", &log.display().to_string())?;
        text.push_str("#SBATCH --requeue --open-mode=append\n\n");
        let (program, run) = (quoted(&self.program)?, quoted(&self.run)?);
        let _ = write!(
            text,
            r#"worker=
near_its_end=no
trap 'near_its_end=yes; [ -z "$worker" ] || kill -s USR1 "$worker"' USR1
trap '[ -z "$worker" ] || kill -s TERM "$worker"' TERM
{program} work --threads "${{SLURM_CPUS_PER_TASK:-{cpus}}}" -- {run} &
worker=$!
wait "$worker"
code=$?
# A trapped signal ends `wait` before the worker has ended.
while kill -0 "$worker" 2>/dev/null; do
    wait "$worker"
    code=$?
done
if [ "$code" = 75 ] && [ "$near_its_end" = yes ]; then
    exec scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
exit "$code"
"#
        );
        Ok(text)
    }

    /// Sends the jobs; returns the array's number.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no `sbatch`, or it refuses, with its words.
    pub fn send(&self) -> Result<String> {
        let script = self.script()?;
        let mut command = Command::new("sbatch");
        command.arg("--parsable").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut sbatch = command.spawn().map_err(|why| {
            Error::Usage(format!(
                "sbatch cannot be run ({why}): submit on a machine of the cluster, or take the script from --print"
            ))
        })?;
        // What it says is worth more than that it did not read to the end.
        let sent = sbatch.stdin.take().map(|mut input| input.write_all(script.as_bytes()));
        let output = sbatch.wait_with_output().at(Path::new("sbatch"))?;
        let [said, refused] =
            [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).trim().to_owned());
        if !output.status.success() || !matches!(sent, Some(Ok(()))) {
            return Err(Error::Usage(format!("sbatch did not take the jobs: {refused}")));
        }
        // Behind a semicolon some clusters name themselves.
        Ok(said.split(';').next().unwrap_or(&said).to_owned())
    }
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| {
        Error::Usage(format!("{}: a path in a script must be UTF-8; move or link it", path.display()))
    })?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(run: &str) -> Array {
        Array {
            program: "/opt/robustnas".into(),
            run: run.into(),
            name: "robustnas-night".into(),
            jobs: 3,
            cpus: 4,
            memory: None,
            time: Some("8:00:00".into()),
            partition: None,
            account: None,
            gres: None,
            warning: 180,
        }
    }

    #[test]
    fn only_what_was_asked_is_asked_of_slurm() {
        let script = array("/scratch/night").script().unwrap();
        let asked: Vec<&str> = script.lines().filter_map(|line| line.strip_prefix("#SBATCH ")).collect();
        let expected = [
            "--job-name=\"robustnas-night\"",
            "--array=\"0-2\"",
            "--ntasks=\"1\"",
            "--cpus-per-task=\"4\"",
            "--time=\"8:00:00\"",
            "--signal=\"B:USR1@180\"",
            "--output=\"/scratch/night/slurm-%A_%a.log\"",
            "--requeue --open-mode=append",
        ];
        assert_eq!(asked, expected);
    }

    /// The script as a shell runs it: arguments arrive whole, and the worker's code is the job's.
    #[test]
    #[cfg(unix)]
    fn the_script_runs_the_worker_with_paths_of_any_letters() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (program, said) = (folder.path().join("it's a program"), folder.path().join("said"));
        let worker = format!("#!/bin/sh\nprintf '%s|' \"$@\" > '{}'\nexit 7\n", said.display());
        std::fs::write(&program, worker).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let run = folder.path().join("a run of $HOME");
        let script = Array { program, ..array(&run.display().to_string()) }.script().unwrap();
        let status = Command::new("bash").args(["-c", &script]).env_remove("SLURM_CPUS_PER_TASK").status().unwrap();
        assert_eq!(status.code(), Some(7));
        assert_eq!(std::fs::read_to_string(said).unwrap(), format!("work|--threads|4|--|{}|", run.display()));
    }

    #[test]
    fn what_would_break_a_line_is_refused() {
        let broken = Array { partition: Some("a\n#SBATCH --array=0-999".into()), ..array("/run") };
        assert!(broken.script().unwrap_err().to_string().contains("--partition"));
    }
}
