//! Under a service manager: the sockets it hands over, and what it is told.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;

use crate::harness::client::Client;
use crate::harness::process::{Folder, PATIENCE};

#[test]
fn a_service_manager_is_told_what_becomes_of_the_edge() {
    let folder = Folder::with_project();
    let path = folder.path("notify");
    let manager = UnixDatagram::bind(&path).expect("the path is free");
    manager.set_read_timeout(Some(PATIENCE)).expect("a socket has timeouts");
    let heard = || {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).expect("something is told in time");
        String::from_utf8(buffer[..length].to_vec()).expect("it is text")
    };
    let path = path.to_str().expect("the path is text");
    let variables = [("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "100000")];

    let server = folder.serve_with("", &variables);

    assert_eq!(heard(), "READY=1\n");
    assert_eq!([heard(), heard()], ["WATCHDOG=1\n", "WATCHDOG=1\n"]);
    server.signal("TERM");
    let stopping = (0..1_000).map(|_| heard()).find(|told| told != "WATCHDOG=1\n");
    assert_eq!(stopping.as_deref(), Some("STOPPING=1\n"));
    server.ended().done();
}

const ENTRY: &str = "[[listeners]]\nname = \"web\"\nlisten = \"systemd:web\"\n";

#[tokio::test]
async fn a_socket_that_is_handed_over_is_served_and_outlives_the_process() {
    let folder = Folder::with_project();
    folder.write("config.toml", ENTRY);
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("it is bound");
    let line = "serve --admin-listen 127.0.0.1:0";

    for _ in 0..2 {
        let server = folder.serve_as(folder.handed(&socket, line));
        assert_eq!(server.address, address);
        assert_eq!(Client::to(address).await.get("/nowhere", &[]).await.status, 404);
        server.signal("TERM");
        server.ended().done();
    }
}

#[test]
fn a_socket_that_is_not_handed_over_is_named() {
    let folder = Folder::with_project();
    folder.write("config.toml", ENTRY);

    let said = folder.run("serve --admin-listen 127.0.0.1:0").failed(1);

    let expected = "cannot listen on systemd:web (listeners.web.listen): systemd has handed over no \
                    socket of this name";
    assert!(said.contains(expected), "{said}");
}
