SUMMARY = "What makes a board the appliance: network, watchdog, first boot, data partition"

require recipes-porthole/porthole.inc

inherit systemd

SRC_URI += "file://board/rootfs/etc"

do_install() {
    install -d ${D}${sysconfdir}
    for folder in porthole systemd tmpfiles.d udev; do
        cp -R --no-dereference --no-preserve=ownership ${S}/board/rootfs/etc/$folder ${D}${sysconfdir}
    done
}

SYSTEMD_SERVICE:${PN} = "porthole-provision.service"
CONFFILES:${PN} = "${sysconfdir}/porthole/edge.toml"
RDEPENDS:${PN} = "porthole-edge"
