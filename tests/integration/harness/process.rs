//! The real binary: commands that end, and servers that run until they are told to.
//!
//! Nothing here sleeps. A line, the end of a pipe and the end of a process are events; waiting for
//! one is bounded by [`PATIENCE`].

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// Far longer than anything takes: a slow machine is no reason to fail a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder to run the binary in, with a store, files and temporary files of its own.
pub(crate) struct Folder(TempDir);

impl Folder {
    /// An empty folder, but for one for temporary files.
    pub(crate) fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a temporary folder can be made"));
        fs::create_dir(folder.temporary()).expect("a folder can be made");
        folder
    }

    /// A folder whose store has the project `acme`.
    pub(crate) fn with_project() -> Self {
        let folder = Self::new();
        folder.run("projects create acme --plan enterprise").done();
        folder
    }

    /// The path of a file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The default store.
    pub(crate) fn store(&self) -> PathBuf {
        self.path("prompt-edge.db")
    }

    /// Where the binary puts temporary files.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.path("tmp")
    }

    /// Writes a file, and the folders it is in.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        let parent = path.parent().expect("a file is in a folder");
        fs::create_dir_all(parent).expect("folders can be made");
        fs::write(path, text).expect("a file can be written");
    }

    /// What is in a file.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("the file is there")
    }

    /// Writes a prompt of one block, imports it and makes it live.
    pub(crate) fn publish(&self, slug: &str, text: &str) {
        self.write(&format!("{slug}.md"), format!("# Role\n{text}\n"));
        self.run(&format!("import {slug}.md --project acme --publish")).done();
    }

    /// Issues a key of `acme`.
    pub(crate) fn key(&self, environment: &str) -> String {
        let line = format!("keys create --project acme --environment {environment}");
        self.run(&line).done().trim().to_owned()
    }

    /// A command: its arguments, with a blank between them, and no environment but the folder for
    /// temporary files.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prompt-edge"));
        command.args(line.split_whitespace()).current_dir(self.0.path());
        command.env_clear().env("TMPDIR", self.temporary()).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, line: &str) -> Ended {
        self.run_with(line, &[])
    }

    /// Runs a command to its end, with environment variables.
    pub(crate) fn run_with(&self, line: &str, variables: &[(&str, &str)]) -> Ended {
        let output = self.command(line).envs(variables.iter().copied()).output();
        let output = output.expect("the binary can be run");
        Ended {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: String::from_utf8(output.stdout).expect("standard output is text"),
            stderr: String::from_utf8(output.stderr).expect("standard error is text"),
        }
    }

    /// Starts a server on free ports.
    pub(crate) fn serve(&self, more: &str) -> Server {
        self.serve_with(more, &[])
    }

    /// Starts a server on free ports, with environment variables.
    pub(crate) fn serve_with(&self, more: &str, variables: &[(&str, &str)]) -> Server {
        Server::start(self.server(more, variables), Stdio::piped())
    }

    /// Starts a server whose standard error is a pipe without a reader.
    pub(crate) fn serve_unheard(&self, variables: &[(&str, &str)]) -> Server {
        let (reader, writer) = io::pipe().expect("a pipe can be made");
        drop(reader);
        Server::start(self.server("", variables), writer.into())
    }

    /// Starts a server with all of its arguments and its environment in `command`.
    pub(crate) fn serve_as(&self, mut command: Command) -> Server {
        if !command.get_envs().any(|(name, _)| name == DRAIN_DELAY) {
            command.env(DRAIN_DELAY, "0s");
        }
        Server::start(command, Stdio::piped())
    }

    /// A command that is handed a socket over by the name `web`, as systemd does
    /// (sd_listen_fds(3)).
    pub(crate) fn handed(&self, socket: &TcpListener, line: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "export LISTEN_PID=$$; exec \"$0\" \"$@\" 3<&0 </dev/null"]);
        command.arg(env!("CARGO_BIN_EXE_prompt-edge")).args(line.split_whitespace());
        command.current_dir(self.0.path()).env_clear().env("TMPDIR", self.temporary());
        command.envs([("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "web")]);
        let socket = socket.try_clone().expect("there are descriptors left");
        command.stdin(OwnedFd::from(socket));
        command
    }

    fn server(&self, more: &str, variables: &[(&str, &str)]) -> Command {
        let line = format!("serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 {more}");
        let mut command = self.command(&line);
        // Nobody has to be kept from it before it stops.
        command.env(DRAIN_DELAY, "0s");
        command.envs(variables.iter().copied());
        command
    }
}

const DRAIN_DELAY: &str = "PROMPT_EDGE__SERVER__DRAIN_DELAY";

/// A process that has ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code, unless a signal ended it.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// What it wrote to standard output; it must have succeeded.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, Some(0), "it should succeed: {self:?}");
        self.stdout
    }

    /// What it wrote to standard error; it must have failed with this code.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "it should fail: {self:?}");
        self.stderr
    }
}

