//! Runs commands: on a terminal beneath a progress bar if there is one, else as they are.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context as _, Result, bail};
use indicatif::ProgressBar;

/// Where commands and messages show.
#[derive(Debug, Default)]
pub(crate) struct Shell {
    /// Set while a bar is on the terminal: output is then held back and shown on failure.
    pub(crate) bar: Option<ProgressBar>,
}

impl Shell {
    /// Prints a line.
    #[expect(
        clippy::print_stderr,
        reason = "the one place where this program speaks"
    )]
    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// Runs `command` to its end.
    ///
    /// # Errors
    ///
    /// When it fails; the message is the line that runs it again.
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        let line = line(command);
        let status = match &self.bar {
            None => {
                self.say(&format!("$ {line}"));
                command
                    .status()
                    .with_context(|| format!("cannot run `{line}`"))?
            }
            Some(bar) => {
                bar.set_message(line.clone());
                self.watch(bar, command)
                    .with_context(|| format!("cannot run `{line}`"))?
            }
        };
        if !status.success() {
            bail!("failed, {status}. Run it again with:\n    {line}");
        }
        Ok(())
    }

    /// Runs `command` and returns what it printed.
    ///
    /// # Errors
    ///
    /// As [`Shell::run`].
    pub(crate) fn read(&self, command: &mut Command) -> Result<String> {
        let line = line(command);
        let output = command
            .output()
            .with_context(|| format!("cannot run `{line}`"))?;
        if !output.status.success() {
            self.say(&String::from_utf8_lossy(&output.stderr));
            bail!("failed, {}. Run it again with:\n    {line}", output.status);
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn watch(&self, bar: &ProgressBar, command: &mut Command) -> std::io::Result<ExitStatus> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let held = Mutex::new(String::new());
        let follow = |stream: Option<Box<dyn Read + Send>>| {
            for line in stream
                .into_iter()
                .flat_map(|it| BufReader::new(it).lines())
                .map_while(Result::ok)
            {
                bar.set_message(line.chars().take(70).collect::<String>());
                let mut held = held.lock().expect("no follower panics");
                let _ = writeln!(held, "{line}");
            }
        };
        let stdout = child
            .stdout
            .take()
            .map(|it| Box::new(it) as Box<dyn Read + Send>);
        let stderr = child
            .stderr
            .take()
            .map(|it| Box::new(it) as Box<dyn Read + Send>);
        thread::scope(|scope| {
            scope.spawn(|| follow(stdout));
            follow(stderr);
        });
        let status = child.wait()?;
        if !status.success() {
            self.say(&held.into_inner().expect("no follower panics"));
        }
        Ok(status)
    }
}

/// `command` as one types it, with the variables that it sets.
fn line(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        Some(format!(
            "{}={}",
            name.to_string_lossy(),
            quote(&value?.to_string_lossy())
        ))
    });
    let program = [command.get_program()]
        .into_iter()
        .chain(command.get_args());
    let words = program.map(|word| quote(&word.to_string_lossy()));
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_how_to_run_it_again() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]).env("FLAGS", "--cfg loom");
        let error = Shell::default().run(&mut command).unwrap_err().to_string();
        assert!(
            error.contains("FLAGS='--cfg loom' sh -c 'exit 3'"),
            "{error}"
        );
    }

    #[test]
    fn what_a_command_prints_is_held_back_beneath_a_bar() {
        let shell = Shell {
            bar: Some(ProgressBar::hidden()),
        };
        shell
            .run(Command::new("sh").args(["-c", "echo out; echo err >&2"]))
            .unwrap();
        assert!(
            shell
                .run(Command::new("sh").args(["-c", "echo out; false"]))
                .is_err()
        );
    }
}
