//! `porthole-remote enroll` on a host of the test's own: real accounts, a real sshd started from what it wrote, the service under
//! its own user, and cameras that try what they may not.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tests::client::{Client, said};
use tests::footage::recording;
use tests::host::{Host, PROGRAM, on_a_host};
use tests::process::Process;
use tests::wait::{PATIENCE, wait_until};

const DIR: &str = "/var/lib/porthole";

/// A client whose key is enrolled as `account`.
fn enrolled(host: &Host, account: &str, more: &[&str]) -> Result<Client> {
    let client = Client::new(account, host.port())?;
    let (succeeded, said) = enroll(host, &client.public_key()?, account, more)?;
    ensure!(succeeded, "{said}");
    Ok(client)
}

fn enroll(host: &Host, key: &str, account: &str, more: &[&str]) -> Result<(bool, String)> {
    let arguments = [&["enroll", key, "--name", account], more].concat();
    let output = host.run(PROGRAM, &arguments)?;
    Ok((output.status.success(), said(&output)))
}

/// The service's user, group and folders, from the files that are installed with it.
fn install(host: &Host) -> Result<()> {
    for (program, file) in [("systemd-sysusers", "sysusers"), ("systemd-tmpfiles", "tmpfiles")] {
        let file = tests::workspace().join(format!("remote/systemd/porthole-remote.{file}"));
        let file = file.to_str().context("UTF-8")?;
        let create: &[&str] = if program == "systemd-tmpfiles" { &["--create"] } else { &[] };
        let output = host.run(program, &[create, &[file]].concat())?;
        ensure!(output.status.success(), "{program}: {}", said(&output));
    }
    Ok(())
}

/// The service with the rights that its unit gives it.
fn serve(host: &Host) -> Result<Process> {
    let rights = "--inh-caps=-all,+lease --ambient-caps=-all,+lease --bounding-set=-all,+lease";
    let user = "--reuid porthole --regid porthole --init-groups --no-new-privs";
    let words: Vec<&str> =
        user.split(' ').chain(rights.split(' ')).chain([PROGRAM, "serve", "--role", "inbox"]).collect();
    host.start("setpriv", &words)
}

fn sends(camera: &Client, name: &str, bytes: &[u8]) -> Result<()> {
    let file = camera.file(name);
    fs::write(&file, bytes)?;
    let (sent, said) = camera.sftp(&format!(
        "put {} inbox/{name}.part\nrename inbox/{name}.part inbox/{name}.mp4",
        file.display()
    ))?;
    ensure!(sent, "{said}");
    Ok(())
}

#[test]
fn a_camera_sends_and_can_neither_look_around_nor_change_what_was_accepted() {
    on_a_host(|host| {
        install(host)?;
        let front = enrolled(host, "front", &[])?;
        let back = enrolled(host, "back", &[])?;
        host.start_sshd()?;
        let mut service = serve(host)?;
        sends(&front, "a", &recording(1)?)?;
        let archived = Path::new(DIR).join("archive/a.mp4");
        wait_until("the recording in the archive", PATIENCE, || archived.exists() || !service.is_running())
            .with_context(|| service.log())?;
        ensure!(archived.exists(), "{}", service.log());
        let metadata = fs::metadata(&archived)?;
        ensure!(metadata.permissions().mode() & 0o777 == 0o440 && metadata.uid() != 0);

        // Another recording of the same name: what was accepted stays.
        sends(&front, "a", &recording(2)?)?;
        let aside = Path::new(DIR).join("quarantine/front/a.mp4.reason");
        wait_until("the other one to be put aside", PATIENCE, || aside.exists())
            .with_context(|| service.log())?;
        ensure!(fs::read(&archived)? == recording(1)?);

        back.sftp("put /etc/hostname inbox/secret.part")?;
        for forbidden in [
            "get /etc/passwd",
            "ls /archive",
            "get /var/lib/porthole/archive/a.mp4",
            "ls ../back",
            "ls /inbox/../../back/inbox",
            "put /etc/hostname /here",
            "mkdir /folder",
            "rm /inbox",
            "chmod 777 /",
            "symlink /etc /inbox/../out",
        ] {
            let (done, said) = front.sftp(forbidden)?;
            ensure!(!done, "{forbidden}: {said}");
        }
        // A link may be made, and leads nowhere.
        let (_, followed) = front.sftp("symlink /../../back/inbox/secret.part inbox/link\nget inbox/link")?;
        ensure!(followed.contains("not found") || followed.contains("No such file"), "{followed}");
        let listed = front.sftp("ls -a /")?.1;
        ensure!(!listed.contains("back") && !listed.contains("etc"), "{listed}");
        // Nor can its account, if it came by another way.
        let secret = format!("{DIR}/inbox/back/inbox/secret.part");
        ensure!(Path::new(&secret).exists());
        let other_way =
            host.run("setpriv", &["--reuid=front", "--regid=front", "--init-groups", "cat", &secret])?;
        ensure!(said(&other_way).contains("Permission denied"), "{}", said(&other_way));
        Ok(())
    });
}

/// Runs a client; gives whether it succeeded, and what it printed.
fn output_of(client: &Client, program: &str, arguments: &[&str]) -> Result<(bool, String)> {
    let output = client.run(program, arguments)?;
    Ok((output.status.success(), said(&output)))
}

