//! The units of the remote host, as systemd itself judges them.

use anyhow::ensure;
use tests::client::said;
use tests::host::on_a_host;

/// The most that `systemd-analyze security` may find, in tenths: below 2 it says "OK".
const MOST_EXPOSED: &str = "--threshold=20";

#[test]
fn the_services_unit_is_understood_and_confined() {
    on_a_host(|host| {
        let unit = tests::workspace().join("remote/systemd/porthole-remote.service");
        let unit = unit.display().to_string();
        for arguments in [
            &["verify", "--man=no", &unit][..],
            &["security", "--offline=yes", MOST_EXPOSED, "--no-pager", &unit],
        ] {
            let output = host.run("systemd-analyze", arguments)?;
            let said = said(&output);
            ensure!(output.status.success() && !said.contains(&unit), "{said}");
        }
        Ok(())
    });
}
