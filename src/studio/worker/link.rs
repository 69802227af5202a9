//! The studio's end of the worker's pipes.

use super::talk::{Answer, Ask};
use crate::acts::generate::Shot;
use crate::error::{Error, Result};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

/// Bytes of one line, and of one picture, that a sane worker sends at most.
const MOST: u64 = 256 << 20;

/// A running worker. It is killed when this is dropped.
pub struct Link {
    /// Whether the worker still has a run open.
    pub in_run: bool,
    _child: Child,
    input: ChildStdin,
    heard: mpsc::Receiver<Result<Heard>>,
}

/// An answer, with the picture that came with it.
pub enum Heard {
    /// An answer without one.
    Plain(Answer),
    /// Picture number `index` of what was asked.
    Picture(usize, Box<Shot>),
}

impl Link {
    /// Starts a worker on `device`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn start(program: &Path, device: &str) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["studio-worker", "--device", device]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let fail = |e| Error::io(program, "start", e);
        let mut child = command.kill_on_drop(true).spawn().map_err(fail)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or_else(|| Error::Bug("a worker without pipes".into()))?;
        // Answers are read by a task of their own, so that waiting for one can be given up without losing half of it.
        let (sender, heard) = mpsc::channel(16);
        tokio::spawn(async move {
            let mut output = BufReader::new(output);
            loop {
                let answer = read(&mut output).await;
                let last = answer.is_err();
                if sender.send(answer).await.is_err() || last {
                    return;
                }
            }
        });
        Ok(Self { in_run: false, _child: child, input, heard })
    }

    /// Asks for something.
    ///
    /// # Errors
    /// [`Error::Io`] for a worker that is gone.
    pub async fn ask(&mut self, ask: &Ask) -> Result<()> {
        let mut line = serde_json::to_vec(ask).map_err(|e| Error::Bug(e.to_string()))?;
        line.push(b'\n');
        self.input.write_all(&line).await.map_err(lost)
    }

    /// Waits for the next answer. Giving up the wait loses nothing.
    ///
    /// # Errors
    /// [`Error::Io`] for a worker that is gone or says what cannot be read.
    pub async fn hear(&mut self) -> Result<Heard> {
        self.heard.recv().await.unwrap_or_else(|| Err(lost(std::io::ErrorKind::UnexpectedEof.into())))
    }
}

/// The next answer of a worker.
async fn read(output: &mut BufReader<ChildStdout>) -> Result<Heard> {
    let mut line = Vec::new();
    (&mut *output).take(MOST).read_until(b'\n', &mut line).await.map_err(lost)?;
    if line.last() != Some(&b'\n') {
        return Err(lost(std::io::ErrorKind::UnexpectedEof.into()));
    }
    let answer: Answer = serde_json::from_slice(&line).map_err(|e| lost(std::io::Error::other(e)))?;
    let Answer::Frame { index, row, bytes } = answer else { return Ok(Heard::Plain(answer)) };
    if bytes as u64 > MOST {
        return Err(lost(std::io::ErrorKind::InvalidData.into()));
    }
    let mut png = vec![0; bytes];
    output.read_exact(&mut png).await.map_err(lost)?;
    let shot = Shot { row: *row, png: (bytes > 0).then_some(png) };
    Ok(Heard::Picture(index, Box::new(shot)))
}

fn lost(source: std::io::Error) -> Error {
    Error::io("<worker>", "talk to", source)
}