#[test]
fn nobody_gets_a_shell_a_port_or_in_with_another_key() {
    on_a_host(|host| {
        install(host)?;
        let front = enrolled(host, "front", &[])?;
        let script = enrolled(host, "porch", &["--script"])?;
        host.start_sshd()?;
        for client in [&front, &script] {
            for command in ["id", "sh -c id", "id; rm a.lockfile", "rm a.lockfile; id", "$(id)"] {
                let (_, said) = output_of(client, "ssh", &["host", command])?;
                ensure!(!said.contains("uid="), "{command}: {said}");
            }
            let (done, said) = output_of(client, "ssh", &["-S", "none", "-W", "127.0.0.1:22", "host"])?;
            ensure!(!done && said.contains("forwarding failed"), "{said}");
        }
        let (_, said) = output_of(&script, "ssh", &["host"])?;
        ensure!(said.contains("this account takes recordings, and has no shell"), "{said}");
        let stranger = Client::new("front", host.port())?;
        let (done, said) = output_of(&stranger, "ssh", &["host"])?;
        ensure!(!done && said.contains("Permission denied (publickey)"), "{said}");
        Ok(())
    });
}

#[test]
fn a_script_sends_with_scp_and_is_kept_to_its_folder() {
    on_a_host(|host| {
        install(host)?;
        let porch = enrolled(host, "porch", &["--script"])?;
        host.start_sshd()?;
        let service = serve(host)?;
        let mp4 = porch.file("a.mp4");
        fs::write(&mp4, recording(1)?)?;
        // As a script with a careful umask has it.
        fs::set_permissions(&mp4, fs::Permissions::from_mode(0o600))?;
        let mp4 = mp4.to_str().context("UTF-8")?;
        for arguments in [
            &["ssh", "host", "touch", "a.lockfile"][..],
            &["scp", mp4, "host:"],
            &["ssh", "host", "rm", "a.lockfile"],
        ] {
            let (done, said) = output_of(&porch, arguments[0], &arguments[1..])?;
            ensure!(done, "{arguments:?}: {said}");
        }
        let archived = Path::new(DIR).join("archive/a.mp4");
        wait_until("the recording in the archive", PATIENCE, || archived.exists())
            .with_context(|| service.log())?;
        ensure!(fs::read(&archived)? == recording(1)?);
        for (program, arguments) in [
            ("scp", &["host:/etc/passwd", "/dev/null"][..]),
            ("scp", &["/etc/hostname", "host:/tmp/porch"]),
            ("scp", &["/etc/hostname", "host:.."]),
            ("scp", &["-O", "/etc/hostname", "host:/tmp/porch"]),
            ("scp", &["-O", "/etc/hostname", "host:.."]),
        ] {
            let (done, said) = output_of(&porch, program, arguments)?;
            ensure!(!done && !Path::new("/tmp/porch").exists(), "{arguments:?}: {said}");
        }
        Ok(())
    });
}

#[test]
fn enrolling_twice_is_once_and_what_is_taken_is_refused() {
    on_a_host(|host| {
        install(host)?;
        let client = enrolled(host, "front", &[])?;
        let state = || fs::read_dir("/etc/ssh/sshd_config.d").map(Iterator::count).unwrap_or_default();
        let before = (state(), fs::read_to_string("/etc/passwd")?);
        let (again, said) = enroll(host, &client.public_key()?, "front", &[])?;
        ensure!(again && said.contains("host_key = \"ssh-ed25519 AAAA"), "{said}");
        let other = Client::new("front", host.port())?.public_key()?;
        for (key, account, more, refusal) in [
            (&other, "front", &[][..], "/etc/porthole/keys/front holds another key"),
            (&other, "front", &["--script"], "account front is taken"),
            (&other, "porthole", &[], "account porthole is taken"),
            (&other, "root", &[], "account root is taken"),
        ] {
            let (done, said) = enroll(host, key, account, more)?;
            ensure!(!done && said.contains(refusal), "{account}: {said}");
        }
        ensure!(before == (state(), fs::read_to_string("/etc/passwd")?));
        Ok(())
    });
}

#[test]
fn when_sshd_would_not_obey_nothing_is_left() {
    on_a_host(|host| {
        install(host)?;
        let key = Client::new("front", host.port())?.public_key()?;
        let passwd = fs::read_to_string("/etc/passwd")?;
        let config = fs::read_to_string("/etc/ssh/sshd_config")?;
        let broken = format!("{config}\nNoSuchKeyword yes\n");
        let deaf = config.replace("Include /etc/ssh/sshd_config.d/", "Include /etc/ssh/elsewhere/");
        let contrary = format!("Match User front\nForceCommand /bin/true\nMatch all\n{config}");
        for (config, complaint) in [
            (broken, "NoSuchKeyword"),
            (deaf, "does its configuration include"),
            (contrary, "forcecommand /bin/true"),
        ] {
            fs::write("/etc/ssh/sshd_config", config)?;
            let (done, said) = enroll(host, &key, "front", &[])?;
            ensure!(!done && said.contains(complaint), "{said}");
            ensure!(fs::read_to_string("/etc/passwd")? == passwd);
            for left in [
                "/etc/porthole",
                "/etc/ssh/sshd_config.d/porthole-front.conf",
                "/var/lib/porthole/inbox/front",
            ] {
                ensure!(!Path::new(left).exists(), "{left}");
            }
        }
        Ok(())
    });
}
