//! nginx that serves a folder, as one process.

use std::fs;
use std::path::Path;
use std::process::Command;

use ::tests::http;
use ::tests::port::free_port;
use ::tests::process::Process;
use ::tests::wait::{PATIENCE, wait_until};
use anyhow::{Context, Result};

/// The server; it ends when dropped.
pub struct Nginx {
    process: Process,
    port: u16,
}

impl Nginx {
    /// Serves `folder/www` to everybody, pages of other origins among them.
    pub fn serve(folder: &Path) -> Result<Self> {
        let port = free_port()?;
        let config = folder.join("nginx.conf");
        fs::write(&config, configuration(folder, port))?;
        fs::write(folder.join("www/alive"), "")?;
        let mut nginx = Command::new("/usr/sbin/nginx");
        nginx.arg("-p").arg(folder).arg("-c").arg(&config);
        let process = Process::start(nginx, &folder.join("nginx.log"))?;
        let nginx = Self { process, port };
        let answers = || http::get(&nginx.url("alive")).is_ok_and(|reply| reply.status == 200);
        wait_until("nginx", PATIENCE, answers).with_context(|| nginx.process.log())?;
        Ok(nginx)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The address of a file.
    pub fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }
}

fn configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {folder}/temporary;"))
        .join(" ");
    format!(
        "\
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr; worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; open_file_cache max=100;
    {temporary}
    types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; video/mp4 mp4 m4s; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096; root {folder}/www;
        add_header Cache-Control no-cache; add_header Access-Control-Allow-Origin *;
    }}
}}
"
    )
}
