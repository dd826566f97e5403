SUMMARY = "What makes a board the appliance: network, watchdog, first boot"

require recipes-porthole/porthole.inc

inherit systemd useradd

SRC_URI += "file://board/rootfs/etc"
# The public key of who builds updates, as ssh-keygen makes it; without one none are taken.
PORTHOLE_UPDATE_KEY ??= ""

do_install() {
    install -d ${D}${sysconfdir}
    for folder in modules-load.d porthole systemd udev; do
        cp -R --no-dereference --no-preserve=ownership ${S}/board/rootfs/etc/$folder ${D}${sysconfdir}
    done
    if [ -n "${PORTHOLE_UPDATE_KEY}" ]; then
        install -m 0644 ${PORTHOLE_UPDATE_KEY} ${D}${sysconfdir}/porthole/update.pub
    fi
}

SYSTEMD_SERVICE:${PN} = " \
    porthole-host.path \
    porthole-host.service \
    porthole-restart.path \
    porthole-trial.timer \
    porthole-update.socket \
"
USERADD_PACKAGES = "${PN}"
USERADD_PARAM:${PN} = "--system --user-group --no-create-home --home-dir / --shell /usr/sbin/nologin porthole-update"
CONFFILES:${PN} = "${sysconfdir}/porthole/edge.toml"
RDEPENDS:${PN} = "porthole-edge tzdata"
