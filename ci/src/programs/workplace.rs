//! Where programs are swept: a folder with their small inputs, and an environment that is the same for
//! everybody.

use std::cell::Cell;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::programs::list::made_files;
use crate::{Step, cargo, root, run, target};

/// The environment of each program.
const ENVIRONMENT: [(&str, &str); 4] =
    [("PATH", "/usr/bin:/bin"), ("HOME", "/nonexistent"), ("LC_ALL", "C.UTF-8"), ("TZ", "UTC")];
const PAUSE: Duration = Duration::from_millis(20);

/// How a command ended.
pub(crate) enum Ended {
    Exited { out: String, said: String },
    Stopped,
}

/// The folders of the programs, which are removed at the end.
pub(crate) struct Workplace {
    folder: PathBuf,
    binary: PathBuf,
    folders: Cell<u32>,
}

impl Workplace {
    /// Makes the inputs, and builds `mallory` unless there is one already.
    pub(crate) fn new(binary: Option<&str>) -> Result<Workplace, String> {
        let binary = match binary {
            Some(binary) => {
                fs::canonicalize(binary).map_err(|e| format!("error: {binary}: {e}"))?
            }
            None => {
                run(&mut cargo(&["build", "--quiet", "--release", "-p", "mallory-scenarios"]))?;
                target().join("release/mallory")
            }
        };
        // Programs ask for memory for the path of their folder, so its length is always the same.
        let folder = std::env::temp_dir().join(format!("programs-{:010}", std::process::id()));
        let workplace = Workplace { folder, binary, folders: Cell::new(0) };
        let inputs = workplace.inputs();
        copy(&root().join("ci/programs"), &inputs)?;
        for (name, line) in made_files()? {
            let mut command = shell(&inputs, &line);
            let made = command.output().map_err(|error| format!("error: {line}: {error}"))?;
            if !inputs.join(&name).exists() {
                let said = String::from_utf8_lossy(&made.stderr).into_owned();
                eprintln!("{name} is not made: `{line}`: {}", said.trim());
            }
        }
        Ok(workplace)
    }

    fn inputs(&self) -> PathBuf {
        self.folder.join("inputs")
    }

    /// A new folder with the inputs.
    pub(crate) fn fresh_folder(&self) -> Result<PathBuf, String> {
        let nth = self.folders.replace(self.folders.get() + 1);
        let folder = self.folder.join(format!("{nth:06}"));
        copy(&self.inputs(), &folder)?;
        Ok(folder)
    }

    /// Runs a line that begins with `mallory`, and stops it after this time.
    pub(crate) fn run(&self, folder: &Path, line: &str, time: Duration) -> Result<Ended, String> {
        let words =
            line.strip_prefix("mallory ").ok_or_else(|| format!("error: not ours: {line}"))?;
        // The shell itself adds a variable.
        let line = format!("exec env -u PWD '{}' {words}", self.binary.display());
        let mut command = shell(folder, &line);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("error: {line}: {error}"))?;
        let out = child.stdout.take().map(reader);
        let said = child.stderr.take().map(reader);
        let start = Instant::now();
        while child.try_wait().map_err(|error| format!("error: {line}: {error}"))?.is_none() {
            if start.elapsed() > time {
                let _ = child.kill();
                let _ = child.wait();
                return Ok(Ended::Stopped);
            }
            std::thread::sleep(PAUSE);
        }
        let text = |reader: Option<std::thread::JoinHandle<String>>| {
            reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
        };
        Ok(Ended::Exited { out: text(out), said: text(said) })
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A shell's line in a folder, in the environment of the programs.
fn shell(folder: &Path, line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).current_dir(folder).stdin(Stdio::null());
    command.env_clear().envs(ENVIRONMENT);
    command
}

/// Reads a stream to its end, on a thread of its own.
fn reader(mut stream: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn copy(from: &Path, to: &Path) -> Step {
    let copied = fs::create_dir_all(to).and_then(|()| {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), to.join(entry.file_name()))?;
            }
        }
        Ok(())
    });
    copied.map_err(|error| format!("error: {}: {error}", to.display()))
}

/// The version of a package that is installed.
pub(crate) fn version(package: &str) -> Option<String> {
    let format = "-f=${db:Status-Status} ${Version}";
    let output = Command::new("dpkg-query").args(["-W", format, package]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.strip_prefix("installed ").map(|version| version.trim().to_owned())
}
