//! Several doors to one edge: what each speaks, how many may come in, and what is left of them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use crate::harness::client::{Client, Raw};
use crate::harness::process::{Folder, PATIENCE, Server};

const GREETING: &str = "/api/v1/prompts/greeting/compiled";
const EDITION: &str = "/edge/v1/prompts/greeting";

/// An entry of the configuration.
fn entry(name: &str, listen: &str, more: &str) -> String {
    format!("[[listeners]]\nname = \"{name}\"\nlisten = \"{listen}\"\n{more}\n")
}

/// A server that is configured by a file, with one prompt, and a key for it.
fn serving(config: &str) -> (Folder, Server, String) {
    let folder = Folder::with_project();
    folder.publish("greeting", "Hello {{name}}");
    let key = folder.key("live");
    folder.write("config.toml", config);
    let command = folder.command("serve --admin-listen 127.0.0.1:0 --workers 2");
    let server = folder.serve_as(command);
    (folder, server, key)
}

/// One request over a Unix socket, and everything that is answered.
fn ask_unix(path: &Path, target: &str, key: &str) -> String {
    let mut stream = UnixStream::connect(path).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket has timeouts");
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {key}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the connection ends in time");
    answer
}

#[tokio::test]
async fn each_listener_speaks_its_dialects_and_no_other() {
    let folder = Folder::new();
    let socket = folder.path("edge.sock");
    let config = entry("public", "127.0.0.1:0", "dialects = [\"promptot\"]")
        + &entry("edges", &format!("unix:{}", socket.display()), "dialects = [\"edge\"]");
    let (project, mut server, key) = serving(&config);
    let line = "keys create --project acme --environment live --scope edge";
    let edge_key = project.run(line).done().trim().to_owned();

    assert_eq!(server.next_line(), format!("prompt-edge listening on unix:{}", socket.display()));
    let mut public = Client::to(server.address).await;
    // Twice: the second answer would come from the fast lane.
    for _ in 0..2 {
        assert_eq!(public.get_as(&key, GREETING).await.status, 200);
        let unknown = public.get_as(&edge_key, EDITION).await;
        assert_eq!(unknown.status, 404);
        assert!(ask_unix(&socket, EDITION, &edge_key).starts_with("HTTP/1.1 200 OK\r\n"));
        let refused = ask_unix(&socket, GREETING, &key);
        assert!(refused.starts_with("HTTP/1.1 404 Not Found\r\n"), "{refused}");
        assert!(refused.contains(r#"{"data":null,"error":{"code":"NOT_FOUND""#), "{refused}");
    }

    server.signal("TERM");
    server.ended().done();
    assert!(!socket.exists(), "the file goes with the listener");
}

#[test]
fn the_file_of_a_socket_is_replaced_only_if_nobody_listens() {
    let folder = Folder::with_project();
    let path = folder.path("edge.sock");
    let run = |folder: &Folder| {
        let listen = format!("unix:{}", path.display());
        folder.write("config.toml", entry("a", "127.0.0.1:0", "") + &entry("inside", &listen, ""));
        folder.command("serve --admin-listen 127.0.0.1:0")
    };
    let refused = |folder: &Folder| {
        let output = run(folder).output().expect("the binary can be run");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).expect("standard error is text")
    };
    let named = format!("cannot listen on unix:{} (listeners.inside.listen): ", path.display());

    fs::write(&path, "notes").expect("a file can be written");
    let said = refused(&folder);
    assert!(said.contains(&format!("{named}there is a file that is no socket")), "{said}");
    assert_eq!(fs::read(&path).expect("it is still there"), b"notes");
    fs::remove_file(&path).expect("a file can be removed");

    let other = UnixListener::bind(&path).expect("a path is free");
    let said = refused(&folder);
    assert!(said.contains(&format!("{named}address in use")), "{said}");

    // As a crash leaves it.
    drop(other);
    let server = folder.serve_as(run(&folder));
    assert!(ask_unix(&path, GREETING, "wrong").starts_with("HTTP/1.1 401 "));
    server.kill();
    let left = fs::symlink_metadata(&path).expect("nobody removed it");
    assert!(left.file_type().is_socket());
    drop(folder.serve_as(run(&folder)));
}

#[test]
fn no_more_connections_are_open_than_may_be_on_all_listeners_together() {
    let config = "server.max_connections = 2\n".to_owned()
        + &entry("a", "127.0.0.1:0", "")
        + &entry("b", "127.0.0.1:0", "");
    let (_folder, mut server, _) = serving(&config);
    let second = server.next_line();
    let second = second.strip_prefix("prompt-edge listening on http://").expect("an address");
    let second = second.parse().expect("an address");
    let ask = "GET /nowhere HTTP/1.1\r\nHost: edge\r\n\r\n";
    let mut open = [Raw::to(server.address), Raw::to(second)];
    for connection in &mut open {
        connection.send(ask);
        connection.until("HTTP/1.1 404 Not Found\r\n");
    }

    for address in [server.address, second] {
        let answer = Raw::to(address).rest();
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
        assert!(answer.contains("retry-after: 1\r\nconnection: close\r\n"), "{answer}");
    }
    assert!(metrics(&server).contains("prompt_edge_shed_total{reason=\"connections\"} 2\n"));
}

#[test]
fn one_source_has_its_share_and_a_unix_socket_is_no_source() {
    let folder = Folder::new();
    let socket = folder.path("edge.sock");
    let config = "server.max_connections_per_source = 1\n".to_owned()
        + &entry("a", "127.0.0.1:0", "")
        + &entry("b", &format!("unix:{}", socket.display()), "");
    let (_project, server, _) = serving(&config);
    let mut first = Raw::to(server.address);
    first.send("GET /nowhere HTTP/1.1\r\nHost: edge\r\n\r\n");
    first.until("HTTP/1.1 404 Not Found\r\n");

    let answer = Raw::to(server.address).rest();

    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    let _held = UnixStream::connect(&socket).expect("the server listens");
    assert!(ask_unix(&socket, "/nowhere", "").starts_with("HTTP/1.1 404 "));
    assert!(metrics(&server).contains("prompt_edge_shed_total{reason=\"source\"} 1\n"));
}

/// The names of threads are Linux's to tell.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn so_many_threads_serve_connections_and_all_else_is_done_elsewhere() {
    let folder = Folder::with_project();
    folder.publish("greeting", "Hello");
    let key = folder.key("live");
    let server = folder.serve("--workers 3");

    for _ in 0..8 {
        assert_eq!(Client::to(server.address).await.get_as(&key, GREETING).await.status, 200);
    }

    let tasks = fs::read_dir(format!("/proc/{}/task", server.id())).expect("the server runs");
    let names = tasks.map(|task| {
        let task = task.expect("the folder can be read").path();
        fs::read_to_string(task.join("comm")).expect("a thread has a name")
    });
    let mut workers: Vec<_> = names.filter(|name| name.starts_with("worker-")).collect();
    workers.sort();
    assert_eq!(workers, ["worker-0\n", "worker-1\n", "worker-2\n"]);
}

/// What is counted. The operators' listener has places of its own.
fn metrics(server: &Server) -> String {
    let mut operator = Raw::to(server.admin);
    operator.send("GET /metrics HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n");
    operator.rest()
}

#[test]
fn a_port_of_somebody_else_is_named_with_its_listener() {
    let folder = Folder::with_project();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    folder.write("config.toml", entry("public", &address, ""));

    let said = folder.run("serve --admin-listen 127.0.0.1:0").failed(1);

    let expected = format!("cannot listen on {address} (listeners.public.listen): Address already");
    assert!(said.contains(&expected), "{said}");
}
