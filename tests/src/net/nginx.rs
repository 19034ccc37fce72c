//! nginx in front of servers, with the configuration that stands in the guide (`proxies.md`).

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::{Answer, Child, Peer, eventually, found, skipped};

/// A running nginx and its files.
#[derive(Debug)]
pub struct Nginx {
    /// Where it listens.
    pub addr: SocketAddr,
    folder: PathBuf,
    _child: Child,
}

/// The configuration in the guide, as users copy it.
fn block() -> String {
    let guide = include_str!("../../../runtime/docs/proxies.md");
    let (_, behind) = guide.split_once("\n```nginx\n").expect("a block in the guide");
    behind.split_once("\n```\n").expect("the end of the block").0.to_owned()
}

/// Puts another value where the guide has an example.
#[track_caller]
fn put(block: &mut String, example: &str, value: &str) {
    assert_eq!(block.matches(example).count(), 1, "{example:?} in the guide");
    *block = block.replace(example, value);
}

impl Nginx {
    /// Starts nginx before these servers, without TLS; `None` if it is not installed.
    pub fn before(servers: &[SocketAddr]) -> Option<Self> {
        Nginx::before_with(servers, &[])
    }

    /// The same with other values in place of the guide's.
    pub fn before_with(servers: &[SocketAddr], more: &[(&str, &str)]) -> Option<Self> {
        Nginx::with(servers, |_, block| {
            put(block, " ssl;", ";");
            put(block, "    ssl_certificate /etc/ssl/chat.example.crt;\n", "");
            put(block, "    ssl_certificate_key /etc/ssl/chat.example.key;\n", "");
            more.iter().for_each(|(example, value)| put(block, example, value));
        })
    }

    /// Starts nginx with TLS and a self-signed certificate; `None` if it or `openssl` is not installed.
    pub fn with_tls(servers: &[SocketAddr]) -> Option<Self> {
        if !found("openssl", "version") {
            skipped("openssl is not installed");
            return None;
        }
        Nginx::with(servers, |folder, block| {
            let [certificate, key] =
                ["certificate", "key"].map(|name| folder.join(name).display().to_string());
            let mut openssl = Command::new("openssl");
            openssl.args([
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=chat.example",
            ]);
            let made = openssl.args(["-out", &certificate, "-keyout", &key]).output().expect("openssl");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            put(block, "/etc/ssl/chat.example.crt", &certificate);
            put(block, "/etc/ssl/chat.example.key", &key);
        })
    }

    fn with(servers: &[SocketAddr], fit: impl FnOnce(&PathBuf, &mut String)) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let programs = ["nginx", "/usr/sbin/nginx"];
        let Some(program) = programs.into_iter().find(|program| found(program, "-v")) else {
            skipped("nginx is not installed");
            return None;
        };
        let name = format!("abeyance-nginx-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        // The port is free again until nginx binds it. If another process takes it meanwhile, nginx does not start.
        let addr = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a free port");
        let mut block = block();
        let upstream: String = servers.iter().map(|server| format!("server {server}; ")).collect();
        put(&mut block, "server 127.0.0.1:8080;", &upstream);
        put(&mut block, "listen 443", &format!("listen {addr}"));
        fit(&folder, &mut block);
        let here = folder.display();
        let config = format!(
            "daemon off;\nmaster_process off;\nworker_processes 1;\npid {here}/pid;\nerror_log {here}/errors warn;\n\
             events {{ worker_connections 512; }}\n\
             http {{\naccess_log off;\nclient_body_temp_path {here}/1;\nproxy_temp_path {here}/2;\n\
             fastcgi_temp_path {here}/3;\nuwsgi_temp_path {here}/4;\nscgi_temp_path {here}/5;\n{block}\n}}\n"
        );
        fs::write(folder.join("config"), config).expect("a file");
        let mut command = Command::new(program);
        let child = Child::start(
            command.arg("-e").arg(folder.join("errors")).arg("-p").arg(&folder).args(["-c", "config"]),
        );
        eventually("nginx", || std::net::TcpStream::connect(addr).is_ok());
        Some(Nginx { addr, folder, _child: child })
    }

    /// Asks for a path.
    pub fn ask(&self, path: &str) -> Peer {
        let mut peer = Peer::connect(self.addr);
        peer.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        peer
    }

    /// Asks for a path, and reads the answer.
    pub fn get(&self, path: &str) -> Answer {
        self.ask(path).answer()
    }

    /// The error log.
    pub fn errors(&self) -> String {
        fs::read_to_string(self.folder.join("errors")).expect("a file")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
