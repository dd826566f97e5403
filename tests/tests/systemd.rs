//! The units of both programs, as systemd itself judges them.

use anyhow::{Result, ensure};
use tests::client::said;
use tests::host::{Host, on_a_host};

/// The most that `systemd-analyze security` may find, in tenths: up to 2 it says "OK".
const MOST_EXPOSED: &str = "--threshold=20";

/// Asks about a unit of the workspace, and wants no complaint that names it.
fn analyze(host: &Host, arguments: &[&str], unit: &str) -> Result<()> {
    let unit = tests::workspace().join(unit).display().to_string();
    let output = host.run("systemd-analyze", &[arguments, &[&unit]].concat())?;
    let said = said(&output);
    ensure!(output.status.success() && !said.contains(&unit), "{said}");
    Ok(())
}

#[test]
fn the_services_units_are_understood_and_confined() {
    on_a_host(|host| {
        let security = ["security", "--offline=yes", MOST_EXPOSED, "--no-pager"];
        // Where the edge is installed there is a `/usr/bin/porthole-edge`; systemd does not look further without.
        analyze(host, &["verify", "--man=no"], "remote/systemd/porthole-remote.service")?;
        analyze(host, &security, "remote/systemd/porthole-remote.service")?;
        analyze(host, &security, "edge/systemd/porthole-edge.service")?;
        analyze(host, &security, "board/rootfs/etc/systemd/system/porthole-update@.service")
    });
}
