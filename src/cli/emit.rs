//! `isoline emit`: the script with which a cluster works on the shards of a run.

use super::{CommandRow, Context, output, parsed, runs};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// The row of `isoline emit`.
pub const ROW: CommandRow = CommandRow::new::<Args>(
    "emit",
    "Print a job script with which a cluster works on a planned run",
    |typed, context| run(&parsed(typed)?, context),
);

/// Arguments of `isoline emit`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "slurm prints a job script: isoline emit slurm RUN > job.sh && sbatch job.sh. What is missing afterwards is \
submitted again with sbatch --array=\"$(isoline status RUN --missing)\" job.sh. kubernetes prints an Indexed Job, which was \
checked against the published schema but never run by us."
)]
pub struct Args {
    /// For which cluster
    #[arg(value_enum, value_name = "CLUSTER")]
    cluster: Cluster,
    /// Run folder, planned with --shards
    #[arg(value_name = "RUN")]
    folder: PathBuf,
    /// Shards that run at the same time at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    array_max: Option<u64>,
    /// Container image, for kubernetes
    #[arg(long, value_name = "IMAGE", default_value = "isoline:latest")]
    image: String,
    /// Volume claim that holds the run folder, for kubernetes
    #[arg(long, value_name = "NAME", default_value = "isoline-runs")]
    claim: String,
    /// Further options of sbatch, such as -- --time=02:00:00 --cpus-per-task=4
    #[arg(last = true, value_name = "OPTION")]
    options: Vec<String>,
}

/// Which cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Cluster {
    /// A Slurm job array
    Slurm,
    /// A Kubernetes Indexed Job
    Kubernetes,
}

/// Prints the script.
///
/// # Errors
/// [`Error::Config`] if the plan fixes no shards, or if a path or option cannot be written into the script.
pub fn run(args: &Args, _context: &Context) -> Result<()> {
    let (plan, _) = runs::open(&args.folder)?;
    let Some(shards) = plan.shards else {
        return Err(Error::config("RUN", "the plan fixes no number of shards; plan it with isoline plan --shards N"));
    };
    let folder = std::path::absolute(&args.folder).map_err(|e| Error::io(&args.folder, "find", e))?;
    let program = std::env::current_exe().map_err(|e| Error::io("isoline", "find", e))?;
    let most = args.array_max.unwrap_or(shards).min(shards);
    let name = format!("isoline-{:.8}", plan.id());
    let text = match args.cluster {
        Cluster::Slurm => {
            let options = options(&args.options)?;
            slurm(&name, plain(&folder)?, plain(&program)?, shards, most, &options)
        }
        Cluster::Kubernetes => {
            if let Some(option) = args.options.first() {
                let message = "kubernetes takes no options of sbatch";
                return Err(Error::config(option.escape_debug().to_string(), message));
            }
            for (key, value) in [("--image", &args.image), ("--claim", &args.claim)] {
                if value.is_empty() || !value.chars().all(|c| c.is_ascii_alphanumeric() || "./:_-@".contains(c)) {
                    let found = value.escape_debug();
                    return Err(Error::config(key, format!("expected letters, digits and ./:_-@, found \"{found}\"")));
                }
            }
            kubernetes(&name, &args.image, &args.claim, shards, most)
        }
    };
    output::print(&text)
}

/// A path that can stand in a script: UTF-8, without control characters or double quotes.
fn plain(path: &Path) -> Result<&str> {
    path.to_str().filter(|t| !t.chars().any(|c| c.is_control() || c == '"')).ok_or_else(|| {
        Error::config(crate::error::shown(path), "this path cannot be written into a script; move the folder")
    })
}

fn options(options: &[String]) -> Result<Vec<&str>> {
    let good = |o: &&String| o.starts_with("--") && o.len() > 2 && !o.chars().any(char::is_control);
    match options.iter().find(|o| !good(o)) {
        None => Ok(options.iter().map(String::as_str).collect()),
        Some(bad) => {
            Err(Error::config(bad.escape_debug().to_string(), "expected options of sbatch as in --time=02:00:00"))
        }
    }
}

/// A shell word in single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn slurm(name: &str, folder: &str, program: &str, shards: u64, most: u64, options: &[&str]) -> String {
    let more: String = options.iter().map(|o| format!("#SBATCH {o}\n")).collect();
    let (run, isoline) = (quoted(folder), quoted(program));
    // A % starts a pattern in sbatch's file names.
    let log = folder.replace('%', "%%") + "/shards/slurm-%a.log";
    format!(
        r#"#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --array=0-{last}%{most}
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --open-mode=append
#SBATCH --output="{log}"
{more}# Shards that are missing afterwards: sbatch --array="$({isoline} status {run} --missing)" THIS_SCRIPT
isoline={isoline}
run={run}
"$isoline" work "$run" --shard "$SLURM_ARRAY_TASK_ID/{shards}" --progress none &
worker=$!
# The shell is told before the time is up; the worker then finishes its tile and ends with 75.
trap 'again=1; kill -USR1 "$worker" 2>/dev/null' USR1 TERM
again=1
while [ $again -eq 1 ]; do
  again=0
  wait "$worker"
  code=$?
done
if [ "$code" -eq 75 ]; then
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}" && sleep 60
fi
exit "$code"
"#,
        last = shards - 1,
    )
}

fn kubernetes(name: &str, image: &str, claim: &str, shards: u64, most: u64) -> String {
    format!(
        r#"# Checked against the schema of batch/v1, not run by us. The claim must allow ReadWriteMany where shards run on several
# nodes, and hold the run folder at its root.
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
spec:
  completionMode: Indexed
  completions: {shards}
  parallelism: {most}
  backoffLimitPerIndex: 5
  maxFailedIndexes: {shards}
  podFailurePolicy:
    rules:
      # 75: stopped and to be gone on with; 7: the shard is still locked by a pod that is going away.
      - action: Ignore
        onExitCodes:
          operator: In
          values: [7, 75]
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
            status: "True"
      # 2 and 3: config or model are wrong, and stay so.
      - action: FailJob
        onExitCodes:
          operator: In
          values: [2, 3]
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 120
      containers:
        - name: isoline
          image: "{image}"
          command: ["isoline", "work", "/run", "--shard", "auto", "--progress", "none"]
          env:
            - name: JOB_COMPLETIONS
              value: "{shards}"
          volumeMounts:
            - name: run
              mountPath: /run
      volumes:
        - name: run
          persistentVolumeClaim:
            claimName: "{claim}"
"#
    )
}
