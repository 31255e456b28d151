//! `kill -9` while a snapshot is written: the next process finds a whole one.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use prompt_edge::snapshot::file;

use crate::harness::process::names_in;

/// Large enough that a write can be seen under way.
const BYTES: usize = 4 << 20;

/// What a snapshot holds in one round.
fn payload(round: usize) -> Vec<u8> {
    round.to_be_bytes().repeat(BYTES / size_of::<usize>())
}

/// The variable that makes [`a_killed_write_leaves_the_last_snapshot_whole`] the process that is
/// killed, and the file that it writes to. It is this binary, since it takes a process to be killed.
const WRITES_TO: &str = "PROMPT_EDGE_TEST_WRITES_TO";

/// Writes without end and says each time when it is done.
fn write_until_killed(path: &Path) {
    for round in 1.. {
        file::write(path, &payload(round), None).expect("a snapshot can be written");
        writeln!(io::stdout(), "{round}").expect("somebody listens");
    }
}

fn start_writing(path: &Path) -> Child {
    let mut command = Command::new(env::current_exe().expect("a process has a binary"));
    command.args(["--exact", "snapshot::a_killed_write_leaves_the_last_snapshot_whole"]);
    command.env(WRITES_TO, path).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().expect("the binary can be run")
}

/// The rounds that the child says are done.
fn done(child: &mut Child) -> impl Iterator<Item = usize> + use<> {
    let lines = BufReader::new(child.stdout.take().expect("standard output is a pipe")).lines();
    // The harness of the child's tests writes lines of its own.
    lines.map_while(Result::ok).filter_map(|line| line.parse().ok())
}

#[test]
fn a_killed_write_leaves_the_last_snapshot_whole() {
    if let Some(path) = env::var_os(WRITES_TO) {
        return write_until_killed(Path::new(&path));
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("edge.snapshot");
    let mut killed_in_the_middle = 0;

    for count in [1, 2, 3, 5, 8] {
        let mut child = start_writing(&path);
        let mut done = done(&mut child);
        let acknowledged = done.nth(count - 1).expect("the child writes");
        while names_in(folder.path()).len() == 1 {
            assert!(child.try_wait().expect("it is our child").is_none(), "the child has ended");
        }
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
        let acknowledged = done.last().unwrap_or(acknowledged);
        killed_in_the_middle += names_in(folder.path()).len() - 1;

        let found = file::read(&path, None).expect("there is a whole snapshot");

        let possible = [acknowledged, acknowledged + 1].map(payload);
        assert!(possible.contains(&found), "round {acknowledged} was acknowledged and is gone");
    }

    assert!(killed_in_the_middle > 0, "no process was killed in the middle of a write");
    file::write(&path, b"after all", None).expect("a snapshot can be written");
    assert_eq!(names_in(folder.path()), ["edge.snapshot"], "nothing else is left");
}