/// A running server, killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    printed: Lines,
    logged: Lines,
    /// Where callers reach it.
    pub(crate) address: SocketAddr,
    /// Where operators reach it.
    pub(crate) admin: SocketAddr,
}

impl Server {
    fn start(mut command: Command, log: Stdio) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the binary can be run");
        let mut printed = Lines::of(child.stdout.take().expect("standard output is a pipe"));
        let log = child.stderr.take();
        let mut logged = log.map_or_else(|| Lines::of(io::empty()), Lines::of);
        let Some(first) = printed.next() else {
            panic!("the server ended before it listened: {:?}", logged.rest());
        };
        let addresses = first
            .strip_prefix("prompt-edge listening on http://")
            .and_then(|rest| rest.split_once("   admin http://"));
        let (address, admin) = addresses.expect("the first line says where it listens");
        Self {
            child,
            printed,
            logged,
            address: address.parse().expect("an address"),
            admin: admin.parse().expect("an address"),
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of standard output after the one about addresses.
    pub(crate) fn next_line(&mut self) -> String {
        self.printed.next().expect("there is another line")
    }

    /// Waits for a line on standard error that has `phrase` in it.
    pub(crate) fn says(&mut self, phrase: &str) {
        while let Some(line) = self.logged.next() {
            if line.contains(phrase) {
                return;
            }
        }
        panic!("the server ended without saying `{phrase}`: {:?}", self.logged.seen);
    }

    /// Waits for a line on standard error that has these words in it, in this order.
    pub(crate) fn says_words(&mut self, words: &[&str]) {
        while let Some(line) = self.logged.next() {
            let mut said = line.split_whitespace();
            if words.iter().all(|word| said.any(|other| other.ends_with(word))) {
                return;
            }
        }
        panic!("the server ended without saying {words:?}: {:?}", self.logged.seen);
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.id())]).status();
        assert!(sent.expect("there is a shell").success(), "the server is still there");
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Ended {
        let (stdout, stderr) = (self.printed.rest(), self.logged.rest());
        let status = self.child.wait().expect("the server is our child");
        Ended { code: status.code(), signal: status.signal(), stdout, stderr }
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(mut self) -> Ended {
        self.child.kill().expect("the server can be killed");
        self.ended()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a pipe, as they come.
struct Lines {
    coming: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let (sender, coming) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(pipe).lines().map_while(Result::ok);
            // Nobody listens any more once the test is over.
            lines.for_each(|line| drop(sender.send(line)));
        });
        Self { coming, seen: Vec::new() }
    }

    /// The next line; `None` at the end of the pipe.
    fn next(&mut self) -> Option<String> {
        match self.coming.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.seen.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("no line within {PATIENCE:?}: {:?}", self.seen)
            }
        }
    }

    /// Everything up to the end of the pipe, the lines seen before included.
    fn rest(&mut self) -> String {
        while self.next().is_some() {}
        self.seen.iter().flat_map(|line| [line, "\n"]).collect()
    }
}

/// The names in a folder.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let names = entries.map(|entry| entry.expect("the folder can be read").file_name());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}
