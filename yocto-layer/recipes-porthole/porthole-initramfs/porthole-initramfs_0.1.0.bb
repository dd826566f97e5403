SUMMARY = "The first program: finds the slot that the boot loader took, has the data partition ready, and goes on in the root file system"

require recipes-porthole/porthole.inc

SRC_URI += "file://board/initrd"

do_install() {
    install -D -m 0755 ${S}/board/initrd/init ${D}/init
    install -D -m 0644 ${S}/board/initrd/modules ${D}${sysconfdir}/modules
    install -d ${D}/dev ${D}/proc ${D}/run ${D}/sys
}

FILES:${PN} = "/init ${sysconfdir} /dev /proc /run /sys"
RDEPENDS:${PN} = "busybox"
# What of board/initrd/modules is built into the kernel has no package.
RRECOMMENDS:${PN} = " \
    kernel-module-sunxi-mmc \
    kernel-module-virtio-blk \
    kernel-module-vfat \
    kernel-module-nls-cp437 \
    kernel-module-nls-ascii \
    kernel-module-loop \
    kernel-module-squashfs \
    kernel-module-sunxi-wdt \
    kernel-module-softdog \
"
