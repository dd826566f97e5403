//! A folder over HTTP, for players: whole files, any origin may read them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::thread;

use anyhow::Result;

/// Serves `folder` until the process ends; gives the address of its top.
pub fn serve(folder: &Path) -> Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = format!("http://{}/", listener.local_addr()?);
    let folder = folder.to_owned();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let folder = folder.clone();
            // A player that goes away in the middle of an answer is no fault.
            thread::spawn(move || answer(client, &folder).ok());
        }
    });
    Ok(address)
}

/// Answers one request after the other.
fn answer(mut client: TcpStream, folder: &Path) -> Result<()> {
    let mut lines = BufReader::new(client.try_clone()?).lines();
    while let Some(request) = lines.next().transpose()? {
        for line in lines.by_ref() {
            if line?.is_empty() {
                break;
            }
        }
        let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
        let path = PathBuf::from(path.split('?').next().unwrap_or_default());
        let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
        let (status, body) = match fs::read(folder.join(&path)) {
            Ok(body) if inside => ("200 OK", body),
            _ => ("404 Not Found", Vec::new()),
        };
        let kind = match path.extension().and_then(|extension| extension.to_str()) {
            Some("m3u8") => "application/vnd.apple.mpegurl",
            _ => "video/mp2t",
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nContent-Type: {kind}\r\nAccess-Control-Allow-Origin: *\r\n\r\n"
        );
        client.write_all(head.as_bytes())?;
        client.write_all(&body)?;
    }
    Ok(())
}
